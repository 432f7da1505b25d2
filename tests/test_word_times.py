"""The times of words beside voice activity (stt_lab.transcription.word_times)."""

from __future__ import annotations

import pytest

from stt_lab.transcription.word_times import on_speech
from stt_lab.types import Segment, Span, Word

Times = list[tuple[float, float]]


def corrected(said: Times, speech: Times) -> Times:
    words = tuple(Word(start, end, " word") for start, end in said)
    segments = (Segment(words[0].start, words[0].end, "word", words[:1]), Segment(0.0, 9.0, "words", words[1:]))
    made = on_speech([one for one in segments if one.words], [Span(*one) for one in speech])
    assert all((one.start, one.end) == (one.words[0].start, one.words[-1].end) for one in made)
    return [(word.start, word.end) for one in made for word in one.words]


@pytest.mark.parametrize(
    ("said", "speech", "right"),
    [
        ([(0.0, 0.9), (0.9, 1.2)], [(0.5, 1.2)], [(0.5, 0.9), (0.9, 1.2)]),  # begins in the silence before it
        ([(0.6, 0.9)], [(0.5, 1.2)], [(0.6, 1.2)]),  # ends early
        ([(0.6, 0.9), (1.0, 1.2)], [(0.5, 1.2)], [(0.6, 0.9), (1.0, 1.2)]),  # another word follows
        ([(0.6, 3.0), (3.1, 3.5)], [(0.5, 1.4), (3.0, 3.6)], [(0.6, 1.4), (3.1, 3.6)]),  # lasts through a silence
        ([(0.1, 0.3), (0.9, 1.2)], [(0.5, 1.2)], [(0.5, 0.7), (0.9, 1.2)]),  # lies in the silence before its voice
        ([(0.5, 1.0), (1.1, 1.3)], [(0.4, 1.0), (2.0, 3.0)], [(0.5, 1.0), (1.1, 1.3)]),  # or after it
        ([(0.5, 1.0)], [], [(0.5, 1.0)]),  # no voice was found
        ([(0.48, 0.53)], [(0.5, 0.52)], [(0.48, 0.53)]),  # nothing of it would be left
        ([(0.5, 1.0)], [(0.4, 4.0)], [(0.5, 1.0)]),  # the voice goes on for long
    ],
)
def test_edges(said: Times, speech: Times, right: Times) -> None:
    assert [(round(start, 3), round(end, 3)) for start, end in corrected(said, speech)] == right
