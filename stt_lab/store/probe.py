"""Check the database for /health, which never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stt_lab.errors import SttError

WAIT_S = 0.7  # for a check; then the database counts as one that does not answer
SILENT = "The database does not answer. Check its server, or what locks it."
LOCKED = "Nothing can be written to the database: it is unreachable, locked by another program, or its disk is full."


class Probe:
    """Runs one check at a time in a thread of its own; a check that hangs is left alone, and the next waits for it."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ended.set()
        self._problem = ""

    def problem(self) -> str:
        """Return what is wrong, in WAIT_S; "" if nothing is."""
        with self._lock:
            if self._ended.is_set():
                self._ended = threading.Event()
                threading.Thread(target=self._run, args=(self._ended,), name="probe", daemon=True).start()
            ended = self._ended
        return self._problem if ended.wait(WAIT_S) else SILENT

    def _run(self, ended: threading.Event) -> None:
        problem = LOCKED
        try:
            self._check()
            problem = ""
        except SttError:
            pass
        finally:
            self._problem = problem
            ended.set()
