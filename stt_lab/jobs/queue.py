"""The gate of a server: admit a request, wait for its job, and return the answer, or an earlier one again."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from queue import Empty
from typing import Any

from pydantic_core import to_jsonable_python

from stt_lab.accounts.accounts import Accounts
from stt_lab.caller import Caller, errand_of
from stt_lab.errors import (
    BadInput,
    Busy,
    Cancelled,
    Conflict,
    Disconnected,
    IdempotencyMismatch,
    NotFound,
    SttError,
    Unavailable,
    of_body,
)
from stt_lab.jobs.callers import to_row
from stt_lab.jobs.deliveries import Deliveries
from stt_lab.jobs.files import digest
from stt_lab.jobs.lifecycle import CALL, CANCELLED, JOB, RETRY_AFTER_S, Places, unattended
from stt_lab.jobs.own_jobs import OwnJobs
from stt_lab.jobs.stream_lifecycle import StreamLifecycle
from stt_lab.jobs.streams import StreamJobs, Work
from stt_lab.jobs.webhooks import Webhooks, check_url
from stt_lab.jobs.workers import ENDING, JobWorkers, Outcome, Updates
from stt_lab.library import Library
from stt_lab.presentation import to_json
from stt_lab.registry import OPERATIONS, Context, Operation, Request, perform
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.store.database import Database
from stt_lab.store.models import DeliveryRow, now
from stt_lab.store.queue import ACTIVE, JobRow
from stt_lab.streaming.updates import Update
from stt_lab.types import Event, JobInfo

POLL_S = 0.25  # between checks whether the client has disconnected
GONE = "The answer to the first request with this Idempotency-Key is no longer kept. Use a new key."
LOOK_S = 1.0  # between reads of a job that another server runs
CANCEL_S = 40.0  # for a cancelled job to end; a window of a large model on a slow machine takes long
KEPT_FREE = 0.25  # share of the queue that no single caller can take
SECRET = ("key",)  # members of an answer that are never stored


@dataclass(frozen=True)
class FinishedJob:
    """The result of a job, with its operation and parameters."""

    operation: Operation
    parameters: Mapping[str, Any]
    value: Any


class JobQueue:
    """The gate of a server (`registry.Gate`) and its queue."""

    def __init__(
        self, runtime: Runtime, database: Database, accounts: Accounts, library: Library, settings: Settings
    ) -> None:
        self._lifecycle, self._settings = StreamLifecycle(database, accounts, library, settings), settings
        self._webhooks = Webhooks(database, settings)
        self._runtime = runtime
        self._workers = JobWorkers(self._lifecycle, runtime, self._webhooks.wake)
        self._streams = StreamJobs(self._lifecycle, self._workers)
        self._own = OwnJobs(self._lifecycle, self._workers)
        self._deliveries = Deliveries(self._lifecycle, self._workers, settings.queue_timeout_s)

    @property
    def worker(self) -> str:
        """Return the name of this server in the queue."""
        return self._lifecycle.worker

    def start(self) -> None:
        """Recover what a previous run left, then work on jobs."""
        self._runtime.pool.patience_s = math.inf  # jobs wait in the queue instead, or decode ahead
        self._lifecycle.recover()
        self._workers.start()
        self._webhooks.start()

    def close(self) -> None:
        """Release running jobs, which the next start runs again. Call it before the runtime is closed."""
        self._webhooks.close()
        self._workers.close()

    def webhook_secret(self, account_id: int) -> str:
        """Return the secret with which an account checks the signatures of its webhooks."""
        return self._webhooks.secret(account_id)

    # -- requests

    def run(self, request: Request, context: Context) -> Any:
        """Run an operation and return its result, or its job if the request asks for that."""
        key, op = _checked_key(context.idempotency_key), request.op
        if op.live:
            return self.stream(request, context, lambda inner: perform(request, inner))
        if op.streamed:
            return self._deliveries.run(request, context, _row(JOB, request, context), self._places())
        if op.job is None:
            keeps = key and op.replayable and op.method == "POST"
            with errand_of(context.caller, refusable=True):
                return self._run_short(request, context) if keeps else perform(request, context)
        if url := request.options.webhook_url:
            check_url(url, self._settings)
        row = _row(JOB, request, context)
        with self._workers.listening(row.id) as updates:
            earlier = self._submit(row, request, context)
            if earlier is not None:
                return self._repeat(request, row, earlier)
            self._workers.notify()
            if request.options.background:
                return row.info
            outcome = self._wait(row, updates, context)
        if outcome.problem is not None:
            raise outcome.problem
        return outcome.value

    def stream(self, request: Request, context: Context, work: Work) -> Iterator[Update]:
        """Run a live operation, whose updates `work` makes. Raises errors of quotas at once."""
        title = context.filename or f"Live {now():%Y-%m-%d %H:%M}"
        return self._streams.run(request, context, work, title)

    def _submit(self, row: JobRow, request: Request, context: Context) -> JobRow | None:
        """Put a job into the queue. Return the earlier job with the same Idempotency-Key."""
        media = {name: request.values[name] for name in request.op.file_params}
        places = self._places()
        self._workers.expect(row.id, request, context.caller)
        earlier: JobRow | None = row
        try:
            earlier = self._lifecycle.submit(row, media, places)
        finally:
            if earlier is not None:  # also when the submission raised
                self._workers.forget(row.id)
        return earlier

    def _places(self) -> Places:
        size = self._settings.queue_size
        return Places(self._runtime.pool.capacity + size, kept_free=int(size * KEPT_FREE))

    def _run_short(self, request: Request, context: Context) -> Any:
        """Run a short operation with an Idempotency-Key once, and store its answer."""
        about = self._transcript(request, context.caller)
        row = self._lifecycle.claimed(replace(_row(CALL, request, context), parameters={}, transcript_id=about))
        earlier = self._lifecycle.begin(row)
        if earlier is not None:
            return self._repeat(request, row, earlier)
        try:
            with self._workers.holding(row):
                result = perform(request, context)
        except BaseException:
            self._lifecycle.forget(row)
            raise
        self._lifecycle.answered(row, {"value": _public(result)})
        return result

    def _transcript(self, request: Request, caller: Caller) -> int | None:
        """Return the transcript that a request is about, with which its stored answer is deleted."""
        if not request.op.on_transcript:
            return None
        return self._lifecycle.library.get(caller.account_id, request.values["id"]).id

    def _repeat(self, request: Request, row: JobRow, earlier: JobRow) -> Any:
        """Answer a request whose Idempotency-Key was used before."""
        if earlier.fingerprint != row.fingerprint:
            raise IdempotencyMismatch("This Idempotency-Key was used for a different request. Use a new key.")
        if earlier.state in ACTIVE:
            where = f" It is {earlier.info.url}." if request.op.job else ""
            raise Conflict(
                f"The first request with this Idempotency-Key is still in progress. Ask again later.{where}",
                retry_after=5,
            )
        if request.op.job is None:
            stored = self._lifecycle.stored(earlier)
            if stored is None:
                raise NotFound(GONE)
            return stored["value"]
        return earlier.info if request.options.background else self._result(earlier)

    def _wait(self, row: JobRow, updates: Updates, context: Context) -> Outcome:
        """Wait until a job has ended.

        If the caller cancels, so is the job; if the client only disconnects, only a job that nobody can find again.
        """
        since = time.monotonic()
        try:
            for update in self._updates(row, updates):
                if isinstance(update, Outcome):
                    return update
                since = since if update.stage == "queued" else time.monotonic()
                self._check_patience(row, since)
                context.report(update)
        except BaseException as problem:
            on_purpose = isinstance(problem, Cancelled) and not isinstance(problem, Disconnected)
            if self._workers.ending.is_set() or not (on_purpose or unattended(row)):
                raise
            self._cancel(row.id)
            if not on_purpose:
                raise
        return self._cancelled(row, updates)

    def _cancelled(self, row: JobRow, updates: Updates) -> Outcome:
        """Wait until a cancelled job has ended. Its result, if it was done before, is its outcome."""
        deadline = time.monotonic() + CANCEL_S
        for update in self._updates(row, updates):
            if isinstance(update, Outcome):
                return update
            if time.monotonic() > deadline or self._workers.ending.is_set():
                break
        return Outcome(problem=Cancelled(CANCELLED))  # it ends at its next safe point, without a charge

    def _updates(self, row: JobRow, updates: Updates) -> Iterator[Event | Outcome]:
        """Yield the progress of a job, at least every POLL_S, and at last its outcome."""
        event, looked = Event(row.stage), time.monotonic()
        while True:
            update = self._next(updates)
            if update is None and time.monotonic() - looked >= LOOK_S and not self._workers.works_on(row.id):
                update, looked = self._look(row), time.monotonic()
            if isinstance(update, Outcome):
                yield update
                return
            event = update or event
            yield event

    def _next(self, updates: Updates) -> Event | Outcome | None:
        try:
            return updates.get(timeout=POLL_S)
        except Empty:
            return None

    def _look(self, row: JobRow) -> Event | Outcome | None:
        """Return the state or the outcome of a job that another server runs."""
        found = self._lifecycle.find(row.id)
        if found is None:
            return Outcome(problem=NotFound(f"Job '{row.id}' was deleted. Send the request again."))
        if found.state in ACTIVE:
            return Event(found.stage)
        return Outcome(problem=_error(found)) if found.error else Outcome(self._result(found))

    def _check_patience(self, row: JobRow, since: float) -> None:
        if self._workers.ending.is_set() and not self._workers.works_on(row.id):
            raise Unavailable(ENDING)
        if unattended(row) and time.monotonic() - since > self._settings.queue_timeout_s:
            raise Busy("This machine is busy with earlier recordings. Try again later.", retry_after=RETRY_AFTER_S)

    def _result(self, row: JobRow) -> Any:
        """Return the result of an ended job, or raise its error."""
        if row.error:
            raise _error(row)
        return self._lifecycle.result(row)

    # -- a caller's jobs

    def get(self, caller: Caller, job_id: str) -> JobInfo:
        return self._own.info(self._own.find(_owner(caller), job_id))

    def newest(self, caller: Caller, limit: int) -> tuple[JobInfo, ...]:
        """Return a caller's newest jobs, newest first."""
        return self._own.newest(_owner(caller), limit)

    def result(self, caller: Caller, job_id: str) -> FinishedJob:
        """Return the result of a job. Raises its error if it failed, and Conflict while it is not done."""
        row = self._own.find(_owner(caller), job_id)
        if row.state in ACTIVE:
            raise Conflict(f"Job '{row.id}' is not done yet. Ask again later.", retry_after=5)
        return FinishedJob(OPERATIONS[row.operation], row.parameters, self._result(row))

    def cancel(self, caller: Caller, job_id: str) -> JobInfo:
        """Cancel a job without charge. A job that has ended stays unchanged."""
        self._own.find(_owner(caller), job_id)
        self._cancel(job_id)
        return self.get(caller, job_id)

    def deliveries(self, caller: Caller, job_id: str) -> list[DeliveryRow]:
        """Return the attempts to call the job's webhook."""
        return self._lifecycle.deliveries(self._own.find(_owner(caller), job_id))

    def _cancel(self, job_id: str) -> None:
        self._workers.cancel(job_id)  # first, because the database may be busy
        if row := self._lifecycle.find(job_id):
            self._lifecycle.cancel(row)
            if row.webhook_url:
                self._webhooks.wake()


def _row(prefix: str, request: Request, context: Context) -> JobRow:
    """Make the job of a request."""
    parameters = to_jsonable_python(request.parameters)
    account_id, client = _owner(context.caller)
    return JobRow(
        id=prefix + secrets.token_hex(16),
        account_id=account_id,
        client=client,
        caller=to_row(context.caller),
        operation=request.op.name,
        parameters=parameters,
        filename=context.filename[:255],
        idempotency_key=context.idempotency_key,
        fingerprint=_fingerprint(request, parameters) if context.idempotency_key else None,
        webhook_url=request.options.webhook_url or None,
        created=now(),
    )


def _owner(caller: Caller) -> tuple[int, str]:
    """Return the account that owns a caller's jobs and, for anonymous callers, their hashed address."""
    return caller.account_id, caller.client if caller.anonymous else ""


def _checked_key(key: str | None) -> str | None:
    if key is None or (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        return key
    raise BadInput("This Idempotency-Key is not valid. Use 1 to 255 printable ASCII characters.")


def _fingerprint(request: Request, parameters: dict[str, Any]) -> str:
    """Return the SHA-256 of operation, parameters and content of files."""
    media = {name: digest(request.values[name]) for name in request.op.file_params}
    asked = {"operation": request.op.name, "parameters": parameters, "media": media}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _public(result: Any) -> Any:
    """Return an answer as JSON, without secrets that are shown only once."""
    made = to_json(result)
    return {name: value for name, value in made.items() if name not in SECRET} if isinstance(made, dict) else made


def _error(row: JobRow) -> SttError:
    """Return the error of a job as it was raised."""
    return of_body(row.error or {})
