"""Operations on texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput, TooLarge
from stt_lab.privacy.redaction import Mode, analysed, redact
from stt_lab.registry import PROSE, current, operation
from stt_lab.types import Report
from stt_lab.writing.script import Script
from stt_lab.writing.templates import Template, names, template
from stt_lab.writing.tools import EXACT, Tools
from stt_lab.writing.values import Analysis, Generated, Summary
from stt_lab.writing.writer import writer

LONGEST = 1_000_000  # characters: what is said in some 20 hours
MOST_TEXTS = 2048  # at once


@dataclass(frozen=True)
class Embeddings:
    embeddings: tuple[tuple[float, ...], ...]  # of unit length
    dimensions: int
    model: str


def worded(text: str) -> str:
    """The text itself. Raises BadInput for one without words, TooLarge for one that is too long."""
    if len(text) > LONGEST:
        raise TooLarge(f"The text has {len(text):,} characters: send at most {LONGEST:,} at once, in parts.")
    if not any(map(str.isalnum, text)):
        raise BadInput("There are no words in the text: send at least one.")
    return text


def worded_each(texts: list[str]) -> list[str]:
    if not texts:
        raise BadInput("There are no texts: send a list with at least one.")
    if len(texts) > MOST_TEXTS:
        raise TooLarge(f"There are {len(texts):,} texts: send at most {MOST_TEXTS:,} at once.")
    if sum(map(len, texts)) > LONGEST:
        raise TooLarge(f"The texts have more than {LONGEST:,} characters together: send them in parts.")
    for number, text in enumerate(texts):
        if not text.strip():
            raise BadInput(f"Text {number} is empty: leave it out, or write something into it.")
    return texts


def split(value: object) -> object:
    """A list, or on a command line its JSON, or a text a line."""
    if not isinstance(value, str):
        return value
    try:
        made = json.loads(value)
    except (ValueError, RecursionError):
        made = None
    return made if isinstance(made, list) else [line for line in value.splitlines() if line.strip()]


Prose = Annotated[str, AfterValidator(worded), Field(description="text to work on", json_schema_extra={PROSE: True})]
Texts = Annotated[
    list[str],
    BeforeValidator(split),
    AfterValidator(worded_each),
    Field(description="texts to work on", json_schema_extra={PROSE: True}),
]
Writing = Annotated[
    str, Field(description="who writes: auto (the best that is here), extractive, or a language model by its id")
]
# The last one is what the hosted API's SDK says
StyleName = Literal["brief", "detailed", "action_items", "bullet_points", "bullets"]


@operation("POST", "/v1/summarize", scope="text")
def summarize(
    text: Prose,
    style: Annotated[StyleName, Field(description="kind of summary; bullets is bullet_points")] = "brief",
    model: Writing = AUTO,
) -> Summary:
    """Say in short what a text says; each statement carries the spans of the text that it rests on.

    A language model says it in its own words; what those spans do not bear out is left out. The extractive writer,
    which needs none, chooses sentences of the text itself; in front of an English one it leaves fillers out.
    """
    return writer(tools(), model).summarize(Script(text), "bullet_points" if style == "bullets" else style)


AnalysisName = Literal["sentiment", "topics", "entities", "action_items", "questions", "pii_redact", "pii"]
Analysing = Annotated[AnalysisName, Field(description="what to look for; pii is pii_redact")]
Hiding = Annotated[Mode, Field(description="of pii_redact: [PERSON], as many blocks as characters, or a hash a value")]
Kind = Annotated[str, Field(description=f"kind of document: {', '.join(names())}, or a template of this server")]
Prompt = Annotated[str, Field(max_length=2000, description="what it should be about, or be like")]


@operation("POST", "/v1/analyze", scope="text")
def analyze(
    text: Prose,
    type: Analysing,
    mode: Hiding = "mark",
    model: Writing = AUTO,
) -> Analysis:
    """Find out what is in a text. `result` depends on the type; spans are characters, `text[start:end]`.

    sentiment: `label`, `score` (-1 to 1), and the same of each of `sentences`. topics: a list with `topic`, `score` and
    `spans`. entities: `text`, `label` (as in OntoNotes: PERSON, ORG, GPE, DATE, MONEY ...), `start` and `end`.
    action_items: `text`, `owner`, `due` and `span`. questions: `text`, `span` and `answered`; requests to do something
    are action items instead. pii_redact: `text` without personal data, and `entities` with `label`, `start`, `end` and
    `score`; where it cannot be looked for, that is an error. The extractive writer knows topics in every language, the
    others in English.
    """
    if type == "pii_redact" or type == "pii":  # which mypy understands
        return analysed(tools(), redact(tools(), text, mode), text)
    return writer(tools(), model).analyze(Script(text), type)


@operation("POST", "/v1/generate", scope="text")
def generate(
    text: Prose,
    type: Kind,
    prompt: Prompt = "",
    model: Writing = AUTO,
) -> Generated:
    """Write a document about a text: Markdown as `content`, and its parts as `items` with the spans they rest on.

    Items of flashcards have `question` and `answer`, those of a quiz `options` too; chapter_markers have `start` (a
    character, of a transcript seconds) and `title`, key_quotes `quote` (verbatim) and `speaker`. The extractive writer
    arranges sentences of the text as a template says; a prompt draws it towards sentences that mean the same.
    """
    return writer(tools(), model).generate(Script(text), template_of(type), prompt)


def template_of(type: str) -> Template:
    """Of ours, or of this server's own."""
    return template(type, current().runtime.settings.templates_dir)


@operation("POST", "/v1/embed", scope="text")
def embed(
    texts: Texts,
    model: Annotated[str, Field(description="all-MiniLM-L6-v2, or its 8-bit variant")] = EXACT,
) -> Embeddings:
    """Turn texts into vectors of unit length: the nearer two meanings, the larger the scalar product.

    Of a text the first 256 tokens count, some 200 words.
    """
    pool = current().runtime.pool
    chosen, _ = pool.resolve("embed", model)
    vectors = pool.work(chosen, "embed", current().report, texts=tuple(texts))
    rows = tuple(tuple(row) for row in vectors.tolist())
    return Embeddings(rows, vectors.shape[1], chosen.id)


def tools(report: Report | None = None) -> Tools:
    """The engines that read, for the running operation."""
    return Tools(current().runtime.pool, report or current().report)
