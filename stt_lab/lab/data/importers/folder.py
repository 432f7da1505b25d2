"""Import a folder of recordings with annotations beside them: talk.wav, talk.txt, talk.rttm.

An annotation is called like its recording, with or without its suffix (talk.wav.srt), and may name its language
(talk.en.srt). Letters of names may be composed or not, as macOS does it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import or_
from pathlib import Path

from stt_lab.errors import BadInput
from stt_lab.lab.data.annotations import Annotation, read_annotation
from stt_lab.lab.data.annotations.files import same_name
from stt_lab.lab.data.importers.options import ImportOptions, annotated, audio_files, files, folder_of
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.text import language_code

__all__ = ["read"]

ORDER = (".txt", ".rttm", ".stm", ".textgrid", ".vtt", ".srt", ".ctm")  # if several contain the same, the first counts


@dataclass(frozen=True)
class _File:
    """An annotation file of a recording, and the language in its name."""

    path: Path
    name: str  # from the imported folder
    language: str | None

    @property
    def kind(self) -> str:
        return self.path.suffix.lower()


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per audio file, with or without annotations."""
    folder = folder_of(source)
    audios = audio_files(folder)
    names = {audio: same_name(audio.relative_to(folder).as_posix()) for audio in audios}
    twins = Counter(_stem(name) for name in names.values())
    beside = _beside(folder, names)
    for audio, name in names.items():
        id = name if twins[_stem(name)] > 1 else _stem(name)
        found = _chosen(beside[name] + beside[_stem(name)], name, options.language)
        known = (read_annotation(one.path, one.name, {audio.stem, audio.name, id}) for one in found)
        item = annotated(id, audio, reduce(or_, known, Annotation()))
        yield replace(item, language=next((one.language for one in found if one.language), None))


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _beside(folder: Path, audios: dict[Path, str]) -> defaultdict[str, list[_File]]:
    """Return annotation files by the name of their recording, with or without its suffix."""
    known = {*audios.values(), *map(_stem, audios.values())}
    alike = {name.casefold() for name in known}
    found: defaultdict[str, list[_File]] = defaultdict(list)
    for path in files(folder, frozenset(ORDER)):
        name = same_name(path.relative_to(folder).as_posix())
        stem = _stem(name)
        base, point, tag = stem.rpartition(".")
        language = _language(tag) if point else None
        if stem in known:
            found[stem].append(_File(path, name, None))
        elif language and base in known:
            found[base].append(_File(path, name, language))
        elif _nearly(stem.casefold(), alike):
            raise Flaw(f"{name} is not called like its recording", "rename it (talk.txt, talk.en.txt), or move it away")
    return found


def _language(tag: str) -> str | None:
    try:
        return language_code(tag)
    except BadInput:
        return None


def _nearly(stem: str, recordings: set[str]) -> bool:
    """Return whether the name is that of a recording with other capitals, or with something after a point."""
    ends = [at for at, char in enumerate(stem) if char == "."]
    return stem in recordings or any(stem[:end] in recordings for end in ends)


def _chosen(found: list[_File], audio: str, language: str | None) -> list[_File]:
    """Select one annotation file of each kind, in order. Raises Flaw if two of them contradict."""
    if language and found:
        left = [one for one in found if one.language in (None, language)]
        if not left:
            raise Flaw(f"{found[0].name} is in {found[0].language}", f"add a text in {language}, or change --language")
        found = [
            one for one in left if one.language or not any(other.language for other in left if other.kind == one.kind)
        ]
    if len(languages := sorted({one.language for one in found if one.language})) > 1:
        raise Flaw(
            f"{audio} has texts in {' and '.join(languages)}", "choose one with --language, or remove the others"
        )
    ordered = sorted(found, key=lambda one: ORDER.index(one.kind))
    for one, other in pairwise(ordered):
        if one.kind == other.kind:
            raise Flaw(f"{one.name} and {other.name} are both about {audio}", "keep one of them")
    return ordered
