"""Find likely faults of a translation by comparing the two texts. Pure."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass

from stt_lab.translation.cutting import ADDRESS, weight

# Expected length of a translation: Gale and Church (1993), "A program for aligning sentences". Their variance grows
# with the length; the variance between languages with its square. Together they call 2 of 10,000 translations of
# Django's messages into 90 languages too short (eval/LOG.md).
VARIANCE, SPREAD, DEVIATIONS = 6.8, 0.1, 2.0
COPIES, LOOP = 3, 12  # repetitions, and their characters in total, that make a loop
NEAR = 0.6  # similarity from which a word counts as a damaged address
_LOOP = re.compile(r"(\S.{0,60}?)\1{2,}", re.DOTALL)
_NUMBER = re.compile(r"\d[\d.,:   '’]*\d")


@dataclass(frozen=True)
class Fault:
    """A likely fault; `cost` weighs faults against each other."""

    says: str  # end of "Check the translation of ...:"
    cost: int


NOTHING = Fault("it has no words", 16)
PARTLY = Fault("a part was not translated", 10)
REPEATS = Fault("it repeats something over and over", 8)
SHORT = Fault("it is so short that something seems to be missing", 4)
LONG = Fault("it is so long that something seems to be added", 4)
NO_ADDRESS = Fault("it lacks a web or e-mail address", 2)
NO_NUMBER = Fault("it lacks a number, or writes it differently", 1)


def faults(source: str, target: str) -> tuple[Fault, ...]:
    """Return the likely faults of a translation, worst first; () if none. The source must contain words."""
    if not any(map(str.isalpha, target)):
        return (NOTHING,)
    deviation = _deviation(weight(source), weight(target))
    tests = (
        (REPEATS, COPIES <= _copies(target) > _copies(source)),
        (SHORT, deviation < -DEVIATIONS),
        (LONG, deviation > DEVIATIONS),
        (NO_ADDRESS, any(address not in target for address in ADDRESS.findall(source))),
        (NO_NUMBER, any(number not in _digits(target) for number in _numbers(source))),
    )
    return tuple(fault for fault, found in tests if found)


def _deviation(source: float, target: float) -> float:
    longer = max(source, target)
    return (target - source) / math.sqrt(VARIANCE * longer + (SPREAD * longer) ** 2)


def _copies(text: str) -> int:
    """Return how often a stretch repeats in a row, at most; 0 if no long stretch does."""
    loops = (len(found[0]) // len(found[1]) for found in _LOOP.finditer(text) if len(found[0]) >= LOOP)
    return max(loops, default=0)


def _digits(text: str) -> str:
    """Return the digits of any script as ASCII, without anything between them."""
    return "".join(str(unicodedata.digit(char)) for char in text if char.isdecimal())


def _numbers(text: str) -> list[str]:
    """Return the digits of numbers with two or more, except in addresses."""
    return [_digits(found) for found in _NUMBER.findall(ADDRESS.sub(" ", text))]


def repaired(source: str, target: str) -> str:
    """Restore addresses of the source where the translation has a similar word in their place."""
    right = ADDRESS.findall(source)
    for address in right:
        words = [word.strip(".,;:!?()[]«»“”\"'") for word in target.split()]
        others = [word for word in words if word and word not in right]
        if address not in target and (near := difflib.get_close_matches(address, others, 1, NEAR)):
            target = target.replace(near[0], address, 1)
    return target
