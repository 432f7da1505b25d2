"""Operations on sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from stt_lab.engines.protocols import Goal
from stt_lab.errors import BadInput
from stt_lab.registry import Media, current, operation, per_minute
from stt_lab.text import language_code
from stt_lab.transcription.join import join, name_turns
from stt_lab.transcription.render import render
from stt_lab.types import Audio, Diarization, Event, Provenance, Rendering, Report, Transcript
from stt_lab.weights.catalog import Model

ResponseFormat = Literal["json", "txt", "text", "srt", "vtt", "verbose_json"]
DEFAULT_MODEL = "large-v3-turbo"


Background = Annotated[
    bool,
    Field(
        description="answer at once with a job; on HTTP also `async`",
        validation_alias=AliasChoices("background", "async"),
    ),
]


@dataclass(frozen=True)
class _Choice:
    """What serves a request."""

    model: Model
    language: str | None  # code; None: find out
    goal: Goal
    diarizer: Model | None
    warnings: tuple[str, ...]


def choose(model: str, language: str, diarize: bool, task: Goal, **others: object) -> _Choice:
    """The models for a request. Raises BadInput or ModelMissing, before anything is spent on it."""
    pool = current().runtime.pool
    code = language_code(language)
    chosen, warnings = pool.resolve("transcribe", model, task)
    if code not in (None, "en") and chosen.languages == 1:
        raise BadInput(f"The model '{chosen.id}' knows English only: choose another model, or language=en.")
    return _Choice(chosen, code, task, pool.best("diarize") if diarize else None, warnings)


@operation("POST", "/v1/transcribe", scope="speech", price=per_minute, long=True, check=choose)
def transcribe(
    file: Media,
    model: Annotated[str, Field(description="a transcriber of /v1/models")] = DEFAULT_MODEL,
    language: Annotated[str, Field(description="ISO 639-1 code, or auto")] = "auto",
    diarize: Annotated[bool, Field(description="label the speakers")] = True,
    speakers: Annotated[int, Field(ge=0, le=20, description="expected number of speakers, 0 = find out")] = 0,
    response_format: Annotated[ResponseFormat, Field(description="form of the answer")] = "json",
    task: Annotated[Goal, Field(description="write what is said, or translate it into English")] = "transcribe",
    background: Background = False,
    store: Annotated[bool, Field(description="keep the transcript in the library of the key's account")] = True,
    webhook_url: Annotated[str, Field(max_length=2000, description="told with a signed POST how the job ended")] = "",
) -> Transcript | Rendering:
    """Turn speech into text with times and speakers.

    With a key the transcript is kept in the account's library, and the answer carries its `id`. With `background` the
    answer is a job: ask for it with its id. Background, store and webhook_url are the server's part.
    """
    context = current()
    choice = choose(model, language, diarize, task)
    with context.runtime.decoder.decode(file, context.report) as audio:
        context.meter(audio.duration)
        with context.runtime.pool.slot(context.report):
            transcript = listen(audio, choice, speakers, context.report)
    transcript = replace(transcript, warnings=choice.warnings + transcript.warnings)
    return transcript if response_format == "json" else render(transcript, response_format)


def listen(audio: Audio, choice: _Choice, speakers: int, report: Report) -> Transcript:
    """Decoded sound to a transcript: recognise, diarize, join. Needs the device's slot."""
    pool = current().runtime.pool
    recognition = pool.transcribe(choice.model, audio, choice.language, report, choice.goal)
    diarization: Diarization | None = None
    if choice.diarizer and recognition.segments:
        diarization = pool.diarize(choice.diarizer, audio, speakers, report)
    report(Event("joining"))
    segments, names = join(recognition, diarization, audio.duration)
    made: tuple[Provenance, ...] = (recognition.provenance, *((diarization.provenance,) if diarization else ()))
    return Transcript(
        language=recognition.language,
        duration=audio.duration,
        segments=segments,
        speakers=names,
        model=choice.model.id,
        warnings=audio.warnings,
        suppressed=recognition.suppressed,
        turns=name_turns(recognition, diarization, audio.duration) if diarization else (),
        provenance=made,
    )
