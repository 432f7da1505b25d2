"""Quotas and credits: reserve -> settle | release on an append-only ledger (1 credit = 1 minute of audio).

The sum of an account's entries is its balance, and never negative. Whoever reads in order to write holds the account's
row, so two requests at once cannot both take the last credit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from stt_lab.errors import BadInput, Cancelled, NoCredits, RateLimited, Unauthorized
from stt_lab.store import models as rows
from stt_lab.store import queries
from stt_lab.store.database import Database, Session
from stt_lab.store.queries import Used

Clock = Callable[[], datetime]
DAY_S = 86_400
JOB_RETRY_S = 10  # when there are as many jobs as may be: look again then
LARGEST = 1_000_000_000  # of a grant and of a limit; the columns hold twice that
PAGE = 1000  # longest page of a ledger


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What accounts of a kind may use; None is no limit."""

    name: str
    per_day: int | None = None  # transcriptions, for each client address
    minutes_per_month: int | None = None
    max_upload_mb: int | None = None
    concurrent_jobs: int | None = None
    takes_credits: bool = False


@dataclass(frozen=True)
class Limits:
    """A quota as its headers say it; None is no limit."""

    unit: Literal["transcriptions", "minutes", "credits"]
    limit: int | None
    remaining: int | None
    reset: int  # seconds until it starts anew; 0 where it does not

    def check(self, need: int) -> None:
        if self.remaining is None or need <= self.remaining:
            return
        if self.unit == "credits":
            raise NoCredits(f"This takes {need} credits and the account has {self.remaining}: ask for more credits.")
        period = "month" if self.unit == "minutes" else "day"
        raise RateLimited(
            f"This takes {need} of the {self.limit} {self.unit} that are free each {period} (UTC), and "
            f"{self.remaining} are left: come back next {period}, or use an account with more.",
            retry_after=min(max(self.reset, 1), DAY_S),
        )


@dataclass(frozen=True)
class Entry:
    """A line of the ledger."""

    id: int
    kind: str  # grant, reserve, settle, release
    credits: int
    minutes: int
    job_id: str | None
    operation: str | None
    note: str
    created: datetime


@dataclass(frozen=True)
class UsageDay:
    """What an account took on a day (UTC); work that failed is not in it."""

    day: date
    minutes: int
    credits: int
    jobs: int
    operations: tuple[Used, ...]


class Credits:
    """The rules of quotas and credits over the store."""

    def __init__(self, database: Database, clock: Clock = rows.now) -> None:
        self._database = database
        self._clock = clock

    # -- tiers

    def tiers(self) -> dict[str, Tier]:
        with self._database.read() as session:
            return {row.name: _tier(row) for row in queries.tiers(session)}

    def tier_of(self, account_id: int) -> Tier:
        with self._database.read() as session:
            return _tier_of(session, queries.account(session, account_id))

    def set_tier(self, tier: Tier) -> None:
        """Make a tier, or change one for all who have it."""
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", tier.name):
            raise BadInput("The name of a tier has lower-case letters, digits, - and _, at most 40, a letter first.")
        for name, value in asdict(tier).items():
            if name != "name" and value is not None and not 0 <= value <= LARGEST:
                raise BadInput(f"The limit {name} of a tier is a number from 0 to {LARGEST}, or none.")
        with self._database.write() as session:
            session.merge(rows.TierRow(**asdict(tier)))

    # -- credits

    def grant(self, account_id: int, credits: int, note: str = "") -> int:
        """Give credits, or take back what is left of them with a negative number; the new balance."""
        if not 0 < abs(credits) <= LARGEST:
            raise BadInput(f"A grant is a number of credits from 1 to {LARGEST}, negative to take back.")
        if len(note) > 200 or not note.isprintable():
            raise BadInput("The note of a grant has at most 200 characters on one line.")
        with self._database.write() as session:
            queries.account(session, account_id, lock=True)
            balance = queries.balance(session, account_id) + credits
            if balance < 0:
                raise BadInput(f"The account has {balance - credits} credits: no more can be taken back.")
            session.add(self._entry(account_id, "grant", credits=credits, note=note))
        return balance

    def balance(self, account_id: int) -> int:
        with self._database.read() as session:
            return queries.balance(session, queries.account(session, account_id).id)

    def ledger(self, account_id: int, limit: int = 100, offset: int = 0) -> tuple[Entry, ...]:
        """Changes of the balance, newest first."""
        if not (0 < limit <= PAGE and 0 <= offset <= queries.LARGEST_ID):
            raise BadInput(f"A page of the ledger has 1 to {PAGE} entries and starts at 0 or later.")
        with self._database.read() as session:
            queries.account(session, account_id)
            return tuple(
                Entry(**{field.name: getattr(row, field.name) for field in fields(Entry)})
                for row in queries.entries(session, account_id, limit, offset)
            )

    # -- the way of a job

    def admit(self, session: Session, account_id: int, client: str, now: datetime) -> None:
        """May the account (a client of the anonymous one) start a job? The caller adds it in this transaction."""
        account = queries.account(session, account_id, lock=True)
        if account.disabled:
            raise Unauthorized("This account is switched off: ask the administrator, or send the key of another.")
        tier = _tier_of(session, account)
        active = queries.active_jobs(session, account_id, None if tier.per_day is None else client)
        if tier.concurrent_jobs is not None and active >= tier.concurrent_jobs:
            raise RateLimited(
                f"{active} jobs are in work, and no more may be at once: send this again when one has ended.",
                retry_after=JOB_RETRY_S,
            )
        for quota in _quotas(session, account_id, tier, client, now):
            quota.check(1)

    def reserve(self, job_id: str, account_id: int, client: str, operation: str, minutes: int) -> None:
        """Take minutes and credits for work that begins. A job that runs again has its reservation already."""
        with self._database.write() as session:
            tier = _tier_of(session, queries.account(session, account_id, lock=True))
            entries = queries.entries_of_job(session, job_id)
            if queries.job_has_ended(session, job_id) or len(entries) > 1:
                raise Cancelled("This job has ended: nothing more is done for it.")
            if entries:
                return
            for quota in _quotas(session, account_id, tier, client, self._clock()):
                if quota.unit != "transcriptions":  # those were counted by admit
                    quota.check(minutes)
            taken = {"credits": -minutes if tier.takes_credits else 0, "minutes": minutes}
            same = {"job_id": job_id, "operation": operation, "client": client}
            session.add(self._entry(account_id, "reserve", **same, **taken))

    def settle(self, session: Session, job_id: str, minutes: int | None = None) -> None:
        """The work succeeded: what was reserved stays taken, or as many `minutes` as it took in the end.

        Inside the transaction that ends the job. Credits beyond the reservation are taken as far as the balance goes.
        """
        self._end(session, job_id, "settle", minutes)

    def release(self, session: Session, job_id: str) -> None:
        """The work failed or was cancelled: what was reserved is given back. Inside the transaction that ends it."""
        self._end(session, job_id, "release")

    # -- what is left, and what was used

    def limits(self, account_id: int, client: str = "") -> Limits | None:
        """The quota of an account now, as `admit` and `reserve` apply it; None without any."""
        with self._database.read() as session:
            tier = _tier_of(session, queries.account(session, account_id))
            return next(iter(_quotas(session, account_id, tier, client, self._clock())), None)

    def usage(self, account_id: int, days: int = 30) -> tuple[UsageDay, ...]:
        """A row a day, empty ones too, today last."""
        if not 1 <= days <= 366:
            raise BadInput("Usage is shown for 1 to 366 days.")
        today = _midnight(self._clock())
        first = today - timedelta(days=days - 1)
        with self._database.read() as session:
            queries.account(session, account_id)
            used = queries.usage(session, account_id, first)
        return tuple(_day((first + timedelta(days=number)).date(), used) for number in range(days))

    def _entry(self, account_id: int, kind: str, **columns: object) -> rows.LedgerRow:
        return rows.LedgerRow(account_id=account_id, kind=kind, created=self._clock(), **columns)

    def _end(self, session: Session, job_id: str, kind: str, minutes: int | None = None) -> None:
        """Write how a reservation ended; nothing without one, or when it has ended so already."""
        account_id = queries.owner(session, job_id)
        if account_id is None:
            return
        queries.account(session, account_id, lock=True)  # before the look: a reservation may be on its way
        entries = queries.entries_of_job(session, job_id)
        if entries.keys() - {"reserve", kind}:
            raise Cancelled("This job has ended in another way.")
        reserved = entries.get("reserve")
        if reserved is None or kind in entries:
            return
        more = (0 if kind == "release" else reserved.minutes if minutes is None else minutes) - reserved.minutes
        paid = max(-more, -queries.balance(session, reserved.account_id)) if reserved.credits else 0
        back = {"credits": paid, "minutes": more}
        same = {"job_id": job_id, "operation": reserved.operation, "client": reserved.client}
        session.add(self._entry(reserved.account_id, kind, **same, **back))


def _quotas(session: Session, account_id: int, tier: Tier, client: str, now: datetime) -> list[Limits]:
    """What a tier limits, with what is left of it."""
    quotas = []
    day = _midnight(now)
    month = day.replace(day=1)
    if tier.per_day is not None:
        left = tier.per_day - queries.counted_jobs(session, account_id, client, day)
        quotas.append(Limits("transcriptions", tier.per_day, max(left, 0), _seconds(now, day + timedelta(days=1))))
    if tier.minutes_per_month is not None:
        left = tier.minutes_per_month - queries.minutes(session, account_id, month)
        following = (month + timedelta(days=31)).replace(day=1)
        quotas.append(Limits("minutes", tier.minutes_per_month, max(left, 0), _seconds(now, following)))
    if tier.takes_credits:
        quotas.append(Limits("credits", None, queries.balance(session, account_id), 0))
    return quotas


def _tier_of(session: Session, account: rows.AccountRow) -> Tier:
    row = session.get(rows.TierRow, account.tier)
    assert row is not None, account.tier  # a foreign key
    return _tier(row)


def _tier(row: rows.TierRow) -> Tier:
    return Tier(**{field.name: getattr(row, field.name) for field in fields(Tier)})


def _day(day: date, used: list[Used]) -> UsageDay:
    own = tuple(one for one in used if one.day == day)
    return UsageDay(
        day, sum(one.minutes for one in own), sum(one.credits for one in own), sum(one.jobs for one in own), own
    )


def _midnight(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _seconds(now: datetime, then: datetime) -> int:
    return math.ceil((then - now).total_seconds())
