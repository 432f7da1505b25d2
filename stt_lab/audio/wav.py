"""Write WAV files of 16-bit mono PCM."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.types import Samples


def to_pcm(samples: Samples) -> bytes:
    """Convert samples in [-1, 1), shape (n,), to little-endian 16-bit PCM. Louder samples are clipped."""
    import numpy as np

    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()


@contextmanager
def wav_writer(target: Path | IO[bytes], sample_rate: int = SAMPLE_RATE) -> Iterator[Callable[[bytes], None]]:
    """Write a WAV file: the block gets a function that appends PCM. A file object must be seekable and stays open."""
    with wave.open(str(target) if isinstance(target, Path) else target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(sample_rate)
        yield file.writeframesraw
