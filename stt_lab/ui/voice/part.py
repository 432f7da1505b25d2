"""What both parts of the tab share: a recording by file or microphone, progress, cancel, and the result."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gradio as gr

from stt_lab.errors import Cancelled, Unauthorized
from stt_lab.installation import Installation
from stt_lab.types import Event, File
from stt_lab.ui import parts
from stt_lab.ui.api import hand_out, run_operation
from stt_lab.ui.html import notice, working
from stt_lab.ui.voice.html import GATE, renamed
from stt_lab.ui.work import BackgroundCall, ReportProgress, named, sentence

Component = Any  # of Gradio


@dataclass(frozen=True)
class VoiceCall:
    """A call of a part's operation, while it runs."""

    installation: Installation
    request: gr.Request
    report: ReportProgress
    place: str  # on the page, for files
    address: str  # of the recording
    name: str  # the client's name of it

    def run(self, operation: str, values: dict[str, Any]) -> tuple[File, str]:
        """Run an operation that makes a file. Return the file, and its address for the page."""
        made: File = run_operation(self.installation, operation, values, self.request, self.report, self.name)
        shared = replace(made, name=renamed(self.name, made.name))  # the name of a download
        address = hand_out(self.installation, shared, self.request, None)
        self.installation.runtime.shared_files.keep(
            address, str(self.request.session_hash), f"{self.place} made", alone=True
        )
        return made, address


class VoicePart(ABC):
    """A part of the tab: its components and their event handlers."""

    title: ClassVar[str]
    operation: ClassVar[str]
    verb: ClassVar[str]
    source: ClassVar[str]  # label of the recording
    empty: ClassVar[str]

    def __init__(self, installation: Installation) -> None:
        self.installation, self.files = installation, installation.runtime.shared_files
        self.place = f"voice {self.operation}"
        self.working: dict[str, BackgroundCall[str]] = {}  # by session

    @abstractmethod
    def draw_options(self) -> dict[str, Component]:
        """Add the controls; return them by the names of the operation's parameters."""

    @abstractmethod
    def make(self, call: VoiceCall, values: dict[str, Any]) -> str:
        """Run the operation, and return its result as HTML. Called in a thread."""

    def draw(self) -> None:
        """Add the components to the Blocks that is being built."""
        name = self.title.lower()
        with gr.Row(elem_classes="voice-main"):
            with gr.Column(scale=1, min_width=300):
                self._draw_source(name)
                self.options = self.draw_options()
                with gr.Row(elem_classes="voice-actions"):
                    self.go = gr.Button(self.verb, variant="primary", elem_id=f"voice-go-{name}")
                    self.stop = gr.Button("Cancel", interactive=False, elem_id=f"voice-cancel-{name}")
            with gr.Column(scale=2, min_width=320, elem_classes="voice-output"):
                self.status = parts.html(elem_id=f"voice-status-{name}", elem_classes="voice-status")
                self.result = parts.html(self.empty, elem_id=f"voice-result-{name}")
        self._wire()

    def _draw_source(self, name: str) -> None:
        with gr.Tabs():
            with gr.Tab("File"):
                self.file = gr.File(
                    label=self.source, file_types=["audio", "video"], height=130, elem_id=f"voice-file-{name}"
                )
            with gr.Tab("Microphone"):
                self.spoken = gr.Audio(
                    label="Recording",
                    sources=["microphone"],
                    type="filepath",
                    buttons=[],  # one of them would upload the recording to a public site
                    editable=False,
                    elem_id=f"voice-spoken-{name}",
                )

    def _wire(self) -> None:
        outputs = [self.status, self.result, self.go, self.stop]
        self.go.click(self.run, [self.file, self.spoken, *self.options.values()], outputs, **parts.RAW)
        self.stop.click(self.cancel, **parts.PRIVATE)
        for mine, other in ((self.file, self.spoken), (self.spoken, self.file)):
            listen = mine.upload if mine is self.file else mine.stop_recording
            listen(self.arrived, mine, other, **parts.RAW)

    # Event handlers. Gradio exposes each to raw HTTP; the operation authorises.

    def arrived(self, value: Any, request: gr.Request) -> None:
        """Remember an upload, and clear the other input."""
        try:
            self.files.keep(self.files.sent(value), str(request.session_hash), f"{self.place} sent", alone=True)
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    def cancel(self, request: gr.Request) -> None:
        """Cancel the session's job; `run` says when it has ended."""
        work = self.working.get(str(request.session_hash))
        if work:
            work.cancel()

    async def run(self, request: gr.Request, file: Any, spoken: Any, *options: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Do the work, and show progress and result. An error keeps the previous result."""
        began, session = time.monotonic(), str(request.session_hash)
        recording = file or spoken
        values = dict(zip(self.options, options, strict=True))

        def job(report: ReportProgress) -> str:
            address = self.files.sent(recording)
            self.files.keep(address, session, f"{self.place} shown", alone=True)
            name = named(recording) or address.partition("/")[2]
            return self.make(VoiceCall(self.installation, request, report, self.place, address, name), values)

        work = self.working[session] = BackgroundCall(job)  # before the page can cancel it
        try:
            yield working(Event("queued"), 0), gr.skip(), *_buttons(busy=True)
            async with work:
                async for events in work.updates():
                    for event in events[-1:]:
                        yield working(event, time.monotonic() - began), gr.skip(), gr.skip(), gr.skip()
                    if work.cancelling:
                        yield notice("Cancelling …"), gr.skip(), gr.skip(), gr.skip()
                yield "", work.result(), *_buttons(busy=False)
        except Cancelled:
            yield notice("Cancelled."), gr.skip(), *_buttons(busy=False)
        except Unauthorized:
            yield GATE, gr.skip(), *_buttons(busy=False)
        except Exception as problem:
            yield notice(sentence(problem), "error"), gr.skip(), *_buttons(busy=False)
        finally:
            if self.working.get(session) is work:
                del self.working[session]


def _buttons(busy: bool) -> tuple[Any, Any]:
    return gr.update(interactive=not busy), gr.update(interactive=busy)
