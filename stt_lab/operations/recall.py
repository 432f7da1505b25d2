"""Operations on what a stored transcript says: it is summarised, analysed, written about, asked and translated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, AliasChoices, Field

from stt_lab.documents import ExportFormat, export
from stt_lab.engines.pool import AUTO
from stt_lab.operations.library import PATH, Id
from stt_lab.operations.text import Analysing, Hiding, Kind, Prompt, StyleName, Writing, template_of, tools, worded
from stt_lab.operations.translation import Target, Translating, translate_all
from stt_lab.privacy.redaction import Mode, analysed, redact_stored
from stt_lab.recall.values import ChatAnswer
from stt_lab.registry import current, operation
from stt_lab.translation import translated_transcript
from stt_lab.translation.languages import language
from stt_lab.types import File
from stt_lab.writing.script import Script
from stt_lab.writing.templates import Template
from stt_lab.writing.values import Analysis, Generated, Style, Summary
from stt_lab.writing.writer import Writer

if TYPE_CHECKING:
    from stt_lab.library import Library

T = TypeVar("T")

LONGEST_QUESTION = 2000  # characters

Force = Annotated[bool, Field(description="make it anew, also when it was made before")]
Asking = Annotated[
    str,
    Field(
        max_length=LONGEST_QUESTION,
        description="what you want to know; on HTTP also `message`",
        validation_alias=AliasChoices("question", "message"),
    ),
    AfterValidator(worded),
]


@operation("POST", f"{PATH}/{{id}}/summarize/", scope="library")
def summarize_transcript(
    id: Id,
    style: Annotated[StyleName, Field(description="kind of summary; bullets is bullet_points")] = "brief",
    model: Writing = AUTO,
    force: Force = False,
) -> Summary:
    """Say in short what a transcript says; statements carry the segments that they rest on.

    It is kept and given again, until the text or a speaker's name changes, or `force` asks for a new one.
    """
    chosen: Style = "bullet_points" if style == "bullets" else style
    wanted = {"operation": "summarize", "style": chosen, "model": model}
    return _made(id, wanted, Summary, lambda who, script: who.summarize(script, chosen), force)


@operation("POST", f"{PATH}/{{id}}/analyze/", scope="library")
def analyze_transcript(
    id: Id, type: Analysing, mode: Hiding = "mark", model: Writing = AUTO, force: Force = False
) -> Analysis:
    """Find out what is in a transcript; beside each span of its text stand `sources`, the segments, and `start_time`.

    `result` is that of `analyze`. It is kept and given again, until the text or a speaker's name changes, or `force`
    asks for a new one.
    """
    wanted = {"operation": "analyze", "type": type, "model": model}
    if type == "pii_redact" or type == "pii":  # which mypy understands
        wanted |= {"type": "pii_redact", "mode": mode}
        return _made(id, wanted, Analysis, lambda _, script: _located(_hidden(id, mode), script), force)
    return _made(id, wanted, Analysis, lambda who, script: _located(who.analyze(script, type), script), force)


@operation("POST", f"{PATH}/{{id}}/generate/", scope="library")
def generate_transcript(
    id: Id, type: Kind, prompt: Prompt = "", model: Writing = AUTO, force: Force = False
) -> Generated:
    """Write a document about a transcript; its items have `sources`, the segments, and `start_time`.

    `start` of chapter_markers is in seconds. It is kept and given again, until the text, a speaker's name or the
    template changes, or `force` asks for a new one.
    """
    kind = template_of(type)
    wanted = {"operation": "generate", "type": kind.name, "blocks": repr(kind.blocks), "prompt": prompt, "model": model}
    return _made(id, wanted, Generated, lambda who, script: _document(who, script, kind, prompt), force)


@operation("POST", f"{PATH}/{{id}}/chat/", scope="library")
def chat_transcript(
    id: Id,
    question: Asking,
    session_id: Annotated[str, Field(max_length=60, description="of an earlier answer, to go on from it")] = "",
    model: Writing = AUTO,
) -> ChatAnswer:
    """Ask a transcript a question; the answer names the segments that it rests on, or says that it is not in there.

    With the `session_id` of an answer the next question may refer to it. Without a language model the answer is what
    comes nearest in the transcript, word for word.
    """
    from stt_lab.recall.chat import ask  # slow to import

    number = _library().get(_account(), id).id
    return ask(_library(), tools(), _account(), number, question, session_id, model)


@operation("POST", f"{PATH}/{{id}}/translate/", scope="library", replayable=False)
def translate_transcript(
    id: Id,
    target: Target,
    source: Annotated[
        str, Field(description="language of the transcript: auto (as it was heard), a code or a name")
    ] = AUTO,
    format: Annotated[ExportFormat, Field(description="of the file")] = "txt",
    model: Translating = AUTO,
) -> File:
    """Give a transcript in another language, as a file: segment by segment, with its speakers and times."""
    stored = _library().get(_account(), id)
    transcript = _library().transcript(_account(), stored.id)
    spoken = transcript.language or AUTO if source == AUTO else source
    made = translate_all([segment.text for segment in transcript.segments], spoken, target, model)
    told = translated_transcript(transcript, [one.translated_text for one in made], language(target).code)
    file = export(told, format, stored.title, stored.created)
    name = f"transcript-{stored.id}-{told.language}{file.suffix}"
    warnings = dict.fromkeys(warning for one in made for warning in one.warnings)
    return File(name, file.media_type, file.chunks, (*warnings, *file.warnings))


def _located(made: Analysis, script: Script) -> Analysis:
    from stt_lab.recall.making import located  # slow to import

    return replace(made, result=located(made.result, script))


def _hidden(id: str, mode: Mode) -> Analysis:
    """A transcript without personal data, and when that was said."""
    transcript = _library().transcript(_account(), _library().get(_account(), id).id)
    return analysed(tools(), redact_stored(tools(), transcript, mode), transcript.text)


def _document(writer: Writer, script: Script, kind: Template, prompt: str) -> Generated:
    from stt_lab.recall.making import located  # slow to import

    made = writer.generate(script, kind, prompt)
    return replace(made, items=tuple(located(made.items, script)))


def _made(id: str, wanted: dict[str, str], kind: type[T], make: Callable[[Writer, Script], T], force: bool) -> T:
    """What was made of a transcript before, or is made now."""
    from stt_lab.recall.making import made  # slow to import

    number = _library().get(_account(), id).id
    return made(_library(), tools(), _account(), number, wanted, kind, make, force)


def _library() -> Library:
    return current().runtime.library


def _account() -> int:
    return current().caller.account_id
