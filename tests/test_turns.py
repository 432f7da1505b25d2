"""Who works on a device, and in which order; and that real recordings give the same text by turns as alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest
from fakes import started, until

from stt_lab.engines.hosts import turns as turns_module
from stt_lab.engines.hosts.turns import Turn, Turns
from stt_lab.errors import Cancelled


class Play:
    """Calls that take turns on one device. Each waits in a window until `step` lets it go on."""

    def __init__(self, threads: ExitStack) -> None:
        self.turns = Turns(self._note)
        self.working: tuple[int, ...] = ()
        self.begun: list[int] = []  # the numbers of calls, in the order in which they got a turn
        self.cancelled: set[int] = set()
        self._threads = threads
        self._steps: dict[int, threading.Semaphore] = {}
        self._over: set[int] = set()

    def _note(self, numbers: tuple[int, ...]) -> None:
        self.begun += [number for number in numbers if number not in self.working]
        self.working = numbers

    def call(self, number: int, session: float | None = None, alone_in: object = None) -> list[BaseException]:
        """Begin a call; it works or waits when this returns."""
        waits = threading.Event()
        go = self._steps[number] = threading.Semaphore(0)

        def alive() -> None:
            waits.set()
            if number in self.cancelled:
                raise Cancelled("Enough.")

        def work() -> None:
            turn = Turn(alive, session, alone_in, number)
            with self.turns.taking(turn):
                while go.acquire() and number not in self._over:
                    self.turns.pause(turn)

        raised = self._threads.enter_context(started(work))
        until(lambda: waits.is_set() or number in self.working)
        return raised

    def step(self, number: int) -> tuple[int, ...]:
        """End the window that a call works on; who works then."""
        return self._after(number)

    def end(self, number: int) -> tuple[int, ...]:
        """End a call after its window."""
        self._over.add(number)
        return self._after(number)

    def _after(self, number: int) -> tuple[int, ...]:
        before = len(self.begun), self.working
        self._steps[number].release()
        until(lambda: (len(self.begun), self.working) != before or number not in self._over)
        return self.working

    def finish(self) -> None:
        for number, go in self._steps.items():
            self._over.add(number)
            go.release()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr(turns_module, "SLICE_S", 0.0)
    with ExitStack() as threads:
        made = Play(threads)
        yield made
        made.finish()


def stepped(play: Play, number: int, then: tuple[int, ...]) -> None:
    play.step(number)
    until(lambda: play.working == then)


def ended(play: Play, number: int, then: tuple[int, ...]) -> None:
    play.end(number)
    until(lambda: play.working == then)


def test_calls_go_round(play: Play) -> None:
    for number in (1, 2, 3):
        play.call(number)
    for working, then in pairwise(
        (1, 2, 1, 3, 2, 1, 3)
    ):  # every other turn is an older call's while there are new ones
        assert play.working == (working,)
        stepped(play, working, (then,))


def test_a_call_alone_keeps_its_turn(play: Play) -> None:
    play.call(1)
    for _ in range(3):
        play.step(1)
    assert play.begun == [1]


def test_a_call_keeps_its_turn_for_a_while(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.call(1)
    play.call(2)
    monkeypatch.setattr(turns_module, "SLICE_S", 60.0)
    play.step(1)
    play.step(1)
    assert play.working == (1,)
    ended(play, 1, (2,))


def test_new_calls_cannot_keep_an_old_one_waiting(play: Play) -> None:
    play.call(1)
    for number in (2, 3, 4):
        play.call(number)
    stepped(play, 1, (2,))
    ended(play, 2, (1,))
    stepped(play, 1, (3,))
    ended(play, 3, (1,))


def test_urgent_calls_go_first_and_the_oldest_session_before_others(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "URGENT_AT_ONCE", 1)
    monkeypatch.setattr(turns_module, "SLICE_S", 60.0)
    play.call(1)
    play.call(2)
    for number, session in ((13, 3.0), (11, 1.0), (12, 2.0)):
        play.call(number, session)
    stepped(play, 1, (11,))
    ended(play, 11, (12,))
    play.call(10, 0.5)  # an older session than the one that works
    stepped(play, 12, (10,))
    ended(play, 10, (12,))
    ended(play, 12, (13,))
    ended(play, 13, (1,))  # which goes on with its round
    ended(play, 1, (2,))


def test_two_urgent_calls_at_once_while_all_others_pause(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "URGENT_AT_ONCE", 2)
    play.call(1)
    for number in (11, 12, 13):
        play.call(number, float(number))
    stepped(play, 1, (11, 12))
    ended(play, 12, (11, 13))
    ended(play, 13, (11,))
    play.call(14, 14.0)
    assert play.working == (11, 14)
    ended(play, 14, (11,))
    ended(play, 11, (1,))


def test_an_urgent_call_does_not_end_the_round_of_the_one_that_it_interrupts(play: Play) -> None:
    play.call(1)
    play.call(2)
    play.call(11, 1.0)
    stepped(play, 1, (11,))
    ended(play, 11, (1,))
    stepped(play, 1, (2,))


def test_a_call_that_waits_may_leave(play: Play) -> None:
    play.call(1)
    raised = play.call(2)
    play.call(3)
    play.cancelled.add(2)
    play.turns.wake()
    until(lambda: raised)
    assert isinstance(raised[0], Cancelled)
    ended(play, 1, (3,))


def test_a_call_that_pauses_may_leave(play: Play) -> None:
    raised = play.call(1)
    play.call(2)
    stepped(play, 1, (2,))
    play.cancelled.add(1)
    until(lambda: raised)
    play.step(2)
    assert play.working == (2,)


def test_calls_that_share_what_cannot_be_shared_follow_each_other(play: Play) -> None:
    play.call(1, alone_in="a")
    play.call(2, 1.0, alone_in="a")  # urgent, and waits all the same
    play.call(3, alone_in="b")
    stepped(play, 1, (3,))
    stepped(play, 3, (1,))
    ended(play, 1, (2,))
    ended(play, 2, (3,))
