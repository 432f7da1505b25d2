"""Alignments, MER and WIL, keyterms, times of words, latency: against jiwer, by hand, and by other formulas."""

from __future__ import annotations

import math
from collections import Counter

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_lab.errors import BadInput
from stt_lab.metrics import (
    Aligned,
    NonSpeechWords,
    Speed,
    TermErrors,
    TimeErrors,
    WordErrors,
    align,
    align_words,
    confusions,
    keyterms,
    keyterms_by_term,
    latency,
    non_speech_words,
    pool,
    rtfx,
    speed,
    wer,
    word_times,
)
from stt_lab.types import Word

sentences = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)
pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=5)
quick = settings(max_examples=50, deadline=None)
exactly = {"rel": 1e-9, "abs": 1e-9}


@quick
@given(pairs)
def test_mer_and_wil_pool_as_jiwers(texts: list[tuple[str, str]]) -> None:
    references, hypotheses = map(list, zip(*texts, strict=True))
    found = pool(wer([r], [h], "none") for r, h in texts)
    assert found.mer == pytest.approx(jiwer.mer(references, hypotheses), **exactly)
    assert found.wil == pytest.approx(jiwer.wil(references, hypotheses), **exactly)
    assert found.wip == pytest.approx(jiwer.wip(references, hypotheses), **exactly)
    assert found.hypothesis_words == sum(len(h.split()) for h in hypotheses)


def test_mer_and_wil_by_hand() -> None:
    found = wer(["one two three four"], ["one too three four five"], "none")
    assert (found.hits, found.hypothesis_words) == (3, 5)
    assert found.mer == 2 / 5
    assert found.wil == pytest.approx(1 - 3 / 4 * 3 / 5)
    silence, invented = wer([""], [""], "none"), wer([""], ["a"], "none")
    assert (silence.mer, silence.wil, invented.mer, invented.wil) == (0, 0, 1, 1)


def test_what_is_not_known_is_not_scored() -> None:
    unknown = [None]
    with pytest.raises(BadInput, match="no reference text"):
        wer(unknown, ["a"], "none")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="nothing to pool"):
        pool([])


# Alignments


def test_align_by_hand() -> None:
    found = align("The cat sat", "a cat sat down", "basic")
    assert found == (
        Aligned("substitute", "the", "a"),
        Aligned("equal", "cat", "cat"),
        Aligned("equal", "sat", "sat"),
        Aligned("insert", None, "down"),
    )
    assert align("", "", "basic") == ()


@quick
@given(sentences, sentences)
def test_alignments_hold_all_words_and_count_as_wer(reference: str, hypothesis: str) -> None:
    found = align(reference, hypothesis, "none")
    assert [step.reference for step in found if step.reference is not None] == reference.split()
    assert [step.hypothesis for step in found if step.hypothesis is not None] == hypothesis.split()
    assert all((step.op == "equal") == (step.reference == step.hypothesis) for step in found)
    ops = Counter(step.op for step in found)
    counted = WordErrors(ops["substitute"], ops["delete"], ops["insert"], len(reference.split()))
    assert counted == wer([reference], [hypothesis], "none")


def test_confusions_add_up() -> None:
    first = confusions(align("their car is red", "there car red", "none"))
    both = first + confusions(align("their", "there", "none"))
    assert both.most_common(1) == [(("their", "there"), 2)]
    assert both[("is", None)] == 1
    assert confusions(align("a", "a b", "none")) == {(None, "b"): 1}


# Times of words


def words_at(*said: tuple[str, float]) -> list[Word]:
    return [Word(start, start + 0.4, f" {text}", None) for text, start in said]


def test_word_times_by_hand() -> None:
    reference = words_at(("One,", 1), ("two", 2), ("three", 3), ("four", 4))
    hypothesis = words_at(("one", 1.02), ("too", 2), ("three", 2.9), ("four.", 4.3), ("…", 5))
    starts, ends = word_times(reference, hypothesis, "basic")
    assert (starts.paired, starts.words, starts.coverage) == (3, 4, 0.75)
    assert starts.mae == pytest.approx((0.02 + 0.1 + 0.3) / 3)
    assert (starts.within_20, starts.within_50, starts.within_100, starts.within_200) == (1, 1, 2, 2)
    assert starts.share_200 == 2 / 3
    assert (ends.paired, ends.within_20) == (3, 1)
    assert align_words(reference, hypothesis, "basic")[1].hypothesis == hypothesis[1]


def test_words_of_several_tokens_are_units() -> None:
    starts, _ = word_times(words_at(("it's", 1), ("late", 2)), words_at(("it's", 1), ("late", 2)), "whisper_en")
    assert (starts.paired, starts.words) == (2, 2)


@quick
@given(st.lists(st.tuples(st.booleans(), st.integers(-300, 300), st.integers(0, 300)), max_size=8))
def test_word_times_of_words_that_occur_once(said: list[tuple[bool, int, int]]) -> None:
    """Pairs are certain where no word occurs twice: the errors are those that were put in."""
    reference = [Word(10 + i, 10.5 + i, f"w{i}") for i in range(len(said))]
    kept = [(i, a, b) for i, (keep, a, b) in enumerate(said) if keep]
    hypothesis = [Word(10 + i + a / 1000, 10.5 + i + b / 1000, f"w{i}") for i, a, b in kept]
    for found, put in zip(
        word_times(reference, hypothesis, "none"), zip(*[k[1:] for k in kept], strict=True), strict=False
    ):
        assert (found.paired, found.words) == (len(kept), len(said))
        assert found.mae == pytest.approx(np.abs(put).mean() / 1000, **exactly)
        assert found.share_50 == pytest.approx(np.mean(np.abs(put) <= 50), **exactly)


def test_no_pairs_no_error() -> None:
    nothing, _ = word_times(words_at(("a", 0)), [], "none")
    assert nothing == TimeErrors(words=1)
    with pytest.raises(BadInput, match="No word"):
        _ = nothing.mae
    with pytest.raises(BadInput, match="no reference words"):
        word_times(None, [], "none")  # type: ignore[arg-type]


# Keyterms


def test_keyterms_by_hand() -> None:
    references = ["Call New York, then New York City.", "kubectl works"]
    hypotheses = ["call new york then newark city", "cube cuttle works in New York"]
    found = keyterms(references, hypotheses, ["New York", "Kubectl", "kubectl"], "basic")
    assert found == TermErrors(found=1, missed=2, invented=1)
    assert (found.recall, found.precision) == (1 / 3, 1 / 2)
    assert found.f1 == pytest.approx(2 / 5)
    assert found.f1 == pytest.approx(2 / (1 / found.recall + 1 / found.precision))
    assert list(keyterms_by_term(references, hypotheses, ["New York", "Kubectl"], "basic")) == ["New York", "Kubectl"]


@quick
@given(pairs, st.lists(st.sampled_from(["a", "b a", "c d a", "a a"]), min_size=1, unique=True))
def test_keyterms_as_a_text_search(texts: list[tuple[str, str]], terms: list[str]) -> None:
    """Each word is one letter, so that without spaces str.count finds the same."""
    references, hypotheses = map(list, zip(*texts, strict=True))
    counts = [[text.replace(" ", "").count(term.replace(" ", "")) for text in pair] for pair in texts for term in terms]
    expected = TermErrors(
        sum(map(min, counts)), sum(max(0, r - h) for r, h in counts), sum(max(0, h - r) for r, h in counts)
    )
    assert keyterms(references, hypotheses, terms, "none") == expected
    assert keyterms(references, hypotheses, terms, "none", spaces=False) == expected


def test_keyterms_without_spaces() -> None:
    assert keyterms(["我住在北京市。"], ["我 住在 北京"], ["北京", "市"], "basic", spaces=False) == TermErrors(1, 1, 0)


def test_keyterms_that_cannot_be_counted() -> None:
    for terms in ([], ["a", "?!"]):
        with pytest.raises(BadInput, match="letters or digits"):
            keyterms(["a"], ["a"], terms, "basic")
    absent = keyterms(["a"], ["a"], ["b"], "basic")
    for name in ("recall", "precision", "f1", "rate"):
        with pytest.raises(BadInput):
            getattr(absent, name)


# Work, and words where nobody speaks


def test_words_per_minute() -> None:
    values = [non_speech_words("Thank you. …", 30, "basic"), non_speech_words("", 90, "basic")]
    assert pool(values) == NonSpeechWords(2, 120)
    assert pool(values).rate == 1
    with pytest.raises(BadInput, match="duration is 0 s"):
        non_speech_words("", 0, "basic")


def test_speed() -> None:
    total = pool([speed(1, 10), speed(3, 10)])
    assert total == Speed(4, 20)
    assert (total.rate, total.rtfx, rtfx(2, 10)) == (0.2, 5, 5)
    for seconds, duration in ((1, 0), (1, math.nan), (0, 1)):
        with pytest.raises(BadInput):
            rtfx(seconds, duration)


@quick
@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=30))
def test_latency(times: list[float]) -> None:
    found = latency(times)
    ordered = sorted(times)
    for quantile, value in ((0.5, found.median), (0.9, found.p90), (0.99, found.p99)):
        place = quantile * (len(times) - 1)
        below = ordered[math.floor(place)]
        assert value == pytest.approx(below + (place % 1) * (ordered[math.ceil(place)] - below), **exactly)
    assert found.count == len(times)


@pytest.mark.parametrize("times", [[], [math.nan], [-1.0]])
def test_latency_of_what_is_no_time(times: list[float]) -> None:
    with pytest.raises(BadInput):
        latency(times)
