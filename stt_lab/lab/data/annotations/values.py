"""What annotation files say: text, segments, turns and words of one recording."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from stt_lab.lab.data.items import Flaw
from stt_lab.types import Segment, Span, Turn, Word

__all__ = ["Annotation", "by_start", "number", "of_segments", "of_words", "span"]

Made = TypeVar("Made", bound=Span)
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
SHOWN = 20  # characters of a wrong value that an error quotes


@dataclass(frozen=True)
class Annotation:
    """References of one recording; None if the format does not contain them."""

    text: str | None = None
    segments: tuple[Segment, ...] | None = None
    turns: tuple[Turn, ...] | None = None
    words: tuple[Word, ...] | None = None

    def __or__(self, other: Annotation) -> Annotation:
        """Merge two annotations; where both have a value, keep the left one."""
        found = {name: value for name, value in vars(self).items() if value is not None}
        return Annotation(**vars(other) | found)


def number(field: str, where: str) -> float:
    """Parse seconds. Raises Flaw, also for a decimal comma, which may as well divide thousands."""
    if not NUMBER.fullmatch(field):
        raise Flaw(f"{where}: {field[:SHOWN]!r} is not a number", "write seconds, with a point: 1.250")
    return float(field)


def span(kind: type[Made], start: float, end: float, where: str, *rest: Any, **more: Any) -> Made:
    """Build a span and check its times. Raises Flaw."""
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
        raise Flaw(f"{where}: {start:g} .. {end:g} are not valid times", "write seconds, with the end after the start")
    return kind(start, end, *rest, **more)


def by_start(parts: Iterable[Made]) -> tuple[Made, ...]:
    return tuple(sorted(parts, key=lambda part: part.start))


def of_segments(segments: Iterable[Segment]) -> Annotation:
    """Derive the text from segments, and turns if all speakers are known."""
    found = by_start(segments)
    turns = tuple(Turn(part.start, part.end, part.speaker) for part in found if part.speaker is not None)
    return Annotation(_joined(found), found, turns if len(turns) == len(found) else None)


def of_words(words: Iterable[Word]) -> Annotation:
    """Derive the text from words."""
    found = by_start(words)
    return Annotation(text=_joined(found), words=found)


def _joined(parts: Iterable[Segment | Word]) -> str:
    return " ".join(text for part in parts if (text := part.text.strip()))
