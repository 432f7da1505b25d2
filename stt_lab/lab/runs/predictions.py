"""What systems said, one JSON row a recording and system. Scores are made from these rows, in a step of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stt_lab.errors import BadInput
from stt_lab.types import Segment, Turn


@dataclass(frozen=True)
class Prediction:
    """What one system made of one recording, and what that cost. None of a cost: it could not be measured."""

    system: str
    item: str  # id in the dataset
    duration: float | None = None  # seconds of decoded sound
    text: str | None = None  # as written, never normalised; None where the system failed or writes nothing
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    turns: tuple[Turn, ...] | None = None  # None: the system does not tell speakers apart
    seconds: float | None = None  # on the clock, loading and decoding of the file left out
    cpu: float | None = None  # seconds of all processes of the run
    memory_mb: float | None = None  # peak of the system's processes, 10^6 bytes
    joules: float | None = None
    busy: bool = False  # other programs worked much meanwhile: the seconds are not to be trusted
    error: str | None = None  # why there is none; such a row is counted, and never scored as an empty text

    @property
    def key(self) -> tuple[str, str]:
        return self.system, self.item


@cache
def _adapter() -> TypeAdapter[Prediction]:
    return TypeAdapter(Prediction)


def to_row(prediction: Prediction) -> bytes:
    return _adapter().dump_json(prediction, exclude_defaults=True) + b"\n"


def append(path: Path, prediction: Prediction) -> None:
    """Add a row; it is on the disk when this returns. Only a crash in between can leave part of a row."""
    with path.open("ab", buffering=0) as file:
        file.write(to_row(prediction))
        os.fsync(file.fileno())


def repair(path: Path) -> int:
    """Drop what follows the last whole row: a process was killed while it wrote. The bytes that were dropped."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())
    return len(content) - whole


def read(path: Path) -> tuple[Prediction, ...]:
    """All rows but a torn last one. Raises BadInput that names the line of a bad one."""
    if not path.exists():
        return ()
    content = path.read_bytes()
    rows = content[: content.rfind(b"\n") + 1].splitlines()
    found: dict[tuple[str, str], Prediction] = {}
    for line, row in enumerate(rows, 1):
        try:
            prediction = _adapter().validate_json(row)
        except (ValidationError, ValueError):
            raise BadInput(f"{path.name} has no prediction in line {line}: remove that line, then resume.") from None
        found.setdefault(prediction.key, prediction)
    return tuple(found.values())


def write_json(path: Path, value: object) -> None:
    """Write a file of JSON whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    os.replace(part, path)


def done(predictions: Iterable[Prediction]) -> set[tuple[str, str]]:
    return {one.key for one in predictions}
