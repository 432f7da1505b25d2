"""Values of a dataset: an item is a recording and its references."""

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
    """One recording and its references. None means unknown; "" and () mean known to be empty."""

    id: str  # unique in its dataset
    audio: Path  # absolute
    language: str | None = None  # as `stt_lab.text.language_code` gives it
    text: str | None = None  # reference, never normalised; "" if nobody speaks
    segments: tuple[Segment, ...] | None = None  # utterances with speaker and text
    turns: tuple[Turn, ...] | None = None
    words: tuple[Word, ...] | None = None  # with their times
    duration: float | None = None  # seconds
    kind: str = "speech"  # "speech", "multi-speaker", "non-speech", ...: scored in groups of their own
    licence: str | None = None
    source: str = ""  # corpus or project; scores are also grouped by it
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)  # columns with other names, kept unchanged

    def row(self, folder: Path) -> dict[str, Any]:
        """Return the item as a manifest row, with paths relative to `folder`."""
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
    """Return a relative path for a file inside the folder, so that both can move together."""
    return audio.relative_to(folder).as_posix() if audio.is_relative_to(folder) else str(audio)


def _parts(spans: tuple[Segment | Turn | Word, ...] | None) -> list[dict[str, Any]] | None:
    return None if spans is None else [_part(span) for span in spans]


def _part(span: Segment | Turn | Word) -> dict[str, Any]:
    """Return the fields that have a value; the words of a segment are nested in it."""
    made = {name: value for name, value in vars(span).items() if value is not None and value != ()}
    return made | {"words": _parts(span.words)} if isinstance(span, Segment) and span.words else made


@dataclass(frozen=True)
class Dataset:
    """Items in the order of their manifest."""

    name: str
    folder: Path  # absolute: of the manifest
    items: tuple[Item, ...]

    def digest(self) -> str:
        """Return a SHA-256 (hex) over rows and audio sizes; scores are comparable only if it is equal.

        It does not depend on the folder or on the order of the rows.
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


def two_sentences(what: str, fix: str) -> str:
    """Join a problem and its fix, both without a full stop, as two sentences."""
    return f"{what}. {fix[:1].upper()}{fix[1:]}."


@dataclass(frozen=True)
class Problem:
    """One problem of a manifest row, and how to fix it."""

    line: int  # from 1; 0 means the whole manifest
    id: str  # "" if the row has no readable id
    what: str
    fix: str

    def __str__(self) -> str:
        row = f"line {self.line}" + (f" ({self.id})" if self.id else "")
        return f"{row if self.line else 'the manifest'}: {two_sentences(self.what, self.fix)}"


class Flaw(Exception):
    """A row or annotation file that cannot be used; readers turn it into a Problem or a BadInput."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(two_sentences(what, fix))
        self.what = what
        self.fix = fix
