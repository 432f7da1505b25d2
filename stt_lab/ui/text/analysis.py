"""Render analyses as HTML, each finding with citations, and as plain text to copy and save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from stt_lab.types import TextSpan
from stt_lab.ui.text import html
from stt_lab.ui.text.html import chip, none, table
from stt_lab.ui.text.sentiment import scale, sentiment
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.wire import PLAIN, Wire, plain, saved, spans

ENTITIES = {  # labels of OntoNotes and of personal data: display names
    "PERSON": "People", "ORG": "Organisations", "GPE": "Places", "LOC": "Places", "FAC": "Buildings and roads",
    "NORP": "Nationalities and groups", "DATE": "Dates", "TIME": "Times", "MONEY": "Amounts of money",
    "PERCENT": "Percentages", "QUANTITY": "Quantities", "CARDINAL": "Numbers", "ORDINAL": "Ordinal numbers",
    "EVENT": "Events", "PHONE_NUMBER": "Phone numbers", "EMAIL_ADDRESS": "E-mail addresses",
    "ADDRESS": "Addresses", "DATE_OF_BIRTH": "Dates of birth", "CREDIT_CARD": "Credit cards", "IBAN_CODE": "IBANs",
    "IP_ADDRESS": "IP addresses", "PRODUCT": "Products", "WORK_OF_ART": "Works of art", "LAW": "Laws",
    "LANGUAGE": "Languages",
}  # fmt: skip


@dataclass(frozen=True)
class AnalysisView:
    """How one type of analysis is rendered."""

    title: str
    show: Callable[[Any, html.Cited], str]
    write: Callable[[Any, TextSource], Sequence[str]]  # lines


def analysis(made: Any, source: TextSource) -> str:
    """Render the result of `analyze`."""
    answer = plain(made)
    kind, result = KINDS[answer["type"]], answer["result"]
    files = saved(answer, source.stem, answer["type"], "\n".join(kind.write(result, source)), PLAIN)
    head = html.head(kind.title, answer["model"], files) + html.warnings(answer["warnings"])
    return head + kind.show(result, html.Cited(source))


def _marks(one: Wire, cited: html.Cited) -> str:
    return cited.marks(spans(one))


def _line(one: Wire, text: str, source: TextSource) -> str:
    """Render a finding as a line of plain text, with its time in a transcript."""
    return f"- {' '.join(text.split())}{source.stamp(spans(one)[0])}"


# Action items, questions, topics


def _actions(found: Sequence[Wire], cited: html.Cited) -> str:
    rows = [
        (escape(one["text"]), escape(one["owner"] or "not named"), escape(one["due"] or ""), _marks(one, cited))
        for one in found
    ]
    return table(("Action", "Owner", "Due", "Where"), rows) if rows else none("action items")


def _actions_written(found: Sequence[Wire], source: TextSource) -> list[str]:
    return [_line(one, ": ".join(filter(None, (one["owner"], one["text"]))), source) for one in found]


def _questions(found: Sequence[Wire], cited: html.Cited) -> str:
    states = {True: chip("answered", "good"), False: chip("open", "bad")}
    rows = [(escape(one["text"]), states[one["answered"]], _marks(one, cited)) for one in found]
    return table(("Question", "State", "Where"), rows) if rows else none("questions")


def _questions_written(found: Sequence[Wire], source: TextSource) -> list[str]:
    return [_line(one, f"{one['text']} ({'answered' if one['answered'] else 'open'})", source) for one in found]


def _topics(found: Sequence[Wire], cited: html.Cited) -> str:
    rows = [(f"<b>{escape(one['topic'])}</b>", _weight(one["score"]), _marks(one, cited)) for one in found]
    return table(("Topic", "Weight", "Where"), rows) if rows else none("topics")


def _weight(score: float) -> str:
    return f'<meter min="0" max="1" value="{score:.3f}" aria-label="weight {score:.2f}"></meter>'


def _topics_written(found: Sequence[Wire], source: TextSource) -> list[str]:
    return [f"- {one['topic']}" for one in found]


# Names and personal data


def kind(label: str) -> str:
    """Return the display name of an entity label."""
    return ENTITIES.get(label, label.replace("_", " ").capitalize())


def _places(found: Sequence[Wire], source: TextSource) -> dict[tuple[str, str], list[TextSpan]]:
    """Group entities by kind and name, in the order of ENTITIES, with all spans of a name."""
    order = [*ENTITIES, *(one["label"] for one in found)]
    places: dict[tuple[str, str], list[TextSpan]] = {}
    for one in sorted(found, key=lambda one: order.index(one["label"])):
        (span,) = spans(one)
        places.setdefault((kind(one["label"]), " ".join(span.of(source.content.text).split())), []).append(span)
    return places


def _entities(found: Sequence[Wire], cited: html.Cited) -> str:
    rows = [
        (escape(kind), escape(text), cited.marks(where)) for (kind, text), where in _places(found, cited.source).items()
    ]
    return table(("Kind", "Name", "Where"), rows) if rows else none("names")


def _entities_written(found: Sequence[Wire], source: TextSource) -> list[str]:
    return [f"- {kind}: {text}" for kind, text in _places(found, source)]


def _personal(found: Wire, cited: html.Cited) -> str:
    text = f'<div class="stt-document stt-kept" dir="auto">{escape(found["text"])}</div>'
    return (_entities(found["entities"], cited) if found["entities"] else none("personal data")) + text


def _personal_written(found: Wire, source: TextSource) -> list[str]:
    return [found["text"]]


def _sentiment_written(found: Wire, source: TextSource) -> list[str]:
    said = [_line(one, f"{one['score']:+.2f} {one['text']}", source) for one in found["sentences"]]
    return [f"{found['label']}, {scale(found)}", "", *said]


KINDS = {
    "sentiment": AnalysisView("Sentiment", sentiment, _sentiment_written),
    "topics": AnalysisView("Topics", _topics, _topics_written),
    "entities": AnalysisView("Names and numbers", _entities, _entities_written),
    "action_items": AnalysisView("Action items", _actions, _actions_written),
    "questions": AnalysisView("Questions", _questions, _questions_written),
    "pii_redact": AnalysisView("Personal data", _personal, _personal_written),
}
