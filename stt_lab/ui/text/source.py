"""What is worked on: a pasted text, or a transcript of the library; and where a citation of it leads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path

from stt_lab.operations.library import TranscriptDetail
from stt_lab.transcription.render import from_json
from stt_lab.types import TextSpan, Transcript, Word
from stt_lab.ui.html import clock
from stt_lab.writing.script import Part, Script

NAME = 80  # characters of a file's name


@dataclass(frozen=True)
class ParagraphRange:
    """A stretch of a paragraph of the shown text, counted as browsers count: in UTF-16 units."""

    paragraph: int  # of a transcript the segment, of a pasted text 0
    start: int
    end: int


@dataclass(frozen=True)
class Citation:
    """A place that something rests on."""

    places: tuple[ParagraphRange, ...]  # () of what does not lie in the text
    said: str
    seconds: float | None = None  # of a transcript
    speaker: str | None = None


@dataclass(frozen=True)
class TextSource:
    """A text as operations see it; of a transcript also what the library tells of it."""

    script: Script
    detail: TranscriptDetail | None = None
    transcript: Transcript | None = None

    @classmethod
    def pasted(cls, text: object) -> TextSource:
        """A text with line ends as browsers have them: else places in it would be others there."""
        plain = str(text or "").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        return cls(Script(plain))

    @classmethod
    def stored(cls, detail: TranscriptDetail) -> TextSource:
        transcript = from_json(vars(detail))
        return cls(Script.of(transcript), detail, transcript)

    @property
    def title(self) -> str:
        return self.detail.title if self.detail else "Pasted text"

    @property
    def stem(self) -> str:
        """Of the names of files that are made of it."""
        return Path(self.title).stem[:NAME] or "text"

    def cite(self, span: TextSpan) -> Citation:
        """Where a span leads: to the words themselves, and to the moment when the first of them was said."""
        first = self.script.part(span.start)
        return Citation(
            tuple(self._places(span)),
            span.of(self.script.text),
            self.seconds(span.start),
            first.speaker if first else None,
        )

    def segment(self, order: int) -> TextSpan | None:
        """Where a segment of the transcript is; None for one that it has not."""
        if not 0 <= order < len(self.script.parts):
            return None
        part = self.script.parts[order]
        return TextSpan(part.start, part.end)

    def stamp(self, span: TextSpan) -> str:
        """When a span begins, to stand behind a line of plain text; "" of a pasted text."""
        seconds = self.seconds(span.start)
        return "" if seconds is None else f" ({clock(seconds)})"

    def seconds(self, offset: int) -> float | None:
        """When the word at an offset begins; None in a pasted text."""
        word = self._word(offset)
        return word.start if word else self.script.time(offset)

    def end(self, offset: int) -> float | None:
        """When the word before an offset ends; None in a pasted text."""
        word = self._word(max(0, offset - 1))
        return word.end if word else self.script.time(offset)

    def _word(self, offset: int) -> Word | None:
        part = self.script.part(offset)
        words = self.transcript.segments[part.order].words if self.transcript and part else ()
        ends = accumulate((len(word.text) for word in words), initial=part.start - 1 if part else 0)
        found = (word for word, end in zip(words, islice(ends, 1, None), strict=True) if offset < end)
        return next(found, words[-1] if words else None)

    def _places(self, span: TextSpan) -> Iterable[ParagraphRange]:
        if not self.script.parts:
            yield ParagraphRange(0, self._units(0, span.start), self._units(0, span.end))
        for order in self.script.sources([span]):
            part = self.script.parts[order]
            start, end = max(part.start, span.start), min(part.end, span.end)
            if start < end:
                yield self._place(part, start, end)

    def _place(self, part: Part, start: int, end: int) -> ParagraphRange:
        return ParagraphRange(part.order, self._units(part.start, start), self._units(part.start, end))

    def _units(self, base: int, offset: int) -> int:
        """UTF-16 units between two offsets."""
        return offset - base + bisect_left(self._wide, offset) - bisect_left(self._wide, base)

    @cached_property
    def _wide(self) -> list[int]:
        """Offsets of the characters that take two units."""
        text = self.script.text
        return [] if text.isascii() else [i for i, char in enumerate(text) if char > "\uffff"]
