"""Send files while they are made: at once, without a place in the queue, charged by what was delivered.

A thread makes the file and ends the job. Between it and the client is a queue of a few megabytes, so that the engine is
soon free for others; a client that does not read is given up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

from stt_lab.caller import errand_of
from stt_lab.errors import Busy, Cancelled, Disconnected, SttError, Unavailable
from stt_lab.jobs.lifecycle import RETRY_AFTER_S, JobLifecycle, LostClaim, Places
from stt_lab.jobs.workers import CRASHED, JobWorkers, RunningJob
from stt_lab.registry import Context, Request, perform
from stt_lab.store.models import now
from stt_lab.store.queue import JobRow
from stt_lab.types import Event, File

log = logging.getLogger(__name__)
POLL_S = 0.25  # between looks whether the work is to stop
HELD_BYTES = 4 * 1024 * 1024  # of a file that wait for its client
PIECE = 16 * 1024  # bytes that are handed over at once
STALL_S = 60.0  # for which a client may not read, beyond the length of the sound that it has
END_S = 20.0  # for the last transaction, before the end of the file is sent
UNREAD = "The client did not read the sound. Send the request again, and read the answer while it comes."
GONE = "The client disconnected. The work was stopped."


class Delivery:
    """A file between the thread that makes it and its client. What it yields is delivered once more is asked for."""

    def __init__(self) -> None:
        self.delivered = 0.0  # seconds of sound that the client has
        self.left = False  # whether the client went away and keeps what it has
        self._handed = 0.0  # seconds, with the piece that is on its way
        self._changed = threading.Condition()
        self._pieces: deque[tuple[bytes, float]] = deque()
        self._file: File | None = None
        self._complete = self._gone = self._ended = False
        self._problem: BaseException | None = None

    # -- for the client

    def begun(self) -> File:
        """Wait for the first bytes. Raises what kept them from being made."""
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self._ended)
            if self._file is None or (self._problem and not self._pieces):
                raise self._problem or SttError(CRASHED)
            return replace(self._file, chunks=self)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._changed:
            self.delivered = self._handed
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pieces or self._complete or self._ended or self._gone)
            if self._gone:
                raise Disconnected(GONE)
            if self._problem is None and not self._pieces:
                self._changed.wait_for(lambda: self._ended, END_S)
            if self._problem is not None:  # what waits is not sent: the end would come anyway
                raise self._problem
            if not self._pieces:
                raise StopIteration
            piece, self._handed = self._pieces.popleft()
            self._changed.notify_all()
            return piece

    def leave(self) -> None:
        """Say that the client has gone, and keeps what it has. Harmless when repeated, or after the end."""
        self.left = True
        self.close()

    def close(self) -> None:
        """Stop: what was taken is of no use. Harmless when repeated, or after the end."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    # -- for the thread

    @property
    def gone(self) -> bool:
        return self._gone

    def begin(self, file: File) -> None:
        self._file = file

    def put(self, chunk: bytes, start: float, end: float, check: Callable[[], None]) -> None:
        """Add bytes that hold the sound from `start` to `end` (seconds), once there is room for them.

        Raises Disconnected if the client does not read.
        """
        for at in range(0, len(chunk), PIECE):
            share = min(1.0, (at + PIECE) / len(chunk))
            self._wait(lambda: sum(len(piece) for piece, _ in self._pieces) < HELD_BYTES, check)
            with self._changed:
                self._pieces.append((chunk[at : at + PIECE], start + share * (end - start)))
                self._changed.notify_all()

    def finish(self, check: Callable[[], None]) -> None:
        """Wait until the client has everything. Raises Disconnected if it does not read."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()
        self._wait(lambda: not self._pieces and self.delivered == self._handed, check)

    def end(self, problem: BaseException | None) -> None:
        """Say that the job has ended."""
        with self._changed:
            self._problem, self._ended = problem, True
            self._changed.notify_all()

    def _wait(self, true: Callable[[], bool], check: Callable[[], None]) -> None:
        """Wait for the client, at most STALL_S longer than what it has sounds."""
        began = time.monotonic()
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._gone or true(), POLL_S) and not self._gone:
                    return
            if self._gone:
                raise Disconnected(GONE)
            check()
            if time.monotonic() - began > STALL_S + self.delivered:
                self.left = True
                raise Disconnected(UNREAD)


class Deliveries:
    """The files that this server makes while it sends them."""

    def __init__(self, lifecycle: JobLifecycle, workers: JobWorkers, queue_timeout_s: float) -> None:
        self._lifecycle, self._workers, self._queue_timeout_s = lifecycle, workers, queue_timeout_s

    def run(self, request: Request, context: Context, row: JobRow, places: Places) -> File:
        """Admit a request, and return its file as soon as that begins. Raises errors that come before."""
        row = replace(self._lifecycle.claimed(row), parameters={}, idempotency_key=None, started=now())
        self._lifecycle.submit(row, {}, places)
        delivery = Delivery()
        work = Making(self._lifecycle, self._workers, row, delivery, self._queue_timeout_s)
        threading.Thread(target=work.run, args=[request, context], name="delivery", daemon=True).start()
        return delivery.begun()


class Making:
    """The thread of one file, from its reservation to its charge."""

    def __init__(
        self,
        lifecycle: JobLifecycle,
        workers: JobWorkers,
        row: JobRow,
        delivery: Delivery,
        queue_timeout_s: float,
    ) -> None:
        self._lifecycle, self._workers, self._row, self._delivery = lifecycle, workers, row, delivery
        self._queue_timeout_s = queue_timeout_s
        self._made = 0.0  # seconds of sound
        self._since = time.monotonic()  # of the last step that was no waiting

    def run(self, request: Request, context: Context) -> None:
        """Make the file, and end its job."""
        problem: BaseException | None = SttError(CRASHED)  # until it is known, so that the client never waits in vain
        with ExitStack() as stack:
            stack.callback(lambda: self._delivery.end(problem))
            job = stack.enter_context(self._workers.holding(self._row))
            try:
                self._make(request, context, job)
                problem = None
            except SttError as raised:
                problem = raised
            except Exception as raised:
                log.error("%s failed", self._row.operation, exc_info=raised)
                problem = SttError(CRASHED)
            try:
                self._settle(request, problem)
            except LostClaim:
                log.warning("job %s is no longer this server's", self._row.id)
            except Exception:  # its lease will end, and it is released
                log.exception("the end of job %s could not be written", self._row.id)

    def _make(self, request: Request, context: Context, job: RunningJob) -> None:
        charge = request.op.charge
        if charge and charge.estimate:
            self._lifecycle.reserve(self._row, charge.credits(charge.estimate(**request.values)))
        inner = replace(context, report=lambda event: self._report(job, context, event), meter=self._meter)
        with errand_of(context.caller, refusable=False):
            file = perform(request, inner)
            self._delivery.begin(file)
            before = 0.0
            with closing(file.chunks):
                for chunk in file.chunks:
                    self._delivery.put(chunk, before, self._made, lambda: self._check(job))
                    before = self._made
        self._delivery.finish(lambda: self._check(job))

    def _settle(self, request: Request, problem: BaseException | None) -> None:
        """Charge for what the client has; nothing if the server failed or the caller cancelled."""
        seconds, charge = self._delivery.delivered, request.op.charge
        if problem is None or (isinstance(problem, Disconnected) and self._delivery.left and seconds):
            credits = charge.credits(seconds) if charge else 0
            self._lifecycle.done(self._row, None, handed_over=True, credits=credits)
        else:
            assert isinstance(problem, SttError)
            self._lifecycle.failed(self._row, problem)

    def _meter(self, seconds: float) -> None:
        self._made = seconds

    def _check(self, job: RunningJob) -> None:
        """Raise an error if the work is to stop."""
        if job.stop == "ending":
            raise Unavailable("The server is shutting down. Send the request again when it is back.")
        if job.stop:
            raise Cancelled("The request was cancelled.")
        if self._delivery.gone:
            raise Disconnected(GONE)

    def _report(self, job: RunningJob, context: Context, event: Event) -> None:
        self._check(job)
        if event.stage != "queued":
            self._since = time.monotonic()
        elif time.monotonic() - self._since > self._queue_timeout_s:
            raise Busy("This machine is busy with earlier requests. Try again later.", retry_after=RETRY_AFTER_S)
        context.report(event)
