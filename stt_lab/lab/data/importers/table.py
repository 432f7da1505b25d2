"""Import CSV and TSV files with a header; `ImportOptions.columns` maps manifest columns to table columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stt_lab.lab.data.importers.options import ImportOptions
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.lab.data.rows import OWNERS, parse

__all__ = ["mapped", "read", "rows", "to_item"]

MAX_CELL = 64 * 1024 * 1024  # characters
DELIMITERS = ",;\t|"


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per row. An empty cell means unknown, except for `text` if `kind` is non-speech."""
    path = Path(os.path.abspath(source))
    for where, row in rows(path, options.columns):
        columns = mapped(row, options.columns)
        columns = {name: value for name, value in columns.items() if value != ""}
        if columns.get("kind") == "non-speech":
            columns.setdefault("text", "")
        yield to_item(columns, path.parent, where)


def rows(path: Path, columns: Mapping[str, str], quoting: bool = True) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, cells) of a table. Raises Flaw if it is not a table, or a column is missing."""
    if not path.is_file():
        raise Flaw(f"{path.name} does not exist", "pass a .csv or .tsv file with a header")
    csv.field_size_limit(MAX_CELL)
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            how: dict[str, Any] = {} if quoting else {"quoting": csv.QUOTE_NONE}
            reader = csv.DictReader(file, delimiter=_delimiter(path, head), **how)
            _check_head(path, reader.fieldnames or [], columns)
            for row in reader:
                line = reader.line_num
                where = f"{path.name} line {line}"
                if None in row or None in row.values():
                    raise Flaw(
                        f"{where} does not have {len(reader.fieldnames or ())} cells like the header",
                        "correct the row",
                    )
                yield where, row
    except UnicodeDecodeError:
        raise Flaw(f"{path.name} is not UTF-8 after line {line}", "save the file as UTF-8") from None
    except csv.Error as problem:
        raise Flaw(f"{path.name} cannot be read after line {line}: {problem}", "save it as CSV again") from None


def _delimiter(path: Path, head: str) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=head.count)


def _check_head(path: Path, names: list[str] | Any, columns: Mapping[str, str]) -> None:
    if len(set(names)) < len(names):
        raise Flaw(f"{path.name} line 1 names a column twice", "give each column a unique name")
    for column, name in columns.items():
        if name not in names:
            known = ", ".join(names)[:200]
            raise Flaw(f"{path.name} line 1 has no column {name!r} for {column}", f"choose from {known}")
    if "audio" not in columns and "audio" not in map(OWNERS.get, names):
        raise Flaw(f"{path.name} line 1 has no column audio", "name it with --columns audio=NAME,text=NAME")


def mapped(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Rename cells to manifest columns; an unmapped cell whose name collides with a mapped one gets a trailing "_"."""
    found = {column: row[name] for column, name in columns.items()}
    taken = set(columns.values())
    rest = {name: value for name, value in row.items() if name not in taken}
    return found | {f"{name}_" if OWNERS.get(name) in columns else name: value for name, value in rest.items()}


def to_item(columns: dict[str, Any], folder: Path, where: str) -> Item:
    """Parse columns into an item; numbers may be text. Raises Flaw with the place."""
    try:
        for name in ("duration", "duration_s"):
            if isinstance(columns.get(name), str):
                columns |= {name: _number(columns[name], name)}
        return parse(columns, folder, None).item
    except Flaw as flaw:
        raise Flaw(f"{where}: {flaw.what}", flaw.fix) from None


def _number(cell: str, name: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise Flaw(f"{name} cannot be {cell[:20]!r}", "write seconds") from None
