"""Correct the times of words by where a voice is heard. Pure.

A recogniser begins the first word of an utterance where the decoder first attended, often in the silence before it, and
ends the last one early. Voice activity knows both edges better.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from stt_lab.types import Segment, Span, Word

NEAR = 0.5  # seconds by which an edge may move into a silence or out of it
SHORTEST = 0.05  # seconds that a corrected word keeps


def on_speech(segments: Iterable[Segment], speech: Sequence[Span]) -> tuple[Segment, ...]:
    """Return segments whose words begin and end where the voice does that says them; both in order of time."""
    segments, starts = tuple(segments), [span.start for span in speech]
    said = [word for segment in segments for word in segment.words]
    corrected = iter([_corrected(word, after, speech, starts) for word, after in pairwise((*said, None)) if word])
    made = []
    for segment in segments:
        words = tuple(next(corrected) for _ in segment.words)
        made.append(replace(segment, words=words, start=words[0].start, end=words[-1].end) if words else segment)
    return tuple(made)


def _corrected(word: Word, after: Word | None, speech: Sequence[Span], starts: Sequence[float]) -> Word:
    near = speech[max(0, bisect_right(starts, word.start) - 1) : bisect_right(starts, word.end + NEAR)]
    voice = max(near, key=word.overlap, default=None)
    latest = math.inf if after is None else after.start
    if voice is None:
        return word
    if word.overlap(voice) > SHORTEST:
        start, end = max(word.start, voice.start), min(word.end, voice.end)
        goes_on = end < voice.end <= min(end + NEAR, latest)
        return replace(word, start=start, end=voice.end if goes_on else end)
    return _moved(word, near, latest)


def _moved(word: Word, near: Sequence[Span], latest: float) -> Word:
    """Return a word that lies in a silence at the beginning of the voice after it, unless the one before is nearer."""
    before = [word.start - voice.end for voice in near if voice.end <= word.start]
    following = next((voice for voice in near if voice.start >= word.end), None)
    if following is None or following.start - word.end > min([NEAR, *before]) or following.start + SHORTEST > latest:
        return word
    return replace(word, start=following.start, end=min(latest, following.start + word.duration))
