"""Collect the content of documents: ranked sentences, subjects, quotes, action items and questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_lab.cached import cached
from stt_lab.types import TextSpan
from stt_lab.writing.actions import Action, actions
from stt_lab.writing.annotated_text import AnnotatedText, Sentence
from stt_lab.writing.fillers import words
from stt_lab.writing.phrases import Phrase, phrases, titles
from stt_lab.writing.questions import AskedQuestion, questions
from stt_lab.writing.ranking import varied
from stt_lab.writing.sections import sections
from stt_lab.writing.sentiment import intensity
from stt_lab.writing.summaries import best, ranked
from stt_lab.writing.values import Card

if TYPE_CHECKING:
    from stt_lab.writing.ranking import Scores

CHAPTER = 120  # least words per chapter, on average
NEEDS_GRAMMAR = frozenset(["names", "actions", "decisions", "open", "terms"])
PULL = 2.0  # factor that a sentence gains at the meaning of the prompt


@dataclass(frozen=True)
class Chapter(TextSpan):
    """A span about one subject."""

    title: str
    sentences: range
    time: float | None  # seconds, start of the chapter; None for plain text


class Material:
    """The content for a document; each part is computed on first use."""

    def __init__(self, annotated: AnnotatedText, prompt: str = "") -> None:
        self.annotated, self.prompt = annotated, prompt.strip()

    @cached
    def grammar(self) -> bool:
        """Whether a parser for the language is installed."""
        return bool(self.annotated.parsed.tokens)

    @property
    def lacking(self) -> frozenset[str]:
        """Kinds of blocks that this language does not allow."""
        return frozenset() if self.grammar else NEEDS_GRAMMAR

    @cached
    def scores(self) -> Scores:
        """The score of each sentence; a prompt raises sentences close to its meaning."""
        plain = ranked(self.annotated)
        if not self.prompt:
            return plain
        near = self.annotated.vectors @ self.annotated.tools.embed([self.prompt])[0]
        scores: Scores = plain * (1 + PULL * np.maximum(near, 0) / max(float(near.max()), 1e-6))
        return scores

    def chapters(self, most: int) -> tuple[Chapter, ...]:
        """Return where each subject begins; chapters cover the whole text, and the first one starts with it."""
        annotated = self.annotated
        counts = [words(sentence.text) for sentence in annotated.sentences]
        parts = sections(annotated.vectors, counts, max(1, min(most, sum(counts) // CHAPTER)))
        starts = [0, *(annotated.sentences[part.start].start for part in parts[1:])]
        ends = [*starts[1:], len(annotated.text)]
        return tuple(
            Chapter(start, end, title, part, self.time(start))
            for start, end, title, part in zip(starts, ends, titles(annotated, parts), parts, strict=True)
        )

    def time(self, offset: int) -> float | None:
        """Return when a character of a transcript was spoken, in seconds; 0.0 for the first one, None for plain
        text."""
        spoken_at = self.annotated.source.time(offset)
        return spoken_at if spoken_at is None or offset else 0.0

    def sentences(self, budget: int, among: range | None = None) -> list[Sentence]:
        """Return the best sentences of a range, in order, within a budget of words."""
        return best(self.annotated, self.scores, among or range(len(self.annotated.sentences)), budget)

    def points(self, most: int) -> list[Sentence]:
        """Return the best sentences that differ from each other, in order."""
        chosen = varied(self.scores, self.annotated.vectors, most)
        return [self.annotated.sentences[place] for place in sorted(chosen)]

    def quotes(self, most: int) -> list[Sentence]:
        """Return sentences that can stand alone, preferably emotional ones, in order."""
        feeling = np.array([intensity(one.text) for one in self.annotated.sentences], np.float32)
        scores: Scores = (self.scores * (1 + feeling / 2)).astype(np.float32)
        chosen = varied(scores, self.annotated.vectors, most)
        return [self.annotated.sentences[place] for place in sorted(chosen)]

    @cached
    def phrases(self) -> tuple[Phrase, ...]:
        return phrases(self.annotated)

    @cached
    def actions(self) -> tuple[Action, ...]:
        return actions(self.annotated)

    def cards(self, most: int) -> tuple[Card, ...]:
        """Return cards that a language model wrote; none here."""
        return ()

    @cached
    def open(self) -> tuple[AskedQuestion, ...]:
        """Questions that nobody answered."""
        return tuple(one for one in questions(self.annotated) if not one.answered)
