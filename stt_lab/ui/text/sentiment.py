"""Render sentiment as HTML: a bar chart of all sentences, and the strongest ones."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from stt_lab.ui.text.html import Cited, chip, table
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.wire import Wire, spans

STRONGEST = 6  # strongest sentences shown per label
THIN = 400  # a bar is at least 1/THIN of the chart wide
MOODS = {"positive": "good", "negative": "bad", "neutral": "even"}


def scale(found: Wire) -> str:
    """Format the score of a whole text."""
    return f"{found['score']:+.2f} on a scale from −1 to 1"


def sentiment(found: Wire, cited: Cited) -> str:
    """Render the result of a sentiment analysis."""
    said: Sequence[Wire] = found["sentences"]
    whole = f'<p class="stt-mood">{chip(found["label"], MOODS[found["label"]])} {scale(found)}</p>'
    strongest = "".join(_strongest(said, cited, mood) for mood in ("positive", "negative"))
    return whole + _line(said, cited.source) + strongest


def _line(said: Sequence[Wire], source: TextSource) -> str:
    """Draw a bar per sentence, up or down from the middle, along the time or else along the text."""
    length = source.transcript.duration if source.transcript else float(len(source.content.text))
    bars = "".join(_bar(one, source, length / THIN) for one in said)
    counts = ", ".join(f"{sum(one['label'] == mood for one in said)} {mood}" for mood in MOODS)
    lane = ' data-lane="1"' if source.transcript else ""
    return (
        f'<svg class="stt-moods"{lane} viewBox="0 0 {max(length, 1):.3f} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="Sentiment over time: {counts} sentences">{bars}</svg>'
    )


def _bar(one: Wire, source: TextSource, thin: float) -> str:
    span = spans(one)[0]
    begin, end = source.seconds(span.start), source.end(span.end)
    begin, end = (span.start, span.end) if begin is None or end is None else (begin, end)
    top, height = 0.5 - max(0.0, one["score"]) / 2, max(0.02, abs(one["score"]) / 2)
    return (
        f'<rect class="{MOODS[one["label"]]}" x="{begin:.2f}" y="{top:.3f}" width="{max(end - begin, thin):.2f}" '
        f'height="{height:.3f}"/>'
    )


def _strongest(said: Sequence[Wire], cited: Cited, mood: str) -> str:
    most = sorted((one for one in said if one["label"] == mood), key=lambda one: -abs(one["score"]))[:STRONGEST]
    rows = [(escape(one["text"]), f"{one['score']:+.2f}", cited.marks(spans(one))) for one in most]
    return f"<h4>Most {mood}</h4>{table(('Sentence', 'Score', 'Where'), rows)}" if rows else ""
