"""Vectors of transcripts' passages: stored with the transcript, compared with the vector of a question."""

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

SegmentRange = tuple[int, int]  # positions of the first and last segment of a passage


@dataclass(frozen=True)
class IndexedPassages:
    """The passages of a transcript with their vectors."""

    places: tuple[SegmentRange, ...]
    vectors: Array  # (passages, dimensions), unit length


@dataclass(frozen=True)
class NearestPassage:
    """The passage of a transcript that is closest to a question."""

    transcript_id: int
    passage: int  # index of the passage
    score: float  # cosine


class PassageIndex:
    """The index for search by meaning. Pending transcripts are rows too, so none is forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Indexing

    def claim(self) -> PendingTranscript | None:
        """Claim a transcript that needs vectors; other servers skip it meanwhile. None if there is none."""
        with self._database.read() as session:
            if not store.waits(session):
                return None
        with self._database.write() as session:
            return store.claim(session)

    def postpone(self, waiting: PendingTranscript) -> None:
        """Retry a failed transcript later, after growing pauses."""
        with self._database.write() as session:
            store.postpone(session, waiting)

    def recover(self) -> None:
        """Release the claims of an earlier run, when a single server starts."""
        if self._database.dialect == "sqlite":
            with self._database.write() as session:
                store.release(session)

    def wanted(self, account_id: int, transcript_id: int) -> PendingTranscript | None:
        """Return a finished transcript at its present revision; None if it is not done."""
        with self._database.read() as session:
            revision = store.revision(session, transcript_id)
        return None if revision is None else PendingTranscript(transcript_id, account_id, revision)

    def put(self, waiting: PendingTranscript, model: str, made: IndexedPassages) -> None:
        """Store vectors, unless the transcript has changed since."""
        import numpy as np

        places = np.asarray(made.places, "<i4").tobytes()
        with self._database.write() as session:
            store.put(session, waiting, model, places, made.vectors.astype("<f2").tobytes())

    # Queries

    def get(self, transcript_id: int) -> IndexedPassages | None:
        """Return the passages if they match the present text and names, otherwise None."""
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
        """Return how many transcripts are done, and how many of them have vectors."""
        with self._database.read() as session:
            return store.counts(session, account_id)

    def nearest(self, account_id: int, question: Array, least: float, limit: int) -> list[NearestPassage]:
        """Return the account's transcripts with a passage at least this close to a question, closest first.

        It compares every vector, a few transcripts at a time, so memory does not grow with the library.
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
    """Return the closest passage of each transcript; transcripts without speech have none."""
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
