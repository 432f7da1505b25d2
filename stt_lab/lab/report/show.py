"""Display parts of a report besides tables and figures: aligned words, audio players, verdicts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from IPython.display import HTML, Audio, display

from stt_lab.lab.data.dataset import Item
from stt_lab.lab.report import tables
from stt_lab.lab.scoring import mistakes
from stt_lab.lab.scoring.mistakes import LEGEND
from stt_lab.lab.scoring.results import Results
from stt_lab.lab.scoring.scores import NAMES

EMBEDDED = 400_000  # bytes: larger recordings are linked, to keep the report small enough to send
STYLE = """<style>
.stt-words {line-height: 1.9; font-size: 15px; max-width: 60em}
.stt-words del {color: #a33c00; text-decoration: line-through; background: #fbe9dd; padding: 0 .2em}
.stt-words ins {color: #004c77; text-decoration: underline; background: #dceefa; padding: 0 .2em}
.stt-about {font-size: 14px; margin: 1.2em 0 .2em}
</style>"""
NOTHING = "<p>The dataset has no references for this.</p>"


def worst(results: Results, system: str = "", most: int = 5) -> Any:
    """Show the recordings with the highest WER: aligned words and audio."""
    parts = [STYLE, LEGEND]
    for found in mistakes.worst(results, system, most):
        parts += [
            f'<p class="stt-about">{found.about}</p>',
            player(found.item, results.run.folder),
            f'<p class="stt-words">{found.marked}</p>',
        ]
    return HTML("\n".join(parts))


def player(item: Item, page: Path) -> str:
    """Return an audio player; short recordings are embedded, longer ones linked relative to `page`."""
    try:
        size = item.audio.stat().st_size
    except OSError:
        return "<p>(The recording no longer exists.)</p>"
    if size <= EMBEDDED:
        made = Audio(filename=str(item.audio), embed=True)
    else:
        made = Audio(url=quote(Path(os.path.relpath(item.audio, page)).as_posix()), embed=False)
    return str(made._repr_html_())


def table(found: Any, decimals: int = 1) -> Any:
    """Show a table without an index, or a sentence if it is empty."""
    if not len(found):
        return HTML(NOTHING)
    return HTML(found.to_html(index=False, border=0, na_rep=tables.NOTHING, float_format=f"{{:.{decimals}f}}".format))


def each(parts: Iterable[Any]) -> Any:
    """Show the parts in order, or a sentence if there are none."""
    found = list(parts)
    for part in found:
        display(part)
    return None if found else HTML(NOTHING)


def verdicts(results: Results, first: str = "", second: str = "") -> Any:
    """Show the verdict of each comparison."""
    if not results.scores["comparisons"]:
        return HTML("<p>A comparison needs two systems over the same recordings.</p>")
    rows = tables.comparisons(results, first, second)
    lines = [f"<li><b>{escape(NAMES[row['measure']])}</b>: {escape(row['verdict'])}</li>" for _, row in rows.iterrows()]
    return HTML(f'<ul class="stt-words" style="font-size: 15px; line-height: 1.7">{"".join(lines)}</ul>')


def failures(results: Results) -> Any:
    """Show failed recordings with the reason; they are excluded from all rates."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, one in results.scores["systems"].items():
        for id, why in one["failed"].items():
            reasons.setdefault((name, why), []).append(id)
    if not reasons:
        return HTML("<p>No system failed on any recording.</p>")
    rows = [(name, len(ids), ids[0], why) for (name, why), ids in reasons.items()]
    return table(pd.DataFrame(rows, columns=["system", "recordings", "example", "reason"]))
