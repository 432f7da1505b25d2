"""What editors and type checkers know of the Python functions, and the docstrings that people read."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import stt_lab
from stt_lab.operations.stub import stub
from stt_lab.registry import OPERATIONS

SCRIPT = """
import stt_lab

plain = stt_lab.transcribe("a.wav", language="en")
reveal_type(plain)
reveal_type(stt_lab.transcribe("a.wav", background=True))
reveal_type(stt_lab.transcribe("a.wav", response_format="srt"))
reveal_type(plain.segments[0].words[0].start)
reveal_type(stt_lab.models().models[0].available)
reveal_type(stt_lab.summarize("a text").statements)
stt_lab.transcribe("a.wav", pace=1)
stt_lab.transcribe("a.wav", diarize="perhaps")
"""


def test_the_types_are_printed_from_the_declarations() -> None:
    assert (ROOT / "stt_lab" / "__init__.pyi").read_text("utf-8") == stub(), "run `make docs`"
    assert (ROOT / "stt_lab" / "py.typed").exists()


def test_a_users_script_has_real_types(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, "utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    environ = os.environ | {"MYPYPATH": str(ROOT)}
    options = ["--config-file", os.devnull, "--follow-imports", "silent", "--ignore-missing-imports"]
    done = subprocess.run([*command, *options, str(script)], capture_output=True, text=True, env=environ, cwd=tmp_path)
    lines = done.stdout.splitlines()
    shown = [line for line in lines if "note: Revealed" in line]
    kinds = [
        "stt_lab.types.Transcript",
        "stt_lab.types.progress.JobInfo",
        "stt_lab.types.Rendering",
        "float",
        "bool",
        "tuple[stt_lab.writing.values.Statement, ...]",
    ]
    assert [line.split('"')[1].replace("builtins.", "") for line in shown] == kinds, done.stdout
    assert {line.split(":")[1] for line in lines if " error: " in line} == {"11", "12"}, done.stdout


@pytest.mark.parametrize("name", OPERATIONS)
def test_docstrings_name_every_parameter_the_result_and_the_errors(name: str) -> None:
    text = inspect.getdoc(getattr(stt_lab, name)) or ""
    op = OPERATIONS[name]
    assert text.startswith(op.summary)
    for parameter, info in op.fields.items():
        assert f"    {parameter}: " in text
        assert info.description, f"{name}: {parameter} has no description"
    assert ("Yields:" if op.live else "Returns:") in text
    assert "    BadInput: " in text
    assert ("    NotFound: " in text) == bool(op.path_params)
