"""JER, tcpWER, ORC-WER and speaker counts, against pyannote.metrics and meeteval by other ways in, and by hand."""

from __future__ import annotations

from itertools import product

import meeteval
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meeteval.io import STM
from pyannote.core import Timeline
from pyannote.metrics.diarization import JaccardErrorRate
from talks import Stretch, annotation, diarizations, distance, segments_of, talks

from stt_lab.errors import BadInput
from stt_lab.metrics import SpeakerCounts, WordErrors, cpwer, der, jer, orcwer, pool, speaker_count, tcpwer, wder
from stt_lab.types import Segment, Turn

quick = settings(max_examples=40, deadline=None)
exactly = {"rel": 1e-9, "abs": 1e-9}
Talk = list[tuple[str, str]]


# Time


@quick
@given(st.lists(st.tuples(diarizations(), diarizations()), min_size=1, max_size=3), st.booleans())
def test_jer_pools_as_pyannotes(recordings: list[tuple[list[Turn], list[Turn]]], skip: bool) -> None:
    found = pool(jer(reference, hypothesis, 15.0, 0.25, skip) for reference, hypothesis in recordings)
    metric = JaccardErrorRate(collar=0.5, skip_overlap=skip)
    for reference, hypothesis in recordings:
        metric(annotation(reference), annotation(hypothesis), uem=Timeline([Stretch(0, 15)]))
    if found.speakers:
        assert found.rate == pytest.approx(abs(metric), **exactly)
        assert 0 <= found.rate <= 1


def test_jer_by_hand() -> None:
    reference = [Turn(0, 6, "a"), Turn(6, 8, "b"), Turn(8, 9, "c")]
    found = jer(reference, [Turn(0, 5, "x"), Turn(5, 8, "y")], 10)
    assert found.speakers == 3
    assert found.rate == pytest.approx((1 / 6 + 1 / 3 + 1) / 3)


def test_jer_without_speakers_has_no_rate() -> None:
    with pytest.raises(BadInput, match="no speakers"):
        _ = jer([], [Turn(0, 1, "x")], 5).rate
    assert jer([Turn(0, 1, "a")], [], 5).rate == 1


def test_speaker_count() -> None:
    two, three = [Turn(0, 1, "a"), Turn(1, 2, "b"), Turn(2, 3, "a")], segments_of([("x", ""), ("y", ""), ("z", "")])
    found = pool([speaker_count(two, two), speaker_count(two, three), speaker_count([], [])])
    assert found == SpeakerCounts(right=2, difference=1, recordings=3)
    assert (found.accuracy, found.rate, found.mean_difference) == (2 / 3, 1 / 3, 1 / 3)
    for name in ("rate", "accuracy", "mean_difference"):
        with pytest.raises(BadInput):
            getattr(SpeakerCounts(), name)


def test_what_is_not_known_is_not_scored() -> None:
    for metric in (der, jer):
        with pytest.raises(BadInput, match="no reference turns"):
            metric(None, [], 5)  # type: ignore[arg-type]
    for worded in (cpwer, tcpwer, orcwer, wder):
        with pytest.raises(BadInput, match="no reference segments"):
            worded(None, [], "none")  # type: ignore[operator]


# Words


def stm(talk: Talk, session: str = "one") -> STM:
    """The same talk as a file of NIST's format, a segment a second as `segments_of` has it."""
    lines = [f"{session} 1 {speaker} {i} {i + 1} {text}" for i, (speaker, text) in enumerate(talk)]
    return STM.parse("\n".join(lines), parse_float=float)


@quick
@given(st.lists(st.tuples(talks, talks), min_size=1, max_size=2), st.sampled_from([0.5, 2.0, 5.0]))
def test_tcpwer_pools_as_meetevals(recordings: list[tuple[Talk, Talk]], collar: float) -> None:
    full = [(reference, hypothesis) for reference, hypothesis in recordings if reference and hypothesis]
    if not full:
        return
    found = pool(tcpwer(segments_of(r), segments_of(h), "none", collar) for r, h in full)
    files = [STM([line for i, pair in enumerate(full) for line in stm(pair[side], str(i)).lines]) for side in (0, 1)]
    expected = meeteval.wer.combine_error_rates(meeteval.wer.tcpwer(*files, collar=collar))
    assert (found.substitutions, found.deletions, found.insertions, found.words) == (
        expected.substitutions,
        expected.deletions,
        expected.insertions,
        expected.length,
    )
    if found.words:
        assert found.rate == pytest.approx(expected.error_rate, **exactly)


@quick
@given(talks, talks)
def test_tcpwer_with_a_wide_collar_is_cpwer(reference: Talk, hypothesis: Talk) -> None:
    sides = segments_of(reference), segments_of(hypothesis)
    wide, bound, narrow = tcpwer(*sides, "none", 1000), cpwer(*sides, "none"), tcpwer(*sides, "none", 0.1)
    assert (wide.errors, wide.words) == (bound.errors, bound.words)
    assert narrow.errors >= bound.errors


def test_tcpwer_by_hand() -> None:
    late = [Segment(10, 11, "hello", (), "x")]
    assert tcpwer([Segment(0, 1, "Hello!", (), "a")], late, "basic") == WordErrors(0, 1, 1, 1)
    assert tcpwer([Segment(4, 6, "Hello!", (), "a")], late, "basic") == WordErrors(0, 0, 0, 1)
    with pytest.raises(BadInput, match="collar"):
        tcpwer([], [], "basic", -1)


@quick
@given(talks.map(lambda talk: talk[:4]), talks)
def test_orcwer_is_the_best_of_all_deals(reference: Talk, hypothesis: Talk) -> None:
    found = orcwer(segments_of(reference), segments_of(hypothesis), "none")
    streams = [" ".join(text for who, text in hypothesis if who == name).split() for name in "xyz"]
    deals = product(range(3), repeat=len(reference))
    dealt = ([[t for s, (_, t) in zip(deal, reference, strict=True) if s == i] for i in range(3)] for deal in deals)
    fewest = min(
        sum(distance(" ".join(mine).split(), his) for mine, his in zip(d, streams, strict=True)) for d in dealt
    )
    assert found.errors == fewest
    assert found.words == sum(len(text.split()) for _, text in reference)
    assert orcwer(segments_of(reference), segments_of(hypothesis), "none", greedy=True).errors >= fewest


@quick
@given(talks, talks)
def test_orcwer_is_meetevals(reference: Talk, hypothesis: Talk) -> None:
    if reference and hypothesis:
        expected = meeteval.wer.orcwer(stm(reference), stm(hypothesis))["one"]
        found = orcwer(segments_of(reference), segments_of(hypothesis), "none")
        assert (found.errors, found.words) == (expected.errors, expected.length)


def test_orcwer_ignores_who_speaks() -> None:
    swapped = segments_of([("x", "how are you"), ("y", "fine"), ("x", "good")])
    reference = segments_of([("a", "How are you?"), ("b", "Fine."), ("b", "Good.")])
    assert orcwer(reference, swapped, "basic").errors == 0
    assert cpwer(reference, swapped, "basic").errors == 2


def test_orcwer_refuses_what_takes_too_long() -> None:
    long = segments_of([(speaker, "a " * 100) for speaker in "wxyz"])
    with pytest.raises(BadInput, match="Set greedy"):
        orcwer(long, long, "none")
    assert orcwer(long, long, "none", greedy=True).errors == 0
    with pytest.raises(BadInput, match="the limit is 10"):
        orcwer(long, segments_of([(str(i), "a") for i in range(11)]), "none", greedy=True)
