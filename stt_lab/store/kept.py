"""Statements on results that are kept with a transcript. Each runs in its caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.orm import Session

from stt_lab.store.models import KeptResult, Transcript


def get(session: Session, transcript_id: int, key: str, script: str) -> dict[str, Any] | None:
    same = (KeptResult.transcript_id == transcript_id, KeptResult.key == key, KeptResult.script == script)
    return session.scalar(select(KeptResult.result).where(*same))


def put(session: Session, transcript_id: int, key: str, row: dict[str, Any]) -> None:
    """In the place of an earlier one, and of all that was made of another text; nothing where no transcript is."""
    here = select(Transcript.id).where(Transcript.id == transcript_id).with_for_update()
    if session.scalar(here) is None:
        return
    old = or_(KeptResult.key == key, KeptResult.script != row["script"])
    session.execute(delete(KeptResult).where(KeptResult.transcript_id == transcript_id, old))
    session.execute(insert(KeptResult).values(transcript_id=transcript_id, key=key, **row))
