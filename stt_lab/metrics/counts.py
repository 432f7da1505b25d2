"""What every metric returns: counts that are summed over recordings before they are divided."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import reduce
from typing import ClassVar, Self, TypeVar

from stt_lab.errors import BadInput

T = TypeVar("T")
C = TypeVar("C", bound="Counts")


@dataclass(frozen=True)
class Counts(ABC):
    """Errors over a total. Sums pool: `pool(values)` is the result of all recordings together."""

    unit: ClassVar[str] = "points"  # of a difference of rates: hundredths, where a rate is a share
    nothing: ClassVar[str] = ""  # why there is no rate over an empty total; "" where nothing wrong in nothing is right

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        return type(self)(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    @abstractmethod
    def errors(self) -> float: ...

    @property
    @abstractmethod
    def total(self) -> float: ...

    @property
    def rate(self) -> float:
        """errors / total. Over an empty total 0.0 without errors and infinite with them, or BadInput: see `nothing`."""
        if self.total:
            return self.errors / self.total
        if self.nothing:
            raise BadInput(self.nothing)
        return math.inf if self.errors else 0.0


def pool(values: Iterable[C]) -> C:
    """The sum over recordings. Raises BadInput for no recordings at all, because no rate follows from them."""
    made = list(values)
    if not made:
        raise BadInput("There is nothing to pool: give the counts of one recording or more.")
    return reduce(operator.add, made)


def share(part: float, whole: float, otherwise: str) -> float:
    """part / whole. Raises BadInput with the sentence `otherwise` where there is no whole."""
    if not whole:
        raise BadInput(otherwise)
    return part / whole


def known(value: T | None, what: str) -> T:
    """The value. Raises BadInput for None: a recording whose reference is not known cannot be scored."""
    if value is None:
        raise BadInput(f"This recording has no {what}: leave it out of the score, or add it to the manifest.")
    return value
