"""Ask questions about a transcript of the library, in a conversation."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from stt_lab.installation import Installation
from stt_lab.ui.text import results
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.tasks import Component, TextTask
from stt_lab.ui.text.visit import PageRequest
from stt_lab.ui.text.wire import Wire, plain

TURNS = 20  # displayed questions and answers
MOST_CONVERSATIONS = 1000  # kept in memory; then the oldest is dropped


@dataclass(frozen=True)
class Conversation:
    """A conversation of one account about one transcript."""

    account: int
    transcript: int
    session_id: str = ""
    turns: tuple[tuple[str, Wire], ...] = ()


class AskTask(TextTask):
    name, title, verb = "ask", "Question", "Ask"
    of_transcript = "chat_transcript"

    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        self._conversations: dict[str, Conversation] = {}  # by page session
        self._lock = threading.Lock()

    def draw(self) -> dict[str, Component]:
        return {
            "question": gr.Textbox(label="Question", elem_id="text-question"),
            "goes_on": gr.Checkbox(True, label="Continue the conversation", elem_id="text-goes-on"),
        }

    def run(self, page: PageRequest, source: TextSource, values: dict[str, Any]) -> str:
        name, given = self.asked(source, values)
        before = self._before(page, source, bool(values["goes_on"]))
        answer = plain(page.call(name, given | {"session_id": before.session_id}))
        turns = (*before.turns, (str(values["question"]), answer))[-TURNS:]
        self._remember(page.session, replace(before, session_id=answer["session_id"], turns=turns))
        return results.talk(turns, source)

    def _before(self, page: PageRequest, source: TextSource, goes_on: bool) -> Conversation:
        """Return the session's conversation if it matches account and transcript, otherwise a new one."""
        assert source.detail
        new = Conversation(page.account, source.detail.id)
        with self._lock:
            last = self._conversations.get(page.session, new) if goes_on else new
        return last if (last.account, last.transcript) == (new.account, new.transcript) else new

    def _remember(self, session: str, conversation: Conversation) -> None:
        with self._lock:
            self._conversations.pop(session, None)
            self._conversations[session] = conversation
            while len(self._conversations) > MOST_CONVERSATIONS:
                del self._conversations[next(iter(self._conversations))]

    def end(self, session: str) -> None:
        """Forget the conversation of a closed page session."""
        with self._lock:
            self._conversations.pop(session, None)
