"""Recognition of names and terms that matter: precision, recall and F1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import Counts, pool, share
from stt_lab.metrics.words import normalised
from stt_lab.text import Normaliser, normalise


@dataclass(frozen=True)
class TermErrors(Counts):
    """Occurrences of terms: found, missed (only in the reference) and invented (only in the hypothesis).

    `rate` is 1 - F1 = (missed + invented) / (2 found + missed + invented).
    """

    nothing = "Neither the references nor the hypotheses contain a keyterm. There is no rate."

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
        return share(self.found, self.found + self.missed, "The references contain no keyterm. There is no recall.")

    @property
    def precision(self) -> float:
        """found / (found + invented), 0 to 1."""
        return share(
            self.found, self.found + self.invented, "The hypotheses contain no keyterm. There is no precision."
        )

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
    """Return precision, recall and F1 of terms of one or more words, counted per occurrence over pairs of texts.

    If a reference has a term r times and its hypothesis h times, min(r, h) are found, the rest of r is missed, the rest
    of h invented. Occurrences do not overlap, and their positions do not matter: pass short texts, such as utterances,
    if they should. Terms are normalised like the texts; terms that become equal count once. `spaces=False` compares
    characters instead of words, for languages without spaces. Raises BadInput without terms, if the lengths differ, or
    if a text is None.
    """
    return pool(keyterms_by_term(references, hypotheses, terms, normaliser, spaces).values())


def keyterms_by_term(
    references: Sequence[str],
    hypotheses: Sequence[str],
    terms: Iterable[str],
    normaliser: Normaliser,
    spaces: bool = True,
) -> dict[str, TermErrors]:
    """Return the counts of `keyterms` for each term."""
    wanted = _terms(terms, normaliser, spaces)
    sides = normalised(references, hypotheses, normaliser)
    pairs = [[_units(text, spaces) for text in pair] for pair in zip(*sides, strict=True)]
    return {
        given: sum((_compared(*(_count(text, units) for text in pair)) for pair in pairs), TermErrors())
        for given, units in wanted.items()
    }


def _terms(terms: Iterable[str], normaliser: Normaliser, spaces: bool) -> dict[str, list[str]]:
    """Return the units to search for, by term; of terms that normalise to the same, only the first."""
    made: dict[str, str] = {}
    for term in terms:
        made.setdefault(normalise(term, normaliser), term)
    if not made or "" in made:
        empty = f'"{made[""]}" has no letters or digits' if made else "The list of keyterms is empty"
        raise BadInput(f"{empty}. Pass keyterms with letters or digits.")
    return {given: _units(plain, spaces) for plain, given in made.items()}


def _units(text: str, spaces: bool) -> list[str]:
    return text.split() if spaces else list(text.replace(" ", ""))


def _compared(there: int, recognised: int) -> TermErrors:
    found = min(there, recognised)
    return TermErrors(found, there - found, recognised - found)


def _count(units: list[str], term: list[str]) -> int:
    """Count non-overlapping occurrences of a term, from the left."""
    found = at = 0
    while at + len(term) <= len(units):
        hit = units[at : at + len(term)] == term
        found += hit
        at += len(term) if hit else 1
    return found
