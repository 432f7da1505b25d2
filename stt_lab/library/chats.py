"""Chats about transcripts: what was asked and answered, so that a question may refer to the one before."""

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
REMEMBERED = 6  # questions with answers that the next one is understood by
MOST_MESSAGES, MOST_CHATS = 200, 200  # of a chat, of a transcript: then the oldest go
UNKNOWN = "There is no such chat about this transcript: leave 'session_id' out to begin one."


class Chats:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, account_id: int, transcript_id: int, chat_id: str | None) -> tuple[str, Sequence[tuple[str, str]]]:
        """A chat to go on with, and its last questions with answers; or the name of a new one."""
        if not chat_id:
            return f"{CHAT}{secrets.token_hex(16)}", ()
        with self._database.read() as session:
            known = ID.fullmatch(chat_id) and store.find(session, account_id, transcript_id, chat_id)
            if not known:
                raise NotFound(UNKNOWN)
            return chat_id, store.messages(session, chat_id, REMEMBERED)

    def add(self, account_id: int, transcript_id: int, chat_id: str, **message: Any) -> None:
        """Keep a question with its answer, sources and model. Raises NotFound when the transcript has gone."""
        with self._database.write() as session:
            if not store.add(session, account_id, transcript_id, chat_id, message):
                raise NotFound("The transcript was deleted while the question was answered.")
            store.shorten(session, transcript_id, chat_id, MOST_CHATS, MOST_MESSAGES)
