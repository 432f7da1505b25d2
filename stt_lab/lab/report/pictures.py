"""Draw the figures of a run for the page: PNG with alternative text.

Figures do not use pyplot's global state, so that any thread may draw; a lock protects the shared fonts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stt_lab.errors import BadInput
from stt_lab.lab.report import plots, tables
from stt_lab.lab.scoring.results import ALL, Results

MOST = 24  # maximum values in an alternative text
_drawing = threading.Lock()


@dataclass(frozen=True)
class Picture:
    png: bytes
    alt: str
    width: int  # display width in pixels, at which fonts have their nominal size


def pictures(results: Results) -> list[Picture]:
    """Draw errors by system and language, speakers and speed, as far as the references allow."""
    with _drawing:
        return [_picture(chart, described) for chart, described in _charts(results)]


def _picture(chart: Any, described: str) -> Picture:
    png, about = chart._repr_png_()
    return Picture(png, f"{about['alt']}. {described}", about["width"])


def _charts(results: Results) -> Iterator[tuple[Any, str]]:
    words = next((measure for measure in ("wer", "cer") if len(tables.rates(results, measure))), "")
    if words:
        yield plots.by_system(results, words), _described(results, words)
        if tables.rates(results, words, "language")["group"].nunique() > 1:
            yield plots.by_group(results, "language", words), _described(results, words, "language")
    if len(tables.rates(results, "der")):
        yield plots.by_system(results, "der"), _described(results, "der")
    try:
        table = tables.speed(results)
    except BadInput:  # nothing was timed
        return
    middle = table.groupby("system", sort=False)["RTF"].median()
    factors = "; ".join(f"{system}: median real-time factor {value:.2f}" for system, value in middle.items())
    yield plots.seconds_by_length(results), factors


def _described(results: Results, measure: str, by: str = ALL) -> str:
    """Describe the values of a figure in words."""
    table = tables.rates(results, measure, by)
    rows = [row for _, row in table.iterrows()]
    described = [f"{_who(row, by)}: {row['value']:.1f}{_interval(row)}" for row in rows[:MOST]]
    return "; ".join([*described, *(["and more"] if len(rows) > MOST else [])])


def _who(row: Any, by: str) -> str:
    return str(row["system"]) if by == ALL else f"{row['system']}, {row['group']}"


def _interval(row: Any) -> str:
    known = row["low"] == row["low"] and row["high"] == row["high"]
    return f" ({row['low']:.1f} to {row['high']:.1f})" if known else ""
