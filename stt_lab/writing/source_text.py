"""The text to work on; for a transcript also who spoke, and when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from stt_lab.cached import cached
from stt_lab.types import Segment, TextSpan, Transcript


@dataclass(frozen=True)
class SegmentSpan(TextSpan):
    """A segment of a transcript, as a span of the text."""

    order: int  # number of the segment, from 0
    begin: float  # seconds
    finish: float
    speaker: str | None


@dataclass(frozen=True)
class SourceText:
    """A text. The text of a transcript is the texts of its segments, joined by single spaces."""

    text: str
    language: str | None = None  # ISO 639-1; None: unknown
    segments: tuple[SegmentSpan, ...] = ()  # in order; () for plain text
    duration: float = 0.0  # seconds; 0 for plain text

    @classmethod
    def of(cls, transcript: Transcript) -> SourceText:
        """Make the source text of a transcript."""
        return cls(transcript.text, transcript.language, tuple(_parts(transcript.segments)), transcript.duration)

    @cached
    def _starts(self) -> list[int]:
        return [part.start for part in self.segments]

    def part(self, offset: int) -> SegmentSpan | None:
        """Return the segment of a character; the space after a segment belongs to it. None for plain text."""
        place = bisect_right(self._starts, offset) - 1
        return self.segments[place] if place >= 0 else None

    def segment_orders(self, spans: Iterable[TextSpan]) -> tuple[int, ...]:
        """Return the numbers of the segments that the spans touch, in order; () for plain text."""
        found = {
            part.order
            for span in spans
            for part in self.segments[max(0, bisect_right(self._starts, span.start) - 1) :]
            if part.start < max(span.end, span.start + 1) and span.start < part.end
        }
        return tuple(sorted(found))

    def time(self, offset: int) -> float | None:
        """Estimate when a character was spoken, in seconds; None for plain text."""
        part = self.part(offset)
        if part is None:
            return None
        share = min(1.0, (offset - part.start) / max(1, part.end - part.start))
        return part.begin + share * (part.finish - part.begin)


def _parts(segments: Iterable[Segment]) -> Iterable[SegmentSpan]:
    start = 0
    for order, segment in enumerate(segments):
        end = start + len(segment.text)
        yield SegmentSpan(start, end, order, segment.start, segment.end, segment.speaker)
        start = end + 1
