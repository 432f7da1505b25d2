"""Names and terms that matter: how many of them were recognised, and how many were invented."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import Counts, pool, share
from stt_lab.metrics.words import normalised
from stt_lab.text import Normaliser, normalise


@dataclass(frozen=True)
class TermErrors(Counts):
    """Occurrences of terms: found, missed (in the reference alone) and invented (in the hypothesis alone).

    `rate` is 1 - F1 = (missed + invented) / (2 found + missed + invented).
    """

    nothing = "There is no keyterm in the references and none in what was recognised: nothing can be counted."

    found: int = 0
    missed: int = 0
    invented: int = 0

    @property
    def errors(self) -> int:
        return self.missed + self.invented

    @property
    def total(self) -> int:
        return 2 * self.found + self.missed + self.invented

    @property
    def recall(self) -> float:
        """found / (found + missed), 0 to 1."""
        return share(
            self.found, self.found + self.missed, "There is no keyterm in the references: none can be recalled."
        )

    @property
    def precision(self) -> float:
        """found / (found + invented), 0 to 1."""
        return share(self.found, self.found + self.invented, "No keyterm was recognised: there is no precision.")

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall: 2 found / (2 found + missed + invented), 0 to 1."""
        return 1 - self.rate


def keyterms(
    references: Sequence[str],
    hypotheses: Sequence[str],
    terms: Iterable[str],
    normaliser: Normaliser,
    spaces: bool = True,
) -> TermErrors:
    """Precision, recall and F1 of terms, of one word or several, counted per occurrence over pairs of texts.

    Of a term that a reference has r times and its hypothesis h times, min(r, h) are found, the rest of r is missed, the
    rest of h invented; occurrences do not overlap, and where in a text they stand does not matter: give short texts,
    such as utterances, where it should. Terms are normalised as the texts are, and those that become the same count
    once. `spaces=False` looks among characters instead of words, for languages that are written without spaces.
    Raises BadInput without terms, when the lengths differ or a text is None.
    """
    return pool(keyterms_by_term(references, hypotheses, terms, normaliser, spaces).values())


def keyterms_by_term(
    references: Sequence[str],
    hypotheses: Sequence[str],
    terms: Iterable[str],
    normaliser: Normaliser,
    spaces: bool = True,
) -> dict[str, TermErrors]:
    """What `keyterms` sums, for each term as it was given."""
    wanted = _terms(terms, normaliser, spaces)
    sides = normalised(references, hypotheses, normaliser)
    pairs = [[_units(text, spaces) for text in pair] for pair in zip(*sides, strict=True)]
    return {
        given: sum((_compared(*(_count(text, units) for text in pair)) for pair in pairs), TermErrors())
        for given, units in wanted.items()
    }


def _terms(terms: Iterable[str], normaliser: Normaliser, spaces: bool) -> dict[str, list[str]]:
    """The units to look for, by the term as given; of terms that are normalised to the same, the first."""
    made: dict[str, str] = {}
    for term in terms:
        made.setdefault(normalise(term, normaliser), term)
    if not made or "" in made:
        empty = f'"{made[""]}" has' if made else "there are"
        raise BadInput(f"Give keyterms of letters or digits: {empty} none.")
    return {given: _units(plain, spaces) for plain, given in made.items()}


def _units(text: str, spaces: bool) -> list[str]:
    return text.split() if spaces else list(text.replace(" ", ""))


def _compared(there: int, recognised: int) -> TermErrors:
    found = min(there, recognised)
    return TermErrors(found, there - found, recognised - found)


def _count(units: list[str], term: list[str]) -> int:
    """Occurrences of a term that do not overlap, from the left."""
    found = at = 0
    while at + len(term) <= len(units):
        hit = units[at : at + len(term)] == term
        found += hit
        at += len(term) if hit else 1
    return found
