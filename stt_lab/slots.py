"""Share what only a few may use at once: places for requests and jobs, which wait in turns by caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stt_lab.caller import Errand, errand
from stt_lab.errors import Busy, RateLimited, SttError
from stt_lab.types import Event, Report

POLL_S = 0.25  # between checks of a waiting request for cancellation
RETRY_AFTER_S = 30
OWN_RETRY_S = 10  # for a caller who has to wait for own requests


@dataclass(frozen=True)
class Waiting:
    """How many requests may wait. Jobs, and requests whose work has begun, are never refused."""

    kind: str  # of the work, for people
    each: int  # of one caller
    all: int

    def refusal(self, mine: int, total: int) -> SttError:
        """Return the error for one more request beside `mine` of the same caller and `total` of all."""
        if mine >= self.each:
            return RateLimited(
                f"{mine} {self.kind} requests of this account work or wait, and no more may. Retry when one has ended.",
                retry_after=OWN_RETRY_S,
            )
        return Busy(
            f"{total} {self.kind} requests work or wait on this server. Try again later.", retry_after=RETRY_AFTER_S
        )


class Slot:
    """A number of places. Whose owner was served longest ago is next; requests of one owner in order of arrival."""

    def __init__(
        self,
        capacity: Callable[[], int] = lambda: 1,
        waiting: Waiting | None = None,
        each: int | None = None,
        kept: int = 0,
    ) -> None:
        self._capacity = capacity  # may change, because nodes come and go
        self._each = each  # places that one owner may hold at once; None: all
        self._kept = kept  # places that only owners get who hold none
        self._waiting = waiting
        self._lock = threading.Lock()
        self._line: list[_Place] = []  # holders of places, then waiting requests
        self._served: dict[str, int] = {}  # owner -> number of its last place; emptied when nobody is in the line
        self._numbers = 0

    @property
    def taken(self) -> bool:
        return bool(self._line)

    @contextmanager
    def hold(self, report: Report, timeout_s: float, places: int = 1) -> Iterator[None]:
        """Wait for a number of places, reporting "queued", and hold them.

        Raises Busy after `timeout_s`. Where waiting is limited, raises RateLimited if too many requests of the caller
        wait already, and Busy if too many of all callers do.
        """
        own = errand()
        place = _Place(places, own.owner)
        with self._lock:
            self._line.append(place)
            self._grant()
            if not place.ready.is_set():
                self._check(own, place)
        try:
            self._wait(place, report, timeout_s)
            own.begun = True
            yield
        finally:
            with self._lock:
                self._line.remove(place)
                if not self._line:
                    self._served.clear()
                self._grant()

    def _check(self, own: Errand, place: _Place) -> None:
        """Refuse a request if too many wait before it. Needs the lock."""
        if self._waiting is None or own.begun or not own.refusable:
            return
        waiting = [other for other in self._line if not other.ready.is_set() and other is not place]
        mine, most = sum(other.owner == own.owner for other in waiting), self._waiting
        if mine < most.each and len(waiting) < most.all:
            return
        self._line.remove(place)
        raise most.refusal(mine, len(waiting))

    def _grant(self) -> None:
        """Give out free places. Needs the lock."""
        while (place := self._next()) is not None:
            self._numbers += 1
            self._served[place.owner] = self._numbers
            place.ready.set()

    def _next(self) -> _Place | None:
        """Return the request that gets the next place; None if there is no place for it."""
        holders = [place for place in self._line if place.ready.is_set()]
        waiting = [place for place in self._line if not place.ready.is_set()]
        for place in sorted(waiting, key=lambda place: self._served.get(place.owner, 0)):  # equals stay in order
            if self._fits(place, holders):
                return place
            if place.size > 1:  # it would wait for ever if smaller ones overtook it
                return None
        return None

    def _fits(self, place: _Place, holders: list[_Place]) -> bool:
        own = sum(other.owner == place.owner for other in holders)
        if self._each is not None and own >= self._each:
            return False
        used = sum(other.size for other in holders)
        return not holders or used + place.size <= self._capacity() - (self._kept if own else 0)

    def _wait(self, place: _Place, report: Report, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not place.ready.is_set():
            if time.monotonic() >= deadline:
                raise Busy("This machine is busy with earlier requests. Try again later.", retry_after=RETRY_AFTER_S)
            report(Event("queued"))
            place.ready.wait(POLL_S)
            with self._lock:
                self._grant()  # a device may have been added


@dataclass(eq=False)
class _Place:
    size: int
    owner: str
    ready: threading.Event = field(default_factory=threading.Event)
