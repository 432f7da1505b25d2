"""The library: the stored transcripts of an account, to list, read, search, rename and delete.

All lookups are within one account; a transcript of another account is not found. Segments keep the speaker labels of
the engines. Each transcript has a table of displayed names, so renaming writes one row, and two labels may share a
name.

history.py     changes as revisions
lookup.py      a transcript of an account
passages.py    vectors of passages, for search by meaning
results.py     stored summaries, analyses and documents
chats.py       questions about a transcript and their answers
parameters.py  checks and conversions of parameters
recordings.py  the folder of recordings
values.py      values made of the store's rows
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from stt_lab.errors import BadInput, NotFound
from stt_lab.library import parameters
from stt_lab.library.chats import Chats
from stt_lab.library.history import Change, History
from stt_lab.library.lookup import found as _found
from stt_lab.library.passages import PassageIndex, SegmentRange
from stt_lab.library.recordings import Recordings, is_name
from stt_lab.library.results import KeptResults
from stt_lab.library.values import LibraryPage, SearchHit, SearchPage, StoredTranscript, hit, passage_hit, stored
from stt_lab.store import packing, revisions, transcripts
from stt_lab.store.database import Database, Session
from stt_lab.store.models import now
from stt_lab.store.passages import await_vectors, counts
from stt_lab.store.scrub import Scrubber
from stt_lab.store.search import INDEXES, Term, best_segment, document, loose, parse
from stt_lab.store.transcripts import Filters, TranscriptHeader
from stt_lab.text.names import tag_list
from stt_lab.text.words import rarity
from stt_lab.types import Segment, Transcript

__all__ = ["Library", "LibraryPage", "SearchHit", "SearchPage", "StoredTranscript"]

ERROR = 1000  # characters of a stored error
CANDIDATES = 1000  # transcripts per word that a search by words considers
DELETED_AT_ONCE = 200  # per transaction of `expire` and `sweep`
YOUNG_S = 3600  # seconds that a recording may exist before its transcript is stored


class Library:
    """Transcripts in the database, and their recordings in a folder of the data directory."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._index = INDEXES[database.dialect]
        self.audio_dir = data_dir / "audio"
        self._recordings = Recordings(self.audio_dir)
        self._scrubber = Scrubber(database)
        self.history = History(database)
        self.passages, self.results, self.chats = PassageIndex(database), KeptResults(database), Chats(database)

    # For jobs: inside the transaction that changes the job

    def open(self, session: Session, account_id: int, title: str, created: datetime | None = None) -> int:
        """Add a queued transcript; return its number."""
        title = parameters.title(title)
        return transcripts.add(session, account_id, parameters.slug(title), title, created)

    def fail(self, session: Session, transcript_id: int, status: str, error: str) -> None:
        """End a transcript without a result: failed or cancelled. A deleted one stays deleted."""
        said = packing.storable(error)[:ERROR]
        transcripts.change(session, transcript_id, status=status, error=said, finished=now())

    def complete(
        self, session: Session, transcript_id: int, transcript: Transcript, audio: str | None = None
    ) -> Transcript:
        """Store a result in the place of any earlier one; returns it with its id. `audio` names its recording.

        Raises NotFound if the transcript was deleted meanwhile.
        """
        if audio is not None and not is_name(audio):
            raise BadInput("The name of a recording must be a file name without a folder.")
        row = transcripts.lock(session, transcript_id)
        if row is None:
            raise NotFound("The transcript was deleted before it was done.")
        number = row.revision + (row.status == "done")
        ended = {"status": "done", "error": None, "finished": now(), "audio": audio, "revision": number}
        revisions.forget(session, row.id)
        transcripts.change(session, row.id, **packing.columns(transcript), **ended)
        transcripts.put_segments(session, row.id, [packing.segment_row(segment) for segment in transcript.segments])
        spoken = ((segment.speaker, packing.storable(segment.text)) for segment in transcript.segments)
        self._index.put(session, row.id, document(row.account_id, row.title, spoken))
        await_vectors(session, row.id, row.account_id)
        return replace(transcript, id=transcript_id)

    # Read

    def get(self, account_id: int, id_or_slug: int | str) -> StoredTranscript:
        """Return a transcript without its segments. Raises NotFound."""
        with self._database.read() as session:
            return stored(_found(session, account_id, id_or_slug))

    def transcript(self, account_id: int, id_or_slug: int | str) -> Transcript:
        """Return the whole transcript, with the displayed names of speakers. Raises BadInput if it is not done."""
        return self.read(account_id, id_or_slug)[1]

    def read(self, account_id: int, id_or_slug: int | str) -> tuple[StoredTranscript, Transcript]:
        """Return a transcript without and with its segments, both of one revision. Raises BadInput if it is not
        done."""
        with self._database.read(snapshot=True) as session:
            row = _found(session, account_id, id_or_slug)
            if row.status != "done":
                raise BadInput(
                    f"The transcript has no text yet. Its status is '{row.status}'; wait until it is 'done'."
                )
            details = transcripts.details(session, row.id)
            found = transcripts.segments(session, row.id, limit=None)
        return stored(row), packing.transcript(row, details, (packing.segment(each, row.names) for each in found))

    def result(self, account_id: int, transcript_id: int) -> Transcript:
        """Return the transcript that `complete` stored, with its id."""
        return replace(self.transcript(account_id, transcript_id), id=transcript_id)

    def existing(self, ids: Sequence[int]) -> set[int]:
        """Return those of the ids whose transcript still exists, in whatever account."""
        with self._database.read() as session:
            return transcripts.existing(session, ids)

    def segment_ids(self, transcript_id: int, positions: Sequence[int]) -> dict[int, int]:
        """Return the ids of segments by position."""
        with self._database.read() as session:
            return transcripts.segment_ids(session, transcript_id, positions)

    def segments(self, account_id: int, id_or_slug: int | str) -> Iterator[Segment]:
        """Yield the segments in order; a few hundred are in memory at once."""
        with self._database.read() as session:
            row = _found(session, account_id, id_or_slug)
        return self._stream(row)

    def _stream(self, row: TranscriptHeader) -> Iterator[Segment]:
        first, more = 0, True
        while more:
            with self._database.read() as session:  # no transaction is open while a slow client reads
                batch = transcripts.segments(session, row.id, first)
            yield from (packing.segment(found, row.names) for found in batch)
            first, more = first + len(batch), len(batch) == transcripts.BATCH

    def audio(self, account_id: int, id_or_slug: int | str) -> Path:
        """Return the path of the recording. Raises NotFound if it is not kept."""
        with self._database.read() as session:
            path = self._recordings.find(_found(session, account_id, id_or_slug).audio)
        if path is None:
            raise NotFound("The recording of this transcript was not kept.")
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
        tag: str | None = None,
        sort: str | None = None,
    ) -> LibraryPage:
        """Return one page of the account's transcripts, newest first unless `sort` names another order. Days are UTC,
        and both are included."""
        parameters.check_window(limit, offset)
        chosen = Filters(
            parameters.status(status),
            parameters.language(language),
            parameters.moment("date_from", date_from),
            parameters.moment("date_to", date_to),
            tag_list(tag)[0] if tag else None,
        )
        order = parameters.sort(sort)
        with self._database.read() as session:
            count, rows = transcripts.page(session, account_id, chosen, limit, offset, order)
        return LibraryPage(count, tuple(stored(row) for row in rows))

    def search(self, account_id: int, query: str, limit: int = 20, offset: int = 0) -> SearchPage:
        """Return transcripts that contain all words, "phrases" and prefixes* in title, speaker names or text.

        The newest come first, by number, which is the order of `list` unless the clock was set back.
        """
        terms = parse(query)
        parameters.check_window(limit, offset)
        with self._database.read() as session:
            count, ids = self._index.page(session, account_id, terms, limit, offset)
            hits = self._hits(session, transcripts.some(session, account_id, ids), terms)
        return SearchPage(count, hits)

    def mentioning(self, account_id: int, query: str, most: int) -> tuple[int, ...]:
        """Return transcripts with any meaningful word of a query; those with the most and rarest words first.

        For a word in more than CANDIDATES transcripts, only the newest count.
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

    def hits(
        self, account_id: int, ids: Sequence[int], query: str, passages: Mapping[int, SegmentRange]
    ) -> tuple[SearchHit, ...]:
        """Return the best place of each transcript for a query, in the given order: in the given passage, otherwise by
        words."""
        terms = loose(query)
        with self._database.read() as session:
            rows = transcripts.some(session, account_id, ids)
            inside = [(number, at) for number, (first, last) in passages.items() for at in range(first, last + 1)]
            segments = transcripts.at(session, inside)
            near = {row.id: passage_hit(row, passages[row.id], segments, terms) for row in rows if row.id in passages}
            other = {one.id: one for one in self._hits(session, [row for row in rows if not near.get(row.id)], terms)}
        return tuple(near.get(row.id) or other[row.id] for row in rows)

    def _hits(
        self, session: Session, rows: Iterable[TranscriptHeader], terms: tuple[Term, ...]
    ) -> tuple[SearchHit, ...]:
        by_id = {row.id: row for row in rows}
        bodies = self._index.bodies(session, list(by_id))
        best = {number: best_segment(body, terms) for number, body in bodies.items()}
        places = [(number, at + i) for number, at in best.items() if at is not None for i in (0, 1)]
        segments = transcripts.at(session, places)
        return tuple(hit(row, best.get(row.id), segments, terms) for row in by_id.values())

    # Change

    def rename_speakers(self, account_id: int, id_or_slug: int | str, names: Mapping[str, str]) -> StoredTranscript:
        """Change the displayed names of speakers: {"Speaker 1": "Ada"}.

        Two speakers with the same name become one: a later name applies to both, and only an older revision has both.
        All names change at once, so two can be swapped.
        """
        return self.history.change(account_id, id_or_slug, Change(speakers=names))

    def retitle(self, account_id: int, id_or_slug: int | str, title: str) -> StoredTranscript:
        """Change the title. The slug stays, so that links keep working."""
        return self.history.change(account_id, id_or_slug, Change(title=title))

    def delete(self, account_id: int, id_or_slug: int | str) -> None:
        """Delete a transcript with its segments, its index entry and its recording."""
        with self._database.write() as session:
            recordings = transcripts.remove(session, [_found(session, account_id, id_or_slug).id])
        self._recordings.remove(
            recordings
        )  # last: a crash before it leaves a file for `sweep`, never a row without its recording
        self._scrubber.soon()

    # Housekeeping

    def expire(self, older_than: datetime) -> int:
        """Delete transcripts of all accounts that ended and were made before that time; return how many."""
        count = 0
        while True:
            with self._database.write() as session:
                recordings = transcripts.remove(session, transcripts.expired(session, older_than, DELETED_AT_ONCE))
            self._recordings.remove(recordings)
            count += len(recordings)
            if len(recordings) < DELETED_AT_ONCE:
                break
        if count:
            self._scrubber.soon()
        return count

    def scrub_soon(self) -> None:
        self._scrubber.soon()

    def scrub(self) -> bool:
        """Remove the traces of deleted transcripts now, which otherwise happens soon. Return False if a reader prevents
        it."""
        return self._scrubber.scrub()

    def sweep(self, older_than_s: float = YOUNG_S) -> int:
        """Remove recordings without a transcript, such as after a crash; return how many."""
        files = self._recordings.older(older_than_s)
        count = 0
        while batch := tuple(islice(files, DELETED_AT_ONCE)):
            with self._database.read() as session:
                kept = transcripts.kept_audio(session, batch)
            count += self._recordings.remove(name for name in batch if name not in kept)
        return count
