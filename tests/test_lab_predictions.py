"""Predictions as rows of a file: written one by one, repaired after a crash, read once each."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from stt_lab.errors import BadInput
from stt_lab.lab.runs.predictions import Prediction, append, done, read, repair, to_row, write_json
from stt_lab.types import Segment, Turn, Word

FULL = Prediction(
    "s", "i", 2.5, "Ça va ?", "fr", (Segment(0, 1, "Ça", (Word(0, 1, " Ça", 0.5),), "A"),), (Turn(0, 1, "A"),),
    0.1, 0.2, 300.0, 4.0, True,
)  # fmt: skip


def test_a_row_has_only_what_is_known(tmp_path: Path) -> None:
    assert json.loads(to_row(Prediction("s", "i"))) == {"system": "s", "item": "i"}
    assert to_row(Prediction("s", "i", text="")) == b'{"system":"s","item":"i","text":""}\n'
    append(tmp_path / "p.jsonl", FULL)
    append(tmp_path / "p.jsonl", Prediction("s", "j", error="It broke."))
    assert read(tmp_path / "p.jsonl") == (FULL, Prediction("s", "j", error="It broke."))


def test_no_turns_are_not_unknown_turns(tmp_path: Path) -> None:
    for number, turns in enumerate([(), None]):
        append(tmp_path / "p.jsonl", Prediction("s", f"{number}", turns=turns))
    assert [one.turns for one in read(tmp_path / "p.jsonl")] == [(), None]


def test_the_first_row_of_a_recording_counts(tmp_path: Path) -> None:
    for text in ("first", "second"):
        append(tmp_path / "p.jsonl", Prediction("s", "i", text=text))
    append(tmp_path / "p.jsonl", Prediction("t", "i", text="other system"))
    found = read(tmp_path / "p.jsonl")
    assert [one.text for one in found] == ["first", "other system"]
    assert done(found) == {("s", "i"), ("t", "i")}


def test_a_torn_row_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    assert (repair(path), read(path)) == (0, ())  # there is none yet
    append(path, FULL)
    whole = path.read_bytes()
    assert repair(path) == 0
    path.write_bytes(whole + to_row(FULL)[:17])
    assert read(path) == (FULL,)
    assert repair(path) == 17
    assert path.read_bytes() == whole
    path.write_bytes(b"no line end")
    assert (repair(path), path.read_bytes()) == (11, b"")


@pytest.mark.parametrize(
    "bad", [b"{}\n", b"[]\n", b'{"system": "s"}\n', b"\xff\n", b'{"system":"s","item":"i","duration":"x"}\n']
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(to_row(FULL) + bad)
    with pytest.raises(BadInput, match=r"p.jsonl line 2 is not a prediction\. Remove the line, then resume the run\."):
        read(path)


def test_a_file_of_json_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    write_json(path, {"a": "ü"})
    assert path.read_text("utf-8") == '{\n "a": "ü"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": math.nan})
    assert json.loads(path.read_text("utf-8")) == {"a": "ü"}
    assert [one.name for one in tmp_path.iterdir()] == ["s.json"]
