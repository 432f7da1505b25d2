"""Where engines run: in this process, or in a worker process per device; `ray_host` is a third, on a cluster.

A task names an engine's class, its spec and one method; its arguments and result are frozen dataclasses, audio
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
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stt_lab.audio import INHERITED, PACKAGES
from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import EngineCrashed, SttError, Unavailable
from stt_lab.types import Event, Report

log = logging.getLogger(__name__)

PROGRAM = "stt_lab.engines.hosts.worker"
CANCEL_GRACE_S = 1.0  # an engine that has not noticed a cancel by then is killed with its process
POLL_S = 0.2
LIBRARIES = ("HOME", "USERPROFILE", "TMP", "TEMP", "CUDA", "NVIDIA", "CT2_", "OMP_", "MKL_", "KMP_", "MPLCONFIGDIR")
MALLOC_TUNABLES = (  # keep freed memory: the encoder's buffers are allocated anew for every window
    "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=9000000000"
)


@dataclass(frozen=True)
class EngineCall:
    """One call of one engine."""

    engine: str  # "module:Class", imported where it works
    spec: EngineSpec
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Host(Protocol):
    @property
    def capacity(self) -> int:
        """How many tasks run at once; more wait in the pool."""
        ...

    def run(self, task: EngineCall, report: Report) -> Any: ...

    def close(self) -> None: ...


class InProcessHost:
    """Engines in this process: notebooks, tests, and the inside of a worker."""

    capacity = 1

    def __init__(self) -> None:
        self._engines: dict[tuple[str, EngineSpec], Any] = {}

    def run(self, task: EngineCall, report: Report) -> Any:
        return getattr(self.engine(task, report), task.method)(**task.arguments, report=report)

    def engine(self, task: EngineCall, report: Report) -> Any:
        """The engine of a task, loaded."""
        engine = self._engines.get((task.engine, task.spec))
        if engine is None:
            report(Event("loading"))
            module, _, name = task.engine.partition(":")
            engine = getattr(importlib.import_module(module), name)(task.spec)
            engine.load()
            self._engines[task.engine, task.spec] = engine
        return engine

    def close(self) -> None:
        for engine in self._engines.values():
            engine.unload()
        self._engines.clear()


class WorkerHost:
    """Engines in a process of their own, started on first use, ended when idle, killed when it will not stop.

    The server stays light, a crash of native code fails one task, and memory comes back with the process.
    """

    capacity = 1

    def __init__(self, environ: Mapping[str, str], idle_s: float) -> None:
        self._environ = dict(environ)
        self._idle_s = idle_s
        self._idle: threading.Timer | None = None
        self._worker: Child | None = None
        self._closed = False
        self._task = threading.Lock()  # one at a time; the pool's slot already sees to that
        self._state = threading.Lock()  # so that nothing starts after `close`

    def run(self, task: EngineCall, report: Report) -> Any:
        """The result of a task. Raises what the engine raised, EngineCrashed, or Unavailable after `close`."""
        with self._task:
            worker = self._ready()
            try:
                worker.send("run", task)
                kind, value = self._follow(worker, report)
            except BaseException:  # cancelled, or nobody reads the progress any more
                worker.stop()
                raise
            finally:
                self._rest()
        if kind == "failed":
            raise value
        return value

    def _ready(self) -> Child:
        if self._idle is not None:
            self._idle.cancel()
        with self._state:
            if self._closed:
                raise ending()
            if self._worker is not None and not self._worker.alive:
                self._worker.end()  # it died while it was idle
                self._worker = None
            self._worker = self._worker or Child(self._environ)
            return self._worker

    def _follow(self, worker: Child, report: Report) -> tuple[str, Any]:
        """Pass progress on until the outcome."""
        event = Event("loading")
        while True:
            kind, value = worker.receive(POLL_S) or ("event", event)
            if kind == "ended":
                worker.end()
                raise self._crash()
            if kind != "event":
                return kind, value
            event = value
            report(event)  # also when nothing came: that lets a cancel through while the engine is busy

    def _crash(self) -> SttError:
        if self._closed:
            return ending()
        return EngineCrashed(
            "The engine stopped unexpectedly: send the request again, with a shorter file if it recurs."
        )

    def _rest(self) -> None:
        self._idle = threading.Timer(self._idle_s, self._end_idle)
        self._idle.daemon = True
        self._idle.start()

    def _end_idle(self) -> None:
        if self._task.acquire(blocking=False):  # else it is not idle
            try:
                if self._worker is not None:
                    self._worker.end()
            finally:
                self._task.release()

    @property
    def pid(self) -> int | None:
        """Of the worker, while it runs."""
        return self._worker.process.pid if self._worker is not None and self._worker.alive else None

    def close(self) -> None:
        """Kill the worker, also in the middle of a task; no other is started."""
        with self._state:
            self._closed = True
        if self._idle is not None:
            self._idle.cancel()
        if self._worker is not None:
            self._worker.end()


def ending() -> Unavailable:
    return Unavailable("The program is ending: send the request again when it is back.")


class Child:
    """A running worker, or another program that speaks its protocol, and the thread that reads its messages."""

    def __init__(self, environ: Mapping[str, str], program: str = PROGRAM, folder: Path | None = None) -> None:
        self._messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        command = [sys.executable, "-P", "-m", program]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
            cwd=folder,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent only
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        log.info("started %s as process %d", program, self.process.pid)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            while True:
                self.take(pickle.load(self.process.stdout))
        except Exception as problem:  # half a message may raise anything
            if not isinstance(problem, EOFError):
                log.debug("worker process %d ended in the middle of a message", self.process.pid, exc_info=True)
        finally:
            self.take(("ended", None))

    def take(self, message: tuple[str, Any]) -> None:
        """A message has come; ("ended", None) is the last one."""
        self._messages.put(message)

    def send(self, kind: str, value: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # a worker that has ended says so by its last message
            pickle.dump((kind, value), self.process.stdin)
            self.process.stdin.flush()

    def receive(self, patience_s: float) -> tuple[str, Any] | None:
        """The next message; None if none comes in time."""
        try:
            return self._messages.get(timeout=max(0.0, patience_s))
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Cancel the task that runs; kill the process unless it then says soon that it is free."""
        free = False
        try:
            self.send("cancel", None)
            deadline = time.monotonic() + CANCEL_GRACE_S
            kind = "event"
            while kind == "event" and self.alive:
                kind, _ = self.receive(deadline - time.monotonic()) or ("late", None)
            free = kind in ("done", "failed")
        finally:
            if not free:
                self.end()

    def end(self) -> None:
        """Kill the process, which owns nothing that needs an orderly end. Harmless when repeated."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError, ValueError):  # a message was still in the buffer of the broken pipe
                if pipe is not None:
                    pipe.close()


def worker_environ(device: str, threads: int, profile: str) -> dict[str, str]:
    """Environment of a worker: what Python and the engines' libraries need; no secrets."""
    environ = {name: value for name, value in os.environ.items() if name.upper().startswith(INHERITED + LIBRARIES)}
    environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGES), *filter(None, [environ.get("PYTHONPATH")])])
    return environ | tuning(device, threads, profile) | instructions(device, profile)


def tuning(device: str, threads: int, profile: str) -> dict[str, str]:
    """What the engines' libraries read from the environment when their process starts; no network for them."""
    environ = {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYANNOTE_METRICS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if device == "cpu" and profile != "off":
        environ["GLIBC_TUNABLES"] = MALLOC_TUNABLES
    return environ


def instructions(device: str, profile: str) -> dict[str, str]:
    """What they read that only the machine itself can tell."""
    if device == "cpu" and profile == "avx512" and has_avx512():
        return {"CT2_FORCE_CPU_ISA": "AVX512"}  # other low bits: WER was 0.5 points higher with base (eval/LOG.md)
    return {}


def has_avx512() -> bool:
    """True where the processor has the AVX512 instructions that CTranslate2's AVX512 build uses."""
    try:
        with open("/proc/cpuinfo") as info:
            flags = next((line for line in info if line.startswith("flags")), "").split()
    except OSError:
        return False
    return {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= set(flags)
