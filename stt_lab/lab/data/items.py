"""The values of a dataset: an item is a recording and what is known about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_lab.types import Segment, Turn, Word

__all__ = ["Dataset", "Flaw", "Item", "Problem"]


@dataclass(frozen=True)
class Item:
    """One recording and what is known about it. None means unknown; "" and () mean that nothing is there."""

    id: str  # unique in its dataset
    audio: Path  # absolute
    language: str | None = None  # as `stt_lab.text.language_code` gives it
    text: str | None = None  # reference, never normalised; "" where nobody speaks
    segments: tuple[Segment, ...] | None = None  # utterances with speaker and text
    turns: tuple[Turn, ...] | None = None
    words: tuple[Word, ...] | None = None  # with their times
    duration: float | None = None  # seconds
    kind: str = "speech"  # "speech", "multi-speaker", "non-speech", ...: reported apart
    licence: str | None = None
    source: str = ""  # where it comes from: scores are told by source too
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)  # columns of other names, kept as they are

    def row(self, folder: Path) -> dict[str, Any]:
        """The item as a row of a manifest in `folder`: the inverse of reading one."""
        known = {
            "id": self.id,
            "audio": _named(self.audio, folder),
            "duration": self.duration,
            "language": self.language,
            "text": self.text,
            "segments": _parts(self.segments),
            "turns": _parts(self.turns),
            "words": _parts(self.words),
            "kind": self.kind,
            "licence": self.licence,
            "source": self.source or None,
        }
        return {name: value for name, value in known.items() if value is not None} | dict(self.extra)


def _named(audio: Path, folder: Path) -> str:
    """Relative to the folder where the file lies in it, so that both can move together."""
    return audio.relative_to(folder).as_posix() if audio.is_relative_to(folder) else str(audio)


def _parts(spans: tuple[Segment | Turn | Word, ...] | None) -> list[dict[str, Any]] | None:
    return None if spans is None else [_part(span) for span in spans]


def _part(span: Segment | Turn | Word) -> dict[str, Any]:
    """The fields that say something; words of a segment within it."""
    made = {name: value for name, value in vars(span).items() if value is not None and value != ()}
    return made | {"words": _parts(span.words)} if isinstance(span, Segment) and span.words else made


@dataclass(frozen=True)
class Dataset:
    """Items in the order of their manifest."""

    name: str
    folder: Path  # absolute: of the manifest
    items: tuple[Item, ...]

    def digest(self) -> str:
        """sha256 over the rows and the sizes of the audio, hex: equal where scores may stand in one table.

        The same files in another folder, or in another order, have the same digest.
        """
        total = hashlib.sha256()
        for item in sorted(self.items, key=lambda item: item.id):
            row = item.row(self.folder)
            if not item.audio.is_relative_to(self.folder):
                row["audio"] = item.audio.name
            line = json.dumps([row, _size(item.audio)], sort_keys=True, separators=(",", ":"))
            total.update(line.encode() + b"\n")
        return total.hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row of a manifest, and how to fix it."""

    line: int  # from 1; 0 for the manifest as a whole
    id: str  # "" where the row has none that can be read
    what: str
    fix: str

    def __str__(self) -> str:
        row = f"line {self.line}" + (f" ({self.id})" if self.id else "")
        return f"{row if self.line else 'the whole'}: {self.what}; {self.fix}."


class Flaw(Exception):
    """A row or a file of annotations that cannot be used. Readers make a Problem or a BadInput of it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}.")
        self.what = what
        self.fix = fix
