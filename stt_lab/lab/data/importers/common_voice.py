"""Import one unpacked language of Common Voice (Ardila et al. 2020): test.tsv, validated.tsv and clips/."""

from __future__ import annotations

from collections.abc import Iterator

from stt_lab.lab.data.annotations.files import on_disk
from stt_lab.lab.data.importers.options import ImportOptions, code_of, folder_of
from stt_lab.lab.data.importers.table import rows
from stt_lab.lab.data.items import Flaw, Item

__all__ = ["read"]

KEPT = ("client_id", "age", "gender", "accents", "variant")


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per row of test.tsv, or of another split's table."""
    folder = folder_of(source)
    table = folder / f"{options.split or 'test'}.tsv"
    for where, row in rows(table, {"audio": "path", "text": "sentence"}, quoting=False):
        name = row["path"] if "." in row["path"] else f"{row['path']}.mp3"  # early releases omit the suffix
        if not row["sentence"].strip() or "/" in name:
            raise Flaw(f"{where} has no clip or no sentence", "check that the download is complete")
        yield Item(
            id=name.rpartition(".")[0],
            audio=on_disk(folder / "clips" / name),
            language=code_of(row.get("locale") or folder.name),
            text=row["sentence"],
            licence="CC0-1.0",
            source="Common Voice",
            extra={key: row[key] for key in KEPT if row.get(key)},
        )
