"""Import FLEURS (Conneau et al. 2022): en_us/test.tsv without a header, and en_us/audio/test/*.wav."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stt_lab.lab.data.annotations.files import on_disk
from stt_lab.lab.data.importers.options import ImportOptions, code_of, folder_of, lines
from stt_lab.lab.data.items import Flaw, Item

__all__ = ["read"]

FIELDS = ("sentence", "file", "raw_transcription", "transcription", "characters", "samples", "gender")


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield items of one language's folder, or of all its subfolders; the text keeps case and punctuation."""
    folder = folder_of(source)
    split = options.split or "test"
    for table in sorted({*folder.glob(f"{split}.tsv"), *folder.glob(f"*/{split}.tsv")}):
        yield from _language(table, split)


def _language(table: Path, split: str) -> Iterator[Item]:
    place = table.parent.name  # en_us
    audio = table.parent / "audio" / split
    if not audio.is_dir():
        raise Flaw(f"{place}/audio/{split} is not a folder", f"unpack {place}/audio/{split}.tar.gz there")
    for where, line in lines(table, f"{place}/{table.name}"):
        cells = line.split("\t")
        if len(cells) != len(FIELDS) or "/" in cells[1]:
            raise Flaw(f"{where} does not have the fields {', '.join(FIELDS)}", "check that the download is complete")
        row = dict(zip(FIELDS, cells, strict=True))
        yield Item(
            id=f"{place}/{Path(row['file']).stem}",
            audio=on_disk(audio / row["file"]),
            language=code_of(place),
            text=row["raw_transcription"],
            licence="CC BY 4.0",
            source="FLEURS",
            extra={"sentence": row["sentence"], "gender": row["gender"].lower()},
        )
