"""Write what nobody waits for behind requests: times of last use. Bounded, and dropped while the database is locked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from stt_lab.errors import SttError

log = logging.getLogger(__name__)

DELAY_S = 1.0  # so that many requests make one transaction
MOST = 10_000  # notes that wait; further ones are dropped

Write = Callable[[Session], None]


class Notes:
    """Pending writes by key, and the timer that makes them."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Session]]) -> None:
        self._transaction = transaction
        self._pending: dict[object, Write] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def add(self, key: object, write: Write) -> None:
        """Add a note; it replaces an earlier one with an equal key."""
        with self._lock:
            if self._closed or (len(self._pending) >= MOST and key not in self._pending):
                return
            self._pending[key] = write
            if self._timer is None:
                self._timer = threading.Timer(DELAY_S, self._run)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write all notes. Raises Unavailable; then they are dropped."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if pending:
            with self._transaction() as session:
                for write in pending.values():
                    write(session)

    def close(self) -> None:
        """Take no more notes, and drop those that wait: the database may be locked."""
        with self._lock:
            self._closed = True
            self._pending.clear()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _run(self) -> None:
        with self._lock:
            self._timer = None  # notes that are added from here on start another one
        try:
            self.flush()
        except SttError as problem:
            log.warning("times of last use were not written: %s", problem)
        except Exception:
            log.exception("times of last use were not written")
