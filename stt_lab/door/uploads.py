"""Limit the uploads that lie on disk: bytes of each caller and in all, and a reserve of free space.

HTTP counts an upload until it is received and its job has its own file; the page and Gradio's API as long as they keep
the file.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path

from stt_lab.caller import Caller
from stt_lab.errors import RateLimited, Unavailable
from stt_lab.settings import MB, Settings

GB = 1024 * MB
TIMES = 2  # bytes of a caller, as a multiple of the largest file that it may send
RETRY_AFTER_S = 60
LOW = "The server's disk is nearly full. Try again later, or ask the administrator to free space."
FULL = "This server holds as many uploads as it may. Try again later."


class UploadRoom:
    """The uploads of a server. Thread-safe."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._most, self._reserve = int(settings.max_uploads_gb * GB), int(settings.disk_reserve_gb * GB)
        self._held: Counter[str] = Counter()  # bytes by caller
        self._lock = threading.Lock()

    def enter(self, caller: Caller, largest: int, size: int = 0) -> Upload:
        """Admit an upload of a caller, whose files may have `largest` bytes. Raises what `Upload.grow` raises."""
        upload = Upload(self, f"{caller.account_id} {caller.client}", TIMES * largest)
        upload.grow(size)
        return upload

    @property
    def held(self) -> int:
        """Return the bytes of all uploads."""
        with self._lock:
            return self._held.total()

    def _add(self, owner: str, count: int, most: int) -> None:
        with self._lock:
            if self._held[owner] + count > most:
                raise RateLimited(
                    f"Your uploads in progress exceed {most // MB} MB together. Wait until one is done, or close pages "
                    "that you no longer need.",
                    retry_after=RETRY_AFTER_S,
                )
            if self._held.total() + count > self._most:
                raise Unavailable(FULL, retry_after=RETRY_AFTER_S)
            self._held[owner] += count

    def _remove(self, owner: str, count: int) -> None:
        with self._lock:
            self._held[owner] -= count
            if self._held[owner] <= 0:
                del self._held[owner]

    def _check_disk(self, count: int) -> None:
        if shutil.disk_usage(self._folder).free - count < self._reserve:
            raise Unavailable(LOW, retry_after=RETRY_AFTER_S)


class Upload:
    """One upload and its bytes so far."""

    def __init__(self, room: UploadRoom, owner: str, most: int) -> None:
        self._room, self._owner, self._most = room, owner, most
        self.size = 0

    def grow(self, count: int) -> None:
        """Count more bytes, before they are written.

        Raises RateLimited if the caller has too many, Unavailable if the server has, or if too little of the disk is
        free.
        """
        self._room._check_disk(count)
        self._room._add(self._owner, count, self._most)
        self.size += count

    def split(self, size: int) -> Upload:
        """Return an upload of its own for one of the received files."""
        part = Upload(self._room, self._owner, self._most)
        part.size = min(size, self.size)
        self.size -= part.size
        return part

    def end(self) -> None:
        """Count the upload no longer. Harmless when repeated."""
        size, self.size = self.size, 0
        self._room._remove(self._owner, size)
