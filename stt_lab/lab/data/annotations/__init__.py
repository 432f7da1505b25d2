"""Read annotation files: txt, srt, vtt, rttm, stm, ctm and TextGrid.

The readers are strict, because half a reference gives a wrong score: anything that cannot be read, or can be read in
two ways, raises a Flaw that names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from stt_lab.lab.data.annotations.files import NEWLINE, read_text
from stt_lab.lab.data.annotations.nist import read_ctm, read_rttm, read_stm
from stt_lab.lab.data.annotations.praat import read_textgrid
from stt_lab.lab.data.annotations.subtitles import read_subtitles
from stt_lab.lab.data.annotations.values import Annotation, span
from stt_lab.lab.data.items import Flaw

__all__ = ["READERS", "Annotation", "read_annotation", "read_text", "span"]

TIMED = re.compile(r"\s{0,9}[\[(]?\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,3})?\s?(?:[\])]|-->|-\s|\Z|\s)", re.ASCII)


def read_annotation(path: Path, name: str, recordings: Iterable[str]) -> Annotation:
    """Read an annotation file by its suffix; errors call it `name`.

    In a file about several recordings, only the lines of those in `recordings` count. Raises Flaw.
    """
    return READERS[path.suffix.lower()](path, name, frozenset(recordings))


def _read_txt(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    """Read a text. Raises Flaw if it is a file of another format, whose times and numbers would count as words."""
    text = read_text(path, name)
    timed = [number for number, line in enumerate(NEWLINE.split(text), 1) if TIMED.match(line)]
    if text.startswith(("{\\rtf", "WEBVTT")) or len(timed) > 1 or any("-->" in line for line in NEWLINE.split(text)):
        where = f"{name} line {timed[0] if timed else 1}"
        raise Flaw(f"{where} has more than what is said", "rename the file by its format, or leave only the words")
    return Annotation(text=text.strip())


READERS: dict[str, Callable[[Path, str, frozenset[str]], Annotation]] = {
    ".txt": _read_txt,
    ".srt": read_subtitles,
    ".vtt": read_subtitles,
    ".rttm": read_rttm,
    ".stm": read_stm,
    ".ctm": read_ctm,
    ".textgrid": read_textgrid,
}
