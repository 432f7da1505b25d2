"""The evaluations of a server: one at a time, in a thread that goes on when nobody watches, kept in DATA_DIR/lab."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stt_lab.engines.pool import Pool
from stt_lab.errors import Cancelled, Conflict, NotFound, SttError, Unavailable
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.runner import SUITE, Progress, Run
from stt_lab.lab.runs.systems.protocol import System
from stt_lab.settings import Settings
from stt_lab.types import Event, Report

log = logging.getLogger(__name__)

Phase = Literal["running", "stopping", "scoring", "done", "cancelled", "failed"]
STOP_S = 4.0  # for engines to notice that the server ends
CRASHED = "The evaluation stumbled over something that nobody foresaw: the server's log says what. It can go on."


@dataclass(frozen=True)
class Status:
    """How far an evaluation is."""

    run: str  # name of its folder
    phase: Phase
    progress: Progress
    waiting: bool = False  # for the device, which users have
    left_s: float | None = None  # None: nobody can say yet
    problem: str = ""  # why it failed


class Evaluation:
    """One run as it goes on. Everything may be asked from any thread."""

    def __init__(self, run: Run, settings: Settings, pool: Pool) -> None:
        self.run = run
        self.ended = threading.Event()
        self._settings, self._pool = settings, pool
        self._phase: Phase = "running"
        self._problem = ""
        self._progress = Progress(0, 0, 0, "", "")
        self._first: tuple[float, int] | None = None  # when the first recording was begun, and how many were done then
        self._gone = threading.Event()
        self._waiting = False
        self._thread = threading.Thread(target=self._work, name="evaluation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Stop soon; what was heard is kept, and the run can go on."""
        self._gone.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    @property
    def status(self) -> Status:
        phase: Phase = "stopping" if self._gone.is_set() and self._phase == "running" else self._phase
        name, left = self.run.folder.name, self._left()
        return Status(name, phase, self._progress, self._waiting, left, self._problem)

    def _left(self) -> float | None:
        progress = self._progress
        if self._first is None or self._phase != "running":
            return None
        began, before = self._first
        added = progress.done - before
        return (time.monotonic() - began) / added * (progress.total - progress.done) if added > 0 else None

    def _work(self) -> None:
        try:
            runner.predict(self.run, self._settings, self._see, self._turn)
            self._phase = "scoring"
            self._score()
            self._phase = "done"
        except Cancelled:
            self._phase = "cancelled"
        except Exception as problem:
            if not isinstance(problem, SttError):
                log.exception("the evaluation %s failed", self.run.folder.name)
            told = str(problem) if isinstance(problem, SttError) else CRASHED
            self._problem = told.replace(f"{self.run.folder.parent}{os.sep}", "")  # names, and not where they lie
            self._phase = "failed"
        finally:
            self.ended.set()

    def _score(self) -> None:
        from stt_lab.lab.scoring.scores import score

        score(self.run)

    def _see(self, progress: Progress) -> None:
        self._progress = progress
        if progress.item and self._first is None:
            self._first = time.monotonic(), progress.done
        self._check()

    def _check(self) -> None:
        if self._gone.is_set():
            raise Cancelled("The evaluation was cancelled.")

    @contextmanager
    def _turn(self, system: System) -> Iterator[Report]:
        """The server's device, for one recording and one system.

        So a user waits for one recording of an evaluation at most, and an evaluation for the users who came before it.
        To hold the device for the whole run would shut users out for hours; without it, users and the run would slow
        each other, and its times would mean nothing. The engines are not the pool's own: they work in processes of
        their own, as on the command line, so that memory and times are the system's. A system behind a URL takes no
        device; were it this very server, it would wait for itself for ever.
        """
        if system.remote:
            yield self._report
            return
        try:
            with self._pool.slot(self._queue, alone=True):
                self._waiting = False
                yield self._report
        finally:
            self._waiting = False

    def _queue(self, event: Event) -> None:
        self._waiting = True
        self._check()

    def _report(self, event: Event) -> None:
        self._check()


class Evaluations:
    """What the page of the laboratory works with."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings, self._pool = settings, pool
        self.folder = settings.data_dir.absolute() / "lab"
        self.runs, self.datasets = self.folder / "runs", self.folder / "datasets"
        self._lock = threading.Lock()
        self._closed = False
        self._last: Evaluation | None = None

    @property
    def last(self) -> Evaluation | None:
        """The one that runs, or the last one that did since the server started."""
        return self._last

    @property
    def busy(self) -> bool:
        return self._last is not None and not self._last.ended.is_set()

    def names(self) -> tuple[str, ...]:
        """Of the stored runs, those that were written to last first."""
        found = [path.parent for path in self.runs.glob(f"*/{SUITE}")]
        return tuple(folder.name for folder in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True))

    def stored(self, name: str) -> Path:
        """The folder of a stored run. Raises NotFound for every other name."""
        if name not in self.names():
            raise NotFound(f"There is no run {name[:60]!r} any more: choose one of the list.")
        return self.runs / name

    def resume(self, name: str) -> Run:
        return runner.resume(self.stored(name), self.settings)

    def start(self, make: Callable[[], Run]) -> Evaluation:
        """Begin or go on with what `make` gives. Raises Conflict while another one runs."""
        with self._lock:
            if self._closed:
                raise Unavailable("The server is ending: begin again when it is back.")
            if self.busy:
                raise Conflict("An evaluation is running: wait until it has ended, or cancel it.")
            self._last = Evaluation(make(), self.settings, self._pool)
            self._last.start()
            return self._last

    def stop(self) -> None:
        """Begin nothing more, and let what runs stop soon; it can go on after the next start."""
        with self._lock:
            self._closed = True
        if self._last is not None:
            self._last.cancel()

    def close(self) -> None:
        """Stop, and wait for it. Harmless when repeated."""
        self.stop()
        if self._last is not None:
            self._last.join(STOP_S)
