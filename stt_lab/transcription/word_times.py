"""Correct the times of words by where a voice is heard. Pure.

A recogniser begins the first word of an utterance where the decoder first attended, often in the silence before it, and
ends the last one early. Voice activity knows both edges better.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from stt_lab.types import Segment, Span, Word

EARLY = 0.5  # seconds by which the last word of an utterance may end too early
SHORTEST = 0.05  # seconds that a corrected word keeps


def on_speech(segments: Iterable[Segment], speech: Sequence[Span]) -> tuple[Segment, ...]:
    """Return segments whose words begin and end where the voice does that says them; `speech` in order of time."""
    starts = [span.start for span in speech]
    made = []
    for segment in segments:
        words = tuple(_corrected(word, after, speech, starts) for word, after in pairwise((*segment.words, None)) if word)
        made.append(replace(segment, words=words, start=words[0].start, end=words[-1].end) if words else segment)
    return tuple(made)


def _corrected(word: Word, after: Word | None, speech: Sequence[Span], starts: Sequence[float]) -> Word:
    before = bisect_right(starts, word.start) - 1
    start, end = word.start, word.end
    if before < 0 or speech[before].end < start:  # it begins in a silence
        following = speech[before + 1] if before + 1 < len(speech) else None
        if following is not None and following.start + SHORTEST < end:
            start = following.start
    at_end = bisect_right(starts, end) - 1
    if at_end >= 0:
        voice = speech[at_end]
        if voice.end < end and voice.end > start + SHORTEST:  # it ends in a silence
            end = voice.end
        elif end < voice.end <= end + EARLY and (after is None or after.start >= voice.end):
            end = voice.end
    return replace(word, start=start, end=end)
