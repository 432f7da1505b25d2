"""Confidence intervals of rates, and comparisons of two systems over recordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import C, Counts, pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

CONFIDENCE = 0.95  # of an interval
NOISE = 1 - CONFIDENCE  # p value from which a difference is noise
EXACT = 12  # recordings up to which all exchanges are tried: 2 ** 12 = 4096
FEWEST = 6  # recordings below which no exchange is as rare as NOISE: 2 / 2 ** 5 > 0.05
HIGHER_IS_BETTER = frozenset(
    ["accuracy", "coverage", "f1", "hits", "precision", "recall", "rtfx", "wip"]
    + [f"share_{bound}" for bound in (20, 50, 100, 200)]
)
UNITS = {
    "mae": "s",
    "mean_difference": "speakers",
    "rtfx": "seconds per second",
}  # units other than points or the unit of the counts


def bootstrap(values: Sequence[Counts], seed: int, n: int = 1000, rate: str = "rate") -> tuple[float, float]:
    """Return the 95 % percentile interval of the pooled rate; recordings are drawn with replacement (Bisani & Ney
    2004).

    Pass one value per recording, because utterances of a recording share speakers and noise. `rate` names the property:
    "mer", "wil", "recall", "rtfx"... Draws with a total of 0 are skipped; (nan, nan) if none is left, or for a single
    recording, which says nothing about others.
    """
    import numpy as np

    if len(values) < 2:
        return math.nan, math.nan
    sums = _drawn(len(values), seed, n) @ _matrix(values)  # (n, fields)
    return _interval(np.array(_rates(type(values[0]), sums, rate)))


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same recordings. Rates are pooled; the difference is first minus second."""

    first: float
    second: float
    difference: float
    low: float  # of the difference, with 95 % confidence
    high: float
    p_bootstrap: float  # two-sided: share of draws on the other side of zero
    p_permutation: float  # two-sided: share of random exchanges with such a difference
    recordings: int
    unit: str = "points"  # hundredths; otherwise the unit of the rate
    higher_is_better: bool = False

    @property
    def significant(self) -> bool:
        """Whether both tests agree: the interval excludes zero, and the permutation test finds such a difference
        unlikely."""
        return (self.low > 0 or self.high < 0) and self.p_permutation < NOISE

    def verdict(self, first_name: str, second_name: str) -> str:
        """Return one sentence: which system is better and by how much, or that the difference is within noise."""
        ahead = (self.difference > 0) == self.higher_is_better
        chance = "p < 0.001" if self.p_permutation < 0.001 else f"p = {self.p_permutation:.3f}"
        tail = f"{CONFIDENCE:.0%} interval {{}} to {{}}, {chance}, {self.recordings} recordings".replace("%", " %", 1)
        if not self.significant:
            few = f"; at least {FEWEST} recordings are needed" if self.recordings < FEWEST else ""
            details = (
                f"{self._shown(self.difference)} {self.unit}, {tail.format(*map(self._shown, (self.low, self.high)))}"
            )
            return f"The difference between {first_name} and {second_name} is within noise ({details}){few}."
        winner, loser = (first_name, second_name) if ahead else (second_name, first_name)
        low, high = sorted((abs(self.low), abs(self.high)))
        details = tail.format(self._shown(low), self._shown(high))
        return f"{winner} is better than {loser} by {self._shown(abs(self.difference))} {self.unit} ({details})."

    def _shown(self, value: float) -> str:
        return f"{100 * value:.2f}" if self.unit == "points" else f"{value:.3g}"


def compare(first: Sequence[C], second: Sequence[C], seed: int, n: int = 2000, rate: str = "rate") -> Comparison:
    """Compare two systems on the same recordings: one value of each per recording, in the same order.

    The interval and `p_bootstrap` come from a paired bootstrap of the difference of pooled rates: both systems are
    scored on the same draws of recordings (Bisani & Ney 2004). `p_permutation` is the matched-pairs test by approximate
    randomization (Noreen 1989), the distribution-free relative of MAPSSWE (Gillick & Cox 1989): the systems' results
    are exchanged recording by recording, in all 2^n ways for up to 12 recordings. Raises BadInput if the lengths differ
    or there is nothing to count.
    """
    import numpy as np

    if len(first) != len(second):
        raise BadInput(
            f"The systems have {len(first)} and {len(second)} recordings. Pass the same recordings for both."
        )
    totals = pool(first), pool(second)
    if not all(total.total for total in totals):
        raise BadInput("The systems cannot be compared: the reference of these recordings is empty.")
    kind, (ours, theirs) = type(totals[0]), (float(getattr(total, rate)) for total in totals)
    a, b = _matrix(first), _matrix(second)  # (recordings, fields)
    weights = _drawn(len(first), seed, n)  # (n, recordings)
    drawn = _differences(kind, weights @ a, weights @ b, rate)
    exchanged = _exchanges(len(first), seed, n) @ (b - a)
    p = _rarity(_differences(kind, a.sum(0) + exchanged, b.sum(0) - exchanged, rate), ours - theirs, len(first))
    low, high = _interval(drawn)
    beside = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p_bootstrap = min(1.0, 2 * (float(beside) + 1) / (len(drawn) + 1))
    unit = kind.unit if rate == "rate" else UNITS.get(rate, "points")
    higher = rate in HIGHER_IS_BETTER
    return Comparison(ours, theirs, ours - theirs, low, high, p_bootstrap, p, len(first), unit, higher)


def _matrix(values: Sequence[Counts]) -> Numbers:
    """Return an array of shape (recordings, fields)."""
    import numpy as np

    return np.array([astuple(value) for value in values], float)


def _drawn(recordings: int, seed: int, n: int) -> Numbers:
    """Return how often each recording is in each of n draws with replacement: (n, recordings)."""
    import numpy as np

    places = np.random.default_rng(seed).integers(recordings, size=(n, recordings))
    weights = np.zeros((n, recordings))
    np.add.at(weights, (np.arange(n)[:, None], places), 1)
    return weights


def _exchanges(recordings: int, seed: int, n: int) -> Numbers:
    """Return 1 where the systems' results are exchanged, otherwise 0: (ways, recordings). For few recordings, all
    ways."""
    import numpy as np

    if recordings <= EXACT:
        return np.array([[way >> place & 1 for place in range(recordings)] for way in range(2**recordings)], float)
    return np.random.default_rng(seed).integers(2, size=(n, recordings)).astype(float)


def _rates(kind: type[Counts], sums: Numbers, rate: str) -> list[float]:
    """Return the rate of each row of sums; nan if its total is 0."""
    return [_rate(kind(*row), rate) for row in sums.tolist()]


def _rate(value: Counts, rate: str) -> float:
    if not value.total:
        return math.nan
    try:
        return float(getattr(value, rate))
    except BadInput:  # such as recall without a term in the reference
        return math.nan


def _differences(kind: type[Counts], ours: Numbers, theirs: Numbers, rate: str) -> Numbers:
    """Return the differences of rates where both exist."""
    import numpy as np

    made: Numbers = np.array(_rates(kind, ours, rate)) - np.array(_rates(kind, theirs, rate))
    return np.asarray(made[np.isfinite(made)])


def _rarity(differences: Numbers, observed: float, recordings: int) -> float:
    """Return the share of differences at least as large as the observed one, which counts as one of them."""
    import numpy as np

    as_large = int(np.sum(np.abs(differences) >= abs(observed) - 1e-12))
    if recordings <= EXACT:
        return as_large / len(differences)
    return (as_large + 1) / (len(differences) + 1)


def _interval(rates: Any) -> tuple[float, float]:
    import numpy as np

    rates = rates[~np.isnan(rates)]
    if not len(rates):
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rates, [tail, 1 - tail])
    return float(low), float(high)
