"""Decoded sound with its own rate and channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Multichannel:
    """A file of interleaved 32-bit floats in [-1, 1], little-endian: the sound as it was recorded."""

    path: Path
    samples: int  # of each channel
    channels: int
    sample_rate: int  # Hz
    warnings: tuple[str, ...] = ()

    @property
    def duration(self) -> float:  # seconds
        return self.samples / self.sample_rate
