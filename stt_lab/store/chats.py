"""Statements on chats about a transcript. Each runs in the caller's transaction, within one account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from stt_lab.store.models import ChatMessageRow, ChatRow, TranscriptRow, now


def find(session: Session, account_id: int, transcript_id: int, chat_id: str) -> bool:
    """Return whether the chat exists, about this transcript of this account."""
    same = (ChatRow.id == chat_id, ChatRow.account_id == account_id, ChatRow.transcript_id == transcript_id)
    return session.scalar(select(ChatRow.id).where(*same)) is not None


def messages(session: Session, chat_id: str, most: int) -> Sequence[tuple[str, str]]:
    """Return the last questions and answers, oldest first."""
    wanted = select(ChatMessageRow.question, ChatMessageRow.answer).where(ChatMessageRow.chat_id == chat_id)
    found = session.execute(wanted.order_by(ChatMessageRow.id.desc()).limit(most)).all()
    return [(row.question, row.answer) for row in reversed(found)]


def add(session: Session, account_id: int, transcript_id: int, chat_id: str, message: dict[str, Any]) -> bool:
    """Add a question with its answer, in a new chat if needed; return False if the transcript is gone."""
    here = select(TranscriptRow.id).where(TranscriptRow.id == transcript_id).with_for_update()
    if session.scalar(here) is None:
        return False
    moment = now()
    if find(session, account_id, transcript_id, chat_id):
        session.execute(update(ChatRow).where(ChatRow.id == chat_id).values(used=moment))
    else:
        row = {"id": chat_id, "account_id": account_id, "transcript_id": transcript_id, "used": moment}
        session.execute(insert(ChatRow).values(**row))
    session.execute(insert(ChatMessageRow).values(chat_id=chat_id, created=moment, **message))
    return True


def shorten(session: Session, transcript_id: int, chat_id: str, most_chats: int, most_messages: int) -> None:
    """Delete the oldest chats of the transcript and the oldest messages of the chat."""
    _forget(session, ChatRow, ChatRow.transcript_id == transcript_id, ChatRow.used, most_chats)
    _forget(session, ChatMessageRow, ChatMessageRow.chat_id == chat_id, ChatMessageRow.id, most_messages)


def _forget(session: Session, table: Any, mine: Any, age: Any, most: int) -> None:
    last: int | datetime | None = session.scalar(select(age).where(mine).order_by(age.desc()).offset(most - 1).limit(1))
    if last is not None:
        session.execute(delete(table).where(mine, age < last))
