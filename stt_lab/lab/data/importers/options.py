"""Options of importers, and helpers that several of them share."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stt_lab.errors import BadInput
from stt_lab.lab.data.annotations import Annotation
from stt_lab.lab.data.annotations.files import lines, same_name
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.text import language_code

__all__ = [
    "AUDIO_SUFFIXES",
    "UNDECODED",
    "ImportOptions",
    "annotated",
    "audio_files",
    "code_of",
    "files",
    "folder_of",
    "has_audio",
    "lines",
]

SOUND = ("wav", "w64", "flac", "mp3", "ogg", "oga", "opus", "m4a", "m4b", "aac", "wma", "mka")
VIDEO = ("mp4", "m4v", "webm", "mkv", "avi", "mov", "3gp", "wmv", "asf", "mpg", "mpeg", "ts")
AUDIO_SUFFIXES = frozenset(f".{name}" for name in (*SOUND, *VIDEO))
UNDECODED = frozenset(  # recordings too, but `stt_lab.audio` does not open them
    f".{name}" for name in ("aif", "aiff", "aifc", "amr", "ape", "au", "caf", "mp2", "snd", "sph", "tta", "wv")
)


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


def audio_files(folder: Path) -> list[Path]:
    """List the recordings below a folder, sorted. Raises Flaw for one in a format that is not decoded."""
    found = files(folder, AUDIO_SUFFIXES | UNDECODED)
    decoded = {path.with_suffix("") for path in found if path.suffix.lower() in AUDIO_SUFFIXES}
    for path in found:
        if path.suffix.lower() in UNDECODED and path.with_suffix("") not in decoded:
            name = path.relative_to(folder).as_posix()
            raise Flaw(f"{name} is in a format that is not decoded", "convert it to WAV or FLAC")
    return [path for path in found if path.suffix.lower() in AUDIO_SUFFIXES]


def has_audio(folder: Path) -> bool:
    """Return whether a folder contains a recording, without listing all of it."""
    found = (name for _, _, names in os.walk(folder) for name in names if not name.startswith("."))
    return any(os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES for name in found)


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
        id=same_name(id),
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
