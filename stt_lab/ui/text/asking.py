"""Questions about a transcript of the library, in a conversation that goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from stt_lab.ui.api import Entrance
from stt_lab.ui.text import results
from stt_lab.ui.text.source import Source
from stt_lab.ui.text.tasks import Component, Task
from stt_lab.ui.text.visit import Visit
from stt_lab.ui.text.wire import Wire, plain

TURNS = 20  # questions and answers that are shown
MOST_TALKS = 1000  # that are remembered, of all visitors; then the oldest goes


@dataclass(frozen=True)
class Talk:
    """A conversation of a visitor about a transcript."""

    account: int
    transcript: int
    session_id: str = ""
    turns: tuple[tuple[str, Wire], ...] = ()


class Ask(Task):
    name, title, verb = "ask", "Question", "Ask"
    of_transcript = "chat_transcript"

    def __init__(self, entrance: Entrance) -> None:
        super().__init__(entrance)
        self._talks: dict[str, Talk] = {}  # by session of the page
        self._lock = threading.Lock()

    def draw(self) -> dict[str, Component]:
        return {
            "question": gr.Textbox(label="What do you want to know?", elem_id="text-question"),
            "goes_on": gr.Checkbox(True, label="Go on from the last answer", elem_id="text-goes-on"),
        }

    def run(self, visit: Visit, source: Source, values: dict[str, Any]) -> str:
        name, given = self.asked(source, values)
        before = self._before(visit, source, bool(values["goes_on"]))
        answer = plain(visit.call(name, given | {"session_id": before.session_id}))
        turns = (*before.turns, (str(values["question"]), answer))[-TURNS:]
        self._remember(visit.session, replace(before, session_id=answer["session_id"], turns=turns))
        return results.talk(turns, source)

    def _before(self, visit: Visit, source: Source, goes_on: bool) -> Talk:
        """The conversation that goes on, if it is this account's about this transcript; else a new one."""
        assert source.detail
        new = Talk(visit.account, source.detail.id)
        with self._lock:
            last = self._talks.get(visit.session, new) if goes_on else new
        return last if (last.account, last.transcript) == (new.account, new.transcript) else new

    def _remember(self, session: str, talk: Talk) -> None:
        with self._lock:
            self._talks.pop(session, None)
            self._talks[session] = talk
            while len(self._talks) > MOST_TALKS:
                del self._talks[next(iter(self._talks))]

    def end(self, session: str) -> None:
        """Forget what a visitor who has gone had asked."""
        with self._lock:
            self._talks.pop(session, None)
