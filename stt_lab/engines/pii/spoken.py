"""Write spoken numbers as digits: "oh seven double four, nine dot two" -> "0744, 9.2". Pure.

The written form is only for searching: each character knows the part of the original it stands for, so that what is
found in the written form is found in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from stt_lab.engines.pii.hits import Find, PiiHit


def _counted(words: str, first: int, step: int = 1) -> dict[str, int]:
    return {word: first + i * step for i, word in enumerate(words.split())}


_UNITS = _counted("zero one two three four five six seven eight nine", 0)
_ZEROS = dict.fromkeys(("oh", "o", "nought", "naught", "nil"), 0)
_TEENS = _counted("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10)
_TENS = _counted("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
_ORDINALS = {"thirtieth": 30} | _counted(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth",
    1,
)
_TIMES = {"double": 2, "triple": 3, "treble": 3}
_MARKS = {"dot": ".", "point": ".", "dash": "-", "hyphen": "-", "plus": "+"}
_NUMBERS = _UNITS | _ZEROS | _TEENS | _TENS
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_JOINT = re.compile(r" |-")  # between words of one number


@dataclass(frozen=True)
class Written:
    """A text in its written form."""

    text: str
    starts: tuple[int, ...]  # position of each character in the original
    ends: tuple[int, ...]

    def hit(self, found: PiiHit) -> PiiHit:
        """Convert a hit to the original text."""
        return PiiHit(self.starts[found.start], self.ends[found.end - 1], found.score)


@dataclass(frozen=True)
class _Piece:
    """Words, and their written form."""

    text: str
    start: int
    end: int


def in_speech(find: Find, share: float = 0.9) -> Find:
    """Extend a search to spelled-out numbers; hits in the written form keep `share` of their score."""

    def both(text: str) -> Iterator[PiiHit]:
        yield from find(text)
        form = written(text)
        if form.text != text:
            hits = map(form.hit, find(form.text))
            yield from (hit._replace(score=hit.score * share) for hit in hits)

    return both


@lru_cache(2)  # several recognisers search the same text
def written(text: str) -> Written:
    """Return the written form of a text."""
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for piece in (*_pieces(text), _Piece("", len(text), len(text))):
        for place in range(at, piece.start):
            chars.append(text[place])
            starts.append(place)
            ends.append(place + 1)
        chars += piece.text
        starts += [piece.start] * len(piece.text)
        ends += [piece.end] * len(piece.text)
        at = piece.end
    return Written("".join(chars), tuple(starts), tuple(ends))


def _pieces(text: str) -> list[_Piece]:
    """Return everything that is written differently, in order and without overlap."""
    tokens = [(match[0].lower(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    made: list[_Piece] = []
    at = 0
    while at < len(tokens):
        last = at
        while last + 1 < len(tokens) and _JOINT.fullmatch(text[tokens[last][2] : tokens[last + 1][1]]):
            last += 1
        made += _run([word for word, _, _ in tokens[at : last + 1]], tokens[at : last + 1])
        at = last + 1
    return made


def _run(words: list[str], tokens: list[tuple[str, int, int]]) -> Iterator[_Piece]:
    """Yield the numbers among words that only spaces and hyphens separate."""
    at = 0
    while at < len(words):
        stop, text = _number(words, at)
        if text:
            mark = _mark(words, at - 1, stop)
            start = tokens[at - 1][1] if mark else tokens[at][1]
            yield _Piece(mark + text, start - (mark in (".", "-")), tokens[stop - 1][2])
            at = stop
        else:
            at += 1


def _mark(words: list[str], at: int, stop: int) -> str:
    """Return the spoken mark before a number: between numbers, or a leading plus."""
    mark = _MARKS.get(words[at], "") if at >= 0 else ""
    between = at > 0 and (words[at - 1] in _NUMBERS or words[at - 1].isdigit())
    return mark if mark == "+" or between else ""


def _number(words: list[str], at: int) -> tuple[int, str]:
    """Return where number words from this position end, and their digits; "" if there are none.

    Numbers in digits stay separate from their neighbors, except for a spoken mark before them.
    """
    if words[at].isdigit():
        return at + 1, words[at] if _mark(words, at - 1, at) else ""
    digits, first = "", at
    while at < len(words):
        stop, more = _one(words, at)
        if not more:
            break
        digits, at = digits + more, stop
    lone_zero = at == first + 1 and words[first] in _ZEROS
    return (first, "") if lone_zero or not digits else (at, digits)


def _one(words: list[str], at: int) -> tuple[int, str]:
    """Parse one number: "double seven", "forty one", "two thousand and one", "twenty-first"."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    if word in _TIMES and (following in _UNITS or following in _ZEROS or following.isdigit()):
        return at + 2, str(_NUMBERS.get(following, following)) * _TIMES[word]
    if word in _ORDINALS:
        return at + 1, f"{_ORDINALS[word]}th"
    if word in _TENS and 0 < _ORDINALS.get(following, 0) < 10:
        return at + 2, f"{_TENS[word] + _ORDINALS[following]}th"
    if word in _TENS and _UNITS.get(following):
        return at + 2, str(_TENS[word] + _UNITS[following])
    if word in _UNITS and following == "hundred":
        return at + 2, f"{_UNITS[word]}00"
    if word in _UNITS and following == "thousand":
        return _thousand(words, at)
    return (at + 1, str(_NUMBERS[word])) if word in _NUMBERS else (at, "")


def _thousand(words: list[str], at: int) -> tuple[int, str]:
    """Parse a year of this millennium, or what sounds like one."""
    thousands = 1000 * _UNITS[words[at]]
    rest = at + 2 + (words[at + 2 : at + 3] == ["and"])
    stop, more = _one(words, rest) if rest < len(words) else (rest, "")
    if more.isdigit() and len(more) <= 2:
        return stop, str(thousands + int(more))
    return at + 2, str(thousands)
