"""Metrics of live speech: how late words are shown and final, how often shown words change, and whether finals stay.

A log has the updates of one recording with two clocks: `at` is the second of the stream in which an update came, and
`heard` the seconds of sound that had been sent by then. Word times of the reference are seconds of the sound. Where
speech ends is read from these times, so the voice detector of the system under test is not its own judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, zip_longest
from typing import Literal

from stt_lab.errors import BadInput
from stt_lab.metrics.counts import Counts, known
from stt_lab.metrics.words import steps
from stt_lab.text import Normaliser, normalise
from stt_lab.types import Word

PAUSE_S = 0.5  # without a word: speech ended before it
OVERLAP_S = 0.1  # by which a final may begin before the end of the final before it: word times are not exact
Clock = Literal["running", "stopped"]


@dataclass(frozen=True)
class StreamUpdate:
    """What a system said at one moment. `text` is final, `partial` may still change."""

    at: float  # seconds since the stream began
    heard: float  # seconds of sound sent until then
    text: str = ""
    partial: str = ""
    words: tuple[Word, ...] = ()  # of a final, with times in the sound; () if the system gives none


@dataclass(frozen=True)
class StreamLog:
    """The updates of one recording, and what the system says about its work. None: it does not say."""

    updates: tuple[StreamUpdate, ...] = ()
    clock: Clock = "running"  # "stopped": sound waits while the system computes, so computing takes no time
    transcript: str | None = None  # the whole text, as the system says it at the end
    worked_s: float | None = None  # seconds of computing
    steps: int | None = None  # times that something was decoded
    skipped: int | None = None  # partials that were due and left out

    @property
    def text(self) -> str:
        """Return all finals, joined by a space."""
        return " ".join(update.text.strip() for update in self.updates if update.text.strip())


# Latency


@dataclass(frozen=True)
class EmittedWord:
    """A word of the reference, and the seconds of the stream in which it was shown first and became final.

    `shown`: in a partial or a final, rightly; None: never. `final`: when a final had this word, or another one in its
    place, as `right` says; None: no final has a word there.
    """

    word: Word
    shown: float | None = None
    final: float | None = None
    right: bool = False


@dataclass(frozen=True)
class EmissionTimes:
    """Latencies of one or several recordings, in seconds; add them to pool."""

    shown: tuple[float, ...] = ()  # from the end of a word to the first text that has it
    final: tuple[float, ...] = ()  # from the end of a word to the final that has it
    begins: tuple[float, ...] = ()  # from the beginning of speech to the first right word of it
    ends: tuple[float, ...] = ()  # from the end of speech to the final that has its last word, right or wrong
    words: int = 0  # of the reference
    pauses: int = 0  # ends of speech in the reference

    def __add__(self, other: EmissionTimes) -> EmissionTimes:
        return EmissionTimes(
            self.shown + other.shown,
            self.final + other.final,
            self.begins + other.begins,
            self.ends + other.ends,
            self.words + other.words,
            self.pauses + other.pauses,
        )


@dataclass(frozen=True)
class LatencySummary:
    """Mean and percentiles of times in seconds."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float


def summarise(seconds: Iterable[float]) -> LatencySummary:
    """Return mean, 50th, 95th and 99th percentile by linear interpolation. Times may be negative: a word can be shown
    before the reference says that it ended. Raises BadInput for no times, and for those that are not finite.
    """
    import numpy as np

    times = np.array(list(seconds), float)
    if not len(times) or not np.isfinite(times).all():
        raise BadInput("There are no times, or some are not finite. Pass at least one time in seconds.")
    p50, p95, p99 = np.quantile(times, [0.5, 0.95, 0.99])
    return LatencySummary(len(times), float(times.mean()), float(p50), float(p95), float(p99))


def emitted(reference: Sequence[Word] | None, log: StreamLog, normaliser: Normaliser) -> tuple[EmittedWord, ...]:
    """Say for each word of the reference when it was shown first, and when it became final.

    All finals are aligned with the reference with the fewest errors. Each partial is aligned with the words that follow
    the last final word and that had begun by then. Words that normalise to nothing are left out. Raises BadInput if
    the reference is None.
    """
    plain = _cached(normaliser)
    spoken = sorted(known(reference, "reference words with times"), key=lambda word: word.start)
    words = [(text, word) for word in spoken if (text := plain(word.text))]
    texts = [text for text, _ in words]
    said = [(text, update.at) for update in log.updates for text in _split(update.text, plain)]
    finals: dict[int, tuple[float, bool]] = {}
    place: dict[int, int] = {}  # word of the finals -> word of the reference
    for op, i, j in _aligned(texts, [text for text, _ in said]):
        if i is not None and j is not None:
            finals[i], place[j] = (said[j][1], op == "equal"), i
    shown = {i: at for i, (at, right) in finals.items() if right}
    for i, at in _first_partials(words, place, log, plain):
        shown[i] = min(at, shown.get(i, math.inf))
    return tuple(EmittedWord(word, shown.get(i), *finals.get(i, (None, False))) for i, (_, word) in enumerate(words))


def _first_partials(
    words: Sequence[tuple[str, Word]], place: dict[int, int], log: StreamLog, plain: Callable[[str], str]
) -> Iterator[tuple[int, float]]:
    """Yield words of the reference that partials have, each with the second of the partial."""
    count, done = 0, 0  # words of the finals so far, and the words of the reference up to the last of them
    for update in log.updates:
        for j in range(count, count + len(_split(update.text, plain))):
            done, count = max(done, place.get(j, -1) + 1), count + 1
        guess = _split(update.partial, plain)
        begun = [text for text, word in words[done : done + 3 * len(guess) + 10] if word.start < update.heard]
        for op, i, _ in _aligned(begun, guess):
            if op == "equal" and i is not None:
                yield done + i, update.at


def _aligned(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[str, int | None, int | None]]:
    if ours and theirs:
        yield from steps(ours, theirs)


def _split(text: str, plain: Callable[[str], str]) -> list[str]:
    return [made for word in text.split() if (made := plain(word))]


def _cached(normaliser: Normaliser) -> Callable[[str], str]:
    """Return a normaliser of single words that remembers them: partials repeat the same ones."""
    return lru_cache(100_000)(lambda word: normalise(word, normaliser))


def emission_times(words: Sequence[EmittedWord], duration: float) -> EmissionTimes:
    """Return the latencies of one recording of `duration` seconds.

    Speech ends at the last word before a pause of PAUSE_S, or before so much sound at the end of the recording.
    """
    stretches = _stretches(words)
    ended = [one[-1] for one in stretches[:-1]]
    if stretches and duration - stretches[-1][-1].word.end >= PAUSE_S:
        ended.append(stretches[-1][-1])
    first = (
        (one[0].word.start, min((word.shown for word in one if word.shown is not None), default=None))
        for one in stretches
    )
    return EmissionTimes(
        tuple(one.shown - one.word.end for one in words if one.shown is not None),
        tuple(one.final - one.word.end for one in words if one.final is not None and one.right),
        tuple(at - start for start, at in first if at is not None),
        tuple(one.final - one.word.end for one in ended if one.final is not None),
        len(words),
        len(ended),
    )


def _stretches(words: Sequence[EmittedWord]) -> list[list[EmittedWord]]:
    """Split words where nobody speaks for PAUSE_S."""
    made: list[list[EmittedWord]] = []
    end = -math.inf
    for word in words:
        if not made or word.word.start - end >= PAUSE_S:
            made.append([])
        made[-1].append(word)
        end = max(end, word.word.end)
    return made


# Stability


@dataclass(frozen=True)
class Churn(Counts):
    """Words of partials that were replaced or taken back, over all words that were shown."""

    nothing = "No word was shown. There is no churn."

    changed: int = 0
    shown: int = 0

    @property
    def errors(self) -> int:
        return self.changed

    @property
    def total(self) -> int:
        return self.shown


def churn(log: StreamLog) -> Churn:
    """Count shown words, and those of partials that were replaced or taken back, without case and punctuation.

    Words are compared place by place. A final takes the place of the beginning of the partial; what it does not reach
    is compared with the next partial, and words still unsettled at the end count as taken back.
    """
    plain = _cached("basic")
    changed = shown = 0
    before: list[str] = []  # words on display that are not final
    for update in log.updates:
        for now, whole in ((_split(update.text, plain), False), (_split(update.partial, plain), True)):
            if not whole and not now:
                continue
            if whole and not now and update.text:
                continue  # a final without a partial says nothing about the rest
            old = before if whole else before[: len(now)]
            pairs = list(zip_longest(old, now))
            changed += sum(one is not None and one != other for one, other in pairs)
            shown += sum(other is not None and one != other for one, other in pairs)
            before = now if whole else before[len(now) :]
    return Churn(changed + len(before), shown)


@dataclass(frozen=True)
class FinalChanges:
    """Finals of a stream, and what should not happen to them. Both counts must be 0."""

    finals: int = 0
    repeated: int = 0  # finals that begin before the end of an earlier one
    changed: int = 0  # streams whose transcript has other words than their finals

    def __add__(self, other: FinalChanges) -> FinalChanges:
        return FinalChanges(self.finals + other.finals, self.repeated + other.repeated, self.changed + other.changed)


def final_changes(log: StreamLog) -> FinalChanges:
    """Count finals, those that say again what was final, and whether the transcript at the end has other words."""
    finals = [update for update in log.updates if update.text.strip()]
    timed = [update.words for update in finals if update.words]
    repeated = sum(after[0].start < before[-1].end - OVERLAP_S for before, after in pairwise(timed))
    whole = log.text if log.transcript is None else log.transcript
    plain = _cached("basic")
    return FinalChanges(len(finals), repeated, int(_split(whole, plain) != _split(log.text, plain)))
