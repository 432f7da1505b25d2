"""Statements on transcripts and segments. Each runs in the caller's transaction, within one account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, column, delete, func, insert, null, select, update, values
from sqlalchemy.orm import Session

from stt_lab.store.models import Job, SegmentRow, TagRow, TranscriptRow, now
from stt_lab.store.reading import readable

BATCH = 500  # segments per query
ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class TranscriptHeader:
    """A transcript without its segments and details."""

    id: int
    account_id: int
    slug: str
    title: str
    status: str
    error: str | None
    language: str | None
    duration: float
    model: str
    words: int
    speakers: list[str]
    names: dict[str, str]
    audio: str | None
    created: datetime
    finished: datetime | None
    revision: int
    tags: list[str] | None


@dataclass(frozen=True)
class Filters:
    """Filters of a list; None matches everything. `since` and `until` are inclusive."""

    status: str | None = None
    language: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tag: str | None = None


WITHOUT_DETAILS = select(*(getattr(TranscriptRow, field.name) for field in fields(TranscriptHeader)))
SORTS: dict[str, tuple[Any, ...]] = {  # the last column decides between equal ones
    "created": (TranscriptRow.created, TranscriptRow.id),
    "title": (func.lower(TranscriptRow.title), TranscriptRow.title, TranscriptRow.id),
    "duration": (TranscriptRow.duration, TranscriptRow.id),
}
NEWEST = "-created"


def add(session: Session, account_id: int, slug: str, title: str, created: datetime | None) -> int:
    made = insert(TranscriptRow).values(account_id=account_id, slug=slug, title=title, created=created or now())
    return session.execute(made.returning(TranscriptRow.id)).scalar_one()


def change(session: Session, transcript_id: int, **values: Any) -> None:
    session.execute(update(TranscriptRow).where(TranscriptRow.id == transcript_id).values(**values))


def remove(session: Session, ids: Sequence[int]) -> list[str | None]:
    """Delete transcripts; return the recording of each. The database deletes segments and index entries.

    What jobs and stored answers say about them goes too. They are locked first, in the same order as by an ending job;
    otherwise PostgreSQL would detect a deadlock.
    """
    session.execute(select(Job.id).where(Job.transcript_id.in_(ids)).order_by(Job.id).with_for_update()).all()
    emptied = {"result": null(), "error": null(), "filename": ""}
    session.execute(update(Job).where(Job.transcript_id.in_(ids), Job.state.in_(ENDED)).values(**emptied))
    gone = delete(TranscriptRow).where(TranscriptRow.id.in_(ids)).returning(TranscriptRow.audio)
    return list(session.scalars(gone, execution_options={"synchronize_session": False}))


def lock(session: Session, transcript_id: int) -> TranscriptHeader | None:
    """Return a transcript that cannot change until the caller's transaction ends."""
    return _one(session, WITHOUT_DETAILS.where(TranscriptRow.id == transcript_id).with_for_update())


def find(session: Session, account_id: int, key: int | str, *, for_update: bool = False) -> TranscriptHeader | None:
    """Return a transcript of the account by number or slug."""
    same = TranscriptRow.id == key if isinstance(key, int) else TranscriptRow.slug == key
    wanted = WITHOUT_DETAILS.where(TranscriptRow.account_id == account_id, same)
    return _one(session, wanted.with_for_update() if for_update else wanted)


def _one(session: Session, wanted: Select[Any]) -> TranscriptHeader | None:
    found = session.execute(wanted).one_or_none()
    return TranscriptHeader(**found._mapping) if found else None


def some(session: Session, account_id: int, ids: Sequence[int]) -> list[TranscriptHeader]:
    """Return those of the given transcripts that belong to the account, in the given order."""
    found = readable(session, WITHOUT_DETAILS.where(TranscriptRow.id.in_(ids)), TranscriptRow.id)
    # With the account in the statement, SQLite would read all its transcripts
    rows = {row.id: TranscriptHeader(**row._mapping) for row in found if row.account_id == account_id}
    return [rows[number] for number in ids if number in rows]


def existing(session: Session, ids: Sequence[int]) -> set[int]:
    """Return those of the ids that belong to a transcript."""
    return set(session.scalars(select(TranscriptRow.id).where(TranscriptRow.id.in_(ids))))


def page(
    session: Session, account_id: int, chosen: Filters, limit: int, offset: int, sort: str = NEWEST
) -> tuple[int, list[TranscriptHeader]]:
    """Return the number of matches and one page; `sort` is one of SORTS, with "-" in front from the largest to the
    smallest. Without a tag, both use one index by default, which has all the columns they need."""
    conditions = _conditions(account_id, chosen)
    columns = SORTS[sort.removeprefix("-")]
    order = [one.desc() for one in columns] if sort.startswith("-") else list(columns)
    count = session.scalar(select(func.count()).select_from(TranscriptRow).where(*conditions)) or 0
    ids = select(TranscriptRow.id).where(*conditions).order_by(*order).limit(limit).offset(offset)
    wanted = WITHOUT_DETAILS.where(TranscriptRow.id.in_(ids)).order_by(*order)
    return count, [TranscriptHeader(**row._mapping) for row in readable(session, wanted, TranscriptRow.id)]


def _conditions(account_id: int, chosen: Filters) -> list[ColumnElement[bool]]:
    given: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (chosen.status, TranscriptRow.status.__eq__),
        (chosen.language, TranscriptRow.language.__eq__),
        (chosen.since, TranscriptRow.created.__ge__),
        (chosen.until, TranscriptRow.created.__le__),
        (chosen.tag, lambda tag: TranscriptRow.id.in_(_tagged(account_id, tag))),
    ]
    return [TranscriptRow.account_id == account_id, *(compare(value) for value, compare in given if value is not None)]


def _tagged(account_id: int, tag: str) -> Select[Any]:
    return select(TagRow.transcript_id).where(TagRow.account_id == account_id, TagRow.tag == tag)


def put_tags(session: Session, row: TranscriptHeader, tags: Sequence[str]) -> None:
    """Replace the tags by which a transcript is found; its row has them too."""
    session.execute(delete(TagRow).where(TagRow.transcript_id == row.id))
    for tag in tags:
        session.execute(insert(TagRow).values(transcript_id=row.id, account_id=row.account_id, tag=tag))


def details(session: Session, transcript_id: int) -> dict[str, Any]:
    return session.scalar(select(TranscriptRow.details).where(TranscriptRow.id == transcript_id)) or {}


def put_segments(session: Session, transcript_id: int, segments: Sequence[dict[str, Any]]) -> None:
    """Replace all segments of the transcript."""
    session.execute(delete(SegmentRow).where(SegmentRow.transcript_id == transcript_id))
    add_segments(session, transcript_id, 0, segments)


def add_segments(session: Session, transcript_id: int, first: int, segments: Sequence[dict[str, Any]]) -> None:
    """Add segments at free positions."""
    if segments:
        numbered = [{"transcript_id": transcript_id, "position": i, **one} for i, one in enumerate(segments, first)]
        session.connection().execute(insert(SegmentRow), numbered)  # without the ORM: an hour has many segments


def replace_segments(
    session: Session, transcript_id: int, first: int, stop: int, segments: Sequence[dict[str, Any]]
) -> None:
    """Replace the segments from a position on to before another one; those after them move and keep their ids."""
    position, mine = SegmentRow.position, SegmentRow.transcript_id == transcript_id
    session.execute(delete(SegmentRow).where(mine, position >= first, position < stop))
    if moved := len(segments) - (stop - first):  # by way of negative positions, since each is unique at any moment
        away = update(SegmentRow).where(mine, position >= stop).values(position=-position - moved - 1)
        session.execute(away, execution_options={"synchronize_session": False})
        back = update(SegmentRow).where(mine, position < 0).values(position=-position - 1)
        session.execute(back, execution_options={"synchronize_session": False})
    add_segments(session, transcript_id, first, segments)


def segments(session: Session, transcript_id: int, first: int = 0, limit: int | None = BATCH) -> list[Any]:
    """Return rows with start, end, speaker, text and words, from a position on."""
    wanted = select(SegmentRow.start, SegmentRow.end, SegmentRow.speaker, SegmentRow.text, SegmentRow.words)
    here = wanted.where(SegmentRow.transcript_id == transcript_id, SegmentRow.position >= first)
    return list(session.execute(here.order_by(SegmentRow.position).limit(limit)))


def texts(session: Session, transcript_id: int) -> Iterator[tuple[str | None, str]]:
    """Yield speaker and text of all segments."""
    wanted = select(SegmentRow.speaker, SegmentRow.text).where(SegmentRow.transcript_id == transcript_id)
    return ((row.speaker, row.text) for row in session.execute(wanted.order_by(SegmentRow.position)))


def at(session: Session, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Any]:
    """Return rows with start, speaker and text of segments, by (transcript, position)."""
    if not places:
        return {}
    names = (column("transcript_id", Integer), column("position", Integer))
    wanted = values(*names, name="wanted").data(list(places)).cte()  # SQLite cannot look up pairs with IN
    same = and_(SegmentRow.transcript_id == wanted.c.transcript_id, SegmentRow.position == wanted.c.position)
    found = select(SegmentRow.transcript_id, SegmentRow.position, SegmentRow.start, SegmentRow.speaker, SegmentRow.text)
    return {(row[0], row[1]): row for row in session.execute(found.join(wanted, same))}


def segment_ids(session: Session, transcript_id: int, positions: Sequence[int]) -> dict[int, int]:
    wanted = select(SegmentRow.position, SegmentRow.id).where(SegmentRow.transcript_id == transcript_id)
    return {row.position: row.id for row in session.execute(wanted.where(SegmentRow.position.in_(positions)))}


def expired(session: Session, before: datetime, limit: int) -> list[int]:
    """Return transcripts that have ended and are older than that time."""
    wanted = select(TranscriptRow.id).where(TranscriptRow.created < before, TranscriptRow.status.in_(ENDED))
    return list(session.scalars(wanted.limit(limit).with_for_update(skip_locked=True)))


def kept_audio(session: Session, names: Sequence[str]) -> set[str]:
    """Return those of the given file names that a transcript uses."""
    found = session.scalars(select(TranscriptRow.audio).where(TranscriptRow.audio.in_(names)))
    return {name for name in found if name is not None}
