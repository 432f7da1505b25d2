"""README's numbers are those of eval/results, and `make eval` tells what differs."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "eval")
    return __import__("claims")


@pytest.fixture
def copy(claims: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The same with files of its own: README with its table as printed, and one measurement that is quickly made."""
    results = tmp_path / "results"
    results.mkdir()
    for path in claims.RESULTS.glob("*.json"):
        (results / path.name).write_bytes(path.read_bytes())
    readme = tmp_path / "README.md"
    readme.write_bytes(claims.README.read_bytes())
    code = "import json, pathlib; pathlib.Path('results/silence.json').write_text(json.dumps({'words': 3, 'files': 6}))"
    quick = {
        **claims.MEASUREMENTS,
        "silence": replace(claims.MEASUREMENTS["silence"], command=f"-c {shlex.quote(code)}"),
    }
    for name, value in {"ROOT": tmp_path, "README": readme, "RESULTS": results, "MEASUREMENTS": quick}.items():
        monkeypatch.setattr(claims, name, value)
    return claims


def test_readme_says_what_was_measured(claims: ModuleType) -> None:
    readme = claims.README.read_text("utf-8")
    wrong, _ = claims.check(readme)
    assert not wrong, "\n".join(wrong)
    assert len(claims.claims(readme)) >= 10
    assert claims.written(readme) == readme


def test_each_measurement_is_a_script_that_is_here(claims: ModuleType) -> None:
    assert {row.measurement for row in claims.ROWS} <= set(claims.MEASUREMENTS)
    for one in claims.MEASUREMENTS.values():
        assert (ROOT / one.command.split()[0]).is_file()
    backed = [row for row in claims.ROWS if (claims.RESULTS / claims.MEASUREMENTS[row.measurement].file).exists()]
    assert len(backed) >= 8


def test_what_drifted_is_named_and_mended(copy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert copy.main(["--check"]) == 0
    before = copy.README.read_text("utf-8")
    number = copy.claims(before)[1]
    copy.README.write_text(before.replace(number, number.replace("| 0 |", "| 7 |") + "\n| made up | 1 | |"), "utf-8")
    capsys.readouterr()
    assert copy.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "README has | words where nobody speaks (6 recordings) | 7 | |" in said
    assert "nothing measures | made up | 1 | |" in said
    assert copy.main(["--write"]) == 0
    assert copy.README.read_text("utf-8") == before


def test_what_was_not_measured_is_left_alone(copy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    before = copy.README.read_text("utf-8")
    (copy.RESULTS / "words.json").unlink()
    assert copy.main(["--check"]) == 0
    assert "not measured (words.json is missing): | WER, LibriSpeech" in capsys.readouterr().out
    assert copy.main(["--write"]) == 0
    assert copy.README.read_text("utf-8") == before


def test_a_new_measurement_is_compared(copy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert copy.main(["--only", "silence"]) == 1  # three words more
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    title = "words where nobody speaks (… recordings)"
    assert cells[1:] == [
        [title, "files", "6", "6", "+0", "the same"],
        [title, "words", "0", "3", "+3", "NOT within 0, less is better"],
    ]
    assert json.loads((copy.RESULTS / "silence.json").read_text("utf-8"))["words"] == 3


def test_a_measurement_that_fails_is_told(
    copy: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = replace(copy.MEASUREMENTS["silence"], command="-c raise(SystemExit('nothing_to_hear'))")
    monkeypatch.setattr(copy, "MEASUREMENTS", {"silence": broken})
    assert copy.main(["--only", ""]) == 1
    assert "nothing_to_hear" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no measurement 'word': choose from silence"):
        copy.main(["--only", "word"])


@pytest.mark.parametrize(
    ("better", "said", "value", "held"),
    [
        ("LESS", "4.1", 4.6, True), ("LESS", "4.1", 4.7, False), ("LESS", "4.1", 1.0, True),
        ("MORE", "4.1", 3.6, True), ("MORE", "4.1", 3.5, False), ("SAME", "4.1", 4.7, False),
    ],
)  # fmt: skip
def test_a_number_may_be_worse_by_its_tolerance(
    claims: ModuleType, better: str, said: str, value: float, held: bool
) -> None:
    number = claims.Number(float, ".1f", getattr(claims, better), 0.5)
    assert claims.compared("what", "name", said, number, value).wrong is not held


def test_the_page_of_figures_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "eval")
    publish = __import__("publish")
    assert list(publish.RESULTS.glob("suite-*.json"))
    assert publish.PAGE.read_text("utf-8") == publish.page()
