"""Render documents as HTML: Markdown with citations; chapters, cards and quizzes from their items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from stt_lab.ui.text import html
from stt_lab.ui.text.prose import CitationNotes, document
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.wire import Wire, plain, saved, spans

TITLES = {
    "blog_post": "Blog post",
    "social_media": "Social media",
    "social_linkedin": "LinkedIn post",
    "social_twitter": "Twitter posts",
    "newsletter": "Newsletter",
    "key_quotes": "Key quotes",
    "show_notes": "Show notes",
    "meeting_notes": "Meeting notes",
    "study_guide": "Study guide",
    "flashcards": "Flashcards",
    "quiz": "Quiz",
    "chapter_markers": "Chapters",
}
Show = Callable[[Sequence[Wire], html.Cited], str]
SAID = (
    "text",
    "quote",
    "question",
    "title",
    "term",
    "name",
    "answer",
)  # fields of an item whose text occurs in the document


def generated(made: Any, source: TextSource) -> str:
    """Render the result of `generate`."""
    answer = plain(made)
    files = saved(answer, source.stem, answer["type"], answer["content"])
    cited = html.Cited(source)
    show = _alone(answer["items"])
    shown = show(answer["items"], cited) if show else _markdown(answer, cited)
    return (
        html.head(answer["title"] or title(answer["type"]), answer["model"], files)
        + html.warnings(answer["warnings"])
        + shown
    )


def title(type: str) -> str:
    """Return the display name of a document type, built in or an administrator's template."""
    return TITLES.get(type, type.replace("_", " ").capitalize())


def _alone(items: Sequence[Wire]) -> Show | None:
    """Return the renderer of a document that consists of one block with its own rendering."""
    blocks = {item.get("block") for item in items}
    return FROM_ITEMS.get(str(blocks.pop())) if len(blocks) == 1 else None


def _markdown(answer: Wire, cited: html.Cited) -> str:
    return document(answer["content"], CitationNotes((_said(item), _marks(item, cited)) for item in answer["items"]))


def _said(item: Wire) -> str:
    return next((str(item[name]) for name in SAID if item.get(name)), "")


def _marks(item: Wire, cited: html.Cited) -> str:
    return cited.marks(spans(item), item.get("sources", ()))


def _chapters(items: Sequence[Wire], cited: html.Cited) -> str:
    return html.listed((_marks(item, cited), item["title"]) for item in items)


def _cards(items: Sequence[Wire], cited: html.Cited) -> str:
    rows = (_card(item, "", cited) for item in items)
    return f'<div class="stt-cards">{"".join(rows)}</div>'


def _quiz(items: Sequence[Wire], cited: html.Cited) -> str:
    rows = []
    for item in items:
        options = "".join(f"<li>{escape(str(option))}</li>" for option in item.get("options") or ())
        rows.append(_card(item, f"<ol>{options}</ol>" if options else "", cited))
    return f'<div class="stt-cards">{"".join(rows)}</div>'


def _card(item: Wire, between: str, cited: html.Cited) -> str:
    """Render a question with a hidden answer."""
    return (
        f'<div class="stt-card" dir="auto"><p>{escape(str(item["question"]))}</p>{between}'
        f"<details><summary>Answer</summary>"
        f"<p>{escape(str(item['answer']))}{_marks(item, cited)}</p></details></div>"
    )


FROM_ITEMS: dict[str, Show] = {"chapters": _chapters, "cards": _cards, "quiz": _quiz}  # by the block of a template
