"""Run the worker process: `python -m stt_lab.engines.hosts.worker`. Its messages are described in `process`.

Each call has a thread, but for those that need the main one; turns.py decides which of them work. The process ends when
stdin closes, because its server has gone.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from stt_lab.engines.hosts.calls import EngineCall
from stt_lab.engines.hosts.inprocess import InProcessHost
from stt_lab.errors import Cancelled, SttError
from stt_lab.types import Event

log = logging.getLogger("stt_lab.worker")
EVENT_INTERVAL_S = 0.1
UNFORESEEN = "The engine failed on this file. See the server's log for the reason."


class Replies:
    """The pipe to the server. Thread-safe."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._lock = sink, threading.Lock()

    def send(self, kind: str, value: Any) -> None:
        message = pickle.dumps((kind, value))
        with self._lock:
            self._sink.write(message)
            self._sink.flush()


class Reporter:
    """Sends progress at a limited rate, and raises Cancelled if the call was cancelled."""

    def __init__(self, send: Callable[[Event], None], cancelled: threading.Event) -> None:
        self._send, self._cancelled = send, cancelled
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, event: Event) -> None:
        if self._cancelled.is_set():
            raise Cancelled("The request was cancelled.")
        stage, sent = self._last
        now = time.monotonic()
        if event.stage != stage or now - sent >= EVENT_INTERVAL_S:
            self._send(event)
            self._last = (event.stage, now)


def outcome(work: Callable[[], Any], call: EngineCall) -> tuple[str, Any]:
    """Run `work` and return the last message of a call: "done" with its result, or "failed" with an SttError."""
    try:
        return "done", work()
    except SttError as problem:
        return "failed", problem
    except Exception:
        log.exception("call %s of %s failed", call.method, call.engine)
        return "failed", SttError(UNFORESEEN)


class Calls:
    """The calls in progress in this process."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._host = InProcessHost(changed=lambda numbers: replies.send("working", numbers))
        self._cancelled: dict[int, threading.Event] = {}
        self._in_main = queue.SimpleQueue[tuple[int, EngineCall]]()

    def start(self, number: int, call: EngineCall) -> None:
        self._cancelled[number] = threading.Event()
        if call.main_thread:
            self._in_main.put((number, call))
        else:
            threading.Thread(target=self._work, args=(number, call), daemon=True).start()

    def serve_main(self) -> None:
        """Run the calls that need the main thread, one after another, for ever."""
        while True:
            self._work(*self._in_main.get())

    def cancel(self, number: int) -> None:
        if cancelled := self._cancelled.get(number):
            cancelled.set()
            self._host.turns.wake()

    def _work(self, number: int, call: EngineCall) -> None:
        report = Reporter(lambda event: self._replies.send("event", (number, event)), self._cancelled[number])
        kind, value = outcome(lambda: self._host.run(call, report, number), call)
        del self._cancelled[number]
        try:
            self._replies.send(kind, (number, value))
        except (pickle.PicklingError, TypeError, AttributeError):  # the result cannot be pickled
            log.exception("the result of call %s of %s was lost", call.method, call.engine)
            self._replies.send("failed", (number, SttError(UNFORESEEN)))


def message_pipe() -> BinaryIO:
    """Take over stdout for messages. Anything that libraries print goes to stderr."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sink


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    calls = Calls(Replies(message_pipe()))
    threading.Thread(target=_read, args=(calls,), daemon=True).start()
    calls.serve_main()


def _read(calls: Calls) -> None:
    while True:
        try:
            kind, value = pickle.load(sys.stdin.buffer)
        except Exception:  # end of the stream, or half a message, which may raise anything
            os._exit(0)  # even during calls: the server has gone
        if kind == "run":
            calls.start(*value)
        else:
            calls.cancel(value)


if __name__ == "__main__":
    main()
