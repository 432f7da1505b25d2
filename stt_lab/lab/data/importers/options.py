"""What importers are told, and what several of them need."""

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
    """What a layout does not say of itself."""

    language: str | None = None  # of recordings whose layout names none
    licence: str | None = None
    source: str = ""
    split: str = ""  # "" is the layout's own default
    columns: Mapping[str, str] = field(default_factory=dict)  # of tables: the manifest's name to the table's
    audio: Literal["refer", "copy", "link"] = "refer"
    scratch: Path = Path()  # for audio that lies in no file yet; `import_dataset` sets it


def folder_of(source: str) -> Path:
    """The folder, absolute. Raises Flaw where there is none."""
    path = Path(os.path.abspath(source))
    if not path.is_dir():
        raise Flaw(f"{source} is no folder", "give the folder that holds the recordings")
    return path


def files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files of these suffixes in the folder and those below, sorted; hidden ones are left out."""
    found = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    visible = (path for path in found if path.suffix.lower() in suffixes)
    return sorted(path for path in visible if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def lines(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Where a line stands, and the line: for text files that may be long. Raises Flaw."""
    if not path.is_file():
        raise Flaw(f"{name} does not exist", "check that the download is whole")
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{name} line {number}", line.rstrip("\n")
    except UnicodeDecodeError:
        raise Flaw(f"{name} is not UTF-8 after line {number}", "save the file as UTF-8") from None


def code_of(tag: str) -> str | None:
    """The code of a language named as "sv-SE" or "en_us"; one that no recogniser here knows keeps its first part."""
    try:
        return language_code(tag)
    except BadInput:
        return re.split("[-_]", tag)[0].lower()


def annotated(id: str, audio: Path, known: Annotation, **more: str | None) -> Item:
    """An item of what annotation files say; its kind follows from them."""
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
