"""The Live tab. The browser does the work (live.js): it sends sound to /v1/stream and shows the text."""

from __future__ import annotations

from typing import ClassVar

import gradio as gr

from stt_lab.errors import SttError, Unauthorized
from stt_lab.installation import Installation
from stt_lab.pipeline import default_model
from stt_lab.registry import OPERATIONS, authorize
from stt_lab.ui import parts
from stt_lab.ui.api import caller_of
from stt_lab.ui.gradio_private import root_blocks
from stt_lab.ui.html import notice
from stt_lab.ui.live import html


class LiveTab:
    """The components of the tab. Their HTML is set once, when the page loads, because Gradio would undo live.js."""

    title: ClassVar[str] = "Live"

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def draw(self, tab: gr.Tab) -> None:
        with gr.Row(elem_id="live-main"):
            with gr.Column(scale=1, min_width=300, elem_id="live-controls"):
                form = parts.html()
            with gr.Column(scale=2, min_width=320, elem_id="live-output"):
                parts.html(html.PANEL)
        root_blocks().load(self.greet, None, form, **parts.PRIVATE)

    def greet(self, request: gr.Request) -> str:
        """Render the controls for a caller who may stream; for others, say what is missing."""
        try:
            authorize(OPERATIONS["stream"], caller_of(self.installation, request))
            pool = self.installation.runtime.pool
            default, _ = default_model(pool)
            return html.form([(model.id, model.name) for model in pool.available("transcribe")], default.id)
        except Unauthorized:
            return html.GATE
        except SttError as problem:
            return notice(str(problem), "error")
