"""Statements on sessions of the page. Each runs in its caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from stt_lab.store.models import AccountRow, ApiKeyRow, SessionRow


def find(
    session: Session, digest: str, now: datetime, unused_since: datetime
) -> tuple[SessionRow, AccountRow, ApiKeyRow | None] | None:
    """Find a session with its account and key; None when any of the three is no longer valid."""
    joined = select(SessionRow, AccountRow, ApiKeyRow).join(AccountRow, AccountRow.id == SessionRow.account_id)
    row = session.execute(
        joined.outerjoin(ApiKeyRow, ApiKeyRow.id == SessionRow.key_id).where(
            SessionRow.digest == digest,
            SessionRow.expires > now,
            SessionRow.used > unused_since,
            ~AccountRow.disabled,
            ApiKeyRow.revoked.is_(None),
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def touch(session: Session, session_id: int, now: datetime) -> None:
    session.execute(update(SessionRow).where(SessionRow.id == session_id).values(used=now))


def remove(session: Session, **wanted: Any) -> int:
    """Remove the sessions with these values (digest, account_id, key_id), or all; return how many there were."""
    same = [getattr(SessionRow, name) == value for name, value in wanted.items()]
    result = session.execute(delete(SessionRow).where(*same))
    assert isinstance(result, CursorResult)
    return result.rowcount


def remove_old(session: Session, now: datetime, unused_since: datetime) -> None:
    session.execute(delete(SessionRow).where(or_(SessionRow.expires <= now, SessionRow.used <= unused_since)))


def keep_newest(session: Session, account_id: int, most: int) -> None:
    """Remove the oldest sessions of an account beyond `most`."""
    own = SessionRow.account_id == account_id
    last = session.scalar(select(SessionRow.id).where(own).order_by(SessionRow.id.desc()).offset(most - 1).limit(1))
    if last is not None:
        session.execute(delete(SessionRow).where(own, SessionRow.id < last))
