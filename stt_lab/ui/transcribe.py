"""The Transcribe tab: upload or record audio, follow progress, cancel, listen and download.

A recording becomes a job, which goes on when the page is closed. The browser's tab remembers its id: after a reload,
the page follows it again, and shows its result.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr

from stt_lab.door.shared_files import link
from stt_lab.engines.pool import AUTO
from stt_lab.errors import Cancelled, NotFound, SttError
from stt_lab.installation import Installation
from stt_lab.operations.info import model_note
from stt_lab.operations.library import PATH
from stt_lab.operations.speech import stages
from stt_lab.pipeline import usual_model
from stt_lab.text import LANGUAGES
from stt_lab.types import JobInfo, Transcript, silent
from stt_lab.ui import html, parts
from stt_lab.ui.api import caller_of, run_operation
from stt_lab.ui.gradio_private import client_listens, root_blocks
from stt_lab.ui.work import POLL_S, named, sentence
from stt_lab.weights import catalog

SENT, SHOWN = "sent", "shown"  # places of recordings: chosen for the next run, and beside its result
ACTIVE = ("queued", "running")
MOST_SENT = 1000  # sessions whose last recording is known
RECALL = "() => sessionStorage.getItem('stt-job') ?? ''"  # each tab of a browser has its own
KEEP = "(id) => { sessionStorage.setItem('stt-job', id); return id; }"


@dataclass(frozen=True)
class Sent:
    """The job that a page session has sent last."""

    id: str
    address: str  # of its recording, while the page is open
    recording: html.Recording
    diarize: bool


class TranscribeTab:
    """The components of the tab and their event handlers."""

    title: ClassVar[str] = "Transcribe"

    def __init__(self, installation: Installation) -> None:
        self.installation, self.settings = installation, installation.settings
        self.files = installation.runtime.shared_files
        self.sent: dict[str, Sent] = {}  # by session

    def draw(self, tab: gr.Tab) -> None:
        with gr.Row(elem_id="stt-main"):
            with gr.Column(scale=1, min_width=300, elem_id="stt-controls"):
                self._draw_source()
                self._draw_options()
                with gr.Row(elem_id="stt-actions"):
                    self.go = gr.Button("Transcribe", variant="primary", elem_id="stt-go")
                    self.stop = gr.Button("Cancel", interactive=False, elem_id="stt-cancel")
            with gr.Column(scale=2, min_width=320, elem_id="stt-output"):
                self.status = parts.html(elem_id="stt-status")
                self.result = parts.html(elem_id="stt-result")
                self.job = gr.Textbox(visible=False)  # id of the job that is shown
        self._wire()

    def _draw_source(self) -> None:
        with gr.Tabs(elem_id="stt-source"):
            with gr.Tab("File"):
                self.file = gr.File(
                    label="Audio or video", file_types=["audio", "video"], height=150, elem_id="stt-file"
                )
            with gr.Tab("Microphone"):
                self.spoken = gr.Audio(
                    label="Recording",
                    sources=["microphone"],
                    type="filepath",
                    buttons=[],  # one of them would upload the recording to a public site
                    editable=False,
                    elem_id="stt-spoken",
                )

    def _draw_options(self) -> None:
        languages = sorted((name.title(), code) for code, name in LANGUAGES.items())
        self.model = gr.Dropdown(label="Model", elem_id="stt-model", **self._model_choice())
        self.note = parts.html(elem_id="stt-model-note")
        self.language = gr.Dropdown(
            [("Detect automatically", "auto"), *languages], value="auto", label="Language", elem_id="stt-language"
        )
        with gr.Row(equal_height=True):
            self.diarize = gr.Checkbox(True, label="Label speakers", min_width=140, elem_id="stt-diarize")
            self.speakers = gr.Number(
                0, label="Number of speakers (0 = detect)", precision=0, minimum=0, maximum=20, min_width=140
            )

    def _wire(self) -> None:
        outputs = [self.status, self.result, self.go, self.stop]
        inputs = [self.file, self.spoken, self.model, self.language, self.diarize, self.speakers]
        sending = self.go.click(self.send, inputs, [self.job, *outputs], **parts.RAW)
        sending.then(self.follow, self.job, outputs, js=KEEP, **parts.RAW)
        self.stop.click(self.cancel, self.job, **parts.RAW)
        for mine, other in ((self.file, self.spoken), (self.spoken, self.file)):
            listen = mine.upload if mine is self.file else mine.stop_recording
            listen(self.arrived, mine, other, **parts.RAW)
        blocks = root_blocks()
        blocks.load(self.greet, None, [self.model, self.note], **parts.PRIVATE)
        recalled = blocks.load(self.recall, self.job, self.job, js=RECALL, **parts.RAW)
        recalled.then(self.resume, self.job, outputs, **parts.RAW)
        blocks.unload(self.leave)

    # Event handlers

    def greet(self) -> tuple[Any, str]:
        """List the models that are installed now, and say which one answers."""
        return gr.update(**self._model_choice()), html.model_note(model_note(self.installation.runtime))

    def leave(self, request: gr.Request) -> None:
        """Delete the uploads of a closed page session. Its job goes on."""
        self.files.end(str(request.session_hash))
        self.sent.pop(str(request.session_hash), None)

    def arrived(self, value: Any, request: gr.Request) -> None:
        """Remember an upload, and clear the other input."""
        try:
            self.files.keep(self.files.sent(value), str(request.session_hash), SENT, alone=True)
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    def send(
        self, file: Any, spoken: Any, model: str, language: str, diarize: bool, speakers: Any, request: gr.Request
    ) -> tuple[Any, ...]:
        """Make a recording a job. Returns its id, or "" and what is wrong with the recording."""
        recording, session = file or spoken, str(request.session_hash)
        usual = usual_model(self.installation.runtime.pool)
        if model == AUTO and usual and usual.languages != 1:  # the page has said which one that is: no warning
            model = usual.id
        values = {"model": model, "language": language, "diarize": diarize, "speakers": speakers or 0}
        try:
            address = self.files.sent(recording)
            self.files.keep(address, session, SHOWN, alone=True)
            values |= {"file": self.files.path(address), "background": True}
            job: JobInfo = self._run("transcribe", values, request, named(recording))
        except Exception as problem:
            return "", html.notice(sentence(problem), "error"), self._empty(request), *_buttons(busy=False)
        while len(self.sent) >= MOST_SENT:  # of sessions that never said that they ended
            self.sent.pop(next(iter(self.sent)), None)
        self.sent[session] = Sent(job.id, address, _recording(link(address), named(recording)), diarize)
        return job.id, html.stages(job, stages(diarize)), "", *_buttons(busy=True)

    def recall(self, id: str) -> str:
        """Take the id of the job that this tab of the browser remembers."""
        return id

    async def resume(self, id: str, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Follow the job that the page followed before it was loaded again."""
        if not id:
            yield gr.skip(), self._empty(request), gr.skip(), gr.skip()
        async for shown in self.follow(id, request):
            yield shown

    async def follow(self, id: str, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Show the progress of a job, and its result."""
        if not id:
            return
        sent = self.sent.get(str(request.session_hash))
        shares = stages(sent.diarize if sent and sent.id == id else True)
        try:
            while (job := await asyncio.to_thread(self._run, "job", {"id": id}, request)).status in ACTIVE:
                yield html.stages(job, shares), gr.skip(), *_buttons(busy=True)
                await asyncio.sleep(POLL_S)
                if not client_listens():
                    return
            shown = await asyncio.to_thread(self._finished, job, sent, request)
            yield "", shown, *_buttons(busy=False)
        except NotFound:  # deleted, or too old
            yield "", self._empty(request), *_buttons(busy=False)
        except Cancelled:
            yield html.notice("Cancelled."), self._empty(request), *_buttons(busy=False)
        except Exception as problem:
            yield html.notice(sentence(problem), "error"), self._empty(request), *_buttons(busy=False)

    def cancel(self, id: str, request: gr.Request) -> None:
        """Cancel the job; `follow` says when it has ended."""
        if id:
            self._run("cancel_job", {"id": id}, request)

    def _run(self, name: str, values: dict[str, Any], request: gr.Request, filename: str = "") -> Any:
        return run_operation(self.installation, name, values, request, silent, filename)

    # Rendering

    def _finished(self, job: JobInfo, sent: Sent | None, request: gr.Request) -> str:
        """Render the result of a job. Raises its error."""
        made: Transcript = self._run("job_result", {"id": job.id}, request)
        whole = ((job.finished or job.created) - job.created).total_seconds()
        times = html.Times(job.waited_s, job.loading_s, max(0.0, whole - job.waited_s - job.loading_s))
        if sent and sent.id == job.id:
            self.files.belongs(sent.address, made.id)
            return html.result(made, sent.recording, times)
        stored = f"{PATH}/{made.id}/audio/".removeprefix("/") if made.id and self.settings.keep_audio else ""
        return html.result(made, _recording(stored, job.filename), times)

    def _empty(self, request: gr.Request) -> str:
        try:
            return html.empty(caller_of(self.installation, request).anonymous)
        except SttError:  # a key that is not valid, which the error says
            return html.empty(anonymous=True)

    def _model_choice(self) -> dict[str, Any]:
        """Return the transcription models for a dropdown: the default, installed ones, then the others."""
        here = {model: catalog.available(model, self.settings) for model in catalog.models("transcribe")}
        order = sorted(here, key=lambda model: not here[model])  # stable sort: best first within each half
        usual = usual_model(self.installation.runtime.pool)
        labels = [(f"Default: {usual.name}" if usual else "Default", AUTO)]
        labels += [(model.name if here[model] else f"{model.name} (not installed)", model.id) for model in order]
        return {"choices": labels, "value": AUTO}


def _buttons(busy: bool) -> tuple[Any, Any]:
    return gr.update(interactive=not busy), gr.update(interactive=busy)


def _recording(address: str, name: str) -> html.Recording:
    kind = mimetypes.guess_type(name)[0] or ""
    return html.Recording(name or "recording", address, kind.startswith("video/"))
