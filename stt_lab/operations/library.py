"""Operations on the library: what an account has transcribed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stt_lab.documents import ExportFormat, export
from stt_lab.errors import BadInput
from stt_lab.operations.text import tools
from stt_lab.operations.values import Removed, mapped, texted
from stt_lab.registry import current, operation
from stt_lab.transcription.render import to_json
from stt_lab.types import File

if TYPE_CHECKING:
    from stt_lab.library import Hit, Library, StoredTranscript

PATH = "/api/v1/transcripts"


@dataclass(frozen=True)
class TranscriptInfo:
    """A transcript as a list shows it."""

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
    """The whole of it, as the answer to its recording was; empty while it is not done."""

    text: str
    segments: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class TranscriptPage:
    count: int  # of all that match
    results: tuple[TranscriptInfo, ...]


@dataclass(frozen=True)
class Found:
    """A transcript in which all words of a query occur, or that speaks of what a query says."""

    id: int
    slug: str
    title: str
    created: datetime
    snippet: str  # with ⟦⟧ around matches
    segment_order: int | None  # from 0; None when only the title matches
    start_time: float | None  # seconds
    score: float | None = None  # of a search by meaning, to compare within its results; they come best first


@dataclass(frozen=True)
class FoundPage:
    count: int
    results: tuple[Found, ...]
    warnings: tuple[str, ...] = ()


Id = Annotated[str, BeforeValidator(texted), Field(description="number or slug of the transcript")]
Limit = Annotated[int, Field(ge=1, le=100, description="results at once")]
Offset = Annotated[int, Field(ge=0, le=10**9, description="results to leave out")]
Status = Annotated[
    Literal["", "queued", "running", "done", "failed", "cancelled"], Field(description="only those of this status")
]
Day = Annotated[str, Field(description="a day (UTC), such as 2026-03-31")]
Names = Annotated[
    dict[str, str] | None,
    BeforeValidator(mapped),
    Field(description='new names by the ones shown, such as {"Speaker 1": "Ada"}'),
]


@operation("GET", f"{PATH}/", scope="library")
def transcripts(
    limit: Limit = 20,
    offset: Offset = 0,
    status: Status = "",
    language: Annotated[str, Field(description="ISO 639-1 code")] = "",
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
    """Show a transcript with its segments."""
    return _detail(_library().get(_account(), id))


@operation("PATCH", f"{PATH}/{{id}}/", scope="library")
def rename_speakers(
    id: Id,
    speakers: Names = None,
    title: Annotated[str | None, Field(min_length=1, max_length=255, description="a new title")] = None,
) -> TranscriptDetail:
    """Give the speakers of a transcript names, or the transcript a title.

    Speakers who get one name become one. A title leaves the address of the transcript as it was.
    """
    if speakers is None and title is None:
        raise BadInput("Nothing would change: send 'speakers', 'title' or both.")
    library, stored = _library(), _library().get(_account(), id)
    if speakers is not None:
        stored = library.rename_speakers(_account(), id, speakers)
    if title is not None:
        stored = library.retitle(_account(), id, title)
    return _detail(stored)


@operation("DELETE", f"{PATH}/{{id}}/", scope="library")
def delete_transcript(id: Id) -> Removed:
    """Delete a transcript with its recording and all that was made from it."""
    library = _library()
    number = library.get(_account(), id).id
    library.delete(_account(), number)
    return Removed(number, "deleted")


@operation("GET", f"{PATH}/{{id}}/export/{{format}}/", scope="library")
def export_transcript(
    id: Id,
    format: Annotated[ExportFormat, Field(description="of the file")],
) -> File:
    """Give a transcript as a file."""
    stored = _library().get(_account(), id)
    made = export(_library().transcript(_account(), stored.id), format, stored.title, stored.created)
    return File(_file_name(stored.title) + made.suffix, made.media_type, made.chunks, made.warnings)


@operation("GET", f"{PATH}/{{id}}/audio/", scope="library")
def transcript_audio(id: Id) -> File:
    """Give the recording of a transcript as it was sent.

    HTTP also gives parts of it (`Range`), so that a player can go to any place without fetching what is before.
    """
    from stt_lab.library.recordings import kind  # its package is slow to import

    stored, path = _library().get(_account(), id), _library().audio(_account(), id)
    suffix, media_type = kind(path)
    return File.on_disk(path, _file_name(stored.title) + suffix, media_type)


@operation("GET", "/api/v1/search/", scope="library")
def search_transcripts(
    query: Annotated[str, Field(description='words that must all occur, "phrases", or beginnings*', max_length=500)],
    limit: Limit = 20,
    offset: Offset = 0,
    mode: Annotated[
        Literal["words", "meaning"],
        Field(description="words: those of the query; meaning: what a query says, best first"),
    ] = "words",
) -> FoundPage:
    """Search the account's transcripts: titles, names of speakers and what was said.

    By words the latest come first, and all are counted. By meaning a query may be a question: passages are compared
    with it by MiniLM and by its words, and of the best 200 transcripts each is shown at its best place.
    """
    if mode == "meaning":
        return _by_meaning(query, limit, offset)
    page = _library().search(_account(), query, limit, offset)
    return FoundPage(page.count, tuple(_found(hit) for hit in page.results))


def _by_meaning(query: str, limit: int, offset: int) -> FoundPage:
    from stt_lab.recall.finding import by_meaning  # slow to import

    page = by_meaning(_library(), tools(), _account(), query, limit, offset)
    return FoundPage(page.count, tuple(_found(hit, score) for hit, score in page.results), page.warnings)


def _found(hit: Hit, score: float | None = None) -> Found:
    return Found(hit.id, hit.slug, hit.title, hit.created, hit.snippet, hit.position, hit.start, score)


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
    """Of a title, what every system takes as the name of a file: "../a:b.mp3" -> "_a_b"."""
    stem, dot, suffix = title.rpartition(".")
    known = dot and suffix.isalnum() and len(suffix) <= 4  # the recording's own suffix
    kept = "".join(
        char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in (stem if known else title)
    )
    return kept.strip(" .")[:100] or "transcript"
