"""Draw waveforms and spectrograms of recordings, of any length in bounded memory."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.types import Audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pcm = NDArray[Any]  # 16-bit samples, shape (n,)

COLUMNS, ROWS = 480, 96  # of a picture
HIGHEST_HZ = 8000.0
WINDOW_S = 0.064  # of a Fourier transform
FRAMES = 4  # transforms of a column, whatever the length
LOUDEST, QUIETEST = -20.0, -95.0  # dB of the brightest and darkest colour
COLOURS = ((0, 8, 15, 35), (70, 19, 78, 74), (150, 15, 148, 136), (205, 153, 226, 180), (255, 255, 251, 214))


@dataclass(frozen=True)
class SoundPicture:
    """A waveform and a spectrogram over the same time."""

    duration: float  # seconds
    peak: float  # of full scale
    waveform: str  # path of an SVG of COLUMNS x 2, whose middle is y = 1
    spectrogram: str  # PNG in base64


def read_decoded(audio: Audio) -> tuple[Pcm, int]:
    """Return the samples of decoded sound, without reading it whole, and their rate in Hz."""
    import numpy as np

    whole = np.memmap(audio.path, "<i2", "r", shape=(audio.samples,)) if audio.samples else np.zeros(0, np.int16)
    return whole, audio.sample_rate


def read_wav(path: Path) -> tuple[Pcm, int]:
    """Return the first channel of a WAV file that this server made, without reading it whole, and its rate in Hz."""
    import wave

    import numpy as np

    with path.open("rb") as file:
        with wave.open(file) as reader:
            rate, channels, count = reader.getframerate(), reader.getnchannels(), reader.getnframes()
            reader.readframes(1)
            start = file.tell() - 2 * channels if count else file.tell()
        if not count:
            return np.zeros(0, np.int16), rate
        whole = np.memmap(path, "<i2", "r", start, (count, channels))
    return whole[:, 0], rate


def picture_of(sound: Pcm, rate: int, gain_db: float = 0.0) -> SoundPicture:
    """Draw a sound; its spectrogram as if it were louder by `gain_db`."""
    import numpy as np

    edges = np.linspace(0, len(sound), COLUMNS + 1).astype(int)
    lows, highs = np.zeros(COLUMNS), np.zeros(COLUMNS)
    image = np.zeros((ROWS, COLUMNS), np.uint8)
    for column, (start, stop) in enumerate(pairwise(edges)):
        if stop > start:
            part = sound[start:stop]
            lows[column], highs[column] = int(part.min()) / 32768, int(part.max()) / 32768
        image[:, column] = _column(sound, int(start), int(stop), rate, gain_db)
    peak = float(max(highs.max(), -lows.min()))
    return SoundPicture(len(sound) / rate, peak, _path(lows, highs), base64.b64encode(_png(image)).decode("ascii"))


def _column(sound: Pcm, start: int, stop: int, rate: int, gain_db: float) -> Pcm:
    """Return the colours of a column, lowest frequency last."""
    import numpy as np

    size = 2 ** round(np.log2(WINDOW_S * rate))
    window = np.hanning(size)
    power = np.zeros(size // 2 + 1)
    for middle in np.linspace(start, stop, FRAMES, endpoint=False).astype(int):
        part = np.zeros(size)
        begin = max(0, middle - size // 2)
        taken = sound[begin : begin + size]
        part[: len(taken)] = taken / 32768
        power += np.abs(np.fft.rfft(part * window) / (window.sum() / 2)) ** 2 / FRAMES
    bins = np.linspace(0, min(HIGHEST_HZ, rate / 2) / rate * size, ROWS + 1).astype(int)
    rows = np.array([power[low : max(high, low + 1)].max() for low, high in pairwise(bins)])
    level = 10 * np.log10(rows + 1e-12) + gain_db
    made: Pcm = np.clip((level - QUIETEST) / (LOUDEST - QUIETEST) * 255, 0, 255).astype(np.uint8)[::-1]
    return made


def _path(lows: Pcm, highs: Pcm) -> str:
    """Return the outline of a waveform as an SVG path."""
    top = " ".join(f"{x},{1 - high:.3f}" for x, high in enumerate(highs))
    bottom = " ".join(f"{x},{1 - low:.3f}" for x, low in reversed(list(enumerate(lows))))
    return f"M{top} L{bottom}Z"


def _png(image: Pcm) -> bytes:
    """Return a picture with a palette as PNG."""
    import numpy as np

    steps = [colour[0] for colour in COLOURS]
    palette = np.stack([np.interp(range(256), steps, [colour[i] for colour in COLOURS]) for i in (1, 2, 3)], 1)
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    height, width = image.shape
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
