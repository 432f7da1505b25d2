"""Estimate speech level and signal-to-noise ratio from the audio alone, without a model or a reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stt_lab.errors import SttError
from stt_lab.lab.data.items import Item
from stt_lab.lab.noise.sound import own_decoder
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

# ITU-T P.56 (12/2011), method B
SMOOTHED_S = 0.03  # time constant of the envelope, smoothed twice
HANGOVER_S = 0.2  # speech continues that long after the envelope has fallen
MARGIN_DB = 15.9  # from the activity threshold up to the active level
BITS = 15  # thresholds: 2^-15 to 2^-1

FRAME = round(0.04 * SAMPLE_RATE)  # samples; shorter frames follow the periods of low-frequency noise
QUIET = 0.2  # fraction of frames taken as pauses
FEWEST = 25  # frames: a second
LOWEST_DB = -10.0  # lower values are indistinguishable from noise
LONGEST = 300 * SAMPLE_RATE  # samples of a recording that are analysed


def active_level(sound: Sound) -> float:
    """Return the mean power during speech by ITU-T P.56, without pauses. 1 = full scale, 0 = silence."""
    import numpy as np

    envelope, energy = _envelope(sound), float(np.sum(np.square(sound, dtype=float)))
    before: tuple[float, float] | None = None  # of the previous threshold: level and distance above the margin, dB
    for bit in range(-BITS, 0):
        active = int(np.count_nonzero(envelope >= 2.0**bit))
        if not active or not energy:
            break
        level = 10 * float(np.log10(energy / active))
        above = level - 20 * float(np.log10(2.0**bit)) - MARGIN_DB
        if above <= 0 and before:  # interpolate between the two thresholds
            level = before[0] + (level - before[0]) * before[1] / (before[1] - above)
        before = level, above
        if above <= 0:
            break
    return float(10 ** (before[0] / 10)) if before else 0.0


def _envelope(sound: Sound) -> Sound:
    """Return the smoothed magnitude, held at its maximum for the hangover."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    keep, hold = np.exp(-1 / (SMOOTHED_S * SAMPLE_RATE)), round(HANGOVER_S * SAMPLE_RATE)
    made = np.abs(sound.astype(float))
    for _ in range(2):
        made = lfilter([1 - keep], [1, -keep], made)
    return np.asarray(maximum_filter1d(made, hold + 1, origin=hold // 2))  # looks back only


def signal_to_noise(sound: Sound) -> float | None:
    """Estimate the SNR in dB: speech against the sound of its pauses; None for less than a second of sound.

    Speech is the active level of P.56 minus the noise; noise is the mean power of the quietest fifth of the 40 ms
    frames. Digital silence is skipped: it is padding or a gate. Speech without pauses is underestimated, and music
    under speech counts as noise. eval/LOG.md has the measured error.
    """
    import numpy as np

    frames = len(sound) // FRAME
    power = np.mean(np.square(sound[: frames * FRAME].reshape(frames, FRAME), dtype=float), axis=1)
    power = np.sort(power[power > 0])
    if len(power) < FEWEST:
        return None
    noise = float(np.mean(power[: int(QUIET * len(power))]))
    speech = active_level(sound) - noise
    return max(LOWEST_DB, 10 * float(np.log10(speech / noise))) if speech > 0 else LOWEST_DB


def estimates(items: Iterable[Item]) -> dict[str, float | None]:
    """Estimate the SNR of each recording by id; None also for an unreadable one."""
    found: dict[str, float | None] = {}
    with own_decoder(get_settings()) as decoder:
        for item in items:
            try:
                with decoder.decode(item.audio) as audio:
                    found[item.id] = signal_to_noise(audio.read(0, LONGEST))
            except SttError:
                found[item.id] = None
    return found
