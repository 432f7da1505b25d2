"""Operations on stock voices: list them, and speak a text while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from stt_lab.engines.pool import AUTO
from stt_lab.engines.protocols import VoiceMix
from stt_lab.operations.voice import LONGEST_TEXT, speech_estimate
from stt_lab.registry import PROSE, Charge, current, operation
from stt_lab.types import SAMPLE_BYTES, File
from stt_lab.voice.encoding import MEDIA_TYPES, SpeechFormat, speech_encoder
from stt_lab.voice.speech import SpeechPlan, lines_of, spoken, with_short_start
from stt_lab.voice.stock_voices import DEFAULT_VOICE, StockVoice, chosen_voice, stock_speaker, stock_voices


@dataclass(frozen=True)
class VoiceList:
    """The stock voices that can be spoken."""

    voices: tuple[StockVoice, ...]


@dataclass(frozen=True)
class StockSpeechPlan:
    """What is to be spoken, in which stock voice."""

    speech: SpeechPlan
    voice: VoiceMix


def plan_stock_speech(text: str, voice: str, model: str, **others: object) -> StockSpeechPlan:
    """Choose model and voice, and split the text. Raises BadInput and ModelMissing before any work begins."""
    runtime = current().runtime
    pool = runtime.pool
    engine = stock_speaker(pool, model)
    chosen = chosen_voice(voice, stock_voices(engine, runtime.settings))
    lines = with_short_start(lines_of(text, chosen.language))
    return StockSpeechPlan(SpeechPlan(engine, chosen.language, lines), VoiceMix(((chosen.id, 1.0),)))


@operation(
    "POST",
    "/v1/speak",
    scope="speech",
    charge=Charge("output", estimate=speech_estimate),
    plan=plan_stock_speech,
    streamed=True,
    replayable=False,
)
def speak(
    text: Annotated[
        str,
        Field(min_length=1, max_length=LONGEST_TEXT, description="Text to speak", json_schema_extra={PROSE: True}),
    ],
    voice: Annotated[
        str, Field(max_length=80, description="Stock voice, as `voices` lists them; OpenAI's names also work")
    ] = DEFAULT_VOICE,
    response_format: Annotated[SpeechFormat, Field(description="Format of the file")] = "mp3",
    speed: Annotated[float, Field(ge=0.5, le=2, description="Speed of the speech; 1 is the usual one")] = 1.0,
    model: Annotated[str, Field(max_length=80, description="Speech model id, or `auto` (best installed)")] = AUTO,
) -> File:
    """Speak a text in a stock voice. The file is sent while it is made, and marked as synthetic.

    The voice decides the language. A file that ends early, because the server failed, costs nothing.
    """
    plan: StockSpeechPlan = current().plan
    pieces = _pieces(plan, speed, response_format)
    return File(f"speech.{response_format}", MEDIA_TYPES[response_format], pieces)


def _pieces(plan: StockSpeechPlan, speed: float, format: SpeechFormat) -> Iterator[bytes]:
    """Yield the file; what is metered before a piece is the sound until its end."""
    context, seconds = current(), 0.0
    pool, report, speech = context.runtime.pool, context.report, plan.speech
    with pool.slot(report), speech_encoder(format, speech.model.id, report) as encoder:
        for pcm, rate in spoken(pool, speech, plan.voice, speed, report):
            seconds += len(pcm) / SAMPLE_BYTES / rate
            context.meter(seconds)
            if made := encoder.push(pcm, rate):
                yield made
        if last := encoder.finish():
            yield last


@operation("GET", "/v1/audio/voices", anonymous=True)
def voices() -> VoiceList:
    """List the stock voices of `speak`: language, gender, and OpenAI's names for them."""
    runtime = current().runtime
    return VoiceList(stock_voices(stock_speaker(runtime.pool, AUTO), runtime.settings))
