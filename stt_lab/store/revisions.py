"""Statements on revisions of transcripts. Each runs in the transaction of a caller that has locked the transcript."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, null, select, update
from sqlalchemy.orm import Session

from stt_lab.store import transcripts
from stt_lab.store.models import RevisionRow, now
from stt_lab.store.transcripts import TranscriptHeader
from stt_lab.store.undo import SEGMENT, SegmentValues, Undo, pack, unpack

MOST = 1_000  # revisions that a transcript keeps
MOST_BYTES = 8 * 1024 * 1024  # that they take
AUTHOR = 120  # characters


@dataclass(frozen=True)
class Revision:
    """A revision that can be read and restored."""

    revision: int
    created: datetime
    author: str  # name of the account; "" for the transcription
    edits: int  # changes that made it


def rows(session: Session, transcript_id: int) -> list[SegmentValues]:
    """Return all segments by column."""
    return [dict(zip(SEGMENT, row, strict=True)) for row in transcripts.segments(session, transcript_id, limit=None)]


def add(session: Session, row: TranscriptHeader, author: str, edits: int, undo: Undo) -> int:
    """Add the revision after the present one; return its number. The oldest ones beyond the limits are forgotten."""
    number, packed = row.revision + 1, pack(undo)
    if _oldest(session, row.id) is None:
        first = {"revision": row.revision, "created": row.finished or row.created, "author": "", "edits": 0}
        session.execute(insert(RevisionRow).values(transcript_id=row.id, undo=null(), size=0, **first))
    made = {"revision": number, "created": now(), "author": author[:AUTHOR], "edits": edits}
    session.execute(insert(RevisionRow).values(transcript_id=row.id, undo=packed, size=len(packed), **made))
    _shorten(session, row.id, number)
    return number


def _oldest(session: Session, transcript_id: int) -> int | None:
    return session.scalar(select(func.min(RevisionRow.revision)).where(RevisionRow.transcript_id == transcript_id))


def _shorten(session: Session, transcript_id: int, newest: int) -> None:
    """Forget the oldest revisions beyond the limits, but not the one before the newest."""
    mine = RevisionRow.transcript_id == transcript_id
    total = session.scalar(select(func.sum(RevisionRow.size)).where(mine)) or 0
    oldest = max(_oldest(session, transcript_id) or newest, newest - MOST + 1)
    if total > MOST_BYTES:
        sizes = select(RevisionRow.revision, RevisionRow.size).where(mine).order_by(RevisionRow.revision.desc())
        oldest = max(oldest, min(_within(session.execute(sizes)), newest - 1))
    session.execute(delete(RevisionRow).where(mine, RevisionRow.revision < oldest))
    cut = update(RevisionRow).where(mine, RevisionRow.revision == oldest, RevisionRow.undo.is_not(None))
    session.execute(cut.values(undo=null(), size=0))


def _within(sizes: Any) -> int:
    """Return the oldest revision that can be made within the limit of bytes, of (revision, size) from the newest on."""
    total, oldest = 0, 0
    for revision, size in sizes:
        oldest, total = revision, total + size
        if total > MOST_BYTES:
            break
    return oldest


def listed(session: Session, row: TranscriptHeader) -> list[Revision]:
    """Return the revisions that are kept, newest first."""
    columns = (RevisionRow.revision, RevisionRow.created, RevisionRow.author, RevisionRow.edits)
    wanted = select(*columns).where(RevisionRow.transcript_id == row.id).order_by(RevisionRow.revision.desc())
    found = [Revision(*one) for one in session.execute(wanted)]
    return found or [Revision(row.revision, row.finished or row.created, "", 0)]


def undos(session: Session, row: TranscriptHeader, number: int) -> Iterator[Undo] | None:
    """Return the changes to undo, newest first, to make a revision; None if it is not kept."""
    oldest = _oldest(session, row.id) or row.revision
    return changes(session, row, number) if oldest <= number <= row.revision else None


def changes(session: Session, row: TranscriptHeader, number: int = -1) -> Iterator[Undo]:
    """Return the changes since a revision, or all that are kept, newest first."""
    mine = RevisionRow.transcript_id == row.id
    wanted = select(RevisionRow.undo).where(mine, RevisionRow.revision > number).order_by(RevisionRow.revision.desc())
    return (unpack(packed) for packed in session.scalars(wanted) if packed is not None)


def forget(session: Session, transcript_id: int) -> None:
    """Forget all revisions."""
    session.execute(delete(RevisionRow).where(RevisionRow.transcript_id == transcript_id))
