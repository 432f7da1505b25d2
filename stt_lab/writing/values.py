"""What is made of a text. Spans are in characters of it, sources are the `segment_order` of a stored transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from stt_lab.types import TextSpan

Style = Literal["brief", "detailed", "action_items", "bullet_points"]
AnalysisType = Literal["sentiment", "topics", "entities", "action_items", "questions", "pii_redact"]
EXTRACTIVE = "extractive"  # as `model`: no language model wrote this


def as_dict(span: TextSpan) -> dict[str, int]:
    """A stretch as the API writes it."""
    return {"start": span.start, "end": span.end}


@dataclass(frozen=True)
class Statement:
    """A sentence that was written, and what in the text it rests on."""

    text: str
    spans: tuple[TextSpan, ...]
    sources: tuple[int, ...] = ()


@dataclass(frozen=True)
class Summary:
    summary: str
    style: Style
    model: str  # what wrote it
    statements: tuple[Statement, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """`result` is a list or an object, by its type; plain values, spans as {"start", "end"}."""

    type: AnalysisType
    model: str
    result: Any
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """A document in Markdown, and the same as `items`."""

    type: str  # a name of writing/templates
    model: str
    content: str
    items: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...] = ()


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
    """What somebody asks about a text, and where the text may answer it."""

    text: str
    query: str  # the question behind those that it refers to
    passages: tuple[TextSpan, ...]  # of the text, the most likely first
    scores: tuple[float, ...]  # of the passages, 0 to 1
    history: tuple[tuple[str, str], ...] = ()  # earlier questions with their answers, the last one last

    @property
    def phrasings(self) -> tuple[str, ...]:
        """How it may be meant: alone, and behind those before it."""
        return tuple(dict.fromkeys((self.text, self.query)))


@dataclass(frozen=True)
class Answer:
    """`spans` are what it rests on; () when `found` is false: the text does not say it."""

    answer: str
    found: bool
    model: str
    spans: tuple[TextSpan, ...]
    warnings: tuple[str, ...] = ()
