"""What a request meets on a server: it is admitted, waits for its job, and gets the answer, or an earlier one again."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import Empty
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from stt_lab.accounts.accounts import Accounts
from stt_lab.caller import Caller
from stt_lab.errors import BadInput, Busy, Conflict, IdempotencyMismatch, NotFound, SttError, Unavailable
from stt_lab.jobs.crew import ENDING, Crew, News, Outcome
from stt_lab.jobs.desk import RETRY_AFTER_S, Desk, unattended, unpack
from stt_lab.jobs.files import digest
from stt_lab.jobs.webhooks import Webhooks, check_url
from stt_lab.library import Library
from stt_lab.registry import Context, Operation
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.store.database import Database
from stt_lab.store.models import DeliveryRow, now
from stt_lab.store.queue import JobRow
from stt_lab.transcription.render import render
from stt_lab.types import Event, JobInfo, Rendering, Transcript

POLL_S = 0.25  # how soon a caller who has gone is noticed
LOOK_S = 1.0  # how often the row of a job is read that another server has
SECRET = ("key",)  # members of an answer that are never stored
JOB, CALL = "job_", "call_"  # ids of long and of short operations


class Jobs:
    """The gate of a server (`registry.Gate`) and its queue."""

    def __init__(
        self, runtime: Runtime, database: Database, accounts: Accounts, library: Library, settings: Settings
    ) -> None:
        self._desk, self._settings = Desk(database, accounts, library, settings), settings
        self._webhooks = Webhooks(database, settings)
        self._runtime = runtime
        self._crew = Crew(self._desk, runtime, self._webhooks.wake)

    @property
    def worker(self) -> str:
        """Who this server is in the queue."""
        return self._desk.worker

    def start(self) -> None:
        """Take up what an earlier life of this server left, and work."""
        self._runtime.pool.patience_s = math.inf  # jobs have waited in the queue already, or decode ahead
        self._desk.recover()
        self._crew.start()
        self._webhooks.start()

    def close(self) -> None:
        """Give up what runs: the next start runs it. Call it before the runtime is closed."""
        self._webhooks.close()
        self._crew.close()

    def webhook_secret(self, account_id: int) -> str:
        """With which an account checks the signatures of its webhooks."""
        return self._webhooks.secret(account_id)

    # -- requests

    def run(self, op: Operation, values: dict[str, Any], context: Context, work: Callable[[Context], Any]) -> Any:
        """The result of an operation: at once, or when its job has ended; or the job, when it is wanted so."""
        key = _checked_key(context.idempotency_key)
        if not op.long:
            return (
                self._run_short(op, values, context, work) if key and op.kept and op.method == "POST" else work(context)
            )
        if url := values.get("webhook_url"):
            check_url(url, self._settings)
        row = _row(JOB, op, values, context)
        with self._crew.listening(row.id) as news:
            media = {name: values[name] for name in op.media}
            places = self._runtime.pool.capacity + self._settings.queue_size
            earlier = self._desk.submit(row, media, places)
            if earlier is not None:
                return self._again(op, row, earlier)
            self._crew.ring()
            if values.get("background"):
                return row.info
            return self._answer(row, self._wait(row, news, context))

    def _run_short(
        self, op: Operation, values: dict[str, Any], context: Context, work: Callable[[Context], Any]
    ) -> Any:
        """A short operation under an Idempotency-Key: done once, and its answer kept."""
        row = self._desk.claimed(replace(_row(CALL, op, values, context), parameters={}))
        earlier = self._desk.begin(row)
        if earlier is not None:
            return self._again(op, row, earlier)
        try:
            with self._crew.holding(row):
                result = work(context)
        except BaseException:
            self._desk.forget(row)
            raise
        self._desk.answered(row, {"value": _public(op, result)})
        return result

    def _again(self, op: Operation, row: JobRow, earlier: JobRow) -> Any:
        """The answer to a request whose Idempotency-Key has come before."""
        if earlier.fingerprint != row.fingerprint:
            raise IdempotencyMismatch(
                "This Idempotency-Key came with another request before: use a new key for this one."
            )
        if earlier.state in ("queued", "running"):
            where = f" It is {earlier.info.url}." if op.long else ""
            raise Conflict(
                f"The first request with this Idempotency-Key is still being worked on: ask again later.{where}",
                retry_after=5,
            )
        if not op.long:
            return (self._desk.result(earlier) or {}).get("value")
        return earlier.info if row.parameters.get("background") else self._result(earlier)

    def _wait(self, row: JobRow, news: News, context: Context) -> Outcome:
        """Wait until a job has ended. A caller who goes away leaves it to its fate, or takes it along."""
        event, since, looked = Event("queued"), time.monotonic(), time.monotonic()
        try:
            while True:
                told = self._next(news)
                if told is None and time.monotonic() - looked >= LOOK_S and not self._crew.works_on(row.id):
                    told, looked = self._look(row), time.monotonic()
                if isinstance(told, Outcome):
                    return told
                event = told or event
                since = since if event.stage == "queued" else time.monotonic()
                self._check_patience(row, since)
                context.report(event)
        except BaseException:
            if unattended(row):
                self._cancel(row.id)
            raise

    def _next(self, news: News) -> Event | Outcome | None:
        try:
            return news.get(timeout=POLL_S)
        except Empty:
            return None

    def _look(self, row: JobRow) -> Event | Outcome | None:
        """What has become of a job that this server does not work on."""
        found = self._desk.find(row.id)
        if found is None:
            return Outcome(problem=NotFound(f"There is no job '{row.id}' any more."))
        if found.state in ("queued", "running"):
            return Event(found.stage)
        return Outcome(problem=_error(found)) if found.error else Outcome(self._result(found))

    def _check_patience(self, row: JobRow, since: float) -> None:
        if self._crew.ending.is_set() and not self._crew.works_on(row.id):
            raise Unavailable(ENDING)
        if unattended(row) and time.monotonic() - since > self._settings.queue_timeout_s:
            raise Busy("This machine is busy with earlier recordings: try again later.", retry_after=RETRY_AFTER_S)

    def _answer(self, row: JobRow, outcome: Outcome) -> Any:
        if outcome.problem is not None:
            raise outcome.problem
        return _numbered(outcome.value, outcome.transcript_id)

    def _result(self, row: JobRow) -> Any:
        """The answer of a job that has ended, from the store."""
        if row.error:
            raise _error(row)
        if row.transcript_id is not None:
            transcript = self._desk.library.transcript(row.account_id, str(row.transcript_id))
            wanted = row.parameters.get("response_format", "json")
            made = transcript if wanted == "json" else render(transcript, wanted)
            return _numbered(made, row.transcript_id)
        packed = self._desk.result(row)
        if packed is None:
            raise NotFound("The result of this job is no longer kept: send the recording again.")
        return unpack(row.operation, packed)

    # -- a caller's jobs

    def get(self, caller: Caller, job_id: str) -> JobInfo:
        return self._own(caller, job_id).info

    def result(self, caller: Caller, job_id: str) -> Any:
        """What a job made. Raises its error when it failed, and Conflict while it is not done."""
        row = self._own(caller, job_id)
        if row.state in ("queued", "running"):
            raise Conflict(f"The job '{row.id}' is not done yet: ask again later.", retry_after=5)
        return self._result(row)

    def cancel(self, caller: Caller, job_id: str) -> JobInfo:
        """Stop a job; nothing is charged for it. One that has ended stays as it is."""
        self._own(caller, job_id)
        self._cancel(job_id)
        return self._own(caller, job_id).info

    def deliveries(self, caller: Caller, job_id: str) -> list[DeliveryRow]:
        """What was done to tell the job's webhook."""
        return self._desk.deliveries(self._own(caller, job_id))

    def _own(self, caller: Caller, job_id: str) -> JobRow:
        row = self._desk.find(job_id) if job_id.startswith(JOB) and len(job_id) <= 40 else None
        if row is None or (row.account_id, row.client) != _owner(caller):
            raise NotFound(f"There is no job '{job_id[:60]}' of yours.")
        return row

    def _cancel(self, job_id: str) -> None:
        if row := self._desk.find(job_id):
            self._desk.cancel(row)
            self._crew.cancel(job_id)
            if row.webhook_url:
                self._webhooks.wake()


def _row(prefix: str, op: Operation, values: dict[str, Any], context: Context) -> JobRow:
    """A new job for a request."""
    parameters = to_jsonable_python({name: value for name, value in values.items() if name not in op.media})
    account_id, client = _owner(context.caller)
    return JobRow(
        id=prefix + secrets.token_hex(16),
        account_id=account_id,
        client=client,
        operation=op.name,
        parameters=parameters,
        filename=context.filename[:255],
        idempotency_key=context.idempotency_key,
        fingerprint=_fingerprint(op, parameters, values) if context.idempotency_key else None,
        webhook_url=values.get("webhook_url") or None,
        created=now(),
    )


def _owner(caller: Caller) -> tuple[int, str]:
    """Whose a caller's jobs are; anonymous callers are told apart by their address."""
    return caller.account_id, caller.client if caller.anonymous else ""


def _checked_key(key: str | None) -> str | None:
    if key is None or (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        return key
    raise BadInput("An Idempotency-Key has 1 to 255 printable ASCII characters: send another one.")


def _fingerprint(op: Operation, parameters: dict[str, Any], values: dict[str, Any]) -> str:
    """SHA-256 over what was asked for, the content of files included."""
    asked = {"operation": op.name, "parameters": parameters, "media": {name: digest(values[name]) for name in op.media}}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _public(op: Operation, result: Any) -> Any:
    """An answer as JSON, without what is shown only once."""
    made = TypeAdapter(op.signature.return_annotation).dump_python(result, mode="json")
    return {name: value for name, value in made.items() if name not in SECRET} if isinstance(made, dict) else made


def _numbered(value: Any, transcript_id: int | None) -> Any:
    """A transcript with its number in the library."""
    if transcript_id is None:
        return value
    if isinstance(value, Transcript):
        return replace(value, id=transcript_id)
    assert isinstance(value, Rendering)
    transcript = replace(value.transcript, id=transcript_id)
    is_json = value.media_type == "application/json"
    return render(transcript, value.format) if is_json else replace(value, transcript=transcript)


def _error(row: JobRow) -> SttError:
    """The error of a job as it was raised."""
    error = row.error or {}
    kinds = {kind.code: kind for kind in _kinds(SttError)}
    return kinds.get(error.get("code", ""), SttError)(error.get("error", ""))


def _kinds(kind: type[SttError]) -> Iterator[type[SttError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)
