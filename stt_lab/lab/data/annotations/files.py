"""Read text files of strangers: their encoding, their lines, and their names as the disk spells them.

A line ends at LF, CR or CRLF and nowhere else: U+0085, U+2028 and their kin occur inside of lines.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from stt_lab.lab.data.items import Flaw

__all__ = ["encoding_of", "lines", "on_disk", "read_lines", "read_text", "same_name"]

MAX_BYTES = 64 * 1024 * 1024
MARKS = {  # byte order marks; the longer ones first, because UTF-16's is the beginning of UTF-32's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NEWLINE = re.compile("\r\n|\n|\r")
SAVE = "save the file as UTF-8"


def encoding_of(start: bytes) -> str:
    """Return the encoding by the first four bytes of a file: what its byte order mark says, else UTF-8."""
    return next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), "utf-8-sig")


def read_text(path: Path, name: str) -> str:
    """Read a text file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark. Raises Flaw, which calls it `name`."""
    if not path.is_file():
        raise Flaw(f"{name} does not exist", "correct the name, or add the file")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Flaw(f"{name} is larger than {MAX_BYTES >> 20} MB", "split it into one file per recording")
    encoding = encoding_of(raw[:4])
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as problem:
        line = len(NEWLINE.findall(raw[: problem.start].decode(encoding, "ignore"))) + 1
        raise Flaw(f"{name} line {line} is not {encoding.removesuffix('-sig').upper()}", SAVE) from None
    if "\0" in text:  # UTF-16 without a byte order mark
        raise Flaw(f"{name} line {len(NEWLINE.findall(text[: text.index(chr(0))])) + 1} has null characters", SAVE)
    return text


def read_lines(path: Path, name: str) -> list[str]:
    """Read the lines of a text file, the first one being line 1. Raises Flaw."""
    return NEWLINE.split(read_text(path, name))


def lines(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (place, line) of a text file that may be long; skip empty lines. Raises Flaw."""
    if not path.is_file():
        raise Flaw(f"{name} does not exist", "check that the download is complete")
    with path.open("rb") as file:
        encoding = encoding_of(file.read(4))
    number = 0
    try:
        with path.open(encoding=encoding) as text:
            for number, line in enumerate(text, 1):
                if "\0" in line:
                    raise Flaw(f"{name} line {number} has null characters", SAVE)
                if line.strip():
                    yield f"{name} line {number}", line.rstrip("\n")
    except UnicodeDecodeError:
        raise Flaw(f"{name} is not UTF-8 after line {number}", SAVE) from None


# File names. macOS may write "ü" as "u" and two dots, so that a name and its file differ in bytes


def same_name(name: str) -> str:
    """Return a form that is equal for composed and decomposed spellings of a name."""
    return unicodedata.normalize("NFC", name)


def on_disk(path: Path) -> Path:
    """Return the path as the disk spells it, if only the composition of its letters differs; else as it is."""
    if str(path).isascii() or path.exists():
        return path
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        forms = (part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
        found = found / next((form for form in forms if (found / form).exists()), part)
    return found
