"""Operations on a stored transcript: summarize, analyze, generate, chat and translate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, AliasChoices, Field

from stt_lab.documents import ExportFormat
from stt_lab.engines.pool import AUTO
from stt_lab.operations.library import PATH, Id, exported
from stt_lab.operations.text import (
    AnalysisChoice,
    DocumentPrompt,
    DocumentType,
    RedactionMode,
    StyleName,
    WriterModel,
    require_words,
    template_of,
    tools,
)
from stt_lab.operations.translation import TargetLanguage, TranslatorModel, translate_all
from stt_lab.privacy.redaction import Mode, as_analysis, redact_stored
from stt_lab.recall.values import ChatAnswer
from stt_lab.registry import current, operation
from stt_lab.translation import translated_transcript
from stt_lab.translation.languages import language
from stt_lab.types import File
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.templates import Template
from stt_lab.writing.values import Analysis, Generated, Style, Summary
from stt_lab.writing.writer import Writer

if TYPE_CHECKING:
    from stt_lab.library import Library

T = TypeVar("T")

MAX_QUESTION = 2000  # characters

Force = Annotated[bool, Field(description="Make a new result even if one is stored")]
ChatQuestion = Annotated[
    str,
    Field(
        max_length=MAX_QUESTION,
        description="Question about the transcript; HTTP also accepts `message`",
        validation_alias=AliasChoices("question", "message"),
    ),
    AfterValidator(require_words),
]


@operation("POST", f"{PATH}/{{id}}/summarize/", scope="library", heavy=True)
def summarize_transcript(
    id: Id,
    style: Annotated[StyleName, Field(description="Style of the summary; `bullets` means `bullet_points`")] = "brief",
    model: WriterModel = AUTO,
    force: Force = False,
) -> Summary:
    """Summarize a transcript. Every statement links to the segments that support it.

    The result is stored and returned again until the text or a speaker's name changes, or until `force` requests a new
    one.
    """
    chosen: Style = "bullet_points" if style == "bullets" else style
    wanted = {"operation": "summarize", "style": chosen, "model": model}
    return _made(id, wanted, Summary, lambda who, source: who.summarize(source, chosen), force)


@operation("POST", f"{PATH}/{{id}}/analyze/", scope="library", heavy=True)
def analyze_transcript(
    id: Id, type: AnalysisChoice, mode: RedactionMode = "mark", model: WriterModel = AUTO, force: Force = False
) -> Analysis:
    """Find sentiment, topics, entities, action items, questions or personal data in a transcript.

    `result` has the form that `analyze` returns; beside each span stand `sources` (segment numbers) and `start_time`
    (seconds). The result is stored and returned again until the text or a speaker's name changes, or until `force`
    requests a new one.
    """
    wanted = {"operation": "analyze", "type": type, "model": model}
    if type == "pii_redact" or type == "pii":  # comparisons that mypy can narrow
        wanted |= {"type": "pii_redact", "mode": mode}
        return _made(id, wanted, Analysis, lambda _, source: _located(_hidden(id, mode), source), force)
    return _made(id, wanted, Analysis, lambda who, source: _located(who.analyze(source, type), source), force)


@operation("POST", f"{PATH}/{{id}}/generate/", scope="library", heavy=True)
def generate_transcript(
    id: Id, type: DocumentType, prompt: DocumentPrompt = "", model: WriterModel = AUTO, force: Force = False
) -> Generated:
    """Write a document about a transcript. Items have `sources` (segment numbers) and `start_time` (seconds).

    `start` of chapter_markers is in seconds. The result is stored and returned again until the text, a speaker's name
    or the template changes, or until `force` requests a new one.
    """
    kind = template_of(type)
    wanted = {"operation": "generate", "type": kind.name, "blocks": repr(kind.blocks), "prompt": prompt, "model": model}
    return _made(id, wanted, Generated, lambda who, source: _document(who, source, kind, prompt), force)


@operation("POST", f"{PATH}/{{id}}/chat/", scope="library", heavy=True)
def chat_transcript(
    id: Id,
    question: ChatQuestion,
    session_id: Annotated[
        str, Field(max_length=60, description="Session id of an earlier answer, for a follow-up question")
    ] = "",
    model: WriterModel = AUTO,
) -> ChatAnswer:
    """Ask a question about a transcript. The answer cites the segments that support it, or says that there is none.

    Send the `session_id` of an earlier answer to ask a follow-up question. Without a language model, the answer quotes
    the passages closest to the question.
    """
    from stt_lab.recall.chat import ask  # slow to import

    number = _library().get(_account(), id).id
    return ask(_library(), tools(), _account(), number, question, session_id, model)


@operation("POST", f"{PATH}/{{id}}/translate/", scope="library", replayable=False, heavy=True)
def translate_transcript(
    id: Id,
    target: TargetLanguage,
    source: Annotated[
        str, Field(description="Language of the transcript: `auto` (as detected), a code or a name")
    ] = AUTO,
    format: Annotated[ExportFormat, Field(description="File format")] = "txt",
    model: TranslatorModel = AUTO,
) -> File:
    """Translate a transcript into another language, segment by segment, and return it as a file with speakers and
    times."""
    stored = _library().get(_account(), id)
    transcript = _library().transcript(_account(), stored.id)
    spoken = transcript.language or AUTO if source == AUTO else source
    made = translate_all([segment.text for segment in transcript.segments], spoken, target, model)
    translated = translated_transcript(transcript, [one.translated_text for one in made], language(target).code)
    file = exported(translated, format, stored.title, stored.created)
    name = f"transcript-{stored.id}-{translated.language}{file.suffix}"
    warnings = dict.fromkeys(warning for one in made for warning in one.warnings)
    return File(name, file.media_type, file.chunks, (*warnings, *file.warnings))


def _located(made: Analysis, source: SourceText) -> Analysis:
    from stt_lab.recall.results import located  # slow to import

    return replace(made, result=located(made.result, source))


def _hidden(id: str, mode: Mode) -> Analysis:
    """Redact the transcript's text, and report when each piece of personal data was spoken (seconds)."""
    transcript = _library().transcript(_account(), _library().get(_account(), id).id)
    return as_analysis(tools(), redact_stored(tools(), transcript, mode), transcript.text)


def _document(writer: Writer, source: SourceText, kind: Template, prompt: str) -> Generated:
    from stt_lab.recall.results import located  # slow to import

    made = writer.generate(source, kind, prompt)
    return replace(made, items=tuple(located(made.items, source)))


def _made(id: str, wanted: dict[str, str], kind: type[T], make: Callable[[Writer, SourceText], T], force: bool) -> T:
    """Return the stored result for these parameters, or make and store it."""
    from stt_lab.recall.results import made  # slow to import

    number = _library().get(_account(), id).id
    return made(_library(), tools(), _account(), number, wanted, kind, make, force)


def _library() -> Library:
    return current().runtime.library


def _account() -> int:
    return current().caller.account_id
