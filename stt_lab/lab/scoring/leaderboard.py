"""Rank systems over stored runs. Nothing is decoded or scored: it reads the files of the runs.

Scores share a board only if they are comparable: the same recordings (the dataset's digest), the same measure and the
same rule, which is the normaliser for measures of words and the collar for measures of time.

for board, rows in boards(read(Path("eval/runs"))).items():
    print(board.dataset, board.measure, board.rule, [(row.system, row.value) for row in rows])
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stt_lab.lab.runs.runner import PROVENANCE, SUITE
from stt_lab.lab.scoring.results import ALL
from stt_lab.lab.scoring.scores import COLUMNS, NAMES, OF_TIME, RATES, SCORES, factor

log = logging.getLogger(__name__)

COLLARED = ("der", "jer")
HIGH_IS_GOOD = ("speakers",)
SHOWN = (*COLUMNS, "non_speech")  # measures that the command prints; `boards` returns all
DIGEST = 12  # displayed characters of a digest
MADE_OF = ("processor", "cores", "device", "threads", "commit", "stt_lab")  # keys of a run's provenance


@dataclass(frozen=True)
class Board:
    """What must be equal for scores to share a table; dataset and size are only for display."""

    digest: str  # of the recordings
    measure: str
    normaliser: str | None  # None: the measure ignores words
    collar_s: float | None  # None: the measure has no collar
    dataset: str = field(default="", compare=False)
    size: int = field(default=0, compare=False)  # recordings of the dataset

    @property
    def rule(self) -> str:
        """Normaliser or collar, for display."""
        if self.normaliser is not None:
            return f"normaliser {self.normaliser}"
        return "" if self.collar_s is None else f"collar {self.collar_s:g} s"


@dataclass(frozen=True)
class LeaderboardRow:
    """The score of one system in one run. Rates are fractions, as in scores.json."""

    board: Board
    system: str
    value: float
    low: float | None  # 95 % interval, bootstrapped by recording
    high: float | None
    recordings: int  # with this measure
    attempted: int  # with failures, and with recordings that have no reference for the measure
    failures: int
    rtfx: float | None
    memory_mb: float | None
    busy: int  # recordings during which other programs were busy
    run: str  # name of its folder
    made: str  # when it began, ISO 8601 in UTC
    provenance: Mapping[str, Any] = field(hash=False)  # those of MADE_OF that were recorded
    identity: str  # equal for equal systems: name, engine, settings and weights
    runs: int = 1  # of this system on this board; shown is the newest of those with most recordings
    rank: int | None = None  # 1 = best, ties share a rank; None if scored over fewer recordings than others


def boards(rows: Iterable[LeaderboardRow]) -> dict[Board, tuple[LeaderboardRow, ...]]:
    """Rank the systems of each board, best first; unranked rows over fewer recordings come last."""
    found: dict[Board, dict[str, list[LeaderboardRow]]] = {}
    for row in sorted(
        rows, key=lambda row: (row.made, row.run), reverse=True
    ):  # so that the newest run names the board
        found.setdefault(row.board, {}).setdefault(row.identity, []).append(row)
    return {board: _ranked(map(_newest, systems.values())) for board, systems in found.items()}


def _newest(same: Sequence[LeaderboardRow]) -> LeaderboardRow:
    """Choose among runs of one system, newest first: an incomplete run does not hide a complete one."""
    return replace(max(same, key=lambda row: row.attempted), runs=len(same))


def _ranked(rows: Iterable[LeaderboardRow]) -> tuple[LeaderboardRow, ...]:
    found = list(rows)
    most = max(row.recordings for row in found)
    sign = -1 if found[0].board.measure in HIGH_IS_GOOD else 1
    full = sorted(sign * row.value for row in found if row.recordings == most)
    marked = [replace(row, rank=full.index(sign * row.value) + 1) if row.recordings == most else row for row in found]
    return tuple(sorted(marked, key=lambda row: (row.rank is None, sign * row.value, row.system, row.identity)))


# Reading


def read(runs: Path) -> tuple[LeaderboardRow, ...]:
    """Read the rows of all runs with scores in a folder."""
    return tuple(row for path in sorted(runs.glob(f"*/{SCORES}")) for row in _of_run(path.parent))


def _of_run(folder: Path) -> tuple[LeaderboardRow, ...]:
    path = folder / SCORES
    try:
        scores = json.loads(path.read_text("utf-8"))
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return tuple(
            rows_of(folder.name, scores, _json(folder / SUITE), {"made": written} | _json(folder / PROVENANCE))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        log.warning("the scores of the run %s cannot be read (%s)", folder.name, type(problem).__name__)
        return ()


def _json(path: Path) -> dict[str, Any]:
    """Read a file that some runs may lack."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def rows_of(
    run: str, scores: Mapping[str, Any], suite: Mapping[str, Any], provenance: Mapping[str, Any]
) -> Iterator[LeaderboardRow]:
    """Yield the rows of a run from the contents of its files."""
    about, made = scores["dataset"], {key: provenance[key] for key in MADE_OF if provenance.get(key) is not None}
    configs = {one["name"]: one for one in suite.get("suite", {}).get("systems", ())}
    for system, found in scores["systems"].items():
        cost, details = found["cost"], provenance.get("systems", {}).get(system, {})
        for measure, one in found["quality"][ALL].items():
            rate = one[RATES[measure][0]] if measure in RATES else {"value": None}
            if rate["value"] is None:
                continue
            yield LeaderboardRow(
                board=_board(measure, scores, about),
                system=system, value=rate["value"], low=rate["low"], high=rate["high"],
                recordings=one["recordings"], attempted=found["recordings"], failures=found["failures"],
                rtfx=(cost.get("rtfx") or {}).get("value"), memory_mb=cost.get("memory_mb"), busy=cost["busy"],
                run=run, made=str(provenance["made"]), provenance=made,
                identity=_identity(system, configs.get(system), details.get("weights")),
            )  # fmt: skip


def _board(measure: str, scores: Mapping[str, Any], about: Mapping[str, Any]) -> Board:
    normaliser = None if measure in OF_TIME else str(scores["normaliser"])
    collar = float(scores["collar_s"]) if measure in COLLARED else None
    return Board(about["digest"], measure, normaliser, collar, about["name"], about["recordings"])


def _identity(name: str, config: Any, weights: Any) -> str:
    return json.dumps([name, config, weights], sort_keys=True)


# For people


def table(found: Mapping[Board, Sequence[LeaderboardRow]]) -> str:
    """Print the boards of the usual measures as text, grouped by dataset."""
    chosen = sorted(
        (board for board in found if board.measure in SHOWN),
        key=lambda board: (board.dataset, board.digest, SHOWN.index(board.measure), board.rule),
    )
    return "\n\n".join(_printed(board, found[board]) for board in chosen)


HEADS = ("#", "system", "value (95 %)", "files", "failed", "RTFx", "MB", "busy", "runs", "run", "date")


def _printed(board: Board, rows: Sequence[LeaderboardRow]) -> str:
    title = f"{board.dataset} ({board.size} recordings, {board.digest[:DIGEST]}): {NAMES[board.measure]}"
    lines = [HEADS, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    shown = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    note = ["- : not ranked, scored over fewer recordings"] if rows[-1].rank is None else []
    return "\n".join([", ".join(filter(None, (title, board.rule))), *shown, *note])


def cells(row: LeaderboardRow) -> tuple[str, ...]:
    """Format a row for HEADS; fractions are in percent."""
    cost = ("-" if value is None else f"{value:.{digits}f}" for value, digits in ((row.rtfx, 1), (row.memory_mb, 0)))
    counts = (str(row.recordings), str(row.failures), *cost, str(row.busy), str(row.runs))
    return ("-" if row.rank is None else str(row.rank), row.system, value(row), *counts, row.run, row.made[:10])


def value(row: LeaderboardRow) -> str:
    """Format a value with its interval: 12.3 (10.1–14.5)."""
    scale = factor(row.board.measure)
    if row.low is None or row.high is None:
        return f"{scale * row.value:.1f}"
    return f"{scale * row.value:.1f} ({scale * row.low:.1f}–{scale * row.high:.1f})"
