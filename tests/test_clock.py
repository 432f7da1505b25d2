"""The wall clock jumps by a day, forwards or back: no job is lost, runs twice at once or is charged twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from house import House, Stage, both, house_fixture, operations, until  # noqa: F401
from sqlalchemy import select

from stt_lab.accounts.accounts import SESSION_AGE, Accounts, Tier
from stt_lab.errors import RateLimited
from stt_lab.jobs.clocks import LeaseWatch, SteadyClock
from stt_lab.store import deliveries, models, queue
from stt_lab.store.database import Database
from stt_lab.store.models import DeliveryRow, now

DAY = timedelta(days=1)
Jump = Callable[[timedelta], None]
jumps = pytest.mark.parametrize("by", [DAY, -DAY], ids=["forwards", "back"])


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Sets the wall clock off by some time; the time that passes stays as it is."""

    def set_off(by: timedelta) -> None:
        monkeypatch.setattr(models, "wall_clock", lambda: datetime.now(UTC) + by)

    return set_off


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.RENEW_S", 0.2)
    monkeypatch.setattr("stt_lab.jobs.workers.LOOK_S", 0.05)


# Jobs


@both
@jumps
def test_a_running_job_runs_once(house: House, jump: Jump, by: timedelta) -> None:
    """Of two servers on one store: the clock of both jumps while one works."""
    first = house.server()
    info = house.ask(first, act="wait", background=True)
    until(lambda: Stage.began)
    second = house.server() if house.database.dialect == "postgresql" else first  # SQLite has one server
    jump(by)
    time.sleep(1.5)  # several renewals
    assert Stage.began == ["hello"]
    Stage.open.set()
    until(lambda: second.get(house.ada, info.id).status == "done")
    assert house.entries(info.id) == ["reserve", "settle"]
    assert house.spent() == 2
    assert house.rows()[0].attempts == 1


@both
@jumps
def test_a_waiting_job_is_not_lost(house: House, jump: Jump, by: timedelta) -> None:
    jobs = house.server(start=False)
    info = house.ask(jobs, background=True)
    jump(by)
    jobs.start()
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    assert house.spent() == 2


@both
@jumps
def test_a_job_of_a_lost_server_is_found_after_a_jump(
    house: House, jump: Jump, by: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease may end in a day by the clock that is right again: nobody renews it, which is what counts."""
    monkeypatch.setattr("stt_lab.jobs.clocks.LEASE", timedelta(seconds=1))
    jobs = house.server(start=False)
    info = house.ask(jobs, background=True)
    jump(by)
    with house.database.write() as session:
        queue.claim(session, "a server that is gone", 9)
    jump(timedelta())
    jobs._workers.start()
    until(lambda: jobs.get(house.ada, info.id).status == "done", 20)
    assert house.entries(info.id) == ["reserve", "settle"]


@jumps
def test_an_idempotency_key_is_still_known(house: House, jump: Jump, by: timedelta) -> None:
    jobs = house.server()
    made = house.ask(jobs, idempotency_key="k")
    jump(by)
    assert house.ask(jobs, idempotency_key="k") == made
    assert Stage.began == ["hello"]
    assert house.spent() == 2


@jumps
def test_results_are_kept(house: House, jump: Jump, by: timedelta) -> None:
    jobs = house.server()
    info = house.ask(jobs, store=False, background=True)
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    jump(by + timedelta(hours=1) if by > timedelta() else by)
    jobs._lifecycle.tidy()
    assert jobs.result(house.ada, info.id).value.text == "hello"


@jumps
def test_transcripts_are_kept_until_their_days_have_passed(house: House, jump: Jump, by: timedelta) -> None:
    jobs = house.server(retention_days=1)
    info = house.ask(jobs, background=True)
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    jump(by + timedelta(hours=1) if by > timedelta() else by)
    jobs._lifecycle.tidy()
    assert house.library.list(house.ada.account_id).count == 1


@jumps
def test_a_request_waits_no_shorter_and_no_longer(house: House, jump: Jump, by: timedelta) -> None:
    house.pool.capacity = 0  # one runner
    jobs = house.server(queue_timeout_s=30)
    asked = house.ask(jobs, act="wait", background=True)
    until(lambda: Stage.began)
    waiting = house.ask(jobs, "next", background=True)
    jump(by)
    time.sleep(0.5)
    assert jobs.get(house.ada, waiting.id).status in ("queued", "running")
    Stage.open.set()
    until(lambda: {jobs.get(house.ada, one.id).status for one in (asked, waiting)} == {"done"})


@both
def test_a_webhook_that_was_put_off_by_a_wrong_clock_is_called(house: House, jump: Jump) -> None:
    jobs = house.server(start=False)
    info = house.ask(jobs, background=True)
    jump(DAY)
    with house.database.write() as session:
        deliveries.add(session, info.id)
    jump(timedelta())
    with house.database.write() as session:
        assert deliveries.claim(session) is not None
        (row,) = session.scalars(select(DeliveryRow))
        assert row.next_attempt is not None
        assert row.next_attempt < now() + timedelta(minutes=2)


# Accounts


@jumps
def test_sessions_neither_end_early_nor_live_for_ever(database: Database, jump: Jump, by: timedelta) -> None:
    accounts = Accounts(database)
    account = accounts.create("Ada")
    jump(by)
    accounts.begin_session("made while the clock was wrong", account.id, None)
    jump(timedelta())
    accounts.begin_session("made with the right clock", account.id, None)
    for digest in ("made while the clock was wrong", "made with the right clock"):
        assert accounts.find_session(digest) is not None
        jump(by)
        assert accounts.find_session(digest) is not None
        jump(SESSION_AGE + 2 * DAY)
        assert accounts.find_session(digest) is None
        jump(timedelta())


@jumps
def test_a_quota_is_not_given_twice_after_the_clock_is_right_again(house: House, jump: Jump, by: timedelta) -> None:
    house.accounts.set_tier(Tier(name="few", minutes_per_month=2))
    account = house.accounts.create("bob", tier="few")
    house.accounts.reserve("job_1", account.id, "", "hum", 2)
    jump(by)
    jump(timedelta())
    with pytest.raises(RateLimited):
        house.accounts.reserve("job_2", account.id, "", "hum", 1)


# The clocks


def test_the_steady_clock_never_runs_ahead(jump: Jump) -> None:
    passed = 0.0
    clock = SteadyClock(lambda: passed)
    began = clock.now()
    jump(DAY)
    assert clock.now() - began < timedelta(seconds=5)
    passed = 3600.0
    assert timedelta(minutes=59) < clock.now() - began < timedelta(minutes=61)
    jump(-DAY)
    assert clock.now() < began


def test_a_lease_that_is_renewed_is_never_lost(house: House, jump: Jump) -> None:
    """Whatever the wall clock says, both of whoever renews and of whoever looks."""
    moment = 0.0
    watch = LeaseWatch(lambda: moment)
    jobs = house.server(start=False)
    info = house.ask(jobs, background=True)
    with house.database.write() as session:
        queue.claim(session, "another server", 9)
    for step in range(20):
        jump((step % 3 - 1) * DAY)
        house.change(info.id, lease_until=now() + queue.LEASE)
        jump(((step + 1) % 3 - 1) * DAY)
        with house.database.read() as session:
            assert watch.lost(queue.running(session), 7.5) == []
        moment += 5.0
    with house.database.read() as session:
        running = queue.running(session)
    moment += 60.0
    assert [row.id for row in watch.lost(running, 7.5)] == [info.id]
