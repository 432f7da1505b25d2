"""Run jobs in threads; another thread renews their leases and releases the jobs of lost servers."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from stt_lab.caller import Caller, errand_of
from stt_lab.errors import Cancelled, SttError, Unavailable
from stt_lab.jobs.callers import caller_of
from stt_lab.jobs.clocks import LeaseWatch
from stt_lab.jobs.lifecycle import CANCELLED, JobLifecycle, LostClaim
from stt_lab.jobs.progress import Progress
from stt_lab.registry import OPERATIONS, Context, Operation, Request, perform, prepare
from stt_lab.runtime import Runtime
from stt_lab.store import queue
from stt_lab.store.queue import JobRow
from stt_lab.types import Event

log = logging.getLogger(__name__)
LOOK_S = 0.5  # between checks for jobs and cancellations from other servers
RENEW_S = 5.0  # a sixth of a lease
CONFIRM = 1.5  # times RENEW_S, for which an ended lease must not change until its job is released
TIDY_S = 3600.0
WRITE_S = 1.0  # progress reaches the store at most this often
WORTH_WRITING_S = 0.1  # of waiting and loading, which reaches the store at once
PATIENCE_S = 20.0  # retry writes for so long while the database is unreachable; then the lease ends anyway
STOP_S = 4.0  # for engines to stop when the server ends
MAX_PREPARED = 10_000  # requests kept until their job begins; older ones are prepared again
CRASHED = "Something went wrong in the server. Send the request again; the server's log has the details."
ENDING = "The server is shutting down. The job continues when it is back; without a key, send the request again then."

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, for a request that waits in this process."""

    value: Any = None
    problem: SttError | None = None


Updates = SimpleQueue[Event | Outcome]


@dataclass
class RunningJob:
    """A job that this server works on."""

    row: JobRow
    progress: Progress
    stop: Literal["", "cancelled", "lost", "ending"] = ""
    written: float = field(default_factory=time.monotonic)  # time of the last written progress
    credits: int | None = None  # cost of the output, once known


class JobWorkers:
    """Runner threads, one per recording that the devices process plus one that decodes ahead, and a keeper thread."""

    def __init__(self, lifecycle: JobLifecycle, runtime: Runtime, ended: Callable[[], None]) -> None:
        self.ending = threading.Event()
        self._lifecycle, self._runtime, self._ended = lifecycle, runtime, ended
        self._leases = LeaseWatch()
        self._running: dict[tuple[str, int], RunningJob] = {}  # by id and attempt: a lost job may be claimed here again
        self._prepared: OrderedDict[str, tuple[Request, Caller]] = OrderedDict()  # requests submitted in this process
        self._updates: dict[str, Updates] = {}
        self._arrival, self._arrived = threading.Condition(), 0
        self._runners: list[threading.Thread] = []
        self._keeper = threading.Thread(target=self._keep, name="jobs", daemon=True)

    def start(self) -> None:
        self._scale()
        self._keeper.start()

    def close(self) -> None:
        """Release every claim, so that the next start runs those jobs. Harmless when repeated."""
        self.ending.set()
        self.notify()
        for job in list(self._running.values()):
            job.stop = job.stop or "ending"
        deadline = time.monotonic() + STOP_S
        for thread in (*self._runners, self._keeper):
            if thread.ident is not None:  # it was started
                thread.join(max(0.0, deadline - time.monotonic()))
        for row in self._log_errors(self._lifecycle.held) or ():  # by engines that did not notice
            self._give_up(row)

    def notify(self) -> None:
        """Wake the idle runners: a job has arrived."""
        with self._arrival:
            self._arrived += 1
            self._arrival.notify_all()

    def expect(self, job_id: str, request: Request, caller: Caller) -> None:
        """Keep the request of a job that is being submitted, so that it is not prepared again."""
        self._prepared[job_id] = request, caller
        if len(self._prepared) > MAX_PREPARED:
            self._prepared.popitem(last=False)

    def forget(self, job_id: str) -> None:
        """Drop the request of a job that was not submitted or was cancelled."""
        self._prepared.pop(job_id, None)

    @contextmanager
    def listening(self, job_id: str) -> Iterator[Updates]:
        """Receive the updates of a job while it runs in this process."""
        self._updates[job_id] = SimpleQueue()
        try:
            yield self._updates[job_id]
        finally:
            del self._updates[job_id]

    @contextmanager
    def holding(self, row: JobRow) -> Iterator[RunningJob]:
        """Renew the lease of a claimed job within the block."""
        job = self._running[row.id, row.attempts] = RunningJob(row, Progress(_stages(row)))
        if self.ending.is_set():
            job.stop = "ending"
        try:
            yield job
        finally:
            del self._running[row.id, row.attempts]

    def cancel(self, job_id: str) -> None:
        """Stop a job at once if it runs in this process."""
        self.forget(job_id)
        for job in list(self._running.values()):
            if job.row.id == job_id:
                job.stop = job.stop or "cancelled"

    def progress(self, job_id: str) -> Progress | None:
        """Return the progress of a job that runs in this process; it is newer than that in the store."""
        return next((job.progress for job in list(self._running.values()) if job.row.id == job_id), None)

    def works_on(self, job_id: str) -> bool:
        return any(claimed == job_id for claimed, _ in list(self._running))

    def _scale(self) -> None:
        """Start runners for new devices: those of a cluster come and go."""
        while len(self._runners) <= self._runtime.pool.capacity + self._runtime.pool.kept:
            number = len(self._runners)
            self._runners.append(threading.Thread(target=self._run, args=[number], name=f"job-{number}", daemon=True))
            self._runners[number].start()

    def _run(self, number: int) -> None:
        while not self.ending.is_set():
            arrived = self._arrived
            row = self._log_errors(lambda: self._claim(number))
            if row is not None:
                self._take(row)
            else:
                self._rest(arrived)

    def _claim(self, number: int) -> JobRow | None:
        """Claim a job for a runner, unless devices have left."""
        pool = self._runtime.pool
        return self._lifecycle.claim(pool.capacity + 1) if number <= pool.capacity + pool.kept else None

    def _rest(self, arrived: int) -> None:
        """Wait until another job arrives."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._arrived != arrived or self.ending.is_set())

    def _take(self, row: JobRow) -> None:
        """Run a claimed job, end it, and pass its outcome to the waiting request."""
        try:
            with self.holding(row) as job:
                outcome = self._finish(job)
        except LostClaim:
            log.warning("job %s is no longer this server's", row.id)
            return
        except Exception:  # the lease will end, and another server takes the job over
            log.exception("the end of job %s could not be written", row.id)
            return
        self._send(row.id, outcome)
        if row.webhook_url:
            self._ended()

    def _send(self, job_id: str, update: Event | Outcome) -> None:
        if listener := self._updates.get(job_id):
            listener.put(update)

    def _finish(self, job: RunningJob) -> Outcome:
        """Run a job and write how it ended."""
        row = job.row
        try:
            value = self._perform(job)
            if job.stop == "cancelled":
                raise Cancelled(CANCELLED)
            handed_over = row.id in self._updates
            return Outcome(self._retry(lambda: self._lifecycle.done(row, value, handed_over, job.credits)))
        except LostClaim:
            raise
        except Exception as raised:
            problem = _clear(raised, row)
        if job.stop == "lost":
            raise LostClaim
        if job.stop == "ending" or self.ending.is_set():
            self._give_up(row)
            return Outcome(problem=Unavailable(ENDING))
        if isinstance(problem, Cancelled):
            problem = Cancelled(CANCELLED)
        self._retry(lambda: self._lifecycle.failed(row, problem))
        return Outcome(problem=problem)

    def _perform(self, job: RunningJob) -> Any:
        """Run the operation as the caller that submitted the job."""
        row, op = job.row, _operation(job.row)
        prepared, caller = self._prepared.pop(row.id, (None, caller_of(row)))
        context = Context(
            caller, self._runtime, lambda event: self._report(job, event), meter=lambda s: self._meter(job, op, s)
        )
        files = self._lifecycle.files.of(row.id, op.file_params)
        if prepared is None:  # submitted by another process or a previous run
            request = prepare(op, row.parameters | files, context)
        else:
            request = replace(prepared, values={**prepared.values, **files})
        if op.charge and op.charge.estimate:
            self._reserve(row, op.charge.credits(op.charge.estimate(**request.values)))
        with errand_of(caller, refusable=False):
            return perform(request, context)

    def _meter(self, job: RunningJob, op: Operation, seconds: float) -> None:
        """Charge for seconds of sound: input before the work, output when it ends."""
        if op.charge is None:
            return
        if op.charge.sound == "output":
            job.credits = op.charge.credits(seconds)
        else:
            self._reserve(job.row, op.charge.credits(seconds))

    def _reserve(self, row: JobRow, credits: int) -> None:
        self._retry(lambda: self._lifecycle.reserve(row, credits))

    def _report(self, job: RunningJob, event: Event) -> None:
        """Pass progress to the waiting request and to the store. Raises Cancelled if the job is to stop."""
        if job.stop:
            raise Cancelled(CANCELLED)
        idle = sum(job.progress.seconds.values())
        job.progress.see(event)
        self._send(job.row.id, event)
        idle = sum(job.progress.seconds.values()) - idle  # a short job may have no other time to write it
        if idle > WORTH_WRITING_S or time.monotonic() - job.written >= WRITE_S:
            job.written = time.monotonic()
            self._log_errors(lambda: self._write(job))

    def _write(self, job: RunningJob) -> None:
        seen = job.progress
        with self._lifecycle.database.write() as session:
            queue.advance(session, job.row, seen.stage, seen.percent, seen.eta_s, seen.seconds)

    def _give_up(self, row: JobRow) -> None:
        """Release a job because the server ends."""
        try:
            self._lifecycle.release(row, on_purpose=True)
        except SttError:
            log.warning("job %s could not be put back; its lease will end", row.id)

    def _retry(self, step: Callable[[], T]) -> T:
        """Run a step on the database; retry while that is unreachable."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return step()
            except Unavailable:
                if time.monotonic() > deadline or self.ending.wait(LOOK_S):
                    raise

    def _log_errors(self, step: Callable[[], T]) -> T | None:
        """Run a periodic step; log its errors, because it is repeated anyway."""
        try:
            return step()
        except Exception as problem:
            say = log.warning if isinstance(problem, SttError) else log.exception
            say("the queue waits: %s", problem)
            self.ending.wait(LOOK_S)
        return None

    # -- the keeper

    def _keep(self) -> None:
        renewed, tidied = time.monotonic(), -TIDY_S
        while not self.ending.wait(LOOK_S):
            self._log_errors(self._look)
            if time.monotonic() - renewed >= RENEW_S:
                renewed = time.monotonic()
                self._log_errors(self._renew)
            if time.monotonic() - tidied >= TIDY_S:
                tidied = time.monotonic()
                self._log_errors(self._lifecycle.tidy)
                self._log_errors(self._lifecycle.sweep)

    def _look(self) -> None:
        """Check for new devices, waiting jobs, cancellations from other servers, and jobs of lost servers."""
        self._scale()
        with self._lifecycle.database.read() as session:
            waiting = queue.waiting(session)
            cancelled = queue.to_cancel(session, self._lifecycle.worker) if self._running else []
            running = queue.running(session)
        if waiting:
            self.notify()
        for job_id in cancelled:
            self.cancel(job_id)
        for row in self._leases.lost(running, CONFIRM * RENEW_S):
            if (row.id, row.attempts) not in self._running:
                self._lifecycle.release(row)

    def _renew(self) -> None:
        """Renew the leases of running jobs."""
        if held := list(self._running.values()):
            with self._lifecycle.database.write() as session:
                claims = queue.renew(session, self._lifecycle.worker, [job.row.id for job in held])
            for job in held:
                if claims.get(job.row.id) != job.row.attempts:
                    job.stop = job.stop or "lost"


def _operation(row: JobRow) -> Operation:
    op = OPERATIONS.get(row.operation)
    if op is None:  # a job of another version of this program
        raise SttError(f"This version of the server has no operation '{row.operation}'. Send the request again.")
    return op


def _stages(row: JobRow) -> dict[str, float]:
    """Return the stages of a job and their shares of its time; empty for a short operation."""
    op = OPERATIONS.get(row.operation)
    if op is None or op.job is None or not row.parameters:
        return {}
    return dict(op.job.stages(**row.parameters))


def _clear(raised: Exception, row: JobRow) -> SttError:
    """Return the error that the owner of the job sees. Unforeseen errors go to the log."""
    if isinstance(raised, SttError):
        return raised
    log.error("%s failed", row.operation, exc_info=raised)
    return SttError(CRASHED)
