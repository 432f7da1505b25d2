"""The folder of kept recordings, which the rows of transcripts name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path


class Recordings:
    """Files of one folder. Nothing elsewhere is ever read or removed, whatever a row says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str | None) -> Path | None:
        """A recording that is there."""
        path = self.folder / name if name and is_name(name) else None
        return path if path and path.is_file() else None

    def remove(self, names: Iterable[str | None]) -> int:
        """How many could be removed; what cannot be is left to a sweep."""
        count = 0
        for name in names:
            with suppress(OSError):
                if name and is_name(name):
                    (self.folder / name).unlink()
                    count += 1
        return count

    def older(self, seconds: float) -> Iterator[str]:
        """Names of all that has lain there for so long."""
        latest = time.time() - seconds
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):  # another server was quicker
                if path.lstat().st_ctime <= latest:  # of a link; it has the modification time of the upload
                    yield path.name


def is_name(name: str) -> bool:
    """True for the name of a file, false for a path to one elsewhere."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")
