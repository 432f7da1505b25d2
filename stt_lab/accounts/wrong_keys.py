"""Slow down callers who try keys: after ten wrong keys in a minute, an address has to wait."""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from stt_lab.errors import RateLimited

LIMIT = 10  # wrong keys of an address within WINDOW_S
WINDOW_S = 60.0
LONGEST_S = 3600.0  # each further wait is twice as long as the one before, up to this
MOST = 10_000  # addresses, and keys that worked, which are remembered

Name = TypeVar("Name")
Value = TypeVar("Value")


@dataclass
class _Record:
    since: float  # beginning of the minute in which wrong keys are counted
    wrong: int = 0
    waits: int = 0
    until: float = 0.0


class WrongKeys:
    """Counts wrong keys by address, in the memory of this process.

    While an address waits, its keys are refused unread, so that guessing is slow. Keys that worked from there before
    still do, since people behind one address must not be shut out by one of them; other addresses never wait.
    """

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._right: OrderedDict[bytes, None] = OrderedDict()  # digests of address and key
        self._salt = secrets.token_bytes(32)

    @property
    def remembered(self) -> tuple[int, int]:
        """Return how many addresses and how many keys that worked are remembered."""
        return len(self._records), len(self._right)

    def check(self, address: str, key: str) -> None:
        """Raise RateLimited if the address has to wait, before the key is compared with any."""
        with self._lock:
            record = self._records.get(address)
            left = record.until - self._clock() if record else 0.0
            if left <= 0 or self._digest(address, key) in self._right:
                return
        seconds = math.ceil(left)
        raise RateLimited(
            f"Too many wrong keys came from this address. Wait {seconds} s, then send a valid key, or ask the "
            "administrator for one (`stt-lab keys create`).",
            retry_after=seconds,
        )

    def count_wrong(self, address: str) -> None:
        now = self._clock()
        with self._lock:
            record = self._records.get(address) or _Record(now)
            if now - record.since > WINDOW_S:
                record.since, record.wrong = now, 0
            if now - record.until > LONGEST_S:
                record.waits = 0
            record.wrong += 1
            if record.wrong >= self._limit:
                record.until = now + min(WINDOW_S * 2**record.waits, LONGEST_S)
                record.since, record.wrong, record.waits = now, 0, record.waits + 1
            _remember(self._records, address, record)

    def note_right(self, address: str, key: str) -> None:
        with self._lock:
            _remember(self._right, self._digest(address, key), None)

    def _digest(self, address: str, key: str) -> bytes:
        return hashlib.blake2b(f"{address} {key}".encode(), key=self._salt, digest_size=16).digest()


def _remember(table: OrderedDict[Name, Value], name: Name, value: Value) -> None:
    table[name] = value
    table.move_to_end(name)
    if len(table) > MOST:
        table.popitem(last=False)
