"""What webhooks are still to be told: statements on the table of deliveries, each in its caller's transaction."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from stt_lab.store.models import DeliveryRow, now
from stt_lab.store.queue import JobRow, get

ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)  # each three times the one before
CLAIM = timedelta(minutes=1)  # after which another server may try: a delivery takes 10 s at most


@dataclass(frozen=True)
class Due:
    """A delivery that has been claimed for one attempt."""

    id: str
    attempt: int  # from 1
    job: JobRow


@dataclass(frozen=True)
class Attempt:
    """How an attempt went: the status of HTTP, or why there is none."""

    status: int | None
    error: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def add(session: Session, job_id: str) -> None:
    session.add(DeliveryRow(id=f"evt_{secrets.token_hex(16)}", job_id=job_id, next_attempt=now()))


def claim(session: Session) -> Due | None:
    """The delivery that has been due the longest; nobody else gets it for a minute."""
    found = session.scalar(
        select(DeliveryRow)
        .where(DeliveryRow.next_attempt <= now())
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
    """Write how it went, and when to try again: in 10 s, 30 s, 90 s ... and not after the eighth time."""
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
    """The deliveries of a job."""
    return list(session.scalars(select(DeliveryRow).where(DeliveryRow.job_id == job_id).order_by(DeliveryRow.created)))


def due(session: Session) -> bool:
    return session.scalar(select(DeliveryRow.id).where(DeliveryRow.next_attempt <= now()).limit(1)) is not None
