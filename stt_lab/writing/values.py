"""Results of writers. Spans count characters of the text; sources are the `segment_order` of a stored transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from stt_lab.types import TextSpan

Style = Literal["brief", "detailed", "action_items", "bullet_points"]
AnalysisType = Literal["sentiment", "topics", "entities", "action_items", "questions", "pii_redact"]
EXTRACTIVE = "extractive"  # value of `model` if no language model was used


def as_dict(span: TextSpan) -> dict[str, int]:
    """Return a span as the API writes it."""
    return {"start": span.start, "end": span.end}


@dataclass(frozen=True)
class Statement:
    """A sentence of a result, with the spans that support it."""

    text: str
    spans: tuple[TextSpan, ...]
    sources: tuple[int, ...] = ()


@dataclass(frozen=True)
class Summary:
    """A summary, as text and as statements."""

    summary: str
    style: Style
    model: str  # id of the model, or "extractive"
    statements: tuple[Statement, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """`result` is a list or an object, depending on `type`; plain values, with spans as {"start", "end"}."""

    type: AnalysisType
    model: str
    result: Any
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """A document: Markdown in `content`, and the same content as `items`."""

    type: str  # name of a template in writing/templates
    model: str
    content: str
    items: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...] = ()
    title: str = ""  # what it is: "Excerpts for a blog post" without a language model, otherwise "Blog post"


@dataclass(frozen=True)
class Card:
    """A question whose answer is quoted from one sentence: for flashcards and quizzes."""

    question: str
    answer: str
    span: TextSpan  # of the sentence
    kind: str  # of the answer: an entity label, "definition" or "phrase"
    term: str = ""  # the term that a definition explains


@dataclass(frozen=True)
class Question:
    """A question about a text, with the passages that may answer it."""

    text: str
    query: str  # the question, preceded by the ones it refers to
    passages: tuple[TextSpan, ...]  # spans of the text, most likely first
    scores: tuple[float, ...]  # scores of the passages, 0 to 1
    history: tuple[tuple[str, str], ...] = ()  # earlier questions and answers, oldest first

    @property
    def phrasings(self) -> tuple[str, ...]:
        """The ways to read it: alone, and after the earlier questions."""
        return tuple(dict.fromkeys((self.text, self.query)))


@dataclass(frozen=True)
class Answer:
    """An answer with its source spans; () if `found` is false: the text does not answer the question."""

    answer: str
    found: bool
    model: str
    spans: tuple[TextSpan, ...]
    warnings: tuple[str, ...] = ()
