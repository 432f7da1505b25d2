"""Operations on voices: cleaner recordings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stt_lab.registry import Charge, JobSpec, Media, current, operation
from stt_lab.types import File
from stt_lab.voice.enhancement import Wanted, chunks, enhance
from stt_lab.weights import catalog

ENHANCE = "enhance"  # task of the catalog


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
