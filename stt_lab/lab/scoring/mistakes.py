"""Show recordings with many word errors: reference and hypothesis, aligned word by word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from stt_lab.lab.data.dataset import Item
from stt_lab.lab.report import tables
from stt_lab.lab.scoring.results import Results
from stt_lab.metrics import Aligned, align

LEGEND = (
    '<p class="stt-words"><del>struck through</del>: said, but missing. <ins>underlined</ins>: written, but not said. '
    "Side by side: one word was replaced by the other.</p>"
)


@dataclass(frozen=True)
class Mistakes:
    """The word errors of one recording."""

    item: Item
    words: int  # of the reference
    rate: float  # WER in percent
    seconds: float  # NaN if unknown
    marked: str  # HTML: aligned words

    @property
    def about(self) -> str:
        """HTML: id, WER, words and duration."""
        length = f", {self.seconds:.1f} s" if self.seconds == self.seconds else ""
        return f"<b>{escape(self.item.id)}</b>: WER {self.rate:.0f} %, {self.words} words{length}"


def worst(results: Results, system: str = "", most: int = 5) -> Iterator[Mistakes]:
    """Yield a system's recordings with the highest WER; "" = first system with text. Raises BadInput without a WER."""
    name = results.system(system)
    texts = {item.id: (item, row.text or "") for item, row in results.outputs(name)}
    for _, row in tables.worst(results, name, most).iterrows():
        item, hypothesis = texts[row["item"]]
        steps = align(item.text or "", hypothesis, results.normaliser(item))
        seconds = float(row["duration"] if row["duration"] is not None else "nan")
        yield Mistakes(item, int(row["words"]), float(row["WER (%)"]), seconds, aligned(steps))


def aligned(steps: tuple[Aligned, ...]) -> str:
    """Mark up aligned words as HTML."""
    return " ".join(word for step in steps for word in _marked(step))


def _marked(step: Aligned) -> Iterator[str]:
    if step.op == "equal":
        yield escape(step.reference or "")
        return
    if step.reference is not None:
        yield f"<del>{escape(step.reference)}</del>"
    if step.hypothesis is not None:
        yield f"<ins>{escape(step.hypothesis)}</ins>"
