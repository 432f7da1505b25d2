"""Decode and write audio in the laboratory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.audio.wav import wav_writer
from stt_lab.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]  # shape (samples,), 16 kHz, in [-1, 1)

__all__ = ["own_decoder", "write_wav"]


@contextmanager
def own_decoder(settings: Settings) -> Iterator[Decoder]:
    """Start a decoder with the server's limits and a temporary folder of its own."""
    with tempfile.TemporaryDirectory(prefix="stt_lab-") as folder:
        limits = DecodeLimits(settings.max_samples, settings.decode_timeout_s)
        with closing(Decoder(Path(folder), limits)) as made:
            yield made


def write_wav(path: Path, sound: Sound) -> None:
    """Write 16-bit mono WAV. Audio above full scale is scaled down, never clipped."""
    import numpy as np

    peak = max(1.0, float(np.max(np.abs(sound), initial=0.0)))
    with wav_writer(path) as append:
        append((sound / peak * 32767).astype("<i2").tobytes())
