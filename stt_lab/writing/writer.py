"""Who writes about a text: a language model, or the text's own sentences."""

from __future__ import annotations

from typing import Protocol

from stt_lab.errors import BadInput
from stt_lab.writing.script import Script
from stt_lab.writing.templates import Template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, Answer, Generated, Question, Style, Summary

AUTO = "auto"  # the best that is here


class Writer(Protocol):
    """What each of them can do; whatever is made carries the spans that it rests on."""

    model: str  # what wrote it, as answers say

    def summarize(self, script: Script, style: Style) -> Summary: ...

    def analyze(self, script: Script, type: AnalysisType) -> Analysis: ...

    def generate(self, script: Script, template: Template, prompt: str) -> Generated: ...

    def answer(self, script: Script, question: Question) -> Answer: ...


def writer(tools: Tools, model: str) -> Writer:
    """The writer of that name. Raises BadInput for another name."""
    from stt_lab.writing.extractive import Extractive  # numpy

    if model in (AUTO, EXTRACTIVE):
        return Extractive(tools)
    raise BadInput(f"Nothing called {model[:40]!r} writes about texts: choose one of {AUTO}, {EXTRACTIVE}.")
