"""How sure a rate is, and whether one system is better than another, over recordings."""

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
NOISE = 1 - CONFIDENCE  # from this p value on, a difference is noise
EXACT = 12  # recordings up to which all exchanges are tried: 2 ** 12 = 4096
FEWEST = 6  # recordings, below which no exchange of systems is as rare as NOISE: 2 / 2 ** 5 > 0.05
HIGHER_IS_BETTER = frozenset(
    ["accuracy", "coverage", "f1", "hits", "precision", "recall", "rtfx", "wip"]
    + [f"share_{bound}" for bound in (20, 50, 100, 200)]
)
UNITS = {"mae": "s", "mean_difference": "speakers", "rtfx": "seconds per second"}  # where not points or the counts' own


def bootstrap(values: Sequence[Counts], seed: int, n: int = 1000, rate: str = "rate") -> tuple[float, float]:
    """The 95 % percentile interval of the pooled rate, recordings drawn with replacement (Bisani & Ney 2004).

    One value per recording, because the utterances of a recording share speakers and noise. `rate` names the property
    that is wanted: "mer", "wil", "recall", "rtfx"... Draws without any total are left out; (nan, nan) where none is
    left, and for a single recording, which says nothing about others.
    """
    import numpy as np

    if len(values) < 2:
        return math.nan, math.nan
    sums = _drawn(len(values), seed, n) @ _matrix(values)  # (n, fields)
    return _interval(np.array(_rates(type(values[0]), sums, rate)))


@dataclass(frozen=True)
class Comparison:
    """Two systems over the same recordings. Rates are pooled; the difference is the first's minus the second's."""

    first: float
    second: float
    difference: float
    low: float  # of the difference, with 95 % confidence
    high: float
    p_bootstrap: float  # two-sided: how rare draws on the other side of zero are
    p_permutation: float  # two-sided: how rare such a difference is when the systems are exchanged at random
    recordings: int
    unit: str = "points"  # hundredths; else that of the rate
    higher_is_better: bool = False

    @property
    def significant(self) -> bool:
        """Both agree: the interval leaves zero out, and the exchange of systems makes such a difference rarely."""
        return (self.low > 0 or self.high < 0) and self.p_permutation < NOISE

    def verdict(self, first_name: str, second_name: str) -> str:
        """One sentence for people: which is better and by how much, or that it cannot be told."""
        ahead = (self.difference > 0) == self.higher_is_better
        chance = "p < 0.001" if self.p_permutation < 0.001 else f"p = {self.p_permutation:.3f}"
        tail = f"{CONFIDENCE:.0%} interval {{}} to {{}}, {chance}, {self.recordings} recordings".replace("%", " %", 1)
        if not self.significant:
            few = f": {FEWEST} recordings or more can tell" if self.recordings < FEWEST else ""
            told = (
                f"{self._shown(self.difference)} {self.unit}, {tail.format(*map(self._shown, (self.low, self.high)))}"
            )
            return f"The difference between {first_name} and {second_name} is within noise ({told}){few}."
        winner, loser = (first_name, second_name) if ahead else (second_name, first_name)
        low, high = sorted((abs(self.low), abs(self.high)))
        told = tail.format(self._shown(low), self._shown(high))
        return f"{winner} is better than {loser} by {self._shown(abs(self.difference))} {self.unit} ({told})."

    def _shown(self, value: float) -> str:
        return f"{100 * value:.2f}" if self.unit == "points" else f"{value:.3g}"


def compare(first: Sequence[C], second: Sequence[C], seed: int, n: int = 2000, rate: str = "rate") -> Comparison:
    """Whether two systems differ over the same recordings: one value of each per recording, in the same order.

    The interval and `p_bootstrap` come from a paired bootstrap of the difference of pooled rates: both systems are
    scored on the same draws of recordings (Bisani & Ney 2004). `p_permutation` is the matched-pairs test by approximate
    randomisation (Noreen 1989), the distribution-free kin of MAPSSWE (Gillick & Cox 1989): the systems' results are
    exchanged recording by recording, all 2^n ways of them up to 12 recordings. Raises BadInput when the lengths differ
    or there is nothing to count.
    """
    import numpy as np

    if len(first) != len(second):
        raise BadInput(f"Compare systems over the same recordings: there are {len(first)} and {len(second)}.")
    totals = pool(first), pool(second)
    if not all(total.total for total in totals):
        raise BadInput("The systems cannot be compared: over these recordings there is nothing to divide by.")
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
    """(recordings, fields)"""
    import numpy as np

    return np.array([astuple(value) for value in values], float)


def _drawn(recordings: int, seed: int, n: int) -> Numbers:
    """How often each recording is in each of n draws with replacement: (n, recordings)."""
    import numpy as np

    places = np.random.default_rng(seed).integers(recordings, size=(n, recordings))
    weights = np.zeros((n, recordings))
    np.add.at(weights, (np.arange(n)[:, None], places), 1)
    return weights


def _exchanges(recordings: int, seed: int, n: int) -> Numbers:
    """1 where the systems' results are exchanged, else 0: (ways, recordings). All the ways, of few recordings."""
    import numpy as np

    if recordings <= EXACT:
        return np.array([[way >> place & 1 for place in range(recordings)] for way in range(2**recordings)], float)
    return np.random.default_rng(seed).integers(2, size=(n, recordings)).astype(float)


def _rates(kind: type[Counts], sums: Numbers, rate: str) -> list[float]:
    """The rate of each row of sums; nan where there is nothing to divide by."""
    return [_rate(kind(*row), rate) for row in sums.tolist()]


def _rate(value: Counts, rate: str) -> float:
    if not value.total:
        return math.nan
    try:
        return float(getattr(value, rate))
    except BadInput:  # recall without a term in the reference, and its kin
        return math.nan


def _differences(kind: type[Counts], ours: Numbers, theirs: Numbers, rate: str) -> Numbers:
    """The differences of rates where both have one."""
    import numpy as np

    made: Numbers = np.array(_rates(kind, ours, rate)) - np.array(_rates(kind, theirs, rate))
    return np.asarray(made[np.isfinite(made)])


def _rarity(differences: Numbers, observed: float, recordings: int) -> float:
    """The share of differences at least as large as the observed, which counts as one of them."""
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
