"""CSV and TSV files with a header; `Options.columns` maps the manifest's names to the table's."""

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
    """An item for each row. An empty cell says that a value is not known, but for the text of kind non-speech."""
    path = Path(os.path.abspath(source))
    for where, row in rows(path, options.columns):
        columns = mapped(row, options.columns)
        columns = {name: value for name, value in columns.items() if value != ""}
        if columns.get("kind") == "non-speech":
            columns.setdefault("text", "")
        yield to_item(columns, path.parent, where)


def rows(path: Path, columns: Mapping[str, str], quoting: bool = True) -> Iterator[tuple[str, dict[str, str]]]:
    """Where a row stands, and its cells. Raises Flaw for what is no table, and where a column is missing."""
    if not path.is_file():
        raise Flaw(f"{path.name} does not exist", "give a .csv or .tsv file with a header")
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
                        f"{where} has not {len(reader.fieldnames or ())} cells as the header has",
                        "give the row as many cells as the header",
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
        raise Flaw(f"{path.name} line 1 names a column twice", "give each column a name of its own")
    for column, name in columns.items():
        if name not in names:
            known = ", ".join(names)[:200]
            raise Flaw(f"{path.name} line 1 has no column {name!r} for {column}", f"choose from {known}")
    if "audio" not in columns and "audio" not in map(OWNERS.get, names):
        raise Flaw(f"{path.name} line 1 has no column audio", "say which it is: --columns audio=NAME,text=NAME")


def mapped(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The cells under the manifest's names; one that would be taken for what is mapped gets a "_" after its name."""
    found = {column: row[name] for column, name in columns.items()}
    taken = set(columns.values())
    rest = {name: value for name, value in row.items() if name not in taken}
    return found | {f"{name}_" if OWNERS.get(name) in columns else name: value for name, value in rest.items()}


def to_item(columns: dict[str, Any], folder: Path, where: str) -> Item:
    """The item of such columns, numbers written as text allowed. Raises Flaw that says where."""
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
