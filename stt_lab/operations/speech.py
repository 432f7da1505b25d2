"""Operations on sound."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from stt_lab.engines.catalog import Model
from stt_lab.engines.protocols import Report
from stt_lab.errors import BadInput
from stt_lab.join import join, name_turns
from stt_lab.registry import Media, current, operation
from stt_lab.render import render
from stt_lab.text import language_code
from stt_lab.types import Audio, Diarization, Event, Provenance, Rendering, Transcript

ResponseFormat = Literal["json", "txt", "text", "srt", "vtt", "verbose_json"]
DEFAULT_MODEL = "large-v3-turbo"


def per_minute(result: Transcript | Rendering) -> int:
    """Credits: a minute of decoded sound each, rounded up."""
    transcript = result.transcript if isinstance(result, Rendering) else result
    return math.ceil(transcript.duration / 60)


@operation("POST", "/v1/transcribe", scope="speech", price=per_minute)
def transcribe(
    file: Media,
    model: Annotated[str, Field(description="a transcriber of /v1/models")] = DEFAULT_MODEL,
    language: Annotated[str, Field(description="ISO 639-1 code, or auto")] = "auto",
    diarize: Annotated[bool, Field(description="label the speakers")] = True,
    speakers: Annotated[int, Field(ge=0, le=20, description="expected number of speakers, 0 = find out")] = 0,
    response_format: Annotated[ResponseFormat, Field(description="form of the answer")] = "json",
) -> Transcript | Rendering:
    """Turn speech into text with times and speakers."""
    context = current()
    pool, report = context.runtime.pool, context.report
    code = language_code(language)
    chosen, warnings = pool.resolve("transcribe", model)
    if code not in (None, "en") and chosen.languages == 1:
        raise BadInput(f"The model '{chosen.id}' knows English only: choose another model, or language=en.")
    diarizer = pool.best("diarize") if diarize else None  # before the work: it may be missing
    with pool.place(), context.runtime.decoder.decode(file, report) as audio, pool.slot(report):
        transcript = listen(audio, chosen, code, diarizer, speakers, report)
    transcript = replace(transcript, warnings=warnings + transcript.warnings)
    return transcript if response_format == "json" else render(transcript, response_format)


def listen(
    audio: Audio, model: Model, language: str | None, diarizer: Model | None, speakers: int, report: Report
) -> Transcript:
    """Decoded sound to a transcript: recognise, diarize, join. Needs the device's slot."""
    pool = current().runtime.pool
    recognition = pool.transcribe(model, audio, language, report)
    diarization: Diarization | None = None
    if diarizer and recognition.segments:
        diarization = pool.diarize(diarizer, audio, speakers, report)
    report(Event("joining"))
    segments, names = join(recognition, diarization, audio.duration)
    made: tuple[Provenance, ...] = (recognition.provenance, *((diarization.provenance,) if diarization else ()))
    return Transcript(
        language=recognition.language,
        duration=audio.duration,
        segments=segments,
        speakers=names,
        model=model.id,
        warnings=audio.warnings,
        suppressed=recognition.suppressed,
        turns=name_turns(recognition, diarization, audio.duration) if diarization else (),
        provenance=made,
    )
