"""Import CSV and TSV files with a header; `ImportOptions.columns` maps manifest columns to table columns."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stt_lab.lab.data.annotations.files import encoding_of
from stt_lab.lab.data.importers.options import AUDIO_SUFFIXES, ImportOptions
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.lab.data.rows import OWNERS, parse

__all__ = ["mapped", "read", "rows", "to_item"]

MAX_CELL = 64 * 1024 * 1024  # characters
DELIMITERS = ",;\t|"
DOUBLE = "double the quotation marks within texts, or remove them"


@dataclass(frozen=True)
class _Table:
    """A table's file, and how its cells are separated and quoted."""

    path: Path
    encoding: str
    delimiter: str
    quoting: bool

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line on which a record begins, and its cells; skip empty lines. Raises Flaw."""
        quoting: Any = csv.QUOTE_MINIMAL if self.quoting else csv.QUOTE_NONE
        with self.path.open(encoding=self.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, quoting=quoting, strict=True)
            line = 1
            try:
                for record in reader:
                    if record:
                        yield line, record
                    line = reader.line_num + 1
            except csv.Error as problem:
                raise Flaw(f"{_place(self.path, line)}: {problem}", DOUBLE) from None


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per row. An empty cell means unknown, except for `text` if `kind` is non-speech."""
    path = Path(os.path.abspath(source))
    seen: dict[str, str] = {}
    for where, row in rows(path, options.columns):
        columns = mapped(row, options.columns)
        columns = {name: value for name, value in columns.items() if value != ""}
        if columns.get("kind") == "non-speech":
            columns.setdefault("text", "")
        item = to_item(columns, path.parent, where)
        if other := seen.get(item.id):
            raise Flaw(f"{where}: two recordings are called {item.id}, also {other}", "give each a unique id")
        seen[item.id] = where
        yield item


def rows(path: Path, columns: Mapping[str, str], quoting: bool = True) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, cells) of a table. Raises Flaw if it is not a table, or a column is missing.

    With `quoting`, quotation marks around cells are removed, unless the file uses them as letters.
    """
    if not path.is_file():
        raise Flaw(f"{path.name} does not exist", "pass a .csv or .tsv file with a header")
    csv.field_size_limit(MAX_CELL)
    line = 0
    try:
        table = _opened(path, columns, quoting)
        found = table.records()
        _, names = next(found, (1, []))
        _check_head(path, names, columns)
        for line, cells in found:
            yield _place(path, line), dict(zip(names, _checked(cells, names, _place(path, line)), strict=True))
    except UnicodeDecodeError:
        raise Flaw(f"{path.name} is not UTF-8 after line {line}", "save the file as UTF-8") from None


def _place(path: Path, line: int) -> str:
    return f"{path.name} line {line}"


def _checked(cells: list[str], names: list[str], where: str) -> list[str]:
    if len(cells) != len(names):
        raise Flaw(f"{where} does not have {len(names)} cells like the header", "correct the row")
    if any("\0" in cell for cell in cells):
        raise Flaw(f"{where} has null characters", "save the file as UTF-8")
    return cells


def _opened(path: Path, columns: Mapping[str, str], quoting: bool) -> _Table:
    """Find out how a table is written. Raises Flaw if its quotation marks can be read in two ways, or in none."""
    with path.open("rb") as file:
        encoding = encoding_of(file.read(4))
    with path.open(encoding=encoding, newline="") as text:
        head = text.readline()
    plain = _Table(path, encoding, _delimiter(path, head, columns), quoting=False)
    if not quoting:
        return plain
    quoted = replace(plain, quoting=True)
    try:
        long = _first_long(quoted, _audio_column(columns, head, plain.delimiter))
    except Flaw:
        if _is_sound(plain):
            return plain
        raise
    if long and (long.swallows or (long.bare and _is_sound(plain))):
        raise Flaw(f"{_place(path, long.line)}: a quotation mark opens a cell that runs over several lines", DOUBLE)
    return quoted


@dataclass(frozen=True)
class _Long:
    """A record of several lines."""

    line: int
    swallows: bool  # whether a line within it names audio as a record does
    bare: bool  # whether its audio is named without a suffix, so that this cannot be seen


def _first_long(table: _Table, audio: int) -> _Long | None:
    """Check all records; return the first of several lines, if possible one that swallows another. Raises Flaw."""
    found: _Long | None = None
    width = 0
    for line, cells in table.records():
        width = width or len(cells)
        _checked(cells, ["?"] * width, _place(table.path, line))
        rest = [part for cell in cells for part in re.split("\r\n|\n|\r", cell)[1:]]
        if rest and not (found and found.swallows):
            parts = (part.split(table.delimiter) for part in rest)
            swallows = any(_is_audio(part[audio]) for part in parts if len(part) > audio)
            found = _Long(line, swallows, bare=not _is_audio(cells[audio]))
    return found


def _is_audio(cell: str) -> bool:
    return os.path.splitext(cell.strip())[1].lower() in AUDIO_SUFFIXES


def _is_sound(table: _Table) -> bool:
    """Return whether all records have as many cells as the first."""
    try:
        return len({len(cells) for _, cells in table.records()}) <= 1
    except Flaw:
        return False


def _audio_column(columns: Mapping[str, str], head: str, delimiter: str) -> int:
    """Return the position of the column with the audio, or 0."""
    names = _cells(head, delimiter)
    wanted = columns.get("audio")
    return next((at for at, name in enumerate(names) if name == wanted or OWNERS.get(name) == "audio"), 0)


def _cells(head: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([head], delimiter=delimiter), [])
    except csv.Error:
        return []


def _delimiter(path: Path, head: str, columns: Mapping[str, str]) -> str:
    """Return the delimiter that makes the wanted columns of the header, or else the most frequent one."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    wanted = columns.get("audio")
    known = [
        one for one in DELIMITERS if any(name == wanted or OWNERS.get(name) == "audio" for name in _cells(head, one))
    ]
    return max(known or DELIMITERS, key=head.count)


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
