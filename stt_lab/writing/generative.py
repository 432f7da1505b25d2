"""The writer that has a language model: it says things in its own words, and everything that it says is checked.

Long texts are read by sections. A statement that its lines do not bear out is left out; where nothing is left, or where
a language model adds nothing, the text's own sentences do the work, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from stt_lab.errors import ModelMissing
from stt_lab.weights.catalog import Model
from stt_lab.writing import llm_analyses as findings
from stt_lab.writing.actions import Action
from stt_lab.writing.analyses import rows
from stt_lab.writing.answerability import asks_the_silent
from stt_lab.writing.answers import REFUSED
from stt_lab.writing.cards import Card
from stt_lab.writing.documents import document
from stt_lab.writing.extractive import Extractive
from stt_lab.writing.material import Material
from stt_lab.writing.questions import Question as Asked
from stt_lab.writing.reading import Reading, Sentence, Told
from stt_lab.writing.scribe import Scribe, spread
from stt_lab.writing.script import Script
from stt_lab.writing.summaries import arranged, listed
from stt_lab.writing.templates import Template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, Answer, Generated, Question, Style, Summary

MOST = {"brief": 4, "bullet_points": 8}  # statements of a summary; a detailed one has some for each sheet
WORDS = 20  # of a statement, about
BY_GRAMMAR = ("entities", "sentiment")  # what a parser and a lexicon find of every sentence, a model of some
INSTEAD = "The language model wrote nothing that the text bears out: this is what the text's own sentences give."
NOT_SAID = "That is not in this transcript."

Made = TypeVar("Made", Summary, Analysis, Answer)


class Generative:
    """A `Writer`."""

    def __init__(self, tools: Tools, model: Model) -> None:
        self.tools, self._model = tools, model
        self.model = model.id
        self._extractive = Extractive(tools)

    def _scribe(self, script: Script, wish: str = "") -> Scribe:
        return Scribe(Reading(script, self.tools), self._model, wish)

    def summarize(self, script: Script, style: Style) -> Summary:
        scribe = self._scribe(script)
        if style == "action_items":
            made = listed(scribe.reading, findings.actions(scribe), self.model)
        else:
            groups = scribe.reports() if style == "detailed" else [scribe.brief(MOST[style])]
            made = arranged(scribe.reading, style, list(filter(None, groups)), self.model)
        return _checked(scribe, made, lambda: self._extractive.summarize(script, style))

    def analyze(self, script: Script, type: AnalysisType) -> Analysis:
        scribe = self._scribe(script)
        by_grammar = type in BY_GRAMMAR and self.tools.parser(scribe.reading.language) is not None
        if by_grammar or type not in findings.FINDERS:
            return self._extractive.analyze(script, type)
        found = findings.FINDERS[type](scribe)
        made = Analysis(type, self.model, rows(scribe.reading, type, found))
        return _checked(scribe, made, lambda: self._extractive.analyze(script, type))

    def generate(self, script: Script, template: Template, prompt: str) -> Generated:
        """A prompt is told to the model, and draws towards sentences that mean what it means."""
        scribe = self._scribe(script, prompt)
        made = document(Retold(scribe), template)
        instead = (INSTEAD,) if scribe.failing else ()
        author = self.model if scribe.kept else EXTRACTIVE
        return replace(made, model=author, warnings=(*made.warnings, *instead, *scribe.warnings()))

    def answer(self, script: Script, question: Question) -> Answer:
        """From the passages alone. A language model puts anybody's words into the mouth of who did not speak."""
        if asks_the_silent(self.tools, script, question.query):
            return Answer(REFUSED, False, EXTRACTIVE, ())
        scribe = self._scribe(script)
        told = findings.answer(scribe, question)
        made = Answer(told.text, True, self.model, told.spans) if told else Answer(NOT_SAID, False, self.model, ())
        return _checked(scribe, made, lambda: self._extractive.answer(script, question))


def _checked(scribe: Scribe, made: Made, instead: Callable[[], Made]) -> Made:
    """What the model made; where nothing of it holds, what the text alone gives, if its language allows that."""
    if scribe.failing:
        with suppress(ModelMissing):
            made = instead()
            made = replace(made, warnings=(*made.warnings, INSTEAD))
    return replace(made, warnings=(*made.warnings, *scribe.warnings()))


class Retold(Material):
    """Material in a language model's words, as far as the text bears them out; everything else is the text's own."""

    def __init__(self, scribe: Scribe) -> None:
        super().__init__(scribe.reading, scribe.wish)
        self.scribe = scribe

    @property
    def lacking(self) -> frozenset[str]:
        return super().lacking - {"actions", "open"}

    @cached_property
    def told(self) -> list[Told]:
        """Statements about all parts of the text."""
        return [one for part in self.scribe.reports() for one in part]

    def sentences(self, budget: int, among: range | None = None) -> list[Sentence]:
        most = max(1, budget // WORDS)
        if among is None:
            return list(self.scribe.shortened(self.told, most)) or super().sentences(budget)
        return list(spread([one for one in self.told if one.number in among], most)) or super().sentences(budget, among)

    def points(self, most: int) -> list[Sentence]:
        return list(self.scribe.shortened(self.told, most)) or super().points(most)

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        found = findings.actions(self.scribe)
        return super().actions if self.grammar and not found else found

    @cached_property
    def open(self) -> tuple[Asked, ...]:
        if self.grammar:
            return super().open
        return tuple(one for one in findings.questions(self.scribe) if not one.answered)

    def cards(self, most: int) -> tuple[Card, ...]:
        return findings.cards(self.scribe, most)
