"""Recordings on disk: a folder for each job until it ends, and those that the library keeps."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from stt_lab.errors import Unavailable


class JobFiles:
    """Folders of the data directory that only its owner can enter."""

    def __init__(self, data_dir: Path) -> None:
        self._jobs, self._audio = data_dir / "jobs", data_dir / "audio"
        for folder in (data_dir, self._jobs, self._audio):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def take(self, job_id: str, media: Mapping[str, Path]) -> None:
        """Have uploads as a job's own, on disk for good; whoever received them removes theirs."""
        folder = self._jobs / job_id
        try:
            folder.mkdir(mode=0o700)
            for name, source in media.items():
                _copy(source, folder / name)
            _sync(folder)
            _sync(self._jobs)
        except OSError:
            self.remove(job_id)
            raise Unavailable("The recording cannot be stored: try again when the disk has room.") from None

    def of(self, job_id: str, names: Iterable[str]) -> dict[str, Path]:
        return {name: self._jobs / job_id / name for name in names}

    def keep(self, job_id: str, name: str) -> str:
        """Have a job's recording in the library too; under which name."""
        kept = secrets.token_hex(16)
        _copy(self._jobs / job_id / name, self._audio / kept)
        _sync(self._audio)
        return kept

    def discard(self, kept: str | None) -> None:
        if kept:
            (self._audio / kept).unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        shutil.rmtree(self._jobs / job_id, ignore_errors=True)

    def sweep(self, jobs: set[str], older_than_s: float) -> None:
        """Remove what an interrupted step left: all folders but those of these jobs."""
        latest = time.time() - older_than_s
        for folder in self._jobs.iterdir():
            with contextlib.suppress(OSError):  # another server was quicker
                if folder.name not in jobs and folder.stat().st_mtime <= latest:
                    shutil.rmtree(folder)


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    """A link where that is possible: then it takes no room and no time."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    _sync(target)


def _sync(path: Path) -> None:
    """What is written there survives a power failure from here on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
