"""Metrics against the reference libraries, against counting by hand, and against independent formulas."""

from __future__ import annotations

import math
from itertools import permutations

import jiwer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from meeteval.wer import cp_word_error_rate
from pyannote.core import Timeline
from pyannote.metrics.diarization import DiarizationErrorRate
from talks import Stretch, annotation, diarizations, distance, pairs, segments_of, talks

from stt_lab.errors import BadInput
from stt_lab.metrics import DiarizationErrors, SpeakerErrors, WordErrors, bootstrap, cer, cpwer, der, rtf, wder, wer
from stt_lab.types import Segment, Turn, Word

# Words


def test_wer_by_hand() -> None:
    found = wer(["the cat sat on the mat"], ["Cat sit on the mat, now!"], "basic")
    assert found == WordErrors(substitutions=1, deletions=1, insertions=1, words=6)
    assert found.rate == 0.5


@given(pairs)
def test_wer_is_jiwers(texts: list[tuple[str, str]]) -> None:
    references, hypotheses = map(list, zip(*texts, strict=True))
    found = wer(references, hypotheses, "none")
    assert found.errors == sum(distance(r.split(), h.split()) for r, h in texts)
    assert found.words == sum(len(r.split()) for r in references)
    if found.words:
        assert found.rate == pytest.approx(jiwer.wer(references, hypotheses))
    assert sum((wer([r], [h], "none") for r, h in texts), WordErrors()) == found


def test_wer_of_silence() -> None:
    assert wer([""], [""], "basic").rate == 0.0
    invented = wer([""], ["thank you"], "basic")
    assert (invented.insertions, invented.words, invented.rate) == (2, 0, math.inf)
    assert wer([], [], "basic") == WordErrors()


def test_lengths_must_match() -> None:
    for metric in (wer, cer):
        with pytest.raises(BadInput, match="1 hypotheses for 2"):
            metric(["a", "b"], ["a"], "basic")


@given(pairs)
def test_cer_is_jiwers(texts: list[tuple[str, str]]) -> None:
    references, hypotheses = map(list, zip(*texts, strict=True))
    assume(any(references))
    with_spaces = cer(references, hypotheses, "none", spaces=True)
    assert with_spaces.rate == pytest.approx(jiwer.cer(references, hypotheses))
    without = cer(references, hypotheses, "none")
    assert without.errors == sum(distance(list(r.replace(" ", "")), list(h.replace(" ", ""))) for r, h in texts)


def test_cer_ignores_the_spaces_of_chinese() -> None:
    assert cer(["今天天气很好。"], ["今天 天气 真好"], "basic") == WordErrors(1, 0, 0, 6)
    assert cer([], [], "basic") == WordErrors()


# Speakers


@given(diarizations(), diarizations(), st.sampled_from([0.0, 0.25]), st.booleans())
def test_der_is_pyannotes(reference: list[Turn], hypothesis: list[Turn], collar: float, skip: bool) -> None:
    found = der(reference, hypothesis, 15.0, collar, skip)
    metric = DiarizationErrorRate(collar=2 * collar, skip_overlap=skip)
    scored = Timeline([Stretch(0, 15)])
    parts = metric(annotation(reference), annotation(hypothesis), uem=scored, detailed=True)
    assert found.seconds == pytest.approx(parts["total"])
    assert found.false_alarm == pytest.approx(parts["false alarm"])
    assert found.missed == pytest.approx(parts["missed detection"])
    assert found.confusion == pytest.approx(parts["confusion"])
    if found.seconds:
        assert found.rate == pytest.approx(parts["diarization error rate"])


def test_der_by_hand() -> None:
    reference = [Turn(0, 4, "a"), Turn(4, 8, "b")]
    found = der(reference, [Turn(0, 5, "x"), Turn(5, 7, "y"), Turn(9, 10, "y")], 10)
    assert found == DiarizationErrors(false_alarm=1.0, missed=1.0, confusion=1.0, seconds=8.0)
    assert found.rate == 3 / 8


def test_the_collar_is_on_each_side() -> None:
    found = der([Turn(1, 3, "a")], [Turn(0.75, 3.25, "x")], 5, collar=0.25)
    assert found.errors == pytest.approx(0)
    assert found.seconds == pytest.approx(1.5)


def test_the_turns_of_one_speaker_are_merged() -> None:
    touching = [Turn(0, 2, "a"), Turn(1, 3, "a"), Turn(3, 4, "a")]
    assert der(touching, [Turn(0, 4, "x")], 4, collar=0.25) == der([Turn(0, 4, "a")], [Turn(0, 4, "x")], 4, collar=0.25)


def test_der_of_silence() -> None:
    assert der([], [], 5).rate == 0.0
    assert der([], [Turn(0, 1, "x")], 5).rate == math.inf
    assert der([], [], 0) == DiarizationErrors()


@given(talks, talks)
def test_cpwer_is_meetevals(reference: list[tuple[str, str]], hypothesis: list[tuple[str, str]]) -> None:
    found = cpwer(segments_of(reference), segments_of(hypothesis), "none")
    texts = [
        {name: " ".join(text for speaker, text in side if speaker == name) for name, _ in side}
        for side in (reference, hypothesis)
    ]
    expected = cp_word_error_rate(*texts)
    assert (found.errors, found.words) == (expected.errors, expected.length)
    padded = [[text.split() for text in side.values()] + [[]] * (3 - len(side)) for side in texts]
    tried = (sum(map(distance, padded[0], other)) for other in map(list, permutations(padded[1])))
    assert found.errors == min(tried)


def test_cpwer_refuses_a_crowd() -> None:
    crowd = [Segment(i, i + 1, "a", (), str(i)) for i in range(21)]
    with pytest.raises(BadInput, match="21 speakers"):
        cpwer(crowd, crowd, "none")


def test_wder_by_hand() -> None:
    reference = segments_of([("anna", "how are you"), ("bert", "fine thank you")])
    hypothesis = segments_of([("2", "How are you? Fine."), ("1", "Thanks, you")])
    assert wder(reference, hypothesis, "basic") == SpeakerErrors(wrong=1, aligned=6)
    assert wder(reference, hypothesis, "basic").rate == 1 / 6


def test_wder_ignores_insertions_and_deletions() -> None:
    reference = segments_of([("a", "one two three"), ("b", "four five")])
    hypothesis = segments_of([("b", "one three"), ("a", "four five six")])
    assert wder(reference, hypothesis, "none") == SpeakerErrors(0, 4)


def test_wder_reads_segments_one_after_the_other() -> None:
    words = (Word(0, 1, " one", None, "a"), Word(2, 3, " three", None, "a"))
    reference = [Segment(1, 2, "two", (), "b"), Segment(0, 3, "one three", words, "a")]
    hypothesis = [Segment(0, 3, "one three two", (), "x")]
    assert wder(reference, hypothesis, "none") == SpeakerErrors(1, 3)
    assert wder([], hypothesis, "none") == SpeakerErrors(0, 0)


@given(talks, st.permutations("xyz"), st.lists(st.sampled_from("xyz"), max_size=48))
def test_wder_is_the_best_of_all_mappings(said: list[tuple[str, str]], renamed: list[str], labels: list[str]) -> None:
    reference = segments_of(said)
    mapping = dict(zip("xyz", renamed, strict=True))
    same = [Segment(s.start, s.end, s.text, (), mapping[str(s.speaker)]) for s in reference]
    assert wder(reference, same, "none").wrong == 0
    tokens = [(speaker, token) for speaker, text in said for token in text.split()][: len(labels)]
    cut = [Segment(i, i + 1, token, (), speaker) for i, (speaker, token) in enumerate(tokens)]
    guessed = [Segment(i, i + 1, token, (), labels[i]) for i, (_, token) in enumerate(tokens)]
    options = (dict(zip("xyz", other, strict=True)) for other in permutations("xyz"))
    fewest = min(sum(option[labels[i]] != speaker for i, (speaker, _) in enumerate(tokens)) for option in options)
    assert wder(cut, guessed, "none") == SpeakerErrors(fewest, len(tokens))


# Over recordings


def test_sums_pool_and_kinds_do_not_mix() -> None:
    assert WordErrors(1, 2, 3, 10) + WordErrors(0, 0, 4, 10) == WordErrors(1, 2, 7, 20)
    with pytest.raises(TypeError):
        WordErrors() + SpeakerErrors()


def test_bootstrap() -> None:
    values = [WordErrors(errors, 0, 0, 100) for errors in (5, 10, 15, 20, 30)]
    low, high = bootstrap(values, seed=1)
    assert 0.05 <= low < sum(values, WordErrors()).rate < high <= 0.30
    assert (low, high) == bootstrap(values, seed=1) != bootstrap(values, seed=2)
    assert bootstrap([WordErrors(1, 0, 0, 4)] * 3, seed=0) == (0.25, 0.25)


def test_bootstrap_of_nothing() -> None:
    for nothing in ([], [WordErrors(0, 0, 2, 0)] * 2, [WordErrors(1, 0, 0, 4)]):  # one says nothing about others
        assert all(map(math.isnan, bootstrap(nothing, seed=0)))


def test_bootstrap_covers_the_truth() -> None:
    """Of intervals around samples of a known rate, most hold it."""
    import numpy as np

    rng = np.random.default_rng(0)
    held = 0
    for seed in range(100):
        low, high = bootstrap([WordErrors(int(n), 0, 0, 100) for n in rng.binomial(100, 0.2, 30)], seed, 200)
        held += low <= 0.2 <= high
    assert 85 <= held <= 100


def test_rtf() -> None:
    assert rtf(3, 12) == 0.25
    with pytest.raises(BadInput, match="0 s"):
        rtf(1, 0)
