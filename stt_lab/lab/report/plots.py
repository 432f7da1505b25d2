"""Plot a stored run: labelled axes with units, and 95 % intervals as error bars; chart.py has the style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stt_lab.errors import BadInput
from stt_lab.lab.report import chart, tables
from stt_lab.lab.report.chart import COLOURS, FONT, HATCHES, MOST, ROW, SMALL, Chart, style
from stt_lab.lab.scoring.results import Results
from stt_lab.lab.scoring.scores import NAMES


def _needed(table: Any, measure: str) -> Any:
    if table.empty:
        raise BadInput(f"No recording of this run has the references for {NAMES[measure]}. See docs/lab-data.md.")
    return table


# Rates with intervals


def by_system(results: Results, measure: str = "wer") -> Chart:
    """Draw a bar per system with its value and interval."""
    table = _needed(tables.rates(results, measure), measure)
    figure, axes = chart.axes(1.4 + ROW * 1.3 * len(table), f"{NAMES[measure]} by system", NAMES[measure])
    for place, (_, row) in enumerate(table.iterrows()):
        axes.barh(place, row["value"], height=0.62, color=style(row["system"], results.systems)["color"], alpha=0.85)
        axes.errorbar(row["value"], place, xerr=chart.error(row), color="black", capsize=4, linewidth=1.4)
        high = max(row["value"], row["high"] if row["high"] == row["high"] else 0)
        axes.annotate(
            f"{row['value']:.1f}", (high, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
    chart.lines(axes, [f"{row['system']}" for _, row in table.iterrows()])
    axes.margins(x=0.12)
    axes.set_xlim(left=0, right=None if table["value"].any() else 1)
    return figure


def by_group(results: Results, by: str = "language", measure: str = "wer") -> Chart:
    """Draw a marker per system and group (language, source, kind) with intervals; n = number of recordings."""
    table = _needed(tables.rates(results, measure, by), measure)
    return groups(results, table, f"{NAMES[measure]} by {by}", NAMES[measure])


def by_length(results: Results) -> Chart:
    """Draw WER by length of the recording."""
    table = tables.by_length(results)
    return groups(results, table, "WER (%) by length of the recording", NAMES["wer"])


def groups(results: Results, table: Any, title: str, label: str) -> Chart:
    """Draw a line per group of a table with system, group, value, low, high and recordings."""
    names = list(dict.fromkeys(table["group"]))
    systems = [name for name in results.systems if name in set(table["system"])]
    height = 1.8 + max(ROW, 0.2 * len(systems)) * len(names)
    figure, axes = chart.axes(height, title, label)
    for turn, system in enumerate(systems):
        rows = table[table["system"] == system]
        shift = 0.6 * ((turn + 0.5) / len(systems) - 0.5)
        places = [names.index(group) + shift for group in rows["group"]]
        errors = [
            [error[0][0] for error in map(chart.error, chart.rows(rows))],
            [error[1][0] for error in map(chart.error, chart.rows(rows))],
        ]
        axes.errorbar(
            rows["value"], places, xerr=errors, linestyle="", capsize=3, markersize=7, clip_on=False, label=system,
            **style(system, results.systems),
        )  # fmt: skip
    counts = table.groupby("group")["recordings"].max()
    chart.lines(axes, [f"{chart.short(name)} (n = {counts[name]})" for name in names])
    axes.set_xlim(left=0)
    chart.legend_below(figure, axes)
    return figure


def by_snr(results: Results) -> Chart:
    """Draw WER by estimated signal-to-noise ratio."""
    return groups(results, tables.by_snr(results), "WER (%) by estimated signal-to-noise ratio", NAMES["wer"])


def noise_curve(results: Results, table: Any) -> Chart:
    """Draw WER over the SNR of added noise; dashed: without noise. `table` comes from `robustness.by_snr`."""
    figure, axes = chart.axes(4.6, "WER (%) by signal-to-noise ratio", "SNR of the added noise (dB)", "WER (%)")
    axes.grid(color="#dddddd", linewidth=0.8)
    for system in dict.fromkeys(table["system"]):
        look, rows = style(system, results.systems), table[table["system"] == system]
        noisy, clean = rows[rows["snr"] < math.inf], rows[rows["snr"] == math.inf]
        axes.plot(noisy["snr"], noisy["value"], linewidth=1.6, markersize=8, label=system, **look)
        axes.fill_between(noisy["snr"], noisy["low"], noisy["high"], color=look["color"], alpha=0.15, linewidth=0)
        for value in clean["value"]:
            axes.axhline(value, color=look["color"], linestyle="--", linewidth=1.2)
    axes.set_xticks(sorted({snr for snr in table["snr"] if snr < math.inf}))
    axes.set_ylim(bottom=0)
    chart.legend_below(figure, axes)
    return figure


# Components of a rate


def _stacked(table: Any, title: str, label: str) -> Chart:
    figure, axes = chart.axes(1.8 + ROW * 1.3 * len(table), title, label)
    left = [0.0] * len(table)
    for turn, name in enumerate(table.columns):
        values = table[name].to_list()
        axes.barh(
            range(len(table)), values, left=left, height=0.62, color=COLOURS[turn], hatch=HATCHES[turn],
            edgecolor="white", label=str(name).replace("_", " "),
        )  # fmt: skip
        left = [before + value for before, value in zip(left, values, strict=True)]
    for place, total in enumerate(left):
        axes.annotate(
            f"{total:.1f}", (total, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
    chart.lines(axes, list(table.index))
    axes.margins(x=0.1)
    chart.legend_below(figure, axes)
    return figure


def error_types(results: Results) -> Chart:
    """Draw WER as substitutions, deletions and insertions."""
    table = _needed(tables.parts(results, "wer", ("substitutions", "deletions", "insertions")), "wer")
    return _stacked(table, "Kinds of word errors", "share of the reference words (%)")


def der_parts(results: Results) -> Chart:
    """Draw DER as missed speech, false alarms and speaker confusion."""
    table = _needed(tables.parts(results, "der", ("missed", "false_alarm", "confusion")), "der")
    return _stacked(table, "Kinds of diarization errors", "share of the speech (%)")


# Speed


def speed_error(results: Results, measure: str = "wer") -> Chart:
    """Draw error over speed; the lower right corner is best."""
    table = _needed(tables.rates(results, measure), measure)
    figure, axes = chart.axes(4.6, "Speed and error", "RTFx: seconds of audio per second of processing", NAMES[measure])
    axes.grid(color="#dddddd", linewidth=0.8)
    for _, row in table.iterrows():
        rtfx = results.scores["systems"][row["system"]]["cost"].get("rtfx")
        if rtfx and rtfx["value"]:
            fast = {"value": rtfx["value"], "low": _number(rtfx["low"]), "high": _number(rtfx["high"])}
            axes.errorbar(
                fast["value"], row["value"], xerr=chart.error(fast), yerr=chart.error(row), capsize=4, markersize=10,
                linestyle="", label=row["system"], **style(row["system"], results.systems),
            )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.margins(0.12)
    chart.legend_below(figure, axes)
    return figure


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def waiting(results: Results) -> Chart:
    """Draw the cumulative share of recordings by real-time factor."""
    table = tables.speed(results)
    figure, axes = chart.axes(
        4.2, "Real-time factor", "RTF: seconds of processing per second of audio", "recordings (%)"
    )
    axes.grid(color="#dddddd", linewidth=0.8)
    for system in dict.fromkeys(table["system"]):
        values = sorted(table[table["system"] == system]["RTF"])
        shares = [100 * (place + 1) / len(values) for place in range(len(values))]
        axes.step(
            values, shares, where="post", linewidth=1.6, markersize=6, label=f"{system} (n = {len(values)})",
            markevery=max(1, len(values) // 8),
            **style(system, results.systems),
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(0, 104)
    chart.legend_below(figure, axes)
    return figure


def seconds_by_length(results: Results) -> Chart:
    """Draw processing time over length, a marker per recording; hollow: the machine was busy."""
    table = tables.speed(results)
    figure, axes = chart.axes(4.6, "Processing time by length", "length of the recording (s)", "processing time (s)")
    axes.grid(color="#dddddd", linewidth=0.8)
    for system in dict.fromkeys(table["system"]):
        look = style(system, results.systems)
        rows = table[table["system"] == system]
        faces = ["none" if busy else look["color"] for busy in rows["busy"]]
        axes.scatter(
            rows["duration"], rows["seconds"], s=42, marker=look["marker"], facecolors=faces,
            edgecolors=look["color"], linewidths=1.4, label=system,
        )  # fmt: skip
    if table["duration"].max() > 20 * table["duration"].min():
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
    chart.legend_below(figure, axes)
    return figure


# Two systems


def differences(results: Results, first: str, second: str) -> Chart:
    """Draw the difference of each error rate with its interval; one that crosses zero is not significant."""
    table = tables.comparisons(results, first, second)
    table = table[[measure in NAMES and "(%)" in NAMES[measure] for measure in table["measure"]]]
    if table.empty:
        raise BadInput("The two systems have no error rate in common. See the verdicts.")
    figure, axes = chart.axes(
        1.8 + ROW * 1.2 * len(table), "Differences of error", "percentage points; left of zero: fewer errors"
    )
    for place, row in enumerate(chart.rows(table)):
        sign = 1 if row["first"] == first else -1
        low, high = sorted((sign * 100 * row["low"], sign * 100 * row["high"]))
        value = sign * 100 * row["difference"]
        colour = COLOURS[0] if row["significant"] else "#888888"
        error = chart.error({"value": value, "low": low, "high": high})
        axes.errorbar(value, place, xerr=error, marker="o", markersize=8, capsize=4, color=colour, linewidth=1.6)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_title(f"{chart.short(first)} minus {chart.short(second)}", fontsize=FONT + 2, loc="left")
    chart.lines(axes, [NAMES[row["measure"]].removesuffix(" (%)") for row in chart.rows(table)])
    return figure


def paired(results: Results, first: str, second: str, measure: str = "wer") -> Chart:
    """Draw both systems on each recording, joined by a line; only those that differ most."""
    table = tables.paired(results, first, second, measure)
    strongest = table["difference"].abs().sort_values(ascending=False).head(MOST).index
    table = table.loc[[item for item in table.index if item in strongest]]
    figure, axes = chart.axes(1.8 + 0.27 * len(table), f"{NAMES[measure]}, recording by recording", NAMES[measure])
    places = range(len(table))
    axes.hlines(places, table[first], table[second], color="#999999", linewidth=1.4)
    for system, size in ((first, 110), (second, 36)):  # so that both are visible if equal
        look = style(system, results.systems)
        axes.scatter(table[system], places, s=size, label=system, zorder=3, **look)
    chart.lines(axes, list(table.index))
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    chart.legend_below(figure, axes)
    return figure


# Overviews


def available(results: Results, measures: Sequence[str]) -> list[Chart]:
    """Draw `by_system` for each measure that the run has."""
    return [by_system(results, measure) for measure in measures if len(tables.rates(results, measure))]


def overview(results: Results) -> list[Chart]:
    """Draw the figures of a report, as far as the references allow."""
    has = {measure for measure in ("wer", "der") if len(tables.rates(results, measure))}
    made = available(results, ("wer", "cer"))
    if "wer" in has:
        made.append(error_types(results))
        made += [
            by_group(results, by)
            for by in ("language", "source")
            if tables.rates(results, "wer", by)["group"].nunique() > 1
        ]
        made += [speed_error(results)] if len(results.systems) > 1 else []
    made += available(results, ("non_speech", "der"))
    if "der" in has:
        made.append(der_parts(results))
    return [*made, *available(results, ("cpwer", "wder", "word_starts")), seconds_by_length(results)]
