"""Apply quotas and charge credits: reserve -> settle | release on an append-only ledger (1 credit = 1 minute of sound).

The sum of an account's entries is its balance, which is never negative. A transaction that reads the balance to change
it locks the account's row, so two concurrent requests cannot both spend the last credit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from stt_lab.caller import LOCAL_CLIENT
from stt_lab.errors import BadInput, Cancelled, NoCredits, RateLimited, Unauthorized
from stt_lab.store import models as rows
from stt_lab.store import queries
from stt_lab.store.database import Database, Session
from stt_lab.store.queries import Used

Clock = Callable[[], datetime]
DAY_S = 86_400
JOB_RETRY_S = 10  # Retry-After for an account that has its maximum of jobs
LARGEST = 1_000_000_000  # largest grant and largest limit; the columns hold twice that
WAY_IN = "send a key ('Authorization: Bearer KEY'), or sign in (`stt-lab sign-in`)"  # what most refusals advise
PAGE = 1000  # most entries of one request for the ledger


@dataclass(frozen=True, kw_only=True)
class Tier:
    """The plan of an account: its limits. None means unlimited."""

    name: str
    per_day: int | None = None  # transcriptions per client address
    minutes_per_month: int | None = None
    max_upload_mb: int | None = None
    concurrent_jobs: int | None = None
    takes_credits: bool = False


@dataclass(frozen=True)
class Limits:
    """A quota as the X-RateLimit headers report it. None means unlimited."""

    unit: Literal["transcriptions", "minutes", "credits"]
    limit: int | None
    remaining: int | None
    reset: int  # seconds until the quota starts again; 0 for credits, which never do

    def check(self, need: int) -> None:
        if self.remaining is None or need <= self.remaining:
            return
        if self.unit == "credits":
            raise NoCredits(
                f"The account has too few credits ({self.remaining} left, {need} needed). Ask for more credits."
            )
        now, instead = (
            ("this month", "Try again next month, or ask the administrator for another tier.")
            if self.unit == "minutes"
            else ("today", f"Try again tomorrow, or use an account, whose tier has more: {WAY_IN}.")
        )
        raise RateLimited(
            f"{self.remaining} of {self.limit} {self.unit} are left for {now} (UTC), but this needs {need}. {instead}",
            retry_after=min(max(self.reset, 1), DAY_S),
        )


@dataclass(frozen=True)
class LedgerEntry:
    """An entry of the ledger."""

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
    """The usage of an account on one day (UTC), without failed work."""

    day: date
    minutes: int
    credits: int
    jobs: int
    operations: tuple[Used, ...]


class Credits:
    """Quotas and credits in the store."""

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
        """Create a tier, or change it for all accounts that have it."""
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", tier.name):
            raise BadInput(
                f"The tier name {tier.name[:60]!r} is not valid. Use a-z, 0-9, - and _, at most 40, a letter first."
            )
        for name, value in asdict(tier).items():
            if name != "name" and value is not None and not 0 <= value <= LARGEST:
                raise BadInput(f"The limit '{name}' cannot be {value}. Use 0 to {LARGEST}, or no limit.")
        with self._database.write() as session:
            session.merge(rows.TierRow(**asdict(tier)))

    # -- credits

    def grant(self, account_id: int, credits: int, note: str = "") -> int:
        """Grant credits, or take unused ones back with a negative number. Return the new balance."""
        if not 0 < abs(credits) <= LARGEST:
            raise BadInput(
                f"A grant cannot be {credits} credits. Use 1 to {LARGEST}; a negative number takes credits back."
            )
        if len(note) > 200 or not note.isprintable():
            raise BadInput("This note is too long or has several lines. Use at most 200 characters on one line.")
        with self._database.write() as session:
            queries.account(session, account_id, lock=True)
            balance = queries.balance(session, account_id) + credits
            if balance < 0:
                raise BadInput(f"The account has only {balance - credits} credits. Take back at most that many.")
            session.add(self._entry(account_id, "grant", credits=credits, note=note))
        return balance

    def balance(self, account_id: int) -> int:
        with self._database.read() as session:
            return queries.balance(session, queries.account(session, account_id).id)

    def ledger(self, account_id: int, limit: int = 100, offset: int = 0) -> tuple[LedgerEntry, ...]:
        """Return the entries of an account's ledger, newest first."""
        if not (0 < limit <= PAGE and 0 <= offset <= queries.LARGEST_ID):
            raise BadInput(f"These entries cannot be shown. Use a limit of 1 to {PAGE} and an offset of 0 or more.")
        with self._database.read() as session:
            queries.account(session, account_id)
            return tuple(
                LedgerEntry(**{field.name: getattr(row, field.name) for field in fields(LedgerEntry)})
                for row in queries.entries(session, account_id, limit, offset)
            )

    # -- charges of a job

    def admit(self, session: Session, account_id: int, client: str, now: datetime) -> None:
        """Raise an error if an account may not start a job now. The caller adds the job in the same transaction.

        `client` names an anonymous caller (stt_lab.caller.Caller), "" for accounts.
        """
        account = queries.account(session, account_id, lock=True)
        if account.disabled:
            raise Unauthorized(f"This account is disabled. Ask the administrator, or use another account: {WAY_IN}.")
        tier = _tier_of(session, account)
        active = queries.active_jobs(session, account_id, None if tier.per_day is None else client)
        if tier.concurrent_jobs is not None and active >= tier.concurrent_jobs:
            raise RateLimited(
                f"The limit of {tier.concurrent_jobs} jobs at once of the tier '{tier.name}' is reached. "
                f"Try again when one has ended, or use an account of another tier: {WAY_IN}.",
                retry_after=JOB_RETRY_S,
            )
        for quota in _quotas(session, account_id, tier, client, now):
            quota.check(1)

    def reserve(self, job_id: str, account_id: int, client: str, operation: str, minutes: int) -> None:
        """Reserve minutes and credits for work that begins. A job that runs again keeps its reservation."""
        with self._database.write() as session:
            tier = _tier_of(session, queries.account(session, account_id, lock=True))
            entries = queries.entries_of_job(session, job_id)
            if queries.job_has_ended(session, job_id) or len(entries) > 1:
                raise Cancelled("This job has already ended.")
            if entries:
                return
            for quota in _quotas(session, account_id, tier, client, self._clock()):
                if quota.unit != "transcriptions":  # those were counted by admit
                    quota.check(minutes)
            taken = {"credits": -minutes if tier.takes_credits else 0, "minutes": minutes}
            same = {"job_id": job_id, "operation": operation, "client": client}
            session.add(self._entry(account_id, "reserve", **same, **taken))

    def settle(self, session: Session, job_id: str, minutes: int | None = None) -> None:
        """Charge for a job that succeeded: its reservation, or `minutes` if given.

        Call it in the transaction that ends the job. Credits beyond the reservation are charged as far as the balance
        allows.
        """
        self._end(session, job_id, "settle", minutes)

    def release(self, session: Session, job_id: str) -> None:
        """Return the reservation of a job that failed or was cancelled, in the transaction that ends it."""
        self._end(session, job_id, "release")

    # -- remaining quota and usage

    def limits(self, account_id: int, client: str = "") -> Limits | None:
        """Return the current quota of an account, as `admit` and `reserve` apply it; None if it has none."""
        with self._database.read() as session:
            tier = _tier_of(session, queries.account(session, account_id))
            return next(iter(_quotas(session, account_id, tier, client, self._clock())), None)

    def usage(self, account_id: int, days: int = 30) -> tuple[UsageDay, ...]:
        """Return one row per day, including days without usage, ending today."""
        if not 1 <= days <= 366:
            raise BadInput(f"Usage cannot be shown for {days} days. Use 1 to 366.")
        today = _midnight(self._clock())
        first = today - timedelta(days=days - 1)
        with self._database.read() as session:
            queries.account(session, account_id)
            used = queries.usage(session, account_id, first)
        return tuple(_day((first + timedelta(days=number)).date(), used) for number in range(days))

    def _entry(self, account_id: int, kind: str, **columns: object) -> rows.LedgerRow:
        return rows.LedgerRow(account_id=account_id, kind=kind, created=self._clock(), **columns)

    def _end(self, session: Session, job_id: str, kind: str, minutes: int | None = None) -> None:
        """Write the end of a reservation. Does nothing without one, or if it has already ended this way."""
        account_id = queries.owner(session, job_id)
        if account_id is None:
            return
        queries.account(session, account_id, lock=True)  # lock first: another transaction may be reserving
        entries = queries.entries_of_job(session, job_id)
        if entries.keys() - {"reserve", kind}:
            raise Cancelled("This job has already ended differently.")
        reserved = entries.get("reserve")
        if reserved is None or kind in entries:
            return
        more = (0 if kind == "release" else reserved.minutes if minutes is None else minutes) - reserved.minutes
        paid = max(-more, -queries.balance(session, reserved.account_id)) if reserved.credits else 0
        back = {"credits": paid, "minutes": more}
        same = {"job_id": job_id, "operation": reserved.operation, "client": reserved.client}
        session.add(self._entry(reserved.account_id, kind, **same, **back))


def _quotas(session: Session, account_id: int, tier: Tier, client: str, now: datetime) -> list[Limits]:
    """Return the quotas of a tier and what remains of each."""
    quotas = []
    day = _midnight(now)
    month = day.replace(day=1)
    if tier.per_day is not None and client != LOCAL_CLIENT:
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
