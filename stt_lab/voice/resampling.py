"""Change the sample rate of a sound that comes in blocks, without delay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import firwin, resample_poly

if TYPE_CHECKING:
    from stt_lab.types import Samples

# A filter that reaches a little beyond the lower rate's band: steeper or lower ones took up to 1 dB of SI-SDR from what
# DeepFilterNet makes of 16 kHz (eval/LOG.md)
REACH = 16  # samples of the lower rate on each side that make a sample
STOP_BETA = 8.0  # of Kaiser's window: what would alias is 80 dB down
CUTOFF = 1.02  # of the lower rate's band, where the filter is 6 dB down


class BlockResampler:
    """Resamples one channel from `source` to `target` Hz; the result does not depend on the size of blocks.

    Output sample n lies at the time n / `target`, so nothing is delayed; the last samples come with `finish`.
    """

    def __init__(self, source: int, target: int) -> None:
        common = math.gcd(source, target)
        self._up, self._down = target // common, source // common
        factor = max(self._up, self._down)
        taps = 2 * REACH * factor + 1
        self._filter = firwin(taps, CUTOFF / factor, window=("kaiser", STOP_BETA)) if factor > 1 else None
        self._reach = math.ceil(REACH * factor / self._up) + 1  # input samples on each side
        self._held: Samples = np.zeros(0, np.float32)
        self._start = 0  # of what is held, in input samples; a multiple of `down`
        self._made = 0  # output samples
        self._taken = 0  # input samples

    def push(self, samples: Samples) -> Samples:
        """Take the next input, shape (n,); return the output that is complete, shape (m,)."""
        if self._filter is None:
            return samples
        self._taken += len(samples)
        self._held = np.concatenate([self._held, samples])
        return self._out(max(0, (self._taken - self._reach) * self._up // self._down))

    def finish(self, total: int) -> Samples:
        """Return the rest, so that `total` samples have been made in all."""
        if self._filter is None or total <= self._made:
            return np.zeros(0, np.float32)
        missing = math.ceil(total * self._down / self._up) - self._taken + self._reach
        self._held = np.concatenate([self._held, np.zeros(max(0, missing), np.float32)])
        return self._out(total)

    def _out(self, until: int) -> Samples:
        """Return output samples from the last one made to `until`."""
        if until <= self._made:
            return np.zeros(0, np.float32)
        first = self._start * self._up // self._down
        made = resample_poly(self._held, self._up, self._down, window=self._filter)[self._made - first : until - first]
        self._made = until
        needed = max(0, until * self._down // self._up - self._reach) // self._down * self._down
        self._held, self._start = self._held[needed - self._start :], needed
        samples: Samples = made.astype(np.float32)
        return samples
