"""Uploaded recordings become a dataset: an archive, or audio with its annotations, checked member by member.

dataset = add_dataset(datasets, "my set", [("my set.zip", path)], Options(language="de"), Limits(10**9))
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from stt_lab.errors import BadInput, Conflict, TooLarge, Unavailable
from stt_lab.lab.data.annotations import READERS
from stt_lab.lab.data.dataset import MANIFEST, Dataset, read_manifest
from stt_lab.lab.data.importers import ImportOptions, import_dataset
from stt_lab.lab.data.importers.options import AUDIO_SUFFIXES, files

KEPT = AUDIO_SUFFIXES | frozenset(READERS) | {".json", ".jsonl"}  # suffixes; a manifest names JSON files
STAGE = ".new-"  # beginning of the names of folders that are being filled
STALE_S = 24 * 3600.0  # age at which such a folder was left by a program that died
CHUNK = 1024 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class UploadLimits:
    """What one upload may become."""

    bytes: int  # unpacked
    files: int = 20_000  # with those that are left out


def add_dataset(
    folder: Path, name: str, given: Iterable[tuple[str, Path]], options: ImportOptions, limits: UploadLimits
) -> Dataset:
    """`folder`/`name` from files as the client names them, and where they lie. It is made whole or not at all.

    Audio with annotations goes through the importer `folder`; a manifest.jsonl among the files is taken as it is, when
    all that it names is there. Raises BadInput and its kin, whose sentences name files as the client does.
    """
    target = folder / name
    if target.exists():
        raise Conflict(f"There is a dataset {name!r} already: choose another name.")
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=folder))
    try:
        store = _Store(stage, limits)
        for called, path in given:
            store.take(called, path)
        root = _root(stage)
        _read(root, options)
        _place(root, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return read_manifest(target)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{STAGE}*"):
        if left.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(left, ignore_errors=True)


def _root(stage: Path) -> Path:
    """The folder with the recordings: archives often hold one that holds all."""
    inside = list(stage.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else stage


def _read(root: Path, options: ImportOptions) -> None:
    """Write the manifest, or read the one that came along."""
    if (root / MANIFEST).is_file():
        missing = [item.id for item in read_manifest(root, inside=root).items if not item.audio.is_file()]
        if missing:
            raise BadInput(f"The audio of {missing[0]} in {MANIFEST} is not among the files: send it too.")
        return
    if not files(root, AUDIO_SUFFIXES):
        raise BadInput(
            "There is no recording among the files: send audio, with .txt, .srt or .rttm files of the same names."
        )
    import_dataset("folder", root, root, options)


def _place(root: Path, target: Path) -> None:
    try:
        os.rename(root, target)
    except OSError:  # somebody was quicker
        raise Conflict(f"There is a dataset {target.name!r} already: choose another name.") from None


class _Store:
    """Writes files into a folder, and counts what has come."""

    def __init__(self, folder: Path, limits: UploadLimits) -> None:
        self._folder, self._limits = folder, limits
        self._bytes = self._files = 0

    def take(self, called: str, path: Path) -> None:
        """A file of the client: an archive is unpacked, all else must be of a kind that is known."""
        if called.lower().endswith(".zip"):
            self._unpack(called, path)
            return
        name = called.replace("\\", "/").rpartition("/")[2]
        place = _inside(name, called)
        if place is None or place.suffix.lower() not in KEPT:
            raise BadInput(f"{_shown(called)} is neither audio nor one of {', '.join(sorted(READERS))}: leave it out.")
        self._count(called)
        with path.open("rb") as source:
            self._write(source, place, called)

    def _unpack(self, called: str, path: Path) -> None:
        with _readable(called), zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                self._count(called)
                place = _member(info)
                if place is not None:
                    with archive.open(info) as source:
                        self._write(source, place, info.filename)

    def _count(self, called: str) -> None:
        self._files += 1
        if self._files > self._limits.files:
            raise TooLarge(f"{_shown(called)} makes it more than {self._limits.files} files: send fewer.")

    def _write(self, source: IO[bytes], place: PurePosixPath, called: str) -> None:
        """Bytes are counted as they come: an archive may lie about its sizes."""
        target = self._folder / place
        with _storable(called):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while chunk := source.read(CHUNK):
                    self._bytes += len(chunk)
                    if self._bytes > self._limits.bytes:
                        raise TooLarge(f"The files have more than {self._limits.bytes >> 20} MB unpacked: send fewer.")
                    file.write(chunk)


def _member(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """Where a member of an archive goes; None for what no dataset needs. Raises BadInput for what must not be there."""
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)  # as Unix writes it; 0 elsewhere
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadInput(f"{_shown(name)} is a link or a device in the archive: put the file itself there.")
    if info.flag_bits & 1:
        raise BadInput(f"{_shown(name)} is encrypted: send an archive without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadInput(f"{_shown(name)} is packed in a rare way: make the archive again, as a plain .zip.")
    place = _inside(name, name)
    needed = place is not None and not info.is_dir() and place.suffix.lower() in KEPT
    return place if needed else None


def _inside(name: str, called: str) -> PurePosixPath | None:
    """A name as a path below the folder; None for hidden files. Raises BadInput for one that leads out of it."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or not plain.isprintable() or plain.startswith("/") or ".." in parts or ":" in parts[0]:
        raise BadInput(f"{_shown(called)} is no name of a file in a folder: name it plainly.")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return None if hidden else PurePosixPath(*parts)


def _shown(name: str) -> str:
    return repr(name[:80])


@contextmanager
def _readable(called: str) -> Iterator[None]:
    """Errors of a bad archive as a sentence."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        raise BadInput(f"{_shown(called)} cannot be unpacked: make it again, as a plain .zip.") from None


@contextmanager
def _storable(called: str) -> Iterator[None]:
    """Errors of the disk as a sentence."""
    try:
        yield
    except OSError as problem:
        if problem.errno in FULL:
            raise Unavailable("The disk of this machine is full: make room, then send it again.") from None
        if isinstance(problem, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise BadInput(f"{_shown(called)} comes twice: give each file a name of its own.") from None
        raise BadInput(f"{_shown(called)} cannot be stored: give it a shorter name.") from None
