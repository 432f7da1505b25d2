"""Read, write and check datasets: a manifest in JSONL beside its audio.

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
    """Read a manifest, or the manifest.jsonl of a folder. Audio is not opened.

    Ids are made unique: the second row called "a" is read as "a#2", and `check` reports it.
    `inside` is for manifests from strangers: audio and annotations must be in that folder, links resolved.
    Raises BadInput with the first bad line, and MissingFile if there is no manifest.
    """
    manifest = _manifest(path)
    items = []
    for _, found in _rows(manifest, inside):
        if isinstance(found, Problem):
            raise BadInput(f"{manifest.name} {found}")
        items.append(found.item)
    if not items:
        raise BadInput(f"{manifest.name} has no rows. Write one JSON object per line, with at least `audio`.")
    return Dataset(_name(manifest), manifest.parent, tuple(items))


def write_manifest(dataset: Dataset, path: Path) -> None:
    """Write a manifest to `path` atomically; in a folder it is called manifest.jsonl.

    Audio in the manifest's folder gets a relative path, other audio an absolute one.
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
    """List every problem of a manifest in order, with a way to fix it.

    `decode` also decodes all audio, which finds files that are damaged or have another duration.
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
        problems.append(Problem(0, "", "there are no rows", "write one JSON object per line, with at least `audio`"))
    return tuple(problems)


def _manifest(path: Path) -> Path:
    found = Path(os.path.abspath(path / MANIFEST if path.is_dir() else path))
    if not found.is_file():
        raise MissingFile(
            f"No manifest was found at {path}. Pass a .jsonl file, or a folder with a {MANIFEST}; "
            "`stt-lab data import` makes one."
        )
    return found


def _name(manifest: Path) -> str:
    return (manifest.parent.name if manifest.name == MANIFEST else "") or manifest.stem


def _rows(manifest: Path, inside: Path | None) -> Iterator[tuple[int, ManifestRow | Problem]]:
    """Yield each line number with its row or its problem; skip empty lines."""
    seen: dict[str, int] = {}
    with manifest.open("rb") as file:
        for line, raw in _lines(file):
            yield line, _row(line, raw, manifest.parent, inside, seen)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines without a UTF-8 byte order mark; stop at a line that is too long."""
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
    """Return the row, or its problem; `seen` maps each id so far to its line."""
    if len(raw) > MAX_LINE:
        return Problem(line, "", f"the line is longer than {MAX_LINE >> 20} MB", "write one JSON object per line")
    id = ""
    try:
        found = columns(raw)
        id = found["id"] if isinstance(found.get("id"), str) else ""
        row = parse(found, folder, inside)
    except Flaw as flaw:
        return Problem(line, id, flaw.what, flaw.fix)
    return _unique(row, line, seen)


def _unique(row: ManifestRow, line: int, seen: dict[str, int]) -> ManifestRow:
    """Return the row, with a number after its id if an earlier line has the same id."""
    names = chain([row.item.id], (f"{row.item.id}#{number}" for number in count(2)))
    first = seen.get(row.item.id, 0)
    id = next(name for name in names if name not in seen)
    seen[id] = line
    return ManifestRow(replace(row.item, id=id), row.columns, first) if first else row
