"""Render summaries and documents as HTML, with citations behind the passages that they support.

They may contain words of a model or a speaker, so that links, images and HTML are shown as text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

OFF = ["link", "image", "autolink", "html_inline", "html_block", "reference"]
BELOW = 2  # levels of a document's headings below those of the page
BREAKS = ("softbreak", "hardbreak")
BULLET, BOX = "- ", "[ ] "
Note = tuple[int, str]  # offset in a paragraph, HTML to insert


class CitationNotes:
    """Citations to insert behind certain texts, which are in the order of the document."""

    def __init__(self, notes: Iterable[tuple[str, str]]) -> None:
        self._notes = [(" ".join(text.split()), html) for text, html in notes if html and text.strip()]
        self._rest = self._notes

    def placed(self, texts: Sequence[str]) -> list[list[Note]]:
        """Return the notes of each paragraph in order; each note is placed once."""
        made: list[list[Note]] = [[] for _ in texts]
        starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
        whole, rest = _folded("\n".join(texts)), []
        cursor, ends = 0, dict[str, int]()
        for text, html in self._notes:
            sought = _folded(text)
            after = ends.get(sought, 0)  # a repeated text is found after the previous one
            at = whole.find(sought, max(cursor, after))
            at = whole.find(sought, after) if at < 0 else at
            if at < 0:
                rest.append((text, html))
                continue
            ends[sought] = at + len(sought)
            cursor = max(cursor, ends[sought])
            paragraph = bisect_right(starts, at) - 1
            made[paragraph].append((min(ends[sought] - starts[paragraph], len(texts[paragraph])), html))
        self._rest = rest
        return [sorted(notes, key=lambda note: note[0]) for notes in made]

    def rest(self) -> str:
        """Render the notes that found no place, as a list."""
        rows = "".join(f"<li>{escape(text)}{html}</li>" for text, html in self._rest)
        return f'<ul class="stt-rest" dir="auto">{rows}</ul>' if rows else ""


def _folded(text: str) -> str:
    """Lower the case and normalise spaces at equal length: a sentence may start differently from its citation."""
    lower = text.lower()
    same = lower if len(lower) == len(text) else text
    return "".join(" " if char.isspace() else char for char in same)


def paragraphs(text: str, notes: CitationNotes) -> str:
    """Render plain paragraphs; blocks of lines with a dash become lists."""
    blocks = [_lines(block) for block in text.split("\n\n") if block.strip()]
    places = iter(notes.placed([line for lines, _ in blocks for line in lines]))
    made = "".join(_block([_noted(line, next(places)) for line in lines], listed) for lines, listed in blocks)
    return f'<div class="stt-document" dir="auto">{made}</div>{notes.rest()}'


def verbatim(text: str, notes: CitationNotes) -> str:
    """Render a text with its spaces and lines unchanged."""
    (places,) = notes.placed([text])
    return f'<div class="stt-document stt-kept" dir="auto">{_noted(text, places)}</div>{notes.rest()}'


def _lines(block: str) -> tuple[list[str], bool]:
    """Split a block into list items, or join it to a paragraph; return whether it is a list."""
    lines = block.splitlines()
    if all(line.startswith(BULLET) for line in lines):
        return [line.removeprefix(BULLET) for line in lines], True
    return [" ".join(lines)], False


def _block(lines: list[str], listed: bool) -> str:
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>" if listed else f"<p>{''.join(lines)}</p>"


def _noted(text: str, notes: Iterable[Note]) -> str:
    parts, begin = [], 0
    for at, html in notes:
        parts += [escape(text[begin:at]), html]
        begin = max(begin, at)
    return "".join([*parts, escape(text[begin:])])


# Markdown


def document(markdown: str, notes: CitationNotes) -> str:
    """Render a Markdown document."""
    tokens = _parser().parse(markdown)
    inner = [token.children for token in tokens if token.children]
    places = notes.placed([_text(children) for children in inner])
    for children, wanted in zip(inner, places, strict=True):
        children[:] = list(_with_notes(children, wanted))
        if children[0].content.startswith(BOX):
            children[0].content = children[0].content.replace(BOX, "☐ ", 1)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + BELOW)}"
    made = _parser().renderer.render(tokens, _parser().options, {})
    return f'<div class="stt-document" dir="auto">{made}</div>{notes.rest()}'


def _text(tokens: Iterable[Token]) -> str:
    return "".join(" " if token.type in BREAKS else token.content for token in tokens)


def _with_notes(tokens: Iterable[Token], notes: Sequence[Note]) -> Iterator[Token]:
    """Yield the tokens of a paragraph, split where a note is inserted."""
    from markdown_it.token import Token

    end = 0
    for token in tokens:
        begin, end = end, end + (1 if token.type in BREAKS else len(token.content))
        here = [note for note in notes if begin < note[0] <= end]
        cut = 0
        for at, html in here:
            if token.type == "text":
                yield token.copy(content=token.content[cut : at - begin])
                cut = at - begin
                yield Token("html_inline", "", 0, content=html)
        yield token.copy(content=token.content[cut:]) if token.type == "text" else token
        if token.type != "text":
            yield from (Token("html_inline", "", 0, content=html) for _, html in here)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(OFF)
