"""Run each step of a job as one transaction over the queue, credits, the library and files."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from stt_lab.accounts.accounts import Accounts
from stt_lab.caller import ANONYMOUS_ID
from stt_lab.errors import Busy, Cancelled, EngineCrashed, NotFound, RateLimited, SttError
from stt_lab.jobs.clocks import SteadyClock
from stt_lab.jobs.files import JobFiles
from stt_lab.library import Library
from stt_lab.registry import OPERATIONS, JobOptions
from stt_lab.settings import Settings
from stt_lab.store import deliveries, queue
from stt_lab.store.database import Database, Session
from stt_lab.store.models import DeliveryRow, now
from stt_lab.store.queue import JobRow
from stt_lab.types import File

RETRY_AFTER_S = 30
KEPT = {"results": timedelta(days=1), "keys": timedelta(days=1), "rows": timedelta(days=30)}  # after a job's end
STRAY_S = 3600.0  # age of a file without a job at which it is deleted, if several servers share the folder
CANCELLED = "The job was cancelled."
GONE = "The result of this job is no longer kept. Send the recording again."
JOB, CALL = "job_", "call_"  # prefixes of ids of jobs, and of short operations with an Idempotency-Key


@dataclass(frozen=True)
class Places:
    """The jobs that may wait and run on a server; one caller leaves some of the places to others."""

    all: int
    kept_free: int = 0

    @property
    def of_one(self) -> int:
        return max(1, self.all - self.kept_free)


class LostClaim(Exception):
    """This server no longer owns the job: another one claimed it, or it has ended."""


def options_of(row: JobRow) -> JobOptions:
    """Return the job options of a job's request."""
    op = OPERATIONS.get(row.operation)  # None for an operation of another version
    return op.options(row.parameters or {}) if op else JobOptions()


def unattended(row: JobRow) -> bool:
    """Return whether nobody can find a job again without its request.

    Its id was not sent, it has no Idempotency-Key, and its result goes neither to a library nor to a webhook.
    """
    op, options = OPERATIONS.get(row.operation), options_of(row)
    if row.idempotency_key or options.background:
        return False
    if row.account_id == ANONYMOUS_ID:
        return True
    kept = op is None or (op.job is not None and op.job.library and options.store)
    return not (kept or row.webhook_url)


class JobLifecycle:
    """The steps of jobs. Work outside of the database precedes each transaction, or is undone if that fails."""

    def __init__(self, database: Database, accounts: Accounts, library: Library, settings: Settings) -> None:
        self.database, self.accounts, self.library, self.settings = database, accounts, library, settings
        self.files = JobFiles(settings.data_dir)
        self.worker = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.alone = database.dialect == "sqlite"  # only one server uses this data directory
        self.clock = SteadyClock()

    # -- submission and claims

    def submit(self, row: JobRow, media: Mapping[str, Path], places: Places) -> JobRow | None:
        """Put a job into the queue, if it has a place. Return the earlier job with the same Idempotency-Key."""
        self.files.take(row.id, media)
        try:
            with self.database.write() as session:
                earlier = self._earlier(session, row)
                if earlier is None:
                    self._admit(session, row, places)
        except BaseException:
            self.files.remove(row.id)
            raise
        if earlier is not None:
            self.files.remove(row.id)
        return earlier

    def claimed(self, row: JobRow) -> JobRow:
        """Return a row as claimed by this server, for work that does not wait in the queue."""
        return replace(row, state="running", worker=self.worker, lease_until=now() + queue.LEASE, attempts=1)

    def begin(self, row: JobRow) -> JobRow | None:
        """Store a running short operation with an Idempotency-Key. Return the earlier one with the same key."""
        with self.database.write() as session:
            earlier = self._earlier(session, row)
            if earlier is None:
                queue.insert(session, row)
        return earlier

    def _earlier(self, session: Session, row: JobRow) -> JobRow | None:
        """Find the caller's earlier job with the same key. Forget it if it failed for a temporary reason."""
        if row.idempotency_key is None:
            return None
        found = queue.with_key(session, row.account_id, row.client, row.idempotency_key)
        if found is not None and (_may_pass(found) or self._is_old(found)):
            queue.forget_key(session, found.id)
            return None
        return found

    def _is_old(self, row: JobRow) -> bool:
        return row.finished is not None and row.finished < self.clock.now() - KEPT["keys"]

    def _admit(self, session: Session, row: JobRow, places: Places) -> None:
        if queue.load(session, self.worker) >= places.all:
            raise Busy("Too many recordings are waiting on this machine. Try again later.", retry_after=RETRY_AFTER_S)
        if queue.load(session, self.worker, row.account_id, row.client) >= places.of_one:
            raise RateLimited(
                f"{places.of_one} recordings of yours are waiting or in progress. The other places of the queue are "
                "kept for others. Try again when one has ended.",
                retry_after=RETRY_AFTER_S,
            )
        if row.account_id == ANONYMOUS_ID and queue.load(session, self.worker, ANONYMOUS_ID) >= places.of_one:
            raise Busy(
                "Too many recordings of callers without a key are waiting. Try again later, or send a key.",
                retry_after=RETRY_AFTER_S,
            )
        self.accounts.admit(session, row.account_id, row.client, row.created)
        transcript_id = None
        spec = OPERATIONS[row.operation].job
        if spec and spec.library and row.account_id != ANONYMOUS_ID and options_of(row).store:
            transcript_id = self.library.open(session, row.account_id, row.filename, row.created)
        queue.insert(session, replace(row, transcript_id=transcript_id))

    def claim(self, shared: int) -> JobRow | None:
        """Claim the next job, if one waits; beyond `shared` running ones only of an owner without any."""
        with self.database.read() as session:
            if not queue.waiting(session):
                return None
        with self.database.write() as session:
            return queue.claim(session, self.worker, shared)

    def reserve(self, row: JobRow, credits: int) -> None:
        """Reserve the credits of a job before its work."""
        self.accounts.reserve(row.id, row.account_id, row.client, row.operation, credits)

    # -- ends of jobs

    def done(self, row: JobRow, result: Any, handed_over: bool, credits: int | None = None) -> Any:
        """End a successful job, charge for it, and return the result as it is stored.

        A result outside of the library is stored, unless it was `handed_over` to the only client that can ask for it.
        `credits` is the actual cost, if it differs from the reservation.
        """
        recording = self._keep_recording(row)
        known = not handed_over or bool(row.idempotency_key) or options_of(row).background
        try:
            if isinstance(result, File):
                result, known = self.files.keep_artifact(row.id, result), True
            with self.database.write() as session:
                kept = self._complete(session, row, result, recording)
                if row.transcript_id is None and known:
                    queue.keep_result(session, row, pack(row.operation, result))
                self.accounts.settle(session, row.id, credits)
        except BaseException:
            self.files.discard(recording)
            self.files.remove_artifact(row.id)
            raise
        self.files.remove(row.id)
        return kept

    def _keep_recording(self, row: JobRow) -> str | None:
        names = OPERATIONS[row.operation].file_params
        wanted = row.transcript_id is not None and self.settings.keep_audio and len(names) == 1
        return self.files.keep(row.id, names[0]) if wanted else None

    def _complete(self, session: Session, row: JobRow, result: Any, recording: str | None) -> Any:
        ended = queue.end(session, row, "done")
        if ended is None:
            raise Cancelled(CANCELLED) if queue.is_cancelled(session, row) else LostClaim
        if ended.transcript_id is not None:
            result = self.library.complete(session, ended.transcript_id, result, recording)
        elif row.transcript_id is not None:
            raise Cancelled("The recording was deleted while it was transcribed.")
        self._announce(session, ended)
        return result

    def failed(self, row: JobRow, problem: SttError) -> None:
        """End a job without a result and without a charge. Raises LostClaim if this server no longer owns it."""
        state: Literal["cancelled", "failed"] = "cancelled" if isinstance(problem, Cancelled) else "failed"
        error = problem.as_dict() | {"status": problem.status}
        with self.database.write() as session:
            ended = queue.end(session, row, state, error)
            if ended is None:
                raise LostClaim
            if ended.transcript_id is not None:
                self.library.fail(session, ended.transcript_id, state, str(problem))
            self.accounts.release(session, row.id)
            self._announce(session, ended)
        self.files.remove(row.id)

    def _announce(self, session: Session, row: JobRow) -> None:
        """Schedule the call of the job's webhook."""
        if row.webhook_url:
            deliveries.add(session, row.id)

    def answered(self, row: JobRow, result: dict[str, Any]) -> None:
        """Store the answer of a short operation for requests that repeat its Idempotency-Key."""
        with self.database.write() as session:
            queue.end(session, row, "done")
            queue.keep_result(session, row, result)

    def forget(self, row: JobRow) -> None:
        """Forget a failed short operation, so that its Idempotency-Key can be used again."""
        with self.database.write() as session:
            queue.remove(session, row.id)

    def cancel(self, row: JobRow) -> None:
        """Cancel a waiting job, or ask the server that runs it to cancel. Does nothing to a job that has ended."""
        while row.state in queue.ACTIVE:
            if row.state == "running":
                with self.database.write() as session:
                    return queue.ask_cancel(session, row.id)
            try:
                return self.failed(row, Cancelled(CANCELLED))
            except LostClaim:  # it has just been claimed
                row = self.find(row.id) or replace(row, state="cancelled")

    # -- recovery from crashes and restarts

    def release(self, row: JobRow, *, on_purpose: bool = False) -> None:
        """Release a claimed job that no server works on: put it back into the queue, or end it."""
        with suppress(LostClaim):  # another server released it first, or its own one is back
            if not row.id.startswith(JOB):
                self.forget(row)
            elif row.cancel_requested or unattended(row):
                self.failed(row, Cancelled(CANCELLED))
            elif row.attempts >= queue.ATTEMPTS and not on_purpose:
                self.failed(
                    row,
                    EngineCrashed(
                        f"The server stopped {row.attempts} times during this job. Send a shorter recording."
                    ),
                )
            else:
                with self.database.write() as session:
                    queue.put_back(session, row, counted=not on_purpose)

    def recover(self) -> None:
        """Release jobs and remove files that a previous run left. Call it at start, before any claim."""
        with self.database.read() as session:
            rows = queue.unfinished(session) if self.alone else []  # else the keeper finds those of lost servers
        for row in rows:
            if row.state == "running":
                self.release(row)
            elif unattended(row):
                self.cancel(row)
        self.sweep(0.0 if self.alone else STRAY_S)
        self.library.scrub_soon()  # the previous run may have ended after a deletion

    def sweep(self, age: float = STRAY_S) -> None:
        """Remove files that interrupted steps left, and those of forgotten results."""
        old = self.files.older(age)  # before the jobs are read: a job that arrives meanwhile keeps its files
        with self.database.read() as session:
            active, kept = queue.active(session), queue.with_result(session)
        self.files.sweep(old, active, active | kept)
        self.library.sweep(age)

    def tidy(self) -> None:
        """Delete old jobs and results; with a retention period, also old transcripts."""
        with self.database.write() as session:
            queue.tidy(session, self.clock.now(), **KEPT)
        if self.settings.retention_days:
            self.library.expire(self.clock.now() - timedelta(days=self.settings.retention_days))

    # -- queries

    def find(self, job_id: str) -> JobRow | None:
        with self.database.read() as session:
            return queue.get(session, job_id)

    def held(self) -> list[JobRow]:
        """Return the jobs that this server works on."""
        with self.database.read() as session:
            return queue.unfinished(session, self.worker)

    def deliveries(self, row: JobRow) -> list[DeliveryRow]:
        with self.database.read() as session:
            return deliveries.log(session, row.id)

    def stored(self, row: JobRow) -> dict[str, Any] | None:
        """Return the packed result of a job, or the answer of a short operation."""
        with self.database.read() as session:
            return queue.result(session, row.id)

    def result(self, row: JobRow) -> Any:
        """Return the result of a finished job. Raises NotFound if it was deleted."""
        if row.transcript_id is not None:
            return self.library.result(row.account_id, row.transcript_id)
        packed = self.stored(row)
        if packed is None:
            raise NotFound(GONE)
        if "file" not in packed:
            return _adapter(row.operation).validate_python(packed["value"])
        path = self.files.artifact(row.id)
        if path is None:
            raise NotFound(GONE)
        return File.on_disk(path, **packed["file"])


def _may_pass(row: JobRow) -> bool:
    """Return whether repeating the request may succeed: it was cancelled, refused temporarily, or it crashed."""
    status = (row.error or {}).get("status", 200)
    return row.state in ("failed", "cancelled") and (status in (402, 429, 499) or status >= 500)


def pack(operation: str, result: Any) -> dict[str, Any]:
    """Pack a result as JSON, which `JobLifecycle.result` unpacks; for an artifact, all but the file's content."""
    if isinstance(result, File):
        about = {"name": result.name, "media_type": result.media_type}
        return {"file": about | {"warnings": list(result.warnings), "headers": dict(result.headers)}}
    return {"value": _adapter(operation).dump_python(result, mode="json")}


def _adapter(operation: str) -> TypeAdapter[Any]:
    return TypeAdapter(OPERATIONS[operation].result)
