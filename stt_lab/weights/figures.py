"""What speech models are worth: their word errors in evaluation runs, the project's and those of this installation.

The project's are in figures.toml. A run of this installation is a folder of DATA_DIR/lab/runs; its files are read here,
because models are listed also where the laboratory is not installed.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from stt_lab.settings import Settings

log = logging.getLogger(__name__)

FIGURES = Path(__file__).with_name("figures.toml")
RUNS = Path("lab", "runs")  # in the data directory
MOST_RUNS = 50  # the newest ones
OURS = "stt_lab"  # engine of the systems that are models of the catalog
ENGLISH, UNKNOWN = "en", "none"
DIGITS = 6  # of a fraction


@dataclass(frozen=True)
class WerFigure:
    """The word errors of a model in an evaluation run: a share of the words, with a 95 % interval."""

    model: str
    wer: float
    low: float | None  # None: too few recordings for an interval
    high: float | None
    words: int  # of the references
    recordings: int
    languages: tuple[str, ...]  # codes, of these recordings
    dataset: str
    digest: str  # SHA-256 of the run's recordings and references
    normaliser: str
    made: str  # when the run began, ISO 8601
    run: str  # its name; of the project's runs, the file in eval/results
    here: bool  # whether it was made on this installation


def figures(settings: Settings) -> tuple[WerFigure, ...]:
    """Return all known figures: those made here, newest first, then those of the project."""
    return (*_here(settings.data_dir / RUNS), *shipped())


def newest(model: str, known: Iterable[WerFigure]) -> tuple[WerFigure, ...]:
    """Return the figures of a model of one run: of all recordings, and of the English ones; () if it has none."""
    own = [figure for figure in known if figure.model == model]
    return tuple(figure for figure in own if (figure.run, figure.here) == (own[0].run, own[0].here))


def makes_fewer(first: str, second: str, known: Iterable[WerFigure]) -> bool | None:
    """Return whether a model makes fewer errors than another one, over the same recordings; None if that is not known.

    It is known only if the intervals do not overlap.
    """
    found = tuple(known)
    others = {_compared(figure): figure for figure in reversed(found) if figure.model == second}
    for one in found:
        other = others.get(_compared(one)) if one.model == first else None
        if other is not None and (_below(one, other) or _below(other, one)):
            return _below(one, other)
    return None


def _below(one: WerFigure, other: WerFigure) -> bool:
    """Return whether an interval ends before the other one begins."""
    return one.high is not None and other.low is not None and one.high < other.low


def _compared(figure: WerFigure) -> tuple[object, ...]:
    """Return what must be equal for figures to be compared."""
    return figure.digest, figure.normaliser, figure.languages, figure.recordings


@lru_cache
def shipped() -> tuple[WerFigure, ...]:
    """Read the figures of the project."""
    rows = tomllib.loads(FIGURES.read_text("utf-8"))["figure"]
    return tuple(_row(**row) for row in rows)


def _row(file: str, system: str, languages: list[str], **row: Any) -> WerFigure:
    return WerFigure(run=file, languages=tuple(languages), here=False, **row)


def _here(runs: Path) -> tuple[WerFigure, ...]:
    paths = sorted(runs.glob("*/scores.json"), key=_written, reverse=True)[:MOST_RUNS]
    found = [figure for path in paths for figure in _run(path.parent, _written(path))]
    return tuple(sorted(found, key=lambda figure: figure.made, reverse=True))


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # deleted meanwhile
        return 0


@lru_cache(maxsize=2 * MOST_RUNS)
def _run(folder: Path, written: int) -> tuple[WerFigure, ...]:
    """Read the figures of a run, whose scores were written at that time in nanoseconds; () if they cannot be read."""
    try:
        scores = _json(folder / "scores.json")
        systems = _json(folder / "suite.json")["suite"]["systems"]
        provenance = folder / "provenance.json"
        fallback = datetime.fromtimestamp(written / 1e9, UTC).isoformat(timespec="seconds")
        made = str((_json(provenance) if provenance.is_file() else {}).get("made", fallback))
        models = {one["name"]: one["model"] for one in systems if one["engine"] == OURS}
        of_run = {"run": folder.name, "here": True, "made": made}
        return tuple(
            figure
            for name, model in models.items()
            if name in scores["systems"]
            for figure in of_system(model, scores, scores["systems"][name]["quality"], of_run)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        log.warning("the scores of the run %s cannot be read (%s)", folder.name, type(problem).__name__)
        return ()


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def of_system(
    model: str, scores: Mapping[str, Any], quality: Mapping[str, Any], of_run: Mapping[str, Any]
) -> Iterator[WerFigure]:
    """Yield the figures of a system of a run: over all recordings, and over the English ones if there are others."""
    by_language = {code: found["wer"] for code, found in quality["language"].items() if "wer" in found}
    codes = tuple(sorted(code for code in by_language if code != UNKNOWN))
    groups = [(quality["all"].get("wer"), codes)]
    if len(by_language) > 1 and ENGLISH in codes:
        groups.append((by_language[ENGLISH], (ENGLISH,)))
    for found, languages in groups:
        if found is None or found["wer"]["value"] is None:
            continue
        rate = found["wer"]
        yield WerFigure(
            model=model,
            wer=round(float(rate["value"]), DIGITS),
            low=_rounded(rate["low"]),
            high=_rounded(rate["high"]),
            words=int(found["total"]),
            recordings=int(found["recordings"]),
            languages=languages,
            dataset=str(scores["dataset"]["name"]),
            digest=str(scores["dataset"]["digest"]),
            normaliser=str(scores["normaliser"]),
            **of_run,
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)
