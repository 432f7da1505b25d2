"""Run engines in another process: send numbered calls, several at once, and receive their progress and outcomes.

The worker (`worker`) and the driver of a Ray cluster (`ray_driver`) speak this protocol, as pickles over stdin and
stdout. In: ("run", (number, EngineCall)), ("cancel", number). Out: ("event" | "done" | "failed", (number, value)), and
messages about no single call, such as ("working", numbers).
"""

from __future__ import annotations

import itertools
import logging
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from stt_lab.child import Child, Pickles
from stt_lab.engines.hosts.calls import (
    ABANDONED_S,
    CANCEL_GRACE_S,
    CRASHED_S,
    POLL_S,
    EngineCall,
    crashed,
    ending,
    timed_out,
)
from stt_lab.errors import EngineCrashed, EngineTimedOut, SttError
from stt_lab.types import Event, Report

log = logging.getLogger(__name__)

WORKER = "stt_lab.engines.hosts.worker"
RUNS = 3  # runs of a call whose process other calls crash
ENDED = ("ended", None)

Message = tuple[str, Any]
Inbox = queue.SimpleQueue[Message]


class RunAgain(Exception):
    """The process of a call ended through no fault of the call."""


class EngineProcess(Child):
    """A running program that serves numbered calls."""

    def __init__(self, program: str, environ: Mapping[str, str], folder: Path | None = None) -> None:
        self._inboxes: dict[int, Inbox] = {}
        self._numbers = itertools.count()
        self._sorting = threading.Lock()
        self._ended = False
        self.crashed = False  # whether it ended by itself during a call
        super().__init__([sys.executable, "-P", "-m", program], environ, Pickles, folder=folder)
        log.info("started %s as process %d", program, self.process.pid)

    def run(self, call: EngineCall, report: Report) -> Any:
        """Run a call and return its result. Raises errors of the engine, of `report`, or from `blame`."""
        number, inbox = self._open()
        try:
            self.send(("run", (number, call)))
            kind, value = self._follow(number, inbox, call, report)
        except EngineTimedOut:
            self.stop(number, inbox, at_once=True)
            raise
        except BaseException:  # cancelled, or the receiver of progress disconnected
            self.stop(number, inbox)
            raise
        self._forget(number)
        if kind == "ended":
            problem = self.blame(number)
            self.crashed = self.crashed or isinstance(problem, EngineCrashed)
            self.end()
            raise problem
        if kind == "failed":
            raise value
        return value

    def blame(self, number: int) -> Exception:
        """Return the error for a call when the program has ended."""
        return RunAgain()

    def notice(self, kind: str, value: Any) -> None:
        """Handle a message about no single call."""

    def take(self, message: Any) -> None:
        with self._sorting:
            if isinstance(message, EOFError):
                self._ended = True
                for inbox in self._inboxes.values():
                    inbox.put(ENDED)
                return
            kind, value = message
            if kind not in ("event", "done", "failed"):
                self.notice(kind, value)
            elif value[0] in self._inboxes:
                self._inboxes[value[0]].put((kind, value[1]))

    def _open(self) -> tuple[int, Inbox]:
        number, inbox = next(self._numbers), Inbox()
        with self._sorting:
            self._inboxes[number] = inbox
            if self._ended:
                inbox.put(ENDED)
        return number, inbox

    def _forget(self, number: int) -> None:
        with self._sorting:
            del self._inboxes[number]

    def _follow(self, number: int, inbox: Inbox, call: EngineCall, report: Report) -> Message:
        """Pass progress on until the outcome. Raises EngineTimedOut for a call that does not end at its limit."""
        event, worked, looked = Event("loading"), 0.0, time.monotonic()
        while True:
            kind, value = _next(inbox, POLL_S) or ("event", event)
            if kind != "event":
                return kind, value
            event, before, looked = value, looked, time.monotonic()
            worked += looked - before if self.works(number, event) else 0.0
            if worked > self.allowed(call) + CANCEL_GRACE_S:
                raise timed_out(call)
            report(event)  # also without a message, so that a cancellation is noticed

    def works(self, number: int, event: Event) -> bool:
        """Return whether the time of a call counts now."""
        return event.stage != "queued"

    def allowed(self, call: EngineCall) -> float:
        """Return the seconds that count until a call is stopped from outside."""
        return call.limit_s

    def stop(self, number: int, inbox: Inbox, at_once: bool = False) -> None:
        """Cancel a call whose caller has gone; `at_once` if it must not go on whatever else runs beside it."""
        self.send(("cancel", number))
        self._forget(number)


def _next(inbox: Inbox, patience_s: float) -> Message | None:
    try:
        return inbox.get(timeout=patience_s)
    except queue.Empty:
        return None


class Worker(EngineProcess):
    """A running `worker`. If it crashes, the calls that held a turn fail, and the others run again."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._working: tuple[int, ...] = ()
        self._abandoned = set[int]()  # cancelled but not yet ended
        self._killed = False
        super().__init__(WORKER, environ)

    def notice(self, kind: str, value: Any) -> None:
        if kind == "working":
            self._working = value

    def works(self, number: int, event: Event) -> bool:
        return number in self._working or not self._working  # nobody works while the program starts

    def blame(self, number: int) -> Exception:
        return crashed() if number in self._working and not self._killed else RunAgain()

    def end(self) -> None:
        self._killed = self._killed or not self._ended
        super().end()

    def stop(self, number: int, inbox: Inbox, at_once: bool = False) -> None:
        """Cancel a call. If it does not end soon, kill the process: later if others run in it, unless `at_once`."""
        ended = False
        try:
            self.send(("cancel", number))
            ended = self._ends(inbox, CANCEL_GRACE_S)
        finally:  # also after a second Ctrl-C
            with self._sorting:
                self._abandoned.add(number)
                alone = set(self._inboxes) <= self._abandoned
            if not ended and not alone and not at_once:
                threading.Thread(target=self._supervise, args=(number, inbox), daemon=True).start()
            else:
                if not ended:
                    self.end()
                self._forget(number)

    def _forget(self, number: int) -> None:
        super()._forget(number)
        self._abandoned.discard(number)

    @staticmethod
    def _ends(inbox: Inbox, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            kind, _ = _next(inbox, left) or ("event", None)
            if kind != "event":
                return True
        return False

    def _supervise(self, number: int, inbox: Inbox) -> None:
        """Wait for a cancelled call whose caller has gone. Kill the process if it does not end."""
        if not self._ends(inbox, ABANDONED_S):
            log.warning("a cancelled call did not end in %g s; killing its process, other calls run again", ABANDONED_S)
            self.end()
        self._forget(number)


P = TypeVar("P", bound=EngineProcess)


class ProcessHost(Generic[P]):
    """Engines in a process that starts on first use, ends when idle, and is replaced after a crash."""

    def __init__(self, start: Callable[[], P], idle_s: float) -> None:
        self._start, self._idle_s = start, idle_s
        self._idle: threading.Timer | None = None
        self._process: P | None = None
        self._running = 0
        self._crashed: deque[float] = deque(maxlen=100)  # when processes crashed, by the monotonic clock
        self._closed = False
        self._state = threading.Lock()  # set by `close`; nothing starts after it

    def run(self, call: EngineCall, report: Report) -> Any:
        """Run a call and return its result. Raises errors of the engine or `report`, EngineCrashed, or Unavailable.

        If another call ends the process, this one runs again in the next process.
        """
        for _ in range(RUNS):
            with self._used() as process:
                try:
                    return process.run(call, report)
                except RunAgain:
                    log.info("a call runs again because its process has ended")
                except SttError:
                    if self._closed:
                        raise ending() from None
                    raise
        raise ending() if self._closed else crashed()

    @contextmanager
    def _used(self) -> Iterator[P]:
        """Lend the process, which does not count as idle within the block."""
        with self._state:
            process = self._ready()
            self._running += 1
        try:
            yield process
        finally:
            with self._state:
                if process.crashed:
                    self._crashed.append(time.monotonic())
                    process.crashed = False  # counted
                self._running -= 1
                if not self._running:
                    self._rest()

    def _ready(self) -> P:
        if self._closed:
            raise ending()
        if self._idle is not None:
            self._idle.cancel()
        if self._process is not None and not self._process.alive:
            self._process.end()
            self._process = None
        self._process = self._process or self._start()
        return self._process

    def _rest(self) -> None:
        self._idle = threading.Timer(self._idle_s, self._end_idle)
        self._idle.daemon = True
        self._idle.start()

    def _end_idle(self) -> None:
        with self._state:
            if self._process is not None and not self._running:
                self._process.end()

    @property
    def crashes(self) -> int:
        since = time.monotonic() - CRASHED_S
        return sum(moment >= since for moment in list(self._crashed))

    @property
    def pid(self) -> int | None:
        """Return the id of the process if it runs."""
        return self._process.process.pid if self._process is not None and self._process.alive else None

    def close(self) -> None:
        """Kill the process, even during calls. No other is started."""
        with self._state:
            self._closed = True
            if self._idle is not None:
                self._idle.cancel()
            if self._process is not None:
                self._process.end()


class WorkerHost(ProcessHost[Worker]):
    """Engines in a worker process on this machine.

    The server stays small, a crash of native code fails one call, and ending the process frees all memory.
    """

    devices = 1

    def __init__(self, environ: Mapping[str, str], idle_s: float, capacity: int = 1) -> None:
        environ = dict(environ)
        super().__init__(lambda: Worker(environ), idle_s)
        self.capacity = capacity
