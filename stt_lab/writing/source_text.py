"""A text to work on; of a transcript also who said what, and when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from stt_lab.types import Segment, TextSpan, Transcript


@dataclass(frozen=True)
class SegmentSpan(TextSpan):
    """A segment of a transcript, as it lies in the text."""

    order: int  # of the segment, from 0
    begin: float  # seconds
    finish: float
    speaker: str | None


@dataclass(frozen=True)
class SourceText:
    """A text, which of a transcript is its segments' texts joined by one space."""

    text: str
    language: str | None = None  # ISO 639-1; None: not known
    segments: tuple[SegmentSpan, ...] = ()  # of a transcript, in order; () of a plain text
    duration: float = 0.0  # seconds, of a transcript

    @classmethod
    def of(cls, transcript: Transcript) -> SourceText:
        return cls(transcript.text, transcript.language, tuple(_parts(transcript.segments)), transcript.duration)

    @cached_property
    def _starts(self) -> list[int]:
        return [part.start for part in self.segments]

    def part(self, offset: int) -> SegmentSpan | None:
        """The segment that a character belongs to; the space behind a segment is its own."""
        place = bisect_right(self._starts, offset) - 1
        return self.segments[place] if place >= 0 else None

    def segment_orders(self, spans: Iterable[TextSpan]) -> tuple[int, ...]:
        """`segment_order` of the segments that the spans touch, in order; () of a plain text."""
        found = {
            part.order
            for span in spans
            for part in self.segments[max(0, bisect_right(self._starts, span.start) - 1) :]
            if part.start < max(span.end, span.start + 1) and span.start < part.end
        }
        return tuple(sorted(found))

    def time(self, offset: int) -> float | None:
        """About when a character was said, in seconds; None of a plain text."""
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
