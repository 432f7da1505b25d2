"""The Transcribe tab: upload or record audio, follow progress, cancel, listen and download."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

import gradio as gr

from stt_lab.door.shared_files import link
from stt_lab.engines.pool import AUTO
from stt_lab.errors import Cancelled
from stt_lab.installation import Installation
from stt_lab.operations.info import model_note
from stt_lab.pipeline import usual_model
from stt_lab.text import LANGUAGES
from stt_lab.types import Event, Transcript
from stt_lab.ui import html, parts
from stt_lab.ui.api import run_operation
from stt_lab.ui.gradio_private import root_blocks
from stt_lab.ui.work import BackgroundCall, ReportProgress, named, sentence
from stt_lab.weights import catalog

SENT, SHOWN = "sent", "shown"  # places of recordings: chosen for the next run, and beside its result
EMPTY = (
    '<div class="stt-empty"><p>The transcript appears here.</p>'
    "<p>Upload a file or record with the microphone, then press Transcribe.</p></div>"
)


class TranscribeTab:
    """The components of the tab and their event handlers."""

    title: ClassVar[str] = "Transcribe"

    def __init__(self, installation: Installation) -> None:
        self.installation, self.settings = installation, installation.settings
        self.files = installation.runtime.shared_files
        self.working: dict[str, BackgroundCall[Transcript]] = {}  # by session

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
                self.result = parts.html(EMPTY, elem_id="stt-result")
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
        self.go.click(self.run, inputs, outputs, **parts.RAW)
        self.stop.click(self.cancel, **parts.PRIVATE)
        for mine, other in ((self.file, self.spoken), (self.spoken, self.file)):
            listen = mine.upload if mine is self.file else mine.stop_recording
            listen(self.arrived, mine, other, **parts.RAW)
        blocks = root_blocks()
        blocks.load(self.greet, None, [self.model, self.note], **parts.PRIVATE)
        blocks.unload(self.leave)

    # Event handlers

    def greet(self) -> tuple[Any, str]:
        """List the models that are installed now, and say which one answers."""
        return gr.update(**self._model_choice()), html.model_note(model_note(self.installation.runtime))

    def leave(self, request: gr.Request) -> None:
        """Delete the uploads of a closed page session."""
        self.files.end(str(request.session_hash))

    def arrived(self, value: Any, request: gr.Request) -> None:
        """Remember an upload, and clear the other input."""
        try:
            self.files.keep(self.files.sent(value), str(request.session_hash), SENT, alone=True)
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    def cancel(self, request: gr.Request) -> None:
        """Cancel the session's job; `run` says when it has ended. After Gradio's own cancel, it could not."""
        work = self.working.get(str(request.session_hash))
        if work:
            work.cancel()

    async def run(
        self, file: Any, spoken: Any, model: str, language: str, diarize: bool, speakers: Any, request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Transcribe, and show progress and result."""
        began, session = time.monotonic(), str(request.session_hash)
        values = {"model": model, "language": language, "diarize": diarize, "speakers": speakers or 0}
        recording = file or spoken

        def job(report: ReportProgress) -> Transcript:
            given = values | {"file": self.files.path(self.files.sent(recording))}
            made: Transcript = run_operation(self.installation, "transcribe", given, request, report, named(recording))
            return made

        work = self.working[session] = BackgroundCall(job)  # before the page can cancel it
        try:
            yield html.stages([], Event("queued"), 0, diarize), "", *_buttons(busy=True)
            address = self.files.sent(recording)
            self.files.keep(address, session, SHOWN, alone=True)
            async with work:
                async for shown in _watch(work, began, bool(diarize)):
                    yield shown, gr.skip(), gr.skip(), gr.skip()
                transcript = work.result()
            self.files.belongs(address, transcript.id)
            shown = html.result(transcript, _recording(address, recording), time.monotonic() - began)
            yield "", shown, *_buttons(busy=False)
        except Cancelled:
            yield html.notice("Cancelled."), EMPTY, *_buttons(busy=False)
        except Exception as problem:
            yield html.notice(sentence(problem), "error"), EMPTY, *_buttons(busy=False)
        finally:
            if self.working.get(session) is work:
                del self.working[session]

    # Rendering

    def _model_choice(self) -> dict[str, Any]:
        """Return the transcription models for a dropdown: the default, installed ones, then the others."""
        here = {model: catalog.available(model, self.settings) for model in catalog.models("transcribe")}
        order = sorted(here, key=lambda model: not here[model])  # stable sort: best first within each half
        usual = usual_model(self.installation.runtime.pool)
        labels = [(f"Default: {usual.name}" if usual else "Default", AUTO)]
        labels += [(model.name if here[model] else f"{model.name} (not installed)", model.id) for model in order]
        return {"choices": labels, "value": AUTO}


async def _watch(work: BackgroundCall[Any], began: float, diarize: bool) -> AsyncIterator[str]:
    """Render the progress bar, or that the job is being cancelled."""
    seen: dict[str, None] = {}
    event = Event("queued")
    async for updates in work.updates():
        for event in updates:
            seen[event.stage] = None
        stopping = html.notice("Cancelling …")
        yield stopping if work.cancelling else html.stages(list(seen), event, time.monotonic() - began, diarize)


def _buttons(busy: bool) -> tuple[Any, Any]:
    return gr.update(interactive=not busy), gr.update(interactive=busy)


def _recording(address: str, value: dict[str, Any]) -> html.Recording:
    name = PurePosixPath(address).name
    kind = mimetypes.guess_type(name)[0] or ""
    return html.Recording(named(value) or name, link(address), kind.startswith("video/"))
