"""The leaderboard of stored runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from stt_lab.lab.scoring import leaderboard
from stt_lab.ui import parts
from stt_lab.ui.lab import html
from stt_lab.ui.lab.gate import LabContext, Updates, administrator, text


class LeaderboardPanel:
    """Shows one board by dataset, measure and rule; scores of one board are comparable."""

    def __init__(self, context: LabContext) -> None:
        self.context = context

    def draw(self) -> None:
        with gr.Row(equal_height=True):
            self.dataset = gr.Dropdown([], label="Dataset", min_width=240, elem_id="lab-board-set")
            self.rule = gr.Dropdown([], label="Measure and rule", min_width=240, elem_id="lab-board-rule")
        self.table = parts.html(html.NO_BOARDS, elem_id="lab-board")

    @property
    def shown(self) -> list[Any]:
        return [self.dataset, self.rule, self.table]

    def wire(self, tab: gr.Tab) -> None:
        for event in (tab.select, self.dataset.input, self.rule.input):
            event(self.compare, [self.dataset, self.rule], self.shown, **parts.RAW)

    @administrator("table")
    async def compare(self, dataset: Any, rule: Any, request: gr.Request) -> AsyncIterator[Updates]:
        yield await asyncio.to_thread(self.updates_for, text(dataset), text(rule))

    def updates_for(self, digest: str, rule: str) -> Updates:
        """Return the board of a dataset and a rule; the first ones if they do not exist."""
        found = leaderboard.boards(leaderboard.read(self.context.lab.runs))
        sets = {board.digest: html.board_name(board) for board in found}
        if not sets:
            return {self.table: html.NO_BOARDS}
        digest = digest if digest in sets else next(iter(sets))
        mine = {_key(board): board for board in found if board.digest == digest}
        chosen = mine.get(rule) or next(iter(mine.values()))
        rules = [(html.rule_name(board), key) for key, board in mine.items()]
        return {
            self.dataset: gr.update(choices=[(name, key) for key, name in sets.items()], value=digest),
            self.rule: gr.update(choices=rules, value=_key(chosen)),
            self.table: html.board(chosen, found[chosen]),
        }


def _key(board: leaderboard.Board) -> str:
    """Return the list value of a board within its dataset."""
    return json.dumps([board.measure, board.normaliser, board.collar_s])
