"""Turn findings into the JSON form of the API, with spans as {"start", "end"}; analyses of the extractive writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stt_lab.types import Entity, TextSpan
from stt_lab.writing.actions import Action, actions
from stt_lab.writing.annotated_text import AnnotatedText, parsed
from stt_lab.writing.phrases import Phrase, phrases
from stt_lab.writing.questions import AskedQuestion, questions
from stt_lab.writing.sentiment import SentenceSentiment, label, sentence_sentiments
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, as_dict

TOPICS = 10
Item = dict[str, Any]


def analysis(annotated: AnnotatedText, type: AnalysisType) -> Analysis:
    """Analyze a text. Raises ModelMissing if the analysis needs a parser for a language that has none."""
    return Analysis(type, EXTRACTIVE, rows(annotated, type, _FINDERS[type](annotated)))


_FINDERS: dict[str, Callable[[AnnotatedText], Sequence[Any]]] = {
    "sentiment": lambda annotated: sentence_sentiments(parsed(annotated, "sentiment")),
    "topics": lambda annotated: phrases(annotated, most=TOPICS),
    "entities": lambda annotated: parsed(annotated, "entities").named,
    "action_items": lambda annotated: actions(parsed(annotated, "action items")),
    "questions": lambda annotated: questions(parsed(annotated, "questions")),
}


def rows(annotated: AnnotatedText, type: AnalysisType, found: Sequence[Any]) -> Any:
    """Return findings in the JSON form of the API."""
    return _ROWS[type](annotated, found)


def _cited(annotated: AnnotatedText, item: Item, spans: Iterable[TextSpan]) -> Item:
    """Add the segment numbers of a transcript as `sources`."""
    return item | ({"sources": list(annotated.source.segment_orders(spans))} if annotated.source.segments else {})


def _sentiment(annotated: AnnotatedText, found: Sequence[SentenceSentiment]) -> Item:
    score = round(sum(one.score for one in found) / max(1, len(found)), 4)
    sentences = [
        _cited(annotated, {"text": one.text, **as_dict(one), "label": one.label, "score": one.score}, [one])
        for one in found
    ]
    return {"label": label(score), "score": score, "sentences": sentences}


def _topics(annotated: AnnotatedText, found: Sequence[Phrase]) -> list[Item]:
    return [
        _cited(annotated, {"topic": one.text, "score": one.score, "spans": list(map(as_dict, one.spans))}, one.spans)
        for one in found
    ]


def _entities(annotated: AnnotatedText, found: Sequence[Entity]) -> list[Item]:
    return [_cited(annotated, {"text": one.text, "label": one.label, **as_dict(one)}, [one]) for one in found]


def _action_items(annotated: AnnotatedText, found: Sequence[Action]) -> list[Item]:
    return [
        _cited(annotated, {"text": one.text, "owner": one.owner, "due": one.due, "span": as_dict(one.span)}, [one.span])
        for one in found
    ]


def _questions(annotated: AnnotatedText, found: Sequence[AskedQuestion]) -> list[Item]:
    return [
        _cited(annotated, {"text": one.text, "span": as_dict(one.span), "answered": one.answered}, [one.span])
        for one in found
    ]


_ROWS: dict[str, Callable[[AnnotatedText, Any], Any]] = {
    "sentiment": _sentiment,
    "topics": _topics,
    "entities": _entities,
    "action_items": _action_items,
    "questions": _questions,
}
