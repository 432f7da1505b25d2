"""Read annotation files: txt, srt, vtt, rttm, stm, ctm and TextGrid.

The readers are strict, because half a reference gives a wrong score: anything that cannot be read, or can be read in
two ways, raises a Flaw that names file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from stt_lab.lab.data.annotations.files import read_text
from stt_lab.lab.data.annotations.nist import read_ctm, read_rttm, read_stm
from stt_lab.lab.data.annotations.praat import read_textgrid
from stt_lab.lab.data.annotations.subtitles import read_subtitles
from stt_lab.lab.data.annotations.values import Annotation, span

__all__ = ["READERS", "Annotation", "read_annotation", "read_text", "span"]


def read_annotation(path: Path, name: str, recordings: Iterable[str]) -> Annotation:
    """Read an annotation file by its suffix; errors call it `name`.

    In a file about several recordings, only the lines of those in `recordings` count. Raises Flaw.
    """
    return READERS[path.suffix.lower()](path, name, frozenset(recordings))


def _read_txt(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    return Annotation(text=read_text(path, name).strip())


READERS: dict[str, Callable[[Path, str, frozenset[str]], Annotation]] = {
    ".txt": _read_txt,
    ".srt": read_subtitles,
    ".vtt": read_subtitles,
    ".rttm": read_rttm,
    ".stm": read_stm,
    ".ctm": read_ctm,
    ".textgrid": read_textgrid,
}
