"""Options of importers, and helpers that several of them share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stt_lab.errors import BadInput
from stt_lab.lab.data.annotations import Annotation
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.text import language_code

__all__ = ["AUDIO_SUFFIXES", "ImportOptions", "annotated", "code_of", "files", "folder_of", "lines"]

SOUND = ("wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "aac", "wma", "amr", "aif", "aiff", "sph")
VIDEO = ("mp4", "webm", "mkv", "avi", "mov", "wmv", "mpg", "ts")
AUDIO_SUFFIXES = frozenset(f".{name}" for name in (*SOUND, *VIDEO))


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import, mostly for what a layout does not record."""

    language: str | None = None  # for recordings whose layout names none
    licence: str | None = None
    source: str = ""
    split: str = ""  # "": the layout's default
    columns: Mapping[str, str] = field(default_factory=dict)  # of tables: manifest column to table column
    audio: Literal["refer", "copy", "link"] = "refer"
    scratch: Path = Path()  # for audio that is not in a file yet; set by `import_dataset`


def folder_of(source: str) -> Path:
    """Return the absolute folder. Raises Flaw if it does not exist."""
    path = Path(os.path.abspath(source))
    if not path.is_dir():
        raise Flaw(f"{source} is not a folder", "pass the folder with the recordings")
    return path


def files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """List files with these suffixes, recursively and sorted; skip hidden ones."""
    found = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    visible = (path for path in found if path.suffix.lower() in suffixes)
    return sorted(path for path in visible if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def lines(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (place, line) of a text file that may be long. Raises Flaw."""
    if not path.is_file():
        raise Flaw(f"{name} does not exist", "check that the download is complete")
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{name} line {number}", line.rstrip("\n")
    except UnicodeDecodeError:
        raise Flaw(f"{name} is not UTF-8 after line {number}", "save the file as UTF-8") from None


def code_of(tag: str) -> str | None:
    """Return the language code of a tag such as "sv-SE" or "en_us"; of an unknown tag its first part."""
    try:
        return language_code(tag)
    except BadInput:
        return re.split("[-_]", tag)[0].lower()


def annotated(id: str, audio: Path, known: Annotation, **more: str | None) -> Item:
    """Build an item from annotations; its kind follows from text and speakers."""
    speakers = {part.speaker for part in known.turns or ()} | {part.speaker for part in known.segments or ()}
    kind = "non-speech" if known.text == "" else "multi-speaker" if len(speakers) > 1 else "speech"
    return Item(
        id=id,
        audio=audio,
        text=known.text,
        segments=known.segments,
        turns=known.turns,
        words=known.words,
        kind=kind,
        language=more.get("language"),
        licence=more.get("licence"),
        source=more.get("source") or "",
    )
