"""The library: what an account has transcribed, to list, read, search, rename and delete.

Everything is looked up within one account; another account's transcript is as unknown as one that never was. Speakers
keep the labels that the engines gave them; a transcript has a table of the names shown for them, so that renaming
writes one row, and two labels may get one name.

passages.py    vectors of passages, to search by meaning
kept.py        summaries and the like that are given again
chats.py       what was asked about a transcript, and answered
given.py       what callers give: checked, and as it is stored or looked for
recordings.py  the folder of kept recordings
values.py      what is answered, made of the store's rows
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from stt_lab.errors import BadInput, NotFound
from stt_lab.library import given
from stt_lab.library.chats import Chats
from stt_lab.library.kept import Kept
from stt_lab.library.passages import Passages, Place
from stt_lab.library.recordings import Recordings, is_name
from stt_lab.library.values import Hit, Page, SearchPage, StoredTranscript, hit, passage_hit, stored
from stt_lab.store import packing, transcripts
from stt_lab.store.database import Database, Session
from stt_lab.store.models import now
from stt_lab.store.passages import await_vectors, counts
from stt_lab.store.search import INDEXES, Term, best_segment, document, loose, parse
from stt_lab.store.transcripts import Filters, Row
from stt_lab.text.words import rarity
from stt_lab.types import Segment, Transcript

__all__ = ["Hit", "Library", "Page", "SearchPage", "StoredTranscript"]

ERROR = 1000  # characters
UNKNOWN = "There is no such transcript in your library."
CANDIDATES = 1000  # transcripts that a search word by word looks at for each word
DELETED_AT_ONCE = 200  # by expire and sweep, so that others get their turn
YOUNG_S = 3600  # seconds that a recording may lie there before its transcript is stored


class Library:
    """Transcripts in the database, and their recordings in a folder of the data directory."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._index = INDEXES[database.dialect]
        self.audio_dir = data_dir / "audio"
        self._recordings = Recordings(self.audio_dir)
        self.passages, self.kept, self.chats = Passages(database), Kept(database), Chats(database)

    # What jobs write: in the transaction that changes the job

    def open(self, session: Session, account_id: int, title: str, created: datetime | None = None) -> int:
        """The number of a new transcript, which is queued."""
        title = given.title(title)
        return transcripts.add(session, account_id, given.slug(title), title, created)

    def fail(self, session: Session, transcript_id: int, status: str, error: str) -> None:
        """End a transcript without a result: failed or cancelled. One that was deleted meanwhile stays deleted."""
        said = packing.storable(error)[:ERROR]
        transcripts.change(session, transcript_id, status=status, error=said, finished=now())

    def complete(
        self, session: Session, transcript_id: int, transcript: Transcript, audio: str | None = None
    ) -> Transcript:
        """Store a result in the place of any earlier one; returns it with its id. `audio` names its recording.

        Raises NotFound when the transcript was deleted meanwhile.
        """
        if audio is not None and not is_name(audio):
            raise BadInput("The recording's name must be that of a file, without a folder.")
        row = transcripts.lock(session, transcript_id)
        if row is None:
            raise NotFound("The transcript was deleted while it was made.")
        ended = {"status": "done", "error": None, "finished": now(), "audio": audio}
        transcripts.change(session, row.id, **packing.columns(transcript), **ended)
        transcripts.put_segments(session, row.id, [packing.segment_row(segment) for segment in transcript.segments])
        spoken = ((segment.speaker, segment.text) for segment in transcript.segments)
        self._index.put(session, row.id, document(row.account_id, row.title, spoken))
        await_vectors(session, row.id, row.account_id)
        return replace(transcript, id=transcript_id)

    # What an account reads

    def get(self, account_id: int, id_or_slug: int | str) -> StoredTranscript:
        with self._database.read() as session:
            return stored(_found(session, account_id, id_or_slug))

    def transcript(self, account_id: int, id_or_slug: int | str) -> Transcript:
        """The whole of it, equal to what was stored but for the speakers' names."""
        with self._database.read() as session:
            row = _found(session, account_id, id_or_slug)
            if row.status != "done":
                raise BadInput(f"The transcript has no text, its status is {row.status}: ask for one that is done.")
            details = transcripts.details(session, row.id)
            found = transcripts.segments(session, row.id, limit=None)
        return packing.transcript(row, details, (packing.segment(each, row.names) for each in found))

    def result(self, account_id: int, transcript_id: int) -> Transcript:
        """What `complete` stored, with its id."""
        return replace(self.transcript(account_id, transcript_id), id=transcript_id)

    def segment_ids(self, transcript_id: int, positions: Sequence[int]) -> dict[int, int]:
        """The numbers of segments, by position."""
        with self._database.read() as session:
            return transcripts.segment_ids(session, transcript_id, positions)

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
            path = self._recordings.find(_found(session, account_id, id_or_slug).audio)
        if path is None:
            raise NotFound("The recording of this transcript is not kept.")
        return path

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
        given.check_window(limit, offset)
        chosen = Filters(
            given.status(status),
            given.language(language),
            given.moment("date_from", date_from),
            given.moment("date_to", date_to),
        )
        with self._database.read() as session:
            count, rows = transcripts.page(session, account_id, chosen, limit, offset)
        return Page(count, tuple(stored(row) for row in rows))

    def search(self, account_id: int, query: str, limit: int = 20, offset: int = 0) -> SearchPage:
        """What is done and has all the words, "phrases" and begin* of words, in title, names of speakers or text.

        The latest of the library comes first: by number, which is the order of `list` but for a clock put back.
        """
        terms = parse(query)
        given.check_window(limit, offset)
        with self._database.read() as session:
            count, ids = self._index.page(session, account_id, terms, limit, offset)
            hits = self._hits(session, transcripts.some(session, account_id, ids), terms)
        return SearchPage(count, hits)

    def mentioning(self, account_id: int, query: str, most: int) -> tuple[int, ...]:
        """Transcripts with any of the telling words of a query: those with the most and the rarest first.

        Of a word that is in more than CANDIDATES transcripts, only the latest count.
        """
        scores: dict[int, float] = {}
        terms = loose(query)
        with self._database.read() as session:
            total, _ = counts(session, account_id)
            for term in terms:
                count, ids = self._index.page(session, account_id, (term,), CANDIDATES, 0)
                for number in ids:
                    scores[number] = scores.get(number, 0.0) + rarity(count, total)
        return tuple(sorted(scores, key=lambda number: (-scores[number], -number))[:most])

    def hits(self, account_id: int, ids: Sequence[int], query: str, passages: Mapping[int, Place]) -> tuple[Hit, ...]:
        """Where the given transcripts speak of a query, in their order: in the given passage, else by its words."""
        terms = loose(query)
        with self._database.read() as session:
            rows = transcripts.some(session, account_id, ids)
            inside = [(number, at) for number, (first, last) in passages.items() for at in range(first, last + 1)]
            segments = transcripts.at(session, inside)
            near = {row.id: passage_hit(row, passages[row.id], segments, terms) for row in rows if row.id in passages}
            other = {one.id: one for one in self._hits(session, [row for row in rows if not near.get(row.id)], terms)}
        return tuple(near.get(row.id) or other[row.id] for row in rows)

    def _hits(self, session: Session, rows: Iterable[Row], terms: tuple[Term, ...]) -> tuple[Hit, ...]:
        by_id = {row.id: row for row in rows}
        bodies = self._index.bodies(session, list(by_id))
        best = {number: best_segment(body, terms) for number, body in bodies.items()}
        places = [(number, at + i) for number, at in best.items() if at is not None for i in (0, 1)]
        segments = transcripts.at(session, places)
        return tuple(hit(row, best.get(row.id), segments, terms) for row in by_id.values())

    # What an account changes

    def rename_speakers(self, account_id: int, id_or_slug: int | str, names: Mapping[str, str]) -> StoredTranscript:
        """Show other names for speakers, here and in all exports: {"Speaker 1": "Ada"}.

        Two speakers who get one name become one, which is how a voice that was taken for two is put together. That
        cannot be taken back: a name given later is given to both. All names change at once, so two can be swapped.
        """
        names = {shown: given.name(name) for shown, name in names.items()}
        with self._database.write() as session:
            row = _found(session, account_id, id_or_slug, for_update=True)
            given.check_known(names, list(dict.fromkeys(row.names.values())))
            table = {label: names.get(shown, shown) for label, shown in row.names.items()}
            speakers = list(dict.fromkeys(names.get(shown, shown) for shown in row.speakers))
            transcripts.change(session, row.id, names=table, speakers=speakers)
            if row.status == "done":
                await_vectors(session, row.id, account_id, same_text=True)
            return self._indexed(session, account_id, row.id)

    def retitle(self, account_id: int, id_or_slug: int | str, title: str) -> StoredTranscript:
        """Give it another title; its slug stays, so that addresses of it hold."""
        with self._database.write() as session:
            row = _found(session, account_id, id_or_slug, for_update=True)
            transcripts.change(session, row.id, title=given.title(title))
            return self._indexed(session, account_id, row.id)

    def _indexed(self, session: Session, account_id: int, transcript_id: int) -> StoredTranscript:
        """A transcript whose row has changed; the index follows it."""
        row = _found(session, account_id, transcript_id)
        if row.status == "done":
            texts = transcripts.texts(session, row.id)
            spoken = ((packing.shown(label, row.names), text) for label, text in texts)
            self._index.put(session, row.id, document(account_id, row.title, spoken))
        return stored(row)

    def delete(self, account_id: int, id_or_slug: int | str) -> None:
        """Remove it with its segments, its place in the index and its recording."""
        with self._database.write() as session:
            recordings = transcripts.remove(session, [_found(session, account_id, id_or_slug).id])
        self._recordings.remove(recordings)  # last: a crash before leaves a file to `sweep`, never a row without one

    # Housekeeping

    def expire(self, older_than: datetime) -> int:
        """Delete what has ended and was made before that moment, of all accounts; how many there were."""
        count = 0
        while True:
            with self._database.write() as session:
                recordings = transcripts.remove(session, transcripts.expired(session, older_than, DELETED_AT_ONCE))
            self._recordings.remove(recordings)
            count += len(recordings)
            if len(recordings) < DELETED_AT_ONCE:
                return count

    def sweep(self, older_than_s: float = YOUNG_S) -> int:
        """Remove recordings that no transcript has (a crash left them); how many there were."""
        files = self._recordings.older(older_than_s)
        count = 0
        while batch := tuple(islice(files, DELETED_AT_ONCE)):
            with self._database.read() as session:
                kept = transcripts.kept_audio(session, batch)
            count += self._recordings.remove(name for name in batch if name not in kept)
        return count


def _found(session: Session, account_id: int, id_or_slug: int | str, *, for_update: bool = False) -> Row:
    key = given.key(id_or_slug)
    row = None if key is None else transcripts.find(session, account_id, key, for_update=for_update)
    if row is None:
        raise NotFound(UNKNOWN)
    return row
