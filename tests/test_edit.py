"""Edits of a transcript's words and segments: what each does, what it leaves alone, and what is refused."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from stt_lab.errors import BadInput
from stt_lab.transcription import edit as module
from stt_lab.transcription.edit import Draft, edited
from stt_lab.transcription.wording import counted, written
from stt_lab.types import Segment, Word


def timed(text: str, start: float = 0.0, speaker: str | None = "A") -> Segment:
    """A segment whose words, split at spaces, take a second each with a pause of 0.2 s between them."""
    words = tuple(
        Word(start + i * 1.2, start + i * 1.2 + 1, f" {word}", 0.5, speaker) for i, word in enumerate(text.split())
    )
    return Segment(words[0].start, words[-1].end, text, words, speaker)


def draft(*segments: Segment, names: dict[str, str] | None = None, duration: float = 100.0) -> Draft:
    labels = dict.fromkeys(one.speaker for one in segments if one.speaker)
    return Draft(segments, names or {label: label for label in labels}, duration)


TALK = draft(timed("Hello, who is there?"), timed("It is me.", 10, "B"), timed("Good to see you.", 20))


def replaced(segment: int, first: int, last: int, text: str) -> dict[str, Any]:
    return {"op": "replace", "segment": segment, "from": first, "to": last, "text": text}


def plain(segment: Segment) -> list[str]:
    return [word.plain for word in counted(segment)]


def spans(words: Sequence[Word]) -> list[tuple[float, float]]:
    return [(round(word.start, 6), round(word.end, 6)) for word in words]


# Replace


def test_new_words_share_the_span_by_characters() -> None:
    after = edited(TALK, [replaced(0, 1, 3, "what an animal is")])
    (first, *rest) = after.segments
    assert first.text == "Hello, what an animal is there?"
    assert first.words[1].start == TALK.segments[0].words[1].start
    assert first.words[4].end == TALK.segments[0].words[2].end
    lengths = [word.duration for word in first.words[1:5]]
    assert [round(length / lengths[1], 6) for length in lengths] == [2.0, 1.0, 3.0, 1.0]
    assert (first.words[0], first.words[5]) == (TALK.segments[0].words[0], TALK.segments[0].words[3])
    assert all(word.corrected and word.confidence is None and word.speaker == "A" for word in first.words[1:5])
    assert all(new is old for new, old in zip(rest, TALK.segments[1:], strict=True))


def test_the_text_replaces_punctuation_too() -> None:
    after = edited(TALK, [replaced(0, 3, 4, "here"), replaced(0, 0, 1, "Hey!")])
    assert after.segments[0].text == "Hey! who is here"
    assert plain(after.segments[0]) == ["Hey", "who", "is", "here"]


def test_the_same_text_accepts_a_word() -> None:
    after = edited(TALK, [replaced(0, 0, 2, "Hello who")])
    before = TALK.segments[0].words
    assert after.segments[0].words[:2] == (
        replace(before[0], text=" Hello", confidence=None, corrected=True),
        replace(before[1], confidence=None, corrected=True),
    )
    assert after.segments[0].words[2:] == before[2:]


def test_inserted_words_share_the_gap() -> None:
    after = edited(TALK, [replaced(0, 1, 1, "and so")])
    assert after.segments[0].text == "Hello, and so who is there?"
    assert spans(after.segments[0].words[1:3]) == [(1.0, 1.12), (1.12, 1.2)]
    tight = draft(Segment(0, 2, "a b", (Word(0, 1, " a"), Word(1, 2, " b"))))
    (made,) = edited(tight, [replaced(0, 1, 1, "and so")]).segments
    assert spans(made.words) == [(0, 1), (1, 1), (1, 1), (1, 2)]


def test_words_at_an_edge_stay_beside_their_segment() -> None:
    after = edited(TALK, [replaced(1, 3, 3, "Really me."), replaced(1, 0, 0, "Yes.")])
    words = after.segments[1].words
    assert after.segments[1].text == "Yes. It is me. Really me."
    assert (words[0].start, words[0].end) == (9.5, 10)
    assert words[-2].start == 13.4
    assert words[-1].end == 14.4
    assert (after.segments[1].start, after.segments[1].end) == (9.5, 14.4)
    close = edited(draft(timed("a b"), timed("c", 2.5)), [replaced(0, 2, 2, "and"), replaced(1, 0, 0, "then")])
    assert spans(close.segments[0].words[2:]) == [(2.2, 2.5)]
    assert spans(close.segments[1].words[:1]) == [(2.5, 2.5)]
    last = edited(draft(timed("a b"), duration=2.3), [replaced(0, 2, 2, "and"), replaced(0, 0, 0, "so")])
    assert spans(last.segments[0].words) == [(0, 0), (0, 1), (1.2, 2.2), (2.2, 2.3)]


def test_empty_removes_words_and_the_segment_without_them() -> None:
    after = edited(TALK, [replaced(0, 0, 2, ""), replaced(1, 0, 3, " ")])
    assert [one.text for one in after.segments] == ["is there?", "Good to see you."]
    assert after.segments[0].start == TALK.segments[0].words[2].start


def test_numbers_are_those_after_the_edits_before() -> None:
    after = edited(TALK, [{"op": "delete", "segment": 0}, replaced(0, 0, 1, "That"), replaced(1, 0, 1, "Nice")])
    assert [one.text for one in after.segments] == ["That is me.", "Nice to see you."]


def test_punctuation_that_has_times_of_its_own_is_no_word() -> None:
    words = (Word(0, 1, " Well"), Word(1, 2, " –"), Word(2, 3, " yes"), Word(3, 3.2, "."))
    segment = Segment(0, 3.2, "Well – yes.", words)
    assert [(word.text, word.start, word.end) for word in counted(segment)] == [(" Well –", 0, 1), (" yes.", 2, 3)]
    (after,) = edited(draft(segment), [replaced(0, 1, 2, "no")]).segments
    assert after.text == "Well – no"
    assert after.words[0].start == 0
    assert after.words[0].end == 1
    opening = Segment(0, 2, "so (yes)", (Word(0, 1, " so"), Word(1, 1, " ("), Word(1, 2, "yes"), Word(2, 2, ")")))
    assert [word.text for word in counted(opening)] == [" so", " (yes)"]


def test_words_take_their_spelling_from_the_text() -> None:
    """As in a transcript that came back over the wire, whose words have no punctuation."""
    segment = Segment(0, 3, "Well, it's me!", (Word(0, 1, "Well"), Word(1, 2, "it's"), Word(2, 3, "me")))
    (after,) = edited(draft(segment), [replaced(0, 1, 2, "it is")]).segments
    assert after.text == "Well, it is me!"
    strange = Segment(0, 2, "something else", (Word(0, 1, " other"), Word(1, 2, " words.")))
    (after,) = edited(draft(strange), [replaced(0, 0, 1, "new")]).segments
    assert after.text == "new words."  # what counts is the words, which the wire numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello,  world!", [" Hello,", " world!"]),
        ("- Yes – no (really) « ja »", [" - Yes –", " no", " (really)", " « ja »"]),
        ("你好，世界。", [" 你", "好，", "世", "界。"]),
        ("他说《你好》", [" 他", "说", "《你", "好》"]),
        ("用Python写 2024年 OK", [" 用", "Python", "写", " 2024", "年", " OK"]),
        ("これはペンです", [" こ", "れ", "は", "ペ", "ン", "で", "す"]),
        ("ที่นี่", [" ที่", "นี่"]),
        ("안녕하세요 여러분", [" 안녕하세요", " 여러분"]),
        ("नमस्ते दुनिया", [" नमस्ते", " दुनिया"]),
        ("50% of $3", [" 50%", " of", " $3"]),
        ("… – !", []),
        ("", []),
        ("a\u202eb\x07c\td", [" abc", " d"]),
    ],
)
def test_a_text_becomes_words(text: str, words: list[str]) -> None:
    assert written(text) == words


def test_scripts_without_spaces_get_none() -> None:
    words = tuple(Word(i, i + 1, char) for i, char in enumerate("我喜欢茶。"[:-1]))
    segment = Segment(0, 4, "我喜欢茶。", (*words[:-1], Word(3, 4, "茶。")))
    (after,) = edited(draft(segment), [replaced(0, 3, 4, "绿茶。"), replaced(0, 0, 0, "他说")]).segments
    assert after.text == "他说我喜欢绿茶。"
    assert plain(after) == [*"他说我喜欢绿茶"]
    assert spans(after.words[5:]) == [(3, 3.333333), (3.333333, 4)]
    (after,) = edited(draft(segment), [replaced(0, 1, 3, "要 Python")]).segments
    assert after.text == "我要 Python茶。"


@pytest.mark.parametrize("said", ["(so)", '"so" yes', "¿so?", "– so", "«so»", "$5"])
def test_inserted_words_stand_apart(said: str) -> None:
    """Whatever punctuation they begin with, and whatever stood there."""
    assert edited(TALK, [replaced(0, 1, 1, said)]).segments[0].text == f"Hello, {said} who is there?"
    assert edited(TALK, [replaced(0, 4, 4, said)]).segments[0].text == f"Hello, who is there? {said}"
    first = edited(TALK, [replaced(1, 0, 0, said)])
    assert first.segments[1].text == f"{said} It is me."
    assert edited(first, [{"op": "merge", "segment": 0}]).segments[0].text == f"Hello, who is there? {said} It is me."
    again = edited(first, [replaced(1, 0, 0, "Oh")])
    assert again.segments[1].text == f"Oh {said} It is me."


def test_letters_never_run_together() -> None:
    segment = Segment(0, 3, "10-year plan", (Word(0, 1, "10"), Word(1, 2, "-year"), Word(2, 3, " plan")))
    (after,) = edited(draft(segment), [replaced(0, 1, 2, "day"), replaced(0, 0, 0, "A")]).segments
    assert after.text == "A 10 day plan"
    (after,) = edited(draft(segment), [replaced(0, 1, 2, "")]).segments
    assert after.text == "10 plan"


# Segments without word times


UNTIMED = draft(Segment(0, 4, "hello wrld", (), "A"), timed("Yes.", 5, "A"), Segment(7, 8, "so long", (), "B"))


def test_a_text_without_word_times_is_replaced_as_a_whole() -> None:
    after = edited(UNTIMED, [replaced(0, 0, 0, "Hello world.")])
    assert after.segments[0].text == "Hello world."
    assert spans(after.segments[0].words) == [(0, 1.818182), (1.818182, 4)]
    assert edited(UNTIMED, [replaced(0, 0, 0, "")]).segments == UNTIMED.segments[1:]
    for refused in (replaced(0, 0, 1, "x"), {"op": "split", "segment": 0, "word": 1}):
        with pytest.raises(BadInput):
            edited(UNTIMED, [refused])


def test_segments_without_word_times_are_merged_and_assigned() -> None:
    merged = edited(UNTIMED, [{"op": "merge", "segment": 0}]).segments[0]
    assert (merged.text, merged.start, merged.end) == ("hello wrld Yes.", 0, 6)
    assert not any(word.corrected for word in merged.words)
    assert len(merged.words) == 3
    both = edited(UNTIMED, [{"op": "delete", "segment": 1}, {"op": "merge", "segment": 0}]).segments
    assert both == (Segment(0, 8, "hello wrld so long", (), "A"),)
    named = edited(UNTIMED, [{"op": "speaker", "segment": 2, "from": 0, "to": 0, "speaker": "A"}])
    assert named.segments[2] == replace(UNTIMED.segments[2], speaker="A")


# Split, merge, retime, delete


def test_split_and_merge_are_inverse() -> None:
    halves = edited(TALK, [{"op": "split", "segment": 0, "word": 2}])
    assert [one.text for one in halves.segments[:2]] == ["Hello, who", "is there?"]
    assert (halves.segments[0].end, halves.segments[1].start) == (2.2, 2.4)
    assert edited(halves, [{"op": "merge", "segment": 0}]).segments == TALK.segments


def test_merge_keeps_the_first_ones_speaker() -> None:
    (first, _) = edited(TALK, [{"op": "merge", "segment": 0}]).segments
    assert (first.text, first.speaker) == ("Hello, who is there? It is me.", "A")
    assert {word.speaker for word in first.words} == {"A"}
    assert spans(first.words) == spans((*TALK.segments[0].words, *TALK.segments[1].words))


def retime(word: int, start: float, end: float, segment: int = 0) -> dict[str, Any]:
    return {"op": "retime", "segment": segment, "word": word, "start": start, "end": end}


def test_retime_stays_between_the_neighbours() -> None:
    after = edited(TALK, [retime(1, 1.0, 2.4)]).segments[0]
    assert after.words[1] == Word(1.0, 2.4, " who", None, "A", corrected=True)
    assert (after.words[0], after.words[2:]) == (TALK.segments[0].words[0], TALK.segments[0].words[2:])
    assert edited(TALK, [retime(3, 3.6, 10)]).segments[0].end == 10
    assert edited(TALK, [retime(0, 5, 10, segment=1)]).segments[1].start == 5
    for wrong in (
        retime(1, 0.9, 2), retime(1, 1.1, 2.5), retime(1, 2, 1.5), retime(0, -1, 1), retime(3, 4, 11),
        retime(0, 3, 11, 1), retime(3, 23, 101, 2), retime(0, float("nan"), 1), retime(0, 0, float("inf")),
        retime(0, 0, 10**400),
    ):  # fmt: skip
        with pytest.raises(BadInput, match="out of range"):
            edited(TALK, [wrong])


def test_times_of_the_wire_are_not_out_of_range() -> None:
    words = (Word(0, 1.00049, " a"), Word(1.00049, 2.00051, " b"), Word(2.00051, 3, " c"))
    (after,) = edited(draft(Segment(0, 3, "a b c", words)), [retime(1, 1.0, 2.001)]).segments
    assert (after.words[1].start, after.words[1].end) == (1.00049, 2.00051)


# Speakers


def test_a_part_gets_another_speaker() -> None:
    after = edited(TALK, [{"op": "speaker", "segment": 0, "from": 1, "to": 3, "speaker": "B"}])
    assert [(one.speaker, one.text) for one in after.segments[:3]] == [
        ("A", "Hello,"),
        ("B", "who is"),
        ("A", "there?"),
    ]
    assert [word.speaker for one in after.segments[:3] for word in one.words] == ["A", "B", "B", "A"]
    assert not any(word.corrected for one in after.segments for word in one.words)
    assert after.speakers == ["A", "B"]


def test_speakers_are_named_as_they_are_displayed() -> None:
    named = draft(*TALK.segments, names={"A": "Ada", "B": "Bob"})
    after = edited(named, [{"op": "speaker", "segment": 0, "from": 0, "to": 4, "speaker": "Bob"}])
    assert after.segments[0].speaker == "B"
    assert after.speakers == ["Bob", "Ada"]
    new = edited(named, [{"op": "speaker", "segment": 0, "from": 0, "to": 4, "speaker": " B "}])
    assert new.segments[0].speaker not in ("A", "B")  # a new speaker, whose name is another one's label
    assert new.speakers == ["B", "Bob", "Ada"]
    nobody = edited(named, [{"op": "speaker", "segment": 0, "from": 0, "to": 4, "speaker": None}])
    assert nobody.segments[0].speaker is None
    assert nobody.speakers == ["Bob", "Ada"]


def test_speakers_are_merged() -> None:
    after = edited(TALK, [{"op": "merge_speakers", "from": "A", "into": "B"}])
    assert after.speakers == ["B"]
    assert after.segments == TALK.segments


# What is refused


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"op": "explode"}, "replace, split"),
        ({}, "'op'"),
        ({"op": ["replace"]}, "'op'"),
        ("delete", "object"),
        (None, "object"),
        ({"op": "delete"}, "'segment' is missing"),
        ({"op": "delete", "segment": True}, "whole number"),
        ({"op": "delete", "segment": 1.0}, "whole number"),
        ({"op": "delete", "segment": 3}, "0 to 2"),
        ({"op": "delete", "segment": -1}, "0 to 2"),
        ({"op": "delete", "segment": 10**6}, "0 to 2"),
        ({"op": "delete", "segment": 10**4000}, "out of range"),
        ({"op": "retime", "segment": 0, "word": 1, "start": 10**400, "end": 10**400}, "out of range"),
        ({"op": "delete", "segment": 0, "word": 1}, "'word' does not exist"),
        (replaced(0, 2, 1, "x"), "from <= to <= 4"),
        (replaced(0, 0, 5, "x"), "from <= to <= 4"),
        (replaced(0, -1, 1, "x"), "from <= to <= 4"),
        (replaced(0, 1, 1, ""), "nothing to insert"),
        (replaced(0, 1, 2, "…"), "has no word"),
        (replaced(0, 0, 1, "x" * 10_001), "limit is 10,000"),
        ({"op": "replace", "segment": 0, "from": 0, "to": 1, "text": 7}, "a text"),
        ({"op": "split", "segment": 0, "word": 0}, "1 to 3"),
        ({"op": "split", "segment": 0, "word": 4}, "1 to 3"),
        ({"op": "merge", "segment": 2}, "last one"),
        ({"op": "retime", "segment": 0, "word": 9, "start": 0, "end": 1}, "0 to 3"),
        ({"op": "retime", "segment": 0, "word": 1, "start": "0", "end": 1}, "'start'"),
        ({"op": "speaker", "segment": 0, "from": 1, "to": 1, "speaker": "B"}, "No words"),
        ({"op": "speaker", "segment": 0, "from": 0, "to": 1, "speaker": ""}, "printable"),
        ({"op": "speaker", "segment": 0, "from": 0, "to": 1, "speaker": "a\nb"}, "printable"),
        ({"op": "speaker", "segment": 0, "from": 0, "to": 1, "speaker": "x" * 121}, "printable"),
        ({"op": "merge_speakers", "from": "A", "into": "C"}, "Use one of A, B"),
        ({"op": "merge_speakers", "from": "A", "into": "A"}, "same speaker"),
    ],
    ids=str,
)
def test_a_wrong_edit_is_named(edit: Any, words: str) -> None:
    with pytest.raises(BadInput) as problem:
        edited(TALK, [replaced(1, 0, 1, "That"), edit])
    assert str(problem.value).startswith("edits[1]")
    assert words in str(problem.value)
    assert "Nothing was changed" in str(problem.value)
    op = edit.get("op") if isinstance(edit, dict) else None
    assert not isinstance(op, str) or f"({op})" in str(problem.value)


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"10,000 edits; the limit is 1,000"):
        edited(TALK, [replaced(0, 0, 1, "x")] * 10_000)
    monkeypatch.setattr(module, "LONGEST", 50)
    with pytest.raises(BadInput, match=r"edits\[1\] .* more than 50 characters"):
        edited(TALK, [replaced(0, 0, 1, "Hello,"), replaced(0, 0, 1, "x" * 40)])
    monkeypatch.setattr(module, "LONGEST", 10)
    assert edited(TALK, [{"op": "delete", "segment": 1}]).segments  # one that is too long already can be shortened
    with pytest.raises(BadInput, match="more than 10 characters"):
        edited(TALK, [replaced(0, 0, 0, "x")])


def test_segments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SEGMENT", 25)
    for wrong in ({"op": "merge", "segment": 0}, replaced(0, 0, 0, "So then")):
        with pytest.raises(BadInput, match=r"edits\[1\] .* more than 25 characters"):
            edited(TALK, [replaced(1, 0, 1, "It"), wrong])
    monkeypatch.setattr(module, "LONGEST_SEGMENT", 5)  # longer ones can be shortened
    assert edited(TALK, [{"op": "split", "segment": 0, "word": 2}, replaced(0, 0, 1, "")]).segments[0].text == "who"


def test_many_edits_of_a_long_segment_are_quick() -> None:
    """The words of a segment are counted once, not for each edit: this took a minute."""
    now = edited(TALK, [replaced(0, 0, 0, "a " * 5_000)] * 4)
    began = time.process_time()
    after = edited(now, [replaced(0, 0, 1, "b")] * 200)
    assert time.process_time() - began < 15
    assert after.segments[0].text.startswith("b a a ")
    assert len(after.segments[0].words) == 20_004


def test_an_empty_transcript_is_edited_by_nobody() -> None:
    with pytest.raises(BadInput, match="no text"):
        edited(draft(), [{"op": "delete", "segment": 0}])


# Many edits


def any_edit(rng: random.Random, now: Draft) -> dict[str, Any]:
    """An edit that is possible now, of any kind."""
    number = rng.randrange(len(now.segments))
    size = len(counted(now.segments[number]))
    first = rng.randint(0, size)
    last = rng.randint(first, min(size, first + 3))
    text = " ".join(
        rng.choice(["yes", "no,", "Ünïcode", "你好", "50%", "(so)", "end."]) for _ in range(rng.randint(1, 4))
    )
    kind = rng.choice(["replace", "replace", "insert", "remove", "split", "merge", "retime", "speaker", "delete"])
    at = {"segment": number}
    if kind == "split" and size > 1:
        return {"op": "split", **at, "word": rng.randrange(1, size)}
    if kind == "merge" and number + 1 < len(now.segments):
        return {"op": "merge", **at}
    if kind == "retime" and size:
        word = rng.randrange(size)
        chosen = counted(now.segments[number])[word]
        inside = sorted(rng.uniform(chosen.start, chosen.end) for _ in range(2))
        return {"op": "retime", **at, "word": word, "start": inside[0], "end": inside[1]}
    if kind == "speaker" and size and first < last:
        return {"op": "speaker", **at, "from": first, "to": last, "speaker": rng.choice(["A", "B", "Cleo"])}
    if kind == "delete" and len(now.segments) > 3:
        return {"op": "delete", **at}
    if kind == "remove" and first < last and last - first < size:
        return replaced(number, first, last, "")
    return replaced(number, first, first if kind == "insert" else last, text)


def untouched(one: Draft) -> list[Word]:
    return [word for segment in one.segments for word in segment.words if not word.corrected]


@pytest.mark.parametrize("seed", range(5))
def test_500_random_edits_keep_what_they_do_not_name(seed: int) -> None:
    rng = random.Random(seed)
    now = draft(*(timed("One two, three four. Five six!", 10.0 * i, "AB"[i % 2]) for i in range(99)), duration=1000)
    original = {(word.plain, word.start, word.end) for word in untouched(now)}
    for _ in range(500):
        before, now = now, edited(now, [any_edit(rng, now)])
        words = [word for segment in now.segments for word in segment.words]
        assert all(a.start <= b.start and a.end <= b.end and a.end <= b.start for a, b in pairwise(words))
        assert all(0 <= word.start <= word.end <= now.duration for word in words)
        assert {(word.plain, word.start, word.end) for word in untouched(now)} <= original
        assert len(now.segments) >= min(len(before.segments) - 1, 3)
        for segment in now.segments:
            assert segment.text == "".join(word.text for word in segment.words).strip()
            assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
            assert {word.speaker for word in segment.words} == {segment.speaker}
            assert all(word.confidence is None for word in segment.words if word.corrected)
    assert 50 < len(untouched(now)) < len(original)
