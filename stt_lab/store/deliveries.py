"""Statements on pending webhook deliveries. Each runs in the caller's transaction."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from stt_lab.store.models import DeliveryRow, now
from stt_lab.store.queue import JobRow, get

ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)  # each wait is three times the one before
CLAIM = timedelta(minutes=1)  # then another server may try: an attempt takes 10 s at most


@dataclass(frozen=True)
class Due:
    """A delivery that is claimed for one attempt."""

    id: str
    attempt: int  # from 1
    job: JobRow


@dataclass(frozen=True)
class Attempt:
    """The outcome of an attempt: the HTTP status, or why there is none."""

    status: int | None
    error: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def add(session: Session, job_id: str) -> None:
    """Add a delivery for a job; it is due now."""
    session.add(DeliveryRow(id=f"evt_{secrets.token_hex(16)}", job_id=job_id, next_attempt=now()))


def claim(session: Session) -> Due | None:
    """Claim the delivery that has been due longest; other servers skip it for a minute. None if none is due."""
    found = session.scalar(
        select(DeliveryRow)
        .where(_is_due())
        .order_by(DeliveryRow.next_attempt)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if found is None:
        return None
    found.attempts += 1
    found.next_attempt = now() + CLAIM
    job = get(session, found.job_id)
    assert job is not None
    return Due(found.id, found.attempts, job)


def record(session: Session, due: Due, attempt: Attempt) -> None:
    """Store the outcome, and schedule the next attempt: after 10 s, 30 s, 90 s ..., none after the eighth."""
    wait = min(FIRST_WAIT * 3 ** (due.attempt - 1), LONGEST_WAIT)
    over = attempt.delivered or due.attempt >= ATTEMPTS
    values = {
        "status": attempt.status,
        "error": attempt.error[:200],
        "delivered": now() if attempt.delivered else None,
        "next_attempt": None if over else now() + wait,
    }
    session.execute(
        update(DeliveryRow).where(DeliveryRow.id == due.id, DeliveryRow.attempts == due.attempt).values(**values)
    )


def log(session: Session, job_id: str) -> list[DeliveryRow]:
    """Return the deliveries of a job."""
    return list(session.scalars(select(DeliveryRow).where(DeliveryRow.job_id == job_id).order_by(DeliveryRow.created)))


def due(session: Session) -> bool:
    """Return whether any delivery is due."""
    return session.scalar(select(DeliveryRow.id).where(_is_due()).limit(1)) is not None


def _is_due() -> ColumnElement[bool]:
    """Return the condition that an attempt is due. One that is further away than any wait was set by another clock."""
    return or_(DeliveryRow.next_attempt <= now(), DeliveryRow.next_attempt > now() + 2 * LONGEST_WAIT)
