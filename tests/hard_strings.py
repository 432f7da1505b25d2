"""Hard strings for regular expressions, made of their own parse trees, and how the time of a search grows with them.

A hard string repeats what a repetition of the pattern accepts, behind what leads there and before what ends no match.
"""

from __future__ import annotations

import math
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from typing import Any

parser, op = import_module("re._parser"), import_module("re._constants")  # no public modules since Python 3.11
LONG = 10  # a repetition of more is one that may grow
TAILS = ("", "\0", "x", "!", "\n")
CHARS = "aA0 -.,'\n_:é@/(\"?#s\t"  # what classes of characters are asked for
MOST = 8  # single characters of a pattern that are combined with each other
WHOLE = 3  # variants of an item
GROWTH = 8
TICKS_S = 0.02
STEEP = 1.5  # exponent between linear (1) and quadratic (2)
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)

Use = Callable[[str], object]  # a search in a text


@dataclass(frozen=True)
class Hard:
    """A string of any length: what leads in, what is repeated, what ends it."""

    lead: str
    pump: str
    tail: str

    def __call__(self, size: int) -> str:
        return self.lead + self.pump * max(1, size // len(self.pump)) + self.tail


def hard_strings(pattern: re.Pattern[str], most: int) -> list[Hard]:
    """The hard strings of a pattern, the likeliest first."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    found: dict[Hard, None] = {}
    for lead, pump in (*_pumps(tree, ("",)), *_wholes(tree)):
        if pump:
            found.update(dict.fromkeys(Hard(lead, pump, tail) for tail in TAILS))
    chars = _letters(tree)[:MOST]
    for one, other in product(chars, repeat=2):
        found.update(dict.fromkeys(Hard("", one + other, tail) for tail in TAILS[:2]))
    return list(found)[:most]


# What a tree accepts


def _of_class(items: Any) -> list[str]:
    """Some characters of a class, such as [a-z.]."""
    listed: list[str] = []
    for kind, value in items:
        if kind is op.LITERAL:
            listed.append(chr(value))
        elif kind is op.RANGE:
            listed += [chr(value[0]), chr(value[1])]
    accepts = re.compile(f"[{_written(items)}]")
    return list(dict.fromkeys(char for char in (*CHARS, *listed) if accepts.match(char)))


def _written(items: Any) -> str:
    categories = {
        op.CATEGORY_DIGIT: r"\d",
        op.CATEGORY_NOT_DIGIT: r"\D",
        op.CATEGORY_SPACE: r"\s",
        op.CATEGORY_NOT_SPACE: r"\S",
        op.CATEGORY_WORD: r"\w",
        op.CATEGORY_NOT_WORD: r"\W",
    }
    made = ""
    for kind, value in items:
        if kind is op.NEGATE:
            made += "^"
        elif kind is op.LITERAL:
            made += re.escape(chr(value))
        elif kind is op.RANGE:
            made += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            made += categories[value]
    return made


def variants(item: Any) -> list[str]:
    """A few texts that an item of a tree accepts."""
    kind, value = item
    if kind is op.LITERAL:
        return [chr(value)]
    if kind is op.NOT_LITERAL:
        return [char for char in CHARS if char != chr(value)]
    if kind is op.ANY:
        return list(CHARS)
    if kind is op.IN:
        return _of_class(value)
    if kind is op.BRANCH:
        return list(dict.fromkeys(one for branch in value[1] for one in texts(branch)[:2]))
    if kind in REPEATS:
        least, most, body = value
        return [one * count for count in dict.fromkeys((least, max(least, min(1, most)))) for one in texts(body)]
    if kind in (op.SUBPATTERN, op.ATOMIC_GROUP):
        return texts(value[-1] if kind is op.SUBPATTERN else value)
    return [""]  # an assertion, or a reference


def texts(tree: Any) -> list[str]:
    """A few texts that a sequence accepts: the simplest, and each that differs in one item."""
    chosen = [variants(item) or [""] for item in tree]
    plain = [one[0] for one in chosen]
    made = ["".join(plain), "".join(one[-1] for one in chosen)]
    for place, choice in enumerate(chosen):
        made += ["".join((*plain[:place], other, *plain[place + 1 :])) for other in choice[1 : WHOLE + 1]]
    return list(dict.fromkeys(made))


def _letters(tree: Any) -> list[str]:
    """The single characters that the items of a tree accept, simple ones first."""
    made: dict[str, None] = {}
    for item in _items(tree):
        if item[0] in (op.LITERAL, op.IN):
            made.update(dict.fromkeys(variants(item)[:4]))
    return sorted(made, key=lambda char: CHARS.find(char) % 99)


def _items(tree: Any) -> Iterator[Any]:
    for item in tree:
        yield item
        for inner in _inner(item):
            yield from _items(inner)


def _inner(item: Any) -> list[Any]:
    """The trees inside an item."""
    kind, value = item
    if kind is op.BRANCH:
        return list(value[1])
    if kind in REPEATS:
        return [value[2]]
    if kind is op.SUBPATTERN:
        return [value[-1]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [value[1]]
    return []


# Where it may be slow


def _pumps(tree: Any, leads: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each repetition: what leads to it, and what it accepts once."""
    for item in tree:
        for inner in _inner(item):
            yield from _pumps(inner, leads)
        if item[0] in REPEATS and item[1][1] >= LONG:
            for lead, pump in product(leads, texts(item[1][2])[: 2 * WHOLE]):
                yield lead, pump
                yield "", lead + pump
        some = variants(item) or [""]
        ends = dict.fromkeys((some[0], some[-1]))
        leads = tuple(dict.fromkeys(lead + one for lead in leads for one in ends))[:4]


def _wholes(tree: Any) -> Iterator[tuple[str, str]]:
    """Whole matches in a row, and what nearly matches."""
    for end in range(len(tree), 0, -1):
        for one in texts(tree[:end])[:WHOLE]:
            yield "", one
            yield "", one + " "


# How long it takes


class TooSlow(Exception):
    """A search was interrupted."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Interrupt a search after some seconds; only in the main thread."""

    def ring(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def seconds(use: Use, text: str) -> float:
    """The time of a search by the clock: quick, and more where the machine is busy."""
    began = time.perf_counter()
    use(text)
    return time.perf_counter() - began


def work(use: Use, text: str) -> float:
    """The seconds of processor time of a search. Where that is counted in ticks, it is repeated for some."""
    began, times = time.process_time(), 0
    while (spent := time.process_time() - began) < TICKS_S:
        use(text)
        times += 1
    return spent / times


def grows(use: Use, hard: Hard, size: int) -> float:
    """The exponent with which the work grows up to eight times a size: 1 is linear, 2 quadratic.

    What else the machine does also moves it: of a large one it is the least of three measurements.
    """
    least = float("inf")
    for _ in range(3):
        least = min(least, math.log(work(use, hard(GROWTH * size)) / work(use, hard(size)), GROWTH))
        if least < STEEP:
            break
    return least
