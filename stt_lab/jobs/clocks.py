"""Time that survives a wall clock that jumps: leases, and the ages at which things are deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from stt_lab.store.models import now
from stt_lab.store.queue import LEASE, JobRow

Seconds = Callable[[], float]


def passed() -> float:
    """Return the seconds since some moment, also those in which the machine slept where that is known."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SteadyClock:
    """The wall clock, but never further ahead than the time that has passed since this process began."""

    def __init__(self, seconds: Seconds = passed) -> None:
        self._seconds = seconds
        self._began, self._wall = seconds(), now()

    def now(self) -> datetime:
        return min(now(), self._wall + timedelta(seconds=self._seconds() - self._began))


class LeaseWatch:
    """Finds claims that nobody renews.

    A server that renews its lease changes it every few seconds, whatever its clock says. So a claim counts as lost only
    if this process has seen it unchanged for a while: `confirm_s` if it has also ended by the wall clock, else LEASE.
    """

    def __init__(self, seconds: Seconds = time.monotonic) -> None:
        self._seconds = seconds
        self._seen: dict[tuple[str, int, datetime | None], float] = {}

    def lost(self, running: Iterable[JobRow], confirm_s: float) -> list[JobRow]:
        """Return those of the running jobs whose claim is lost."""
        moment, wall = self._seconds(), now()
        seen = {(row.id, row.attempts, row.lease_until): row for row in running}
        self._seen = {key: self._seen.get(key, moment) for key in seen}
        return [
            row
            for key, row in seen.items()
            if moment - self._seen[key] >= (confirm_s if _has_ended(row, wall) else LEASE.total_seconds())
        ]


def _has_ended(row: JobRow, wall: datetime) -> bool:
    return row.lease_until is None or row.lease_until < wall
