"""A line of README's table: its words, its numbers, and where each lies in a file of eval/results."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIELD = re.compile(r"\{(\w+)\}")
LESS, MORE, SAME = "less is better", "more is better", "as it is"


@dataclass(frozen=True)
class Measurement:
    """A script that writes a file of results."""

    command: str  # for Python, from the project's folder
    file: str
    minutes: int  # about, on two cores


@dataclass(frozen=True)
class Number:
    """A number of README: where it lies in the results, and how it is shown."""

    of: Callable[[Any], float]
    shown: str  # format
    better: str = SAME
    tolerance: float = 0.0  # by which it may be worse, as shown


@dataclass(frozen=True)
class Row:
    """A line of README's table; {name} stands for a number."""

    measurement: str
    cells: tuple[str, str, str]
    numbers: Mapping[str, Number]

    def text(self, results: Any) -> str:
        shown = {name: format(number.of(results), number.shown) for name, number in self.numbers.items()}
        return _line(FIELD.sub(lambda found: shown[found[1]], cell) for cell in self.cells)

    def title(self) -> str:
        """The first cell, without its numbers."""
        return FIELD.sub("…", self.cells[0])

    def claimed(self, line: str) -> dict[str, str] | None:
        """The numbers of README's line, as written there; None where it is another line."""
        parts = re.split(FIELD, _line(self.cells))  # text, name, text, ...
        pattern = "".join(f"(?P<{part}>[-0-9.,]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
        found = re.fullmatch(pattern, line)
        return found.groupdict() if found else None


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def at(path: str, factor: float = 1.0) -> Callable[[Any], float]:
    """The number at table/pooled/..., times a factor."""

    def find(results: Any) -> float:
        for name in path.split("/"):
            results = results[int(name) if isinstance(results, list) else name]
        return factor * float(results)

    return find


def diarized(part: str, measure: str) -> Callable[[Any], float]:
    """Of eval/diarization.py: a measure of all recordings of a set, or of two sets together ("AMI+conv_dev")."""

    def find(results: Any) -> float:
        rows = {row["set"]: row for row in results["table"] if row["half"] == "all"}
        return float(sum(rows[name][measure] for name in part.split("+")))

    return find


def slowest(kind: str) -> Callable[[Any], float]:
    """Of eval/library.py: the largest median of the queries of one kind, in milliseconds."""
    return lambda results: max(row["p50"] for name, row in results["milliseconds"].items() if name.startswith(kind))


def middle(name: str, factor: float = 1.0) -> Callable[[Any], float]:
    """The median of a list."""
    return lambda results: factor * statistics.median(results[name])


def times_the_work(results: Any) -> float:
    """Processor seconds of pyannote's plain pipeline for one of ours."""
    ours = min(run["cpu_x_real_time"] for run in results["speed"]["ours"])
    return float(results["speed"]["pyannote_step_0.1"]["cpu_x_real_time"] / ours)
