"""Statements on passages: pending transcripts and stored vectors. Each runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, null, or_, select, update
from sqlalchemy.orm import Session

from stt_lab.store.models import PassagesRow, now

LEASE = timedelta(minutes=5)  # a transcript of 8 hours takes a fraction of it
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 10, 60, 600))  # after failed attempts
BATCH = 500  # rows that a search has in memory at once


@dataclass(frozen=True)
class PendingTranscript:
    """A transcript without vectors for its present text and names."""

    transcript_id: int
    account_id: int
    revision: int


@dataclass(frozen=True)
class StoredVectors:
    """The vectors of one transcript, as stored."""

    transcript_id: int
    vectors: bytes


def await_vectors(
    session: Session, transcript_id: int, account_id: int, *, same_text: bool = False, after: timedelta | None = None
) -> None:
    """Mark a transcript, whose row the caller has locked, as pending; old vectors remain if the text is the same."""
    due = now() + after if after else now()
    changed: dict[str, Any] = {"revision": PassagesRow.revision + 1, "due": due, "attempts": 0}
    changed |= {} if same_text else {"places": null(), "vectors": null()}
    row = update(PassagesRow).where(PassagesRow.transcript_id == transcript_id)
    if not session.execute(row.values(**changed)).rowcount:  # type: ignore[attr-defined]
        session.execute(insert(PassagesRow).values(transcript_id=transcript_id, account_id=account_id, due=due))


def waits(session: Session) -> bool:
    """Return whether a transcript is pending."""
    return session.scalar(select(PassagesRow.transcript_id).where(_is_due()).limit(1)) is not None


def _is_due() -> ColumnElement[bool]:
    """Return the condition that a transcript is due. One that is further away than any pause was set by another
    clock."""
    return or_(PassagesRow.due <= now(), PassagesRow.due > now() + 2 * PAUSES[-1])


def claim(session: Session) -> PendingTranscript | None:
    """Claim the transcript that has been pending longest; other servers skip it for a while."""
    columns = (PassagesRow.transcript_id, PassagesRow.account_id, PassagesRow.revision)
    wanted = select(*columns).where(_is_due()).order_by(PassagesRow.due).limit(1)
    found = session.execute(wanted.with_for_update(skip_locked=True)).one_or_none()
    if found is None:
        return None
    taken = {"due": now() + LEASE, "attempts": PassagesRow.attempts + 1}
    session.execute(update(PassagesRow).where(PassagesRow.transcript_id == found.transcript_id).values(**taken))
    return PendingTranscript(*found)


def postpone(session: Session, waiting: PendingTranscript) -> None:
    """Retry later, after a growing pause."""
    same = (PassagesRow.transcript_id == waiting.transcript_id, PassagesRow.revision == waiting.revision)
    attempts = session.scalar(select(PassagesRow.attempts).where(*same)) or 1
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    session.execute(update(PassagesRow).where(*same, PassagesRow.due.is_not(None)).values(due=now() + pause))


def release(session: Session) -> None:
    """Release all claims."""
    session.execute(update(PassagesRow).where(PassagesRow.due > now()).values(due=now()))


def revision(session: Session, transcript_id: int) -> int | None:
    """Return the revision of a transcript, or None."""
    return session.scalar(select(PassagesRow.revision).where(PassagesRow.transcript_id == transcript_id))


def put(session: Session, waiting: PendingTranscript, model: str, places: bytes, vectors: bytes) -> None:
    """Store vectors of a revision; does nothing if the transcript has changed or is gone."""
    same = (PassagesRow.transcript_id == waiting.transcript_id, PassagesRow.revision == waiting.revision)
    made = {"model": model, "places": places, "vectors": vectors, "due": None, "attempts": 0}
    session.execute(update(PassagesRow).where(*same).values(**made))


def get(session: Session, transcript_id: int) -> tuple[bytes, bytes] | None:
    """Return ranges and vectors if they match the present revision."""
    wanted = select(PassagesRow.places, PassagesRow.vectors).where(PassagesRow.transcript_id == transcript_id)
    found = session.execute(wanted.where(PassagesRow.due.is_(None), PassagesRow.vectors.is_not(None))).one_or_none()
    return None if found is None else (found.places, found.vectors)


def places(session: Session, ids: Sequence[int]) -> dict[int, bytes]:
    """Return the ranges of passages by transcript."""
    found = session.execute(
        select(PassagesRow.transcript_id, PassagesRow.places).where(PassagesRow.transcript_id.in_(ids))
    )
    return {row.transcript_id: row.places for row in found if row.places is not None}


def all_vectors(session: Session, account_id: int) -> Iterator[list[StoredVectors]]:
    """Yield the vectors of all transcripts of an account in batches, newest first."""
    mine = select(PassagesRow.transcript_id, PassagesRow.vectors).where(PassagesRow.account_id == account_id)
    wanted = mine.where(PassagesRow.vectors.is_not(None)).order_by(PassagesRow.transcript_id.desc())
    for rows in session.execute(wanted.execution_options(yield_per=BATCH)).partitions():
        yield [StoredVectors(row.transcript_id, row.vectors or b"") for row in rows]


def counts(session: Session, account_id: int) -> tuple[int, int]:
    """Return how many transcripts of an account are done, and how many of them have vectors."""
    return tuple(  # type: ignore[return-value]
        session.execute(
            select(func.count(), func.count(PassagesRow.vectors)).where(PassagesRow.account_id == account_id)
        ).one()
    )
