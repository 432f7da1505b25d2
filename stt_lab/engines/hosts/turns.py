"""Schedule the calls on a device. They take turns between windows, when engines report progress.

A call works while it holds a turn, usually one call at a time. Urgent calls go first, the oldest session before others,
two at once with two cores; all other calls pause until none is left. The others rotate, first by owner, then among the
calls of an owner: each works for its slice or one window, whichever is longer. The owner that was served longest ago is
next, so that many calls of one owner slow another's down no more than one does. An owner without a call under way comes
first, and so does a new call among those of its owner, at the next window, but only every second turn. The first turn
of a call is longer, so that a short recording ends within it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stt_lab.engines.hosts.calls import POLL_S

SLICE_S = 2.0  # about one window of 30 s with a small model
FIRST = 3  # slices in the first turn of a call
URGENT_AT_ONCE = min(2, os.cpu_count() or 1)


@dataclass(eq=False)
class CallTurn:
    """A call in the schedule."""

    alive: Callable[[], None]  # called repeatedly during a wait; an exception ends the wait
    session: float | None = None  # set for urgent calls
    owner: str = ""  # whose call it is
    alone_in: object = None  # two calls with equal values, except None, never alternate
    number: int = 0
    slice_s: float | None = None  # shortest turn, if others wait; None: SLICE_S
    held: bool = False
    begun: bool = False
    first: bool = True  # whether this is its first turn
    since: float = 0.0  # time at which its turn began
    spent: float = 0.0  # seconds worked earlier in this round
    before: float = 0.0  # seconds worked in earlier turns

    @property
    def urgent(self) -> bool:
        return self.session is not None

    @property
    def worked(self) -> float:
        """Return the seconds worked so far."""
        return self.before + (time.monotonic() - self.since if self.held else 0.0)


@dataclass
class _Owner:
    """An owner of calls that are under way."""

    served: int = 0  # number of its last turn
    newest: bool = False  # whether its last turn went to a new call


class Turns:
    """The schedule of one device. `changed` receives the numbers of the calls that hold turns, before they work."""

    def __init__(self, changed: Callable[[tuple[int, ...]], None] = lambda numbers: None) -> None:
        self._changed = changed
        self._change = threading.Condition()
        self._waiting: list[CallTurn] = []  # in order of rotation
        self._under_way: list[CallTurn] = []  # calls that have begun but not ended
        self._reported: tuple[int, ...] = ()
        self._owners: dict[str, _Owner] = {}
        self._turns = 0
        self._newcomer = False  # whether the last turn went to an owner without a call under way

    @contextmanager
    def taking(self, turn: CallTurn) -> Iterator[None]:
        """Wait for a turn and hold it, except during `pause`."""
        with self._change:
            self._waiting.append(turn)
            self._grant()
        self._wait(turn)
        try:
            yield
        finally:
            self._leave(turn)

    def pause(self, turn: CallTurn) -> None:
        """Let calls that go first have their turn. Call it at safe points."""
        with self._change:
            if not self._must_yield(turn):
                return
            interrupted = any(other.urgent for other in self._ready())
            turn.before, turn.spent = turn.worked, self._spent(turn) if interrupted else 0.0
            turn.held, turn.first = False, turn.first and interrupted
            self._waiting.insert(0 if interrupted else len(self._waiting), turn)  # continues its round
            self._grant(last=None if interrupted else turn)
        self._wait(turn)

    def wake(self) -> None:
        """Wake all waiting calls, so that they check for cancellation."""
        with self._change:
            self._change.notify_all()

    def _wait(self, turn: CallTurn) -> None:
        try:
            while True:
                with self._change:
                    if not turn.held:
                        self._change.wait(POLL_S)
                    if turn.held:
                        return
                turn.alive()
        except BaseException:
            self._leave(turn)
            raise

    def _leave(self, turn: CallTurn) -> None:
        with self._change:
            turn.held = False
            for calls in (self._waiting, self._under_way):
                if turn in calls:
                    calls.remove(turn)
            if all(other.owner != turn.owner for other in self._under_way):
                self._owners.pop(turn.owner, None)
            self._grant()

    @property
    def _working(self) -> list[CallTurn]:
        return [turn for turn in self._under_way if turn.held]

    def _ready(self) -> list[CallTurn]:
        """Return the calls that wait only for a turn."""
        taken = {turn.alone_in for turn in self._under_way} - {None}
        return [turn for turn in self._waiting if turn.begun or turn.alone_in not in taken]

    def _must_yield(self, turn: CallTurn) -> bool:
        ready = self._ready()
        if turn.urgent:
            older = [other for other in ready if other.urgent and _age(other) < _age(turn)]
            return bool(older) and len(self._working) >= URGENT_AT_ONCE
        if any(other.urgent for other in ready):
            return True
        return bool(ready) and self._spent(turn) >= self._limit(turn, ready)

    def _limit(self, turn: CallTurn, ready: list[CallTurn]) -> float:
        """Return the seconds after which a call gives its turn to one of the waiting ones."""
        slice_s = SLICE_S if turn.slice_s is None else turn.slice_s
        others = [other for other in ready if other.owner != turn.owner]
        alone = sum(other.owner == turn.owner for other in self._under_way) == 1
        if turn.first and (alone or not others):
            return FIRST * slice_s
        if others:
            due = not self._newcomer and any(other.owner not in self._owners for other in others)
        else:
            due = not self._owners[turn.owner].newest and any(not other.begun for other in ready)
        return 0.0 if due else slice_s

    @staticmethod
    def _spent(turn: CallTurn) -> float:
        return turn.spent + time.monotonic() - turn.since

    def _grant(self, last: CallTurn | None = None) -> None:
        """Give out turns, to `last` only if no other call waits. Needs the lock."""
        while (turn := self._next(last)) is not None:
            self._waiting.remove(turn)
            if not turn.urgent:
                self._turns += 1
                self._newcomer = turn.owner not in self._owners
                self._owners[turn.owner] = _Owner(self._turns, newest=not turn.begun)
            if not turn.begun:
                self._under_way.append(turn)
            turn.held = turn.begun = True
            turn.since = time.monotonic()
        numbers = tuple(turn.number for turn in self._working)
        if numbers != self._reported:
            self._reported = numbers
            self._changed(numbers)
        self._change.notify_all()

    def _next(self, last: CallTurn | None) -> CallTurn | None:
        working, ready = self._working, self._ready()
        if any(not turn.urgent for turn in working):
            return None
        urgent = [turn for turn in ready if turn.urgent]
        if urgent:
            return min(urgent, key=_age) if len(working) < URGENT_AT_ONCE else None
        if working:
            return None
        ready = [turn for turn in ready if turn is not last] or ready
        if self._newcomer:
            ready = [turn for turn in ready if turn.owner in self._owners] or ready
        if not ready:
            return None
        owner = min(ready, key=lambda turn: self._owner(turn).served).owner
        own = [turn for turn in ready if turn.owner == owner]
        older = self._owner(own[0]).newest  # which kind of its calls is next
        return next((turn for turn in own if turn.begun == older), own[0])

    def _owner(self, turn: CallTurn) -> _Owner:
        return self._owners.get(turn.owner) or _Owner()


def _age(turn: CallTurn) -> float:
    assert turn.session is not None
    return turn.session
