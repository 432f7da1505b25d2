"""Parts of a report that are neither table nor figure: aligned words, recordings to listen to, verdicts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import HTML, Audio, display

from stt_lab.lab.data.dataset import Item
from stt_lab.lab.report import tables
from stt_lab.lab.scoring import mistakes
from stt_lab.lab.scoring.mistakes import LEGEND
from stt_lab.lab.scoring.results import Results
from stt_lab.lab.scoring.scores import NAMES

EMBEDDED = 400_000  # bytes: larger recordings are linked, so the report stays one that can be sent
STYLE = """<style>
.stt-words {line-height: 1.9; font-size: 15px; max-width: 60em}
.stt-words del {color: #a33c00; text-decoration: line-through; background: #fbe9dd; padding: 0 .2em}
.stt-words ins {color: #004c77; text-decoration: underline; background: #dceefa; padding: 0 .2em}
.stt-about {font-size: 14px; margin: 1.2em 0 .2em}
</style>"""
NOTHING = "<p>The references of this dataset do not allow this.</p>"


def worst(results: Results, system: str = "", most: int = 5) -> Any:
    """The recordings with the highest WER: what was said against what was heard, and the sound."""
    parts = [STYLE, LEGEND]
    for found in mistakes.worst(results, system, most):
        parts += [
            f'<p class="stt-about">{found.about}</p>',
            player(found.item, results.run.folder),
            f'<p class="stt-words">{found.marked}</p>',
        ]
    return HTML("\n".join(parts))


def player(item: Item, page: Path) -> str:
    """Short recordings lie in the page; a longer one is named from the folder of the page."""
    try:
        size = item.audio.stat().st_size
    except OSError:
        return "<p>(the recording is no longer there)</p>"
    if size <= EMBEDDED:
        made = Audio(filename=str(item.audio), embed=True)
    else:
        made = Audio(url=Path(os.path.relpath(item.audio, page)).as_posix(), embed=False)
    return str(made._repr_html_())


def table(found: Any, decimals: int = 1) -> Any:
    """The table, without numbers of its rows; a sentence where it has none."""
    if not len(found):
        return HTML(NOTHING)
    return HTML(found.to_html(index=False, border=0, na_rep=tables.NOTHING, float_format=f"{{:.{decimals}f}}".format))


def each(parts: Iterable[Any]) -> Any:
    """Show one after the other; a sentence where there are none."""
    found = list(parts)
    for part in found:
        display(part)
    return None if found else HTML(NOTHING)


def verdicts(results: Results, first: str = "", second: str = "") -> Any:
    """A sentence per measure."""
    if not results.scores["comparisons"]:
        return HTML("<p>There is nothing to compare: it takes two systems over the same recordings.</p>")
    rows = tables.comparisons(results, first, second)
    lines = [f"<li><b>{escape(NAMES[row['measure']])}</b>: {escape(row['verdict'])}</li>" for _, row in rows.iterrows()]
    return HTML(f'<ul class="stt-words" style="font-size: 15px; line-height: 1.7">{"".join(lines)}</ul>')


def failures(results: Results) -> Any:
    """Recordings that a system failed on, with its reason; none of them is in a rate."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, one in results.scores["systems"].items():
        for id, why in one["failed"].items():
            reasons.setdefault((name, why), []).append(id)
    if not reasons:
        return HTML("<p>No system failed on any recording.</p>")
    rows = [(name, len(ids), ids[0], why) for (name, why), ids in reasons.items()]
    return table(pd.DataFrame(rows, columns=["system", "recordings", "such as", "why"]))
