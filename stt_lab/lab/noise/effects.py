"""Degrade audio in controlled ways: noise, reverberation, clipping, speed, and telephone bandwidth.

An effect maps samples and a seed to samples, deterministically. Most use audiomentations; reverberation uses
pyroomacoustics, because audiomentations' RoomSimulator cuts reflections off (0.25 s measured for a T60 of 0.6 s).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stt_lab.errors import Unavailable
from stt_lab.extras import command
from stt_lab.lab.noise.levels import active_level
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

Effect = Callable[["Sound", int], "Sound"]
TELEPHONE_HZ = (300.0, 3400.0)
STEEPNESS_DB = 24  # roll-off of the telephone filters, dB per octave
ROOM_M = (6.0, 5.0, 3.0)
SPEAKER_M, MICROPHONE_M = (1.5, 1.2, 1.6), (3.5, 3.0, 1.2)  # 2.7 m apart: more reverberation than direct sound
COLOURS = {"white": 0.0, "pink": -3.01, "brown": -6.02}  # decibels per octave


def _made(name: str, sound: Sound, seed: int, **strength: Any) -> Sound:
    """Apply a transform of audiomentations."""
    import numpy as np

    try:
        import audiomentations
    except ImportError:
        raise Unavailable(f"Robustness tests need the package audiomentations. Run {command('lab')}.") from None
    transform = getattr(audiomentations, name)(p=1.0, **strength)
    with _seeded(seed):
        return np.asarray(transform(sound, SAMPLE_RATE), np.float32)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global random generators that audiomentations uses, and restore their state."""
    import numpy as np

    before, numbers = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numbers)


def unchanged(sound: Sound, seed: int) -> Sound:
    """Return the audio unchanged."""
    return sound


def noise(snr_db: float, colour: str = "pink") -> Effect:
    """Add stationary noise `snr_db` below the active speech level (ITU-T P.56), which ignores pauses."""

    def effect(sound: Sound, seed: int) -> Sound:
        import numpy as np

        mean, active = float(np.mean(np.square(sound, dtype=float))), active_level(sound)
        if not active:
            return sound
        asked = snr_db + 10 * float(np.log10(mean / active))  # audiomentations measures SNR from the mean power
        fall = COLOURS[colour]
        return _made(
            "AddColorNoise", sound, seed, min_snr_db=asked, max_snr_db=asked, min_f_decay=fall, max_f_decay=fall
        )

    return effect


def room(t60_s: float) -> Effect:
    """Add reverberation of a 6 x 5 x 3 m room with this T60 (by Sabine), at the same speech level."""

    def effect(sound: Sound, seed: int) -> Sound:
        import numpy as np
        from scipy.signal import fftconvolve

        made = fftconvolve(sound, impulse_response(t60_s))
        gain = np.sqrt(active_level(sound) / max(active_level(made), 1e-12))
        return np.asarray(gain * made, np.float32)

    return effect


@lru_cache(maxsize=8)
def impulse_response(t60_s: float) -> Sound:
    """Compute the impulse response from speaker to microphone by the image source method."""
    import numpy as np

    try:
        import pyroomacoustics
    except ImportError:
        raise Unavailable(f"Reverberation needs the package pyroomacoustics. Run {command('lab')}.") from None
    absorption, reflections = pyroomacoustics.inverse_sabine(t60_s, ROOM_M)
    walls = pyroomacoustics.Material(absorption)
    made = pyroomacoustics.ShoeBox(ROOM_M, fs=SAMPLE_RATE, materials=walls, max_order=reflections)
    made.add_source(list(SPEAKER_M))
    made.add_microphone(list(MICROPHONE_M))
    made.compute_rir()
    return np.asarray(made.rir[0][0], np.float32)


def clipping(percent: int) -> Effect:
    """Clip the loudest `percent` of the samples, like a microphone with too much gain."""
    limits = {"min_percentile_threshold": percent, "max_percentile_threshold": percent}
    return lambda sound, seed: _made("ClippingDistortion", sound, seed, **limits)


def speed(factor: float) -> Effect:
    """Change the speed by a factor, at the same pitch."""
    rates = {"min_rate": factor, "max_rate": factor, "leave_length_unchanged": False}
    return lambda sound, seed: _made("TimeStretch", sound, seed, **rates)


def telephone_band(sound: Sound, seed: int) -> Sound:
    """Limit the band to that of a telephone, 300 to 3,400 Hz."""
    for name, hertz in zip(("HighPassFilter", "LowPassFilter"), TELEPHONE_HZ, strict=True):
        limits = {"min_cutoff_freq": hertz, "max_cutoff_freq": hertz}
        sound = _made(name, sound, seed, **limits, min_rolloff=STEEPNESS_DB, max_rolloff=STEEPNESS_DB)
    return sound
