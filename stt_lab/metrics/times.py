"""Metrics of time: word times, speed, latency, and words where nobody speaks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import Counts, known, share
from stt_lab.metrics.words import Op, steps
from stt_lab.text import Normaliser, normalise
from stt_lab.types import Word

NEAR = (20, 50, 100, 200)  # milliseconds, the bounds of `TimeErrors`
ROUNDING = (
    1e-9  # seconds; a difference of exactly 20 ms counts as within 20 ms although floats may give 0.02000000000000002
)


@dataclass(frozen=True)
class AlignedWord:
    """A step of an alignment of words with times; None on the side without a word."""

    op: Op
    reference: Word | None
    hypothesis: Word | None


@dataclass(frozen=True)
class TimeErrors(Counts):
    """Errors of word starts or word ends: seconds between both sides, summed over equal words."""

    unit = "s"
    nothing = "No word of the hypothesis matches the reference. There is no word-time error."

    seconds: float = 0.0
    paired: int = 0
    words: int = 0  # of the reference
    within_20: int = 0  # pairs at most 20 ms apart
    within_50: int = 0
    within_100: int = 0
    within_200: int = 0

    @property
    def errors(self) -> float:
        return self.seconds

    @property
    def total(self) -> int:
        return self.paired

    @property
    def mae(self) -> float:
        """Mean absolute error in seconds."""
        return self.rate

    @property
    def coverage(self) -> float:
        """Share of the reference's words that were paired and measured, 0 to 1."""
        return share(self.paired, self.words, "The reference has no words. There is no coverage.")

    @property
    def share_20(self) -> float:
        """Share of the pairs at most 20 ms apart, 0 to 1."""
        return share(self.within_20, self.paired, self.nothing)

    @property
    def share_50(self) -> float:
        return share(self.within_50, self.paired, self.nothing)

    @property
    def share_100(self) -> float:
        return share(self.within_100, self.paired, self.nothing)

    @property
    def share_200(self) -> float:
        return share(self.within_200, self.paired, self.nothing)


def align_words(
    reference: Sequence[Word], hypothesis: Sequence[Word], normaliser: Normaliser
) -> tuple[AlignedWord, ...]:
    """Align words with times by their normalised texts; words that normalise to nothing are left out.

    A word is one unit whatever its normalised form: "it's" and "it is" are not paired under whisper_en. Counts differ
    slightly from `wer`, whose normalisers see whole texts. Raises BadInput if the reference is None.
    """
    ours, theirs = _worded(reference, normaliser), _worded(hypothesis, normaliser)
    return tuple(
        AlignedWord(op, None if i is None else ours[i][1], None if j is None else theirs[j][1])
        for op, i, j in steps([text for text, _ in ours], [text for text, _ in theirs])
    )


def _worded(words: Sequence[Word], normaliser: Normaliser) -> list[tuple[str, Word]]:
    texts = ((normalise(word.text, normaliser), word) for word in known(words, "reference words with times"))
    return [(text, word) for text, word in texts if text]


def word_times(
    reference: Sequence[Word], hypothesis: Sequence[Word], normaliser: Normaliser
) -> tuple[TimeErrors, TimeErrors]:
    """Measure how far the starts and ends of recognised words are off, in one recording: (starts, ends).

    Only words that an alignment pairs as equal are measured: |hypothesis - reference| in seconds, its mean (MAE), and
    the shares of at most 20, 50, 100 and 200 ms. Raises BadInput if the reference is None.
    """
    aligned = align_words(reference, hypothesis, normaliser)
    words = sum(step.reference is not None for step in aligned)
    pairs = [(a.reference, a.hypothesis) for a in aligned if a.op == "equal" and a.reference and a.hypothesis]
    starts = _time_errors([abs(ours.start - theirs.start) for ours, theirs in pairs], words)
    return starts, _time_errors([abs(ours.end - theirs.end) for ours, theirs in pairs], words)


def _time_errors(apart: Sequence[float], words: int) -> TimeErrors:
    near = (sum(seconds <= bound / 1000 + ROUNDING for seconds in apart) for bound in NEAR)
    return TimeErrors(math.fsum(apart), len(apart), words, *near)


# Words where nobody speaks


@dataclass(frozen=True)
class NonSpeechWords(Counts):
    """Words on recordings without speech, all of them invented; `rate` is words per minute."""

    unit = "words per minute"
    nothing = "The duration is 0 s. Words per minute need a duration above 0 s."

    words: int = 0
    seconds: float = 0.0

    @property
    def errors(self) -> int:
        return self.words

    @property
    def total(self) -> float:
        """Minutes."""
        return self.seconds / 60


def non_speech_words(hypothesis: str, seconds: float, normaliser: Normaliser) -> NonSpeechWords:
    """Count words recognised in `seconds` of sound in which nobody speaks: words / minutes, pooled by summing both.

    Words are separated by spaces after normalisation, so a Chinese sentence is one. Raises BadInput without sound.
    """
    _positive(seconds)
    return NonSpeechWords(len(normalise(known(hypothesis, "recognised text"), normaliser).split()), seconds)


# Speed


@dataclass(frozen=True)
class Speed(Counts):
    """Processing seconds over audio seconds: `rate` is the real-time factor, `rtfx` its inverse."""

    unit = "seconds per second"
    nothing = "The duration is 0 s. A real-time factor needs a duration above 0 s."

    seconds: float = 0.0
    duration: float = 0.0

    @property
    def errors(self) -> float:
        return self.seconds

    @property
    def total(self) -> float:
        return self.duration

    @property
    def rtfx(self) -> float:
        """Audio seconds per processing second: higher is faster."""
        return share(self.duration, self.seconds, "The processing time is 0 s. RTFx needs a time above 0 s.")


def speed(seconds: float, duration: float) -> Speed:
    """Return the speed of one recording, to be pooled. Leave warm-up runs out. Raises BadInput without sound."""
    _positive(duration, "A real-time factor")
    return Speed(seconds, duration)


def rtf(seconds: float, duration: float) -> float:
    """Real-time factor: processing seconds per audio second; pool by summing both first. Its inverse is RTFx."""
    return speed(seconds, duration).rate


def rtfx(seconds: float, duration: float) -> float:
    """Audio seconds per processing second; pool by summing both first (see `Speed`)."""
    return speed(seconds, duration).rtfx


def _positive(seconds: float, what: str = "The number of words per minute") -> None:
    if not 0 < seconds < math.inf:
        raise BadInput(f"The duration is {seconds} s. {what} needs a duration above 0 s.")


@dataclass(frozen=True)
class Latency:
    """Quantiles of times in seconds. They do not pool: pass all times to `latency` at once."""

    count: int
    median: float
    p90: float
    p99: float


def latency(seconds: Iterable[float]) -> Latency:
    """Return the median, 90th and 99th percentile by linear interpolation (numpy's default, Hyndman & Fan's type 7).

    With few times the 99th percentile is close to their maximum: check `count`. Raises BadInput for no times, and for
    invalid ones.
    """
    import numpy as np

    times = np.array(list(seconds), float)
    if not len(times) or not np.isfinite(times).all() or times.min() < 0:
        raise BadInput("There are no times, or some are negative or not finite. Pass at least one time in seconds.")
    median, p90, p99 = np.quantile(times, [0.5, 0.9, 0.99])
    return Latency(len(times), float(median), float(p90), float(p99))
