"""The leaderboard: what may stand in one table, and which run of a system stands there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_lab.cli import main
from stt_lab.lab.scoring.leaderboard import Board, LeaderboardRow, boards, read, rows_of, table
from stt_lab.lab.scoring.scores import NAMES, RATES

DATASETS = ("a" * 64, "b" * 64)
RULES = ("by language", "whisper_en", "table 1a2b+basic")
COLLARS = (0.0, 0.25)


def rate(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": None if value is None else value / 2, "high": value}


def scored(
    systems: dict[str, dict[str, float | None]],
    digest: str = DATASETS[0],
    normaliser: str = "by language",
    collar: float = 0.0,
    heard: int = 10,
    failures: int = 0,
) -> dict[str, Any]:
    """Scores as a run writes them: system -> measure -> value."""
    made = {}
    for name, values in systems.items():
        quality = {key: {RATES[key][0]: rate(value), "recordings": heard - failures} for key, value in values.items()}
        cost = {"rtfx": rate(3.0), "memory_mb": 512.0, "busy": 1}
        made[name] = {"recordings": heard, "failures": failures, "quality": {"all": quality}, "cost": cost}
    about = {"name": "set", "digest": digest, "recordings": 10}
    return {"dataset": about, "normaliser": normaliser, "collar_s": collar, "systems": made}


def suite_of(*names: str, **wish: Any) -> dict[str, Any]:
    return {"suite": {"systems": [{"name": name, "engine": "stt_lab", **wish} for name in names]}}


def rows(
    run: str, made: str, scores: dict[str, Any], suite: dict[str, Any] | None = None, **more: Any
) -> list[LeaderboardRow]:
    return list(rows_of(run, scores, suite or suite_of(*scores["systems"]), {"made": made, **more}))


def standing(found: dict[Board, tuple[LeaderboardRow, ...]], measure: str = "wer") -> list[tuple[str, str, int]]:
    ((_, chosen),) = [(board, rows) for board, rows in found.items() if board.measure == measure]
    return [(row.system, row.run, row.runs) for row in chosen]


values_ = st.dictionaries(st.sampled_from(list(RATES)), st.none() | st.floats(0, 2), max_size=5)
runs_ = st.lists(
    st.builds(
        scored,
        st.dictionaries(st.sampled_from(["base", "tiny", "<b>"]), values_, max_size=3),
        st.sampled_from(DATASETS),
        st.sampled_from(RULES),
        st.sampled_from(COLLARS),
        st.integers(2, 10),
        st.integers(0, 1),
    ),
    max_size=8,
)


@given(runs_, st.lists(st.integers(1, 9), min_size=8, max_size=8))
def test_nothing_is_mixed_and_nothing_is_lost(stored: list[dict[str, Any]], days: list[int]) -> None:
    every = [
        row
        for number, scores in enumerate(stored)
        for row in rows(f"run-{number}", f"2026-11-{days[number]:02}T00:00:00+00:00", scores)
    ]
    found = boards(every)
    by_run = {f"run-{number}": scores for number, scores in enumerate(stored)}
    for board, standings in found.items():
        for row in standings:
            scores = by_run[row.run]
            assert scores["dataset"]["digest"] == board.digest
            assert board.normaliser in (None, scores["normaliser"])
            assert board.collar_s in (None, scores["collar_s"])
            assert scores["systems"][row.system]["quality"]["all"][board.measure] is not None
        assert (board.normaliser is None) == (board.measure in ("der", "jer", "speakers"))
        assert (board.collar_s is None) == (board.measure not in ("der", "jer"))
        names = [row.system for row in standings]
        assert len(names) == len(set(names))
        ranked = [row for row in standings if row.rank is not None]
        assert list(standings[: len(ranked)]) == ranked
        assert len({row.recordings for row in ranked}) == 1
        assert all((one.rank == other.rank) == (one.value == other.value) for one in ranked for other in ranked)
        order = [row.value for row in ranked]
        assert order == sorted(order, reverse=board.measure == "speakers")
    told = Counter({board: sum(row.runs for row in standings) for board, standings in found.items()})
    assert told == Counter(row.board for row in every)
    assert sum(told.values()) == sum(
        value is not None
        for scores in stored
        for one in scores["systems"].values()
        for value in (part[RATES[key][0]]["value"] for key, part in one["quality"]["all"].items())
    )


def test_the_newest_run_of_a_system_stands_there() -> None:
    old = rows("old", "2026-11-01T00:00:00+00:00", scored({"base": {"wer": 0.2}, "tiny": {"wer": 0.3}}))
    new = rows("new", "2026-11-02T00:00:00+00:00", scored({"base": {"wer": 0.4}}))
    assert standing(boards([*new, *old])) == [("tiny", "old", 1), ("base", "new", 2)]


def test_a_run_that_was_broken_off_hides_none() -> None:
    whole = rows("whole", "2026-11-01T00:00:00+00:00", scored({"base": {"wer": 0.2}}))
    broken = rows("broken", "2026-11-02T00:00:00+00:00", scored({"base": {"wer": 0.0}}, heard=3))
    assert standing(boards([*whole, *broken])) == [("base", "whole", 2)]


def test_over_fewer_recordings_there_is_no_rank() -> None:
    full = rows("full", "2026-11-01T00:00:00+00:00", scored({"base": {"wer": 0.2}}))
    failing = rows("some", "2026-11-01T00:00:00+00:00", scored({"lucky": {"wer": 0.0}}, failures=1))
    found = boards([*full, *failing])
    assert standing(found) == [("base", "full", 1), ("lucky", "some", 1)]
    ((first, last),) = found.values()
    assert (first.rank, last.rank, last.failures) == (1, None, 1)
    assert "not ranked" in table(found)


@pytest.mark.parametrize(
    ("other", "more"), [({"language": "de"}, {}), ({}, {"systems": {"base": {"weights": {"base": {"bin": "other"}}}}})]
)
def test_equal_names_do_not_make_equal_systems(other: dict[str, Any], more: dict[str, Any]) -> None:
    scores = scored({"base": {"wer": 0.2}})
    one = rows("one", "2026-11-01T00:00:00+00:00", scores, suite_of("base"))
    two = rows("two", "2026-11-02T00:00:00+00:00", scores, suite_of("base", **other), **more)
    assert sorted(standing(boards([*one, *two]))) == [("base", "one", 1), ("base", "two", 1)]


def store(folder: Path, scores: dict[str, Any], **files: Any) -> None:
    folder.mkdir(parents=True)
    for name, content in {"scores": scores, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--leaderboard", "--runs", str(tmp_path)]) == 1
    assert "No run in" in capsys.readouterr().err
    made = {"made": "2026-11-03T10:00:00+00:00", "processor": "P", "threads": 2, "commit": None}
    scores = scored({"base": {"wer": 0.123, "der": 0.2}, "tiny": {"wer": 0.1}})
    store(tmp_path / "good", scores, suite=suite_of("base", "tiny"), provenance=made)
    store(tmp_path / "bare", scored({"base": {"wer": 0.5}}, digest=DATASETS[1]))  # what others have made
    store(tmp_path / "bad", {"dataset": {}})
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "scores.json").write_text('{"dataset": ', "utf-8")
    assert main(["eval", "--leaderboard", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    first, other, speakers = (part.splitlines() for part in (said.split("\n\n")[n] for n in (0, 2, 1)))
    assert first[0] == f"set (10 recordings, aaaaaaaaaaaa): {NAMES['wer']}, normaliser by language"
    assert [line.split()[:3] for line in first[2:]] == [["1", "tiny", "10.0"], ["2", "base", "12.3"]]
    assert "12.3 (6.2–12.3)" in first[3]
    assert first[3].endswith("good  2026-11-03")
    assert speakers[0].endswith("DER (%), collar 0 s")
    assert "bbbbbbbbbbbb" in other[0]
    (row,) = [row for row in read(tmp_path) if row.system == "tiny"]
    assert row.provenance == {"processor": "P", "threads": 2}
    assert main(["eval", "quick", "--leaderboard"]) == 1
