"""Import a folder of recordings with annotations beside them: talk.wav, talk.txt, talk.rttm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path

from stt_lab.lab.data.annotations import Annotation, read_annotation
from stt_lab.lab.data.importers.options import AUDIO_SUFFIXES, ImportOptions, annotated, files, folder_of
from stt_lab.lab.data.items import Item

__all__ = ["read"]

ORDER = (".txt", ".rttm", ".stm", ".textgrid", ".vtt", ".srt", ".ctm")  # if several contain the same, the first counts


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per audio file, with or without annotations."""
    folder = folder_of(source)
    beside = {(path.with_suffix(""), path.suffix.lower()): path for path in files(folder, frozenset(ORDER))}
    audios = files(folder, AUDIO_SUFFIXES)
    twins = Counter(audio.with_suffix("") for audio in audios)
    for audio in audios:
        stem = audio.with_suffix("")
        name = (audio if twins[stem] > 1 else stem).relative_to(folder).as_posix()
        found = [beside[stem, suffix] for suffix in ORDER if (stem, suffix) in beside]
        yield annotated(name, audio, _read(found, folder, stem.name))


def _read(paths: list[Path], folder: Path, recording: str) -> Annotation:
    read = (read_annotation(path, path.relative_to(folder).as_posix(), [recording]) for path in paths)
    return reduce(or_, read, Annotation())
