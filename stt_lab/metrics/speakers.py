"""Metrics of speakers: who speaks when (time, by pyannote.metrics), and who says what (words, by meeteval)."""

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

CPWER_SPEAKERS = 20  # above it meeteval rejects the input as a mistake
TCP_COLLAR = 5.0  # seconds, as in meeteval and the CHiME challenges
ORC_SPEAKERS = 10  # same for ORC-WER
ORC_PLACES = 2**24  # states of the search of ORC-WER: about a quarter of a gigabyte, and seconds
TURNS, SEGMENTS = "reference turns", "reference segments"


@dataclass(frozen=True)
class DiarizationErrors(Counts):
    """Speaker seconds: while two people speak, each second counts twice. `seconds` is the speech of the reference."""

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
    """The sum of the reference speakers' Jaccard errors (each 0 to 1), and the number of speakers."""

    nothing = "The reference has no speakers. There is no Jaccard error rate."

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
    """Recordings whose number of speakers was right; `difference` sums how far off the others are."""

    nothing = "There are no recordings. Speaker-count accuracy needs at least one."

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
        """Share of recordings with the right number of speakers, 0 to 1."""
        return share(self.right, self.recordings, self.nothing)

    @property
    def mean_difference(self) -> float:
        """Mean of |speakers found - true speakers|, in speakers."""
        return share(self.difference, self.recordings, self.nothing)


@dataclass(frozen=True)
class SpeakerErrors(Counts):
    """Words that an alignment pairs, equal or substituted, and those of them with different speakers."""

    nothing = "No word of the hypothesis matches the reference. There is no word diarization error rate."

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
    of a reference boundary, as in NIST's md-eval; pyannote's own parameter of that name is the whole width, so the
    usual "collar of 0.25 s" is 0.25 here and 0.5 there. Turns of one speaker that touch or overlap are merged first.
    Overlapping speech is scored unless `skip_overlap` is set. Raises BadInput if the reference is None.
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

    For each reference speaker: 1 - seconds that both share / seconds of either, with the speaker that the mapping of
    `der` assigns, and 1 without one; the rate is the mean over the reference speakers of all recordings. `collar` and
    `skip_overlap` are as in `der`. Raises BadInput if the reference is None.
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
    """Compare the number of speakers of one recording. Segments without a speaker belong to an unnamed one."""
    there, found = (len({part.speaker for part in known(parts, TURNS)}) for parts in (reference, hypothesis))
    return SpeakerCounts(int(there == found), abs(there - found), 1)


# Words


def cpwer(reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: Normaliser) -> WordErrors:
    """Concatenated minimum-permutation WER of one recording (Watanabe et al. 2020, CHiME-6). Counted by meeteval.

    The texts of each speaker's segments are joined by start; speakers are paired for the fewest errors; words of
    speakers without a partner are deletions or insertions. A segment without a speaker belongs to an unnamed one.
    Raises BadInput above 20 speakers and if the reference is None.
    """
    from meeteval.wer import cp_word_error_rate

    _no_crowd(reference, hypothesis)
    return _found(cp_word_error_rate(_seglst(reference, normaliser), _seglst(hypothesis, normaliser)))


def tcpwer(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: Normaliser, collar: float = TCP_COLLAR
) -> WordErrors:
    """Time-constrained cpWER of one recording (von Neumann et al. 2023, MeetEval). Counted by meeteval.

    Like `cpwer`, but a word is paired only with one spoken within `collar` seconds of it. Word times are estimated from
    their segments, as meeteval does: shares by length in the reference, the middles of such shares in the hypothesis,
    widened by the collar. Raises BadInput above 20 speakers and if the reference is None.
    """
    from meeteval.wer import time_constrained_minimum_permutation_word_error_rate as tcp_word_error_rate

    if collar < 0:
        raise BadInput(f"The collar of tcpWER is {collar} s. Use 0 s or more.")
    _no_crowd(reference, hypothesis)
    sides = (_seglst(segments, normaliser) for segments in (reference, hypothesis))
    return _found(tcp_word_error_rate(*sides, collar=collar))


def orcwer(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], normaliser: Normaliser, greedy: bool = False
) -> WordErrors:
    """Optimal reference combination WER of one recording (Sklyar et al. 2022). Counted by meeteval.

    The reference's segments are assigned to the speakers of the hypothesis for the fewest errors, regardless of who
    spoke: what remains are wrong words, not wrong speakers. The search grows with the product of the speakers' words;
    `greedy` assigns segment by segment instead: fast, and never below the exact rate. State which of the two a score
    is. Raises BadInput above 10 speakers, if the search is too large, and if the reference is None.
    """
    from meeteval.wer import greedy_orc_word_error_rate, orc_word_error_rate

    sides = (_seglst(segments, normaliser) for segments in (reference, hypothesis))
    ours, theirs = (
        side.filter(lambda row: row["words"]) for side in sides
    )  # meeteval fails for speakers without words
    words, streams = _word_count(ours), [_word_count(rows) for rows in theirs.groupby("speaker").values()]
    if not words or not streams:  # and for sides without words
        return WordErrors(0, words, sum(streams), words)
    if len(streams) > ORC_SPEAKERS:
        raise BadInput(f"ORC-WER got {len(streams)} speakers; the limit is {ORC_SPEAKERS}. Score tcpWER instead.")
    if math.prod(stream + 1 for stream in streams) * len(ours) > ORC_PLACES and not greedy:
        raise BadInput(f"ORC-WER takes too long with speakers of {streams} words. Set greedy, or score tcpWER instead.")
    return _found((greedy_orc_word_error_rate if greedy else orc_word_error_rate)(ours, theirs))


def _word_count(rows: Any) -> int:
    return sum(len(row["words"].split()) for row in rows)


def _no_crowd(*sides: Sequence[Segment]) -> None:
    for segments in sides:
        count = len({segment.speaker for segment in known(segments, SEGMENTS)})
        if count > CPWER_SPEAKERS:
            raise BadInput(f"cpWER got {count} speakers; the limit is {CPWER_SPEAKERS}. Leave this recording out.")


def _found(output: Any) -> WordErrors:
    """Convert meeteval's error rate, without its assignment."""
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

    This is the share of wrong speakers among the words that an alignment pairs, whether recognised correctly or not;
    insertions and deletions do not count. Speakers are mapped one to one so that most words agree. Both sides are
    serialized segment by segment, ordered by start, as for recognisers that write one voice at a time (Kanda et al.
    2020): words of overlapping utterances do not interleave. A segment has one speaker. Check `aligned` too.
    """
    ours, theirs = _tokens(reference, normaliser), _tokens(hypothesis, normaliser)
    places = steps([token for token, _ in ours], [token for token, _ in theirs])
    pairs = [(ours[i][1], theirs[j][1]) for _, i, j in places if i is not None and j is not None]
    return SpeakerErrors(len(pairs) - _agreeing(pairs), len(pairs))


def _tokens(segments: Iterable[Segment], normaliser: Normaliser) -> list[tuple[str, str | None]]:
    """Return (normalised word, speaker), segment by segment."""
    ordered = sorted(known(segments, SEGMENTS), key=lambda segment: segment.start)  # stable for equal starts
    return [(token, part.speaker) for part in ordered for token in normalise(part.text, normaliser).split()]


def _agreeing(pairs: Sequence[tuple[Hashable, Hashable]]) -> int:
    """Count pairs that agree under the best one-to-one mapping of first to second members (Kuhn 1955)."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    rows = {label: index for index, label in enumerate(dict.fromkeys(first for first, _ in pairs))}
    columns = {label: index for index, label in enumerate(dict.fromkeys(second for _, second in pairs))}
    together = np.zeros((len(rows), len(columns)), int)
    for first, second in pairs:
        together[rows[first], columns[second]] += 1
    return int(together[linear_sum_assignment(together, maximize=True)].sum())
