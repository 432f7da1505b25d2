"""Operations on the library: the stored transcripts of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stt_lab.documents import HEAVY, Export, ExportFormat, export
from stt_lab.errors import BadInput
from stt_lab.operations.speech import Inaudible
from stt_lab.operations.text import tools
from stt_lab.operations.values import Removed, as_mapping, as_text
from stt_lab.registry import current, operation
from stt_lab.transcription.render import to_json, with_marks
from stt_lab.types import File, Transcript

if TYPE_CHECKING:
    from stt_lab.library import Library, SearchHit, StoredTranscript

PATH = "/api/v1/transcripts"


@dataclass(frozen=True)
class TranscriptInfo:
    """A transcript without its text and segments, as lists show it."""

    id: int
    slug: str
    title: str
    status: str  # of its job: queued, running, done, failed or cancelled
    error: str | None
    language: str | None
    duration: float  # seconds
    model: str
    words: int
    speakers: tuple[str, ...]
    has_audio: bool
    created: datetime
    finished: datetime | None


@dataclass(frozen=True)
class TranscriptDetail(TranscriptInfo):
    """A whole transcript; `text` and `segments` are empty until it is done."""

    text: str
    segments: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class TranscriptPage:
    """One page of a list of transcripts."""

    count: int  # all matches, not only this page
    results: tuple[TranscriptInfo, ...]


@dataclass(frozen=True)
class SearchResult:
    """A transcript that matches a search, with its best passage."""

    id: int
    slug: str
    title: str
    created: datetime
    snippet: str  # matches are enclosed in ⟦⟧
    segment_order: int | None  # from 0; None if only the title matches
    start_time: float | None  # seconds
    score: float | None = None  # search by meaning only; comparable within one search


@dataclass(frozen=True)
class SearchResultPage:
    """One page of search results."""

    count: int
    results: tuple[SearchResult, ...]
    warnings: tuple[str, ...] = ()


Id = Annotated[str, BeforeValidator(as_text), Field(description="Number or slug of the transcript")]
Limit = Annotated[int, Field(ge=1, le=100, description="Results per page")]
Offset = Annotated[int, Field(ge=0, le=10**9, description="Results to skip")]
Status = Annotated[
    Literal["", "queued", "running", "done", "failed", "cancelled"],
    Field(description="Only transcripts with this status"),
]
Day = Annotated[str, Field(description="Day (UTC), such as 2026-03-31; included")]
Names = Annotated[
    dict[str, str] | None,
    BeforeValidator(as_mapping),
    Field(description='New names by current names, such as {"Speaker 1": "Ada"}'),
]


@operation("GET", f"{PATH}/", scope="library")
def transcripts(
    limit: Limit = 20,
    offset: Offset = 0,
    status: Status = "",
    language: Annotated[str, Field(description="Only transcripts in this language: ISO 639-1 code")] = "",
    date_from: Day = "",
    date_to: Day = "",
) -> TranscriptPage:
    """List the account's transcripts, newest first."""
    page = _library().list(
        _account(),
        limit=limit,
        offset=offset,
        status=status,
        language=language,
        date_from=date_from,
        date_to=date_to,
    )
    return TranscriptPage(page.count, tuple(TranscriptInfo(**vars(one)) for one in page.results))


@operation("GET", f"{PATH}/{{id}}/", scope="library")
def transcript(id: Id) -> TranscriptDetail:
    """Get a transcript with its segments."""
    return _detail(_library().get(_account(), id))


@operation("PATCH", f"{PATH}/{{id}}/", scope="library")
def update_transcript(
    id: Id,
    speakers: Names = None,
    title: Annotated[str | None, Field(min_length=1, max_length=255, description="New title")] = None,
) -> TranscriptDetail:
    """Rename the speakers of a transcript, change its title, or both.

    Speakers that get the same name are merged. A new title does not change the slug.
    """
    if speakers is None and title is None:
        raise BadInput("There is nothing to change. Send 'speakers', 'title' or both.")
    library, stored = _library(), _library().get(_account(), id)
    if speakers is not None:
        stored = library.rename_speakers(_account(), id, speakers)
    if title is not None:
        stored = library.retitle(_account(), id, title)
    return _detail(stored)


@operation("DELETE", f"{PATH}/{{id}}/", scope="library")
def delete_transcript(id: Id) -> Removed:
    """Delete a transcript with its recording and all results made from it."""
    library = _library()
    number = library.get(_account(), id).id
    library.delete(_account(), number)
    return Removed(number, "deleted")


@operation("GET", f"{PATH}/{{id}}/export/{{format}}/", scope="library", heavy=True)
def export_transcript(
    id: Id,
    format: Annotated[ExportFormat, Field(description="File format")],
    inaudible: Inaudible = False,
) -> File:
    """Download a transcript as a file."""
    stored = _library().get(_account(), id)
    transcript = _library().transcript(_account(), stored.id)
    marked = with_marks(transcript) if inaudible and format not in ("json", "csv") else transcript
    made = exported(marked, format, stored.title, stored.created)
    return File(_file_name(stored.title) + made.suffix, made.media_type, made.chunks, made.warnings)


@operation("GET", f"{PATH}/{{id}}/audio/", scope="library")
def transcript_audio(id: Id) -> File:
    """Download the recording of a transcript as it was uploaded.

    HTTP also serves parts (`Range`), so that a player can seek without downloading everything before.
    """
    from stt_lab.library.recordings import kind  # slow to import

    stored, path = _library().get(_account(), id), _library().audio(_account(), id)
    suffix, media_type = kind(path)
    return File.on_disk(path, _file_name(stored.title) + suffix, media_type)


@operation("GET", "/api/v1/search/", scope="library", heavy=True)
def search_transcripts(
    query: Annotated[
        str,
        Field(
            description='Words that must all occur, "phrases", or prefixes*; a question if mode is `meaning`',
            max_length=500,
        ),
    ],
    limit: Limit = 20,
    offset: Offset = 0,
    mode: Annotated[
        Literal["words", "meaning"],
        Field(description="`words` (all words occur, newest first) or `meaning` (best match first)"),
    ] = "words",
) -> SearchResultPage:
    """Search the titles, speaker names and texts of the account's transcripts.

    `mode=words` finds every transcript that contains all words, newest first. `mode=meaning` also accepts a question:
    it compares passages with the query by meaning (MiniLM) and by words, and returns the best 200 transcripts, each
    with its best passage.
    """
    if mode == "meaning":
        return _by_meaning(query, limit, offset)
    page = _library().search(_account(), query, limit, offset)
    return SearchResultPage(page.count, tuple(_found(hit) for hit in page.results))


def _by_meaning(query: str, limit: int, offset: int) -> SearchResultPage:
    from stt_lab.recall.search import by_meaning  # slow to import

    page = by_meaning(_library(), tools(), _account(), query, limit, offset)
    return SearchResultPage(page.count, tuple(_found(hit, score) for hit, score in page.results), page.warnings)


def _found(hit: SearchHit, score: float | None = None) -> SearchResult:
    return SearchResult(hit.id, hit.slug, hit.title, hit.created, hit.snippet, hit.position, hit.start, score)


def exported(transcript: Transcript, format: str, title: str, created: datetime) -> Export:
    """Export a transcript; documents take turns in a lane of their own. Raises Busy if too many wait."""
    if format not in HEAVY:
        return export(transcript, format, title, created)
    runtime, report = current().runtime, current().report
    with runtime.exports.hold(report, runtime.settings.queue_timeout_s):
        return export(transcript, format, title, created)


def _library() -> Library:
    return current().runtime.library


def _account() -> int:
    return current().caller.account_id


def _detail(stored: StoredTranscript) -> TranscriptDetail:
    if stored.status != "done":
        return TranscriptDetail(**vars(stored), text="", segments=(), warnings=())
    whole = _library().transcript(_account(), stored.id)
    shown = to_json(whole)
    return TranscriptDetail(
        **vars(stored), text=shown["text"], segments=tuple(shown["segments"]), warnings=whole.warnings
    )


def _file_name(title: str) -> str:
    """Make a file name from a title that every operating system accepts: "../a:b.mp3" -> "_a_b"."""
    stem, dot, suffix = title.rpartition(".")
    known = dot and suffix.isalnum() and len(suffix) <= 4  # the recording's own suffix
    kept = "".join(
        char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in (stem if known else title)
    )
    return kept.strip(" .")[:100] or "transcript"
