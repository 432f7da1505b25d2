"""Common style of figures; colours (Okabe & Ito) and markers are safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "//", "..")
WIDTH, ROW = 9.0, 0.42  # inches: width of a figure, height of a text line
FONT, SMALL = 12, 10.5  # points
DPI = 100  # at which fonts have their nominal size on screen
SHARP = 160  # dots per inch of embedded pictures
NAME = 40  # maximum characters of a name on an axis
MOST = 60  # maximum recordings in a plot of single recordings


class Chart(Figure):
    """A figure that notebooks display, with its title as alternative text."""

    title = ""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        file = BytesIO()
        self.savefig(file, format="png", dpi=SHARP)
        return file.getvalue(), {"width": round(self.get_figwidth() * DPI), "alt": self.title}


def style(system: str, systems: Sequence[str]) -> dict[str, Any]:
    """Return colour and marker of a system, the same in every figure of a run."""
    place = list(systems).index(system) if system in systems else 0
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKS[place % len(MARKS)]}


def axes(height: float, title: str, x: str, y: str = "") -> tuple[Chart, Axes]:
    """Create a figure with labelled axes; `height` in inches."""
    figure = Chart(figsize=(WIDTH, max(2.4, height)), dpi=DPI, layout="constrained")
    figure.title = title[:1].upper() + title[1:]
    axes = figure.add_subplot()
    axes.set_title(figure.title, fontsize=FONT + 2, loc="left")
    axes.set_xlabel(x, fontsize=FONT)
    axes.set_ylabel(y, fontsize=FONT)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def short(name: object) -> str:
    """Shorten a name in the middle to NAME characters."""
    text = str(name)
    return text if len(text) <= NAME else f"{text[: NAME // 2 - 1]}…{text[-NAME // 2 :]}"


def lines(axes: Axes, names: Sequence[object]) -> None:
    """Label the y axis with one line per name, from the top."""
    axes.set_yticks(range(len(names)), [short(name) for name in names], fontsize=SMALL)
    axes.set_ylim(len(names) - 0.4, -0.6)


def legend_below(figure: Chart, axes: Axes) -> None:
    """Draw the legend below the axes, so that it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        names = [short(one) for one in labels]
        columns = 3 if max(map(len, names)) < 16 else 2
        figure.legend(handles, names, loc="outside lower left", ncols=columns, fontsize=SMALL, frameon=False)


def rows(table: Any) -> list[Any]:
    return [row for _, row in table.iterrows()]


def error(row: Any) -> list[list[float]]:
    """Return the lengths of the error bar, [[low], [high]]; zeros without an interval."""
    if row["low"] != row["low"] or row["high"] != row["high"]:
        return [[0.0], [0.0]]
    return [[max(0.0, row["value"] - row["low"])], [max(0.0, row["high"] - row["value"])]]
