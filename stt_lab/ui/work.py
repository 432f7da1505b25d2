"""Run a call in a thread while a page or client waits: progress, result and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from stt_lab.errors import Cancelled, Disconnected, SttError
from stt_lab.ui.gradio_private import client_listens

log = logging.getLogger(__name__)

T = TypeVar("T")
ReportProgress = Callable[[Any], None]  # takes a progress value; raises Cancelled if the client has gone

POLL_S = 0.25  # between looks at the progress
CANCELLED = "The request was cancelled."


class BackgroundCall(Generic[T]):
    """Runs `job(report)` in a thread.

    `cancel`, and Gradio's own cancel, make `report` raise Cancelled. Leaving the block makes it raise Disconnected.
    """

    def __init__(self, job: Callable[[ReportProgress], T]) -> None:
        self._job = job
        self._gone, self._asked = threading.Event(), threading.Event()
        self._outcome: Future[T] = Future()
        self._reported: deque[Any] = deque()

    async def __aenter__(self) -> BackgroundCall[T]:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        threading.Thread(target=self._run, daemon=True).start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *problem: object) -> None:
        if kind is asyncio.CancelledError:  # a Gradio client cancelled; one that has gone closes its stream
            self._asked.set()
        self._gone.set()

    def cancel(self) -> None:
        """Ask the job to stop. It ends soon, with Cancelled unless it was done before. Callable from any thread."""
        self._asked.set()

    @property
    def cancelling(self) -> bool:
        """Return whether the job was asked to stop."""
        return self._asked.is_set()

    def _report(self, progress: Any) -> None:
        if self._asked.is_set():
            raise Cancelled(CANCELLED)
        if self._gone.is_set():
            raise Disconnected(CANCELLED)
        self._reported.append(progress)

    def _run(self) -> None:
        try:
            self._outcome.set_result(self._job(self._report))
        except BaseException as problem:
            self._outcome.set_exception(problem)
        with contextlib.suppress(RuntimeError):  # the event loop ended before the job
            self._loop.call_soon_threadsafe(self._ended.set)

    async def updates(self) -> AsyncIterator[list[Any]]:
        """Yield the new progress values every POLL_S until the job ends."""
        ended = False
        while not ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._ended.wait()
            ended = self._ended.is_set()  # before the rest is read, so that nothing is lost
            if not client_listens():
                raise Disconnected(CANCELLED)
            yield [self._reported.popleft() for _ in range(len(self._reported))]

    def result(self) -> T:
        """Return the result of the job, or raise its exception."""
        return self._outcome.result()


def sentence(problem: Exception) -> str:
    """Return the message of an error for the page; stack traces and paths go only to the log."""
    if isinstance(problem, SttError):
        return str(problem)
    log.error("an operation failed", exc_info=problem)
    return "The request failed unexpectedly. Try again, or see the server's log."


# Files


def named(value: object) -> str:
    """Return the client's name of an upload, for display only."""
    name = str(value.get("orig_name") or "") if isinstance(value, dict) else ""
    return "".join(char for char in name if char.isprintable())[:255]


def file_data(address: str, name: str) -> dict[str, Any]:
    """Return a shared file as Gradio's clients take it."""
    return {"path": address, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
