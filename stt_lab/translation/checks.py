"""What may be wrong with a translation, told from the two texts alone. Pure."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass

from stt_lab.translation.cutting import ADDRESS, weight

# The length of a translation, given the other: Gale and Church (1993), "A program for aligning sentences". Their
# variance grows with the length; that of a language's own length, with its square. Together they call 2 of 10,000
# translations of Django's sentences into 90 languages too short (eval/LOG.md).
VARIANCE, SPREAD, DEVIATIONS = 6.8, 0.1, 2.0
COPIES, LOOP = 3, 12  # copies, and their characters together, that make a loop
NEAR = 0.6  # similarity from which a word is an address that was damaged
_LOOP = re.compile(r"(\S.{0,60}?)\1{2,}", re.DOTALL)
_NUMBER = re.compile(r"\d[\d.,:   '’]*\d")


@dataclass(frozen=True)
class Fault:
    """`cost` weighs faults against each other."""

    says: str  # what is wrong, after "in its translation"
    cost: int


NOTHING = Fault("there are no words", 16)
PARTLY = Fault("a part was left as it was", 10)
REPEATS = Fault("something is repeated over and over", 8)
SHORT = Fault("something seems to be missing, so short is it", 4)
LONG = Fault("something seems to be made up, so long is it", 4)
NO_ADDRESS = Fault("a web or e-mail address is missing", 2)
NO_NUMBER = Fault("a number is missing or written otherwise", 1)


def faults(source: str, target: str) -> tuple[Fault, ...]:
    """What is wrong with the translation of a text that has words, the worst first; () when nothing seems so."""
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
    """How often something stands in a row, at most; 0 where nothing of any length does."""
    loops = (len(found[0]) // len(found[1]) for found in _LOOP.finditer(text) if len(found[0]) >= LOOP)
    return max(loops, default=0)


def _digits(text: str) -> str:
    """The digits of any script as those of ASCII, without what is between them."""
    return "".join(str(unicodedata.digit(char)) for char in text if char.isdecimal())


def _numbers(text: str) -> list[str]:
    """Digits of the numbers that have two or more and are no part of an address."""
    return [_digits(found) for found in _NUMBER.findall(ADDRESS.sub(" ", text))]


def repaired(source: str, target: str) -> str:
    """The translation with the source's addresses, where it has something much like them in their places."""
    right = ADDRESS.findall(source)
    for address in right:
        words = [word.strip(".,;:!?()[]«»“”\"'") for word in target.split()]
        others = [word for word in words if word and word not in right]
        if address not in target and (near := difflib.get_close_matches(address, others, 1, NEAR)):
            target = target.replace(near[0], address, 1)
    return target
