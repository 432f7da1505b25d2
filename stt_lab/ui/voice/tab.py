"""The components of the Voice tab: its parts, for callers who may use them."""

from __future__ import annotations

from typing import Any, ClassVar

import gradio as gr

from stt_lab.errors import SttError, Unauthorized
from stt_lab.installation import Installation
from stt_lab.registry import OPERATIONS, authorize
from stt_lab.ui import parts
from stt_lab.ui.api import caller_of
from stt_lab.ui.gradio_private import root_blocks
from stt_lab.ui.html import notice
from stt_lab.ui.voice.enhance import EnhancePart
from stt_lab.ui.voice.html import GATE
from stt_lab.ui.voice.part import VoicePart
from stt_lab.ui.voice.speak import SpeakPart

PARTS: tuple[type[VoicePart], ...] = (EnhancePart, SpeakPart)


class VoiceTab:
    """The tab. Its controls appear once it is known that the caller may use them."""

    title: ClassVar[str] = "Voice"

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def draw(self, tab: gr.Tab) -> None:
        gate = parts.html(elem_id="voice-gate")
        with gr.Column(visible=False, elem_id="voice-body") as body, gr.Tabs(elem_id="voice-parts"):
            for kind in PARTS:
                with gr.Tab(kind.title):
                    kind(self.installation).draw()
        root_blocks().load(self.greet, None, [gate, body], **parts.PRIVATE)

    def greet(self, request: gr.Request) -> tuple[str, Any]:
        """Show the controls to a caller who may use them; tell others what is missing."""
        try:
            for kind in PARTS:
                authorize(OPERATIONS[kind.operation], caller_of(self.installation, request))
        except Unauthorized:
            return GATE, gr.update(visible=False)
        except SttError as problem:
            return notice(str(problem), "error"), gr.update(visible=False)
        return "", gr.update(visible=True)
