"""Error rates as values that pool: counts over counts, summed over recordings before the division.

jiwer counts words and characters, meeteval cpWER, pyannote.metrics DER; they come with the extra `lab` and are
imported when asked. Every rate on text names its normaliser (see `stt_lab.text.normalise`).

    total = sum((wer([r], [h], "whisper_en") for r, h in pairs), WordErrors())
    low, high = bootstrap([wer([r], [h], "whisper_en") for r, h in pairs], seed=0)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Self

from stt_lab.errors import BadInput
from stt_lab.text import normalise
from stt_lab.types import Segment, Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation

CONFIDENCE = 0.95  # of a bootstrap interval
CPWER_SPEAKERS = 20  # above it meeteval takes the input for a mistake


@dataclass(frozen=True)
class Counts(ABC):
    """Errors over a total. Sums pool: `sum(values, WordErrors())` is the result of all recordings together."""

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
        """errors / total; over an empty total 0.0 without errors and infinite with them."""
        if self.total:
            return self.errors / self.total
        return math.inf if self.errors else 0.0


@dataclass(frozen=True)
class WordErrors(Counts):
    """Of an alignment with least errors (Levenshtein); `words` are the reference's (characters where `cer` counts)."""

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


@dataclass(frozen=True)
class DiarizationErrors(Counts):
    """Seconds, a speaker each: where two speak at once, a second counts twice. `seconds` are the reference's speech."""

    false_alarm: float = 0.0
    missed: float = 0.0
    confusion: float = 0.0
    seconds: float = 0.0

    @property
    def errors(self) -> float:
        return self.false_alarm + self.missed + self.confusion

    @property
    def total(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class SpeakerErrors(Counts):
    """Of the words that an alignment pairs, equal or substituted, those whose speakers differ."""

    wrong: int = 0
    aligned: int = 0

    @property
    def errors(self) -> int:
        return self.wrong

    @property
    def total(self) -> int:
        return self.aligned


# Words


def _normalised(texts: Iterable[str], normaliser: str) -> list[str]:
    return [normalise(text, normaliser) for text in texts]


def _same_length(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if len(references) != len(hypotheses):
        raise BadInput(f"Give one hypothesis per reference: there are {len(hypotheses)} for {len(references)}.")


def _counted(output: Any) -> WordErrors:
    """jiwer's output for words or characters, without its alignment."""
    words = output.hits + output.substitutions + output.deletions
    return WordErrors(output.substitutions, output.deletions, output.insertions, words)


def wer(references: Sequence[str], hypotheses: Sequence[str], normaliser: str) -> WordErrors:
    """Word error rate over pairs of texts: (S + D + I) / words of the references. Counted by jiwer.

    An empty reference is allowed: each word of its hypothesis is an insertion. Raises BadInput when the lengths differ.
    """
    import jiwer

    _same_length(references, hypotheses)
    if not references:
        return WordErrors()
    return _counted(jiwer.process_words(_normalised(references, normaliser), _normalised(hypotheses, normaliser)))


def cer(references: Sequence[str], hypotheses: Sequence[str], normaliser: str, spaces: bool = False) -> WordErrors:
    """Character error rate over pairs of texts, in Unicode code points. Counted by jiwer.

    Spaces do not count unless `spaces` is set, because Chinese, Japanese and Thai are written without and recognisers
    put some. Raises BadInput when the lengths differ.
    """
    import jiwer

    _same_length(references, hypotheses)
    if not references:
        return WordErrors()
    pairs = [_normalised(texts, normaliser) for texts in (references, hypotheses)]
    if not spaces:
        pairs = [[text.replace(" ", "") for text in texts] for texts in pairs]
    return _counted(jiwer.process_characters(*pairs))


# Speakers


def der(
    reference: Iterable[Turn],
    hypothesis: Iterable[Turn],
    duration: float,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> DiarizationErrors:
    """Diarization error rate over [0, duration] with the best mapping of speakers. Counted by pyannote.metrics.

    `collar` is seconds on EACH side of a reference boundary, as NIST's md-eval has it; pyannote's own parameter of that
    name is the whole width, so the usual "collar of 0.25 s" is 0.25 here and 0.5 there. Turns of one speaker that touch
    or overlap are merged first. Overlapping speech is scored unless `skip_overlap` is set.
    """
    from pyannote.core import Segment as Stretch
    from pyannote.core import Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    metric = DiarizationErrorRate(collar=2 * collar, skip_overlap=skip_overlap)
    scored = Timeline([Stretch(0, duration)])
    parts = metric.compute_components(_annotation(reference), _annotation(hypothesis), uem=scored)
    names = ("false alarm", "missed detection", "confusion", "total")
    return DiarizationErrors(*(float(parts[name]) for name in names))


def _annotation(turns: Iterable[Turn]) -> Annotation:
    from pyannote.core import Annotation
    from pyannote.core import Segment as Stretch

    made = Annotation()
    for track, turn in enumerate(turns):
        made[Stretch(turn.start, turn.end), track] = turn.speaker
    return made.support()


def cpwer(reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: str) -> WordErrors:
    """Concatenated minimum-permutation WER of one recording (Watanabe et al. 2020, CHiME-6). Counted by meeteval.

    Per speaker, the texts of the segments are joined in order of their starts; speakers are paired so that the errors
    are least; the words of speakers without a partner are deletions or insertions. A segment without a speaker belongs
    to a nameless one. Raises BadInput above 20 speakers.
    """
    from meeteval.wer import cp_word_error_rate

    for segments in (reference, hypothesis):
        if len({segment.speaker for segment in segments}) > CPWER_SPEAKERS:
            raise BadInput(f"Score cpWER on recordings of at most {CPWER_SPEAKERS} speakers.")
    found = cp_word_error_rate(_seglst(reference, normaliser), _seglst(hypothesis, normaliser))
    return WordErrors(found.substitutions, found.deletions, found.insertions, found.length)


def _seglst(segments: Iterable[Segment], normaliser: str) -> Any:
    from meeteval.io import SegLST

    rows = [
        {
            "session_id": "recording",
            "speaker": segment.speaker or "",
            "words": normalise(segment.text, normaliser),
            "start_time": segment.start,
            "end_time": segment.end,
        }
        for segment in segments
    ]
    return SegLST(rows)


def wder(reference: Iterable[Segment], hypothesis: Iterable[Segment], normaliser: str) -> SpeakerErrors:
    """Word diarization error rate of one recording (El Shafey et al. 2019): (S_IS + C_IS) / (S + C).

    That is the share of wrong speakers among the words that an alignment pairs, be they recognised well or not; words
    inserted or deleted do not count. Speakers are mapped one to one so that most words agree. Both sides are serialised
    segment after segment in order of their starts, as for recognisers that write one voice at a time (Kanda et al.
    2020): words of overlapping utterances do not interleave. A segment has one speaker. Look at `aligned` too.
    """
    from rapidfuzz.distance import Levenshtein

    ours, theirs = _tokens(reference, normaliser), _tokens(hypothesis, normaliser)
    blocks = Levenshtein.opcodes([token for token, _ in ours], [token for token, _ in theirs])
    pairs = [
        (ours[block.src_start + step][1], theirs[block.dest_start + step][1])
        for block in blocks
        if block.tag in ("equal", "replace")
        for step in range(block.src_end - block.src_start)
    ]
    return SpeakerErrors(len(pairs) - _agreeing(pairs), len(pairs))


def _tokens(segments: Iterable[Segment], normaliser: str) -> list[tuple[str, str | None]]:
    """(normalised word, speaker), segment after segment."""
    ordered = sorted(segments, key=lambda segment: segment.start)  # stable: those that start together keep their order
    return [(token, part.speaker) for part in ordered for token in normalise(part.text, normaliser).split()]


def _agreeing(pairs: Sequence[tuple[Hashable, Hashable]]) -> int:
    """Pairs that agree under the best one-to-one mapping of the first members to the second (Kuhn 1955)."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    rows = {label: index for index, label in enumerate(dict.fromkeys(first for first, _ in pairs))}
    columns = {label: index for index, label in enumerate(dict.fromkeys(second for _, second in pairs))}
    together = np.zeros((len(rows), len(columns)), int)
    for first, second in pairs:
        together[rows[first], columns[second]] += 1
    return int(together[linear_sum_assignment(together, maximize=True)].sum())


# Over recordings


def bootstrap(values: Sequence[Counts], seed: int, n: int = 1000) -> tuple[float, float]:
    """The 95 % percentile interval of the pooled rate, recordings drawn with replacement (Bisani & Ney 2004).

    One value per recording, because the utterances of a recording share speakers and noise. Draws without any total
    are left out; (nan, nan) where none is left.
    """
    import numpy as np

    counts = np.array([(value.errors, value.total) for value in values], float).reshape(-1, 2)  # (recordings, 2)
    drawn = np.random.default_rng(seed).integers(max(1, len(counts)), size=(n, len(counts)))
    sums = counts[drawn].sum(axis=1)  # (n, 2)
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [tail, 1 - tail])
    return float(low), float(high)


def rtf(seconds: float, duration: float) -> float:
    """Real-time factor: seconds of work per second of sound; pool by summing both first. Its inverse is RTFx."""
    if duration <= 0:
        raise BadInput(f"A real-time factor needs sound: the duration is {duration} s.")
    return seconds / duration
