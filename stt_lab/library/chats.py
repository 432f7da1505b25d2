"""Chats about transcripts: stored questions and answers, so that a question can refer to earlier ones."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from stt_lab.errors import NotFound
from stt_lab.store import chats as store
from stt_lab.store.database import Database

CHAT = "chat_"
ID = re.compile(r"chat_[0-9a-f]{32}")
REMEMBERED = 6  # earlier questions with answers that a question can refer to
MOST_MESSAGES, MOST_CHATS = 200, 200  # per chat and per transcript; the oldest are deleted
UNKNOWN = "The chat was not found. Omit 'session_id' to start a new one."


class Chats:
    """The chats of all transcripts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, account_id: int, transcript_id: int, chat_id: str | None) -> tuple[str, Sequence[tuple[str, str]]]:
        """Return the id of a chat and its last questions with answers; without an id, a new one. Raises NotFound."""
        if not chat_id:
            return f"{CHAT}{secrets.token_hex(16)}", ()
        with self._database.read() as session:
            known = ID.fullmatch(chat_id) and store.find(session, account_id, transcript_id, chat_id)
            if not known:
                raise NotFound(UNKNOWN)
            return chat_id, store.messages(session, chat_id, REMEMBERED)

    def add(self, account_id: int, transcript_id: int, chat_id: str, **message: Any) -> None:
        """Store a question with its answer, sources and model. Raises NotFound if the transcript was deleted."""
        with self._database.write() as session:
            if not store.add(session, account_id, transcript_id, chat_id, message):
                raise NotFound("The transcript was deleted while the question was being answered.")
            store.shorten(session, transcript_id, chat_id, MOST_CHATS, MOST_MESSAGES)
