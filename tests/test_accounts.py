"""Accounts, keys, quotas and credits, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, text

from stt_lab.accounts.accounts import ADMINISTRATOR_ID, ANONYMOUS_ID, Account, Accounts, Tier
from stt_lab.errors import BadInput, Cancelled, NoCredits, NotFound, RateLimited, SttError, Unauthorized
from stt_lab.store.database import Database
from stt_lab.store.models import Job, SessionRow

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  # the last day of a month
SQL_ID = 2**63
TESTS = Path(__file__).parent
_jobs = (f"job_{number}" for number in itertools.count())


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of last use are written at once here; tests/test_degraded.py has those that are written behind requests."""

    def note(self: Database, key: object, write: Callable[[Any], None]) -> None:
        with self.write() as session:
            write(session)

    monkeypatch.setattr(Database, "note", note)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    return Accounts(database, clock)


@pytest.fixture
def paid(accounts: Accounts) -> Account:
    return accounts.create("paid", tier="paid")


@pytest.fixture
def free(accounts: Accounts) -> Account:
    return accounts.create("free")


@pytest.fixture
def begin(accounts: Accounts, database: Database, clock: Clock) -> Callable[..., str]:
    """A job that was let in and is running."""

    def job(account_id: int, client: str = "") -> str:
        with database.write() as session:
            accounts.admit(session, account_id, client, clock())
            made = Job(id=next(_jobs), account_id=account_id, client=client, operation="transcribe", state="running")
            made.parameters, made.created = {}, clock()
            session.add(made)
        return made.id

    return job


@pytest.fixture
def end(accounts: Accounts, database: Database) -> Callable[[str, str], None]:
    """The end of a job, as the queue writes it."""

    def job(job_id: str, state: str) -> None:
        with database.write() as session:
            session.get_one(Job, job_id).state = state
            (accounts.settle if state == "done" else accounts.release)(session, job_id)

    return job


def refusals(accounts: Accounts, *calls: Callable[[], object]) -> Iterator[SttError | None]:
    for call in calls:
        try:
            call()
        except SttError as error:
            yield error
        else:
            yield None


# -- accounts


def test_an_account_is_made_found_and_changed(accounts: Accounts) -> None:
    made = accounts.create("  Ada Łovelace ", "ada@example.org")
    assert (made.name, made.email, made.tier, made.admin, made.disabled) == (
        "Ada Łovelace",
        "ada@example.org",
        "free",
        False,
        False,
    )
    assert accounts.get(made.id) == accounts.find("Ada Łovelace") == made
    changed = accounts.update(made.id, name="Ada", email="", tier="paid", admin=True, preferences={"news": False})
    assert (changed.name, changed.email, changed.tier, changed.admin) == ("Ada", None, "paid", True)
    assert accounts.list() == (accounts.get(ADMINISTRATOR_ID), accounts.get(ANONYMOUS_ID), changed)
    assert accounts.update(made.id, name="Ada") == changed  # its own name is not taken


BAD_CHANGES: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "   "},
    {"name": "a" * 121},
    {"name": "a\nb"},
    {"name": "a\x00b"},
    {"name": "\ud800"},
    {"name": 5},
    {"name": "taken"},
    {"name": "administrator"},
    {"email": "nobody"},
    {"email": "a@b\x00"},
    {"email": "a@" + "b" * 260},
    {"tier": "golden"},
    {"tier": "\x00"},
    {"preferences": ["news"]},
    {"preferences": {"a": "b" * 4000}},
    {"preferences": {"a": float("nan")}},
    {"preferences": {"a": object()}},
    {"admin": "yes"},
    {"disabled": 1},
    {"id": 7},
    {"created": NOON},
]


def test_a_bad_change_is_refused_and_changes_nothing(accounts: Accounts) -> None:
    accounts.create("taken")
    made = accounts.create("Ada")
    for bad in BAD_CHANGES:
        with pytest.raises(BadInput) as caught:
            accounts.update(made.id, **{"email": "new@example.org", **bad})
        assert str(caught.value).endswith("."), bad
        if bad.keys() <= {"name", "email", "tier"}:
            with pytest.raises(BadInput):
                accounts.create(**{"name": "New", **bad})
    assert accounts.get(made.id) == made
    assert len(accounts.list()) == 4


def test_one_of_two_who_choose_a_name_at_once_has_it(accounts: Accounts) -> None:
    outcomes = race(*(lambda: accounts.create("Ada") for _ in range(4)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Account", "BadInput", "BadInput", "BadInput"]


def test_unknown_accounts_and_keys_are_not_found(accounts: Accounts) -> None:
    calls: list[Callable[[], object]] = []
    for number in (99, 0, -1, SQL_ID, 10**30):
        calls += [
            lambda number=number: accounts.get(number),
            lambda number=number: accounts.update(number, name="x"),
            lambda number=number: accounts.keys(number),
            lambda number=number: accounts.create_key(number, "x", ["speech"]),
            lambda number=number: accounts.revoke_key(ADMINISTRATOR_ID, number),
            lambda number=number: accounts.grant(number, 5),
            lambda number=number: accounts.balance(number),
            lambda number=number: accounts.ledger(number),
            lambda number=number: accounts.usage(number),
            lambda number=number: accounts.limits(number),
        ]
    calls += [lambda: accounts.find("nobody"), lambda: accounts.find("\x00"), lambda: accounts.find("\ud800")]
    assert {type(error) for error in refusals(accounts, *calls)} == {NotFound}


def test_the_accounts_of_the_installation_keep_what_it_rests_on(accounts: Accounts) -> None:
    for account_id, changes in (
        (ADMINISTRATOR_ID, {"admin": False}),
        (ADMINISTRATOR_ID, {"disabled": True}),
        (ADMINISTRATOR_ID, {"tier": "free"}),
        (ANONYMOUS_ID, {"admin": True}),
    ):
        with pytest.raises(BadInput):
            accounts.update(account_id, **changes)
    with pytest.raises(BadInput):
        accounts.create_key(ANONYMOUS_ID, "mine", ["speech"])
    assert accounts.update(ADMINISTRATOR_ID, email="root@example.org").email == "root@example.org"
    assert accounts.update(ANONYMOUS_ID, disabled=True).disabled


def test_tiers_are_rows(accounts: Accounts, free: Account) -> None:
    accounts.set_tier(Tier(name="team", minutes_per_month=10, concurrent_jobs=1))
    accounts.set_tier(Tier(name="team", minutes_per_month=20, takes_credits=True))
    assert accounts.tiers()["team"] == Tier(name="team", minutes_per_month=20, takes_credits=True)
    accounts.update(free.id, tier="team")
    assert accounts.tier_of(free.id).minutes_per_month == 20
    for bad in (Tier(name=""), Tier(name="Team"), Tier(name="t", per_day=-1), Tier(name="t", max_upload_mb=10**12)):
        with pytest.raises(BadInput):
            accounts.set_tier(bad)
    assert "t" not in accounts.tiers()


# -- keys


def test_a_key_opens_its_account_until_it_is_revoked(accounts: Accounts, free: Account, database: Database) -> None:
    key, raw = accounts.create_key(free.id, "laptop", ["speech", "library", "speech"])
    assert (key.name, key.scopes, key.prefix) == ("laptop", ("library", "speech"), raw[:12])
    assert len(raw) == 4 + 43
    assert raw.startswith("stt_")
    assert accounts.identify(raw) == (free, key)
    other = Accounts(database)  # another server
    accounts.revoke_key(free.id, key.id)
    for server in (accounts, other):
        with pytest.raises(Unauthorized):
            server.identify(raw)
    with pytest.raises(NotFound):
        accounts.revoke_key(free.id, key.id)
    assert accounts.keys(free.id) == ()
    assert [old.id for old in accounts.keys(free.id, revoked=True)] == [key.id]


def test_the_secret_is_nowhere_in_the_store(accounts: Accounts, free: Account, database: Database) -> None:
    key, raw = accounts.create_key(free.id, "laptop", ["speech"])
    with database.read() as session:
        rows = str(session.execute(text("SELECT * FROM api_keys")).all())
    assert raw[12:] not in rows + repr(key)


def test_wrong_keys_are_all_refused_alike(accounts: Accounts, free: Account) -> None:
    _, raw = accounts.create_key(free.id, "laptop", ["speech"])
    wrong = [
        "",
        "stt_",
        raw[:-1],
        raw + "A",
        raw[:12] + "A" * 35,
        raw.upper(),
        f"{raw}\n",
        "stt_" + "é" * 43,
        "\x00",
        "\ud800",
    ]
    said = {str(error) for error in refusals(accounts, *(lambda one=one: accounts.identify(one) for one in wrong))}
    assert len(said) == 1
    assert raw[:12] not in said.pop()


def test_a_disabled_account_is_refused(accounts: Accounts, free: Account) -> None:
    _, raw = accounts.create_key(free.id, "laptop", ["speech"])
    accounts.update(free.id, disabled=True)
    with pytest.raises(Unauthorized, match="disabled"):
        accounts.identify(raw)
    accounts.update(free.id, disabled=False)
    accounts.identify(raw)


def test_others_keys_cannot_be_revoked(accounts: Accounts, free: Account, paid: Account) -> None:
    key, raw = accounts.create_key(free.id, "laptop", ["speech"])
    with pytest.raises(NotFound):
        accounts.revoke_key(paid.id, key.id)
    accounts.identify(raw)


def test_last_use_is_noted_once_a_minute(accounts: Accounts, free: Account, clock: Clock) -> None:
    key, raw = accounts.create_key(free.id, "laptop", ["speech"])
    assert key.last_used is None
    for seconds, noted in ((0, 0), (59, 0), (60, 60), (61, 60)):
        clock.time = NOON + timedelta(seconds=seconds)
        accounts.identify(raw)
        assert accounts.keys(free.id)[0].last_used == NOON + timedelta(seconds=noted)


def test_a_bad_key_is_refused(accounts: Accounts, free: Account) -> None:
    for name, scopes in (("", ["speech"]), ("x", []), ("x", ["Speech!"]), ("x", ["a" * 50])):
        with pytest.raises(BadInput):
            accounts.create_key(free.id, name, scopes)
    assert accounts.keys(free.id) == ()


def test_an_account_has_a_bounded_number_of_keys(
    accounts: Accounts, free: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt_lab.accounts.accounts.MOST_KEYS", 2)
    keys = [accounts.create_key(free.id, "one of two", ["speech"])[0] for _ in range(2)]
    with pytest.raises(BadInput):
        accounts.create_key(free.id, "third", ["speech"])
    accounts.revoke_key(free.id, keys[0].id)
    accounts.create_key(free.id, "third", ["speech"])


# -- sessions of the page


def begin_sessions(accounts: Accounts, account_id: int, *digests: str, key_id: int | None = None) -> None:
    for digest in digests:
        accounts.begin_session(digest, account_id, key_id)


def rows_of_sessions(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(SessionRow.digest).order_by(SessionRow.digest)))


def test_a_session_is_its_accounts_and_its_keys(accounts: Accounts, free: Account) -> None:
    key, _ = accounts.create_key(free.id, "laptop", ["speech"])
    begin_sessions(accounts, free.id, "a", key_id=key.id)
    begin_sessions(accounts, ADMINISTRATOR_ID, "b")
    assert accounts.find_session("a") == (free, key)
    assert accounts.find_session("b") == (accounts.get(ADMINISTRATOR_ID), None)
    assert accounts.find_session("c") is None


def test_a_session_expires(accounts: Accounts, free: Account, clock: Clock) -> None:
    begin_sessions(accounts, free.id, "a")
    for day in range(0, 30, 10):
        clock.time = NOON + timedelta(days=day)
        assert accounts.find_session("a"), day
    clock.time = NOON + timedelta(days=30, seconds=-1)
    assert accounts.find_session("a")
    clock.time = NOON + timedelta(days=30)
    assert accounts.find_session("a") is None


def test_a_session_that_nobody_uses_expires_sooner(accounts: Accounts, free: Account, clock: Clock) -> None:
    begin_sessions(accounts, free.id, "a")
    clock.time = NOON + timedelta(days=14)
    assert accounts.find_session("a") is None


def test_the_last_use_of_a_session_is_noted_once_an_hour(
    accounts: Accounts, free: Account, clock: Clock, database: Database
) -> None:
    begin_sessions(accounts, free.id, "a")
    for minutes, noted in ((0, 0), (59, 0), (60, 60), (61, 60)):
        clock.time = NOON + timedelta(minutes=minutes)
        assert accounts.find_session("a")
        with database.read() as session:
            assert session.scalar(select(SessionRow.used)) == NOON + timedelta(minutes=noted)


def test_old_sessions_are_removed(
    accounts: Accounts, free: Account, paid: Account, clock: Clock, database: Database
) -> None:
    begin_sessions(accounts, free.id, "a", "b")
    clock.time = NOON + timedelta(days=10)
    begin_sessions(accounts, free.id, "c")
    assert accounts.find_session("b")
    clock.time = NOON + timedelta(days=15)
    begin_sessions(accounts, paid.id, "d")
    assert rows_of_sessions(database) == ["b", "c", "d"]


def test_an_account_has_a_bounded_number_of_sessions(
    accounts: Accounts, free: Account, paid: Account, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt_lab.accounts.accounts.MOST_SESSIONS", 2)
    begin_sessions(accounts, paid.id, "z")
    begin_sessions(accounts, free.id, "c", "b", "a")
    assert rows_of_sessions(database) == ["a", "b", "z"]  # the oldest has ended


def test_sessions_are_ended(accounts: Accounts, free: Account, paid: Account, database: Database) -> None:
    key, _ = accounts.create_key(free.id, "laptop", ["speech"])
    begin_sessions(accounts, free.id, "a", "b", "c")
    begin_sessions(accounts, free.id, "k", key_id=key.id)
    begin_sessions(accounts, paid.id, "p")
    accounts.end_session("a")
    accounts.end_session("unknown")
    assert rows_of_sessions(database) == ["b", "c", "k", "p"]
    accounts.revoke_key(free.id, key.id)
    assert rows_of_sessions(database) == ["b", "c", "p"]
    assert accounts.end_sessions(free.id) == 2
    assert accounts.end_sessions() == 1
    assert accounts.end_sessions() == 0
    with pytest.raises(NotFound):
        accounts.end_sessions(SQL_ID)


def test_a_session_that_begins_after_its_key_was_revoked_opens_nothing(accounts: Accounts, free: Account) -> None:
    """Somebody signs in while the administrator revokes the key or switches the account off."""
    key, _ = accounts.create_key(free.id, "laptop", ["speech"])
    accounts.revoke_key(free.id, key.id)
    begin_sessions(accounts, free.id, "a", key_id=key.id)
    assert accounts.find_session("a") is None
    accounts.update(free.id, disabled=True)
    begin_sessions(accounts, free.id, "b")
    assert accounts.find_session("b") is None


# -- credits


def test_credits_are_taken_for_success_only(
    accounts: Accounts, paid: Account, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    assert accounts.grant(paid.id, 10, "welcome") == 10
    accounts.reserve(job := begin(paid.id), paid.id, "", "transcribe", 4)
    assert accounts.balance(paid.id) == 6
    end(job, "done")
    accounts.reserve(job := begin(paid.id), paid.id, "", "transcribe", 5)
    accounts.reserve(job, paid.id, "", "transcribe", 5)  # it runs again after a crash
    assert accounts.balance(paid.id) == 1
    end(job, "failed")
    assert accounts.balance(paid.id) == 6
    with pytest.raises(NoCredits, match="7 needed"):
        accounts.reserve(begin(paid.id), paid.id, "", "transcribe", 7)
    lines = accounts.ledger(paid.id)
    assert [(line.kind, line.credits, line.minutes) for line in lines] == [
        ("release", 5, -5),
        ("reserve", -5, 5),
        ("settle", 0, 0),
        ("reserve", -4, 4),
        ("grant", 10, 0),
    ]
    assert (lines[-1].note, lines[0].operation, lines[0].job_id) == ("welcome", "transcribe", job)
    assert accounts.ledger(paid.id, limit=2, offset=3) == lines[3:]


def test_the_ends_of_a_job_exclude_each_other(
    accounts: Accounts, paid: Account, database: Database, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    accounts.grant(paid.id, 10)
    for first, second in (("done", "failed"), ("failed", "done")):
        accounts.reserve(job := begin(paid.id), paid.id, "", "transcribe", 1)
        end(job, first)
        before = accounts.ledger(paid.id)
        end(job, first)  # told twice
        with pytest.raises(Cancelled):
            end(job, second)
        with pytest.raises(Cancelled):
            accounts.reserve(job, paid.id, "", "transcribe", 1)
        assert accounts.ledger(paid.id) == before
        with database.read() as session:
            assert session.get_one(Job, job).state == first  # the refused end left nothing


def test_a_job_that_was_cancelled_before_it_reserved_takes_nothing(
    accounts: Accounts, paid: Account, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    accounts.grant(paid.id, 10)
    end(job := begin(paid.id), "cancelled")
    with pytest.raises(Cancelled):
        accounts.reserve(job, paid.id, "", "transcribe", 1)
    assert accounts.balance(paid.id) == 10


def test_without_credits_a_job_is_not_let_in(accounts: Accounts, paid: Account, begin: Callable[..., str]) -> None:
    with pytest.raises(NoCredits):
        begin(paid.id)


def test_a_bad_grant_is_refused(accounts: Accounts, paid: Account) -> None:
    accounts.grant(paid.id, 10)
    for credits in (0, -11, 10**10, -(10**10)):
        with pytest.raises(BadInput):
            accounts.grant(paid.id, credits)
    with pytest.raises(BadInput):
        accounts.grant(paid.id, 1, "x" * 201)
    assert accounts.balance(paid.id) == 10
    assert accounts.grant(paid.id, -10) == 0


def test_the_administrator_has_no_limits(accounts: Accounts, begin: Callable[..., str]) -> None:
    for _ in range(6):
        accounts.reserve(begin(ADMINISTRATOR_ID), ADMINISTRATOR_ID, "", "transcribe", 500)
    assert accounts.limits(ADMINISTRATOR_ID) is None
    assert accounts.balance(ADMINISTRATOR_ID) == 0
    assert accounts.usage(ADMINISTRATOR_ID, 10**2)


# -- quotas


def test_free_minutes_are_counted_by_month(
    accounts: Accounts, free: Account, clock: Clock, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    accounts.reserve(kept := begin(free.id), free.id, "", "transcribe", 500)
    end(kept, "done")
    accounts.reserve(open_ := begin(free.id), free.id, "", "transcribe", 60)
    with pytest.raises(RateLimited, match="40 of 600 minutes are left") as caught:
        accounts.reserve(second := begin(free.id), free.id, "", "transcribe", 41)
    limits = accounts.limits(free.id)
    assert limits is not None
    assert (limits.unit, limits.limit, limits.remaining, limits.reset) == ("minutes", 600, 40, 43_200)
    assert caught.value.retry_after == 43_200
    end(second, "failed")
    clock.time = NOON + timedelta(hours=12)  # February
    end(open_, "failed")  # January's minutes come back in January
    limits = accounts.limits(free.id)
    assert limits is not None
    assert (limits.remaining, limits.reset) == (600, 28 * 86_400)
    accounts.reserve(begin(free.id), free.id, "", "transcribe", 600)
    with pytest.raises(RateLimited) as caught:
        begin(free.id)
    assert caught.value.retry_after == 86_400  # a month is longer, but to wait for it is asked by days


def test_anonymous_callers_have_three_a_day_each(
    accounts: Accounts, clock: Clock, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    def transcribe(client: str, state: str) -> None:
        accounts.reserve(job := begin(ANONYMOUS_ID, client), ANONYMOUS_ID, client, "transcribe", 1)
        end(job, state)

    for state in ("failed", "done", "cancelled", "done", "failed"):  # what failed is not counted
        transcribe("one", state)
    running = begin(ANONYMOUS_ID, "one")
    limits = accounts.limits(ANONYMOUS_ID, "one")
    assert limits is not None
    assert (limits.unit, limits.limit, limits.remaining, limits.reset) == ("transcriptions", 3, 0, 43_200)
    accounts.reserve(running, ANONYMOUS_ID, "one", "transcribe", 1)
    assert accounts.limits(ANONYMOUS_ID, "one") == limits  # in flight and reserved is one
    end(running, "done")
    with pytest.raises(RateLimited, match="day") as caught:
        begin(ANONYMOUS_ID, "one")
    assert caught.value.retry_after == limits.reset
    transcribe("two", "done")
    clock.time += timedelta(hours=12)
    transcribe("one", "done")


def test_jobs_at_once_are_bounded(
    accounts: Accounts, free: Account, paid: Account, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    accounts.grant(paid.id, 100)
    for account_id, most in ((ANONYMOUS_ID, 1), (free.id, 2), (paid.id, 5)):
        jobs = [begin(account_id, "one") for _ in range(most)]
        with pytest.raises(RateLimited, match="at once") as caught:
            begin(account_id, "one")
        assert caught.value.retry_after
        end(jobs[0], "done")
        begin(account_id, "one")
    begin(ANONYMOUS_ID, "two")


def test_anonymous_use_can_be_switched_off(accounts: Accounts, begin: Callable[..., str]) -> None:
    accounts.update(ANONYMOUS_ID, disabled=True)
    with pytest.raises(Unauthorized):
        begin(ANONYMOUS_ID, "one")


def test_usage_has_a_row_a_day(
    accounts: Accounts, paid: Account, clock: Clock, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    accounts.grant(paid.id, 100)
    for days_ago, minutes, operation, state in (
        (40, 1, "transcribe", "done"),
        (29, 2, "transcribe", "done"),
        (1, 4, "transcribe", "failed"),
        (0, 8, "transcribe", "done"),
        (0, 16, "tts", "done"),
        (0, 32, "transcribe", "done"),
    ):
        clock.time = NOON.replace(hour=23, minute=59) - timedelta(days=days_ago)
        accounts.reserve(job := begin(paid.id), paid.id, "", operation, minutes)
        end(job, state)
    days = accounts.usage(paid.id)
    assert [day.day for day in days] == [date(2026, 1, 2) + timedelta(days=number) for number in range(30)]
    assert [(day.minutes, day.credits, day.jobs) for day in days if day.jobs] == [(2, 2, 1), (56, 56, 3)]
    assert sorted((one.operation, one.minutes, one.jobs) for one in days[-1].operations) == [
        ("transcribe", 40, 2),
        ("tts", 16, 1),
    ]
    for bad in (0, 367):
        with pytest.raises(BadInput):
            accounts.usage(paid.id, bad)


# -- at once


def race(*calls: Callable[[], object]) -> list[object]:
    """What each call gave or raised; all start together."""
    outcomes: list[object] = []
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        start.wait()
        try:
            outcomes.append(call())
        except SttError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_the_last_credits_are_spent_once(database_url: str) -> None:
    servers = [Database(database_url) for _ in range(4)]  # pools of their own, as processes have
    account = Accounts(servers[0]).create("paid", tier="paid")
    for turn in range(5):
        Accounts(servers[0]).grant(account.id, 3)
        calls = [
            partial(Accounts(servers[number % 4]).reserve, f"r{turn}_{number}", account.id, "", "tts", 2)
            for number in range(8)
        ]
        outcomes = race(*calls)
        left = 3 * (turn + 1) - 2 * sum(entry.kind == "reserve" for entry in Accounts(servers[0]).ledger(account.id))
        assert {type(outcome) for outcome in outcomes} == {type(None), NoCredits}
        assert Accounts(servers[0]).balance(account.id) == left in (0, 1)
    for server in servers:
        server.close()


def test_one_of_the_two_ends_of_a_job_wins(accounts: Accounts, paid: Account, database: Database) -> None:
    accounts.grant(paid.id, 100)

    def finish(job: str, how: Callable[..., None]) -> None:
        with database.write() as session:
            how(session, job)

    for turn in range(5):
        accounts.reserve(job := f"e{turn}", paid.id, "", "tts", 2)
        outcomes = race(*(lambda how=how: finish(job, how) for how in (accounts.settle, accounts.release) * 2))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Cancelled"] * 2 + ["NoneType"] * 2
        assert len([entry for entry in accounts.ledger(paid.id) if entry.job_id == job]) == 2


def test_a_reservation_on_its_way_is_given_back(
    accounts: Accounts, paid: Account, begin: Callable[..., str], end: Callable[[str, str], None]
) -> None:
    accounts.grant(paid.id, 5)
    for _ in range(5):
        job = begin(paid.id)
        race(partial(accounts.reserve, job, paid.id, "", "transcribe", 5), partial(end, job, "cancelled"))
        assert accounts.balance(paid.id) == 5


def test_no_more_jobs_at_once_than_the_tier_has(free: Account, begin: Callable[..., str]) -> None:
    outcomes = race(*(lambda: begin(free.id) for _ in range(6)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["RateLimited"] * 4 + ["str"] * 2


# -- whatever happens, the ledger adds up


class Ledger(RuleBasedStateMachine):
    """Random grants, reservations and ends of jobs beside a model of what should be."""

    accounts: Accounts
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.account = self.accounts.create(f"account {next(_jobs)}", tier="paid").id
        self.balance = 0
        self.jobs: dict[str, tuple[int, str]] = {}  # credits, state

    @rule(credits=st.integers(-20, 20))
    def grant(self, credits: int) -> None:
        try:
            self.balance = self.accounts.grant(self.account, credits)
        except BadInput:
            assert credits == 0 or self.balance + credits < 0

    @rule(minutes=st.integers(0, 15))
    def reserve(self, minutes: int) -> None:
        job = next(_jobs)
        try:
            self.accounts.reserve(job, self.account, "", "tts", minutes)
        except NoCredits:
            assert minutes > self.balance
        else:
            self.balance -= minutes
            self.jobs[job] = (minutes, "reserve")

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def run_again(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        try:
            self.accounts.reserve(job, self.account, "", "tts", self.jobs[job][0])
        except Cancelled:
            assert self.jobs[job][1] != "reserve"

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), how=st.sampled_from(["settle", "release"]))
    def end(self, data: st.DataObject, how: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        credits, state = self.jobs[job]
        try:
            with self.database.write() as session:
                getattr(self.accounts, how)(session, job)
        except Cancelled:
            assert state not in ("reserve", how)
        else:
            self.balance += credits if (state, how) == ("reserve", "release") else 0
            self.jobs[job] = (credits, how)

    @invariant()
    def the_sum_is_the_balance(self) -> None:
        entries = self.accounts.ledger(self.account, 1000)
        assert sum(entry.credits for entry in entries) == self.accounts.balance(self.account) == self.balance >= 0
        kinds: dict[str | None, list[str]] = {}
        for entry in entries:
            kinds.setdefault(entry.job_id, []).insert(0, entry.kind)
        for job, (_, state) in self.jobs.items():
            assert kinds[job] == (["reserve"] if state == "reserve" else ["reserve", state])


def test_the_ledger_adds_up(accounts: Accounts, database: Database) -> None:
    machine = type("Bound", (Ledger,), {"accounts": accounts, "database": database})
    few = settings(max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)


def killed_spenders(url: str, account_id: int, pairs: int) -> set[tuple[str, str]]:
    """Two servers at once spend and are killed wherever they are, so many times; the steps that they said were done."""
    rng, said, dead = random.Random(4), set[tuple[str, str]](), set[str]()
    command = [sys.executable, str(TESTS / "spender.py"), url, str(account_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as spenders:
        assert spenders.stdin
        assert spenders.stdout
        for _ in range(pairs):
            print("one", "another", sep="\n", file=spenders.stdin, flush=True)
            alive = set[str]()
            while len(alive) < 2:  # both have taken something
                what, job = spenders.stdout.readline().split()
                said.add((what, job))
                alive |= {job.split("_")[1]} - dead
            for process in alive:
                time.sleep(rng.uniform(0, 0.1))
                os.kill(int(process), signal.SIGKILL)
            dead |= alive
        spenders.stdin.close()
        return said | {(what, job) for what, job in map(str.split, spenders.stdout)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_loses_nothing_and_doubles_nothing(accounts: Accounts, paid: Account, database_url: str) -> None:
    said = killed_spenders(database_url, paid.id, pairs=6)
    pages = (accounts.ledger(paid.id, 1000, offset) for offset in range(0, 100_000, 1000))
    entries = sorted(itertools.chain.from_iterable(itertools.takewhile(bool, pages)), key=lambda entry: entry.id)
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault(entry.job_id or entry.kind, []).append(entry.kind)
    del kinds["grant"]
    assert len(said) > 20
    assert all(what in kinds[job] for what, job in said)
    assert {tuple(one) for one in kinds.values()} <= {("reserve",), ("reserve", "settle"), ("reserve", "release")}
    assert sum(one == ["reserve"] for one in kinds.values()) <= 12  # those of the kills
    assert min(itertools.accumulate(entry.credits for entry in entries)) >= 0
    granted = sum(entry.credits for entry in entries if entry.kind == "grant")
    taken = sum(entry.minutes for entry in entries if kinds.get(entry.job_id or "", [""])[-1] in ("reserve", "settle"))
    assert accounts.balance(paid.id) == granted - taken
