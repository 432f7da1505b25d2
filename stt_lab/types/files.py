"""Files that operations answer with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Headers = Mapping[str, str]
CHUNK_BYTES = 1024 * 1024  # of a file in memory at once


@dataclass(frozen=True)
class File:
    """A file on disk, or one whose bytes are computed while it is read, once."""

    name: str
    media_type: str
    chunks: Iterator[bytes]
    warnings: tuple[str, ...] = ()
    path: Path | None = None  # set for a file on disk, of which HTTP also serves ranges
    headers: Headers = field(default_factory=dict)  # of its answer over HTTP, such as X-Duration

    @classmethod
    def on_disk(
        cls, path: Path, name: str, media_type: str, warnings: Iterable[str] = (), headers: Headers | None = None
    ) -> File:
        """Make a file whose bytes are read from a path."""
        return cls(name, media_type, _chunks(path), tuple(warnings), path, headers or {})

    def save(self, folder: Path) -> Path:
        """Write the file into a folder, under its name. Return its path."""
        path = folder / self.name
        with path.open("wb") as file:
            file.writelines(self.chunks)
        return path


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")
