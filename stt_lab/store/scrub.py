"""Remove the traces of deleted rows: words that the search index still has, and SQLite's journal."""

from __future__ import annotations

import logging
import threading
import time

from stt_lab.errors import SttError
from stt_lab.store.database import Database
from stt_lab.store.search import INDEXES

log = logging.getLogger(__name__)

DELAY_S = 1.0  # so that many deletions are cleaned up at once
AGAIN_S = 60.0  # after a failure: the database was locked, or a reader prevented it
PATIENCE_S = 5.0  # for readers of the journal
STEP_S = 0.1


class Scrubber:
    """Cleans up soon after deletions, in a thread of its own; what is pending is done when the database closes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        database.closing.append(self.close)

    def soon(self, delay_s: float = DELAY_S) -> None:
        """Clean up: rows were deleted."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(delay_s, self._run)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._run(last=True)

    def _run(self, last: bool = False) -> None:
        with self._lock:
            self._timer = None
        try:
            done = self.scrub()
        except SttError:
            done = False
        except Exception:
            log.exception("the traces of deleted rows could not be removed")
            return
        if not done and not last:
            self.soon(AGAIN_S)

    def scrub(self) -> bool:
        """Clean up now. Return False if a reader of the journal prevents it."""
        index, more, first = INDEXES[self._database.dialect], True, True
        while more:
            with self._database.write() as session:
                more = index.forget(session, first)
            first = False
        deadline = time.monotonic() + PATIENCE_S
        while not self._database.scrub():
            if time.monotonic() > deadline:
                return False
            time.sleep(STEP_S)
        return True
