"""Where engines run: in this process, or in a worker process per device. A Ray host will be a third.

A task names an engine, its placement and one method; its arguments and result are frozen dataclasses, audio
crosses as a file, progress as events. `report` may raise `Cancelled` at any time: a host then stops the work.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stt_lab.engines.protocols import Placement, Report
from stt_lab.errors import EngineCrashed
from stt_lab.types import Event

log = logging.getLogger(__name__)

ENGINES = {  # engine of the catalog -> class; imported when it is asked to work
    "faster-whisper": "stt_lab.engines.whisper:WhisperTranscriber",
    "pyannote": "stt_lab.engines.pyannote:PyannoteDiarizer",
}
CANCEL_GRACE_S = 2.0  # an engine that has not noticed a cancel by then is killed with its process
POLL_S = 0.2
MALLOC_TUNABLES = (  # keep freed memory: the encoder's buffers are allocated anew for every window
    "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=9000000000"
)


@dataclass(frozen=True)
class Task:
    """One call of one engine."""

    engine: str
    placement: Placement
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Host(Protocol):
    def run(self, task: Task, report: Report) -> Any: ...

    def close(self) -> None: ...


class InProcessHost:
    """Engines in this process: notebooks, tests, and the inside of a worker."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, Placement], Any] = {}

    def run(self, task: Task, report: Report) -> Any:
        engine = self._engines.get((task.engine, task.placement))
        if engine is None:
            report(Event("loading"))
            module, _, name = ENGINES[task.engine].partition(":")
            engine = getattr(importlib.import_module(module), name)(task.placement)
            engine.load()
            self._engines[task.engine, task.placement] = engine
        return getattr(engine, task.method)(**task.arguments, report=report)

    def close(self) -> None:
        for engine in self._engines.values():
            engine.unload()
        self._engines.clear()


class WorkerHost:
    """Engines in a process of their own, started on first use, ended when idle, killed when it will not stop.

    The server stays light, a crash of native code fails one task, and memory comes back with the process.
    """

    def __init__(self, environ: Mapping[str, str], idle_s: float) -> None:
        self._environ = dict(environ)
        self._idle_s = idle_s
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._lock = threading.Lock()  # one task at a time; the pool's slot already sees to that
        self._idle = self._timer()

    def _timer(self) -> threading.Timer:
        timer = threading.Timer(self._idle_s, self._close_idle)
        timer.daemon = True
        timer.start()
        return timer

    def _close_idle(self) -> None:
        if self._lock.acquire(blocking=False):  # else it is not idle
            try:
                self._end()
            finally:
                self._lock.release()

    def run(self, task: Task, report: Report) -> Any:
        with self._lock:
            self._idle.cancel()
            self._ensure()
            self._send(("run", task))
            try:
                kind, value = self._await(report)
            except BaseException:  # cancelled, or nobody reads the progress any more
                self._cancel()
                raise
            finally:
                self._idle = self._timer()
        if kind == "failed":
            raise value
        return value

    def _await(self, report: Report) -> tuple[str, Any]:
        event = Event("loading")
        while True:
            try:
                kind, value = self._messages.get(timeout=POLL_S)
            except queue.Empty:
                report(event)  # lets a cancel through while the engine is busy
                continue
            if kind == "event":
                event = value
                report(event)
            elif kind == "ended":
                self._end()
                return "failed", EngineCrashed(
                    "The engine stopped unexpectedly: send the request again, with a shorter file if it recurs."
                )
            else:
                return kind, value

    def _cancel(self) -> None:
        if self._process is None:
            return
        try:
            self._send(("cancel", None))
            while self._messages.get(timeout=CANCEL_GRACE_S)[0] == "event":
                pass
        except (queue.Empty, EngineCrashed):
            self._end()

    def _ensure(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        self._messages = queue.Queue()
        command = [sys.executable, "-m", "stt_lab.engines.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environ)
        threading.Thread(target=_read, args=(self._process, self._messages), daemon=True).start()
        log.info("started worker process %d", self._process.pid)

    def _send(self, message: tuple[str, Any]) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            pickle.dump(message, process.stdin)
            process.stdin.flush()
        except OSError:
            self._end()
            raise EngineCrashed("The engine ended while it was being called; send the request again.") from None

    @property
    def pid(self) -> int | None:
        """Of the worker, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def close(self) -> None:
        self._idle.cancel()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # a worker owns nothing that needs an orderly end
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # a message was still in the buffer of the broken pipe
                if pipe is not None:
                    pipe.close()


def _read(process: subprocess.Popen[bytes], messages: queue.Queue[tuple[str, Any]]) -> None:
    assert process.stdout is not None
    try:
        while True:
            messages.put(pickle.load(process.stdout))
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):
        messages.put(("ended", None))


def worker_environ(device: str, threads: int, profile: str) -> dict[str, str]:
    """Environment of a worker: no settings and no secrets of the server, no network for model libraries."""
    environ = {
        k: v for k, v in os.environ.items() if not k.startswith("STT_LAB_") and "KEY" not in k and "TOKEN" not in k
    }
    environ |= {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYANNOTE_METRICS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if device == "cpu" and profile == "fast":
        environ["GLIBC_TUNABLES"] = MALLOC_TUNABLES
        if has_avx512():
            environ["CT2_FORCE_CPU_ISA"] = "AVX512"
    return environ


def has_avx512() -> bool:
    """True where the processor has the AVX512 instructions that CTranslate2's AVX512 build uses."""
    try:
        with open("/proc/cpuinfo") as info:
            flags = next((line for line in info if line.startswith("flags")), "").split()
    except OSError:
        return False
    return {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= set(flags)
