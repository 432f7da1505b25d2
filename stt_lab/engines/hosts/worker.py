"""The worker process: `python -m stt_lab.engines.hosts.worker`. Pickled messages over stdin and stdout.

In: ("run", EngineCall), ("cancel", None). Out: ("event", Event), ("done", value), ("failed", SttError).
It ends when stdin closes: its server is gone, by whatever means.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import sys
import threading
import time
from typing import Any, BinaryIO, Protocol

from stt_lab.engines.hosts import EngineCall, InProcessHost
from stt_lab.errors import Cancelled, SttError
from stt_lab.types import Event

log = logging.getLogger("stt_lab.worker")
EVENT_INTERVAL_S = 0.1


class Outbox(Protocol):
    """Where a task's messages go, and whether it still wants to know."""

    cancelled: threading.Event

    def send(self, kind: str, value: Any) -> None: ...


class Messages:
    """Both pipes: a thread reads tasks and cancels, writes are serialised."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self.tasks: queue.Queue[EngineCall] = queue.Queue()
        self.cancelled = threading.Event()
        self._source, self._sink = source, sink
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                kind, value = pickle.load(self._source)
            except Exception:  # the end, or half a message, which may raise anything
                os._exit(0)  # also in the middle of a task: nobody waits for it
            if kind == "run":
                self.cancelled.clear()
                self.tasks.put(value)
            else:
                self.cancelled.set()

    def send(self, kind: str, value: Any) -> None:
        pickle.dump((kind, value), self._sink)
        self._sink.flush()


class Reporter:
    """Sends progress, not more often than people can read it, and raises when the task was cancelled."""

    def __init__(self, messages: Outbox) -> None:
        self._messages = messages
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, event: Event) -> None:
        if self._messages.cancelled.is_set():
            raise Cancelled("The request was cancelled.")
        stage, sent = self._last
        now = time.monotonic()
        if event.stage != stage or now - sent >= EVENT_INTERVAL_S:
            self._messages.send("event", event)
            self._last = (event.stage, now)


def outcome(host: InProcessHost, task: EngineCall, report: Reporter) -> tuple[str, Any]:
    try:
        return "done", host.run(task, report)
    except SttError as problem:
        return "failed", problem
    except Exception:
        log.exception("task %s of %s failed", task.method, task.engine)
        return "failed", SttError("The engine could not finish this file; the server's log says why.")


def message_pipe() -> BinaryIO:
    """What was stdout. From now on stdout is stderr: what libraries print must not reach the messages."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sink


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    messages = Messages(sys.stdin.buffer, message_pipe())
    host = InProcessHost()
    while True:
        task = messages.tasks.get()
        messages.send(*outcome(host, task, Reporter(messages)))


if __name__ == "__main__":
    main()
