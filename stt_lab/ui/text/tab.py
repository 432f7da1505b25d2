"""The components of the tab: source, task, and the result beside the text."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput, Cancelled, Unauthorized
from stt_lab.installation import Installation
from stt_lab.types import Event
from stt_lab.ui import parts
from stt_lab.ui.gradio_private import root_blocks
from stt_lab.ui.html import notice, working
from stt_lab.ui.text import library
from stt_lab.ui.text.asking import AskTask
from stt_lab.ui.text.html import EMPTY, GATE, made, panel
from stt_lab.ui.text.redacting import RedactionTask
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.tasks import (
    OF_LIBRARY,
    AnalysisTask,
    Component,
    DocumentTask,
    SummaryTask,
    TextTask,
    TranslationTask,
)
from stt_lab.ui.text.visit import PageRequest
from stt_lab.ui.work import BackgroundCall, ReportProgress, sentence
from stt_lab.writing.values import EXTRACTIVE

TASKS: tuple[type[TextTask], ...] = (SummaryTask, AnalysisTask, DocumentTask, TranslationTask, AskTask, RedactionTask)
LIBRARY, PASTED = "library", "pasted"
DROPPED = "() => ['', '']"  # in the browser: no message, no result
Updates = tuple[Any, ...]  # new values of a button's outputs
Handler = Callable[..., AsyncIterator[Updates]]


@dataclass(frozen=True)
class ResultView:
    """HTML of a result and of its text."""

    made: str
    panel: str  # the text itself


class TextTab:
    """The components of the tab and their event handlers."""

    title: ClassVar[str] = "Text"

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.tasks = [task(installation) for task in TASKS]
        self.working: dict[str, BackgroundCall[ResultView]] = {}  # by session

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
                label="Search", placeholder="words in titles or transcripts", submit_btn=True, elem_id="text-query"
            )
            self.picked = gr.Dropdown([], label="Transcript", elem_id="text-picked")
        with gr.Column(elem_id="text-of-pasted", elem_classes="text-part"):
            self.pasted = gr.Textbox(label="Pasted text", lines=6, max_lines=16, elem_id="text-pasted")

    def _draw_tasks(self) -> None:
        titles = [(task.title, task.name) for task in self.tasks]
        self.task = gr.Radio(titles, value=titles[0][1], label="Task", interactive=True, elem_id="text-task")
        self.controls: dict[str, dict[str, Component]] = {}
        for task in self.tasks:
            with gr.Column(elem_id=f"text-of-{task.name}", elem_classes="text-part"):
                self.controls[task.name] = task.draw()
                if not task.of_text:
                    parts.html(f"<p>{OF_LIBRARY}</p>", elem_classes="text-hint")
        self.model = gr.Dropdown(self._model_choices(), value=AUTO, label="Model", elem_id="text-model")
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
        self.task.change(None, None, [self.status, self.made], js=DROPPED, **parts.PRIVATE)
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
        blocks = root_blocks()
        changing = [self.model, *(control for task in self.tasks for control in task.changing)]
        blocks.load(self.renew, None, changing, **parts.PRIVATE)
        blocks.unload(self.end)

    # Event handlers. Gradio exposes each to raw HTTP; private data is read only by operations, which authorise.

    def offer(self, query: Any, picked: Any, request: gr.Request) -> tuple[Any, Any]:
        """Fill the list with the caller's transcripts, and keep the selection if it is listed."""
        try:
            found, said = library.choices(self._page_request(request), str(query or ""))
        except Exception as problem:
            return _message(problem), gr.update(choices=[], value=None)
        ids = [id for _, id in found]
        chosen = picked if picked in ids else next(iter(ids), None)
        return notice(said) if said else "", gr.update(choices=found, value=chosen)

    def open(self, picked: Any, request: gr.Request) -> tuple[str, str, str]:
        """Show the selected transcript."""
        if not picked:
            return "", "", EMPTY
        try:
            return "", "", panel(self._page_request(request).stored(picked))
        except Exception as problem:
            return _message(problem), "", EMPTY

    def renew(self, request: gr.Request) -> dict[Component, Any]:
        """Refresh the lists that depend on installed models and templates."""
        page = self._page_request(request)
        lists = {control: update for task in self.tasks for control, update in task.renewed(page).items()}
        return lists | {self.model: gr.update(choices=self._model_choices())}

    def end(self, request: gr.Request) -> None:
        """Delete uploads and conversations of a closed page session."""
        session = str(request.session_hash)
        self.installation.runtime.shared_files.end(session)
        for task in self.tasks:
            task.end(session)

    def stopped(self, request: gr.Request) -> None:
        """Cancel the session's task; `_run` reports it."""
        work = self.working.get(str(request.session_hash))
        if work:
            work.cancel()

    def _handler(self, task: TextTask) -> Handler:
        async def work(
            request: gr.Request, where: Any, picked: Any, pasted: Any, model: Any, *controls: Any
        ) -> AsyncIterator[Updates]:
            values = dict(zip(self.controls[task.name], controls, strict=True)) | {"model": model}

            def job(report: ReportProgress) -> ResultView:
                page = self._page_request(request, report)
                source = _source(page, where, picked, pasted)
                return ResultView(made(task.run(page, source, values)), panel(source))

            async for updates in self._run(job, str(request.session_hash)):
                yield updates

        return work

    def _model_choices(self) -> list[tuple[str, str]]:
        """Return the choices of a model: automatic, none, or an installed language model."""
        here = self.installation.runtime.pool.available("write")
        models = [(model.name, model.id) for model in here if not model.for_tests]
        return [("Automatic (best installed)", AUTO), ("None (sentences of the text)", EXTRACTIVE), *models]

    def _page_request(self, request: gr.Request, report: ReportProgress = lambda event: None) -> PageRequest:
        return PageRequest(self.installation, request, report)

    async def _run(self, job: Callable[[ReportProgress], ResultView], session: str) -> AsyncIterator[Updates]:
        """Run a task and show progress; a result replaces the previous one, an error keeps it."""
        began = time.monotonic()
        work = self.working[session] = BackgroundCall(job)  # before the page can cancel it
        try:
            yield self._updates(working(Event("queued"), 0), busy=True)
            async with work:
                async for events in work.updates():
                    for event in events[-1:]:
                        yield self._updates(working(event, time.monotonic() - began), busy=True)
                    if work.cancelling:
                        yield self._updates(notice("Cancelling …"), busy=True)
                yield self._updates("", busy=False, shown=work.result())
        except Cancelled:
            yield self._updates(notice("Cancelled."), busy=False)
        except Exception as problem:
            yield self._updates(_message(problem), busy=False)
        finally:
            if self.working.get(session) is work:
                del self.working[session]

    def _updates(self, status: str, busy: bool, shown: ResultView | None = None) -> Updates:
        parts = (shown.made, shown.panel) if shown else (gr.skip(), gr.skip())
        return status, *parts, gr.update(interactive=busy), *(gr.update(interactive=not busy) for _ in self.go)


def _source(page: PageRequest, where: Any, picked: Any, pasted: Any) -> TextSource:
    if where != LIBRARY:
        return TextSource.pasted(pasted)
    if not picked:
        raise BadInput("No transcript is selected. Select one from the list, or paste a text.")
    return page.stored(picked)


def _message(problem: Exception) -> str:
    return GATE if isinstance(problem, Unauthorized) else notice(sentence(problem), "error")
