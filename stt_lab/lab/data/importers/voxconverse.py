"""Import VoxConverse (Chung et al. 2020): WAV files of one download, RTTM files of another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stt_lab.lab.data.annotations import read_annotation
from stt_lab.lab.data.annotations.files import same_name
from stt_lab.lab.data.importers.options import ImportOptions, annotated, audio_files, files, folder_of
from stt_lab.lab.data.items import Flaw, Item

__all__ = ["read", "rttms"]


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per audio file; --split dev selects those in folders with dev in their name."""
    folder = folder_of(source)
    turns = rttms(folder)
    for audio in audio_files(folder):
        name = audio.relative_to(folder).as_posix()
        if options.split and options.split not in name.rpartition("/")[0] + folder.name:
            continue
        rttm = turns.get(same_name(audio.stem))
        if rttm is None:
            raise Flaw(f"{name} has no {audio.stem}.rttm", "put the repository's RTTM files into the same folder")
        found = read_annotation(rttm, rttm.relative_to(folder).as_posix(), [audio.stem])
        yield annotated(audio.stem, audio, found, licence="CC BY 4.0", source="VoxConverse")


def rttms(folder: Path) -> dict[str, Path]:
    """Return RTTM files, searched recursively, by recording name."""
    return {same_name(path.stem): path for path in files(folder, frozenset([".rttm"]))}
