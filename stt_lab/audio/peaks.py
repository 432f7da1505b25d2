"""The outline of a recording, for drawing it: the largest amplitude of each stretch of time."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_lab.types import Audio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 100  # levels a second that are kept, from which every lower rate is made
BLOCK_S = 60  # seconds of sound in memory at once
KEPT_BYTES = 32 * 1024 * 1024  # of outlines in memory: 90 hours


@dataclass(frozen=True)
class Outline:
    """The levels of a recording: RATE a second, each from 0 to 255."""

    duration: float  # seconds
    levels: bytes

    def at(self, per_second: int) -> tuple[float, ...]:
        """Return the peaks at a rate of 1 to RATE a second, from 0 to 1; the last one may be of a shorter time."""
        import numpy as np

        levels = np.frombuffer(self.levels, np.uint8)
        count = math.ceil(len(levels) * per_second / RATE)
        starts = np.arange(count) * RATE // per_second
        peaks = np.maximum.reduceat(levels, starts) if count else levels
        return tuple((peaks / 255).round(3).tolist())


def outline(audio: Audio) -> Outline:
    """Measure decoded sound, a block at a time."""
    import numpy as np

    block = BLOCK_S * audio.sample_rate
    levels = [_levels(audio.read(start, start + block), audio.sample_rate) for start in range(0, audio.samples, block)]
    return Outline(audio.duration, np.concatenate([np.zeros(0, np.uint8), *levels]).tobytes())


def _levels(samples: NDArray[np.float32], rate: int) -> NDArray[np.uint8]:
    import numpy as np

    starts = np.arange(math.ceil(len(samples) * RATE / rate)) * rate // RATE
    peaks = np.maximum.reduceat(np.abs(samples), starts)
    levels: NDArray[np.uint8] = np.minimum(np.ceil(peaks * 255), 255).astype(np.uint8)
    return levels


class Outlines:
    """Outlines by recording: those that were used last, within KEPT_BYTES."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Outline] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Outline | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def put(self, name: str, made: Outline) -> None:
        with self._lock:
            self._kept[name] = made
            while len(self._kept) > 1 and sum(len(one.levels) for one in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
