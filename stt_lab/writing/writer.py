"""Writers: find the one for a model name."""

from __future__ import annotations

from typing import Protocol

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput, ModelMissing
from stt_lab.extras import command
from stt_lab.weights import catalog
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.templates import Template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Analysis, AnalysisType, Answer, Generated, Question, Style, Summary


class Writer(Protocol):
    """Writes about a text; every result carries the spans that support it."""

    model: str  # id that results report

    def summarize(self, source: SourceText, style: Style) -> Summary: ...

    def analyze(self, source: SourceText, type: AnalysisType) -> Analysis: ...

    def generate(self, source: SourceText, template: Template, prompt: str) -> Generated: ...

    def answer(self, source: SourceText, question: Question) -> Answer: ...


def writer(tools: Tools, model: str, answers: bool = False) -> Writer:
    """Return the writer of that name, `auto` for the best one here, which may be another one for answers.

    Raises BadInput for an unknown name, ModelMissing for a model that is not installed.
    """
    from stt_lab.writing.extractive import ExtractiveWriter  # numpy
    from stt_lab.writing.generative import LlmWriter

    here = {one.id: one for one in tools.pool.available("write")}
    able = (one for one in here.values() if not one.for_tests and (answers or not one.answers_only))
    chosen = next(able, None) if model == AUTO else here.get(model)
    if chosen is not None:
        return LlmWriter(tools, chosen)
    if model in (AUTO, EXTRACTIVE):
        return ExtractiveWriter(tools)
    known = {one.id: one for one in catalog.models("write")}
    if model in known:
        raise _absent(known[model])
    others = (one.id for one in (*here.values(), *known.values()) if not one.for_tests)
    names = ", ".join(dict.fromkeys((AUTO, EXTRACTIVE, *others)))
    raise BadInput(f"The model {model[:40]!r} cannot write about texts. Use one of {names}.")


def _absent(model: catalog.Model) -> ModelMissing:
    how = f"`stt-lab models pull {model.id}`"
    if catalog.uninstalled(model):
        how = f"{command('llm')} and {how}"
    return ModelMissing(f"The model '{model.id}' is not installed. Install it on the server with {how}.")
