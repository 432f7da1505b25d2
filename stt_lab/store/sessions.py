"""Statements on sessions of the page. Each runs in its caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from stt_lab.store.models import Account, ApiKey, PageSession


def find(
    session: Session, digest: str, now: datetime, unused_since: datetime
) -> tuple[PageSession, Account, ApiKey | None] | None:
    """Find a session with its account and key; None when any of the three is no longer valid."""
    joined = select(PageSession, Account, ApiKey).join(Account, Account.id == PageSession.account_id)
    row = session.execute(
        joined.outerjoin(ApiKey, ApiKey.id == PageSession.key_id).where(
            PageSession.digest == digest,
            PageSession.expires > now,
            PageSession.used > unused_since,
            ~Account.disabled,
            ApiKey.revoked.is_(None),
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def touch(session: Session, session_id: int, now: datetime) -> None:
    session.execute(update(PageSession).where(PageSession.id == session_id).values(used=now))


def remove(session: Session, **wanted: Any) -> int:
    """Remove the sessions with these values (digest, account_id, key_id), or all; return how many there were."""
    same = [getattr(PageSession, name) == value for name, value in wanted.items()]
    result = session.execute(delete(PageSession).where(*same))
    assert isinstance(result, CursorResult)
    return result.rowcount


def remove_old(session: Session, now: datetime, unused_since: datetime) -> None:
    session.execute(delete(PageSession).where(or_(PageSession.expires <= now, PageSession.used <= unused_since)))


def keep_newest(session: Session, account_id: int, most: int) -> None:
    """Remove the oldest sessions of an account beyond `most`."""
    own = PageSession.account_id == account_id
    last = session.scalar(select(PageSession.id).where(own).order_by(PageSession.id.desc()).offset(most - 1).limit(1))
    if last is not None:
        session.execute(delete(PageSession).where(own, PageSession.id < last))
