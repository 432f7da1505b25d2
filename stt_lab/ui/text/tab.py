"""The tab: where the text comes from, what to do with it, and the answer beside the text."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput, Cancelled, Unauthorized
from stt_lab.types import Event
from stt_lab.ui import parts
from stt_lab.ui.api import Entrance
from stt_lab.ui.html import notice, working
from stt_lab.ui.text import library
from stt_lab.ui.text.asking import Ask
from stt_lab.ui.text.html import EMPTY, GATE, made, panel
from stt_lab.ui.text.redacting import Redaction
from stt_lab.ui.text.source import Source
from stt_lab.ui.text.tasks import OF_LIBRARY, Analysis, Component, Document, Summary, Task, Translation
from stt_lab.ui.text.visit import Visit
from stt_lab.ui.work import Tell, Work, sentence
from stt_lab.writing.values import EXTRACTIVE

TASKS: tuple[type[Task], ...] = (Summary, Analysis, Document, Translation, Ask, Redaction)
LIBRARY, PASTED = "library", "pasted"
News = tuple[Any, ...]  # for the outputs of a button
Handler = Callable[..., AsyncIterator[News]]


@dataclass(frozen=True)
class Shown:
    """What the page shows, as HTML."""

    made: str
    panel: str  # the text that it is about


class Text:
    """The components of the tab and what they do."""

    title: ClassVar[str] = "Text"

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self.tasks = [task(entrance) for task in TASKS]
        self.uploads = parts.Uploads()
        self.working: dict[str, Work[Shown]] = {}  # by session

    def draw(self, tab: gr.Tab) -> None:
        with gr.Row(elem_id="text-main"):
            with gr.Column(scale=2, min_width=300, elem_id="text-controls"):
                self.gate = parts.html(elem_id="text-gate")
                self._draw_source()
                self._draw_tasks()
            with gr.Column(scale=5, min_width=320, elem_id="text-output"), gr.Row(elem_id="text-read"):
                self.made = parts.html(elem_id="text-made")
                self.panel = parts.html(EMPTY, elem_id="text-panel")
        self._wire(tab)

    def _draw_source(self) -> None:
        places = [("From the library", LIBRARY), ("Paste text", PASTED)]
        self.where = gr.Radio(places, value=LIBRARY, label="Text", interactive=True, elem_id="text-where")
        with gr.Column(elem_id="text-of-library", elem_classes="text-part"):
            self.query = gr.Textbox(
                label="Search", placeholder="words in titles or in what was said", submit_btn=True, elem_id="text-query"
            )
            self.picked = gr.Dropdown([], label="Transcript", elem_id="text-picked")
        with gr.Column(elem_id="text-of-pasted", elem_classes="text-part"):
            self.pasted = gr.Textbox(label="Text to work on", lines=6, max_lines=16, elem_id="text-pasted")

    def _draw_tasks(self) -> None:
        titles = [(task.title, task.name) for task in self.tasks]
        self.task = gr.Radio(titles, value=titles[0][1], label="What to do", interactive=True, elem_id="text-task")
        self.controls: dict[str, dict[str, Component]] = {}
        for task in self.tasks:
            with gr.Column(elem_id=f"text-of-{task.name}", elem_classes="text-part"):
                self.controls[task.name] = task.draw()
                if not task.of_text:
                    parts.html(f"<p>{OF_LIBRARY}</p>", elem_classes="text-hint")
        self.model = gr.Dropdown(self._writers(), value=AUTO, label="Who writes", elem_id="text-model")
        with gr.Column(elem_id="text-foot"):
            with gr.Row(elem_id="text-actions"):
                self.go = {
                    task.name: gr.Button(task.verb, variant="primary", elem_id=f"text-go-{task.name}")
                    for task in self.tasks
                }
                self.stop = gr.Button("Cancel", interactive=False, elem_id="text-cancel")
            self.status = parts.html(elem_id="text-status")

    def _wire(self, tab: gr.Tab) -> None:
        for ask in (tab.select, self.query.submit):
            ask(self.offer, [self.query, self.picked], [self.gate, self.picked], **parts.RAW)
        self.picked.change(self.open, self.picked, [self.status, self.made, self.panel], **parts.RAW)
        for task in self.tasks:
            controls = self.controls[task.name].values()
            lines = [control.submit for control in controls if isinstance(control, gr.Textbox)]
            gr.on(
                [self.go[task.name].click, *lines],
                self._handler(task),
                [self.where, self.picked, self.pasted, self.model, *controls],
                [self.status, self.made, self.panel, self.stop, *self.go.values()],
                **parts.RAW,
            )
        self.stop.click(self.stopped, **parts.PRIVATE)
        blocks = gr.context.Context.root_block
        changing = [self.model, *(control for task in self.tasks for control in task.changing)]
        blocks.load(self.renew, None, changing, **parts.PRIVATE)
        blocks.unload(self.end)

    # What happens. Gradio answers raw HTTP for each of these: what is private is read by operations, which authorise.

    def offer(self, query: Any, picked: Any, request: gr.Request) -> tuple[Any, Any]:
        """Fill the list with the visitor's transcripts; what was chosen stays, if it is there."""
        try:
            found, said = library.choices(self._visit(request), str(query or ""))
        except Exception as problem:
            return _said(problem), gr.update(choices=[], value=None)
        ids = [id for _, id in found]
        chosen = picked if picked in ids else next(iter(ids), None)
        return notice(said) if said else "", gr.update(choices=found, value=chosen)

    def open(self, picked: Any, request: gr.Request) -> tuple[str, str, str]:
        """Show the transcript that was chosen."""
        if not picked:
            return "", "", EMPTY
        try:
            return "", "", panel(self._visit(request).stored(picked))
        except Exception as problem:
            return _said(problem), "", EMPTY

    def renew(self, request: gr.Request) -> dict[Component, Any]:
        """Fill the lists whose choices depend on what is here now."""
        visit = self._visit(request)
        lists = {control: update for task in self.tasks for control, update in task.renewed(visit).items()}
        return lists | {self.model: gr.update(choices=self._writers())}

    def end(self, request: gr.Request) -> None:
        """Forget what a visitor who has gone had."""
        session = str(request.session_hash)
        self.uploads.end(session)
        for task in self.tasks:
            task.end(session)

    def stopped(self, request: gr.Request) -> None:
        """Stop the visitor's work, which then says so."""
        work = self.working.get(str(request.session_hash))
        if work:
            work.cancel()

    def _handler(self, task: Task) -> Handler:
        async def work(
            request: gr.Request, where: Any, picked: Any, pasted: Any, model: Any, *controls: Any
        ) -> AsyncIterator[News]:
            values = dict(zip(self.controls[task.name], controls, strict=True)) | {"model": model}

            def job(tell: Tell) -> Shown:
                visit = self._visit(request, tell)
                source = _source(visit, where, picked, pasted)
                return Shown(made(task.run(visit, source, values)), panel(source))

            async for news in self._run(job, str(request.session_hash)):
                yield news

        return work

    def _writers(self) -> list[tuple[str, str]]:
        """Who can be asked to write, and the language models that are here."""
        here = self.entrance.runtime.pool.available("write")
        models = [(model.name, model.id) for model in here if not model.for_tests]
        return [("The best that is here", AUTO), ("Nobody: the text's own sentences", EXTRACTIVE), *models]

    def _visit(self, request: gr.Request, tell: Tell = lambda news: None) -> Visit:
        return Visit(self.entrance, request, self.uploads, tell)

    async def _run(self, job: Callable[[Tell], Shown], session: str) -> AsyncIterator[News]:
        """Work, and show how far it is; an answer takes the place of the one before, an error leaves it."""
        began = time.monotonic()
        yield self._news(working(Event("queued"), 0), busy=True)
        try:
            async with Work(job) as work:
                self.working[session] = work
                async for told in work.updates():
                    for event in told[-1:]:
                        yield self._news(working(event, time.monotonic() - began), busy=True)
                yield self._news("", busy=False, shown=work.result())
        except Cancelled:
            yield self._news(notice("Cancelled."), busy=False)
        except Exception as problem:
            yield self._news(_said(problem), busy=False)
        finally:
            self.working.pop(session, None)

    def _news(self, status: str, busy: bool, shown: Shown | None = None) -> News:
        parts = (shown.made, shown.panel) if shown else (gr.skip(), gr.skip())
        return status, *parts, gr.update(interactive=busy), *(gr.update(interactive=not busy) for _ in self.go)


def _source(visit: Visit, where: Any, picked: Any, pasted: Any) -> Source:
    if where != LIBRARY:
        return Source.pasted(pasted)
    if not picked:
        raise BadInput("No transcript is chosen: choose one of the list, or paste a text.")
    return visit.stored(picked)


def _said(problem: Exception) -> str:
    return GATE if isinstance(problem, Unauthorized) else notice(sentence(problem), "error")
