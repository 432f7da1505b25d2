"""Measure the cost of work: wall clock, CPU time, memory and energy, and whether other programs were busy."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_lab.errors import Unavailable
from stt_lab.extras import command

POWERCAP = Path("/sys/class/powercap")
SAMPLE_S = 0.1  # between samples of memory
BUSY = 0.1  # share of all processors that other programs may use before a time is flagged
SHORTEST_S = 0.2  # shorter work is never flagged: CPU times tick every 10 ms


@dataclass
class Cost:
    """Measurements of a block of work; set when it ends."""

    seconds: float = 0.0
    cpu: float | None = None
    memory_mb: float | None = None
    joules: float | None = None
    busy: bool = False


@dataclass(frozen=True)
class MeterReading:
    """What the meter shows at one moment; the difference of two is a cost."""

    wall: float
    own: float  # CPU seconds of this process and its descendants
    machine: float  # CPU seconds of all processes
    energy: tuple[int, ...] = field(default=())  # microjoules, per package


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        raise Unavailable(f"Measuring needs the package psutil. Run {command('lab')}.") from None
    return psutil


@contextmanager
def measured(processes: Callable[[], tuple[int, ...]], alone: bool = True) -> Iterator[Cost]:
    """Measure the cost of a block. `processes`: pids whose memory counts. Not `alone`: only wall clock and memory."""
    cost = Cost()
    watch = _MemoryWatch(processes)
    before = _reading()
    watch.start()
    try:
        yield cost
    finally:
        after = _reading()
        cost.memory_mb = watch.stop()
        cost.seconds = after.wall - before.wall
        if alone:
            fill(cost, before, after, bool(processes()))


def fill(cost: Cost, before: MeterReading, after: MeterReading, here: bool) -> None:
    """Set the fields of a cost from two readings; `here`: the work was done by this process and its descendants."""
    own = max(0.0, after.own - before.own)
    cost.cpu = own if here else None  # a remote system does not use our processors
    others = (after.machine - before.machine - own) / max(cost.seconds, 1e-9) / (os.cpu_count() or 1)
    cost.busy = cost.seconds >= SHORTEST_S and others > BUSY
    cost.joules = _joules(before.energy, after.energy) if here else None


def _reading() -> MeterReading:
    times = _psutil().cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    counted = ("user", "system", "nice", "idle", "iowait", "irq", "softirq", "steal")  # guests are within user
    total = sum(getattr(times, name, 0.0) for name in counted)
    return MeterReading(time.perf_counter(), _tree_cpu(), total - idle, energy())


def _tree_cpu() -> float:
    """Return CPU seconds of this process, its living descendants, and the children that it has waited for."""
    psutil = _psutil()
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += (
                times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
            )
    return total


class _MemoryWatch:
    """Samples the resident memory of processes and their descendants in a thread."""

    def __init__(self, processes: Callable[[], tuple[int, ...]]) -> None:
        self._processes = processes
        self._ended = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> float | None:
        """Stop sampling; return the peak in 10^6 bytes, None if no process was seen."""
        self._ended.set()
        self._thread.join()
        return self._peak / 1e6 if self._peak else None

    def _look(self) -> None:
        while True:
            self._peak = max(self._peak, sum(map(_resident, self._processes())))
            if self._ended.wait(SAMPLE_S):
                self._peak = max(self._peak, sum(map(_resident, self._processes())))
                return


def _resident(pid: int) -> int:
    psutil = _psutil()
    total = 0
    with suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)) if pid != os.getpid() else (top,):
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total


# Energy: RAPL counters of Intel and AMD in Linux's powercap, if this user may read them


def _packages() -> list[Path]:
    """List domains of whole packages: intel-rapl:0, but not the cores within it (intel-rapl:0:0)."""
    return sorted(path for path in POWERCAP.glob("*rapl:*") if path.name.count(":") == 1)


def energy() -> tuple[int, ...]:
    """Read the energy counter of each package in microjoules, which wraps; () if unreadable."""
    try:
        return tuple(int((path / "energy_uj").read_text()) for path in _packages())
    except (OSError, ValueError):
        return ()


def _joules(before: tuple[int, ...], after: tuple[int, ...]) -> float | None:
    if not before or len(before) != len(after):
        return None
    spans = []
    for path, first, last in zip(_packages(), before, after, strict=True):
        wrapped = last < first
        try:
            spans.append(last - first + (int((path / "max_energy_range_uj").read_text()) if wrapped else 0))
        except (OSError, ValueError):
            return None
    return sum(spans) / 1e6
