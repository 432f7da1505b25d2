"""Positions of personal data, and the resolution of overlaps. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from stt_lab.types import Entity

CHECKED = frozenset({"CREDIT_CARD", "IBAN_CODE"})  # kinds with check digits: nothing else is as certain


class PiiHit(NamedTuple):
    """A span in characters, with a score."""

    start: int
    end: int
    score: float  # 0 to 1


Find = Callable[[str], Iterable[PiiHit]]


def settle(text: str, found: Iterable[tuple[str, PiiHit]]) -> tuple[Entity, ...]:
    """Return entities in order and without overlap.

    Checked kinds win, then the higher score, then the longer hit. What remains uncovered of a losing hit is kept, so
    every letter and digit that was found is in one entity.
    """
    ranked = sorted(found, key=lambda one: (one[0] not in CHECKED, -one[1].score, one[1].start - one[1].end, one[1]))
    taken: list[Entity] = []  # in order
    for label, hit in ranked:
        for start, end in list(_free(text, hit, taken)):
            insort(taken, Entity(start, end, text[start:end], label, round(hit.score, 2)), key=_start)
    return tuple(taken)


def _start(entity: Entity) -> int:
    return entity.start


def _free(text: str, hit: PiiHit, taken: list[Entity]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a hit outside all taken entities, without surrounding punctuation and space."""
    first = bisect_right(taken, hit.start, key=_start)
    first -= first > 0 and taken[first - 1].end > hit.start
    inside = taken[first : bisect_left(taken, hit.end, key=_start)]
    start = hit.start
    for stop, onwards in (*((one.start, one.end) for one in inside), (hit.end, hit.end)):
        yield from _worded(text, start, stop, whole=not inside)
        start = max(start, onwards)


def _worded(text: str, start: int, stop: int, whole: bool) -> Iterator[tuple[int, int]]:
    if whole:
        yield start, stop
        return
    letters = [i for i in range(start, stop) if text[i].isalnum()]
    if letters:
        yield letters[0], letters[-1] + 1
