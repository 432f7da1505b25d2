"""The base class of all metrics: counts that are summed over recordings before they are divided."""

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

    unit: ClassVar[str] = "points"  # of a difference of rates: hundredths, if the rate is a share
    nothing: ClassVar[str] = ""  # why a total of 0 has no rate; "" if it has one

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
        """errors / total. With a total of 0: 0.0 without errors, infinite with them, or BadInput (see `nothing`)."""
        if self.total:
            return self.errors / self.total
        if self.nothing:
            raise BadInput(self.nothing)
        return math.inf if self.errors else 0.0


def pool(values: Iterable[C]) -> C:
    """Return the sum over recordings. Raises BadInput for no recordings."""
    made = list(values)
    if not made:
        raise BadInput("There is nothing to pool. Pass the counts of at least one recording.")
    return reduce(operator.add, made)


def share(part: float, whole: float, otherwise: str) -> float:
    """Return part / whole. Raises BadInput with the sentence `otherwise` if the whole is 0."""
    if not whole:
        raise BadInput(otherwise)
    return part / whole


def known(value: T | None, what: str) -> T:
    """Return the value. Raises BadInput for None: without a reference a recording cannot be scored."""
    if value is None:
        raise BadInput(
            f"This recording has no {what}. Leave the recording out, or add what is missing to the manifest."
        )
    return value
