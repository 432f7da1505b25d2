"""Turn uploaded files into a dataset: archives, or audio with annotations, checked file by file.

dataset = add_dataset(datasets, "my set", [("my set.zip", path)], ImportOptions(language="de"), UploadLimits(10**9))
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
import unicodedata
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
from stt_lab.lab.data.importers.options import AUDIO_SUFFIXES, UNDECODED, audio_files
from stt_lab.lab.data.items import Flaw

KEPT = AUDIO_SUFFIXES | UNDECODED | frozenset(READERS) | {".json", ".jsonl"}  # suffixes; manifests name JSON files
STAGE = ".new-"  # prefix of folders that are being filled
STALE_S = 24 * 3600.0  # older folders were left by a process that died
CHUNK = 1024 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class UploadLimits:
    """Limits on one upload."""

    bytes: int  # unpacked
    files: int = 20_000  # ignored files count too


def add_dataset(
    folder: Path, name: str, given: Iterable[tuple[str, Path]], options: ImportOptions, limits: UploadLimits
) -> Dataset:
    """Create the dataset `folder`/`name` atomically from (client's file name, path) pairs.

    Audio with annotations goes through the importer `folder`. A manifest.jsonl among the files is used as it is, if all
    its audio was uploaded. Errors name files as the client does.
    """
    target = folder / name
    if target.exists():
        raise Conflict(f"A dataset called {name!r} already exists. Choose another name.")
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
    """Return the folder with the recordings: many archives contain a single top-level folder."""
    inside = list(stage.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else stage


def _read(root: Path, options: ImportOptions) -> None:
    """Write the manifest, or check the one that was uploaded."""
    if (root / MANIFEST).is_file():
        missing = [item.id for item in read_manifest(root, inside=root).items if not item.audio.is_file()]
        if missing:
            raise BadInput(f"The audio of {missing[0]} in {MANIFEST} was not uploaded. Upload it too.")
        return
    try:
        found = audio_files(root)
    except Flaw as flaw:
        raise BadInput(str(flaw)) from None
    if not found:
        raise BadInput(
            "The files contain no recording. Upload audio, with .txt, .srt or .rttm files of the same names."
        )
    import_dataset("folder", root, root, options)


def _place(root: Path, target: Path) -> None:
    try:
        os.rename(root, target)
    except OSError:  # created meanwhile
        raise Conflict(f"A dataset called {target.name!r} already exists. Choose another name.") from None


class _Store:
    """Writes files into a folder, and counts files and bytes."""

    def __init__(self, folder: Path, limits: UploadLimits) -> None:
        self._folder, self._limits = folder, limits
        self._bytes = self._files = 0

    def take(self, called: str, path: Path) -> None:
        """Store one uploaded file: unpack an archive, refuse unknown file types."""
        if called.lower().endswith(".zip"):
            self._unpack(called, path)
            return
        name = called.replace("\\", "/").rpartition("/")[2]
        place = safe_path(name, called)
        if place is None or place.suffix.lower() not in KEPT:
            raise BadInput(f"{_shown(called)} cannot be used. Upload audio, or one of {', '.join(sorted(READERS))}.")
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
            raise TooLarge(f"{_shown(called)} exceeds the limit of {self._limits.files} files. Upload fewer.")

    def _write(self, source: IO[bytes], place: PurePosixPath, called: str) -> None:
        """Write one file; bytes are counted as they arrive, because an archive may lie about its sizes."""
        target = self._folder / place
        with _storable(called):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while chunk := source.read(CHUNK):
                    self._bytes += len(chunk)
                    if self._bytes > self._limits.bytes:
                        raise TooLarge(f"The files exceed {self._limits.bytes >> 20} MB unpacked. Upload fewer.")
                    file.write(chunk)


def _member(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """Return the target of an archive member; None if datasets do not need it. Raises BadInput for unsafe members."""
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)  # Unix file type; 0 on other systems
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadInput(f"{_shown(name)} is a link or a device. Put the file itself into the archive.")
    if info.flag_bits & 1:
        raise BadInput(f"{_shown(name)} is encrypted. Upload an archive without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadInput(f"{_shown(name)} uses an unsupported compression. Create a plain .zip.")
    place = safe_path(name, name)
    needed = place is not None and not info.is_dir() and place.suffix.lower() in KEPT
    return place if needed else None


def safe_path(name: str, called: str) -> PurePosixPath | None:
    """Return a safe relative path; None for hidden files. Raises BadInput for a path that leaves the folder."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if (
        not parts
        or not all(char.isprintable() or _is_blank(char) for char in plain)
        or plain.startswith("/")
        or ".." in parts
        or ":" in parts[0]
    ):
        raise BadInput(f"{_shown(called)} is not a valid file name. Use a plain name without `..` or a drive.")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return None if hidden else PurePosixPath(*parts)


def _is_blank(char: str) -> bool:
    """Return whether a character is a blank, such as the narrow one that macOS writes before AM and PM."""
    return unicodedata.category(char) == "Zs"


def _shown(name: str) -> str:
    return repr(name[:80])


@contextmanager
def _readable(called: str) -> Iterator[None]:
    """Turn errors of a bad archive into BadInput."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        raise BadInput(f"{_shown(called)} cannot be unpacked. Create a plain .zip.") from None


@contextmanager
def _storable(called: str) -> Iterator[None]:
    """Turn errors of the disk into ours."""
    try:
        yield
    except OSError as problem:
        if problem.errno in FULL:
            raise Unavailable("The server's disk is full. Free some space, then upload again.") from None
        if isinstance(problem, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise BadInput(f"{_shown(called)} was uploaded twice. Give each file a unique name.") from None
        raise BadInput(f"{_shown(called)} cannot be stored. Give it a shorter name.") from None
