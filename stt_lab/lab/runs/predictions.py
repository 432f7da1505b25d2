"""Store predictions: one JSON row per recording and system. Scoring reads these rows in a separate step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stt_lab.errors import BadInput
from stt_lab.metrics import StreamLog
from stt_lab.types import Segment, Turn


@dataclass(frozen=True)
class Prediction:
    """Output of one system for one recording, and its cost. A cost of None could not be measured."""

    system: str
    item: str  # id in the dataset
    duration: float | None = None  # seconds of decoded sound
    text: str | None = None  # never normalised; None if the system failed or writes no text
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    turns: tuple[Turn, ...] | None = None  # None: the system does not diarize
    seconds: float | None = None  # wall clock, without loading the model and decoding the file
    cpu: float | None = None  # seconds of all processes of the run
    memory_mb: float | None = None  # peak of the system's processes, 10^6 bytes
    joules: float | None = None
    busy: bool = False  # other programs used the machine meanwhile: the times are unreliable
    error: str | None = None  # reason of a failure; such a row is counted, but never scored as empty text
    stream: StreamLog | None = None  # None: the system got the whole recording at once

    @property
    def key(self) -> tuple[str, str]:
        return self.system, self.item


@cache
def _adapter() -> TypeAdapter[Prediction]:
    return TypeAdapter(Prediction)


def to_row(prediction: Prediction) -> bytes:
    return _adapter().dump_json(prediction, exclude_defaults=True) + b"\n"


def append(path: Path, prediction: Prediction) -> None:
    """Append a row and sync it to disk. Only a crash during the call can leave part of a row."""
    with path.open("ab", buffering=0) as file:
        file.write(to_row(prediction))
        os.fsync(file.fileno())


def repair(path: Path) -> int:
    """Drop an incomplete last row, left by a process that was killed; return the number of bytes dropped."""
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
    """Read all complete rows. Raises BadInput with the line of an invalid one."""
    if not path.exists():
        return ()
    content = path.read_bytes()
    rows = content[: content.rfind(b"\n") + 1].splitlines()
    found: dict[tuple[str, str], Prediction] = {}
    for line, row in enumerate(rows, 1):
        try:
            prediction = _adapter().validate_json(row)
        except (ValidationError, ValueError):
            raise BadInput(
                f"{path.name} line {line} is not a prediction. Remove the line, then resume the run."
            ) from None
        found.setdefault(prediction.key, prediction)
    return tuple(found.values())


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    os.replace(part, path)


def done(predictions: Iterable[Prediction]) -> set[tuple[str, str]]:
    return {one.key for one in predictions}
