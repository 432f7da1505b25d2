"""Operations on voices: cleaner recordings, and speech in a voice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated

from pydantic import Field

from stt_lab.engines.protocols import VoiceMatch
from stt_lab.errors import BadInput
from stt_lab.registry import PROSE, Charge, JobSpec, Media, current, operation
from stt_lab.types import CHUNK_BYTES, SAMPLE_BYTES, Audio, File
from stt_lab.voice import synthetic_wav
from stt_lab.voice.enhancement import Wanted, chunks, enhance
from stt_lab.voice.reference import check_reference
from stt_lab.voice.speech import (
    COPIES,
    COPY_RATE,
    SpeechPlan,
    choose_listener,
    choose_speaker,
    expected_seconds,
    heard,
    lines_of,
    spoken,
)
from stt_lab.weights import catalog

ENHANCE = "enhance"  # task of the catalog
LONGEST_TEXT = 20_000  # characters


def choose_filter(**others: object) -> catalog.Model:
    """Choose the noise filter. Raises ModelMissing before any work begins."""
    return current().runtime.pool.best(ENHANCE)


def enhancement_stages(**others: object) -> dict[str, float]:
    """Return the stages of enhancing a recording, with their usual shares of the time."""
    return {"decoding": 5.0, "checking": 5.0, "enhancing": 75.0, "writing": 15.0}


@operation(
    "POST",
    "/v1/enhance-audio",
    scope="speech",
    charge=Charge("input"),
    job=JobSpec(enhancement_stages),
    plan=choose_filter,
)
def enhance_audio(
    file: Media,
    loudness: Annotated[float, Field(ge=-40, le=-5, description="Loudness of the result in LUFS")] = -16.0,
    normalize: Annotated[bool, Field(description="Set the loudness, and limit peaks to -1 dBTP")] = True,
    attenuation_limit_db: Annotated[
        float, Field(ge=0, le=100, description="Most that noise is lowered, in dB (100 = as much as possible)")
    ] = 100.0,
) -> File:
    """Remove noise from a recording and set its loudness. The result is a WAV file (16-bit PCM).

    It has the sample rate, channels and length of the recording. Silence and sounds under 0.4 s keep their level.
    """
    context = current()
    runtime, report = context.runtime, context.report
    wanted = Wanted(loudness, normalize, attenuation_limit_db)
    folder = catalog.locate(context.plan, runtime.settings)
    assert folder is not None  # the plan has found it
    with runtime.decoder.decode_whole(file, report) as sound, runtime.pool.slot(report):
        context.meter(sound.duration)
        made = enhance(sound, wanted, folder, report)
    return File("enhanced.wav", "audio/wav", chunks(made.path), made.warnings, headers=made.headers)


def plan_speech(text: str, language: str, model: str, consent: bool, **others: object) -> SpeechPlan:
    """Choose model and language, and split the text. Raises BadInput and ModelMissing before any work begins."""
    runtime = current().runtime
    if runtime.settings.require_consent and not consent:
        raise BadInput(
            "Speech in a person's voice needs that person's consent here. Send `consent=true` if you have it."
        )
    speaker, code = choose_speaker(runtime.pool, model, language, text)
    return SpeechPlan(speaker, code, lines_of(text, code), choose_listener(runtime.pool, speaker))


def speech_stages(**others: object) -> dict[str, float]:
    """Return the stages of speaking, with their usual shares of the time."""
    return {"decoding": 2.0, "checking": 38.0, "speaking": 60.0}


def speech_estimate(text: str, speed: float, **others: object) -> float:
    """Return the seconds of speech that are reserved before the work."""
    return expected_seconds(text, speed)


@operation(
    "POST",
    "/v1/tts",
    scope="speech",
    charge=Charge("output", estimate=speech_estimate),
    job=JobSpec(speech_stages),
    plan=plan_speech,
)
def tts(
    reference: Media,
    text: Annotated[
        str,
        Field(min_length=1, max_length=LONGEST_TEXT, description="Text to speak", json_schema_extra={PROSE: True}),
    ],
    language: Annotated[
        str, Field(description="Language of the text: a code such as `en`, or `auto` (detect)")
    ] = "auto",
    speed: Annotated[float, Field(ge=0.5, le=2, description="Speed of the speech; 1 is the usual one")] = 1.0,
    model: Annotated[
        str, Field(description="Model that speaks: `f5-tts`, `kokoro-82m` or `auto` (the best one that is installed)")
    ] = "auto",
    consent: Annotated[bool, Field(description="Whether the owner of the voice agrees to this use of it")] = False,
) -> File:
    """Speak a text in a voice like that of a recording. The result is a WAV file that is marked as synthetic.

    The recording has 3 to 10 s of one person speaking. With the embedded model, the voice is the nearest one that its
    stock voices and their mixtures can give, not a copy of the person's; `f5-tts` copies it.
    """
    context = current()
    runtime, report, plan = context.runtime, context.report, context.plan
    began = time.monotonic()
    with ExitStack() as stack:
        sound = stack.enter_context(TemporaryFile(dir=runtime.work_dir))
        with runtime.decoder.decode(reference, report) as audio:
            check_reference(audio)
            with runtime.pool.slot(report):
                match = runtime.voice_matches.find(audio, plan.model, lambda: _match(reference, audio))
                rate = _written(sound, spoken(runtime.pool, plan, match.voice, speed, report))
        samples = sound.tell() // SAMPLE_BYTES
        context.meter(samples / rate)
        stack.pop_all()  # `_marked` closes it
    headers = {
        "X-Duration": f"{samples / rate:.3f}",
        "X-Generation-Time": f"{time.monotonic() - began:.3f}",
        "X-Engine": plan.model.id,
        "X-Similarity": f"{match.similarity:.3f}",
    }
    return File("speech.wav", "audio/wav", _marked(sound, rate, plan.model.id), headers=headers)


def _match(reference: Path, audio: Audio) -> VoiceMatch:
    """Find the voice of a reference."""
    context = current()
    runtime, report, plan = context.runtime, context.report, context.plan
    if plan.model.engine in COPIES:
        with runtime.decoder.decode(reference, report, COPY_RATE) as fine:
            copy = heard(runtime.pool, plan, audio, fine, report)
    else:
        copy = heard(runtime.pool, plan, audio, audio, report)
    return runtime.pool.match(plan.model, audio, report, copy)


def _written(file: IO[bytes], pieces: Iterator[tuple[bytes, int]]) -> int:
    """Write pieces of PCM; return their sample rate."""
    rates = set()
    for pcm, rate in pieces:
        file.write(pcm)
        rates.add(rate)
    (one,) = rates
    return one


def _marked(file: IO[bytes], rate: int, engine: str) -> Iterator[bytes]:
    """Yield PCM as a WAV file with the mark of synthetic speech."""
    with file:
        yield synthetic_wav.header(rate, file.tell() // SAMPLE_BYTES, engine, date.today().isoformat())
        file.seek(0)
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")
