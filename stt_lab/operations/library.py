"""Operations on the library: the stored transcripts of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stt_lab.documents import HEAVY, Export, ExportFormat, export
from stt_lab.operations.speech import Inaudible
from stt_lab.operations.text import tools
from stt_lab.operations.values import Removed, as_text
from stt_lab.registry import current, operation
from stt_lab.transcription.render import to_json, unrecognized, with_marks
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
    revision: int  # counts changes, from 1
    tags: tuple[str, ...]


@dataclass(frozen=True)
class TranscriptDetail(TranscriptInfo):
    """A whole transcript; `text` and `segments` are empty until it is done."""

    text: str
    segments: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]
    unrecognized: tuple[dict[str, Any], ...] = ()  # start, end and speaker of speech without words


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
Tag = Annotated[str, Field(description="Only transcripts with this tag", max_length=100)]
Sort = Annotated[
    Literal["", "created", "-created", "title", "-title", "duration", "-duration"],
    Field(description="Order of the list; `-` in front: from the last to the first; default: newest first"),
]
Verbose = Annotated[bool, Field(description="Also write the confidence and the speaker of each word")]


@operation("GET", f"{PATH}/", scope="library")
def transcripts(
    limit: Limit = 20,
    offset: Offset = 0,
    status: Status = "",
    language: Annotated[str, Field(description="Only transcripts in this language: ISO 639-1 code")] = "",
    date_from: Day = "",
    date_to: Day = "",
    tag: Tag = "",
    sort: Sort = "",
) -> TranscriptPage:
    """List the account's transcripts, newest first."""
    page = the_library().list(
        the_account(),
        limit=limit,
        offset=offset,
        status=status,
        language=language,
        date_from=date_from,
        date_to=date_to,
        tag=tag,
        sort=sort,
    )
    return TranscriptPage(page.count, tuple(TranscriptInfo(**vars(one)) for one in page.results))


@operation("GET", f"{PATH}/{{id}}/", scope="library")
def transcript(id: Id, verbose: Verbose = False) -> TranscriptDetail:
    """Get a transcript with its segments."""
    return current_detail(id, verbose)


@operation("DELETE", f"{PATH}/{{id}}/", scope="library")
def delete_transcript(id: Id) -> Removed:
    """Delete a transcript with its recording and all results made from it."""
    library = the_library()
    number = library.get(the_account(), id).id
    library.delete(the_account(), number)
    return Removed(number, "deleted")


@operation("GET", f"{PATH}/{{id}}/export/{{format}}/", scope="library", heavy=True)
def export_transcript(
    id: Id,
    format: Annotated[ExportFormat, Field(description="File format")],
    inaudible: Inaudible = False,
    times: Annotated[bool, Field(description="Write the time of each paragraph into txt and md")] = False,
) -> File:
    """Download a transcript as a file."""
    stored, transcript = the_library().read(the_account(), id)
    marked = with_marks(transcript) if inaudible and format not in ("json", "csv", "tsv") else transcript
    made = exported(marked, format, stored.title, stored.created, times)
    return File(_file_name(stored.title) + made.suffix, made.media_type, made.chunks, made.warnings)


@operation("GET", f"{PATH}/{{id}}/audio/", scope="library")
def transcript_audio(id: Id) -> File:
    """Download the recording of a transcript as it was uploaded.

    HTTP also serves parts (`Range`), so that a player can seek without downloading everything before.
    """
    from stt_lab.library.recordings import kind  # slow to import

    stored, path = the_library().get(the_account(), id), the_library().audio(the_account(), id)
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
    page = the_library().search(the_account(), query, limit, offset)
    return SearchResultPage(page.count, tuple(_found(hit) for hit in page.results))


def _by_meaning(query: str, limit: int, offset: int) -> SearchResultPage:
    from stt_lab.recall.search import by_meaning  # slow to import

    page = by_meaning(the_library(), tools(), the_account(), query, limit, offset)
    return SearchResultPage(page.count, tuple(_found(hit, score) for hit, score in page.results), page.warnings)


def _found(hit: SearchHit, score: float | None = None) -> SearchResult:
    return SearchResult(hit.id, hit.slug, hit.title, hit.created, hit.snippet, hit.position, hit.start, score)


def exported(transcript: Transcript, format: str, title: str, created: datetime, times: bool = False) -> Export:
    """Export a transcript; documents take turns in a lane of their own. Raises Busy if too many wait."""
    if format not in HEAVY:
        return export(transcript, format, title, created, times)
    runtime, report = current().runtime, current().report
    with runtime.exports.hold(report, runtime.settings.queue_timeout_s):
        return export(transcript, format, title, created)


def the_library() -> Library:
    return current().runtime.library


def the_account() -> int:
    return current().caller.account_id


def current_detail(id: int | str, verbose: bool = False) -> TranscriptDetail:
    """Return a transcript with its segments, as it is now."""
    stored = the_library().get(the_account(), id)
    if stored.status != "done":
        return TranscriptDetail(**vars(stored), text="", segments=(), warnings=())
    return detail(*the_library().read(the_account(), stored.id), verbose)


def detail(stored: StoredTranscript, whole: Transcript, verbose: bool = False) -> TranscriptDetail:
    """Return a transcript as it is shown."""
    return TranscriptDetail(
        **vars(stored),
        text=whole.text,
        segments=tuple(to_json(whole, verbose)["segments"]),
        warnings=whole.warnings,
        unrecognized=tuple(unrecognized(whole)),
    )


def _file_name(title: str) -> str:
    """Make a file name from a title that every operating system accepts: "../a:b.mp3" -> "_a_b"."""
    stem, dot, suffix = title.rpartition(".")
    known = dot and suffix.isalnum() and len(suffix) <= 4  # the recording's own suffix
    kept = "".join(
        char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in (stem if known else title)
    )
    return kept.strip(" .")[:100] or "transcript"
