"""Keep files on disk: a folder for each job until it ends, artifacts of jobs, and recordings of the library."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from stt_lab.errors import Unavailable
from stt_lab.types import File

FULL = "The server's disk is full. Try again later, or ask the administrator to free space."


class JobFiles:
    """Folders in the data directory that only its owner can enter."""

    def __init__(self, data_dir: Path) -> None:
        self._jobs, self._audio, self._artifacts = data_dir / "jobs", data_dir / "audio", data_dir / "artifacts"
        for folder in (data_dir, self._jobs, self._audio, self._artifacts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    # Recordings of jobs

    def take(self, job_id: str, media: Mapping[str, Path]) -> None:
        """Copy or link uploads into a job's folder, flushed to disk. The receiver still deletes its own files."""
        folder = self._jobs / job_id
        try:
            folder.mkdir(mode=0o700)
            for name, source in media.items():
                _copy(source, folder / name)
            _sync(folder)
            _sync(self._jobs)
        except OSError:
            self.remove(job_id)
            raise Unavailable(FULL) from None

    def make_folder(self, job_id: str) -> Path:
        """Make the folder of a job without uploads."""
        try:
            self.folder(job_id).mkdir(mode=0o700)
        except OSError:
            raise Unavailable(FULL) from None
        return self.folder(job_id)

    def folder(self, job_id: str) -> Path:
        return self._jobs / job_id

    def of(self, job_id: str, names: Iterable[str]) -> dict[str, Path]:
        return {name: self._jobs / job_id / name for name in names}

    def remove(self, job_id: str) -> None:
        shutil.rmtree(self._jobs / job_id, ignore_errors=True)

    # Recordings of the library

    def keep(self, job_id: str, name: str) -> str:
        """Keep a job's recording for the library. Return its name there."""
        kept = secrets.token_hex(16)
        _copy(self._jobs / job_id / name, self._audio / kept)
        _sync(self._audio)
        return kept

    def discard(self, kept: str | None) -> None:
        if kept:
            (self._audio / kept).unlink(missing_ok=True)

    # Artifacts

    def keep_artifact(self, job_id: str, file: File) -> File:
        """Write the artifact of a job to disk and return it. Raises what reading the artifact raises."""
        path = self._artifacts / job_id
        try:
            with path.open("wb") as target:
                target.writelines(file.chunks)
            _sync(path)
            _sync(self._artifacts)
        except BaseException as problem:
            self.remove_artifact(job_id)
            if isinstance(problem, OSError):
                raise Unavailable(FULL) from None
            raise
        return File.on_disk(path, file.name, file.media_type, file.warnings, file.headers)

    def artifact(self, job_id: str) -> Path | None:
        path = self._artifacts / job_id
        return path if path.is_file() else None

    def remove_artifact(self, job_id: str) -> None:
        (self._artifacts / job_id).unlink(missing_ok=True)

    # Housekeeping

    def older(self, seconds: float) -> list[Path]:
        """Return the files of jobs that have been there for that many seconds."""
        latest, found = time.time() - seconds, []
        for path in (*self._jobs.iterdir(), *self._artifacts.iterdir()):
            with contextlib.suppress(OSError):  # another server removed it first
                found += [path] if path.stat().st_mtime <= latest else []
        return found

    def sweep(self, paths: Iterable[Path], active: Collection[str], with_result: Collection[str]) -> None:
        """Remove leftovers of interrupted steps: recordings of ended jobs, artifacts of jobs without a result."""
        for path in paths:
            with contextlib.suppress(OSError):  # another server removed it first
                if path.name not in (active if path.parent == self._jobs else with_result):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Link a file where possible, which takes neither space nor time; else copy it."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    _sync(target)


def _sync(path: Path) -> None:
    """Flush a file or folder to disk, so that it survives a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
