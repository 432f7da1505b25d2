"""Who works on a device now. Calls take turns between their windows, where engines report progress.

A call works while it holds a turn. One call at a time does, unless urgent ones wait: these go first, those of the
oldest session before others, and two at once where there are two cores; all other calls pause until none is left. The
others go round: each works for SLICE_S or a window, whichever is longer. A new one need not go to the end of the line,
so that a short recording does not wait for every long one; every second turn is still an older call's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stt_lab.engines.hosts.calls import POLL_S

SLICE_S = 2.0  # about a window of 30 s with a small model: a short recording is done in one turn
URGENT_AT_ONCE = min(2, os.cpu_count() or 1)


@dataclass(eq=False)
class CallTurn:
    """A call's place among the others."""

    alive: Callable[[], None]  # called again and again while it waits; what it raises ends the wait
    session: float | None = None  # of an urgent call
    alone_in: object = None  # no two calls with the same value, other than None, are under way at once
    number: int = 0
    held: bool = False
    begun: bool = False
    since: float = 0.0  # when it was last given
    spent: float = 0.0  # seconds of this round before that

    @property
    def urgent(self) -> bool:
        return self.session is not None


class Turns:
    """The turns of one device; `changed` is told the numbers of the calls that work, before they do."""

    def __init__(self, changed: Callable[[tuple[int, ...]], None] = lambda numbers: None) -> None:
        self._changed = changed
        self._change = threading.Condition()
        self._waiting: list[CallTurn] = []  # in the order in which they go round
        self._under_way: list[CallTurn] = []  # have begun and not ended
        self._told: tuple[int, ...] = ()
        self._newest = False  # whether the last turn went to a call that began with it

    @contextmanager
    def taking(self, turn: CallTurn) -> Iterator[None]:
        """Wait for a turn, and hold it but for the pauses in `pause`."""
        with self._change:
            self._waiting.append(turn)
            self._grant()
        self._wait(turn)
        try:
            yield
        finally:
            self._leave(turn)

    def pause(self, turn: CallTurn) -> None:
        """A safe point: return at once, or when the calls that go first have had their turn."""
        with self._change:
            if not self._must_yield(turn):
                return
            interrupted = any(other.urgent for other in self._ready())
            turn.held, turn.spent = False, self._spent(turn) if interrupted else 0.0
            self._waiting.insert(0 if interrupted else len(self._waiting), turn)  # it goes on with its round
            self._grant(last=None if interrupted else turn)
        self._wait(turn)

    def wake(self) -> None:
        """Have every call that waits look at once whether it is still wanted."""
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
            self._grant()

    @property
    def _working(self) -> list[CallTurn]:
        return [turn for turn in self._under_way if turn.held]

    def _ready(self) -> list[CallTurn]:
        """Who waits for nothing but a turn."""
        taken = {turn.alone_in for turn in self._under_way} - {None}
        return [turn for turn in self._waiting if turn.begun or turn.alone_in not in taken]

    def _must_yield(self, turn: CallTurn) -> bool:
        ready = self._ready()
        if turn.urgent:
            older = [other for other in ready if other.urgent and _age(other) < _age(turn)]
            return bool(older) and len(self._working) >= URGENT_AT_ONCE
        if any(other.urgent for other in ready):
            return True
        return bool(ready) and self._spent(turn) >= SLICE_S

    @staticmethod
    def _spent(turn: CallTurn) -> float:
        return turn.spent + time.monotonic() - turn.since

    def _grant(self, last: CallTurn | None = None) -> None:
        """Give turns to whoever may have one, to the `last` only if nobody else wants it. Needs the lock."""
        while (turn := self._next(last)) is not None:
            self._waiting.remove(turn)
            if not turn.begun:
                self._under_way.append(turn)
            if not turn.urgent:
                self._newest = not turn.begun
            turn.held = turn.begun = True
            turn.since = time.monotonic()
        numbers = tuple(turn.number for turn in self._working)
        if numbers != self._told:
            self._told = numbers
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
        new = next((turn for turn in ready if not turn.begun), None)
        older = next((turn for turn in ready if turn.begun and turn is not last), None)
        return ((older or new) if self._newest else (new or older)) or (last if last in ready else None)


def _age(turn: CallTurn) -> float:
    assert turn.session is not None
    return turn.session
