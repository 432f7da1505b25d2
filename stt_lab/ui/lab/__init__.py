"""The Lab tab: evaluate systems on recordings, look at their errors, and compare them on a leaderboard.

Only for the administrator: an evaluation occupies the machine, and the page plays its recordings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import gradio as gr

from stt_lab.installation import Installation
from stt_lab.ui import parts
from stt_lab.ui.gradio_private import root_blocks
from stt_lab.ui.html import notice
from stt_lab.ui.lab import html
from stt_lab.ui.lab.board import LeaderboardPanel
from stt_lab.ui.lab.evaluate import EvaluatePanel
from stt_lab.ui.lab.gate import LabContext, Updates, administrator, is_admin, missing_extra, text
from stt_lab.ui.lab.results import ResultsPanel

__all__ = ["LabTab"]


class LabTab:
    """The tab: an access notice, and the panels behind it."""

    title: ClassVar[str] = "Lab"

    def __init__(self, installation: Installation) -> None:
        self.context = LabContext(installation)
        self.results = ResultsPanel(self.context)
        self.evaluate = EvaluatePanel(self.context, self.results)
        self.board = LeaderboardPanel(self.context)

    def draw(self, tab: gr.Tab) -> None:
        self.gate = parts.html(elem_id="lab-gate")
        with gr.Column(visible=False, elem_id="lab") as self.behind, gr.Tabs(elem_id="lab-tabs"):
            with gr.Tab("Evaluate"), gr.Row(elem_id="lab-main"):
                with gr.Column(scale=1, min_width=300, elem_id="lab-controls"):
                    self.evaluate.draw()
                with gr.Column(scale=2, min_width=320, elem_id="lab-output"):
                    self.results.draw()
            with gr.Tab("Leaderboard") as standings:
                self.board.draw()
        self._wire(tab)
        self.board.wire(standings)

    def _wire(self, tab: gr.Tab) -> None:
        raw, evaluate, results = parts.RAW, self.evaluate, self.results
        blocks = root_blocks()
        blocks.load(self.greet, None, [self.gate, self.behind], **parts.PRIVATE)
        blocks.unload(self.leave)
        offered = [*evaluate.offered, results.stored, results.status]
        opened = tab.select(self.refresh, [evaluate.dataset, results.stored], offered, **raw)
        followed = opened.then(evaluate.watch, None, evaluate.running, **raw)
        followed.then(results.show, results.stored, results.shown, **raw)
        evaluate.wire()
        results.wire()

    def greet(self, request: gr.Request) -> tuple[Any, Any]:
        """Show the panels to the administrator, and a notice to everybody else."""
        admin = is_admin(self.context, request)
        missing = missing_extra() if admin else ""
        shut = notice(missing, "warning") if missing else "" if admin else html.GATE
        return gr.update(value=shut, visible=bool(shut)), gr.update(visible=not shut)

    def leave(self, request: gr.Request) -> None:
        """Delete the uploads and shared files of a closed page session."""
        self.context.files.end(text(request.session_hash))

    @property
    def status(self) -> gr.HTML:
        return self.results.status

    @administrator("status", quiet=True)
    async def refresh(self, dataset: Any, stored: Any, request: gr.Request) -> AsyncIterator[Updates]:
        """Refresh the lists, and keep the selection."""
        offers = await asyncio.to_thread(self.evaluate.offers, text(dataset))
        yield offers | await asyncio.to_thread(self.results.offers, text(stored))
