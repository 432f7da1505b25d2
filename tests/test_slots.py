"""Callers take turns: in the lanes of the engines, in the queue of jobs, and in the threads of the server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest
from fakes import started, until
from house import House, Stage, both, client, house_fixture, operations  # noqa: F401
from toy_server import Served, Toy, serve, settings_for

from stt_lab.caller import ANONYMOUS, Caller, errand_of
from stt_lab.errors import Busy, RateLimited
from stt_lab.slots import Slot, Waiting
from stt_lab.types import silent
from stt_lab.web.service import Threads

ADA, BOB = Caller("ada", account_id=11), Caller("bob", account_id=12)


class Line:
    """A slot with one place that the test holds, and who stands in its line."""

    def __init__(self, waiting: Waiting | None = None) -> None:
        self.slot, self.order = Slot(waiting=waiting), list[str]()
        self.threads, self.refused = ExitStack(), list[BaseException]()
        self.waiting = 0

    def stand(self, name: str, caller: Caller, *, refusable: bool = True) -> None:
        """Let somebody stand in the line; return when that is so."""
        seen = threading.Event()

        def work() -> None:
            try:
                with errand_of(caller, refusable=refusable), self.slot.hold(lambda event: seen.set(), 20):
                    self.order.append(name)
            except (Busy, RateLimited) as problem:
                self.refused.append(problem)
                seen.set()

        self.threads.enter_context(started(work))
        assert seen.wait(5)


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    with ExitStack() as ends:

        def made(waiting: Waiting | None = None) -> Line:
            one = Line(waiting)
            ends.push(one.threads)
            return one

        yield made


def test_callers_take_turns(line: Callable[..., Line]) -> None:
    one = line()
    with one.slot.hold(silent, 1):
        for name, caller in (("a1", ADA), ("a2", ADA), ("a3", ADA), ("b1", BOB), ("b2", BOB)):
            one.stand(name, caller)
    until(lambda: len(one.order) == 5)
    assert one.order == ["a1", "b1", "a2", "b2", "a3"]


def test_anonymous_callers_take_turns_by_address(line: Callable[..., Line]) -> None:
    one, x, y = line(), replace(ANONYMOUS, client="x"), replace(ANONYMOUS, client="y")
    with one.slot.hold(silent, 1):
        for name, caller in (("x1", x), ("x2", x), ("y1", y)):
            one.stand(name, caller)
    until(lambda: len(one.order) == 3)
    assert one.order == ["x1", "y1", "x2"]


def test_a_fifth_request_of_one_caller_is_refused(line: Callable[..., Line]) -> None:
    one = line(Waiting("text", each=4, all=32))
    with one.slot.hold(silent, 1):
        for number in range(4):
            one.stand(f"a{number}", ADA)
        one.stand("a4", ADA)
        one.stand("b0", BOB)
        assert [type(problem) for problem in one.refused] == [RateLimited]
        assert all(isinstance(problem, RateLimited) and problem.retry_after for problem in one.refused)
    until(lambda: len(one.order) == 5)
    assert one.order[:2] == ["a0", "b0"]


@pytest.mark.parametrize("slot", [Slot(lambda: 3, each=1), Slot(lambda: 2, kept=1)])
def test_one_caller_leaves_places_to_others(slot: Slot) -> None:
    order = list[str]()
    with ExitStack() as ends:

        def hold(name: str, caller: Caller, until_set: threading.Event) -> None:
            def work() -> None:
                with errand_of(caller, refusable=False), slot.hold(silent, 20):
                    order.append(name)
                    until_set.wait(20)

            ends.enter_context(started(work))

        first, rest = threading.Event(), threading.Event()
        hold("ada's first", ADA, first)
        until(lambda: order == ["ada's first"], 5)
        hold("ada's second", ADA, rest)
        hold("bob's", BOB, rest)
        until(lambda: len(order) == 2, 5)
        assert order == ["ada's first", "bob's"]
        first.set()
        until(lambda: len(order) == 3, 5)
        rest.set()


def test_more_than_all_is_busy(line: Callable[..., Line]) -> None:
    one = line(Waiting("text", each=2, all=3))
    with one.slot.hold(silent, 1):
        for number in range(4):
            one.stand(str(number), Caller("one", account_id=20 + number))
        assert [(type(problem), bool(getattr(problem, "retry_after", 0))) for problem in one.refused] == [(Busy, True)]


def test_what_has_begun_and_jobs_are_not_refused(line: Callable[..., Line]) -> None:
    one, began, go = line(Waiting("text", each=1, all=1)), threading.Event(), threading.Event()

    def request() -> None:  # of two steps
        with errand_of(ADA, refusable=True):
            with one.slot.hold(silent, 5):
                began.set()
                assert go.wait(5)
            time.sleep(0.05)
            with one.slot.hold(silent, 5):
                one.order.append("second step")

    with started(request) as raised:
        assert began.wait(5)
        one.stand("other", ADA)
        one.stand("refused", ADA)
        one.stand("job", ADA, refusable=False)
        go.set()
        until(lambda: "second step" in one.order)
    assert raised == []
    assert [type(problem) for problem in one.refused] == [RateLimited]
    until(lambda: len(one.order) == 3)


# The queue of jobs


@both
def test_jobs_take_turns_by_account(house: House) -> None:
    house.pool.capacity = 0  # one runner
    jobs = house.server(queue_size=20)
    other = house.accounts.create("bob", tier="paid")
    house.accounts.grant(other.id, 100)
    bob = Caller("bob", frozenset({"speech"}), account_id=other.id)
    first = house.ask(jobs, "first", act="wait", background=True)
    until(lambda: Stage.began == ["first"])
    for text, caller in (("a1", house.ada), ("a2", house.ada), ("a3", house.ada), ("b1", bob), ("b2", bob)):
        house.ask(jobs, text, background=True, caller=caller)
    Stage.open.set()
    until(lambda: len(Stage.began) == 6)
    assert Stage.began[1:] == ["b1", "a1", "b2", "a2", "a3"]  # ada's first job was the last of hers
    until(lambda: jobs.get(house.ada, first.id).status == "done")


@both
def test_one_account_leaves_places_to_others(house: House) -> None:
    jobs = house.server(queue_size=8)  # and one at work: nine places
    for number in range(7):
        house.ask(jobs, str(number), act="wait", background=True)
    with pytest.raises(RateLimited) as caught:
        house.ask(jobs, "8", act="wait", background=True)
    assert caught.value.retry_after
    for number in range(2):
        house.ask(jobs, "other", act="wait", background=True, caller=client(f"c{number}"))
    with pytest.raises(Busy):
        house.ask(jobs, "tenth", act="wait", background=True, caller=client("d"))
    assert len(house.rows()) == 9


def test_anonymous_callers_together_leave_places_to_accounts(house: House) -> None:
    jobs = house.server(queue_size=8)
    for number in range(7):
        house.ask(jobs, str(number), act="wait", background=True, caller=client(f"c{number}"))
    with pytest.raises(Busy, match="key"):
        house.ask(jobs, "8", act="wait", background=True, caller=client("d"))
    house.ask(jobs, "ada's", act="wait", background=True)


# The server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("lanes"))) as running:
        yield running


def key_of(served: Served, name: str) -> dict[str, str]:
    account = served.accounts.create(name)
    _, key = served.accounts.create_key(account.id, "test", ["text", "library", "account"])
    return {"Authorization": f"Bearer {key}"}


def test_requests_on_texts_of_one_account_block_nobody(served: Served) -> None:
    """150 at once: five are worked on, the others are told when to come again, and everybody else is served."""
    ada, bob = key_of(served, "Ada"), key_of(served, "Bob")
    Toy.seconds = 0.4
    limits = httpx.Limits(max_connections=200)
    statuses: list[tuple[int, str | None]] = []
    with httpx.Client(base_url=served.url, timeout=60, limits=limits) as web, ExitStack() as threads:

        def embed(headers: dict[str, str]) -> None:
            answer = web.post("/v1/embed", json={"texts": ["a text"]}, headers=headers)
            statuses.append((answer.status_code, answer.headers.get("retry-after")))

        for _ in range(150):
            threads.enter_context(started(lambda: embed(ada), 60))
        until(lambda: len(statuses) > 50, 30)
        slowest = 0.0
        for path, headers in (("/health", {}), ("/api/v1/account/", ada), ("/api/v1/transcripts/", bob)) * 3:
            began = time.monotonic()
            assert web.get(path, headers=headers).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1.0
        assert web.post("/v1/embed", json={"texts": ["bob's"]}, headers=bob).status_code == 200
    Toy.seconds = 0.0
    done = sum(status == 200 for status, _ in statuses)
    assert {status for status, _ in statuses} <= {200, 429, 503}
    assert all(retry for status, retry in statuses if status != 200)
    assert 5 <= done < 40


def test_a_sixth_request_on_texts_gets_no_thread() -> None:
    """It is refused before anything is made of its texts, which would slow everybody down."""

    async def asked() -> None:
        threads, texts, go = Threads(20), Waiting("text", 5, 7), threading.Event()
        held = [asyncio.create_task(threads.work(ADA, texts, go.wait, 20)) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited, match="5 text requests of this account"):
            await threads.work(ADA, texts, go.set)
        assert await threads.work(ADA, None, lambda: "other work") == "other work"
        held += [asyncio.create_task(threads.work(BOB, texts, go.wait, 20)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="7 text requests work or wait"):
            await threads.work(Caller("eve", account_id=13), texts, go.set)
        go.set()
        assert await asyncio.gather(*held) == [True] * 7
        assert await threads.work(ADA, texts, lambda: "again") == "again"

    asyncio.run(asked())
