"""Verify a redacted recording: transcribe it again around each removed span."""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from stt_lab.audio.wav import to_pcm
from stt_lab.engines.pii.spoken import written
from stt_lab.errors import Unavailable
from stt_lab.privacy.mask import PADDING, WINDOW, Sound, padded, replaced
from stt_lab.text import normalise
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Event, Segment, Span, Transcript, Word
from stt_lab.weights import catalog
from stt_lab.writing.tools import Tools

AROUND = 3.0  # seconds of sound on both sides that are transcribed again
ROUNDS = 4  # the first attempt, and three with wider spans
WIDER = 0.2  # seconds by which padding grows each round
LEAST_LETTERS, LEAST_DIGITS = 3, 4  # lengths from which a word or a number counts


@dataclass(frozen=True)
class RemovedValue:
    """A value that must no longer be audible, and where it was spoken."""

    value: str
    span: Span
    padding: float = PADDING


@dataclass(frozen=True)
class Relistener:
    """Transcribes parts of a redacted recording again."""

    tools: Tools
    audio: Audio
    transcript: Transcript
    model: catalog.Model
    sound: Sound
    folder: Path  # for temporary files

    def silenced(self, gone: Sequence[RemovedValue]) -> tuple[Span, ...]:
        """Return the spans to replace so that no value is audible. The caller holds the device slot. Raises Unavailable
        if a value remains audible."""
        heard: list[tuple[RemovedValue, list[Span]]] = []
        for _ in range(ROUNDS):
            spans = padded(((one.span, one.padding) for one in gone), self.audio.duration)
            heard = list(self._heard(gone, spans))
            if not heard:
                return spans
            wider = {one: replace(one, padding=one.padding + WIDER) for one, _ in heard}
            places = [RemovedValue(one.value, place) for one, found in heard for place in found]
            gone = [*(wider.get(one, one) for one in gone), *places]
        where = ", ".join(f"{one.span.start:.1f} s" for one, _ in heard[:3])
        raise Unavailable(
            f"The recording cannot be redacted: removed words are still audible near {where}. Redact the text instead."
        )

    def _heard(
        self, gone: Sequence[RemovedValue], spans: tuple[Span, ...]
    ) -> Iterator[tuple[RemovedValue, list[Span]]]:
        """Yield the values that are still audible, with the spans of the words in which they were heard."""
        windows = padded(((span, AROUND) for span in spans), self.audio.duration)
        for number, window in enumerate(windows):
            words = self._listen(window, spans, number / len(windows), 1 / len(windows))
            heard = [word.text for word in words]
            left = [word.text for word in self._words(window) if not any(word.overlap(span) > 0 for span in spans)]
            for one in gone:
                here = window.start <= one.span.start <= window.end
                if here and (found := returns(one.value, heard, left)):
                    yield one, [Span(window.start + words[i].start, window.start + words[i].end) for i in found]

    def _words(self, window: Span) -> Iterable[Word | Segment]:
        for segment in self.transcript.segments:
            if segment.start <= window.end and window.start <= segment.end:
                yield from (word for word in segment.words or (segment,) if word.overlap(window) > 0)

    def _listen(self, window: Span, spans: tuple[Span, ...], done: float, share: float) -> list[Word | Segment]:
        """Transcribe a window of the redacted sound; times count from its start."""
        start, stop = int(window.start * SAMPLE_RATE), int(window.end * SAMPLE_RATE)
        path = self.folder / f"{secrets.token_hex(16)}.pcm"

        def report(event: Event) -> None:
            whole = event.stage == "transcribing"
            self.tools.report(replace(event, fraction=done + share * event.fraction) if whole else event)

        try:
            with path.open("wb") as file:
                for first in range(start, stop, WINDOW):
                    file.write(to_pcm(replaced(self.audio, first, min(first + WINDOW, stop), spans, self.sound)))
            cut = Audio(path, path.stat().st_size // SAMPLE_BYTES)
            made = self.tools.pool.transcribe(self.model, cut, self.transcript.language, report)
        finally:
            path.unlink(missing_ok=True)
        return [word for segment in made.segments for word in segment.words or (segment,)]


def returns(value: str, heard: Sequence[str], left: Sequence[str]) -> list[int]:
    """Return the indices of heard words that reveal a value, beyond what `left` says of it; [] if it is gone.

    A word of the value reveals it, or four of its digits in a row, however they are spelled.
    """
    wanted = {word for word in _plain(value) if word.isalpha() and len(word) >= LEAST_LETTERS}
    expected = Counter(word for text in left for word in _plain(text))
    again = Counter(word for text in heard for word in _plain(text))
    words = {word for word in wanted if again[word] > expected[word]}
    found = [i for i, text in enumerate(heard) if words & set(_plain(text))]
    return sorted({*found, *_digits(value, heard, left)})


def _digits(value: str, heard: Sequence[str], left: Sequence[str]) -> Iterator[int]:
    """Yield the indices of heard words that make up digits of the value."""
    number, expected = (re.sub(r"\D", "", written(" ".join(texts)).text) for texts in ([value], left))
    form = written(" ".join(heard))
    starts = list(accumulate((len(text) + 1 for text in heard), initial=0))
    spelt = [
        (char, bisect_right(starts, start) - 1)
        for char, start in zip(form.text, form.starts, strict=True)
        if char.isdigit()
    ]
    said = "".join(char for char, _ in spelt)
    for first in range(len(said) - LEAST_DIGITS + 1):
        part = said[first : first + LEAST_DIGITS]
        if part in number and part not in expected:
            yield from (i for _, i in spelt[first : first + LEAST_DIGITS])


def _plain(text: str) -> list[str]:
    return normalise(text, "basic").split()
