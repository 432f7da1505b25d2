"""Analyses by the extractive writer, in the form of the API: plain values, spans as {"start", "end"}."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stt_lab.types import TextSpan
from stt_lab.writing.actions import actions
from stt_lab.writing.moods import label, moods
from stt_lab.writing.phrases import phrases
from stt_lab.writing.questions import questions
from stt_lab.writing.reading import Reading, parsed
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, as_dict

TOPICS = 10
Item = dict[str, Any]


def analysis(reading: Reading, type: AnalysisType) -> Analysis:
    """Raises ModelMissing where the language needs a parser that is not here."""
    return Analysis(type, EXTRACTIVE, _ANALYSES[type](reading))


def _cited(reading: Reading, item: Item, spans: Iterable[TextSpan]) -> Item:
    """With the segments that it was said in, of a transcript."""
    return item | ({"sources": list(reading.script.sources(spans))} if reading.script.parts else {})


def _sentiment(reading: Reading) -> Item:
    found = moods(parsed(reading, "sentiment"))
    score = round(sum(one.score for one in found) / max(1, len(found)), 4)
    rows = [
        _cited(reading, {"text": one.text, **as_dict(one), "label": one.label, "score": one.score}, [one])
        for one in found
    ]
    return {"label": label(score), "score": score, "sentences": rows}


def _topics(reading: Reading) -> list[Item]:
    return [
        _cited(reading, {"topic": one.text, "score": one.score, "spans": list(map(as_dict, one.spans))}, one.spans)
        for one in phrases(reading, most=TOPICS)
    ]


def _entities(reading: Reading) -> list[Item]:
    return [
        _cited(reading, {"text": one.text, "label": one.label, **as_dict(one)}, [one])
        for one in parsed(reading, "entities").named
    ]


def _action_items(reading: Reading) -> list[Item]:
    return [
        _cited(reading, {"text": one.text, "owner": one.owner, "due": one.due, "span": as_dict(one.span)}, [one.span])
        for one in actions(parsed(reading, "action items"))
    ]


def _questions(reading: Reading) -> list[Item]:
    return [
        _cited(reading, {"text": one.text, "span": as_dict(one.span), "answered": one.answered}, [one.span])
        for one in questions(parsed(reading, "questions"))
    ]


_ANALYSES: dict[str, Callable[[Reading], Any]] = {
    "sentiment": _sentiment,
    "topics": _topics,
    "entities": _entities,
    "action_items": _action_items,
    "questions": _questions,
}
