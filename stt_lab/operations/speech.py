"""Operations on recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from stt_lab.engines.pool import AUTO
from stt_lab.engines.protocols import Goal
from stt_lab.pipeline import Models, choose_models, listen
from stt_lab.registry import Charge, JobSpec, Media, Presentation, current, operation
from stt_lab.transcription.render import render, with_marks
from stt_lab.types import Rendering, Transcript

ResponseFormat = Literal["json", "txt", "text", "srt", "vtt", "verbose_json"]
Inaudible = Annotated[
    bool, Field(description="Mark speech that was not understood in texts and subtitles: [inaudible 0:34\u20130:36]")
]
SpeechModel = Annotated[
    str, Field(description="Id of a speech model, as `models` lists them; `auto`: this installation's default")
]
Language = Annotated[
    str, Field(description="Spoken language: a code such as `de` or `deu`, a name, or `auto` (detect)")
]
READABLE = ("txt", "text", "srt", "vtt")
TEXTS = ("application/x-subrip", "text/vtt", "text/plain")


def choose(model: str, language: str, diarize: bool, task: Goal, **others: object) -> Models:
    """Choose the models of a request. Raises BadInput or ModelMissing before any work begins."""
    return choose_models(current().runtime.pool, model, language, diarize, task)


def stages(diarize: bool, **others: object) -> dict[str, float]:
    """Return the stages of a transcription, with their usual shares of the time."""
    shares = {"decoding": 5.0, "transcribing": 60.0, "diarizing": 32.0, "checking": 5.0, "joining": 3.0}
    return {stage: share for stage, share in shares.items() if diarize or stage != "diarizing"}


def formatted(transcript: Transcript, parameters: Mapping[str, Any]) -> Transcript | Rendering:
    """Render a transcript in the requested format; JSON keeps the transcript itself."""
    wanted = parameters.get("response_format", "json")
    if wanted in READABLE and parameters.get("inaudible"):
        transcript = with_marks(transcript)
    return transcript if wanted == "json" else render(transcript, wanted)


@operation(
    "POST",
    "/v1/transcribe",
    scope="speech",
    anonymous=True,
    charge=Charge("input"),
    job=JobSpec(stages, library=True),
    plan=choose,
    presentation=Presentation(formatted, TEXTS, chosen_by=("response_format", "json")),
)
def transcribe(
    file: Media,
    model: SpeechModel = AUTO,
    language: Language = "auto",
    diarize: Annotated[bool, Field(description="Label who speaks")] = True,
    speakers: Annotated[int, Field(ge=0, le=20, description="Number of speakers (0 = detect)")] = 0,
    response_format: Annotated[ResponseFormat, Field(description="Format of the answer")] = "json",
    task: Annotated[
        Goal, Field(description="`transcribe` writes what is said, `translate` writes it in English")
    ] = "transcribe",
    track: Annotated[
        int, Field(ge=0, le=100, description="Number of the sound track, from 1 (0 = the default one, if it has sound)")
    ] = 0,
    inaudible: Inaudible = False,
) -> Transcript:
    """Transcribe a recording to text with word times and speakers.

    With a key, the server stores the transcript in the account's library, and the result has its `id`. With
    `background`, the answer is a job; get its result with `job_result`.
    """
    context = current()
    models: Models = context.plan
    with context.runtime.decoder.decode(file, context.report, track=track) as audio:
        context.meter(audio.duration)
        return listen(context.runtime.pool, audio, models, speakers, context.report)
