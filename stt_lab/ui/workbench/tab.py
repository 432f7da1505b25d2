"""The Library tab. Its HTML never changes, because Gradio would undo what main.js puts into its shadow root."""

from __future__ import annotations

from typing import ClassVar

import gradio as gr

from stt_lab.installation import Installation
from stt_lab.ui import parts


class LibraryTab:
    title: ClassVar[str] = "Library"

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def draw(self, tab: gr.Tab) -> None:
        parts.html('<div class="stt-workbench"></div>')
