"""The folder of recordings; rows of transcripts hold their file names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

KINDS = (  # pattern of the first bytes, suffix, media type
    (rb"RIFF....WAVE", ".wav", "audio/wav"),
    (rb"RIFF....AVI ", ".avi", "video/x-msvideo"),
    (rb"fLaC", ".flac", "audio/flac"),
    (rb"OggS", ".ogg", "audio/ogg"),
    (rb"....ftypM4[AB]", ".m4a", "audio/mp4"),
    (rb"....ftypqt", ".mov", "video/quicktime"),
    (rb"....ftyp", ".mp4", "video/mp4"),
    (rb"\x1aE\xdf\xa3.{0,60}webm", ".webm", "video/webm"),
    (rb"\x1aE\xdf\xa3", ".mkv", "video/x-matroska"),
    (rb"\x30\x26\xb2\x75", ".wma", "audio/x-ms-wma"),
    (rb"\xff[\xf0-\xf1\xf8-\xf9]", ".aac", "audio/aac"),
    (rb"ID3|\xff[\xe2-\xff]", ".mp3", "audio/mpeg"),
    (rb"\0\0\x01\xba", ".mpg", "video/mpeg"),
    (rb"G.{187}G", ".ts", "video/mp2t"),
)
FIRST = 200  # bytes that are read


class Recordings:
    """Files of one folder. No file elsewhere is ever read or removed, whatever a row contains."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str | None) -> Path | None:
        """Return the path of an existing recording, otherwise None."""
        path = self.folder / name if name and is_name(name) else None
        return path if path and path.is_file() else None

    def remove(self, names: Iterable[str | None]) -> int:
        """Remove recordings; return how many. What cannot be removed is left to a sweep."""
        count = 0
        for name in names:
            with suppress(OSError):
                if name and is_name(name):
                    (self.folder / name).unlink()
                    count += 1
        return count

    def older(self, seconds: float) -> Iterator[str]:
        """Yield the names of files that have been there for that many seconds."""
        latest = time.time() - seconds
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):  # another server removed it first
                if path.lstat().st_ctime <= latest:  # of the link itself; the modification time is that of the upload
                    yield path.name


def is_name(name: str) -> bool:
    """Return whether this is a plain file name, not a path."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def kind(path: Path) -> tuple[str, str]:
    """Return suffix and media type of a recording by its content, since recordings are stored under neutral names."""
    with path.open("rb") as file:
        first = file.read(FIRST)
    known = ((suffix, media_type) for looks, suffix, media_type in KINDS if re.match(looks, first, re.DOTALL))
    return next(known, ("", "application/octet-stream"))
