"""The command that installs an extra works where it is printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stt_lab import extras


@pytest.fixture(autouse=True)
def forget() -> None:
    extras.clone.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(extras, "distribution", lambda name: SimpleNamespace(read_text=lambda file: text))


def test_from_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, None)
    assert extras.command("lab") == "`pip install 'stt_lab[lab]'`"


@pytest.mark.parametrize("python", [".venv/bin/python", "elsewhere"])
def test_from_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, python: str) -> None:
    installed(monkeypatch, {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.setattr(sys, "executable", str(tmp_path / python) if "/" in python else "/usr/bin/python3")
    shown = extras.command("lab")
    assert shown.startswith("`.venv/bin/python -m pip" if "/" in python else "`python -m pip")
    assert "-e '.[lab]'` in the folder of the clone" in shown
    assert str(tmp_path) not in shown
