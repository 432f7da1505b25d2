"""Replace spans of a recording with silence or a tone. Pure except for files; times in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Literal

from stt_lab.audio.wav import to_pcm, wav_writer
from stt_lab.types import SAMPLE_RATE, Audio, Event, Report, Span

if TYPE_CHECKING:
    from stt_lab.types import Samples

Sound = Literal["silence", "tone"]
PADDING = 0.15  # seconds on both sides: word times are 50 to 200 ms off
FADE = 0.01  # seconds of fade around a span, to avoid clicks
TONE_HZ, TONE_LEVEL = 1000, 0.1  # level as a share of full scale
WINDOW = 10 * SAMPLE_RATE  # samples in memory at once


def padded(spans: Iterable[tuple[Span, float]], duration: float) -> tuple[Span, ...]:
    """Return spans with their padding, within the recording, in order, and merged where they touch."""
    made: list[Span] = []
    wide = (Span(max(0.0, span.start - pad), min(duration, max(span.end + pad, 0.0))) for span, pad in spans)
    for span in sorted(wide, key=lambda span: span.start):
        if made and span.start <= made[-1].end + 2 * FADE:
            made[-1] = Span(made[-1].start, max(made[-1].end, span.end))
        else:
            made.append(span)
    return tuple(made)


def replaced(audio: Audio, start: int, stop: int, spans: Sequence[Span], sound: Sound) -> Samples:
    """Return samples `start` to `stop` with the spans replaced. Each sample depends only on its position, so windows
    fit together."""
    import numpy as np

    samples = audio.read(start, stop)
    places = np.arange(start, start + len(samples))
    for span in spans:
        first, last = math.floor(span.start * SAMPLE_RATE), math.ceil(span.end * SAMPLE_RATE)
        if last + FADE * SAMPLE_RATE <= start or first - FADE * SAMPLE_RATE >= stop:
            continue
        depth = np.minimum(places - first, last - 1 - places)  # samples inside the span, negative outside
        samples *= np.clip(-depth / (FADE * SAMPLE_RATE), 0, 1).astype(np.float32)
        if sound == "tone":
            level = TONE_LEVEL * np.clip(depth / (FADE * SAMPLE_RATE), 0, 1)
            samples += (level * np.sin(2 * np.pi * TONE_HZ / SAMPLE_RATE * places)).astype(np.float32)
    return samples


def write(audio: Audio, spans: Sequence[Span], sound: Sound, folder: Path, report: Report) -> IO[bytes]:
    """Write the whole recording as WAV to an unnamed file, which disappears when it is closed."""
    file = TemporaryFile(dir=folder)  # noqa: SIM115  the caller reads and closes it
    try:
        with wav_writer(file) as append:
            for start in range(0, audio.samples, WINDOW):
                report(Event("writing", start / audio.samples))
                append(to_pcm(replaced(audio, start, start + WINDOW, spans, sound)))
        file.seek(0)
    except BaseException:
        file.close()
        raise
    report(Event("writing", 1.0))
    return file
