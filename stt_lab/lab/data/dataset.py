"""Datasets: a manifest in JSONL is read, written and checked.

dataset = read_manifest(Path("recordings"))       # recordings/manifest.jsonl
for problem in check(Path("recordings"), decode=True):
    print(problem)
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO

from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.data.checks import Audios, flaws
from stt_lab.lab.data.items import Dataset, Flaw, Item, Problem
from stt_lab.lab.data.rows import ManifestRow, columns, parse

__all__ = ["MANIFEST", "Dataset", "Item", "Problem", "check", "read_manifest", "write_manifest"]

MANIFEST = "manifest.jsonl"  # in a dataset's folder
MAX_LINE = 64 * 1024 * 1024  # bytes: eight hours with words and their times have about 10 MB


def read_manifest(path: Path, inside: Path | None = None) -> Dataset:
    """The dataset of a manifest, or of a folder with a manifest.jsonl. Audio is not opened.

    Ids are made unique: the second row called "a" is read as "a#2", and `check` tells of it.
    `inside` is for manifests of other people: audio and annotations must lie in that folder, links followed.
    Raises BadInput that names the first bad line, MissingFile where there is no manifest.
    """
    manifest = _manifest(path)
    items = []
    for _, found in _rows(manifest, inside):
        if isinstance(found, Problem):
            raise BadInput(f"{manifest.name} {found}")
        items.append(found.item)
    if not items:
        raise BadInput(f"{manifest.name} has no rows: write one JSON object a line, with audio at least.")
    return Dataset(_name(manifest), manifest.parent, tuple(items))


def write_manifest(dataset: Dataset, path: Path) -> None:
    """Write the rows to `path`, whole or not at all; a folder gets a manifest.jsonl.

    Audio in the manifest's folder is named from there, other audio by its whole path.
    """
    target = Path(os.path.abspath(path / MANIFEST if path.is_dir() else path))
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            for item in dataset.items:
                file.write(json.dumps(item.row(target.parent), ensure_ascii=False, allow_nan=False) + "\n")
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def check(path: Path, decode: bool = False, inside: Path | None = None) -> tuple[Problem, ...]:
    """Every bad row of a manifest, in order: what is wrong, and how to fix it.

    `decode` opens all audio too, which says whether it can be decoded and how long it is.
    """
    manifest = _manifest(path)
    problems = []
    lines = 0
    with Audios(decode) as audios:
        for line, found in _rows(manifest, inside):
            lines += 1
            if isinstance(found, Problem):
                problems.append(found)
            else:
                problems += [Problem(line, found.item.id, flaw.what, flaw.fix) for flaw in flaws(found, audios)]
    if not lines:
        problems.append(Problem(0, "", "there are no rows", "write one JSON object a line, with audio at least"))
    return tuple(problems)


def _manifest(path: Path) -> Path:
    found = Path(os.path.abspath(path / MANIFEST if path.is_dir() else path))
    if not found.is_file():
        raise MissingFile(f"There is no manifest at {path}: give a .jsonl file, or a folder with a {MANIFEST}.")
    return found


def _name(manifest: Path) -> str:
    return (manifest.parent.name if manifest.name == MANIFEST else "") or manifest.stem


def _rows(manifest: Path, inside: Path | None) -> Iterator[tuple[int, ManifestRow | Problem]]:
    """Line numbers with what stands there; empty lines are passed over."""
    seen: dict[str, int] = {}
    with manifest.open("rb") as file:
        for line, raw in _lines(file):
            yield line, _row(line, raw, manifest.parent, inside, seen)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines without the mark of UTF-8 that some editors write; one that is too long ends the file."""
    line = 0
    while raw := file.readline(MAX_LINE + 1):
        line += 1
        if line == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if raw.strip():
            yield line, raw
        if len(raw) > MAX_LINE:
            return


def _row(line: int, raw: bytes, folder: Path, inside: Path | None, seen: dict[str, int]) -> ManifestRow | Problem:
    """The row, or what is wrong with it; `seen` has the line of each id so far."""
    if len(raw) > MAX_LINE:
        return Problem(line, "", f"the line is longer than {MAX_LINE >> 20} MB", "write one JSON object a line")
    id = ""
    try:
        found = columns(raw)
        id = found["id"] if isinstance(found.get("id"), str) else ""
        row = parse(found, folder, inside)
    except Flaw as flaw:
        return Problem(line, id, flaw.what, flaw.fix)
    return _unique(row, line, seen)


def _unique(row: ManifestRow, line: int, seen: dict[str, int]) -> ManifestRow:
    """The row, with a number after its id where lines before have that id already."""
    names = chain([row.item.id], (f"{row.item.id}#{number}" for number in count(2)))
    first = seen.get(row.item.id, 0)
    id = next(name for name in names if name not in seen)
    seen[id] = line
    return ManifestRow(replace(row.item, id=id), row.columns, first) if first else row
