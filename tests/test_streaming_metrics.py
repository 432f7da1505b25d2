"""Metrics of live speech: latency of words, ends of speech, churn, and finals that stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_lab.errors import BadInput
from stt_lab.metrics import (
    EmissionTimes,
    FinalChanges,
    StreamLog,
    StreamUpdate,
    churn,
    emission_times,
    emitted,
    final_changes,
    summarise,
)
from stt_lab.types import Word


def said(text: str, start: float = 0.0, each: float = 1.0) -> tuple[Word, ...]:
    """Words without pauses between them."""
    return tuple(Word(start + n * each, start + (n + 1) * each, word) for n, word in enumerate(text.split()))


def log(*rows: tuple[float, str, str]) -> StreamLog:
    """A log of (second, final, partial)."""
    return StreamLog(tuple(StreamUpdate(at, at, text, partial) for at, text, partial in rows))


# Latency


def test_words_are_shown_first_and_final_later() -> None:
    heard = log((1.5, "", "one"), (2.5, "", "One, too"), (3.25, "", "one two"), (4.0, "One two three.", ""))
    found = emitted(said("one two three"), heard, "basic")
    assert [(one.shown, one.final, one.right) for one in found] == [
        (1.5, 4.0, True), (3.25, 4.0, True), (4.0, 4.0, True),
    ]  # fmt: skip
    times = emission_times(found, duration=3.2)
    assert times == EmissionTimes((0.5, 1.25, 1.0), (3.0, 2.0, 1.0), (1.5,), (), 3, 0)  # too little sound after it
    assert emission_times(found, duration=3.5).ends == (1.0,)


def test_a_word_in_place_of_another_ends_speech_but_is_not_that_word() -> None:
    found = emitted(said("one two"), log((3.0, "one too", "")), "basic")
    assert [(one.shown, one.final, one.right) for one in found] == [(3.0, 3.0, True), (None, 3.0, False)]
    times = emission_times(found, 9.0)
    assert (times.final, times.ends, times.words) == ((2.0,), (1.0,), 2)


def test_words_that_were_never_written_have_no_latency() -> None:
    found = emitted(said("one two three"), log((5.0, "three", "")), "basic")
    assert [one.final for one in found] == [None, None, 5.0]
    times = emission_times(emitted(said("one two"), log(), "basic"), 9.0)
    assert times == EmissionTimes(words=2, pauses=1)
    with pytest.raises(BadInput, match="no reference words with times"):
        emitted(None, log(), "basic")


def test_a_partial_has_no_words_that_are_still_to_be_said_or_are_final() -> None:
    words = said("no no no")
    heard = log((0.5, "", "no"), (1.5, "no", "no"), (1.6, "", "no no no"), (9.0, "no no", ""))
    assert [one.shown for one in emitted(words, heard, "basic")] == [0.5, 1.5, 9.0]


def test_speech_ends_where_the_reference_pauses() -> None:
    words = (*said("one two"), *said("three", 2.4), *said("four", 4.0))
    heard = log((3.0, "one two", ""), (4.5, "three", ""), (5.5, "", "four"), (6.0, "four", ""))
    times = emission_times(emitted(words, heard, "basic"), 6.0)
    assert times.ends == pytest.approx((4.5 - 3.4, 6.0 - 5.0))  # 0.4 s before "three" is no pause
    assert times.begins == pytest.approx((3.0, 1.5))
    assert times.pauses == 2


def test_times_pool_and_are_summarised() -> None:
    one = EmissionTimes((1.0,), (2.0,), (3.0,), (4.0,), 5, 1)
    assert one + one == EmissionTimes((1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0), 10, 2)
    found = summarise([-1.0, 0.0, 1.0, 4.0])
    assert (found.count, found.mean, found.p50) == (4, 1.0, 0.5)
    assert found.p50 <= found.p95 <= found.p99 <= 4.0
    for wrong in ([], [float("nan")]):
        with pytest.raises(BadInput, match="at least one time"):
            summarise(wrong)


# Stability


@pytest.mark.parametrize(
    ("rows", "changed", "shown"),
    [
        ([(1, "", "one"), (2, "", "one two"), (3, "One two.", "")], 0, 2),
        ([(1, "", "won"), (2, "", "one two"), (3, "one two", "")], 1, 3),
        ([(1, "", "one two"), (2, "", "")], 2, 2),  # taken back
        ([(1, "", "one two three"), (2, "one", ""), (3, "", "two three"), (4, "two three", "")], 0, 3),
        ([(1, "", "one two"), (2, "one", "")], 1, 2),  # never settled
        ([(1, "", "one too"), (2, "one two", "three"), (3, "three", "")], 1, 4),
    ],
)
def test_churn_counts_what_was_replaced_or_taken_back(
    rows: list[tuple[float, str, str]], changed: int, shown: int
) -> None:
    found = churn(log(*rows))
    assert (found.changed, found.shown) == (changed, shown)


def test_finals_stay() -> None:
    first = StreamUpdate(2, 2, "one two", words=said("one two"))
    again = StreamUpdate(3, 3, "two three", words=said("two three", 1.0))
    after = StreamUpdate(4, 4, "three", words=said("three", 2.0))
    assert final_changes(StreamLog((first, after), transcript="one two  three")) == FinalChanges(2, 0, 0)
    assert final_changes(StreamLog((first, again))) == FinalChanges(2, 1, 0)
    assert final_changes(StreamLog((first, after), transcript="one too three")) == FinalChanges(2, 0, 1)
    assert FinalChanges(2, 1, 0) + FinalChanges(1, 0, 1) == FinalChanges(3, 1, 1)


# What is always so

TEXTS = st.lists(st.sampled_from(["a", "b", "C", "d."]), max_size=6).map(" ".join)
LOGS = st.lists(st.tuples(st.floats(0, 20), TEXTS, TEXTS), max_size=8).map(lambda rows: log(*sorted(rows)))


@given(TEXTS, LOGS)
def test_every_word_is_shown_before_or_when_it_is_final(text: str, heard: StreamLog) -> None:
    found = emitted(said(text), heard, "basic")
    assert len(found) == len(text.split())
    for one in found:
        if one.right:
            assert one.shown is not None
            assert one.final is not None
            assert one.shown <= one.final
    times = emission_times(found, 10.0)
    assert len(times.final) <= len(times.shown) <= times.words
    assert len(times.ends) <= times.pauses


@given(LOGS)
def test_no_word_changes_that_was_not_shown(heard: StreamLog) -> None:
    found = churn(heard)
    assert 0 <= found.changed <= found.shown
    finals = sum(len(update.text.split()) for update in heard.updates)
    assert found.shown - found.changed == finals  # what stays is what is final
    silent = replace(heard, updates=tuple(replace(one, partial="") for one in heard.updates))
    assert churn(silent).changed == 0


@given(TEXTS, st.floats(0, 3))
def test_a_later_stream_is_later_by_as_much(text: str, delay: float) -> None:
    words = said(text)
    rows = [(one.end, word, "") for one, word in zip(words, text.split(), strict=True)]
    times = emission_times(emitted(words, log(*((at + delay, *rest) for at, *rest in rows)), "basic"), 100.0)
    assert times.final == pytest.approx([delay] * len(words))
