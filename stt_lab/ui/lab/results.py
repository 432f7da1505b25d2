"""Show the results of stored runs: table, figures, word errors with audio, and downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from stt_lab.errors import BadInput
from stt_lab.ui import parts
from stt_lab.ui.html import bar, notice
from stt_lab.ui.lab import html
from stt_lab.ui.lab.gate import LabContext, PageShelf, Updates, administrator, done, text, whole
from stt_lab.ui.lab.reader import RunReader

FIRST = 5  # recordings with word errors shown at first
HOW_MANY = [FIRST, 10, 20]


class ResultsPanel:
    """The controls of stored runs and their event handlers."""

    def __init__(self, context: LabContext) -> None:
        self.context = context
        self.reader = RunReader(context.lab)

    def draw(self) -> None:
        self.status = parts.html(elem_id="lab-status")
        with gr.Row(elem_id="lab-stored"):
            self.stored = gr.Dropdown([], label="Stored run", scale=3, min_width=280, elem_id="lab-run")
            self.resume = gr.Button("Resume", interactive=False, scale=1, min_width=100, elem_id="lab-resume")
            self.report = gr.Button("Make report", interactive=False, scale=1, min_width=140, elem_id="lab-report")
        self.reported = parts.html(elem_id="lab-reported")
        self.result = parts.html(html.EMPTY, elem_id="lab-result")
        with gr.Column(visible=False, elem_id="lab-details") as self.details:
            with gr.Row(equal_height=True):
                self.system = gr.Dropdown([], label="Word errors of", min_width=200, elem_id="lab-system")
                self.most = gr.Dropdown(HOW_MANY, value=FIRST, label="Recordings, worst first", min_width=160)
            self.mistakes = parts.html(elem_id="lab-mistakes")

    @property
    def shown(self) -> list[Any]:
        buttons = [self.resume, self.report, self.reported]
        return [self.result, *buttons, self.details, self.system, self.most, self.mistakes]

    def wire(self) -> None:
        raw = parts.RAW
        self.stored.input(self.show, self.stored, self.shown, **raw)
        for change in (self.system.input, self.most.input):
            change(self.look, [self.stored, self.system, self.most], self.mistakes, **raw)
        self.report.click(self.make_report, self.stored, self.reported, **raw)

    def offers(self, stored: str) -> Updates:
        """Return the list of stored runs; keep the selection, or select the newest."""
        names = self.context.lab.names()
        return {
            self.stored: gr.update(choices=list(names), value=stored if stored in names else next(iter(names), None))
        }

    @administrator("result", quiet=True)
    async def show(self, stored: Any, request: gr.Request) -> AsyncIterator[Updates]:
        """Show table and figures of a run, and the word errors of its first system."""
        idle = gr.update(interactive=False)
        hidden = {self.details: gr.update(visible=False), self.resume: idle, self.report: idle, self.reported: ""}
        if not stored:
            yield hidden | {self.result: html.EMPTY}
            return
        name, shelf = text(stored), self.context.shelf(request)
        yield hidden | {self.result: bar(f"Reading {name} …", 0, 0)}
        found = await done(lambda report: self.reader.show(name, shelf))
        first = next(iter(found.systems), None)
        yield {
            self.result: found.body,
            self.resume: gr.update(interactive=found.left > 0 and not self.context.lab.busy),
            self.report: gr.update(interactive=found.has_predictions),
            self.details: gr.update(visible=bool(found.systems)),
            self.system: gr.update(choices=list(found.systems), value=first),
            self.most: FIRST,
            self.mistakes: "" if first is None else await self._mistakes(name, first, FIRST, shelf),
        }

    @administrator("mistakes")
    async def look(self, stored: Any, system: Any, most: Any, request: gr.Request) -> AsyncIterator[Updates]:
        """Show the word errors of another system."""
        shelf = self.context.shelf(request)
        yield {self.mistakes: await self._mistakes(text(stored), text(system), whole(most), shelf)}

    async def _mistakes(self, name: str, system: str, most: int, shelf: PageShelf) -> str:
        try:
            return await done(lambda report: self.reader.mistakes(name, system, most, shelf))
        except BadInput as problem:  # it has no reference texts
            return notice(str(problem))

    @administrator("reported")
    async def make_report(self, stored: Any, request: gr.Request) -> AsyncIterator[Updates]:
        """Make the report of a run and show its links."""
        name, shelf = text(stored), self.context.shelf(request)
        yield {self.reported: bar("Making the report. This takes about half a minute …", 0, 0)}
        yield {self.reported: await done(lambda report: self.reader.report(name, shelf, lambda: report(None)))}
