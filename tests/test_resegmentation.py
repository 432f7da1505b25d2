"""The diarizer's second step, with made embeddings: whose stretch is whose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from stt_lab.engines.resegmentation import Stretch, resegment, stretches

FRAME_S = 0.1
Floats = NDArray[np.float32]


def timeline(text: str, clusters: int = 2) -> tuple[Floats, NDArray[np.int_]]:
    """Votes and number of speakers from a picture: a digit is a cluster that speaks alone, `.` a pause, `+` all."""
    votes = np.zeros((len(text), clusters), np.float32)
    for frame, sign in enumerate(text):
        votes[frame] = 1 if sign == "+" else 0
        if sign.isdigit():
            votes[frame, int(sign)] = 1
    return votes, np.array([clusters if sign == "+" else int(sign != ".") for sign in text])


def picture(votes: Floats, count: NDArray[np.int_]) -> str:
    return "".join(
        "+" if many > 1 else str(row.argmax()) if many else "." for row, many in zip(votes, count, strict=True)
    )


class Voices:
    """Embeddings by the person who really speaks; `None` where a stretch is shorter than three frames."""

    def __init__(self, people: str) -> None:
        self.people, self.asked = people, 0

    def __call__(self, found: Iterable[Stretch]) -> Iterator[Floats | None]:
        chance = np.random.default_rng(0)
        for stretch in found:
            self.asked += 1
            if stretch.after - stretch.first < 3:
                yield None
                continue
            vector = np.zeros(16, np.float32)
            for person in self.people[stretch.first : stretch.after]:
                vector["abcd".find(person)] += 1
            vector += chance.normal(0, 0.1 * np.linalg.norm(vector) / 4, 16).astype(np.float32)
            yield vector / np.linalg.norm(vector)


def test_a_stretch_ends_at_pauses_changes_and_overlaps() -> None:
    found = stretches(*timeline("..000.00111++11.."), FRAME_S)
    assert [(s.first, s.after, s.cluster) for s in found] == [(2, 5, 0), (6, 8, 0), (8, 11, 1), (13, 15, 1)]


def test_a_long_stretch_is_divided_evenly() -> None:
    found = stretches(*timeline("0" * 70), FRAME_S)
    assert [(s.first, s.after) for s in found] == [(0, 23), (23, 47), (47, 70)]


def heard(text: str, people: str, clusters: int = 2, requested_s: float | None = None) -> tuple[str, int]:
    votes, count = timeline(text, clusters)
    found, centroids = resegment(votes, count, FRAME_S, Voices(people), requested_s)
    assert found.shape == (len(text), len(centroids))
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-5)
    return picture(found, count), len(centroids)


def test_a_short_turn_goes_to_its_speaker() -> None:
    """The first step gave the answer in the middle to the one who asked."""
    text = "0" * 30 + "." + "0" * 8 + "." + "0" * 30 + "." + "1" * 60
    people = "a" * 30 + "." + "b" * 8 + "." + "a" * 30 + "." + "b" * 60
    assert heard(text, people) == ("0" * 30 + "." + "1" * 8 + "." + "0" * 30 + "." + "1" * 60, 2)


def test_two_voices_in_one_cluster_are_split() -> None:
    text, people = ("0" * 25 + ".") * 4, ("a" * 25 + "." + "b" * 25 + ".") * 2
    found, speakers = heard(text, people, clusters=1)
    assert speakers == 2
    assert found in (("0" * 25 + "." + "1" * 25 + ".") * 2, ("1" * 25 + "." + "0" * 25 + ".") * 2)


def test_a_few_seconds_are_not_split_off() -> None:
    text, people = ("0" * 25 + ".") * 4, "a" * 25 + "." + "b" * 25 + "." + ("a" * 25 + ".") * 2
    assert heard(text, people, clusters=1) == (text, 1)


def test_clusters_of_one_voice_are_joined() -> None:
    text, people = "0" * 50 + "." + "1" * 50 + "." + "2" * 20, "a" * 50 + "." + "b" * 50 + "." + "b" * 20
    assert heard(text, people, clusters=3) == ("0" * 50 + "." + "1" * 50 + "." + "1" * 20, 2)


def test_a_given_number_is_kept() -> None:
    """Neither split nor joined, and nobody loses all speech, although one voice is in both clusters."""
    text, people = "0" * 50 + "." + "1" * 50 + "." + "2" * 20, "a" * 50 + "." + "b" * 50 + "." + "b" * 20
    found, speakers = heard(text, people, clusters=3, requested_s=1.0)
    assert speakers == 3
    assert {sign: found.count(sign) >= 10 for sign in "012"} == {"0": True, "1": True, "2": True}


@pytest.mark.parametrize("text", ["..++..", "00.11.", "......", "+"])
def test_without_any_stretch_long_enough_all_stays(text: str) -> None:
    votes, count = timeline(text)
    found, _ = resegment(votes, count, FRAME_S, Voices(text))
    np.testing.assert_array_equal(found, votes)


def test_short_stretches_stay_where_they_are() -> None:
    text, people = "0" * 30 + "." + "11" + "." + "1" * 30, "a" * 30 + "." + "aa" + "." + "b" * 30
    assert heard(text, people) == (text, 2)


def test_hours_are_bounded_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.engines.resegmentation.MOST_LINKED", 20)
    text, people = ("0" * 15 + ".") * 200, ("a" * 15 + "." + "b" * 15 + ".") * 100
    found, speakers = heard(text, people, clusters=1)
    assert speakers == 2
    assert found[:32].count("0") == found[:32].count("1") == 15
