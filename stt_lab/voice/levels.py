"""Measure the loudness of a sound, and limit its peaks, block by block. Sounds are float32 of shape (n, channels).

Loudness is that of ITU-R BS.1770-4 with pyloudnorm's filters; the results are those of pyloudnorm.Meter. True peaks
are measured at four times the sample rate, as in its annex 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from pyloudnorm.iirfilter import IIRfilter
from scipy.ndimage import minimum_filter1d
from scipy.signal import firwin, lfilter, oaconvolve, resample_poly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_lab.types import Samples

WINDOW_S, STEP = 0.4, 0.25  # seconds of a gating block, and the share by which the next one is later
OFFSET = -0.691  # LUFS
ABSOLUTE, RELATIVE = -70.0, -10.0  # gates: LUFS, and LU below the mean of what passes the first one
SURROUND = 1.41  # weight of the channels behind
WEIGHTS = {  # of channels in FFmpeg's order, where their number tells it; the low-frequency channel does not count
    4: (1.0, 1.0, SURROUND, SURROUND),
    5: (1.0, 1.0, 1.0, SURROUND, SURROUND),
    6: (1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND),
    7: (1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND, SURROUND),
    8: (1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND, SURROUND, SURROUND),
}
OVERSAMPLING = 4
CEILING = 10 ** (-1.0 / 20)  # -1 dBTP
MARGIN = 0.992  # of the ceiling that is aimed at: rounding to 16 bits, and other filters of other meters
LOOKAHEAD_S = 0.015  # seconds on both sides over which the gain falls and rises
EDGE = 32  # samples on both sides that decide a true peak
BETWEEN = firwin(
    2 * OVERSAMPLING * EDGE + 1, 1.03 / OVERSAMPLING, window=("kaiser", 8.0)
)  # rather too high than too low


class LoudnessMeter:
    """Measures integrated loudness. `duration` counts in samples; the blocks come in order."""

    def __init__(self, rate: int, channels: int, samples: int) -> None:
        self._filters = [IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, rate, "high_shelf")]
        self._filters.append(IIRfilter(0.0, 0.5, 38.0, rate, "high_pass"))
        self._coefficients = [(one.b, one.a) for one in self._filters]
        self._states = [np.zeros((2, channels)) for _ in self._filters]
        count = max(0, round((samples / rate - WINDOW_S) / (WINDOW_S * STEP)) + 1) if samples >= WINDOW_S * rate else 0
        blocks = range(count)
        self._lows = np.array([int(WINDOW_S * (j * STEP) * rate) for j in blocks], np.int64)
        self._highs = np.array([min(samples, int(WINDOW_S * (j * STEP + 1) * rate)) for j in blocks], np.int64)
        self._bounds = np.unique(np.concatenate([self._lows, self._highs]))
        self._energies = np.zeros((len(self._bounds), channels))  # sums of squares before each bound
        self._total: NDArray[np.float64] = np.zeros(channels)
        self._taken = 0
        self._size = WINDOW_S * rate
        self._weights = np.array(WEIGHTS.get(channels, (1.0,) * channels))

    def push(self, samples: Samples) -> None:
        """Take the next samples, shape (n, channels)."""
        made: Any = samples.astype(np.float64)
        for i, (b, a) in enumerate(self._coefficients):
            made, self._states[i] = lfilter(b, a, made, axis=0, zi=self._states[i])
        sums = np.cumsum(np.square(made), axis=0)
        low, high = np.searchsorted(self._bounds, [self._taken, self._taken + len(samples)], "right")
        places = self._bounds[low:high] - self._taken - 1
        self._energies[low:high] = self._total + sums[places]
        self._total = self._total + (sums[-1] if len(sums) else 0.0)
        self._taken += len(samples)

    def loudness(self) -> float | None:
        """Return the loudness in LUFS; None for silence and for sounds under 0.4 s."""
        if not len(self._lows):
            return None
        at = np.searchsorted(self._bounds, self._highs), np.searchsorted(self._bounds, self._lows)
        power = (self._energies[at[0]] - self._energies[at[1]]) / self._size @ self._weights  # of each gating block
        with np.errstate(divide="ignore"):
            levels = OFFSET + 10 * np.log10(np.maximum(power, 0.0))
        loud = levels >= ABSOLUTE
        if not loud.any():
            return None
        gate = max(OFFSET + 10 * math.log10(power[loud].mean()) + RELATIVE, ABSOLUTE)
        return float(OFFSET + 10 * math.log10(power[levels > gate].mean()))


def true_peaks(samples: Samples) -> NDArray[np.float32]:
    """Return the largest level of all channels at and after each sample, at four times the rate; shape (n,)."""
    if not len(samples):
        return np.zeros(0, np.float32)
    fine = np.abs(resample_poly(samples, OVERSAMPLING, 1, axis=0, window=BETWEEN)).max(axis=1)
    between = fine.reshape(len(samples), OVERSAMPLING).max(axis=1)
    made: NDArray[np.float32] = np.maximum(between, np.abs(samples).max(axis=1)).astype(np.float32)
    return made


class Limiter:
    """Lowers what is louder than -1 dBTP, with a gain that changes slowly and is the same for all channels.

    Each sample's gain depends only on the sound within `context` samples of it, so blocks fit together.
    """

    def __init__(self, rate: int) -> None:
        self._reach = max(1, round(LOOKAHEAD_S * rate))
        shape = np.hanning(2 * self._reach + 3)[1:-1]
        self._window = shape / shape.sum()
        self.context = 2 * self._reach + EDGE

    def limit(self, samples: Samples) -> Samples:
        """Return samples with their peaks lowered; `context` samples at both ends serve only the others."""
        ceiling = CEILING * MARGIN
        peaks = true_peaks(samples) if np.abs(samples).max(initial=0.0) > ceiling / 2 else np.zeros(1, np.float32)
        if peaks.max(initial=0.0) <= ceiling:
            return samples
        needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
        lowest = minimum_filter1d(needed, 2 * self._reach + 1, mode="nearest")
        padded = np.pad(lowest, self._reach, mode="edge")
        gain = oaconvolve(padded, self._window, mode="valid")  # a mean of values that are all low enough
        made: Samples = (samples * gain[:, None]).astype(np.float32)
        return made
