"""Error rates and alignments of words and characters. Counted by jiwer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import Counts, known
from stt_lab.text import Normaliser, normalise

Op: TypeAlias = Literal["equal", "substitute", "delete", "insert"]


@dataclass(frozen=True)
class WordErrors(Counts):
    """Errors of an alignment with the fewest errors (Levenshtein); `words` counts the reference (characters for `cer`).

    With S, D, I for the errors and H = words - S - D hits: `rate` is WER = (S + D + I) / (H + S + D).
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def total(self) -> int:
        return self.words

    @property
    def hits(self) -> int:
        return self.words - self.substitutions - self.deletions

    @property
    def hypothesis_words(self) -> int:
        return self.hits + self.substitutions + self.insertions

    @property
    def mer(self) -> float:
        """Match error rate (Morris et al. 2004): (S + D + I) / (H + S + D + I), 0 to 1."""
        aligned = self.words + self.insertions
        return self.errors / aligned if aligned else 0.0

    @property
    def wip(self) -> float:
        """Word information preserved (Morris et al. 2004): H / reference words times H / hypothesis words."""
        if not self.words and not self.hypothesis_words:
            return 1.0
        return self.hits**2 / (self.words * self.hypothesis_words) if self.hits else 0.0

    @property
    def wil(self) -> float:
        """Word information lost: 1 - WIP, 0 to 1."""
        return 1 - self.wip


@dataclass(frozen=True)
class Aligned:
    """A step of an alignment: normalised words, None on the side without a word."""

    op: Op
    reference: str | None
    hypothesis: str | None


def wer(references: Sequence[str], hypotheses: Sequence[str], normaliser: Normaliser) -> WordErrors:
    """Word error rate over pairs of texts: (S + D + I) / words of the references; the value also has MER and WIL.

    An empty reference is allowed: each word of its hypothesis is an insertion. Raises BadInput if the lengths differ or
    a text is None.
    """
    return _counted("process_words", *normalised(references, hypotheses, normaliser))


def cer(
    references: Sequence[str], hypotheses: Sequence[str], normaliser: Normaliser, spaces: bool = False
) -> WordErrors:
    """Character error rate over pairs of texts, in Unicode code points.

    Spaces do not count unless `spaces` is set, because Chinese, Japanese and Thai are written without them, and
    recognisers add some. Raises BadInput if the lengths differ or a text is None.
    """
    sides = normalised(references, hypotheses, normaliser)
    if not spaces:
        sides = [[text.replace(" ", "") for text in texts] for texts in sides]
    return _counted("process_characters", *sides)


def normalised(references: Sequence[str], hypotheses: Sequence[str], normaliser: Normaliser) -> list[list[str]]:
    """Normalise both sides. Raises BadInput if the lengths differ or a text is None."""
    if len(references) != len(hypotheses):
        raise BadInput(
            f"There are {len(hypotheses)} hypotheses for {len(references)} references. Pass one per reference."
        )
    sides = (("reference text", references), ("recognised text", hypotheses))
    return [[normalise(known(text, what), normaliser) for text in texts] for what, texts in sides]


def _counted(by: str, references: list[str], hypotheses: list[str]) -> WordErrors:
    """Return jiwer's counts of words or characters, without its alignment."""
    import jiwer

    if not references:
        return WordErrors()
    output = getattr(jiwer, by)(references, hypotheses)
    words = output.hits + output.substitutions + output.deletions
    return WordErrors(output.substitutions, output.deletions, output.insertions, words)


def align(reference: str, hypothesis: str, normaliser: Normaliser) -> tuple[Aligned, ...]:
    """Align the words of two texts, in order, with as few errors as `wer` counts.

    If several alignments have the fewest errors, jiwer's is returned. Raises BadInput if a text is None.
    """
    ours, theirs = (texts[0].split() for texts in normalised([reference], [hypothesis], normaliser))
    return tuple(
        Aligned(op, None if i is None else ours[i], None if j is None else theirs[j])
        for op, i, j in steps(ours, theirs)
    )


def steps(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[tuple[Op, int | None, int | None]]:
    """Yield jiwer's alignment of two lists of words (which may contain spaces): the operation, and the indices of both
    words."""
    import jiwer

    output = jiwer.process_words(list(reference), list(hypothesis), _one_sentence, _one_sentence)
    for chunk in output.alignments[0]:
        ours: Iterable[int | None] = range(chunk.ref_start_idx, chunk.ref_end_idx)
        theirs: Iterable[int | None] = range(chunk.hyp_start_idx, chunk.hyp_end_idx)
        for i, j in _side_by_side(list(ours), list(theirs)):
            yield chunk.type, i, j


def _one_sentence(words: list[str]) -> list[list[str]]:
    return [words]


def _side_by_side(ours: list[Any], theirs: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Pair two lists of equal length, or one list with an empty one."""
    size = max(len(ours), len(theirs))
    yield from zip(ours or [None] * size, theirs or [None] * size, strict=True)


def confusions(aligned: Iterable[Aligned]) -> Counter[tuple[str | None, str | None]]:
    """Count how often each reference word became each other word: (word, None) was deleted, (None, word) inserted.

    Counters pool by summing as well, and `most_common` sorts them.
    """
    return Counter((step.reference, step.hypothesis) for step in aligned if step.op != "equal")
