"""Operations that listen to the recording of a stored transcript again: who speaks, or the words of a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from pydantic import Field

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput
from stt_lab.operations.editing import Expected
from stt_lab.operations.library import PATH, Id, TranscriptDetail, current_detail, the_account, the_library
from stt_lab.operations.speech import SpeechModel
from stt_lab.pipeline import Models, choose_models, recognize
from stt_lab.registry import Charge, JobSpec, current, operation
from stt_lab.transcription.again import Talk, with_speakers, with_words
from stt_lab.types import SAMPLE_BYTES, Audio, Provenance, Segment, Span, Transcript

CONTEXT_S = 1.0  # seconds of sound around a part that are heard with it
COPY_BYTES = 1024 * 1024


def _sound(id: str, revision: int | None) -> tuple[Transcript, Path]:
    """Return a transcript and its recording. Raises NotFound, BadInput if it has no text, and OldRevision."""
    from stt_lab.library.history import check_revision  # slow to import

    stored, whole = the_library().read(the_account(), id)
    check_revision(stored, revision)
    return whole, the_library().audio(the_account(), id)


def _diarizer(id: str, revision: int | None, **others: object) -> object:
    _sound(id, revision)
    return current().runtime.pool.best("diarize")


def _recognizer(id: str, start: float, end: float, model: str, revision: int | None, **others: object) -> Models:
    whole, _ = _sound(id, revision)
    if not 0 <= start < end <= round(whole.duration, 3):
        raise BadInput(
            f"The part {start:g} to {end:g} s is not in the recording. Use 0 <= start < end <= {whole.duration:.3f}."
        )
    return choose_models(current().runtime.pool, model, whole.language or "auto", diarize=False)


def _diarizing(**others: object) -> dict[str, float]:
    return {"decoding": 5.0, "diarizing": 32.0, "joining": 1.0}


def _transcribing(**others: object) -> dict[str, float]:
    return {"decoding": 5.0, "transcribing": 60.0, "checking": 5.0, "joining": 1.0}


@operation(
    "POST",
    f"{PATH}/{{id}}/diarize/",
    scope="library",
    charge=Charge("input"),
    job=JobSpec(_diarizing, detached=True),
    plan=_diarizer,
)
def diarize_transcript(
    id: Id,
    speakers: Annotated[int, Field(ge=0, le=20, description="Number of speakers (0 = detect)")] = 0,
    revision: Expected = None,
) -> TranscriptDetail:
    """Find again who speaks in the recording of a transcript, as a job that makes a new revision.

    Segments with corrected words, or with a speaker that people chose, keep both. Speakers keep their names where they
    are the same ones.
    """
    context = current()
    whole, path = _sound(id, revision)
    with _decoded(whole, path) as audio:
        context.meter(audio.duration)
        with context.runtime.pool.slot(context.report):
            made = context.runtime.pool.diarize(context.plan, audio, speakers, context.report)
    return _rewritten(id, revision, lambda talk: with_speakers(talk, made), made.provenance)


@operation(
    "POST",
    f"{PATH}/{{id}}/transcribe/",
    scope="library",
    charge=Charge("input"),
    job=JobSpec(_transcribing, detached=True),
    plan=_recognizer,
)
def transcribe_transcript(
    id: Id,
    start: Annotated[float, Field(ge=0, description="Beginning of the part, in seconds")],
    end: Annotated[float, Field(ge=0, description="End of the part, in seconds")],
    model: SpeechModel = AUTO,
    revision: Expected = None,
) -> TranscriptDetail:
    """Transcribe a part of a transcript's recording again, as a job that makes a new revision.

    Words whose middle lies in the part are replaced; corrected ones stay. Speakers are those who spoke there before.
    """
    context = current()
    whole, path = _sound(id, revision)
    part = Span(start, end)
    with _decoded(whole, path) as audio, _part(audio, part) as (sound, first):
        context.meter(part.duration)
        heard = recognize(context.runtime.pool, sound, context.plan, context.report)
    found = [_moved(segment, first) for segment in heard.segments]
    return _rewritten(id, revision, lambda talk: with_words(talk, found, part), heard.provenance)


def _rewritten(id: str, revision: int | None, remake: Callable[[Talk], Talk], made: Provenance) -> TranscriptDetail:
    """Store what was heard as a new revision. Raises OldRevision if people have changed `revision` meanwhile."""
    number = the_library().get(the_account(), id).id
    the_library().history.rewrite(the_account(), number, remake, made, current().caller.name, revision)
    return current_detail(number)


@contextmanager
def _decoded(whole: Transcript, path: Path) -> Iterator[Audio]:
    """Decode the sound track that was transcribed."""
    used = next((track.number for track in whole.tracks if track.used), 0)
    with current().runtime.decoder.decode(path, current().report, track=used) as audio:
        yield audio


@contextmanager
def _part(audio: Audio, part: Span) -> Iterator[tuple[Audio, float]]:
    """Copy a part of decoded sound, with some around it, into a file of its own; also yield where it begins."""
    rate = audio.sample_rate
    first = max(0, int((part.start - CONTEXT_S) * rate))
    last = min(audio.samples, int((part.end + CONTEXT_S) * rate) + 1)
    path = audio.path.with_name(f"{uuid4().hex}.part")
    try:
        with audio.path.open("rb") as source, path.open("xb") as target:
            source.seek(first * SAMPLE_BYTES)
            left = (last - first) * SAMPLE_BYTES
            while left > 0 and (chunk := source.read(min(left, COPY_BYTES))):
                left -= target.write(chunk)
        yield replace(audio, path=path, samples=last - first), first / rate
    finally:
        path.unlink(missing_ok=True)


def _moved(segment: Segment, by: float) -> Segment:
    words = tuple(replace(word, start=word.start + by, end=word.end + by) for word in segment.words)
    return replace(segment, start=segment.start + by, end=segment.end + by, words=words)
