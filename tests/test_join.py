"""Words x turns: who said what."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_lab.transcription.join import cheapest_path, join, join_whole, name_turns, repair
from stt_lab.types import Diarization, Provenance, Recognition, Segment, Turn, Word

MADE = Provenance("test", "test", "cpu", "0")


def recognised(*segments: Segment) -> Recognition:
    return Recognition("en", segments, MADE)


def diarized(*turns: tuple[float, float, str]) -> Diarization:
    made = tuple(Turn(*turn) for turn in turns)
    return Diarization(made, made, MADE)


def said(text: str, start: float, step: float = 0.3, gap: float = 0.0) -> Segment:
    """A segment whose words take `step` seconds each, `gap` apart."""
    words = []
    for token in text.split():
        words.append(Word(start, start + step, f" {token}"))
        start += step + gap
    return Segment(words[0].start, words[-1].end, text, tuple(words))


def labelled(segments: tuple[Segment, ...]) -> list[tuple[str | None, str]]:
    return [(segment.speaker, segment.text) for segment in segments]


def test_without_diarization_nobody_is_named() -> None:
    segments, speakers = join(recognised(said("hello there", 0)), None, 10)
    assert speakers == ()
    assert labelled(segments) == [(None, "hello there")]


def test_segments_split_where_the_speaker_changes() -> None:
    spoken = said("How are you? Fine, thanks.", 0, 0.5)
    segments, speakers = join(recognised(spoken), diarized((0, 1.5, "b"), (1.5, 2.5, "a")), 10)
    assert labelled(segments) == [("Speaker 1", "How are you?"), ("Speaker 2", "Fine, thanks.")]
    assert speakers == ("Speaker 1", "Speaker 2")
    assert all(word.speaker == segment.speaker for segment in segments for word in segment.words)
    assert [(segment.start, segment.end) for segment in segments] == [(0, 1.5), (1.5, 2.5)]


def test_one_speaker_of_one_segment_stays_one_segment() -> None:
    spoken = said("one two. three four.", 0, 0.5)
    assert len(join(recognised(spoken), diarized((0, 0.9, "a"), (1.1, 2, "a")), 10)[0]) == 1


def test_speakers_are_numbered_by_their_first_word() -> None:
    turns = diarized((0, 1, "silent"), (2, 3, "z"), (3, 4, "a"), (4, 5, "z"))
    recognition = recognised(said("Yes.", 2.2), said("No.", 3.3), said("Yes.", 4.4))
    segments, speakers = join(recognition, turns, 10)
    assert [segment.speaker for segment in segments] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert speakers == ("Speaker 1", "Speaker 2")
    assert [turn.speaker for turn in name_turns(recognition, turns, 4.5)] == [
        "Speaker 3", "Speaker 1", "Speaker 2", "Speaker 1",
    ]  # fmt: skip
    assert name_turns(recognition, turns, 4.5)[-1].end == 4.5


def test_a_word_outside_every_turn_gets_the_nearest() -> None:
    recognition = recognised(said("before", 1), said("between", 5.2), said("after", 9))
    segments, _ = join(recognition, diarized((2, 5, "a"), (6, 8, "b")), 10)
    assert [segment.speaker for segment in segments] == ["Speaker 1", "Speaker 1", "Speaker 2"]


def test_the_nearest_turn_is_found_behind_a_shorter_one() -> None:
    turns = diarized((0, 9, "a"), (1, 2, "a"), (12, 13, "b"))
    recognition = recognised(said("Here.", 9.5), said("There.", 12))
    assert join(recognition, turns, 20)[1] == ("Speaker 1", "Speaker 2")


def test_words_without_any_turn_have_one_speaker() -> None:
    segments, speakers = join(recognised(said("hello there.", 0), said("again", 7)), diarized(), 10)
    assert speakers == ("Speaker 1",)
    assert {word.speaker for segment in segments for word in segment.words} == {"Speaker 1"}


def test_nothing_was_said() -> None:
    assert join(recognised(), diarized((0, 1, "a")), 10) == ((), ())
    assert join_whole(recognised(), diarized(), 10) == ((), ())


def test_a_change_snaps_to_the_end_of_the_sentence() -> None:
    spoken = said("so that is all. And what now", 0)  # the sentence ends at 1.2 s
    for change in (0.95, 1.2, 1.45):
        segments, _ = join(recognised(spoken), diarized((0, change, "a"), (change, 3, "b")), 10)
        assert [segment.text for segment in segments] == ["so that is all.", "And what now"], change


def test_a_change_snaps_to_a_pause() -> None:
    words = [*said("and then we", 0).words, *said("no I think", 1.7).words]  # silence from 0.9 to 1.7 s
    recognition = recognised(Segment(0, 2.6, "and then we no I think", tuple(words)))
    for change in (0.7, 1.3, 1.9):
        segments, _ = join(recognition, diarized((0, change, "a"), (change, 3, "b")), 10)
        assert [segment.text for segment in segments] == ["and then we", "no I think"], change


def test_a_change_deep_inside_a_sentence_stays() -> None:
    spoken = said("one two three four five six seven eight nine ten.", 0)
    segments, _ = join(recognised(spoken), diarized((0, 1.5, "a"), (1.5, 3, "b")), 10)
    assert [segment.text for segment in segments] == ["one two three four five", "six seven eight nine ten."]


def test_flicker_within_a_sentence_is_smoothed_and_short_answers_are_kept() -> None:
    flicker = diarized((0, 0.95, "a"), (0.95, 1.2, "b"), (1.2, 3, "a"))
    assert len(join(recognised(said("one two three four five six", 0)), flicker, 10)[0]) == 1
    spoken = recognised(said("Is it done? Yes. Then go home.", 0))
    segments, _ = join(spoken, diarized((0, 0.9, "a"), (0.9, 1.2, "b"), (1.2, 3, "a")), 10)
    assert [segment.text for segment in segments] == ["Is it done?", "Yes.", "Then go home."]


def test_languages_without_spaces_join_without_spaces() -> None:
    words = tuple(Word(i * 0.3, i * 0.3 + 0.3, text) for i, text in enumerate(["你", "好", "。", "是", "的", "。"]))
    recognition = Recognition("zh", (Segment(0, 1.8, "你好。是的。", words),), MADE)
    segments, _ = join(recognition, diarized((0, 0.7, "a"), (0.7, 2, "b")), 10)
    assert [segment.text for segment in segments] == ["你好。", "是的。"]


def test_segments_without_words_are_assigned_whole() -> None:
    recognition = recognised(Segment(0, 2, " First. "), Segment(2, 4, "Second."))
    segments, speakers = join(recognition, diarized((0, 1.8, "a"), (1.8, 4, "b")), 10)
    assert labelled(segments) == [("Speaker 1", "First."), ("Speaker 2", "Second.")]
    assert speakers == ("Speaker 1", "Speaker 2")


def test_the_baseline_labels_whole_segments() -> None:
    recognition = recognised(said("How are you? Fine, thanks.", 0, 0.5))
    turns = diarized((0, 1.5, "b"), (1.5, 2.5, "a"))
    assert labelled(join_whole(recognition, turns, 10)[0]) == [("Speaker 1", "How are you? Fine, thanks.")]


def test_times_are_repaired() -> None:
    late = Segment(5, 30, "b c d", (Word(5, 6, " b"), Word(4, 4.5, " c"), Word(20, 30, " d")))
    early = Segment(1, 2, "a", (Word(1, 2, " a"),))
    empty = Segment(0, 1, "  ", (Word(0, 1, " "),))
    segments = repair([late, early, empty], 10)
    assert [segment.text for segment in segments] == ["a", "b c", "d"]
    assert [(word.start, word.end) for segment in segments[1:] for word in segment.words] == [(5, 6), (5, 6), (10, 10)]
    assert [(segment.start, segment.end) for segment in segments] == [(1, 2), (5, 6), (10, 10)]


def test_no_segment_spans_a_silence_of_more_than_a_second() -> None:
    spoken = Segment(0, 9, "a b c d", (Word(0, 1, " a"), Word(2, 3, " b"), Word(4.1, 5, " c"), Word(8, 9, " d")))
    segments = repair([spoken], 10)
    assert [(segment.text, segment.start, segment.end) for segment in segments] == [
        ("a b", 0, 3),
        ("c", 4.1, 5),
        ("d", 8, 9),
    ]


def test_the_path_is_the_cheapest_of_all() -> None:
    costs = [[0.0, 1.0, 0.4], [0.9, 0.2, 0.4], [0.3, 0.8, 0.1], [0.6, 0.1, 0.5], [0.0, 0.7, 0.2]]
    changes = [0.0, 0.3, 0.5, 0.1, 0.4]

    def price(path: tuple[int, ...]) -> float:
        moved = sum(change for change, (a, b) in zip(changes[1:], pairwise(path), strict=True) if a != b)
        return moved + sum(step[state] for step, state in zip(costs, path, strict=True))

    assert price(tuple(cheapest_path(costs, changes))) == pytest.approx(min(map(price, product(range(3), repeat=5))))


seconds = st.floats(0, 30, allow_nan=False)
spans = st.tuples(seconds, seconds).map(sorted)
words = st.builds(
    lambda span, text: Word(*span, text), spans, st.sampled_from([" a", " b.", "。", "你", " ", " -", " well,", ""])
)
segments_ = st.builds(
    lambda span, said: Segment(*span, "".join(word.text for word in said).strip() or "whole", tuple(said)),
    spans,
    st.lists(words, max_size=6),
)
turns_ = st.builds(lambda span, speaker: Turn(*span, speaker), spans, st.sampled_from("abc"))


@given(st.lists(segments_, max_size=6), st.lists(turns_, max_size=6), st.floats(0, 30), st.booleans())
def test_every_join_keeps_the_promises(said: list[Segment], turns: list[Turn], duration: float, whole: bool) -> None:
    method = join_whole if whole else join
    segments, speakers = method(recognised(*said), Diarization(tuple(turns), tuple(turns), MADE), duration)
    words = [word for segment in segments for word in segment.words]
    for spans in (segments, words):
        for before, after in pairwise(spans):
            assert before.start <= after.start
            assert before.end <= after.end
        assert all(0 <= span.start <= span.end <= duration for span in spans)
    assert all(segment.text == segment.text.strip() != "" for segment in segments)
    assert all(word.speaker == segment.speaker for segment in segments for word in segment.words)
    assert tuple(dict.fromkeys(segment.speaker for segment in segments)) == speakers
    assert speakers == tuple(f"Speaker {i + 1}" for i in range(len(speakers)))
    alone, nobody = join(recognised(*said), None, duration)
    letters = [("".join(segment.text for segment in made)).replace(" ", "") for made in (segments, alone)]
    assert letters[0] == letters[1]
    assert nobody == ()
