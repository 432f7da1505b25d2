"""The writer that needs no language model: it finds, ranks and arranges sentences of the text.

It is deterministic, and the default without a language model. Sentences lose line breaks; English ones also lose
leading fillers ("So, um,").
"""

from __future__ import annotations

from dataclasses import replace

from stt_lab.writing.analyses import analysis
from stt_lab.writing.annotated_text import AnnotatedText
from stt_lab.writing.answers import answer
from stt_lab.writing.documents import document, how_to_have_it_written
from stt_lab.writing.material import Material
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.summaries import summary
from stt_lab.writing.templates import Template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, Answer, Generated, Question, Style, Summary


class ExtractiveWriter:
    """A `Writer` without a language model."""

    model = EXTRACTIVE

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    def summarize(self, source: SourceText, style: Style) -> Summary:
        return summary(AnnotatedText(source, self.tools), style)

    def analyze(self, source: SourceText, type: AnalysisType) -> Analysis:
        return analysis(AnnotatedText(source, self.tools), type)

    def generate(self, source: SourceText, template: Template, prompt: str) -> Generated:
        """Write a document; a prompt favors sentences close to its meaning."""
        made = document(Material(AnnotatedText(source, self.tools), prompt), template)
        return replace(made, warnings=(*made.warnings, *how_to_have_it_written(template, self.tools.pool)))

    def answer(self, source: SourceText, question: Question) -> Answer:
        return answer(self.tools, source, question)
