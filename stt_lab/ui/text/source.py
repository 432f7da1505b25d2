"""The text that is worked on, pasted or from the library, and where its citations lead."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

from stt_lab.cached import cached
from stt_lab.operations.library import TranscriptDetail
from stt_lab.text import clock
from stt_lab.transcription.render import from_json
from stt_lab.types import TextSpan, Transcript, Word
from stt_lab.writing.source_text import SegmentSpan, SourceText

NAME = 80  # characters of a file name


@dataclass(frozen=True)
class ParagraphRange:
    """A range in a displayed paragraph, in UTF-16 code units, as browsers count."""

    paragraph: int  # index of the segment; 0 in a pasted text
    start: int
    end: int


@dataclass(frozen=True)
class Citation:
    """A cited passage."""

    places: tuple[ParagraphRange, ...]  # () for a passage outside the text
    said: str
    seconds: float | None = None  # None in a pasted text
    speaker: str | None = None


@dataclass(frozen=True)
class TextSource:
    """A text as operations see it, and its transcript if it has one."""

    content: SourceText
    detail: TranscriptDetail | None = None
    transcript: Transcript | None = None

    @classmethod
    def pasted(cls, text: object) -> TextSource:
        """Take a pasted text; line ends become those of browsers, so that offsets agree."""
        plain = str(text or "").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        return cls(SourceText(plain))

    @classmethod
    def stored(cls, detail: TranscriptDetail) -> TextSource:
        """Take a transcript of the library."""
        transcript = from_json(vars(detail))
        return cls(SourceText.of(transcript), detail, transcript)

    @property
    def title(self) -> str:
        return self.detail.title if self.detail else "Pasted text"

    @property
    def stem(self) -> str:
        """Stem of the names of downloads."""
        return Path(self.title).stem[:NAME] or "text"

    def cite(self, span: TextSpan) -> Citation:
        """Return the citation of a span: its ranges, and the time and speaker of its first word."""
        first = self.content.part(span.start)
        return Citation(
            tuple(self._places(span)),
            span.of(self.content.text),
            self.seconds(span.start),
            first.speaker if first else None,
        )

    def segment(self, order: int) -> TextSpan | None:
        """Return the span of a segment; None if the transcript has no such segment."""
        if not 0 <= order < len(self.content.segments):
            return None
        part = self.content.segments[order]
        return TextSpan(part.start, part.end)

    def stamp(self, span: TextSpan) -> str:
        """Format the start time of a span for plain text; "" in a pasted text."""
        seconds = self.seconds(span.start)
        return "" if seconds is None else f" ({clock(seconds)})"

    def seconds(self, offset: int) -> float | None:
        """Return the start time of the word at an offset; None in a pasted text."""
        word = self._word(offset)
        return word.start if word else self.content.time(offset)

    def end(self, offset: int) -> float | None:
        """Return the end time of the word before an offset; None in a pasted text."""
        word = self._word(max(0, offset - 1))
        return word.end if word else self.content.time(offset)

    def _word(self, offset: int) -> Word | None:
        part = self.content.part(offset)
        words = self.transcript.segments[part.order].words if self.transcript and part else ()
        ends = accumulate((len(word.text) for word in words), initial=part.start - 1 if part else 0)
        found = (word for word, end in zip(words, islice(ends, 1, None), strict=True) if offset < end)
        return next(found, words[-1] if words else None)

    def _places(self, span: TextSpan) -> Iterable[ParagraphRange]:
        if not self.content.segments:
            yield ParagraphRange(0, self._units(0, span.start), self._units(0, span.end))
        for order in self.content.segment_orders([span]):
            part = self.content.segments[order]
            start, end = max(part.start, span.start), min(part.end, span.end)
            if start < end:
                yield self._place(part, start, end)

    def _place(self, part: SegmentSpan, start: int, end: int) -> ParagraphRange:
        return ParagraphRange(part.order, self._units(part.start, start), self._units(part.start, end))

    def _units(self, base: int, offset: int) -> int:
        """Count UTF-16 code units between two offsets."""
        return offset - base + bisect_left(self._wide, offset) - bisect_left(self._wide, base)

    @cached
    def _wide(self) -> list[int]:
        """Offsets of characters with two code units."""
        text = self.content.text
        return [] if text.isascii() else [i for i, char in enumerate(text) if char > "\uffff"]
