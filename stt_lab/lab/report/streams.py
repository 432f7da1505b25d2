"""Measure the live systems of a stored run: tables, and figures of when words were said, shown and final."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from stt_lab.errors import BadInput
from stt_lab.lab.report import chart
from stt_lab.lab.report.chart import SMALL, Chart, style
from stt_lab.lab.runs.predictions import Prediction
from stt_lab.lab.scoring.results import Results
from stt_lab.metrics import (
    Churn,
    EmissionTimes,
    EmittedWord,
    FinalChanges,
    StreamLog,
    churn,
    emission_times,
    emitted,
    final_changes,
    pool,
    summarise,
)

TIMES = {  # of EmissionTimes: its name, and what all of them would be
    "shown": ("end of a word to first shown", "words"),
    "final": ("end of a word to final", "words"),
    "begins": ("beginning of speech to first word", ""),
    "ends": ("end of speech to its final", "pauses"),
}
MOST = 45  # words of a timeline


@dataclass(frozen=True)
class MeasuredStream:
    """One recording by one live system."""

    prediction: Prediction
    log: StreamLog
    churn: Churn
    finals: FinalChanges
    words: tuple[EmittedWord, ...]  # () without word times in the reference
    times: EmissionTimes


@dataclass(frozen=True)
class MeasuredStreams:
    """All live recordings of a run, by system, in the order of the suite."""

    systems: Mapping[str, tuple[MeasuredStream, ...]]
    names: tuple[str, ...]  # all systems of the run, for colours

    def times(self, system: str) -> EmissionTimes:
        return reduce(add, (one.times for one in self.systems[system]), EmissionTimes())

    def pick(self, system: str, recording: str) -> MeasuredStream:
        """Return a recording with word times; "" = the first system, and its first recording. Raises BadInput."""
        if system and system not in self.systems:
            raise BadInput(f"This run has no live system {system!r}. Choose from {', '.join(self.systems)}.")
        streams = self.systems[system or next(iter(self.systems))]
        found = [one for one in streams if one.words and recording in ("", one.prediction.item)]
        if not found:
            known = ", ".join(one.prediction.item for one in streams if one.words)
            raise BadInput(f"No live recording {recording!r} has word times. Choose from {known or 'none'}.")
        return found[0]


def measure(results: Results) -> MeasuredStreams:
    """Measure each stream of a run. Raises BadInput if it has none."""
    made = {
        system: tuple(_measured(results, row) for _, row in results.outputs(system) if row.stream is not None)
        for system in results.systems
    }
    systems = {system: streams for system, streams in made.items() if streams}
    if not systems:
        raise BadInput("No system of this run is live. Make a run with `stt-lab eval live`.")
    return MeasuredStreams(systems, results.systems)


def _measured(results: Results, row: Prediction) -> MeasuredStream:
    assert row.stream is not None
    item, log = results.items[row.item], row.stream
    words = emitted(item.words, log, results.normaliser(item)) if item.words else ()
    times = emission_times(words, row.duration or item.duration or 0.0)
    return MeasuredStream(row, log, churn(log), final_changes(log), words, times)


# Tables


def latencies(streams: MeasuredStreams) -> Any:
    """Return mean and percentiles in seconds by system and kind of time; `of`: how many there could be."""
    rows = []
    for system in streams.systems:
        times = streams.times(system)
        for name, (shown, of) in TIMES.items():
            values = getattr(times, name)
            row: dict[str, Any] = {"system": system, "seconds from": shown}
            if values:
                found = summarise(values)
                row |= {"mean": found.mean, "p50": found.p50, "p95": found.p95, "p99": found.p99}
            rows.append(row | {"times": len(values), "of": str(getattr(times, of)) if of else "-"})
    return pd.DataFrame(rows)


def stability(streams: MeasuredStreams) -> Any:
    """Return what was shown and changed, and the work, by system."""
    rows = []
    for system, found in streams.systems.items():
        changes = pool(one.churn for one in found)
        finals = reduce(add, (one.finals for one in found))
        rows.append(
            {
                "system": system, "clock": found[0].log.clock, "words shown": changes.shown,
                "churn (%)": 100 * changes.rate if changes.shown else None, "finals": finals.finals,
                "repeated": finals.repeated, "changed": finals.changed, "work (s per s)": _work(found),
                "steps": _sum(one.log.steps for one in found), "skipped": _sum(one.log.skipped for one in found),
                "recordings": len(found), "busy": sum(one.prediction.busy for one in found),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _sum(values: Iterable[int | None]) -> str:
    known = [value for value in values if value is not None]
    return str(sum(known)) if known else "-"


def _work(found: Sequence[MeasuredStream]) -> float | None:
    """Return seconds of computing for each second of sound, if the system says them."""
    known = [(one.log.worked_s, one.prediction.duration) for one in found if one.prediction.duration]
    worked = [seconds for seconds, _ in known if seconds is not None]
    return sum(worked) / sum(length or 0.0 for _, length in known) if worked and len(worked) == len(known) else None


# Figures


def emission(streams: MeasuredStreams) -> Chart:
    """Draw the share of the spoken words that are shown, and final, so many seconds after their end."""
    figure, axes = _cumulative("How late words come", "seconds after the end of the word", "words said (%)")
    for system in streams.systems:
        times, look = streams.times(system), style(system, streams.names)
        for values, line, what in ((times.shown, "--", "first shown"), (times.final, "-", "final")):
            if times.words:
                _steps(axes, values, times.words, label=f"{system}: {what}", linestyle=line, color=look["color"])
    chart.legend_below(figure, axes)
    return figure


def ends(streams: MeasuredStreams) -> Chart:
    """Draw the share of the ends of speech whose words are final so many seconds later."""
    figure, axes = _cumulative(
        "From the end of speech to its final", "seconds after the last word", "ends of speech (%)"
    )
    for system in streams.systems:
        times, look = streams.times(system), style(system, streams.names)
        if times.pauses:
            label = f"{system} (n = {times.pauses})"
            _steps(axes, times.ends, times.pauses, label=label, linestyle="-", color=look["color"])
    chart.legend_below(figure, axes)
    return figure


def _cumulative(title: str, x: str, y: str) -> tuple[Chart, Axes]:
    figure, axes = chart.axes(4.6, title, x, y)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_ylim(0, 104)
    return figure, axes


def _steps(axes: Axes, values: Sequence[float], total: int, **look: Any) -> None:
    ordered = sorted(values)
    axes.step(ordered, [100 * (n + 1) / total for n in range(len(ordered))], where="post", linewidth=1.8, **look)


def timeline(
    streams: MeasuredStreams, system: str = "", recording: str = "", start: float = 0.0, seconds: float = 20.0
) -> Chart:
    """Draw when each word of a stretch of one recording was said, first shown, and final."""
    found = streams.pick(system, recording)
    words = [one for one in found.words if start <= one.word.start < start + seconds][:MOST]
    if not words:
        raise BadInput(f"Nobody speaks from {start:g} to {start + seconds:g} s. Choose another start.")
    colour = style(found.prediction.system, streams.names)["color"]
    figure, axes = chart.axes(
        1.9 + 0.23 * len(words),
        f"{chart.short(found.prediction.system)}: {chart.short(found.prediction.item)}",
        "seconds of the recording",
    )
    for place, one in enumerate(words):
        known = [at for at in (one.shown, one.final) if at is not None]
        axes.hlines(place, one.word.end, max([one.word.end, *known]), color="#cccccc", linewidth=1.2, zorder=1)
        axes.barh(place, one.word.duration, left=one.word.start, height=0.62, color="#555555", zorder=2)
        if one.shown is not None:
            axes.plot(one.shown, place, "o", color=colour, markerfacecolor="white", markersize=7, zorder=3)
        if one.final is not None:
            axes.plot(
                one.final, place, "o" if one.right else "x", color=colour, markersize=5 if one.right else 7, zorder=4
            )
    chart.lines(axes, [one.word.text.strip() for one in words])
    figure.legend(handles=_marks(colour), loc="outside lower left", ncols=4, fontsize=SMALL, frameon=False)
    return figure


def _marks(colour: str) -> list[Line2D]:
    none: list[float] = []
    return [
        Line2D(none, none, color="#555555", linewidth=7, label="said"),
        Line2D(none, none, color=colour, marker="o", markerfacecolor="white", linestyle="", label="first shown"),
        Line2D(none, none, color=colour, marker="o", markersize=5, linestyle="", label="final"),
        Line2D(none, none, color=colour, marker="x", linestyle="", label="final with another word"),
    ]
