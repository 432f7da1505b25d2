"""Values of the library, made of the store's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stt_lab.store import packing
from stt_lab.store.search import SNIPPET, Term, mark, shortened
from stt_lab.store.transcripts import TranscriptHeader


@dataclass(frozen=True)
class StoredTranscript:
    """A transcript without its segments, as lists show it."""

    id: int
    slug: str
    title: str
    status: str  # of its job: queued, running, done, failed or cancelled
    error: str | None  # why it failed
    language: str | None
    duration: float  # seconds
    model: str
    words: int
    speakers: tuple[str, ...]  # displayed names, in the order in which they first speak
    has_audio: bool  # the recording is kept
    created: datetime
    finished: datetime | None
    revision: int  # counts changes, from 1
    tags: tuple[str, ...]


@dataclass(frozen=True)
class LibraryPage:
    """One page of a list."""

    count: int  # all transcripts, not only this page
    results: tuple[StoredTranscript, ...]  # newest first


@dataclass(frozen=True)
class SearchHit:
    """A transcript that matches a query."""

    id: int
    slug: str
    title: str
    created: datetime
    snippet: str  # plain text with ⟦⟧ around matches
    position: int | None  # first segment with most of the words; None if only the title matches
    start: float | None  # seconds, start of that segment


@dataclass(frozen=True)
class SearchPage:
    """One page of search results."""

    count: int
    results: tuple[SearchHit, ...]  # newest first


def stored(row: TranscriptHeader) -> StoredTranscript:
    return StoredTranscript(
        id=row.id,
        slug=row.slug,
        title=packing.storable(row.title),
        status=row.status,
        error=None if row.error is None else packing.storable(row.error),
        language=row.language,
        duration=row.duration,
        model=row.model,
        words=row.words,
        speakers=tuple(packing.storable(str(name)) for name in _listed(row.speakers)),
        has_audio=row.audio is not None,
        created=row.created,
        finished=row.finished,
        revision=row.revision,
        tags=tuple(packing.storable(str(tag)) for tag in _listed(row.tags)),
    )


def _listed(value: Any) -> list[Any]:
    """Return a stored list; an empty one for a damaged value."""
    return value if isinstance(value, list) else []


def hit(
    row: TranscriptHeader, best: int | None, segments: Mapping[tuple[int, int], Any], terms: Sequence[Term]
) -> SearchHit:
    """Make a search hit; `best` is the position of the segment to show."""
    here = None if best is None else segments.get((row.id, best))
    if best is None or here is None:
        snippet = mark(row.title, terms) or row.title
        return SearchHit(row.id, row.slug, row.title, row.created, snippet, None, None)
    following = segments.get((row.id, best + 1))
    named = f"{packing.shown(here.speaker, row.names)}: {here.text}"
    more = f"{here.text} {following.text}" if following else here.text
    found = (mark(text, terms) for text in (here.text, named, more))
    snippet = next((marked for marked in found if marked), here.text[:SNIPPET])
    return SearchHit(row.id, row.slug, row.title, row.created, snippet, best, here.start)


def passage_hit(
    row: TranscriptHeader, place: tuple[int, int], segments: Mapping[tuple[int, int], Any], terms: Sequence[Term]
) -> SearchHit | None:
    """Return the best segment of a passage: the one with most terms, otherwise the first. None if the text has
    changed."""
    here = {at: segments[row.id, at].text for at in range(place[0], place[1] + 1) if (row.id, at) in segments}
    if not here:
        return None
    matches = {at: sum(bool(mark(text, (term,))) for term in terms) for at, text in here.items()}
    best = max(here, key=lambda at: (matches[at], -at))
    rest = " ".join(text for at, text in here.items() if at >= best)
    snippet = mark(here[best], terms) or shortened(rest)
    return SearchHit(row.id, row.slug, row.title, row.created, snippet, best, segments[row.id, best].start)
