"""Words that become final are decoded together with sound before them: where that begins, and what is new. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from stt_lab.streaming.guards import bare
from stt_lab.types import Span, Word

CONTEXT_S = 8.0  # most sound before a stretch that is decoded with it
WINDOW_S = 10.0  # of a stretch and its context together: long stretches need none, and it would make them late
LATE_S = 0.4  # of computing that a final may take where context is what makes it long
NEAR_S = 0.6  # between the ends of a word in two hypotheses that are taken for the same word
APART_S = 0.2  # between words of two hypotheses at most, if one was heard where the other is
SHORTEST_S = 0.01  # of a word whose time lies in what is final
EARLY_S = 0.3  # before a voice is heard, in which a word of it may end: "I" and "he" are often heard late


def window_in_time(cost: float) -> float:
    """Return how long a stretch and its context may be together, at so many seconds of computing for each of sound."""
    return min(WINDOW_S, LATE_S / cost) if cost > 0 else WINDOW_S


def context_start(said: Sequence[Word], stretch: Span, window: float = WINDOW_S) -> float:
    """Return the middle of the longest pause between final words in the seconds before a stretch, where its context
    begins: at most CONTEXT_S, and no more than make `window` with the stretch.

    Without words so near it is the start of the stretch: words that begin in the middle are understood badly.
    """
    start = stretch.start
    earliest = start - max(0.0, min(CONTEXT_S, window - stretch.duration))
    pauses = [Span(before.end, max(before.end, after.start)) for before, after in pairwise([Word(0, 0, ""), *said])]
    inside = [pause for pause in pauses if (pause.start + pause.end) / 2 >= earliest]
    longest = max(inside, key=lambda pause: (pause.duration, pause.start), default=Span(start, start))
    return min(start, (longest.start + longest.end) / 2)


def new_from(words: Sequence[Word], last: Word | None, cut: float, began: float) -> float:
    """Return the time after which words are new: after the last final word where it was heard once more, or else after
    the cut, and not long before the voice began. A word counts more than a time: that of a short word is not exact.
    """
    same = [word.end for word in words if last and _same(word, last)]
    early = [word.end for word in words if word.end <= began - EARLY_S]
    return max([*same, *early] if same else [cut, *early])


def not_before(words: Sequence[Word], floor: float) -> tuple[Word, ...]:
    """Return words none of which begins before a time: the earlier ones follow it, SHORTEST_S each."""
    moved = list[Word]()
    for word in words:
        start = max(word.start, floor)
        floor = max(word.end, start + SHORTEST_S) if word.end <= start else floor
        moved.append(replace(word, start=start, end=max(word.end, start + SHORTEST_S)))
    return tuple(moved)


def with_beginning(words: Sequence[Word], other: Sequence[Word]) -> tuple[Word, ...]:
    """Return words, behind those that another hypothesis has before the first of them: sound that begins between two
    words may hide a short word.
    """
    same = (at for at, word in enumerate(other) if words and _same(word, words[0]))
    before = other[: next(same, 0)]
    return (*before, *not_before(words, before[-1].end)) if before else tuple(words)


def _same(one: Word, other: Word) -> bool:
    return bare(one) == bare(other) and abs(one.end - other.end) < NEAR_S


def missing(words: Sequence[Word], voice: Span, until: bool = False) -> float:
    """Return for how many seconds at its beginning, or at its end unless somebody goes on, a voice has no words."""
    if not words:
        return voice.duration
    return max(words[0].start - voice.start, 0.0 if until else voice.end - words[-1].end)


def dropped(shown: Sequence[Word], words: Sequence[Word]) -> float:
    """Return the seconds of words that were shown at times at which nothing is said any more."""
    return sum(
        word.end - word.start
        for word in shown
        if not any(one.start - APART_S < (word.start + word.end) / 2 < one.end + APART_S for one in words)
    )
