"""The writer that uses a language model: it rephrases, and every statement is checked against the text.

Long texts are read in sections. Statements that their lines do not support are dropped. If none remain, or a language
model adds nothing, the extractive writer answers, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from stt_lab.cached import cached
from stt_lab.errors import ModelMissing
from stt_lab.weights.catalog import Model
from stt_lab.writing import llm_analyses
from stt_lab.writing.actions import Action
from stt_lab.writing.analyses import rows
from stt_lab.writing.annotated_text import AnnotatedText, GroundedStatement, Sentence
from stt_lab.writing.answerability import asks_the_silent, signs
from stt_lab.writing.answers import REFUSED
from stt_lab.writing.documents import document
from stt_lab.writing.extractive import ExtractiveWriter
from stt_lab.writing.llm_reader import LlmReader, spread
from stt_lab.writing.material import Material
from stt_lab.writing.questions import AskedQuestion
from stt_lab.writing.quotes import places
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.summaries import arranged, listed
from stt_lab.writing.templates import Template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, Answer, Card, Generated, Question, Style, Summary

MOST = {"brief": 4, "bullet_points": 8}  # statements of a summary; a detailed one has several per chunk
WORDS = 20  # words of a statement, about
BY_GRAMMAR = ("entities", "sentiment")  # a parser and a lexicon cover every sentence, a model only some
INSTEAD = "The text supports none of the language model's statements. This result uses sentences of the text instead."
NOT_SAID = "This transcript does not answer that."

Made = TypeVar("Made", Summary, Analysis, Answer)


class LlmWriter:
    """A `Writer` with a language model."""

    def __init__(self, tools: Tools, model: Model) -> None:
        self.tools, self._model = tools, model
        self.model = model.id
        self._extractive = ExtractiveWriter(tools)

    def _reader(self, source: SourceText, instruction: str = "") -> LlmReader:
        return LlmReader(AnnotatedText(source, self.tools), self._model, instruction)

    def summarize(self, source: SourceText, style: Style) -> Summary:
        reader = self._reader(source)
        if style == "action_items":
            made = listed(reader.annotated, llm_analyses.actions(reader), self.model)
        else:
            groups = reader.reports() if style == "detailed" else [reader.brief(MOST[style])]
            made = arranged(reader.annotated, style, list(filter(None, groups)), self.model)
        return _checked(reader, made, lambda: self._extractive.summarize(source, style))

    def analyze(self, source: SourceText, type: AnalysisType) -> Analysis:
        reader = self._reader(source)
        by_grammar = type in BY_GRAMMAR and self.tools.parser(reader.annotated.language) is not None
        if by_grammar or type not in llm_analyses.FINDERS:
            return self._extractive.analyze(source, type)
        found = llm_analyses.FINDERS[type](reader)
        made = Analysis(type, self.model, rows(reader.annotated, type, found))
        return _checked(reader, made, lambda: self._extractive.analyze(source, type))

    def generate(self, source: SourceText, template: Template, prompt: str) -> Generated:
        """Write a document. The model reads the prompt; the extractive parts favor sentences close to its meaning."""
        reader = self._reader(source, prompt)
        made = document(LlmMaterial(reader), template)
        instead = (INSTEAD,) if reader.failing else ()
        author = self.model if reader.kept else EXTRACTIVE
        title = template.called(written=bool(reader.kept))
        return replace(made, model=author, title=title, warnings=(*made.warnings, *instead, *reader.warnings()))

    def answer(self, source: SourceText, question: Question) -> Answer:
        """Answer from the passages alone. Refuse first if the question is about somebody who does not speak: a language
        model would attribute other people's words to that person."""
        if asks_the_silent(self.tools, source, question.query):
            return Answer(REFUSED, False, EXTRACTIVE, ())
        reader = self._reader(source)
        found = llm_analyses.answer(reader, question, self._doubtful(source, question))
        made = Answer(found.text, True, self.model, found.spans) if found else Answer(NOT_SAID, False, self.model, ())
        return _checked(reader, made, lambda: self._extractive.answer(source, question))

    def _doubtful(self, source: SourceText, question: Question) -> bool:
        """Return whether there are signs that the text does not answer a question, for a model that can weigh them."""
        if not self._model.yes_least:
            return False
        return signs(self.tools, source, question, places(self.tools, source, question)).missing


def _checked(reader: LlmReader, made: Made, instead: Callable[[], Made]) -> Made:
    """Return the model's result; if no statement holds, the extractive one, if the language allows it."""
    if reader.failing:
        with suppress(ModelMissing):
            made = instead()
            made = replace(made, warnings=(*made.warnings, INSTEAD))
    return replace(made, warnings=(*made.warnings, *reader.warnings()))


class LlmMaterial(Material):
    """Material in a language model's words where the text supports them; otherwise the text's own sentences."""

    def __init__(self, reader: LlmReader) -> None:
        super().__init__(reader.annotated, reader.instruction)
        self.reader = reader

    @property
    def lacking(self) -> frozenset[str]:
        return super().lacking - {"actions", "open"}

    @cached
    def statements(self) -> list[GroundedStatement]:
        """Statements about all parts of the text."""
        return [one for part in self.reader.reports() for one in part]

    def sentences(self, budget: int, among: range | None = None) -> list[Sentence]:
        most = max(1, budget // WORDS)
        if among is None:
            return list(self.reader.shortened(self.statements, most)) or super().sentences(budget)
        return list(spread([one for one in self.statements if one.number in among], most)) or super().sentences(
            budget, among
        )

    def points(self, most: int) -> list[Sentence]:
        return list(self.reader.shortened(self.statements, most)) or super().points(most)

    @cached
    def actions(self) -> tuple[Action, ...]:
        found = llm_analyses.actions(self.reader)
        return super().actions if self.grammar and not found else found

    @cached
    def open(self) -> tuple[AskedQuestion, ...]:
        if self.grammar:
            return super().open
        return tuple(one for one in llm_analyses.questions(self.reader) if not one.answered)

    def cards(self, most: int) -> tuple[Card, ...]:
        return llm_analyses.cards(self.reader, most)
