"""Scores: which measures a reference allows, and rates that were counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab_toys import made_run, said

from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.predictions import Prediction
from stt_lab.lab.runs.suite import normaliser_of
from stt_lab.lab.scoring import scores
from stt_lab.lab.scoring.measures import ScoringRule, measure, voices
from stt_lab.text import normaliser_name
from stt_lab.types import Segment, Turn, Word

RULE = ScoringRule(normaliser_of)
A, B = Turn(0, 4, "A"), Turn(4, 8, "B")


def item(**more: Any) -> Item:
    return Item("i", Path("/i.wav"), **{"language": "en", **more})


def measured(reference: Item, prediction: Prediction, collar: float = 0.0) -> dict[str, Any]:
    return dict(measure(reference, prediction, ScoringRule(normaliser_of, collar)))


# What a reference allows


def test_a_text_of_one_speaker_is_scored_by_words_and_characters() -> None:
    found = measured(item(text="The cat sat."), said("s", "i", "the hat sat down"))
    assert set(found) == {"wer", "cer", "speed"}
    wer = found["wer"]
    assert (wer.substitutions, wer.deletions, wer.insertions, wer.words) == (1, 0, 1, 3)
    assert found["speed"].rate == pytest.approx(0.1)  # a second of work for ten


@pytest.mark.parametrize("code", ["zh", "ja", "th"])
def test_languages_without_spaces_have_no_words(code: str) -> None:
    assert set(measured(item(text="你好", language=code), said("s", "i", "你坏"))) == {"cer", "speed"}


def test_silence_is_scored_by_invented_words() -> None:
    found = measured(item(text=""), said("s", "i", "thanks for watching", 30.0))
    assert set(found) == {"non_speech", "speed"}
    assert found["non_speech"].rate == pytest.approx(6.0)
    assert measured(item(text=""), said("s", "i", "", 30.0))["non_speech"].rate == 0.0


def test_what_failed_is_scored_by_nothing() -> None:
    assert measured(item(text="a"), Prediction("s", "i", 10.0, error="It broke.")) == {}
    assert measured(item(text="a"), Prediction("s", "i")) == {}  # nor without text and times


def test_the_words_of_several_speakers_have_no_order() -> None:
    segments = (Segment(0, 4, "one two", speaker="A"), Segment(4, 8, "three", speaker="B"))
    talk = item(text="one two three", segments=segments, turns=(A, B))
    assert voices(talk) == 2
    found = measured(talk, said("s", "i", "one two three", segments=segments, turns=(A, B)))
    assert set(found) == {"der", "jer", "speakers", "cpwer", "tcpwer", "orcwer", "wder", "speed"}
    assert {name: one.rate for name, one in found.items() if name != "speed"} == dict.fromkeys(
        ("der", "jer", "cpwer", "tcpwer", "orcwer", "wder", "speakers"), 0.0
    )
    assert found["speakers"].accuracy == 1.0
    assert "der" not in measured(talk, said("s", "i", "one two three", segments=segments))  # it does not diarize


def test_one_speaker_for_two_is_confusion() -> None:
    talk = item(turns=(A, B))
    found = measured(talk, said("s", "i", None, 8.0, turns=(Turn(0, 8, "X"),)))
    assert set(found) == {"der", "jer", "speakers", "speed"}
    assert (found["der"].missed, found["der"].false_alarm, found["der"].confusion) == (0.0, 0.0, 4.0)
    assert found["der"].rate == pytest.approx(0.5)
    assert (found["speakers"].accuracy, found["speakers"].difference) == (0.0, 1)


def test_a_collar_forgives_boundaries() -> None:
    late = said("s", "i", None, 8.0, turns=(Turn(0.2, 4, "A"), Turn(4, 8, "B")))
    assert measured(item(turns=(A, B)), late)["der"].missed == pytest.approx(0.2)
    assert measured(item(turns=(A, B)), late, collar=0.25)["der"].missed == 0.0


def test_times_of_words_are_compared_where_both_have_them() -> None:
    words = (Word(1.0, 1.5, "yes"), Word(2.0, 2.5, "no"))
    heard = (Segment(0, 3, "yes no", (Word(1.1, 1.5, " yes"), Word(2.3, 2.7, " no"))),)
    found = measured(item(text="yes no", words=words), said("s", "i", "yes no", segments=heard))
    assert found["word_starts"].mae == pytest.approx(0.2)
    assert found["word_ends"].mae == pytest.approx(0.1)
    assert "word_starts" not in measured(item(text="yes no", words=words), said("s", "i", "yes no"))


def test_how_many_speak() -> None:
    assert voices(item()) == voices(item(turns=())) == 1
    assert voices(item(segments=(Segment(0, 1, "a"), Segment(1, 2, "b")))) == 1
    assert voices(item(turns=(A, B, Turn(8, 9, "A")))) == 2


# Scores of a run

ROWS: list[dict[str, Any]] = [
    {"id": "a", "language": "en", "text": "red green blue pink", "source": "x"},
    {"id": "b", "language": "de", "text": "eins zwei", "source": "y"},
    {"id": "c", "text": "", "kind": "non-speech"},
    {"id": "d", "language": "en", "text": "never"},
]
HEARD = [
    said("s", "a", "red green blue", seconds=2.0, cpu=3.0, memory_mb=100.0),
    said("s", "b", "eins zwo", seconds=1.0, cpu=1.0, memory_mb=300.0, busy=True),
    said("s", "c", "hello", 60.0, seconds=1.0),
    Prediction("s", "d", 5.0, error="It broke."),
    said("t", "a", "red green blue pink", seconds=4.0),
    said("t", "b", "eins zwei", seconds=1.0),
]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scores.score(made_run(tmp_path_factory.mktemp("scored"), ROWS, HEARD))


def test_rates_pool_counts_instead_of_averaging_rates(scored: dict[str, Any]) -> None:
    wer = scored["systems"]["s"]["quality"]["all"]["wer"]
    assert (wer["errors"], wer["total"], wer["recordings"]) == (2, 6, 2)
    assert wer["wer"]["value"] == pytest.approx(2 / 6)
    assert (wer["substitutions"], wer["deletions"], wer["insertions"]) == (1, 1, 0)
    assert wer["mer"]["value"] == pytest.approx(2 / 6)
    assert wer["wil"]["value"] == pytest.approx(1 - 16 / (6 * 5))  # 4 hits of 6 words, 5 written
    assert wer["wer"]["low"] <= wer["wer"]["value"] <= wer["wer"]["high"]
    assert wer["normaliser"] == "whisper, whisper_en"


def test_groups_are_those_of_the_recordings(scored: dict[str, Any]) -> None:
    quality = scored["systems"]["s"]["quality"]
    assert {name: one["wer"]["wer"]["value"] for name, one in quality["language"].items() if "wer" in one} == {
        "de": 0.5, "en": 0.25,
    }  # fmt: skip
    assert list(quality["language"]) == ["de", "en", "none"]
    assert set(quality["source"]) == {"none", "x", "y"}
    assert quality["kind"]["non-speech"] == {
        "non_speech": quality["all"]["non_speech"],
    }
    assert quality["all"]["non_speech"]["words_per_minute"]["value"] == pytest.approx(1.0)


def test_failures_are_counted_and_never_scored(scored: dict[str, Any]) -> None:
    one = scored["systems"]["s"]
    assert (one["recordings"], one["failures"], one["failed"]) == (4, 1, {"d": "It broke."})
    assert one["cost"]["recordings"] == 3


def test_costs_are_sums_and_a_peak(scored: dict[str, Any]) -> None:
    cost = scored["systems"]["s"]["cost"]
    assert {name: cost[name] for name in ("seconds", "duration", "cpu", "joules", "memory_mb", "busy")} == {
        "seconds": 4.0, "duration": 80.0, "cpu": 4.0, "joules": None, "memory_mb": 300.0, "busy": 1,
    }  # fmt: skip
    assert cost["rtfx"]["value"] == pytest.approx(20.0)
    assert scored["systems"]["t"]["cost"]["memory_mb"] is None


def test_systems_are_compared_on_the_recordings_of_both(scored: dict[str, Any]) -> None:
    found = {one["measure"]: one for one in scored["comparisons"]}
    assert set(found) == {"wer", "cer", "speed"}
    wer = found["wer"]
    assert (wer["first"], wer["second"], wer["recordings"]) == ("s", "t", 2)
    assert wer["values"] == [pytest.approx(2 / 6), 0.0]
    assert wer["difference"] == pytest.approx(2 / 6)
    assert (found["speed"]["values"][0], found["speed"]["values"][1]) == (pytest.approx(0.15), pytest.approx(0.25))


def test_a_rate_over_nothing_is_no_number(tmp_path: Path) -> None:
    rows = [{"id": "a", "language": "en", "text": "(laughs)"}]  # nothing is left when it is normalised
    wer = scores.score(made_run(tmp_path, rows, [said("s", "a", "")]))["systems"]["s"]["quality"]["all"]["wer"]
    assert (wer["total"], wer["wer"]) == (0, {"value": None, "low": None, "high": None})


def test_scores_do_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    first = scores.score(made_run(tmp_path / "1", ROWS, HEARD, names=["s", "t"]))
    second = scores.score(made_run(tmp_path / "2", ROWS, HEARD[::-1], names=["s", "t"]))
    assert first["systems"] == second["systems"]
    assert first["comparisons"] == second["comparisons"]
    assert json.loads((tmp_path / "1/runs/toy/scores.json").read_text("utf-8")) == first


def test_a_run_without_predictions_has_no_rates(tmp_path: Path) -> None:
    made = scores.score(made_run(tmp_path, ROWS, [], names=["s"]))
    assert made["systems"]["s"]["quality"] == {"all": {}, "language": {}, "source": {}, "kind": {}}
    assert made["systems"]["s"]["cost"] == {
        "recordings": 0, "busy": 0, "duration": None, "seconds": None, "cpu": None, "joules": None, "memory_mb": None,
    }  # fmt: skip
    assert scores.table(made).splitlines()[1].split() == ["s", "0", "0", *"-" * 9, "0"]


def test_the_table_has_a_row_per_system(scored: dict[str, Any]) -> None:
    head, first, second, note = scores.table(scored).splitlines()
    assert head.split()[:5] == ["system", "files", "failed", "WER", "CER"]
    assert first.split()[:4] == ["s", "4", "1", "33.3"]
    assert first.split()[-4:] == ["20.0", "4", "300", "1"]
    assert second.split()[:4] == ["t", "2", "0", "0.0"]
    assert len({len(line) for line in (head, first, second)}) == 1
    assert note == "Rates in percent, without failed recordings; normaliser: by language."


def test_a_normaliser_of_the_suite_is_for_all_languages(tmp_path: Path) -> None:
    rows = [{"id": "a", "language": "de", "text": "Eins, ZWEI"}]
    kept = scores.score(made_run(tmp_path / "1", rows, [said("s", "a", "eins zwei")], normaliser="none"))
    assert kept["systems"]["s"]["quality"]["all"]["wer"]["wer"]["value"] == 1.0
    assert kept["normaliser"] == "none"
    basic = scores.score(made_run(tmp_path / "2", rows, [said("s", "a", "eins zwei")], normaliser="basic"))
    assert basic["systems"]["s"]["quality"]["all"]["wer"]["wer"]["value"] == 0.0
    assert normaliser_name(RULE.normaliser("de")) == "whisper"
