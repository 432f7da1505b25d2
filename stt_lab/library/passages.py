"""Vectors of the passages of transcripts: kept with them, and compared with that of a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_lab.store import passages as store
from stt_lab.store.database import Database
from stt_lab.store.passages import PendingTranscript

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SegmentRange = tuple[int, int]  # positions of the first and of the last segment of a passage


@dataclass(frozen=True)
class IndexedPassages:
    """The passages of a transcript."""

    places: tuple[SegmentRange, ...]
    vectors: Array  # (passages, dimensions), of unit length


@dataclass(frozen=True)
class NearestPassage:
    """The passage of a transcript that is nearest to a question."""

    transcript_id: int
    passage: int  # which of its passages
    score: float  # cosine


class PassageIndex:
    """The index for searches by meaning. What waits for its vectors is a row too, so nothing is forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # What the index is made with

    def claim(self) -> PendingTranscript | None:
        """A transcript whose vectors are wanted; nobody else makes them meanwhile."""
        with self._database.read() as session:
            if not store.waits(session):
                return None
        with self._database.write() as session:
            return store.claim(session)

    def postpone(self, waiting: PendingTranscript) -> None:
        """It could not be done: later again, after growing pauses."""
        with self._database.write() as session:
            store.postpone(session, waiting)

    def recover(self) -> None:
        """At the start of a server that is alone: what it had claimed in an earlier life is free again."""
        if self._database.dialect == "sqlite":
            with self._database.write() as session:
                store.release(session)

    def wanted(self, account_id: int, transcript_id: int) -> PendingTranscript | None:
        """A transcript that is done, as it is now."""
        with self._database.read() as session:
            revision = store.revision(session, transcript_id)
        return None if revision is None else PendingTranscript(transcript_id, account_id, revision)

    def put(self, waiting: PendingTranscript, model: str, made: IndexedPassages) -> None:
        """Keep what was made, unless the transcript has changed since."""
        import numpy as np

        places = np.asarray(made.places, "<i4").tobytes()
        with self._database.write() as session:
            store.put(session, waiting, model, places, made.vectors.astype("<f2").tobytes())

    # What it is asked

    def get(self, transcript_id: int) -> IndexedPassages | None:
        """The passages of a transcript, when they are of its present text and names."""
        import numpy as np

        with self._database.read() as session:
            found = store.get(session, transcript_id)
        if found is None:
            return None
        places = _places(found[0])
        vectors = np.frombuffer(found[1], "<f2").astype(np.float32)
        return IndexedPassages(places, vectors.reshape(len(places), -1) if places else vectors.reshape(0, 0))

    def places(self, ids: list[int]) -> dict[int, tuple[SegmentRange, ...]]:
        with self._database.read() as session:
            return {number: _places(packed) for number, packed in store.places(session, ids).items()}

    def counts(self, account_id: int) -> tuple[int, int]:
        """How many transcripts are done, and how many of them have vectors."""
        with self._database.read() as session:
            return store.counts(session, account_id)

    def nearest(self, account_id: int, question: Array, least: float, limit: int) -> list[NearestPassage]:
        """The account's transcripts that have a passage so near to a question, the nearest first.

        Every vector is compared, some transcripts at a time: a library of any size takes the same memory.
        """
        found: list[NearestPassage] = []
        with self._database.read() as session:
            for batch in store.all_vectors(session, account_id):
                found += [near for near in _best(batch, question) if near.score >= least]
                if len(found) > 4 * limit:
                    found = _first(found, limit)
        return _first(found, limit)


def _first(found: list[NearestPassage], limit: int) -> list[NearestPassage]:
    return sorted(found, key=lambda near: (-near.score, -near.transcript_id))[:limit]


def _best(batch: list[store.StoredVectors], question: Array) -> list[NearestPassage]:
    """For each transcript its nearest passage; those without speech have none."""
    import numpy as np

    width = 2 * len(question)  # bytes of a vector
    some = [row for row in batch if row.vectors and len(row.vectors) % width == 0]
    if not some:
        return []
    joined = np.frombuffer(b"".join(row.vectors for row in some), "<f2").reshape(-1, len(question))
    scores = joined.astype(np.float32) @ question
    ends = np.cumsum([len(row.vectors) // width for row in some])
    near = []
    for row, part in zip(some, np.split(scores, ends[:-1]), strict=True):
        best = int(part.argmax())
        near.append(NearestPassage(row.transcript_id, best, float(part[best])))
    return near


def _places(packed: bytes) -> tuple[SegmentRange, ...]:
    import numpy as np

    return tuple((int(first), int(last)) for first, last in np.frombuffer(packed, "<i4").reshape(-1, 2))
