"""Operations that change stored transcripts, and on the revisions that changes make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from stt_lab.errors import BadInput
from stt_lab.operations.library import (
    PATH,
    Id,
    TranscriptDetail,
    current_detail,
    detail,
    the_account,
    the_library,
)
from stt_lab.operations.values import as_list, as_mapping, as_objects
from stt_lab.registry import current, operation

if TYPE_CHECKING:
    from stt_lab.audio.peaks import Outline

LARGEST = 10**9  # number of a revision


@dataclass(frozen=True)
class RevisionInfo:
    """A revision of a transcript that can be read and restored."""

    revision: int
    created: datetime
    author: str  # name of the account; "" for the transcription itself
    edits: int  # changes that made it


@dataclass(frozen=True)
class RevisionPage:
    """The revisions of a transcript that are kept, newest first."""

    count: int
    results: tuple[RevisionInfo, ...]


@dataclass(frozen=True)
class Peaks:
    """The outline of a recording."""

    duration: float  # seconds
    per_second: int
    peaks: tuple[float, ...]  # largest amplitude of each stretch, 0 to 1


Names = Annotated[
    dict[str, str] | None,
    BeforeValidator(as_mapping),
    Field(description='New names by current names, such as {"Speaker 1": "Ada"}'),
]
Tags = Annotated[
    list[str] | None,
    BeforeValidator(as_list),
    Field(description="New tags, which replace the old ones: at most 20 of 40 characters"),
]
Edits = Annotated[
    list[dict[str, Any]] | None,
    BeforeValidator(as_objects),
    Field(
        description="Edits of the text: at most 1,000 objects with `op` (replace, split, merge, retime, delete, "
        "speaker or merge_speakers) and its fields"
    ),
]
Expected = Annotated[
    int | None,
    Field(ge=1, le=LARGEST, description="The revision that the change is made for; any other one is refused"),
]
Number = Annotated[int, Field(ge=1, le=LARGEST, description="Number of the revision")]


@operation("PATCH", f"{PATH}/{{id}}/", scope="library")
def update_transcript(
    id: Id,
    speakers: Names = None,
    title: Annotated[str | None, Field(min_length=1, max_length=255, description="New title")] = None,
    tags: Tags = None,
    edits: Edits = None,
    revision: Expected = None,
) -> TranscriptDetail:
    """Change a transcript: its title, its tags, the names of its speakers, and its text.

    All changes of a request are made, or none; together they make a new revision. `edits` need the `revision` that they
    were made for: if the transcript has another one by now, the answer is 409 with that `revision`. Speakers that get
    the same name are merged. A new title does not change the slug.
    """
    from stt_lab.library.history import Change  # slow to import

    if speakers is None and title is None and tags is None and not edits:
        raise BadInput("There is nothing to change. Send 'title', 'tags', 'speakers' or 'edits'.")
    if edits and revision is None:
        raise BadInput("Edits need the revision that they were made for. Send the transcript's 'revision' with them.")
    change = Change(title, tags, speakers, edits or ())
    the_library().history.change(the_account(), id, change, current().caller.name, revision)
    return current_detail(id)


@operation("GET", f"{PATH}/{{id}}/revisions/", scope="library")
def transcript_revisions(id: Id) -> RevisionPage:
    """List the revisions of a transcript that are kept, newest first: the last 1,000, as long as they take 8 MB."""
    found = the_library().history.list(the_account(), id)
    return RevisionPage(len(found), tuple(RevisionInfo(**vars(one)) for one in found))


@operation("GET", f"{PATH}/{{id}}/revisions/{{number}}/", scope="library")
def transcript_revision(id: Id, number: Number) -> TranscriptDetail:
    """Get a transcript as it was at a revision."""
    return detail(*the_library().history.get(the_account(), id, number))


@operation("POST", f"{PATH}/{{id}}/revisions/{{number}}/restore/", scope="library")
def restore_revision(id: Id, number: Number, revision: Expected = None) -> TranscriptDetail:
    """Make an older revision of a transcript the present one again, as a new revision.

    What was changed since stays in the revisions between.
    """
    the_library().history.restore(the_account(), id, number, current().caller.name, revision)
    return current_detail(id)


@operation("GET", f"{PATH}/{{id}}/peaks/", scope="library", heavy=True)
def transcript_peaks(
    id: Id, per_second: Annotated[int, Field(ge=1, le=100, description="Peaks per second")] = 20
) -> Peaks:
    """Get the outline of a transcript's recording, to draw it: the largest amplitude of each stretch of time.

    It is measured once, which takes some seconds for an hour, and kept in memory for a while. A very quiet recording is
    raised first, as for transcription.
    """
    runtime, path = current().runtime, the_library().audio(the_account(), id)
    made = runtime.outlines.get(path.name)
    if made is None:
        with runtime.drawing.hold(current().report, runtime.settings.queue_timeout_s):
            made = runtime.outlines.get(path.name) or _measured(id, path)
    return Peaks(round(made.duration, 3), per_second, made.at(per_second))


def _measured(id: str, path: Path) -> Outline:
    """Measure the sound track that was transcribed, and keep its outline."""
    from stt_lab.audio.peaks import outline

    runtime = current().runtime
    tracks = the_library().transcript(the_account(), id).tracks
    used = next((track.number for track in tracks if track.used), 0)
    with runtime.decoder.decode(path, current().report, track=used) as audio:
        made = outline(audio)
    runtime.outlines.put(path.name, made)
    return made
