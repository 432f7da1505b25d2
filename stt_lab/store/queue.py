"""The job queue: statements on the table of jobs. Each runs in the caller's transaction.

A job is queued, then running under the lease of one worker, then done, failed or cancelled. A worker that cannot renew
its lease loses the job: every change by a worker requires that its claim still holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, null, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from stt_lab.errors import Conflict
from stt_lab.store.models import Job, TranscriptRow, now
from stt_lab.store.reading import readable
from stt_lab.types import JobInfo

LEASE = timedelta(seconds=30)  # much longer than the servers' clocks may differ
ATTEMPTS = 3  # then a job that crashes its workers is given up
ACTIVE = ("queued", "running")
STREAM = "stream"  # operation whose jobs run at once and take no place among recordings
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # before all jobs


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job as it was read."""

    id: str
    account_id: int
    client: str
    operation: str
    parameters: dict[str, Any]
    caller: dict[str, Any] | None = None  # who submitted it: `Caller` as JSON
    filename: str = ""
    state: str = "queued"
    stage: str = "queued"
    percent: float = 0.0
    eta_s: float | None = None
    waited_s: float = 0.0  # after its start, for a turn on the device
    loading_s: float = 0.0
    error: dict[str, Any] | None = None
    transcript_id: int | None = None
    cancel_requested: bool = False
    attempts: int = 0  # also the number of this claim
    worker: str | None = None
    lease_until: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    webhook_url: str | None = None
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def info(self) -> JobInfo:
        """Return the job as its owner sees it."""
        return JobInfo(
            id=self.id,
            status=self.state,
            stage=self.stage,
            percent=round(self.percent, 1),
            eta_s=self.eta_s if self.eta_s is None else round(self.eta_s, 1),
            created=self.created,
            started=self.started,
            finished=self.finished,
            transcript_id=self.transcript_id,
            error=self.error,
            url=f"/v1/jobs/{self.id}",
            operation=self.operation,
            about=str((self.parameters or {}).get("id", "")),
            waited_s=round(self.waited_s + ((self.started or self.created) - self.created).total_seconds(), 1),
            loading_s=round(self.loading_s, 1),
        )


NAMES = tuple(field.name for field in fields(JobRow))
COLUMNS = tuple(getattr(Job, name) for name in NAMES)  # all but the result, which may be large


def of_owner(session: Session, account_id: int, client: str, prefix: str, limit: int) -> list[JobRow]:
    """Return the newest jobs of an owner whose ids have a prefix, newest first."""
    mine = (Job.account_id == account_id, Job.client == client, Job.id.startswith(prefix, autoescape=True))
    wanted = select(*COLUMNS).where(*mine).order_by(Job.created.desc(), Job.id.desc()).limit(limit)
    return [JobRow(**row._mapping) for row in readable(session, wanted, Job.id)]


def places(session: Session) -> dict[str, int]:
    """Return the places of the queued jobs, from 1, in the order in which they came."""
    queued = select(Job.id).where(Job.state == "queued").order_by(Job.created, Job.id)
    return {job_id: place for place, job_id in enumerate(session.scalars(queued), 1)}


def insert(session: Session, row: JobRow) -> None:
    """Insert a job. Raises Conflict if a request with the same Idempotency-Key came first."""
    try:
        with session.begin_nested():
            session.add(Job(**{name: getattr(row, name) for name in NAMES}))
    except IntegrityError:
        raise Conflict(
            "A request with this Idempotency-Key is still running. Retry in a few seconds to get its answer.",
            retry_after=5,
        ) from None


def get(session: Session, job_id: str) -> JobRow | None:
    return _one(session, Job.id == job_id)


def with_key(session: Session, account_id: int, client: str, key: str) -> JobRow | None:
    """Return the job that a caller created with this Idempotency-Key."""
    return _one(session, Job.account_id == account_id, Job.client == client, Job.idempotency_key == key)


def _one(session: Session, *conditions: ColumnElement[bool]) -> JobRow | None:
    found = session.execute(select(*COLUMNS).where(*conditions)).one_or_none()
    return JobRow(**found._mapping) if found else None


def result(session: Session, job_id: str) -> dict[str, Any] | None:
    return session.scalar(select(Job.result).where(Job.id == job_id))


def forget_key(session: Session, job_id: str) -> None:
    """Release an Idempotency-Key for another request."""
    session.execute(update(Job).where(Job.id == job_id).values(idempotency_key=None, fingerprint=None))


def waiting(session: Session) -> int:
    """Count the queued jobs."""
    return session.scalar(select(func.count(Job.id)).where(Job.state == "queued")) or 0


def load(session: Session, worker: str, account_id: int | None = None, client: str | None = None) -> int:
    """Count the jobs that wait or that a worker runs, of all or of an account: in one statement, because one may be
    claimed between two."""
    counted = [or_(Job.state == "queued", and_(*_held_by(worker))), Job.operation != STREAM]
    counted += [Job.account_id == account_id] if account_id is not None else []
    counted += [Job.client == client] if client is not None else []
    return session.scalar(select(func.count(Job.id)).where(*counted)) or 0


def claim(session: Session, worker: str, shared: int) -> JobRow | None:
    """Claim the next job; None if none waits that may run.

    Owners with the fewest running jobs come first; of them, those whose last job began longest ago. So owners take
    turns, and jobs of one owner run in the order in which they came. Once the worker runs `shared` jobs, only owners
    without a running job get one.
    """
    running, began = _turn()
    held = session.scalar(select(func.count(Job.id)).where(*_held_by(worker), Job.operation != STREAM)) or 0
    job_id = session.scalar(
        select(Job.id)
        .where(Job.state == "queued", *([running == 0] if held >= shared else []))
        .order_by(running, began, Job.created, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if job_id is None:
        return None
    moment = now()
    taken = {"state": "running", "worker": worker, "lease_until": moment + LEASE, "attempts": Job.attempts + 1}
    session.execute(update(Job).where(Job.id == job_id).values(**taken, started=func.coalesce(Job.started, moment)))
    row = get(session, job_id)
    assert row is not None
    _show(session, row.transcript_id, "running")
    return row


def _turn() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the number of running jobs of a job's owner, and when its last job began."""
    other = aliased(Job)
    same = and_(other.account_id == Job.account_id, other.client == Job.client, other.operation != STREAM)
    running = select(func.count()).where(same, other.state == "running").correlate(Job).scalar_subquery()
    began = select(func.coalesce(func.max(other.started), BEGINNING)).where(same).correlate(Job).scalar_subquery()
    return running, began


def _show(session: Session, transcript_id: int | None, status: str) -> None:
    """Copy the state of a job to its transcript."""
    if transcript_id is not None:
        session.execute(update(TranscriptRow).where(TranscriptRow.id == transcript_id).values(status=status))


def renew(session: Session, worker: str, job_ids: list[str]) -> dict[str, int]:
    """Extend a worker's leases on these jobs; return its claims, as `claims` does."""
    session.execute(update(Job).where(*_held_by(worker), Job.id.in_(job_ids)).values(lease_until=now() + LEASE))
    return claims(session, worker)


def claims(session: Session, worker: str) -> dict[str, int]:
    """Return the jobs that a worker runs: id -> attempt."""
    return {row.id: row.attempts for row in session.execute(select(Job.id, Job.attempts).where(*_held_by(worker)))}


def to_cancel(session: Session, worker: str) -> list[str]:
    """Return the jobs of a worker that were asked to stop."""
    return list(session.scalars(select(Job.id).where(*_held_by(worker), Job.cancel_requested)))


def _held_by(worker: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Job.worker == worker, Job.state == "running"


def _claimed(row: JobRow) -> ColumnElement[bool]:
    """Return the condition that a claim still holds."""
    return and_(Job.id == row.id, Job.state == "running", Job.worker == row.worker, Job.attempts == row.attempts)


def keep_in(session: Session, row: JobRow, transcript_id: int) -> JobRow:
    """Say in which transcript the result of a claimed job is kept. Return the new row."""
    session.execute(update(Job).where(_claimed(row)).values(transcript_id=transcript_id))
    return get(session, row.id) or row


def advance(
    session: Session, row: JobRow, stage: str, percent: float, eta_s: float | None, idle: Mapping[str, float]
) -> None:
    """Store the progress of a claimed job. `idle`: seconds that it waited for the device and for models so far."""
    values = {"stage": stage, "percent": percent, "eta_s": eta_s}
    values |= {"waited_s": idle["queued"], "loading_s": idle["loading"]}
    session.execute(update(Job).where(_claimed(row)).values(**values))


def end(session: Session, row: JobRow, state: str, error: dict[str, Any] | None = None) -> JobRow | None:
    """End a claimed or queued job. Return the new row, or None if the claim no longer holds.

    A job that was asked to cancel does not become done.
    """
    held = _claimed(row) if row.state == "running" else and_(Job.id == row.id, Job.state == "queued")
    if state == "done":
        held = and_(held, Job.cancel_requested.is_(False))
    done = {"percent": 100.0, "stage": "done"} if state == "done" else {}
    values = {"state": state, "error": error, "eta_s": None, "lease_until": None, "finished": now(), **done}
    return _one(session, Job.id == row.id) if _changed(session, update(Job).where(held).values(**values)) else None


def is_cancelled(session: Session, row: JobRow) -> bool:
    """Return whether a claimed job was asked to cancel."""
    return session.scalar(select(Job.cancel_requested).where(_claimed(row))) or False


def _changed(session: Session, statement: Any) -> bool:
    changed: int = session.execute(statement).rowcount  # type: ignore[attr-defined]
    return changed > 0


def keep_result(session: Session, row: JobRow, result: dict[str, Any]) -> None:
    """Store a result, unless the transcript that it was made from has been deleted."""
    same = Job.transcript_id.is_(None) if row.transcript_id is None else Job.transcript_id == row.transcript_id
    session.execute(update(Job).where(Job.id == row.id, same).values(result=result))


def put_back(session: Session, row: JobRow, *, counted: bool) -> bool:
    """Return a claimed job to the queue; `counted` if the attempt counts against its limit."""
    values: dict[str, Any] = {"state": "queued", "stage": "queued", "worker": None, "lease_until": None}
    if not counted:
        values["attempts"] = Job.attempts - 1
    if not _changed(session, update(Job).where(_claimed(row)).values(**values)):
        return False
    _show(session, row.transcript_id, "queued")
    return True


def running(session: Session) -> list[JobRow]:
    """Return the running jobs of all servers."""
    return _all(session, Job.state == "running")


def unfinished(session: Session, worker: str | None = None) -> list[JobRow]:
    """Return all queued and running jobs; with `worker` those that it runs."""
    return _all(session, Job.state.in_(ACTIVE)) if worker is None else _all(session, *_held_by(worker))


def _all(session: Session, *conditions: ColumnElement[bool]) -> list[JobRow]:
    wanted = select(*COLUMNS).where(*conditions).order_by(Job.created)
    return [JobRow(**row._mapping) for row in readable(session, wanted, Job.id)]


def ask_cancel(session: Session, job_id: str) -> None:
    session.execute(update(Job).where(Job.id == job_id, Job.state == "running").values(cancel_requested=True))


def remove(session: Session, job_id: str) -> None:
    session.execute(delete(Job).where(Job.id == job_id))


def active(session: Session) -> set[str]:
    """Return the ids of jobs whose files are still needed."""
    return set(session.scalars(select(Job.id).where(Job.state.in_(ACTIVE))))


def with_result(session: Session) -> set[str]:
    """Ids of the jobs whose result is kept."""
    return set(session.scalars(select(Job.id).where(Job.result.is_not(None))))


def tidy(session: Session, moment: datetime, *, results: timedelta, keys: timedelta, rows: timedelta) -> None:
    """Delete results, Idempotency-Keys and rows of jobs that ended longer before a moment than that."""
    ended = Job.state.not_in(ACTIVE)
    old = [and_(ended, Job.finished < moment - age) for age in (results, keys, rows)]
    session.execute(update(Job).where(old[0], Job.result.is_not(None)).values(result=null()))
    session.execute(update(Job).where(old[1], Job.idempotency_key.is_not(None)).values(idempotency_key=None))
    session.execute(delete(Job).where(old[2]))
