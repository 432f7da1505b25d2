"""What accounts and credits ask the database; each function works inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from stt_lab.errors import BadInput, NotFound
from stt_lab.store.models import Account, ApiKey, Job, LedgerEntry, Tier

ACTIVE = ("queued", "running")
LARGEST_ID = 2**63 - 1


# -- accounts and keys


def account(session: Session, account_id: int, *, lock: bool = False) -> Account:
    """The account; with `lock` nobody else changes its jobs or ledger until this transaction ends.

    The lock leaves the key of the row alone: rows that refer to the account can still be inserted beside it.
    """
    wanted = {"key_share": True} if lock else None
    row = session.get(Account, account_id, with_for_update=wanted) if 0 < account_id <= LARGEST_ID else None
    if row is None:
        raise NotFound(f"There is no account {account_id}.")
    return row


def account_named(session: Session, name: str) -> Account | None:
    return session.scalars(select(Account).where(Account.name == name)).one_or_none()


def accounts(session: Session) -> Sequence[Account]:
    return session.scalars(select(Account).order_by(Account.id)).all()


def tiers(session: Session) -> Sequence[Tier]:
    return session.scalars(select(Tier).order_by(Tier.name)).all()


def keys(session: Session, account_id: int, *, revoked: bool = False) -> Sequence[ApiKey]:
    """Those that are valid, oldest first; or all."""
    own = select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id)
    return session.scalars(own if revoked else own.where(ApiKey.revoked.is_(None))).all()


def keys_with_prefix(session: Session, prefix: str) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked.is_(None))).all()


def touch(session: Session, key_id: int, now: datetime, before: datetime) -> None:
    """The key was used now, unless somebody has noted so since `before`."""
    old = or_(ApiKey.last_used.is_(None), ApiKey.last_used <= before)
    session.execute(update(ApiKey).where(ApiKey.id == key_id, old).values(last_used=now))


@contextmanager
def unique(session: Session, sentence: str) -> Iterator[None]:
    """What is written inside must not be there already: BadInput with this sentence if it is."""
    try:
        yield
        session.flush()
    except IntegrityError:
        raise BadInput(sentence) from None


# -- ledger and jobs


@dataclass(frozen=True)
class Used:
    """What one operation took on one day."""

    day: date
    operation: str
    minutes: int
    credits: int
    jobs: int


def balance(session: Session, account_id: int) -> int:
    entries = select(func.sum(LedgerEntry.credits)).where(LedgerEntry.account_id == account_id)
    return session.scalar(entries) or 0


def entries(session: Session, account_id: int, limit: int, offset: int) -> Sequence[LedgerEntry]:
    """Newest first."""
    own = select(LedgerEntry).where(LedgerEntry.account_id == account_id)
    return session.scalars(
        own.order_by(LedgerEntry.created.desc(), LedgerEntry.id.desc()).limit(limit).offset(offset)
    ).all()


def entries_of_job(session: Session, job_id: str) -> dict[str, LedgerEntry]:
    """By kind: a job has at most one of each."""
    return {entry.kind: entry for entry in session.scalars(select(LedgerEntry).where(LedgerEntry.job_id == job_id))}


def owner(session: Session, job_id: str) -> int | None:
    """The account of a job, or of a reservation for work that is no job."""
    of_job = session.scalar(select(Job.account_id).where(Job.id == job_id))
    reserved = select(LedgerEntry.account_id).where(LedgerEntry.job_id == job_id, LedgerEntry.kind == "reserve")
    return of_job or session.scalar(reserved)


def job_has_ended(session: Session, job_id: str) -> bool:
    state = session.scalar(select(Job.state).where(Job.id == job_id))
    return state is not None and state not in ACTIVE


def active_jobs(session: Session, account_id: int, client: str | None) -> int:
    """Queued and running jobs of an account, or of one client of it."""
    return session.scalar(select(func.count()).select_from(_active(account_id, client).subquery())) or 0


def counted_jobs(session: Session, account_id: int, client: str, since: datetime) -> int:
    """Jobs of a client that took minutes since then or are in flight; one that is both counts once."""
    reserved = _reserved(account_id, since, LedgerEntry.job_id).where(LedgerEntry.client == client)
    both = reserved.union(_active(account_id, client)).subquery()
    return session.scalar(select(func.count()).select_from(both)) or 0


def minutes(session: Session, account_id: int, since: datetime) -> int:
    """Minutes taken since then, reserved ones included."""
    return session.scalar(_reserved(account_id, since, func.sum(_taken("minutes")))) or 0


def usage(session: Session, account_id: int, since: datetime) -> list[Used]:
    """By day (UTC) and operation."""
    postgresql = session.get_bind().dialect.name == "postgresql"
    created: ColumnElement[datetime] = LedgerEntry.created.expression
    day = func.date(func.timezone("UTC", created) if postgresql else created)
    sums = func.sum(_taken("minutes")), -func.sum(_taken("credits")), func.count()
    rows = session.execute(
        _reserved(account_id, since, day, LedgerEntry.operation, *sums).group_by(day, LedgerEntry.operation)
    )
    return [Used(date.fromisoformat(str(day)), operation or "", *taken) for day, operation, *taken in rows]


def _active(account_id: int, client: str | None) -> Select[str]:
    own = select(Job.id).where(Job.account_id == account_id, Job.state.in_(ACTIVE))
    return own if client is None else own.where(Job.client == client)


_settled = aliased(LedgerEntry)


def _taken(column: str) -> ColumnElement[int]:
    """Minutes or credits of a reservation as they were settled, where they were."""
    difference: ColumnElement[int] = func.coalesce(getattr(_settled, column), 0)
    return getattr(LedgerEntry, column) + difference  # type: ignore[no-any-return]


def _reserved(account_id: int, since: datetime, *columns: Any) -> Select[*tuple[Any, ...]]:
    """Reservations since then that were not given back. A release or a settlement counts on their day."""
    release = aliased(LedgerEntry)
    given_back = select(release.id).where(release.job_id == LedgerEntry.job_id, release.kind == "release").exists()
    own = (LedgerEntry.account_id == account_id, LedgerEntry.kind == "reserve", LedgerEntry.created >= since)
    end = and_(_settled.job_id == LedgerEntry.job_id, _settled.kind == "settle")
    return select(*columns).select_from(LedgerEntry).outerjoin(_settled, end).where(*own, ~given_back)
