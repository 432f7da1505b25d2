"""Rate the sentiment of sentences: Hutto and Gilbert 2014, "VADER". English."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from stt_lab.types import TextSpan
from stt_lab.writing.annotated_text import AnnotatedText

Label = Literal["positive", "neutral", "negative"]
NEUTRAL = 0.05  # scores below it are neutral, as VADER's authors recommend


@dataclass(frozen=True)
class SentenceSentiment(TextSpan):
    """The sentiment of one sentence."""

    text: str
    label: Label
    score: float  # -1 to 1


@lru_cache
def _analyser() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def label(score: float) -> Label:
    """Return the label of a score."""
    return "neutral" if abs(score) < NEUTRAL else "positive" if score > 0 else "negative"


def sentence_sentiments(annotated: AnnotatedText) -> tuple[SentenceSentiment, ...]:
    """Rate every sentence."""
    return tuple(_sentence_sentiment(one.start, one.end, one.text) for one in annotated.sentences)


def _sentence_sentiment(start: int, end: int, text: str) -> SentenceSentiment:
    score = round(float(_analyser().polarity_scores(text)["compound"]), 4)
    return SentenceSentiment(start, end, text, label(score), score)


def intensity(text: str) -> float:
    """Return the strength of the sentiment of a text, 0 to 1, positive or negative."""
    return abs(float(_analyser().polarity_scores(text)["compound"]))
