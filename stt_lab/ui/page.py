"""Lay out the page: title with the signed-in account, tabs, and footer links."""

from __future__ import annotations

from html import escape

import gradio as gr

from stt_lab import __version__
from stt_lab.installation import Installation
from stt_lab.ui.api import caller_of
from stt_lab.ui.gradio_private import root_blocks
from stt_lab.ui.lab import LabTab
from stt_lab.ui.live import LiveTab
from stt_lab.ui.parts import PRIVATE, Tab, html
from stt_lab.ui.text.tab import TextTab
from stt_lab.ui.transcribe import TranscribeTab
from stt_lab.ui.voice import VoiceTab
from stt_lab.ui.workbench import LibraryTab

TABS: tuple[type[Tab], ...] = (TranscribeTab, LibraryTab, LiveTab, TextTab, VoiceTab, LabTab)
TITLE = (
    '<header class="stt-title"><h1>stt_lab</h1><p>Speech to text with timestamps and speakers, on your own machine.</p>'
)
FOOTER = (
    '<footer class="stt-footer"><a href="docs">HTTP API</a>'
    '<a href="?view=api" data-clients="1">Python and JavaScript clients</a>'
    f'<a href="sign-in">Sign in</a><a href="health">Health</a><span>stt_lab {__version__}</span></footer>'
)


class WebPage:
    """The page around all tabs."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def draw(self) -> None:
        """Add the page to the Blocks that is being built."""
        title = html(TITLE)
        with gr.Tabs(elem_id="stt-tabs"):
            for kind in TABS:
                with gr.Tab(kind.title, elem_id=f"stt-tab-{kind.title.lower()}") as tab:
                    kind(self.installation).draw(tab)
        html(FOOTER)
        root_blocks().load(self.greet, None, title, **PRIVATE)

    def greet(self, request: gr.Request) -> str:
        """Show the signed-in account."""
        caller = caller_of(self.installation, request)
        if caller.anonymous:
            return f"{TITLE}</header>"
        badge = f'<a class="stt-badge" href="#account">Signed in as {escape(caller.name)}</a>'
        return f"{TITLE}{badge}</header>"
