"""Threads that take jobs from the queue and work on them, and one that renews their leases and notices who has gone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from stt_lab.caller import Caller
from stt_lab.errors import Cancelled, SttError, Unavailable
from stt_lab.jobs.desk import CANCELLED, Desk, Lost
from stt_lab.jobs.progress import Progress
from stt_lab.registry import OPERATIONS, Context, perform
from stt_lab.runtime import Runtime
from stt_lab.store import queue
from stt_lab.store.queue import JobRow
from stt_lab.types import Event

log = logging.getLogger(__name__)

LOOK_S = 0.5  # how soon jobs, and cancels, that came by other servers are noticed
RENEW_S = 5.0  # a sixth of a lease
TIDY_S = 3600.0
WRITE_S = 1.0  # progress reaches the store at most this often
PATIENCE_S = 20.0  # for a database that is away when a job has ended; then its lease ends too
STOP_S = 4.0  # for engines to notice that the server ends
CRASHED = "Something went wrong here: send the request again; the server's log says what it was."
ENDING = "The server is ending: the job goes on when it is back; without a key, send the request again then."

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, for who waits for it in this process."""

    value: Any = None
    problem: SttError | None = None
    transcript_id: int | None = None


News = SimpleQueue[Event | Outcome]


@dataclass
class Work:
    """A job that this server works on."""

    row: JobRow
    progress: Progress
    stop: Literal["", "cancelled", "lost", "ending"] = ""
    written: float = field(default_factory=time.monotonic)  # when progress last was


class Crew:
    """Runners, one for each device and one that decodes ahead, and a keeper."""

    def __init__(self, desk: Desk, runtime: Runtime, ended: Callable[[], None]) -> None:
        self.ending = threading.Event()
        self._desk, self._runtime, self._ended = desk, runtime, ended
        self._work: dict[tuple[str, int], Work] = {}  # by claim: a job may be lost, and claimed here again
        self._news: dict[str, News] = {}
        self._bell, self._rung = threading.Condition(), 0
        self._runners: list[threading.Thread] = []
        self._keeper = threading.Thread(target=self._keep, name="jobs", daemon=True)

    def start(self) -> None:
        self._hire()
        self._keeper.start()

    def close(self) -> None:
        """Give up every claim, so that the next start runs those jobs. Harmless when repeated."""
        self.ending.set()
        self.ring()
        for work in list(self._work.values()):
            work.stop = work.stop or "ending"
        deadline = time.monotonic() + STOP_S
        for thread in (*self._runners, self._keeper):
            if thread.ident is not None:  # it was started
                thread.join(max(0.0, deadline - time.monotonic()))
        for row in self._calmly(self._desk.held) or ():  # by engines that did not notice
            self._give_up(row)

    def ring(self) -> None:
        """A job has come: a runner that rests looks for it at once."""
        with self._bell:
            self._rung += 1
            self._bell.notify_all()

    @contextmanager
    def listening(self, job_id: str) -> Iterator[News]:
        """What happens to a job while it is worked on in this process."""
        self._news[job_id] = SimpleQueue()
        try:
            yield self._news[job_id]
        finally:
            del self._news[job_id]

    @contextmanager
    def holding(self, row: JobRow) -> Iterator[Work]:
        """Work on what was claimed: its lease is renewed meanwhile."""
        without = () if row.parameters.get("diarize", True) else ("diarizing",)
        work = self._work[row.id, row.attempts] = Work(row, Progress(without))
        if self.ending.is_set():
            work.stop = "ending"
        try:
            yield work
        finally:
            del self._work[row.id, row.attempts]

    def cancel(self, job_id: str) -> None:
        """Stop a job at once, if it is worked on in this process."""
        for work in list(self._work.values()):
            if work.row.id == job_id:
                work.stop = work.stop or "cancelled"

    def works_on(self, job_id: str) -> bool:
        return any(claimed == job_id for claimed, _ in list(self._work))

    # -- runners

    def _hire(self) -> None:
        """As many runners as there is work for by now: devices of a cluster come and go."""
        while len(self._runners) <= self._runtime.pool.capacity:
            number = len(self._runners)
            self._runners.append(threading.Thread(target=self._run, args=[number], name=f"job-{number}", daemon=True))
            self._runners[number].start()

    def _run(self, number: int) -> None:
        while not self.ending.is_set():
            rung = self._rung
            needed = number <= self._runtime.pool.capacity  # else its device has gone
            row = self._calmly(self._desk.claim) if needed else None
            if row is not None:
                self._take(row)
            else:
                self._rest(rung)

    def _rest(self, rung: int) -> None:
        """Until the bell rings again."""
        with self._bell:
            self._bell.wait_for(lambda: self._rung != rung or self.ending.is_set())

    def _take(self, row: JobRow) -> None:
        """Work on a claimed job, end it, and tell who waits for it."""
        try:
            with self.holding(row) as work:
                outcome = self._finish(work)
        except Lost:
            log.warning("job %s is no longer this server's", row.id)
            return
        except Exception:  # the lease ends, and somebody takes the job over
            log.exception("the end of job %s could not be written", row.id)
            return
        self._tell(row.id, outcome)
        if row.webhook_url:
            self._ended()

    def _tell(self, job_id: str, news: Event | Outcome) -> None:
        if listener := self._news.get(job_id):
            listener.put(news)

    def _finish(self, work: Work) -> Outcome:
        """Do the work and write how it ended."""
        row = work.row
        try:
            value = self._perform(work)
            transcript_id = self._patiently(lambda: self._desk.done(row, value, row.id in self._news))
            return Outcome(value, transcript_id=transcript_id)
        except Lost:
            raise
        except Exception as raised:
            problem = _clear(raised, row)
        if work.stop == "lost":
            raise Lost
        if work.stop == "ending" or self.ending.is_set():
            self._give_up(row)
            return Outcome(problem=Unavailable(ENDING))
        if isinstance(problem, Cancelled):
            problem = Cancelled(CANCELLED)
        self._patiently(lambda: self._desk.failed(row, problem))
        return Outcome(problem=problem)

    def _perform(self, work: Work) -> Any:
        row, desk = work.row, self._desk
        op = OPERATIONS[row.operation]
        caller = Caller(f"account {row.account_id}", account_id=row.account_id, client=row.client)

        def meter(seconds: float) -> None:
            minutes = op.price(seconds)
            self._patiently(lambda: desk.accounts.reserve(row.id, row.account_id, row.client, row.operation, minutes))

        context = Context(caller, self._runtime, lambda event: self._report(work, event), meter=meter)
        return perform(op, op.parse(row.parameters | desk.files.of(row.id, op.media)), context)

    def _report(self, work: Work, event: Event) -> None:
        """Progress, to who waits in this process and to the store. Raises Cancelled when the work is to stop."""
        if work.stop:
            raise Cancelled(CANCELLED)
        work.progress.see(event)
        self._tell(work.row.id, event)
        if time.monotonic() - work.written >= WRITE_S:
            work.written = time.monotonic()
            self._calmly(lambda: self._write(work))

    def _write(self, work: Work) -> None:
        seen = work.progress
        with self._desk.database.write() as session:
            queue.advance(session, work.row, seen.stage, seen.percent, seen.eta_s)

    def _give_up(self, row: JobRow) -> None:
        """The server ends before the job does."""
        try:
            self._desk.let_go(row, on_purpose=True)
        except SttError:
            log.warning("job %s could not be put back: its lease ends by itself", row.id)

    def _patiently(self, step: Callable[[], T]) -> T:
        """A step on the database, tried again while that is away."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return step()
            except Unavailable:
                if time.monotonic() > deadline or self.ending.wait(LOOK_S):
                    raise

    def _calmly(self, step: Callable[[], T]) -> T | None:
        """A step that may fail: it is done again soon in any case."""
        try:
            return step()
        except SttError as problem:
            log.warning("the queue waits: %s", problem)
            self.ending.wait(LOOK_S)
        except Exception:
            log.exception("the queue stumbled")
            self.ending.wait(LOOK_S)
        return None

    # -- the keeper

    def _keep(self) -> None:
        renewed, tidied = time.monotonic(), -TIDY_S
        while not self.ending.wait(LOOK_S):
            self._calmly(self._look)
            if time.monotonic() - renewed >= RENEW_S:
                renewed = time.monotonic()
                self._calmly(self._renew)
            if time.monotonic() - tidied >= TIDY_S:
                tidied = time.monotonic()
                self._calmly(self._desk.tidy)
                self._calmly(self._desk.sweep)

    def _look(self) -> None:
        """What other servers' callers want, and what the devices can do."""
        self._hire()
        with self._desk.database.read() as session:
            waiting = queue.waiting(session)
            cancelled = queue.to_cancel(session, self._desk.worker) if self._work else []
        if waiting:
            self.ring()
        for job_id in cancelled:
            self.cancel(job_id)

    def _renew(self) -> None:
        """Prolong the leases of what is worked on here, and let go what nobody renews."""
        if held := list(self._work.values()):
            with self._desk.database.write() as session:
                claims = queue.renew(session, self._desk.worker, [work.row.id for work in held])
            for work in held:
                if claims.get(work.row.id) != work.row.attempts:
                    work.stop = work.stop or "lost"
        with self._desk.database.read() as session:
            overdue = queue.overdue(session)
        for row in overdue:
            self._desk.let_go(row)


def _clear(raised: Exception, row: JobRow) -> SttError:
    """What its owner reads of an error; what nobody foresaw goes to the log."""
    if isinstance(raised, SttError):
        return raised
    log.error("%s failed", row.operation, exc_info=raised)
    return SttError(CRASHED)
