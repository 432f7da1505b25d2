"""Run evaluations on a server, one at a time, in a background thread; results are kept in DATA_DIR/lab."""

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
from stt_lab.lab.runs.runner import SUITE, Run, RunProgress
from stt_lab.lab.runs.systems.protocol import System
from stt_lab.settings import Settings
from stt_lab.types import Event, Report

log = logging.getLogger(__name__)

Phase = Literal["running", "stopping", "scoring", "done", "cancelled", "failed"]
STOP_S = 4.0  # for engines to stop at shutdown
CRASHED = "The evaluation failed unexpectedly. See the server's log, then resume it."


@dataclass(frozen=True)
class EvaluationStatus:
    """State of an evaluation."""

    run: str  # name of its folder
    phase: Phase
    progress: RunProgress
    waiting: bool = False  # for the device, which users occupy
    left_s: float | None = None  # None: not known yet
    problem: str = ""  # why it failed


class Evaluation:
    """A run in progress. Its properties may be read from any thread."""

    def __init__(self, run: Run, settings: Settings, pool: Pool) -> None:
        self.run = run
        self.ended = threading.Event()
        self._settings, self._pool = settings, pool
        self._phase: Phase = "running"
        self._problem = ""
        self._progress = RunProgress(0, 0, 0, "", "")
        self._first: tuple[float, int] | None = None  # start of the first recording, and rows done by then
        self._gone = threading.Event()
        self._waiting = False
        self._thread = threading.Thread(target=self._work, name="evaluation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Request a stop; finished predictions are kept, and the run can be resumed."""
        self._gone.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    @property
    def status(self) -> EvaluationStatus:
        phase: Phase = "stopping" if self._gone.is_set() and self._phase == "running" else self._phase
        name, left = self.run.folder.name, self._left()
        return EvaluationStatus(name, phase, self._progress, self._waiting, left, self._problem)

    def _left(self) -> float | None:
        progress = self._progress
        if self._first is None or self._phase != "running":
            return None
        began, before = self._first
        added = progress.done - before
        return (time.monotonic() - began) / added * (progress.total - progress.done) if added > 0 else None

    def _work(self) -> None:
        try:
            runner.predict(self.run, self._settings, self.update, self._turn)
            self._phase = "scoring"
            self._score()
            self._phase = "done"
        except Cancelled:
            self._phase = "cancelled"
        except Exception as problem:
            if not isinstance(problem, SttError):
                log.exception("the evaluation %s failed", self.run.folder.name)
            sentence = str(problem) if isinstance(problem, SttError) else CRASHED
            self._problem = sentence.replace(f"{self.run.folder.parent}{os.sep}", "")  # without absolute paths
            self._phase = "failed"
        finally:
            self.ended.set()

    def _score(self) -> None:
        from stt_lab.lab.scoring.scores import score

        score(self.run)

    def update(self, progress: RunProgress) -> None:
        """Take the progress of the run. Raises Cancelled after a cancel."""
        self._progress = progress
        if progress.item and self._first is None:
            self._first = time.monotonic(), progress.done
        self._check()

    def _check(self) -> None:
        if self._gone.is_set():
            raise Cancelled("The evaluation was cancelled.")

    @contextmanager
    def _turn(self, system: System) -> Iterator[Report]:
        """Hold the server's device for one recording and one system.

        So a user waits for at most one recording of an evaluation, and an evaluation waits for earlier users. Holding
        the device for the whole run would lock users out for hours; not holding it would distort the measured times.
        The systems run in processes of their own, not in the pool, so that memory and times are theirs alone. A system
        behind a URL takes no device: if it is this server, it would wait for itself forever.
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
    """The evaluations of a server: stored runs, datasets, and the run in progress."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings, self.pool = settings, pool
        self.folder = settings.data_dir.absolute() / "lab"
        self.runs, self.datasets = self.folder / "runs", self.folder / "datasets"
        self._lock = threading.Lock()
        self._closed = False
        self._last: Evaluation | None = None

    @property
    def last(self) -> Evaluation | None:
        """The evaluation in progress, or the last one since the server started."""
        return self._last

    @property
    def busy(self) -> bool:
        return self._last is not None and not self._last.ended.is_set()

    def names(self) -> tuple[str, ...]:
        """List the names of stored runs, most recently written first."""
        found = [path.parent for path in self.runs.glob(f"*/{SUITE}")]
        return tuple(folder.name for folder in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True))

    def stored(self, name: str) -> Path:
        """Return the folder of a stored run. Raises NotFound."""
        if name not in self.names():
            raise NotFound(f"The run {name[:60]!r} was not found. Choose one from the list.")
        return self.runs / name

    def resume(self, name: str) -> Run:
        return runner.resume(self.stored(name), self.settings)

    def start(self, make: Callable[[], Run]) -> Evaluation:
        """Start the run that `make` creates or resumes. Raises Conflict while another one is in progress."""
        with self._lock:
            if self._closed:
                raise Unavailable("The server is shutting down. Start the evaluation again after the restart.")
            if self.busy:
                raise Conflict("Another evaluation is running. Wait until it ends, or cancel it.")
            self._last = Evaluation(make(), self.settings, self.pool)
            self._last.start()
            return self._last

    def stop(self) -> None:
        """Refuse new evaluations and cancel the current one, which can be resumed after a restart."""
        with self._lock:
            self._closed = True
        if self._last is not None:
            self._last.cancel()

    def close(self) -> None:
        """Stop, and wait for the thread. Harmless when repeated."""
        self.stop()
        if self._last is not None:
            self._last.join(STOP_S)
