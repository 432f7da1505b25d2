"""Statements on stored results of a transcript. Each runs in the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.orm import Session

from stt_lab.store.models import KeptResultRow, TranscriptRow


def get(session: Session, transcript_id: int, key: str, script: str) -> dict[str, Any] | None:
    """Return a stored result, or None."""
    same = (KeptResultRow.transcript_id == transcript_id, KeptResultRow.key == key, KeptResultRow.script == script)
    return session.scalar(select(KeptResultRow.result).where(*same))


def put(session: Session, transcript_id: int, key: str, row: dict[str, Any]) -> None:
    """Store a result in place of an earlier one, and delete results of other texts; does nothing if the transcript is
    gone."""
    here = select(TranscriptRow.id).where(TranscriptRow.id == transcript_id).with_for_update()
    if session.scalar(here) is None:
        return
    old = or_(KeptResultRow.key == key, KeptResultRow.script != row["script"])
    session.execute(delete(KeptResultRow).where(KeptResultRow.transcript_id == transcript_id, old))
    session.execute(insert(KeptResultRow).values(transcript_id=transcript_id, key=key, **row))
