"""Who speaks when, and who says what. pyannote.metrics counts time, meeteval words."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import Counts, known, share
from stt_lab.metrics.words import WordErrors, steps
from stt_lab.text import Normaliser, normalise
from stt_lab.types import Segment, Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation, Timeline

CPWER_SPEAKERS = 20  # above it meeteval takes the input for a mistake
TCP_COLLAR = 5.0  # seconds, what meeteval and the CHiME challenges use
ORC_SPEAKERS = 10  # likewise for ORC-WER
ORC_PLACES = 2**24  # of the search of ORC-WER: about a quarter of a gigabyte, and seconds
TURNS, SEGMENTS = "reference turns", "reference segments"


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
class JaccardErrors(Counts):
    """The sum of the reference speakers' Jaccard errors (each 0 to 1), and how many speakers there are."""

    nothing = "A Jaccard error rate needs a speaker in the reference."

    error: float = 0.0
    speakers: int = 0

    @property
    def errors(self) -> float:
        return self.error

    @property
    def total(self) -> int:
        return self.speakers


@dataclass(frozen=True)
class SpeakerCounts(Counts):
    """Recordings whose number of speakers was found; `difference` sums by how many the others are off."""

    nothing = "Speaker-count accuracy needs a recording or more."

    right: int = 0
    difference: int = 0
    recordings: int = 0

    @property
    def errors(self) -> int:
        return self.recordings - self.right

    @property
    def total(self) -> int:
        return self.recordings

    @property
    def accuracy(self) -> float:
        """The share of recordings with the right number of speakers, 0 to 1."""
        return share(self.right, self.recordings, self.nothing)

    @property
    def mean_difference(self) -> float:
        """The mean of |speakers found - speakers there are|, in speakers."""
        return share(self.difference, self.recordings, self.nothing)


@dataclass(frozen=True)
class SpeakerErrors(Counts):
    """Of the words that an alignment pairs, equal or substituted, those whose speakers differ."""

    nothing = "A word diarization error rate needs words that were recognised: none could be paired."

    wrong: int = 0
    aligned: int = 0

    @property
    def errors(self) -> int:
        return self.wrong

    @property
    def total(self) -> int:
        return self.aligned


# Time


def der(
    reference: Iterable[Turn],
    hypothesis: Iterable[Turn],
    duration: float,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> DiarizationErrors:
    """Diarization error rate over [0, duration] with the best mapping of speakers. Counted by pyannote.metrics.

    DER = (false alarm + missed + confusion) / speech of the reference, all in seconds. `collar` is seconds on EACH side
    of a reference boundary, as NIST's md-eval has it; pyannote's own parameter of that name is the whole width, so the
    usual "collar of 0.25 s" is 0.25 here and 0.5 there. Turns of one speaker that touch or overlap are merged first.
    Overlapping speech is scored unless `skip_overlap` is set. Raises BadInput when the reference is None.
    """
    from pyannote.metrics.diarization import DiarizationErrorRate

    metric = DiarizationErrorRate(collar=2 * collar, skip_overlap=skip_overlap)
    parts = metric.compute_components(_annotation(reference), _annotation(hypothesis), uem=_scored(duration))
    names = ("false alarm", "missed detection", "confusion", "total")
    return DiarizationErrors(*(float(parts[name]) for name in names))


def jer(
    reference: Iterable[Turn],
    hypothesis: Iterable[Turn],
    duration: float,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> JaccardErrors:
    """Jaccard error rate over [0, duration] (Ryant et al. 2019, DIHARD II). Counted by pyannote.metrics.

    Of each reference speaker: 1 - seconds that both share / seconds of either, with the speaker that the mapping of
    `der` gives, and 1 without any; the rate is the mean over reference speakers, those of all recordings alike.
    `collar` and `skip_overlap` are as in `der`. Raises BadInput when the reference is None.
    """
    from pyannote.metrics.diarization import JaccardErrorRate

    metric = JaccardErrorRate(collar=2 * collar, skip_overlap=skip_overlap)
    parts = metric.compute_components(_annotation(reference), _annotation(hypothesis), uem=_scored(duration))
    return JaccardErrors(float(parts["speaker error"]), int(parts["speaker count"]))


def _scored(duration: float) -> Timeline:
    from pyannote.core import Segment as Stretch
    from pyannote.core import Timeline

    return Timeline([Stretch(0, duration)])


def _annotation(turns: Iterable[Turn]) -> Annotation:
    from pyannote.core import Annotation
    from pyannote.core import Segment as Stretch

    made = Annotation()
    for track, turn in enumerate(known(turns, TURNS)):
        made[Stretch(turn.start, turn.end), track] = turn.speaker
    return made.support()


def speaker_count(reference: Iterable[Turn | Segment], hypothesis: Iterable[Turn | Segment]) -> SpeakerCounts:
    """Whether one recording's number of speakers is right. Segments without a speaker belong to a nameless one."""
    there, found = (len({part.speaker for part in known(parts, TURNS)}) for parts in (reference, hypothesis))
    return SpeakerCounts(int(there == found), abs(there - found), 1)


# Words


def cpwer(reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: Normaliser) -> WordErrors:
    """Concatenated minimum-permutation WER of one recording (Watanabe et al. 2020, CHiME-6). Counted by meeteval.

    Per speaker, the texts of the segments are joined in order of their starts; speakers are paired so that the errors
    are least; the words of speakers without a partner are deletions or insertions. A segment without a speaker belongs
    to a nameless one. Raises BadInput above 20 speakers and when the reference is None.
    """
    from meeteval.wer import cp_word_error_rate

    _no_crowd(reference, hypothesis)
    return _found(cp_word_error_rate(_seglst(reference, normaliser), _seglst(hypothesis, normaliser)))


def tcpwer(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: Normaliser, collar: float = TCP_COLLAR
) -> WordErrors:
    """Time-constrained cpWER of one recording (von Neumann et al. 2023, MeetEval). Counted by meeteval.

    As `cpwer`, but a word is paired only with one that was said within `collar` seconds of it. The times of words are
    guessed from their segment, as meeteval does: shares by length in the reference, the middles of such shares in the
    hypothesis, widened by the collar. Raises BadInput above 20 speakers and when the reference is None.
    """
    from meeteval.wer import time_constrained_minimum_permutation_word_error_rate as tcp_word_error_rate

    if collar < 0:
        raise BadInput(f"The collar of tcpWER is a time of 0 s or more: it is {collar} s.")
    _no_crowd(reference, hypothesis)
    sides = (_seglst(segments, normaliser) for segments in (reference, hypothesis))
    return _found(tcp_word_error_rate(*sides, collar=collar))


def orcwer(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: Normaliser, greedy: bool = False
) -> WordErrors:
    """Optimal reference combination WER of one recording (Sklyar et al. 2022). Counted by meeteval.

    The reference's segments are dealt to the speakers of the hypothesis so that the errors are least, whoever said
    them: what is left are wrong words, not wrong speakers. The search grows with the product of the speakers' words;
    `greedy` deals segment after segment instead: quick, and never below the exact rate. Say which of both a score is.
    Raises BadInput above 10 speakers, where the search is too large, and when the reference is None.
    """
    from meeteval.wer import greedy_orc_word_error_rate, orc_word_error_rate

    sides = (_seglst(segments, normaliser) for segments in (reference, hypothesis))
    ours, theirs = (
        side.filter(lambda row: row["words"]) for side in sides
    )  # meeteval errs over speakers without words
    words, streams = _word_count(ours), [_word_count(rows) for rows in theirs.groupby("speaker").values()]
    if not words or not streams:  # and fails over sides without
        return WordErrors(0, words, sum(streams), words)
    if len(streams) > ORC_SPEAKERS:
        raise BadInput(f"Score ORC-WER on recordings in which at most {ORC_SPEAKERS} speakers were found.")
    if math.prod(stream + 1 for stream in streams) * len(ours) > ORC_PLACES and not greedy:
        raise BadInput(f"ORC-WER takes too long with speakers of {streams} words: set greedy, or score tcpWER.")
    return _found((greedy_orc_word_error_rate if greedy else orc_word_error_rate)(ours, theirs))


def _word_count(rows: Any) -> int:
    return sum(len(row["words"].split()) for row in rows)


def _no_crowd(*sides: Sequence[Segment]) -> None:
    for segments in sides:
        if len({segment.speaker for segment in known(segments, SEGMENTS)}) > CPWER_SPEAKERS:
            raise BadInput(f"Score cpWER on recordings of at most {CPWER_SPEAKERS} speakers.")


def _found(output: Any) -> WordErrors:
    """meeteval's error rate without its assignment."""
    return WordErrors(output.substitutions, output.deletions, output.insertions, output.length)


def _seglst(segments: Iterable[Segment], normaliser: Normaliser) -> Any:
    from meeteval.io import SegLST

    rows = [
        {
            "session_id": "recording",
            "speaker": segment.speaker or "",
            "words": normalise(segment.text, normaliser),
            "start_time": segment.start,
            "end_time": segment.end,
        }
        for segment in known(segments, SEGMENTS)
    ]
    return SegLST(rows)


def wder(reference: Iterable[Segment], hypothesis: Iterable[Segment], normaliser: Normaliser) -> SpeakerErrors:
    """Word diarization error rate of one recording (El Shafey et al. 2019): (S_IS + C_IS) / (S + C).

    That is the share of wrong speakers among the words that an alignment pairs, be they recognised well or not; words
    inserted or deleted do not count. Speakers are mapped one to one so that most words agree. Both sides are serialised
    segment after segment in order of their starts, as for recognisers that write one voice at a time (Kanda et al.
    2020): words of overlapping utterances do not interleave. A segment has one speaker. Look at `aligned` too.
    """
    ours, theirs = _tokens(reference, normaliser), _tokens(hypothesis, normaliser)
    places = steps([token for token, _ in ours], [token for token, _ in theirs])
    pairs = [(ours[i][1], theirs[j][1]) for _, i, j in places if i is not None and j is not None]
    return SpeakerErrors(len(pairs) - _agreeing(pairs), len(pairs))


def _tokens(segments: Iterable[Segment], normaliser: Normaliser) -> list[tuple[str, str | None]]:
    """(normalised word, speaker), segment after segment."""
    ordered = sorted(known(segments, SEGMENTS), key=lambda segment: segment.start)  # stable where starts are equal
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
