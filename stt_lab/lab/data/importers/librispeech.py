"""Import LibriSpeech (Panayotov et al. 2015) and corpora in its layout: 84/121123/84-121123.trans.txt and *.flac."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stt_lab.lab.data.annotations.files import same_name
from stt_lab.lab.data.importers.options import AUDIO_SUFFIXES, ImportOptions, files, folder_of, lines
from stt_lab.lab.data.items import Flaw, Item

__all__ = ["read"]


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per line of each .trans.txt, with its speaker in `extra`; --split selects e.g. test-clean."""
    folder = folder_of(source)
    tables = [path for path in files(folder, frozenset([".txt"])) if path.name.endswith(".trans.txt")]
    for table in tables:
        if not options.split or options.split in table.relative_to(folder.parent).parts:
            yield from _chapter(table, table.relative_to(folder).as_posix())


def _chapter(table: Path, name: str) -> Iterator[Item]:
    beside = {same_name(path.stem): path for path in table.parent.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES}
    for where, line in lines(table, name):
        id, _, text = line.strip().partition(" ")
        id = same_name(id)
        if not text.strip():
            raise Flaw(f"{where} has no text after {id[:40]!r}", "write ID TEXT")
        if id not in beside:
            raise Flaw(f"{where}: {id[:40]}.flac is missing in its folder", "check that the download is complete")
        speaker, _, rest = id.partition("-")
        extra = {"speaker": speaker, "chapter": rest.partition("-")[0]}
        yield Item(id, beside[id], "en", text.strip(), licence="CC BY 4.0", source="LibriSpeech", extra=extra)
