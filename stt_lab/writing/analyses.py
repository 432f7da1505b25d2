"""Analyses in the form of the API: plain values, spans as {"start", "end"}; and what the extractive writer finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stt_lab.types import Entity, TextSpan
from stt_lab.writing.actions import Action, actions
from stt_lab.writing.phrases import Phrase, phrases
from stt_lab.writing.questions import Question, questions
from stt_lab.writing.reading import Reading, parsed
from stt_lab.writing.sentiment import Mood, label, moods
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, as_dict

TOPICS = 10
Item = dict[str, Any]


def analysis(reading: Reading, type: AnalysisType) -> Analysis:
    """Raises ModelMissing where the language needs a parser that is not here."""
    return Analysis(type, EXTRACTIVE, rows(reading, type, _FINDERS[type](reading)))


_FINDERS: dict[str, Callable[[Reading], Sequence[Any]]] = {
    "sentiment": lambda reading: moods(parsed(reading, "sentiment")),
    "topics": lambda reading: phrases(reading, most=TOPICS),
    "entities": lambda reading: parsed(reading, "entities").named,
    "action_items": lambda reading: actions(parsed(reading, "action items")),
    "questions": lambda reading: questions(parsed(reading, "questions")),
}


def rows(reading: Reading, type: AnalysisType, found: Sequence[Any]) -> Any:
    """What was found, as the API writes it."""
    return _ROWS[type](reading, found)


def _cited(reading: Reading, item: Item, spans: Iterable[TextSpan]) -> Item:
    """With the segments that it was said in, of a transcript."""
    return item | ({"sources": list(reading.script.sources(spans))} if reading.script.parts else {})


def _sentiment(reading: Reading, found: Sequence[Mood]) -> Item:
    score = round(sum(one.score for one in found) / max(1, len(found)), 4)
    sentences = [
        _cited(reading, {"text": one.text, **as_dict(one), "label": one.label, "score": one.score}, [one])
        for one in found
    ]
    return {"label": label(score), "score": score, "sentences": sentences}


def _topics(reading: Reading, found: Sequence[Phrase]) -> list[Item]:
    return [
        _cited(reading, {"topic": one.text, "score": one.score, "spans": list(map(as_dict, one.spans))}, one.spans)
        for one in found
    ]


def _entities(reading: Reading, found: Sequence[Entity]) -> list[Item]:
    return [_cited(reading, {"text": one.text, "label": one.label, **as_dict(one)}, [one]) for one in found]


def _action_items(reading: Reading, found: Sequence[Action]) -> list[Item]:
    return [
        _cited(reading, {"text": one.text, "owner": one.owner, "due": one.due, "span": as_dict(one.span)}, [one.span])
        for one in found
    ]


def _questions(reading: Reading, found: Sequence[Question]) -> list[Item]:
    return [
        _cited(reading, {"text": one.text, "span": as_dict(one.span), "answered": one.answered}, [one.span])
        for one in found
    ]


_ROWS: dict[str, Callable[[Reading, Any], Any]] = {
    "sentiment": _sentiment,
    "topics": _topics,
    "entities": _entities,
    "action_items": _action_items,
    "questions": _questions,
}
