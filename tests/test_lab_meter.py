"""What work costs: times of processes, memory, energy counters that wrap; and what a run's numbers depend on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stt_lab import __version__
from stt_lab.lab.runs import meter, provenance, runner
from stt_lab.lab.runs.meter import Cost, measured
from stt_lab.lab.runs.progress import Line
from stt_lab.lab.runs.runner import RunProgress
from stt_lab.settings import get_settings


def reading(wall: float, own: float, machine: float, energy: tuple[int, ...] = ()) -> meter.MeterReading:
    return meter.MeterReading(wall, own, machine, energy)


def filled(seconds: float, own: float, machine: float, here: bool = True) -> Cost:
    cost = Cost(seconds)
    meter.fill(cost, reading(0.0, 10.0, 100.0), reading(seconds, 10.0 + own, 100.0 + machine), here)
    return cost


# Times


def test_only_what_others_use_makes_the_machine_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert filled(10.0, own=40.0, machine=40.0).busy is False  # all four were ours
    assert filled(10.0, own=10.0, machine=13.9).busy is False  # 9.75 % of four for ten seconds
    assert filled(10.0, own=10.0, machine=14.1).busy is True
    assert filled(0.1, own=0.0, machine=0.4).busy is False  # too short to say


def test_remote_work_has_no_processor_time() -> None:
    assert (filled(1.0, own=2.0, machine=2.0).cpu, filled(1.0, own=2.0, machine=2.0, here=False).cpu) == (2.0, None)
    assert filled(1.0, own=-0.5, machine=0.0).cpu == 0.0  # a child ended between two looks


def test_a_block_is_measured() -> None:
    with measured(lambda: (os.getpid(),)) as cost:
        assert cost == Cost()  # nothing yet
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
    assert cost.seconds >= 0.05
    assert cost.cpu is not None
    assert cost.cpu >= 0.03  # in ticks of 10 ms
    assert cost.memory_mb is not None
    assert cost.memory_mb > 1


def test_work_beside_other_work_has_only_times_and_memory() -> None:
    with measured(lambda: (os.getpid(),), alone=False) as cost:
        pass
    assert (cost.cpu, cost.joules, cost.busy) == (None, None, False)
    assert cost.memory_mb


def test_a_block_that_fails_is_measured_too() -> None:
    with pytest.raises(ZeroDivisionError), measured(tuple) as cost:
        raise ZeroDivisionError
    assert cost.seconds > 0
    assert (cost.cpu, cost.memory_mb) == (None, None)  # no process of this machine


def test_memory_is_that_of_a_process_and_those_below(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = "x = bytearray(64_000_000); x[::4096] = b'x' * len(x[::4096]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert meter._resident(child.pid) > 64_000_000
        child.communicate(b"\n")
    assert meter._resident(child.pid) == 0  # gone


# Energy


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, one with a domain of its cores."""
    for name, value in (("intel-rapl:0", 1000), ("intel-rapl:0:0", 1), ("intel-rapl:1", 2000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{value}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n")
    monkeypatch.setattr(meter, "POWERCAP", tmp_path)
    return tmp_path


def test_packages_are_added_and_not_the_cores_within(powercap: Path) -> None:
    assert meter.energy() == (1000, 2000)
    assert meter._joules((1000, 2000), (2_001_000, 1_002_000)) == pytest.approx(3.0)


def test_counters_wrap(powercap: Path) -> None:
    assert meter._joules((9_000_000, 0), (1_000_000, 500_000)) == pytest.approx(2.5)
    (powercap / "intel-rapl:0" / "max_energy_range_uj").unlink()
    assert meter._joules((9_000_000, 0), (1_000_000, 0)) is None


def test_energy_that_cannot_be_read_is_unknown(powercap: Path) -> None:
    (powercap / "intel-rapl:1" / "energy_uj").write_text("?")
    assert meter.energy() == ()
    assert meter._joules((), (1,)) is meter._joules((1,), (1, 2)) is None


# Provenance


def test_what_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    system: Any = SimpleNamespace(name="one", provenance=lambda: {"engine": "x"})
    made = provenance.provenance(get_settings(), [system])
    assert made["systems"] == {"one": {"engine": "x"}}
    assert (made["stt_lab"], made["cores"], made["threads"]) == (__version__, os.cpu_count(), get_settings().threads)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made["made"])
    assert str(Path.home()) not in str(made)


def test_versions_of_what_is_installed() -> None:
    assert set(provenance.versions(["pytest", "no-such-package"])) == {"pytest"}


def test_the_commit_tells_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    assert provenance.commit() is None
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    assert provenance.commit() is None  # there is none yet
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    head = provenance.commit()
    assert re.fullmatch(r"[0-9a-f]{40}", head or "")
    (tmp_path / "new").write_text("files that git does not know are no change")
    assert provenance.commit() == head
    (tmp_path / "a").write_text("2")
    assert provenance.commit() == f"{head}+"


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() is None


def test_a_continued_run_keeps_earlier_circumstances(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    first = {"made": "1", "cores": 2, "systems": {"a": {"x": 1}}}
    runner._note(path, first)
    runner._note(path, {"made": "2", "cores": 2, "systems": {"a": {"x": 1}}})  # all the same: the first time stays
    assert provenance_of(path) == first
    runner._note(path, {"made": "3", "cores": 8, "systems": {"b": {"x": 2}}})
    runner._note(path, {"made": "4", "cores": 16, "systems": {"b": {"x": 2}}})
    made = provenance_of(path)
    assert (made["made"], made["cores"], set(made["systems"])) == ("4", 16, {"a", "b"})
    assert [one["cores"] for one in made["earlier"]] == [2, 8]


def provenance_of(path: Path) -> dict[str, Any]:

    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


# Progress on a command line


def test_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with Line() as line:
        for done in range(21):
            line(RunProgress(done, 20, done // 20, "base" if done < 20 else "", f"i{done}" if done < 20 else ""))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert (lines[0], lines[1]) == ("0 of 20, 0 failed: base i0", "2 of 20, 0 failed: base i2")
    assert lines[-1] == "20 of 20, 1 failed: done"


def test_a_run_of_nothing_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Line() as line:
        line(RunProgress(0, 0, 0, "", ""))
    assert capsys.readouterr().err == "0 of 0, 0 failed: done\n"
