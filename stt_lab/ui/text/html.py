"""Render the Text tab as HTML: the text with its player, and citations.

Everything from a text, a model or a file name goes through `escape`. Clicks are handled by page.js: a citation has
`data-marks`, the ranges to mark as "paragraph:start-end", and with a recording `data-seek`, the second to play from.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Sequence
from html import escape

from stt_lab.text import clock
from stt_lab.types import TextSpan
from stt_lab.ui.html import Recording, Saved, downloads, notice, player, segments
from stt_lab.ui.text.source import Citation, TextSource
from stt_lab.writing.values import EXTRACTIVE

QUOTE = 160  # characters in the tooltip of a citation
MOST = 12  # maximum citations of one statement
NO_MODEL = "without a language model"
GATE = (
    '<div class="stt-notice" role="status">Please <a href="sign-in">sign in</a> with your key to work on your '
    "transcripts or on a pasted text.</div>"
)
EMPTY = (
    '<div class="stt-empty"><p>The result appears here, beside the text.</p>'
    "<p>Choose a transcript or paste a text, then choose a task.</p></div>"
)


class Cited:
    """Citations of one result; those of a pasted text are numbered in order of appearance."""

    def __init__(self, source: TextSource) -> None:
        self.source = source
        self._numbers: dict[TextSpan, int] = {}

    def marks(self, spans: Iterable[TextSpan], orders: Iterable[int] = ()) -> str:
        """Render citation buttons for spans, or for segments if there are no spans."""
        wanted = list(dict.fromkeys(TextSpan(span.start, span.end) for span in spans))
        wanted = wanted or [span for order in orders if (span := self.source.segment(order))]
        shown = [self._button(span) for span in wanted[:MOST]]
        more = f" <small>and {len(wanted) - MOST} more</small>" if len(wanted) > MOST else ""
        return f' <span class="stt-cites">{" ".join(shown)}{more}</span>' if shown else ""

    def _button(self, span: TextSpan) -> str:
        number = self._numbers.setdefault(span, len(self._numbers) + 1)
        return _button(self.source.cite(span), str(number))


def _button(citation: Citation, number: str) -> str:
    """Render a citation, labelled with time and speaker, or with a number in a pasted text."""
    quote = " ".join(citation.said.split())
    quote = f"{quote[: QUOTE - 1]}…" if len(quote) > QUOTE else quote
    marks = " ".join(f"{place.paragraph}:{place.start}-{place.end}" for place in citation.places)
    if citation.seconds is None:
        seek, label, does = "", number, "Show in the text"
    else:
        seek = f' data-seek="{citation.seconds:.3f}"'
        label = " ".join(filter(None, (clock(citation.seconds), citation.speaker)))
        does = f"Play from {label}"
    return (
        f'<button type="button" class="stt-cite" data-marks="{marks}"{seek} title="{escape(quote)}" '
        f'aria-label="{escape(f"{does}: {quote}")}">{escape(label)}</button>'
    )


def panel(source: TextSource) -> str:
    """Render the text that citations refer to, with a player if there is a recording."""
    title, sound, duration = escape(source.title), "", 0.0
    if source.detail is None or source.transcript is None:
        paragraph = f'<p data-from="0" dir="auto">{escape(source.content.text)}</p>'
        said = f'<div class="stt-transcript">{paragraph}</div>'
    else:
        said, duration = segments(source.transcript, words=False), source.transcript.duration
        sound = player(_recording(source)) if source.detail.has_audio else ""
    window = f'<div class="stt-window" tabindex="0" role="region" aria-label="{title}">{said}</div>'
    return (
        f'<section class="stt-result stt-source" data-duration="{duration:.3f}"><h3>{title}</h3>{sound}{window}'
        "</section>"
    )


def _recording(source: TextSource) -> Recording:
    """Return the recording of a transcript, which the server gives only to its owner."""
    assert source.detail
    kind = mimetypes.guess_type(source.title)[0] or ""
    return Recording(source.title, f"api/v1/transcripts/{source.detail.id}/audio/", kind.startswith("video/"))


def made(shown: str) -> str:
    """Wrap the result of a task."""
    return f'<article class="stt-made">{shown}</article>'


def head(title: str, model: str, files: Sequence[Saved]) -> str:
    """Render the heading of a result: title, model and downloads."""
    by = f"<li>{escape(NO_MODEL if model == EXTRACTIVE else f'by {model}')}</li>" if model else ""
    facts = f'<ul class="stt-facts">{by}</ul>'
    return f'<h3>{escape(title)}</h3><div class="stt-head">{facts}{downloads(files)}</div>'


def warnings(texts: Iterable[str]) -> str:
    """Render warnings."""
    return "".join(notice(text, "warning") for text in texts)


def listed(rows: Iterable[tuple[str, str]]) -> str:
    """Render a list of texts, each after its citations."""
    shown = "".join(f"<li>{marks}<span>{escape(text)}</span></li>" for marks, text in rows)
    return f'<ol class="stt-listed" dir="auto">{shown}</ol>'


def none(what: str) -> str:
    """Say that nothing was found."""
    return f'<p class="stt-none">No {what} were found in this text.</p>'


def chip(text: str, mood: str) -> str:
    """Render a coloured word; `mood`: good, bad or even."""
    return f'<span class="stt-chip {mood}">{escape(text)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table whose cells are already HTML."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    names = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        '<div class="stt-scroll" tabindex="0" role="region" aria-label="Findings"><table class="stt-found">'
        f"<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"
    )
