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
    start, end = _begun(word, after, speech, bisect_right(starts, word.start) - 1)
    at = bisect_right(starts, end) - 1
    if at >= 0:
        voice = speech[at].end
        if start + SHORTEST < voice < end or (end < voice <= end + NEAR and (after is None or voice <= after.start)):
            end = voice
    return replace(word, start=start, end=end)


def _begun(word: Word, after: Word | None, speech: Sequence[Span], at: int) -> tuple[float, float]:
    """Return the times of a word that does not begin before its voice; `at` is the last voice that begins before it."""
    silent = word.start - speech[at].end if at >= 0 else word.start
    if silent < 0 or at + 1 == len(speech):
        return word.start, word.end
    voice = speech[at + 1].start
    if voice < word.end:
        return (voice if voice + SHORTEST < word.end else word.start), word.end
    latest = after.start if after else word.end
    if voice - word.end > min(NEAR, silent) or voice + SHORTEST > latest:  # the voice before it is nearer
        return word.start, word.end
    return voice, min(latest, voice + word.duration)
