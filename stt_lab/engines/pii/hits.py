"""Where in a text personal data may be, and how what overlaps is settled. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from stt_lab.types import Entity

CHECKED = frozenset({"CREDIT_CARD", "IBAN_CODE"})  # kinds whose digits are checked: nothing else is as sure


class PiiHit(NamedTuple):
    """A stretch of a text, in characters, and how sure it is."""

    start: int
    end: int
    score: float  # 0 to 1


Find = Callable[[str], Iterable[PiiHit]]


def settle(text: str, found: Iterable[tuple[str, PiiHit]]) -> tuple[Entity, ...]:
    """Entities in order and without overlap, of hits and their labels.

    Checked kinds win, then the surer hit, then the longer one. Of what loses, the part that nothing covers stays, so
    that every letter and digit which was found is in one entity.
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
    """The parts of a hit outside of all that was taken, without punctuation and space around them."""
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
