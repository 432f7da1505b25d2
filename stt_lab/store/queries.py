"""Queries on accounts, keys, the ledger and jobs. Each runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, aliased

from stt_lab.errors import BadInput, NotFound
from stt_lab.store.models import AccountRow, ApiKeyRow, Job, LedgerRow, TierRow

ACTIVE = ("queued", "running")
LARGEST_ID = 2**63 - 1


# Accounts and keys


def account(session: Session, account_id: int, *, lock: bool = False) -> AccountRow:
    """Return an account; with `lock` its jobs and ledger cannot change until this transaction ends. Raises NotFound.

    The lock leaves the key of the row alone, so rows that refer to the account can still be inserted.
    """
    wanted = {"key_share": True} if lock else None
    row = session.get(AccountRow, account_id, with_for_update=wanted) if 0 < account_id <= LARGEST_ID else None
    if row is None:
        raise NotFound(f"Account {account_id} was not found.")
    return row


def account_named(session: Session, name: str) -> AccountRow | None:
    return session.scalars(select(AccountRow).where(AccountRow.name == name)).one_or_none()


def accounts(session: Session) -> tuple[list[AccountRow], list[int]]:
    """Return all accounts by number, and the numbers of those whose rows cannot be read."""
    rows, damaged = [], []
    for number in session.scalars(select(AccountRow.id).order_by(AccountRow.id)).all():
        try:
            rows.append(session.get_one(AccountRow, number))
        except (ValueError, TypeError, DBAPIError):  # no JSON, no time, or no UTF-8 in one of its columns
            damaged.append(number)
    return rows, damaged


def tiers(session: Session) -> Sequence[TierRow]:
    return session.scalars(select(TierRow).order_by(TierRow.name)).all()


def keys(session: Session, account_id: int, *, revoked: bool = False) -> Sequence[ApiKeyRow]:
    """Return the valid keys, oldest first; with `revoked` all keys."""
    own = select(ApiKeyRow).where(ApiKeyRow.account_id == account_id).order_by(ApiKeyRow.id)
    return session.scalars(own if revoked else own.where(ApiKeyRow.revoked.is_(None))).all()


def keys_with_prefix(session: Session, prefix: str) -> Sequence[ApiKeyRow]:
    return session.scalars(select(ApiKeyRow).where(ApiKeyRow.prefix == prefix, ApiKeyRow.revoked.is_(None))).all()


def touch(session: Session, key_id: int, now: datetime, before: datetime) -> None:
    """Record that a key was used now, unless that was recorded since `before`."""
    old = or_(ApiKeyRow.last_used.is_(None), ApiKeyRow.last_used <= before)
    session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id, old).values(last_used=now))


@contextmanager
def unique(session: Session, sentence: str) -> Iterator[None]:
    """Raise BadInput with this sentence if the rows written inside violate a constraint."""
    try:
        yield
        session.flush()
    except IntegrityError:
        raise BadInput(sentence) from None


# Ledger and jobs


@dataclass(frozen=True)
class Used:
    """What one operation used on one day."""

    day: date
    operation: str
    minutes: int
    credits: int
    jobs: int


def balance(session: Session, account_id: int) -> int:
    entries = select(func.sum(LedgerRow.credits)).where(LedgerRow.account_id == account_id)
    return session.scalar(entries) or 0


def entries(session: Session, account_id: int, limit: int, offset: int) -> Sequence[LedgerRow]:
    """Return ledger entries, newest first."""
    own = select(LedgerRow).where(LedgerRow.account_id == account_id)
    return session.scalars(
        own.order_by(LedgerRow.created.desc(), LedgerRow.id.desc()).limit(limit).offset(offset)
    ).all()


def entries_of_job(session: Session, job_id: str) -> dict[str, LedgerRow]:
    """Return the entries of a job by kind; it has at most one of each."""
    return {entry.kind: entry for entry in session.scalars(select(LedgerRow).where(LedgerRow.job_id == job_id))}


def owner(session: Session, job_id: str) -> int | None:
    """Return the account of a job, or of a reservation without a job."""
    of_job = session.scalar(select(Job.account_id).where(Job.id == job_id))
    reserved = select(LedgerRow.account_id).where(LedgerRow.job_id == job_id, LedgerRow.kind == "reserve")
    return of_job or session.scalar(reserved)


def job_has_ended(session: Session, job_id: str) -> bool:
    state = session.scalar(select(Job.state).where(Job.id == job_id))
    return state is not None and state not in ACTIVE


def active_jobs(session: Session, account_id: int, client: str | None) -> int:
    """Count the queued and running jobs of an account, or of one of its clients."""
    return session.scalar(select(func.count()).select_from(_active(account_id, client).subquery())) or 0


def counted_jobs(session: Session, account_id: int, client: str, since: datetime) -> int:
    """Count the jobs of a client that used minutes since then or are in progress; each counts once."""
    reserved = _reserved(account_id, since, _JOB).where(LedgerRow.client == client)
    both = reserved.union(_active(account_id, client)).subquery()
    return session.scalar(select(func.count()).select_from(both)) or 0


def minutes(session: Session, account_id: int, since: datetime) -> int:
    """Minutes taken since then, reserved ones included."""
    return session.scalar(_reserved(account_id, since, func.sum(_taken("minutes")))) or 0


def usage(session: Session, account_id: int, since: datetime) -> list[Used]:
    """Return usage by day (UTC) and operation."""
    postgresql = session.get_bind().dialect.name == "postgresql"
    created: ColumnElement[datetime] = LedgerRow.created.expression
    day = func.date(func.timezone("UTC", created) if postgresql else created)
    sums = func.sum(_taken("minutes")), -func.sum(_taken("credits")), func.count(_JOB.distinct())
    rows = session.execute(
        _reserved(account_id, since, day, LedgerRow.operation, *sums).group_by(day, LedgerRow.operation)
    )
    return [Used(date.fromisoformat(str(day)), operation or "", *taken) for day, operation, *taken in rows]


def _active(account_id: int, client: str | None) -> Select[str]:
    own = select(func.substr(Job.id, 1, PART)).where(Job.account_id == account_id, Job.state.in_(ACTIVE))
    return own if client is None else own.where(Job.client == client)


_settled = aliased(LedgerRow)
PART = 35  # characters of the id of a stream; those of its minutes go on after it
_JOB = func.substr(LedgerRow.job_id, 1, PART)  # of other jobs, as good as the whole id


def _taken(column: str) -> ColumnElement[int]:
    """Minutes or credits of a reservation as they were settled, where they were."""
    difference: ColumnElement[int] = func.coalesce(getattr(_settled, column), 0)
    return getattr(LedgerRow, column) + difference  # type: ignore[no-any-return]


def _reserved(account_id: int, since: datetime, *columns: Any) -> Select[*tuple[Any, ...]]:
    """Reservations since then that were not given back. A release or a settlement counts on their day."""
    release = aliased(LedgerRow)
    given_back = select(release.id).where(release.job_id == LedgerRow.job_id, release.kind == "release").exists()
    own = (LedgerRow.account_id == account_id, LedgerRow.kind == "reserve", LedgerRow.created >= since)
    end = and_(_settled.job_id == LedgerRow.job_id, _settled.kind == "settle")
    return select(*columns).select_from(LedgerRow).outerjoin(_settled, end).where(*own, ~given_back)
