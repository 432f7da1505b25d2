"""What figures have in common: size, letters, colours (Okabe & Ito) and marks that colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "//", "..")
WIDTH, ROW = 9.0, 0.42  # inches: of a figure, of a line of text in it
FONT, SMALL = 12, 10.5  # points
DPI = 100  # at which texts have their size on a screen
SHARP = 160  # dots per inch of pictures in a page
NAME = 40  # characters of a name on an axis
MOST = 60  # recordings that a plot of single ones shows


class Chart(Figure):
    """A figure that a notebook shows by itself, with its title for those who cannot see it."""

    title = ""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        file = BytesIO()
        self.savefig(file, format="png", dpi=SHARP)
        return file.getvalue(), {"width": round(self.get_figwidth() * DPI), "alt": self.title}


def style(system: str, systems: Sequence[str]) -> dict[str, Any]:
    """Colour and mark of a system: the same in every figure of a run."""
    place = list(systems).index(system) if system in systems else 0
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKS[place % len(MARKS)]}


def axes(height: float, title: str, x: str, y: str = "") -> tuple[Chart, Axes]:
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
    text = str(name)
    return text if len(text) <= NAME else f"{text[: NAME // 2 - 1]}…{text[-NAME // 2 :]}"


def lines(axes: Axes, names: Sequence[object]) -> None:
    """A line of the figure per name, from the top."""
    axes.set_yticks(range(len(names)), [short(name) for name in names], fontsize=SMALL)
    axes.set_ylim(len(names) - 0.4, -0.6)


def legend_below(figure: Chart, axes: Axes) -> None:
    """Under the axes, so that it covers no mark."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        names = [short(one) for one in labels]
        columns = 3 if max(map(len, names)) < 16 else 2
        figure.legend(handles, names, loc="outside lower left", ncols=columns, fontsize=SMALL, frameon=False)


def rows(table: Any) -> list[Any]:
    return [row for _, row in table.iterrows()]


def error(row: Any) -> list[list[float]]:
    """Distances to the ends of the interval; none where there is none."""
    if row["low"] != row["low"] or row["high"] != row["high"]:
        return [[0.0], [0.0]]
    return [[max(0.0, row["value"] - row["low"])], [max(0.0, row["high"] - row["value"])]]
