"""Each step of a job as one transaction over the queue, credits, the library and files: all of a step, or nothing."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from stt_lab.accounts.accounts import Accounts
from stt_lab.caller import ANONYMOUS_ID
from stt_lab.errors import Busy, Cancelled, EngineCrashed, NotFound, SttError
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
STRAY_S = 3600.0  # age at which a file without a job is nobody's, where several servers share the folder
CANCELLED = "The job was cancelled."
GONE = "The result of this job is no longer kept. Send the recording again."
JOB, CALL = "job_", "call_"  # ids of long and of short operations


class LostClaim(Exception):
    """A claim that is no longer this server's: somebody else has the job, or it has ended."""


def options_of(row: JobRow) -> JobOptions:
    """What the caller of a job asked of the server."""
    op = OPERATIONS.get(row.operation)  # None: of another version
    return op.options(row.parameters) if op else JobOptions()


def unattended(row: JobRow) -> bool:
    """Whether nobody can find a job again once its request is gone: without account, key, or its id."""
    return row.account_id == ANONYMOUS_ID and not row.idempotency_key and not options_of(row).background


class JobLifecycle:
    """The steps. Whatever a step needs beside the database is done before it, or undone when it fails."""

    def __init__(self, database: Database, accounts: Accounts, library: Library, settings: Settings) -> None:
        self.database, self.accounts, self.library, self.settings = database, accounts, library, settings
        self.files = JobFiles(settings.data_dir)
        self.worker = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.alone = database.dialect == "sqlite"  # no other server is on this data directory

    # -- in

    def submit(self, row: JobRow, media: Mapping[str, Path], places: int) -> JobRow | None:
        """Put a job into the queue, which has this many places; or the earlier job of the same Idempotency-Key."""
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
        """What this server begins at once, without the queue."""
        return replace(row, state="running", worker=self.worker, lease_until=now() + queue.LEASE, attempts=1)

    def begin(self, row: JobRow) -> JobRow | None:
        """Note that a short operation with an Idempotency-Key is under way; or the earlier one with that key."""
        with self.database.write() as session:
            earlier = self._earlier(session, row)
            if earlier is None:
                queue.insert(session, row)
        return earlier

    def _earlier(self, session: Session, row: JobRow) -> JobRow | None:
        """The job that this caller got for the same key. One that failed for a reason that passes is forgotten."""
        if row.idempotency_key is None:
            return None
        found = queue.with_key(session, row.account_id, row.client, row.idempotency_key)
        if found is not None and (_may_pass(found) or _is_old(found)):
            queue.forget_key(session, found.id)
            return None
        return found

    def _admit(self, session: Session, row: JobRow, places: int) -> None:
        if queue.load(session, self.worker) >= places:
            raise Busy("Too many recordings are waiting on this machine. Try again later.", retry_after=RETRY_AFTER_S)
        self.accounts.admit(session, row.account_id, row.client, row.created)
        transcript_id = None
        spec = OPERATIONS[row.operation].job
        if spec and spec.library and row.account_id != ANONYMOUS_ID and options_of(row).store:
            transcript_id = self.library.open(session, row.account_id, row.filename, row.created)
        queue.insert(session, replace(row, transcript_id=transcript_id))

    def claim(self) -> JobRow | None:
        """The next job to work on."""
        with self.database.read() as session:
            if not queue.waiting(session):
                return None
        with self.database.write() as session:
            return queue.claim(session, self.worker)

    def reserve(self, row: JobRow, credits: int) -> None:
        """Reserve what a job costs, before its work."""
        self.accounts.reserve(row.id, row.account_id, row.client, row.operation, credits)

    # -- out

    def done(self, row: JobRow, result: Any, handed_over: bool, credits: int | None = None) -> Any:
        """End a job with what it made, and charge for it; the result as it is kept.

        A result outside of the library is kept, unless it is a value that was `handed_over` to the only one who can
        know of it. `credits` is what the work cost in the end, where that differs from what was reserved.
        """
        recording = self._keep_recording(row)
        known = not handed_over or bool(row.idempotency_key) or options_of(row).background
        try:
            if isinstance(result, File):
                result, known = self.files.keep_artifact(row.id, result), True
            with self.database.write() as session:
                kept = self._complete(session, row, result, recording)
                if row.transcript_id is None and known:
                    queue.keep_result(session, row.id, pack(row.operation, result))
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
            raise LostClaim
        if ended.transcript_id is not None:
            result = self.library.complete(session, ended.transcript_id, result, recording)
        elif row.transcript_id is not None:
            raise Cancelled("The recording was deleted while it was transcribed.")
        self._announce(session, ended)
        return result

    def failed(self, row: JobRow, problem: SttError) -> None:
        """End a job without a result, and without a charge. Raises LostClaim when it is no longer the caller's."""
        state: Literal["cancelled", "failed"] = "cancelled" if isinstance(problem, Cancelled) else "failed"
        error = {"error": str(problem), "code": problem.code, "status": problem.status}
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
        """Have the job's webhook called."""
        if row.webhook_url:
            deliveries.add(session, row.id)

    def answered(self, row: JobRow, result: dict[str, Any]) -> None:
        """Keep the answer of a short operation for whoever sends its Idempotency-Key again."""
        with self.database.write() as session:
            queue.end(session, row, "done")
            queue.keep_result(session, row.id, result)

    def forget(self, row: JobRow) -> None:
        """A short operation that failed may be sent again under its key."""
        with self.database.write() as session:
            queue.remove(session, row.id)

    def cancel(self, row: JobRow) -> None:
        """Cancel a job that waits, or ask the server that works on it; nothing when it has ended."""
        while row.state in queue.ACTIVE:
            if row.state == "running":
                with self.database.write() as session:
                    return queue.ask_cancel(session, row.id)
            try:
                return self.failed(row, Cancelled(CANCELLED))
            except LostClaim:  # it has just been claimed
                row = self.find(row.id) or replace(row, state="cancelled")

    # -- what crashes and restarts leave

    def release(self, row: JobRow, *, on_purpose: bool = False) -> None:
        """Nobody works on a claimed job any more: it runs again, here or elsewhere, or ends clearly."""
        with suppress(LostClaim):  # another server was quicker, or its worker is back
            if not row.id.startswith(JOB):
                self.forget(row)
            elif row.cancel_requested or unattended(row):
                self.failed(row, Cancelled(CANCELLED))
            elif row.attempts >= queue.ATTEMPTS and not on_purpose:
                self.failed(row, EngineCrashed(f"The server stopped {row.attempts} times while it worked on this job."))
            else:
                with self.database.write() as session:
                    queue.put_back(session, row, counted=not on_purpose)

    def recover(self) -> None:
        """At the start, before anything is claimed: what an earlier life of this server had, and its stray files."""
        with self.database.read() as session:
            rows = queue.unfinished(session) if self.alone else queue.overdue(session)
        for row in rows:
            if row.state == "running":
                self.release(row)
            elif unattended(row):
                self.cancel(row)
        self.sweep(0.0 if self.alone else STRAY_S)

    def sweep(self, age: float = STRAY_S) -> None:
        """Remove files that an interrupted step left, and those whose results are forgotten."""
        with self.database.read() as session:
            active, kept = queue.active(session), queue.with_result(session)
        self.files.sweep(active, active | kept, age)
        self.library.sweep(age)

    def tidy(self) -> None:
        """Forget what is old; with a retention, also transcripts."""
        with self.database.write() as session:
            queue.tidy(session, **KEPT)
        if self.settings.retention_days:
            self.library.expire(now() - timedelta(days=self.settings.retention_days))

    # -- looks

    def find(self, job_id: str) -> JobRow | None:
        with self.database.read() as session:
            return queue.get(session, job_id)

    def held(self) -> list[JobRow]:
        """What this server works on."""
        with self.database.read() as session:
            return queue.unfinished(session, self.worker)

    def deliveries(self, row: JobRow) -> list[DeliveryRow]:
        with self.database.read() as session:
            return deliveries.log(session, row.id)

    def stored(self, row: JobRow) -> dict[str, Any] | None:
        """The packed result of a job or the answer of a short operation."""
        with self.database.read() as session:
            return queue.result(session, row.id)

    def result(self, row: JobRow) -> Any:
        """What a job made that is done. Raises NotFound when that is no longer kept."""
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
    """Whether the same request may have another answer now: it was cancelled, refused for the moment, or a crash."""
    status = (row.error or {}).get("status", 200)
    return row.state in ("failed", "cancelled") and (status in (402, 429, 499) or status >= 500)


def _is_old(row: JobRow) -> bool:
    return row.finished is not None and row.finished < now() - KEPT["keys"]


def pack(operation: str, result: Any) -> dict[str, Any]:
    """A result as JSON, from which `JobLifecycle.result` makes it again; of an artifact what is not in its file."""
    if isinstance(result, File):
        about = {"name": result.name, "media_type": result.media_type}
        return {"file": about | {"warnings": list(result.warnings), "headers": dict(result.headers)}}
    return {"value": _adapter(operation).dump_python(result, mode="json")}


def _adapter(operation: str) -> TypeAdapter[Any]:
    return TypeAdapter(OPERATIONS[operation].result)
