"""The queue: jobs are admitted, worked on once, charged once, found again, and survive the end of a server."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import cluster
from fakes import PATHS
from house import STAGES, TESTS, House, Stage, both, client, house_fixture, house_on, operations, until  # noqa: F401
from sqlalchemy import select

import stt_lab.jobs
from stt_lab.caller import Caller
from stt_lab.errors import (
    BadInput,
    Busy,
    Cancelled,
    Conflict,
    Disconnected,
    EngineCrashed,
    IdempotencyMismatch,
    NotFound,
    RateLimited,
    SttError,
    Unavailable,
)
from stt_lab.jobs import JobQueue
from stt_lab.jobs.progress import Progress
from stt_lab.registry import OPERATIONS, Charge, Operation
from stt_lab.store import queue
from stt_lab.store.models import ADMINISTRATOR_ID, Job, now
from stt_lab.types import Event, JobInfo, Transcript

# -- the way of a job


@both
def test_a_request_gets_the_result_of_its_job(house: House) -> None:
    made = house.ask(house.server(), "hello world")
    assert isinstance(made, Transcript)
    assert made.text == "hello world"
    (row,) = house.rows()
    assert (row.state, row.percent, row.attempts, row.error) == ("done", 100.0, 1, None)
    assert row.created <= (row.started or now()) <= (row.finished or now())
    assert made.id == row.transcript_id
    assert house.library.transcript(house.ada.account_id, str(made.id)).text == "hello world"
    assert house.library.get(house.ada.account_id, str(made.id)).title == "talk.wav"
    assert house.spent() == 2  # 61 s
    assert house.entries(row.id) == ["reserve", "settle"]
    until(lambda: house.stray() == [])
    (kept,) = (house.folder / "data" / "audio").iterdir()
    assert kept.read_text() == "hello world"
    assert house.file("hello world").exists()  # the upload is its receiver's


def test_folders_are_their_owners_only(house: House) -> None:
    jobs = house.server(start=False)
    house.ask(jobs, background=True)
    data = house.folder / "data"
    assert [folder.stat().st_mode & 0o777 for folder in (data / "jobs", data / "audio", *house.stray())] == [0o700] * 3


def test_a_rendering_comes_as_it_was_asked_for(house: House) -> None:
    jobs = house.server()
    made = house.ask(jobs, response_format="srt", idempotency_key="k")
    assert made.format == "srt"
    assert "hello" in made.text
    assert house.ask(jobs, response_format="srt", idempotency_key="k") == made
    verbose = house.ask(jobs, response_format="verbose_json")
    assert f'"id": {verbose.transcript.id},' in verbose.text


def test_a_background_job_goes_its_way(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, act="wait", background=True)
    assert isinstance(info, JobInfo)
    assert (info.status, info.url) == ("queued", f"/v1/jobs/{info.id}")
    until(lambda: jobs.get(house.ada, info.id).status == "running")
    with pytest.raises(Conflict):
        jobs.result(house.ada, info.id)
    Stage.open.set()
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    assert jobs.result(house.ada, info.id).value.text == "hello"


@both
def test_who_does_not_store_gets_the_result_for_a_day(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, store=False, background=True)
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    assert jobs.result(house.ada, info.id).value.text == "hello"
    assert jobs.get(house.ada, info.id).transcript_id is None
    house.change(info.id, finished=now() - timedelta(days=1, minutes=1))
    jobs._lifecycle.tidy()
    with pytest.raises(NotFound):
        jobs.result(house.ada, info.id)
    house.change(info.id, finished=now() - timedelta(days=31))
    jobs._lifecycle.tidy()
    assert house.rows() == []


def test_nothing_is_kept_of_what_nobody_can_ask_for(house: House) -> None:
    house.ask(house.server(), store=False)
    house.ask(house.servers[0], caller=client("a"))
    with house.database.read() as session:
        assert session.scalars(select(Job.result)).all() == [None, None]
    assert house.library.list(house.ada.account_id).count == 0
    assert list((house.folder / "data" / "audio").iterdir()) == []


def test_audio_is_not_kept_where_the_setting_says_so(house: House) -> None:
    house.ask(house.server(keep_audio=False))
    assert list((house.folder / "data" / "audio").iterdir()) == []


@both
@pytest.mark.parametrize(("act", "kind"), [("bad", BadInput), ("crash", EngineCrashed), ("broken", SttError)])
def test_what_fails_costs_nothing(house: House, act: str, kind: type[SttError]) -> None:
    with pytest.raises(kind) as raised:
        house.ask(house.server(), act=act)
    (row,) = house.rows()
    assert row.state == "failed"
    assert row.error == {"error": str(raised.value), "code": kind.code, "status": kind.status}
    assert "secret" not in str(raised.value)
    assert house.spent() == 0
    assert house.entries(row.id) == ["release", "reserve"]
    until(lambda: house.stray() == [])
    assert house.library.list(house.ada.account_id, status="failed").count == 1


def test_progress_reaches_who_waits_and_the_store(house: House) -> None:
    jobs, seen = house.server(), []
    threading.Timer(1.3, Stage.open.set).start()
    house.ask(jobs, act="wait", report=lambda event: seen.append(event.stage))
    assert list(dict.fromkeys(seen))[-2:] == ["decoding", "transcribing"]
    other = house.ask(jobs, background=True)  # the store's
    until(lambda: jobs.get(house.ada, other.id).percent == 100)


def test_progress_is_of_the_whole_job() -> None:
    clock = [0.0]
    progress = Progress(STAGES, lambda: clock[0])
    shown = []
    for moment, stage, fraction in [
        (0, "queued", 0), (1, "decoding", 0), (2, "decoding", 1), (3, "queued", 0), (9, "transcribing", 0),
        (19, "transcribing", 0.5), (29, "transcribing", 1), (30, "diarizing", 0), (40, "diarizing", 1),
        (41, "joining", 0),
    ]:  # fmt: skip
        clock[0] = moment
        progress.see(Event(stage, fraction))
        shown.append(progress.percent)
    assert shown == sorted(shown)
    assert shown[2] == 5
    assert shown[5] == 35
    assert shown[-1] == 97
    assert Progress(STAGES).eta_s is None


def test_the_rest_is_expected_at_the_speed_so_far() -> None:
    clock = [0.0]
    progress = Progress(STAGES, lambda: clock[0])
    progress.see(Event("transcribing", 0.0))
    assert progress.eta_s is None
    clock[0] = 30.0
    progress.see(Event("transcribing", 0.5))
    assert progress.eta_s == pytest.approx(65.0)  # a second for each percent


def test_waiting_and_loading_are_told_apart_from_work(house: House) -> None:
    clock = [0.0]
    progress = Progress(STAGES, lambda: clock[0])
    moments = [(1, "decoding"), (2, "loading"), (5, "transcribing"), (9, "loading"), (10, "queued"), (14, "joining")]
    for moment, stage in moments:
        clock[0] = moment
        progress.see(Event(stage))
    assert progress.seconds == {"queued": 5, "loading": 4}
    jobs = house.server()
    first = house.ask(jobs, "first", act="wait", background=True)
    until(lambda: len(Stage.began) == 1)
    waiting = [house.ask(jobs, text, act="idle", background=True).id for text in ("b", "c", "d")]
    time.sleep(0.5)
    Stage.open.set()
    until(lambda: {jobs.get(house.ada, one).status for one in (first.id, *waiting)} == {"done"})
    last = jobs.get(house.ada, waiting[-1])
    assert last.started
    assert last.finished
    queued = (last.started - last.created).total_seconds()
    assert 0.3 <= last.loading_s <= (last.finished - last.started).total_seconds() - 0.3
    assert queued + 0.2 <= last.waited_s <= (last.finished - last.created).total_seconds() - last.loading_s


def test_there_is_a_runner_for_each_device(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.LOOK_S", 0.02)
    jobs = house.server()
    ids = [house.ask(jobs, f"text {number}", act="wait", background=True).id for number in range(7)]
    until(lambda: len(Stage.began) == 2)  # one decodes ahead
    house.pool.capacity = 3  # nodes have come
    until(lambda: len(Stage.began) == 4)
    house.pool.capacity = 1  # and gone
    Stage.open.set()
    until(lambda: {jobs.get(house.ada, one).status for one in ids} == {"done"})
    Stage.reset()
    for text in ("a", "b", "c"):
        house.ask(jobs, text, act="wait", background=True)
    until(lambda: len(Stage.began) == 2)
    time.sleep(0.1)
    assert len(Stage.began) == 2


# -- limits


@both
def test_a_full_queue_refuses(house: House) -> None:
    jobs = house.server(queue_size=1)
    for text in ("one", "two"):
        house.ask(jobs, text, act="wait", background=True)
    with pytest.raises(Busy) as raised:
        house.ask(jobs, "three")
    assert raised.value.retry_after
    assert len(house.rows()) == 2
    assert len(house.stray()) == 2
    assert house.library.list(house.ada.account_id).count == 2


def test_the_tier_limits_jobs_at_once(house: House) -> None:
    jobs = house.server()
    house.ask(jobs, act="wait", background=True, caller=client("a"))
    with pytest.raises(RateLimited):
        house.ask(jobs, caller=client("a"))
    assert house.ask(jobs, caller=client("b")).text == "hello"
    assert len(house.stray()) == 1


@both
def test_one_account_does_not_starve_another(house: House) -> None:
    jobs = house.server(start=False)
    bob = Caller("bob", frozenset({"speech"}), account_id=ADMINISTRATOR_ID)
    for text in ("a1", "a2", "a3"):
        house.ask(jobs, text, background=True)
    house.ask(jobs, "b1", background=True, caller=bob)
    with house.database.write() as session:
        order = [queue.claim(session, "w", 9) for _ in range(5)]
    taken = [row.account_id for row in order if row]
    assert taken == [house.ada.account_id, bob.account_id, house.ada.account_id, house.ada.account_id]


def test_the_last_runners_are_for_owners_without_a_job(house: House) -> None:
    jobs = house.server(start=False)
    bob = Caller("bob", frozenset({"speech"}), account_id=ADMINISTRATOR_ID)
    for text in ("a1", "a2", "a3"):
        house.ask(jobs, text, background=True)
    with house.database.write() as session:
        claimed = [queue.claim(session, "w", 2) for _ in range(3)]
    assert [row is None for row in claimed] == [False, False, True]
    for text in ("b1", "b2"):
        house.ask(jobs, text, background=True, caller=bob)
    with house.database.write() as session:
        claimed = [queue.claim(session, "w", 2) for _ in range(2)]
    assert [row and row.account_id for row in claimed] == [bob.account_id, None]


# -- cancel, and callers who go away


def test_cancel_stops_a_running_job(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, act="wait", background=True)
    until(lambda: Stage.began)
    began = time.monotonic()
    jobs.cancel(house.ada, info.id)
    until(lambda: jobs.get(house.ada, info.id).status == "cancelled")
    assert time.monotonic() - began < 2
    assert house.entries(info.id) == ["release", "reserve"]
    until(lambda: house.stray() == [])
    assert house.library.list(house.ada.account_id, status="cancelled").count == 1


def test_cancel_takes_a_waiting_job_out(house: House) -> None:
    jobs = house.server(start=False)
    info = house.ask(jobs, background=True)
    assert jobs.cancel(house.ada, info.id).status == "cancelled"
    assert jobs.cancel(house.ada, info.id).status == "cancelled"  # harmless
    jobs.start()
    time.sleep(0.1)
    assert Stage.began == []


@both
def test_another_server_can_cancel(house: House) -> None:
    one = house.server()
    other = house.server(start=False)
    info = house.ask(one, act="wait", background=True)
    until(lambda: Stage.began)
    other.cancel(house.ada, info.id)
    until(lambda: other.get(house.ada, info.id).status == "cancelled", 3)


@both
def test_deleting_the_recording_ends_its_job(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, act="wait", background=True)
    until(lambda: Stage.began)
    house.library.delete(house.ada.account_id, str(info.transcript_id or house.rows()[0].transcript_id))
    Stage.open.set()
    until(lambda: jobs.get(house.ada, info.id).status == "cancelled")
    assert house.spent() == 0


def leave(event: Event) -> None:
    if event.stage == "transcribing":
        raise Disconnected("The client has gone.")


def withdraw(event: Event) -> None:
    if event.stage == "transcribing":
        raise Cancelled("Enough.")


def test_a_known_caller_who_goes_away_finds_the_result(house: House) -> None:
    jobs = house.server()
    with pytest.raises(Cancelled):
        house.ask(jobs, act="wait", idempotency_key="again", report=leave)
    with pytest.raises(Conflict) as raised:
        house.ask(jobs, act="wait", idempotency_key="again")
    assert house.rows()[0].id in str(raised.value)
    Stage.open.set()
    until(lambda: house.rows()[0].state == "done")
    assert house.ask(jobs, act="wait", idempotency_key="again").text == "hello"
    assert Stage.began == ["hello"]
    assert house.spent() == 2
    until(lambda: house.stray() == [])


def test_an_unknown_caller_who_goes_away_takes_the_job_along(house: House) -> None:
    jobs = house.server()
    with pytest.raises(Cancelled):
        house.ask(jobs, act="wait", caller=client("a"), report=leave)
    until(lambda: house.rows()[0].state == "cancelled", 2)
    with pytest.raises(Cancelled):
        house.ask(jobs, act="wait", caller=client("a"), report=leave, idempotency_key="k")
    assert house.rows()[1].state == "running"


def test_a_caller_who_cancels_ends_the_job(house: House) -> None:
    """Also one with an account and a key: nothing is stored, nothing is charged, and the end is waited for."""
    jobs = house.server()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        house.ask(jobs, act="wait", idempotency_key="again", report=withdraw)
    assert house.rows()[0].state == "cancelled"
    assert time.monotonic() - began < 5
    assert house.spent() == 0
    assert house.library.list(house.ada.account_id, status="done").count == 0
    until(lambda: house.stray() == [])


def test_a_job_that_was_asked_to_cancel_is_not_done(house: House) -> None:
    """However late: the transaction that would end it looks."""
    jobs = house.server()
    info = house.ask(jobs, act="wait", background=True)
    until(lambda: Stage.began)
    house.change(info.id, cancel_requested=True)  # by another server, a moment before the end
    Stage.open.set()
    until(lambda: jobs.get(house.ada, info.id).status == "cancelled")
    assert house.spent() == 0
    assert house.library.list(house.ada.account_id, status="done").count == 0


def test_a_job_without_a_place_for_its_result_goes_with_its_caller(house: House) -> None:
    jobs = house.server()
    with pytest.raises(Cancelled):
        house.ask(jobs, act="wait", store=False, report=leave)
    until(lambda: house.rows()[0].state == "cancelled", 3)
    assert house.spent() == 0


def test_an_unknown_caller_does_not_wait_for_ever(house: House) -> None:
    jobs = house.server(start=False, queue_timeout_s=0.5)
    with pytest.raises(Busy):
        house.ask(jobs, caller=client("a"))
    assert house.rows()[0].state == "cancelled"
    until(lambda: house.stray() == [])


def test_jobs_are_their_owners(house: House) -> None:
    jobs = house.server()
    mine, theirs = house.ask(jobs, background=True), house.ask(jobs, background=True, caller=client("a"))
    assert jobs.get(client("a"), theirs.id).id == theirs.id
    for caller, job_id in [(client("a"), mine.id), (client("b"), theirs.id), (house.ada, theirs.id), (house.ada, "x")]:
        for look in (jobs.get, jobs.cancel, jobs.result):
            with pytest.raises(NotFound):
                look(caller, job_id)


# -- Idempotency-Key


def test_the_same_key_gives_the_same_answer(house: House) -> None:
    jobs = house.server()
    one = house.ask(jobs, idempotency_key="k")
    assert house.ask(jobs, idempotency_key="k") == one
    assert house.ask(jobs, "other", idempotency_key="another").text == "other"
    for changed in ({"text": "changed"}, {"store": False}):
        with pytest.raises(IdempotencyMismatch):
            house.ask(jobs, **changed, idempotency_key="k")
    bob = Caller("bob", frozenset({"speech"}), account_id=ADMINISTRATOR_ID)
    assert house.ask(jobs, "bob's", caller=bob, idempotency_key="k").text == "bob's"
    assert house.ask(jobs, "a's", caller=client("a"), idempotency_key="k").text == "a's"
    assert house.ask(jobs, "a's", caller=client("a"), idempotency_key="k").text == "a's"
    assert len(Stage.began) == 4
    until(lambda: house.stray() == [])


def test_an_error_that_stays_is_given_again_and_one_that_passes_is_not(house: House) -> None:
    jobs = house.server()
    for _ in range(2):
        with pytest.raises(BadInput, match="no sound"):
            house.ask(jobs, act="bad", idempotency_key="bad")
        with pytest.raises(EngineCrashed):
            house.ask(jobs, act="crash", idempotency_key="crash")
    assert len(Stage.began) == 3


def test_a_key_is_free_again_after_a_day(house: House) -> None:
    jobs = house.server()
    house.ask(jobs, idempotency_key="k")
    house.change(house.rows()[0].id, finished=now() - timedelta(days=1, minutes=1))
    assert house.ask(jobs, "another", idempotency_key="k").text == "another"


@pytest.mark.parametrize("key", ["", "a" * 256, "né", "a\n"])
def test_a_bad_key_is_refused(house: House, key: str) -> None:
    with pytest.raises(BadInput):
        house.ask(house.server(), idempotency_key=key)
    assert house.rows() == []


@both
def test_two_requests_with_one_key_at_once(house: House) -> None:
    jobs = house.server()
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(house.ask(jobs, act="wait", background=True, idempotency_key="k"))
        except Conflict as problem:
            answers.append(problem)

    house.file()
    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(one).__name__ for one in answers) == ["Conflict"] * 4 + ["JobInfo"]
    assert len(house.rows()) == len(house.stray()) == 1


@both
def test_short_operations_have_keys_too(house: House) -> None:
    jobs = house.server(start=False)
    assert house.note(jobs, "a", "k") == {"name": "a", "key": "secret-1"}
    assert house.note(jobs, "a", "k") == {"name": "a"}  # what is secret is not kept
    with house.database.read() as session:
        assert "secret" not in str(session.scalars(select(Job.result)).all())
    with pytest.raises(IdempotencyMismatch):
        house.note(jobs, "b", "k")
    with pytest.raises(BadInput):
        house.note(jobs, "bad", "k2")
    assert house.note(jobs, "good", "k2")["name"] == "good"  # a failure frees the key
    assert house.note(jobs, "a", None)["key"] == "secret-4"
    with pytest.raises(NotFound):
        jobs.get(house.ada, house.rows()[0].id)


@both
def test_the_lease_of_a_short_operation(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key stays taken as long as it works, and is free when the server ends before it does."""
    monkeypatch.setattr("stt_lab.jobs.workers.RENEW_S", 0.02)
    monkeypatch.setattr("stt_lab.jobs.workers.LOOK_S", 0.02)
    jobs = house.server()
    thread = threading.Thread(target=house.note, args=(jobs, "slow", "k"))
    thread.start()
    until(lambda: Stage.began)
    first = house.rows()[0].lease_until
    until(lambda: (house.rows()[0].lease_until or now()) > (first or now()))
    with pytest.raises(Conflict):
        house.note(jobs, "slow", "k")
    jobs.close()
    assert house.rows() == []
    Stage.open.set()
    thread.join()
    assert house.rows() == []


# -- servers that end


def test_a_server_that_ends_leaves_its_jobs_to_the_next(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, act="wait", background=True)
    waiting = house.ask(jobs, "second", act="wait", background=True)
    until(lambda: len(Stage.began) == 2)
    began = time.monotonic()
    jobs.close()
    assert time.monotonic() - began < 3
    assert [(row.state, row.attempts) for row in house.rows()] == [("queued", 0)] * 2
    Stage.open.set()
    after = house.server()
    until(lambda: {after.get(house.ada, one.id).status for one in (info, waiting)} == {"done"})
    assert house.spent() == 4


def test_a_deaf_engine_does_not_hold_the_end_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.STOP_S", 0.3)
    jobs = house.server()
    info = house.ask(jobs, act="deaf", background=True)
    until(lambda: Stage.began)
    jobs.close()
    assert jobs.get(house.ada, info.id).status == "queued"
    after = house.server()
    until(lambda: len(Stage.began) == 2)
    Stage.open.set()  # both come to their end now
    until(lambda: after.get(house.ada, info.id).status == "done")
    assert house.entries(info.id) == ["reserve", "settle"]


def test_who_waits_is_told_that_the_server_ends(house: House) -> None:
    jobs = house.server()
    problems: list[BaseException] = []

    def ask(caller: Caller) -> None:
        try:
            house.ask(jobs, act="wait", caller=caller)
        except SttError as problem:
            problems.append(problem)

    threads = [threading.Thread(target=ask, args=[caller]) for caller in (house.ada, client("a"))]
    house.file()
    for thread in threads:
        thread.start()
    until(lambda: len(Stage.began) == 2)
    jobs.close()
    for thread in threads:
        thread.join(5)
    assert [type(problem) for problem in problems] == [Unavailable] * 2
    assert sorted(row.state for row in house.rows()) == ["cancelled", "queued"]


@both
def test_after_a_crash_jobs_run_again_or_fail_clearly(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.lifecycle.STRAY_S", 0.0)
    jobs = house.server(start=False)
    again, hopeless = house.ask(jobs, "again", background=True), house.ask(jobs, "hopeless", background=True)
    alone = house.ask(jobs, "alone", background=True, caller=client("a"))
    stopped = house.ask(jobs, "stopped", background=True)
    with house.database.write() as session:
        for _ in range(4):
            queue.claim(session, "a server that is gone", 9)
    house.change(hopeless.id, attempts=queue.ATTEMPTS)
    house.change(stopped.id, cancel_requested=True)
    house.change(alone.id, parameters={"background": False})
    if house.database.dialect == "postgresql":  # where nobody knows that the server is gone before its leases end
        for info in (again, hopeless, alone, stopped):
            house.change(info.id, lease_until=now() - timedelta(seconds=1))
    (house.folder / "data" / "jobs" / "job_stray").mkdir()
    (house.folder / "data" / "audio" / "stray").touch()
    jobs.start()
    until(lambda: jobs.get(house.ada, again.id).status == "done")
    row = jobs.get(house.ada, hopeless.id)
    assert row.error is not None
    assert (row.status, row.error["code"]) == ("failed", "engine_crashed")
    assert jobs.get(house.ada, stopped.id).status == "cancelled"
    assert jobs.get(client("a"), alone.id).status == "cancelled"
    assert Stage.began == ["again"]
    until(lambda: house.stray() == [])
    assert len(list((house.folder / "data" / "audio").iterdir())) == 1


@both
def test_a_lease_that_ends_frees_the_job_while_servers_run(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.RENEW_S", 0.1)
    monkeypatch.setattr("stt_lab.jobs.workers.LOOK_S", 0.1)
    jobs = house.server(start=False)
    info = house.ask(jobs, background=True)
    with house.database.write() as session:
        queue.claim(session, "a server that is gone", 9)
    jobs._workers.start()
    time.sleep(0.4)
    assert jobs.get(house.ada, info.id).status == "running"  # its lease holds
    house.change(info.id, lease_until=now() - timedelta(seconds=1))
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    assert house.rows()[0].attempts == 2


@both
def test_leases_are_renewed_and_their_loss_is_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.RENEW_S", 0.1)
    monkeypatch.setattr("stt_lab.jobs.workers.LOOK_S", 0.1)
    jobs = house.server()
    info = house.ask(jobs, act="wait", background=True)
    until(lambda: Stage.began)
    first = house.rows()[0].lease_until
    until(lambda: (house.rows()[0].lease_until or now()) > (first or now()))
    house.change(info.id, worker="another server", attempts=2)
    until(lambda: not jobs._workers.works_on(info.id))
    assert jobs.get(house.ada, info.id).status == "running"
    assert house.spent() == 2  # reserved, by whoever has it now
    assert len(house.stray()) == 1


@both
def test_a_slow_worker_does_not_end_a_job_twice(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, act="deaf", background=True)
    until(lambda: Stage.began)
    house.change(info.id, state="queued", worker=None)  # its lease was lost
    jobs._workers.notify()
    until(lambda: len(Stage.began) == 2)  # the same server's other runner has it now
    Stage.open.set()
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    until(lambda: not jobs._workers.works_on(info.id))
    assert house.entries(info.id) == ["reserve", "settle"]
    assert house.spent() == 2


def test_the_end_waits_for_a_database_that_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, tries = house.server(), []
    complete = house.library.complete

    def flaky(*arguments: Any) -> Transcript:
        tries.append(1)
        if len(tries) < 2:
            raise Unavailable("The database is away.")
        return complete(*arguments)

    monkeypatch.setattr(house.library, "complete", flaky)
    assert house.ask(jobs).text == "hello"
    assert len(list((house.folder / "data" / "audio").iterdir())) == 1


@both
def test_a_job_whose_end_could_not_be_written_runs_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"RENEW_S": 0.02, "LOOK_S": 0.02, "PATIENCE_S": 0.0}.items():
        monkeypatch.setattr(f"stt_lab.jobs.workers.{name}", seconds)
    jobs, complete = house.server(), house.library.complete

    def away(*arguments: Any) -> None:
        monkeypatch.setattr(house.library, "complete", complete)
        raise Unavailable("The database is away.")

    monkeypatch.setattr(house.library, "complete", away)
    monkeypatch.setattr(jobs._lifecycle, "failed", away)
    house.ask(jobs, "other", act="deaf", background=True)  # while its server renews other leases
    info = house.ask(jobs, background=True)
    until(lambda: "hello" in Stage.began and not jobs._workers.works_on(info.id))
    assert jobs.get(house.ada, info.id).status == "running"
    house.change(info.id, lease_until=now() - timedelta(seconds=1))
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    assert house.entries(info.id) == ["reserve", "settle"]


def test_a_full_disk_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    jobs = house.server()
    monkeypatch.setattr("stt_lab.jobs.files._copy", full)
    with pytest.raises(Unavailable, match="disk"):
        house.ask(jobs)
    assert house.rows() == []
    until(lambda: house.stray() == [])


# -- several servers


# -- what knows no operation: artifacts, charges by output, callers


@both
def test_a_file_is_kept_beside_its_job_and_deleted_with_its_result(house: House) -> None:
    jobs = house.server()
    made = house.ask(jobs, "la", operation="sing")
    assert (made.name, made.media_type, made.warnings, made.headers) == (
        "song.wav", "audio/wav", ("It is loud.",), {"X-Duration": "120.0"},
    )  # fmt: skip
    assert b"".join(made.chunks) == b"la sung"
    (row,) = house.rows()
    again = jobs.result(house.ada, row.id).value
    assert (again.name, again.headers, b"".join(again.chunks)) == (made.name, made.headers, b"la sung")
    assert (again.path, house.stray()) == (house.folder / "data" / "artifacts" / row.id, [])
    house.change(row.id, finished=now() - timedelta(days=1, seconds=1))
    jobs._lifecycle.tidy()
    jobs._lifecycle.sweep(0.0)
    assert not again.path.exists()
    with pytest.raises(NotFound, match="no longer kept"):
        jobs.result(house.ada, row.id)


def test_a_file_that_cannot_be_made_leaves_nothing(house: House) -> None:
    jobs = house.server()
    with pytest.raises(BadInput, match="No sound"):
        house.ask(jobs, "la", operation="sing", act="broken")
    assert list((house.folder / "data" / "artifacts").iterdir()) == house.stray() == []
    assert house.spent() == 0


@both
def test_output_is_reserved_by_an_estimate_and_charged_as_it_is(house: House) -> None:
    jobs = house.server()
    info = house.ask(jobs, "la", operation="sing", act="wait", background=True)
    until(lambda: len(Stage.began) == 1)
    assert house.spent() == 3
    Stage.open.set()
    until(lambda: jobs.get(house.ada, info.id).status == "done")
    assert (house.spent(), house.entries(info.id)) == (2, ["reserve", "settle"])
    used = house.accounts.usage(house.ada.account_id)[-1]
    assert (used.minutes, used.credits, used.jobs) == (2, 2, 1)


def test_more_output_than_was_expected_takes_what_the_balance_has(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = OPERATIONS["sing"]
    monkeypatch.setitem(OPERATIONS, "sing", replace_charge(op, lambda **values: 60.0))
    house.accounts.grant(house.ada.account_id, -99)
    house.ask(house.server(), "la", operation="sing")
    assert house.accounts.balance(house.ada.account_id) == 0


def replace_charge(op: Operation, estimate: Callable[..., float]) -> Operation:
    return Operation(
        fn=op.fn, method=op.method, path=op.path, scope=op.scope, job=op.job, charge=Charge("output", estimate)
    )


def test_a_job_runs_as_its_caller_after_a_restart_too(house: House) -> None:
    caller = replace(house.ada, scopes=frozenset({"speech", "text"}), key_id=5)
    house.ask(house.server(start=False), "here", caller, operation="sing", background=True)
    house.server()
    until(lambda: len(Stage.began) == 1)
    assert Stage.began == ["here of ada for speech,text"]
    assert house.rows()[0].caller == {
        "name": "ada", "scopes": ["speech", "text"], "admin": False, "account_id": caller.account_id, "key_id": 5,
        "client": "",
    }  # fmt: skip


def test_a_request_is_prepared_once_on_its_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []

    def plan(act: str, **others: object) -> str:
        plans.append(act)
        return act

    op = OPERATIONS["hum"]
    monkeypatch.setitem(OPERATIONS, "hum", replace_plan(op, plan))
    house.ask(house.server(), "one")
    assert plans == [""]
    house.ask(house.server(start=False), "two", background=True)
    house.server()
    until(lambda: Stage.began == ["one", "two"])
    assert plans == ["", "", ""]  # the second was taken up after a restart


def replace_plan(op: Operation, plan: Callable[..., Any]) -> Operation:
    return Operation(fn=op.fn, method=op.method, path=op.path, scope=op.scope, job=op.job, charge=op.charge, plan=plan)


def test_an_operation_of_another_version_fails_clearly(house: House) -> None:
    jobs = house.server(start=False)
    info = house.ask(jobs, "old", background=True)
    house.change(info.id, operation="whistle")
    jobs.start()
    until(lambda: jobs.get(house.ada, info.id).status == "failed")
    assert "no operation 'whistle'" in (jobs.get(house.ada, info.id).error or {})["error"]


FOREIGN = {"diarize", "response_format", "background", "store", "webhook_url", "transcribing", "diarizing"}


def test_jobs_know_no_operation() -> None:
    """No parameter, stage or type of one operation stands in the package; attributes of the job options may."""
    sources = list((Path(stt_lab.jobs.__file__).parent).glob("*.py"))
    assert len(sources) >= 6
    for path in sources:
        tree = ast.parse(path.read_text("utf-8"))
        documented = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in documented:
                found = FOREIGN & set(re.findall(r"\w+", node.value))
                assert not found, f"{path.name}:{node.lineno} {found}"
            names = (
                [node.id]
                if isinstance(node, ast.Name)
                else [a.name for a in getattr(node, "names", ())]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not {"Transcript", "Rendering"} & set(names), f"{path.name}:{node.lineno}"


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def sixty(house: House, jobs: JobQueue, **more: Any) -> list[str]:
    """Put sixty jobs into the queue; their ids."""
    house.accounts.grant(house.ada.account_id, 100)  # 2 credits each
    return [house.ask(jobs, f"text {number}", background=True, **more).id for number in range(60)]


def all_done(house: House) -> bool:
    ended = {row.state for row in house.rows()}
    assert ended <= {"queued", "running", "done"}
    return ended == {"done"}


@pytest.mark.parametrize("house", ["postgresql"], indirect=True)
def test_servers_share_one_queue(house: House) -> None:
    """Three servers on one PostgreSQL do sixty jobs, each once."""
    servers = [house.server(start=False, queue_size=100) for _ in range(3)]
    ids = sixty(house, servers[0], act="wait")
    for jobs in servers:
        jobs.start()
    until(lambda: len({row.worker for row in house.rows() if row.state == "running"}) == 3)
    Stage.open.set()
    until(lambda: all_done(house), 60)
    assert sorted(Stage.began) == sorted(f"text {number}" for number in range(60))
    assert {row.attempts for row in house.rows()} == {1}
    assert house.library.list(house.ada.account_id).count == 60
    assert all(house.entries(one) == ["reserve", "settle"] for one in ids)
    until(lambda: house.stray() == [])


@pytest.mark.slow
@pytest.mark.parametrize("house", ["postgresql"], indirect=True)
def test_processes_share_one_queue(house: House, tmp_path: Path) -> None:
    """The same with three processes."""
    sixty(house, house.server(start=False, queue_size=100))
    program = [sys.executable, str(TESTS / "house.py"), cluster().url(house.name), str(tmp_path / "data")]
    environ = os.environ | {"PYTHONPATH": PATHS}
    servers = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environ) for _ in range(3)]
    try:
        until(lambda: all_done(house), 60)
    finally:
        for server in servers:
            server.terminate()
        done = [server.communicate(timeout=20)[0].splitlines() for server in servers]
    assert sorted(line for lines in done for line in lines) == sorted(f"text {number}" for number in range(60))
    assert sum(bool(lines) for lines in done) >= 2  # a third may have come late
    assert {row.attempts for row in house.rows()} == {1}
    until(lambda: house.stray() == [])
