"""The library: what an account has transcribed, to list, read, search, rename and delete.

Everything is looked up within one account; another account's transcript is as unknown as one that never was. Speakers
keep the labels that the engines gave them; a transcript has a table of the names shown for them, so that renaming
writes one row, and two labels may get one name.
"""

from __future__ import annotations

import re
import secrets
import time as clock
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

from stt_lab.errors import BadInput, NotFound
from stt_lab.store import packing, transcripts
from stt_lab.store.database import Database, Session
from stt_lab.store.models import JOB_STATES, now
from stt_lab.store.search import INDEXES, SNIPPET, Term, best_segment, document, mark, parse
from stt_lab.store.transcripts import Filters, Row
from stt_lab.text import SHOWN, language_code
from stt_lab.types import Segment, Transcript

MOST, FARTHEST = 100, 10**9  # results at once; offset
TITLE, NAME, ERROR = 255, 120, 1000  # characters
SLUG_WORDS = 50  # characters
SLUG_END = 8  # random ones, of 30: 39 bits
ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no 0 and o, 1 and l, i and u
NUMBER, SLUG = re.compile("[0-9]{1,18}"), re.compile("[a-z0-9-]{1,60}")
JOINERS = "\u200c\u200d"  # belong to names in Persian and Indic scripts
UNKNOWN = "There is no such transcript in your library."
DELETED_AT_ONCE = 200  # by expire and sweep, so that others get their turn
YOUNG_S = 3600  # seconds that a recording may lie there before its transcript is stored


@dataclass(frozen=True)
class StoredTranscript:
    """A transcript as a list shows it: all but its segments."""

    id: int
    slug: str
    title: str
    status: str  # of its job: queued, running, done, failed or cancelled
    error: str | None  # why it failed
    language: str | None
    duration: float  # seconds
    model: str
    words: int
    speakers: tuple[str, ...]  # names as shown, in the order in which they first speak
    has_audio: bool  # the recording is kept
    created: datetime
    finished: datetime | None


@dataclass(frozen=True)
class Page:
    count: int  # of all, not only of this page
    results: tuple[StoredTranscript, ...]  # newest first


@dataclass(frozen=True)
class Hit:
    """A transcript in which all words of a query occur."""

    id: int
    slug: str
    title: str
    created: datetime
    snippet: str  # with ⟦⟧ around matches; plain text
    position: int | None  # of the first segment that has most of the words; None when only the title has any
    start: float | None  # seconds, of that segment


@dataclass(frozen=True)
class SearchPage:
    count: int
    results: tuple[Hit, ...]  # the latest of the library first


class Library:
    """Transcripts in the database, and their recordings in a folder of the data directory."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._index = INDEXES[database.dialect]
        self.audio_dir = data_dir / "audio"

    # What jobs write: in the transaction that changes the job

    def open(self, session: Session, account_id: int, title: str, created: datetime | None = None) -> int:
        """The number of a new transcript, which is queued."""
        title = _title(title)
        return transcripts.add(session, account_id, _slug(title), title, created)

    def fail(self, session: Session, transcript_id: int, status: str, error: str) -> None:
        """End a transcript without a result: failed or cancelled. One that was deleted meanwhile stays deleted."""
        said = packing.storable(error)[:ERROR]
        transcripts.change(session, transcript_id, status=status, error=said, finished=now())

    def complete(self, session: Session, transcript_id: int, transcript: Transcript, audio: str | None = None) -> None:
        """Store a result in the place of any earlier one. `audio` names the recording in `audio_dir`.

        Raises NotFound when the transcript was deleted meanwhile.
        """
        if audio is not None and not _is_name(audio):
            raise BadInput("The recording's name must be that of a file, without a folder.")
        row = transcripts.lock(session, transcript_id)
        if row is None:
            raise NotFound("The transcript was deleted while it was made.")
        ended = {"status": "done", "error": None, "finished": now(), "audio": audio}
        transcripts.change(session, row.id, **packing.columns(transcript), **ended)
        transcripts.put_segments(session, row.id, [packing.segment_row(segment) for segment in transcript.segments])
        spoken = ((segment.speaker, segment.text) for segment in transcript.segments)
        self._index.put(session, row.id, document(row.account_id, row.title, spoken))

    # What an account reads

    def get(self, account_id: int, id_or_slug: int | str) -> StoredTranscript:
        with self._database.read() as session:
            return _shown(_found(session, account_id, id_or_slug))

    def transcript(self, account_id: int, id_or_slug: int | str) -> Transcript:
        """The whole of it, equal to what was stored but for the speakers' names."""
        with self._database.read() as session:
            row = _found(session, account_id, id_or_slug)
            if row.status != "done":
                raise BadInput(f"The transcript has no text, its status is {row.status}: ask for one that is done.")
            details = transcripts.details(session, row.id)
            found = transcripts.segments(session, row.id, limit=None)
        return packing.transcript(row, details, (packing.segment(each, row.names) for each in found))

    def segments(self, account_id: int, id_or_slug: int | str) -> Iterator[Segment]:
        """The segments in order, a few hundred in memory at once."""
        with self._database.read() as session:
            row = _found(session, account_id, id_or_slug)
        return self._stream(row)

    def _stream(self, row: Row) -> Iterator[Segment]:
        first, more = 0, True
        while more:
            with self._database.read() as session:  # none is open while a slow client reads
                batch = transcripts.segments(session, row.id, first)
            yield from (packing.segment(found, row.names) for found in batch)
            first, more = first + len(batch), len(batch) == transcripts.BATCH

    def audio(self, account_id: int, id_or_slug: int | str) -> Path:
        """The kept recording."""
        with self._database.read() as session:
            name = _found(session, account_id, id_or_slug).audio
        if name is None or not _is_name(name) or not (self.audio_dir / name).is_file():
            raise NotFound("The recording of this transcript is not kept.")
        return self.audio_dir / name

    def search(self, account_id: int, query: str, limit: int = 20, offset: int = 0) -> SearchPage:
        """What is done and has all the words, "phrases" and begin* of words, in title, names of speakers or text.

        The latest of the library comes first: by number, which is the order of `list` but for a clock put back.
        """
        terms = parse(query)
        _check_window(limit, offset)
        with self._database.read() as session:
            ids = self._index.matches(session, account_id, terms)
            rows = transcripts.some(session, account_id, ids[offset : offset + limit])
            hits = self._hits(session, rows, terms)
        return SearchPage(len(ids), hits)

    def _hits(self, session: Session, rows: Iterable[Row], terms: tuple[Term, ...]) -> tuple[Hit, ...]:
        by_id = {row.id: row for row in rows}
        bodies = self._index.bodies(session, list(by_id))
        best = {number: best_segment(body, terms) for number, body in bodies.items()}
        places = [(number, at + i) for number, at in best.items() if at is not None for i in (0, 1)]
        segments = transcripts.at(session, places)
        return tuple(_hit(row, best.get(row.id), segments, terms) for row in by_id.values())

    # What an account changes

    def rename_speakers(self, account_id: int, id_or_slug: int | str, names: Mapping[str, str]) -> StoredTranscript:
        """Show other names for speakers, here and in all exports: {"Speaker 1": "Ada"}.

        Two speakers who get one name become one, which is how a voice that was taken for two is put together. That
        cannot be taken back: a name given later is given to both. All names change at once, so two can be swapped.
        """
        names = {shown: _name(name) for shown, name in names.items()}
        with self._database.write() as session:
            row = _found(session, account_id, id_or_slug, for_update=True)
            _check_known(names, list(dict.fromkeys(row.names.values())))
            table = {label: names.get(shown, shown) for label, shown in row.names.items()}
            speakers = list(dict.fromkeys(names.get(shown, shown) for shown in row.speakers))
            transcripts.change(session, row.id, names=table, speakers=speakers)
            return self._indexed(session, account_id, row.id)

    def retitle(self, account_id: int, id_or_slug: int | str, title: str) -> StoredTranscript:
        """Give it another title; its slug stays, so that addresses of it hold."""
        with self._database.write() as session:
            row = _found(session, account_id, id_or_slug, for_update=True)
            transcripts.change(session, row.id, title=_title(title))
            return self._indexed(session, account_id, row.id)

    def _indexed(self, session: Session, account_id: int, transcript_id: int) -> StoredTranscript:
        """A transcript whose row has changed; the index follows it."""
        row = _found(session, account_id, transcript_id)
        if row.status == "done":
            texts = transcripts.texts(session, row.id)
            spoken = ((packing.shown(label, row.names), text) for label, text in texts)
            self._index.put(session, row.id, document(account_id, row.title, spoken))
        return _shown(row)

    def delete(self, account_id: int, id_or_slug: int | str) -> None:
        """Remove it with its segments, its place in the index and its recording."""
        with self._database.write() as session:
            recordings = transcripts.remove(session, [_found(session, account_id, id_or_slug).id])
        self._remove_audio(recordings)  # last: a crash before leaves a file to `sweep`, never a row without one

    # Housekeeping

    def expire(self, older_than: datetime) -> int:
        """Delete what has ended and was made before that moment, of all accounts; how many there were."""
        count = 0
        while True:
            with self._database.write() as session:
                recordings = transcripts.remove(session, transcripts.expired(session, older_than, DELETED_AT_ONCE))
            self._remove_audio(recordings)
            count += len(recordings)
            if len(recordings) < DELETED_AT_ONCE:
                return count

    def sweep(self, older_than_s: float = YOUNG_S) -> int:
        """Remove recordings that no transcript has (a crash left them); how many there were."""
        if not self.audio_dir.is_dir():
            return 0
        files = self._older(clock.time() - older_than_s)
        count = 0
        while batch := tuple(islice(files, DELETED_AT_ONCE)):
            with self._database.read() as session:
                kept = transcripts.kept_audio(session, batch)
            count += self._remove_audio(name for name in batch if name not in kept)
        return count

    def _older(self, latest: float) -> Iterator[str]:
        for path in self.audio_dir.iterdir():
            with suppress(OSError):  # another server was quicker
                if path.lstat().st_ctime <= latest:  # of a link; it has the modification time of the upload
                    yield path.name

    def _remove_audio(self, names: Iterable[str | None]) -> int:
        """Unlink files of the folder of recordings, never anything elsewhere; what cannot be is left to `sweep`."""
        count = 0
        for name in names:
            with suppress(OSError):
                if name and _is_name(name):
                    (self.audio_dir / name).unlink()
                    count += 1
        return count

    def list(
        self,
        account_id: int,
        *,
        limit: int = 20,
        offset: int = 0,
        status: str | None = None,
        language: str | None = None,
        date_from: str | date | None = None,
        date_to: str | date | None = None,
    ) -> Page:
        """The account's transcripts, newest first. Days are of UTC, and both are included."""
        _check_window(limit, offset)
        chosen = Filters(
            _status(status), _language(language), _moment("date_from", date_from), _moment("date_to", date_to)
        )
        with self._database.read() as session:
            count, rows = transcripts.page(session, account_id, chosen, limit, offset)
        return Page(count, tuple(_shown(row) for row in rows))


# Rows and values


def _found(session: Session, account_id: int, id_or_slug: int | str, *, for_update: bool = False) -> Row:
    given = str(id_or_slug)
    key = int(given) if NUMBER.fullmatch(given) else given
    row = transcripts.find(session, account_id, key, for_update=for_update) if SLUG.fullmatch(given) else None
    if row is None:
        raise NotFound(UNKNOWN)
    return row


def _shown(row: Row) -> StoredTranscript:
    return StoredTranscript(
        id=row.id,
        slug=row.slug,
        title=row.title,
        status=row.status,
        error=row.error,
        language=row.language,
        duration=row.duration,
        model=row.model,
        words=row.words,
        speakers=tuple(row.speakers),
        has_audio=row.audio is not None,
        created=row.created,
        finished=row.finished,
    )


def _hit(row: Row, best: int | None, segments: Mapping[tuple[int, int], Any], terms: tuple[Term, ...]) -> Hit:
    here = None if best is None else segments.get((row.id, best))
    if best is None or here is None:
        snippet = mark(row.title, terms) or row.title
        return Hit(row.id, row.slug, row.title, row.created, snippet, None, None)
    following = segments.get((row.id, best + 1))
    named = f"{packing.shown(here.speaker, row.names)}: {here.text}"
    more = f"{here.text} {following.text}" if following else here.text
    found = (mark(text, terms) for text in (here.text, named, more))
    snippet = next((marked for marked in found if marked), here.text[:SNIPPET])
    return Hit(row.id, row.slug, row.title, row.created, snippet, best, here.start)


# Checks


def _check_window(limit: int, offset: int) -> None:
    if not 1 <= limit <= MOST:
        raise BadInput(f"The limit {limit} is out of range: ask for 1 to {MOST} results at once.")
    if not 0 <= offset <= FARTHEST:
        raise BadInput(f"The offset {offset} is out of range: use 0 to {FARTHEST}.")


def _status(value: str | None) -> str | None:
    if value and value not in JOB_STATES:
        raise BadInput(f'The status "{value[:SHOWN]}" is not known: use one of {", ".join(JOB_STATES)}.')
    return value or None


def _language(value: str | None) -> str | None:
    code = language_code(value) if value else None
    if value and code is None:
        raise BadInput("A list has languages by name only: use a code such as en, or leave the language out.")
    return code


def _moment(name: str, value: str | date | None) -> datetime | None:
    """The first moment of a day, or the last one of `date_to`."""
    if not value:
        return None
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value)
    except ValueError:
        raise BadInput(f'{name} "{str(value)[:SHOWN]}" is not a day: write it like 2026-03-31.') from None
    return datetime.combine(day, time.max if name == "date_to" else time.min, UTC)


def _name(value: str) -> str:
    """A speaker's name without outer spaces."""
    name = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    if not 1 <= len(name) <= NAME or not all(map(_is_printable, name)):
        raise BadInput(f"A speaker's name has 1 to {NAME} printable characters.")
    return name


def _title(value: str) -> str:
    return "".join(char for char in " ".join(value.split()) if _is_printable(char))[:TITLE].strip() or "Untitled"


def _check_known(names: Iterable[str], known: Iterable[str]) -> None:
    known = tuple(known)
    wrong = [name for name in names if name not in known]
    if wrong:
        choice = f"use one of {', '.join(known)}" if known else "this transcript names no speakers"
        raise BadInput(f'The speaker "{wrong[0][:SHOWN]}" is not known: {choice}.')


def _is_printable(char: str) -> bool:
    return char.isprintable() or char in JOINERS


def _is_name(name: str) -> bool:
    """True for the name of a file, false for a path to one elsewhere."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _slug(title: str) -> str:
    """Words of the title in ASCII, and what nobody guesses."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", plain))[:SLUG_WORDS].rstrip("-") or "transcript"
    return f"{words}-{''.join(secrets.choice(ALPHABET) for _ in range(SLUG_END))}"
