"""Speech without words: where it is, what a second look adds, and what remains (stt_lab.transcription.second_look)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from stt_lab.engines.protocols import Goal
from stt_lab.pipeline import Models, listen
from stt_lab.transcription.second_look import in_context, unheard, with_found, without_doubles, without_words
from stt_lab.types import (
    SAMPLE_RATE,
    Audio,
    Event,
    Provenance,
    Recognition,
    Report,
    Segment,
    Span,
    Transcript,
    Turn,
    Unrecognized,
    Word,
)
from stt_lab.weights import catalog
from stt_lab.weights.catalog import Model

if TYPE_CHECKING:
    from stt_lab.engines.pool import Pool

MADE = Provenance("test", "test", "cpu", "1")


def words(text: str, start: float, each: float = 0.4, confidence: float | None = 0.9) -> tuple[Word, ...]:
    return tuple(
        Word(start + i * each, start + (i + 1) * each, f" {word}", confidence) for i, word in enumerate(text.split())
    )


def segment(text: str, start: float, each: float = 0.4, confidence: float | None = 0.9) -> Segment:
    said = words(text, start, each, confidence)
    return Segment(said[0].start, said[-1].end, text, said)


def spans(found: list[Span]) -> list[tuple[float, float]]:
    return [(round(one.start, 2), round(one.end, 2)) for one in found]


# Where words are missing


def test_speech_between_words() -> None:
    said = [segment("one two three", 0.0), segment("nine ten", 6.0)]
    assert spans(without_words([Span(0.0, 6.8)], said)) == [(1.35, 5.85)]


def test_a_silence_is_no_gap() -> None:
    said = [segment("one two three", 0.0), segment("nine ten", 6.0)]
    assert without_words([Span(0.0, 1.2), Span(6.0, 6.8)], said) == []


def test_speech_before_and_after_all_words() -> None:
    assert spans(without_words([Span(1.0, 9.0)], [segment("nine ten", 5.0)])) == [(1.0, 4.85), (5.95, 9.0)]


def test_a_word_that_was_stretched_over_what_was_skipped() -> None:
    said = [Segment(0.0, 5.0, "so yes", (Word(0.0, 0.3, " so"), Word(0.3, 5.0, " yes")))]
    (gap,) = without_words([Span(0.0, 5.0)], said)
    assert gap.start < 1.5
    assert gap.end == 5.0


def test_a_segment_without_words_covers_its_time() -> None:
    assert without_words([Span(0.0, 5.0)], [Segment(0.0, 5.0, "yes")]) == []


def test_short_gaps_do_not_count() -> None:
    said = [segment("one two", 0.0), segment("three four", 1.5)]
    assert without_words([Span(0.0, 2.3)], said) == []


def test_overlapping_speech_and_words() -> None:
    speech = [Span(0.0, 4.0), Span(3.0, 8.0), Span(8.0, 9.0)]
    said = [segment("one two three", 0.0), segment("two three four", 0.5)]
    assert spans(without_words(speech, said)) == [(1.85, 9.0)]


# What is decoded again


def test_stretches_stay_in_the_sound_and_are_short() -> None:
    found = in_context([Span(0.1, 1.0), Span(20.0, 99.9)], 100.0)
    assert (found[0].start, found[-1].end) == (0.0, 100.0)
    assert all(one.duration <= 27.5 for one in found)
    assert [one.start for one in found[2:]] == [one.end for one in found[1:-1]]


# What is added


def test_words_in_the_gap_are_added() -> None:
    made = with_found(
        [segment("one two", 0.0), segment("five six", 3.0)], [segment("three four", 1.2)], [Span(1.0, 2.8)]
    )
    assert [one.text for one in made] == ["one two", "three four", "five six"]


def test_words_outside_of_the_gap_are_not() -> None:
    made = with_found([segment("one two", 0.0)], [segment("two three four", 0.4)], [Span(1.0, 2.8)])
    assert [one.text for one in made] == ["one two", "three four"]


def test_words_that_the_recogniser_does_not_believe_are_not() -> None:
    made = with_found([segment("one two", 0.0)], [segment("three four", 1.2, confidence=0.1)], [Span(1.0, 2.8)])
    assert [one.text for one in made] == ["one two"]


@pytest.mark.parametrize(
    ("found", "added"),
    [("two, three", "three"), ("one two three", "three"), ("three five", "three"), ("three Five six", "three")],
)
def test_neighbours_are_not_repeated(found: str, added: str) -> None:
    gap = [Span(0.8, 3.0)]
    made = with_found([segment("one two", 0.0), segment("five six", 3.0)], [segment(found, 0.9)], gap)
    assert [one.text for one in made] == ["one two", added, "five six"]


def test_a_segment_is_cut_where_words_were_skipped() -> None:
    whole = Segment(0.0, 6.0, "one two five", (Word(0.0, 0.4, " one"), Word(0.4, 5.0, " two"), Word(5.0, 6.0, " five")))
    made = with_found([whole], [segment("three four", 2.0)], [Span(1.5, 4.8)])
    assert [one.text for one in made] == ["one two", "three four", "five"]
    assert made[0].end == 2.0


@pytest.mark.parametrize(
    ("speech", "kept"),
    [
        ([Span(0.0, 1.6)], [0.0]),  # the second one lies in a silence
        ([Span(2.0, 3.6)], [2.0]),  # the first one does
        ([Span(0.0, 1.6), Span(2.0, 3.6)], [0.0, 2.0]),  # it was said twice
    ],
)
def test_a_sentence_that_was_written_twice_is_said_once(speech: list[Span], kept: list[float]) -> None:
    said = [segment("he is the reciter.", 0.0), segment("He is the reciter", 2.0), segment("yes", 5.0)]
    made, left_out = without_doubles(said, speech)
    assert [one.start for one in made] == [*kept, 5.0]
    assert len(left_out) == 2 - len(kept)


def test_short_answers_may_be_the_same() -> None:
    said = [segment("oh no", 0.0), segment("oh no", 1.0)]
    assert without_doubles(said, []) == (tuple(said), ())


# What remains


def test_what_remains_is_reported_with_its_speaker() -> None:
    found = Recognition("en", (segment("one two", 0.0),), MADE, speech=(Span(0.0, 5.0),))
    turns = [Turn(0.0, 1.0, "Speaker 1"), Turn(1.2, 4.0, "Speaker 2")]
    ((known,), (unknown,)) = unheard(found, turns), unheard(found, ())
    assert (round(known.start, 2), known.end, known.speaker) == (0.95, 5.0, "Speaker 2")
    assert unknown == Unrecognized(known.start, 5.0, None)


# The whole way


class Skipping:
    """A pool whose recogniser skips the middle of 9 s of speech, and hears a part of it when it looks there alone."""

    def __init__(self) -> None:
        self.looked: list[tuple[Span, ...]] = []

    def slot(self, report: Report) -> AbstractContextManager[None]:
        return nullcontext()

    def transcribe(
        self, model: Model, audio: Audio, language: str | None, report: Report, goal: Goal, stretches: Any = ()
    ) -> Recognition:
        report(Event("transcribing", 0.5))
        self.looked.append(stretches)
        if stretches:
            return Recognition("en", (segment("three four", 1.0),), MADE)
        said = (segment("one two", 0.0), segment("seven eight", 8.2))
        return Recognition("en", said, MADE, speech=(Span(0.0, 9.0),))


def heard(goal: Goal = "transcribe") -> tuple[Transcript, list[tuple[Span, ...]], list[str]]:
    pool, stages = Skipping(), []
    models = Models(catalog.get("base"), goal=goal)
    made = listen(
        cast("Pool", pool), Audio(Path("sound.pcm"), 9 * SAMPLE_RATE), models, 0, lambda e: stages.append(e.stage)
    )
    return made, pool.looked, stages


def test_what_was_skipped_is_decoded_again_and_the_rest_is_reported() -> None:
    made, looked, stages = heard()
    assert [one.text for one in made.segments] == ["one two", "three four", "seven eight"]
    (gap,) = looked[1]
    assert (round(gap.start, 2), round(gap.end, 2)) == (0.8, 8.2)
    assert stages == ["transcribing", "checking", "joining"]
    (left,) = made.unrecognized
    assert (round(left.start, 2), round(left.end, 2)) == (1.95, 8.05)
    assert made.warnings == ("1 stretch of speech, 6 s in all, could not be understood; see `unrecognized`.",)


def test_translations_are_not_looked_at_again() -> None:
    made, looked, _ = heard("translate")
    assert looked == [()]
    assert made.unrecognized
