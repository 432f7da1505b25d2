"""Operations on texts: summarize, analyze, generate and embed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput, TooLarge
from stt_lab.privacy.redaction import Mode, as_analysis, redact
from stt_lab.registry import PROSE, current, operation
from stt_lab.types import Report
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.templates import Template, names, template
from stt_lab.writing.tools import EXACT, Tools
from stt_lab.writing.values import Analysis, Generated, Summary
from stt_lab.writing.writer import writer

MAX_CHARACTERS = 1_000_000  # characters: about 20 hours of speech
MAX_TEXTS = 2048  # per request


@dataclass(frozen=True)
class Embeddings:
    """One vector per text, in the order of the texts."""

    embeddings: tuple[tuple[float, ...], ...]  # unit length
    dimensions: int
    model: str
    tokens: int  # read in all texts


def require_words(text: str) -> str:
    """Return the text. Raises BadInput if it has no letters or digits, TooLarge if it exceeds MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(f"The text has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}. Send it in parts.")
    if not any(map(str.isalnum, text)):
        raise BadInput("The text contains no words. Send text with at least one letter or digit.")
    return text


def require_words_in_each(texts: list[str]) -> list[str]:
    """Return the texts. Raises BadInput for an empty list or an empty text, TooLarge if the limits are exceeded."""
    if not texts:
        raise BadInput("The list of texts is empty. Send at least one text.")
    if len(texts) > MAX_TEXTS:
        raise TooLarge(f"The list has {len(texts):,} texts; the limit is {MAX_TEXTS:,}. Send it in parts.")
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise TooLarge(f"The texts have more than {MAX_CHARACTERS:,} characters in total. Send them in parts.")
    for number, text in enumerate(texts):
        if not text.strip():
            raise BadInput(f"Text {number} is empty. Remove it from the list, or add words.")
    return texts


def as_text_list(value: object) -> object:
    """Parse a text from the command line: a JSON list, or one text per line. Lists stay unchanged."""
    if not isinstance(value, str):
        return value
    try:
        made = json.loads(value)
    except (ValueError, RecursionError):
        made = None
    return made if isinstance(made, list) else [line for line in value.splitlines() if line.strip()]


InputText = Annotated[
    str, AfterValidator(require_words), Field(description="Input text", json_schema_extra={PROSE: True})
]
InputTexts = Annotated[
    list[str],
    BeforeValidator(as_text_list),
    AfterValidator(require_words_in_each),
    Field(description="List of input texts", json_schema_extra={PROSE: True}),
]
WriterModel = Annotated[
    str, Field(description="Model: `auto` (best installed), `extractive` (no language model), or a model id")
]
# `bullets` is the name in the hosted API's SDK
StyleName = Literal["brief", "detailed", "action_items", "bullet_points", "bullets"]


@operation("POST", "/v1/summarize", scope="text")
def summarize(
    text: InputText,
    style: Annotated[StyleName, Field(description="Style of the summary; `bullets` means `bullet_points`")] = "brief",
    model: WriterModel = AUTO,
) -> Summary:
    """Summarize a text. Every statement links to the passages that support it.

    With a language model, the summary is rewritten in its own words, and unsupported statements are dropped. Without
    one, the summary consists of sentences of the text; English sentences lose leading fillers such as "So, um,".
    """
    return writer(tools(), model).summarize(SourceText(text), "bullet_points" if style == "bullets" else style)


AnalysisName = Literal["sentiment", "topics", "entities", "action_items", "questions", "pii_redact", "pii"]
AnalysisChoice = Annotated[AnalysisName, Field(description="What to find; `pii` means `pii_redact`")]
RedactionMode = Annotated[
    Mode,
    Field(description="How pii_redact replaces personal data: `mark` ([PERSON]), `mask` (█, same length) or `hash`"),
]
DocumentType = Annotated[
    str, Field(description=f"Type of document: {', '.join(names())}, or a template of this server")
]
DocumentPrompt = Annotated[str, Field(max_length=2000, description="What the document should focus on")]


@operation("POST", "/v1/analyze", scope="text")
def analyze(
    text: InputText,
    type: AnalysisChoice,
    mode: RedactionMode = "mark",
    model: WriterModel = AUTO,
) -> Analysis:
    """Find sentiment, topics, entities, action items, questions or personal data in a text.

    The form of `result` depends on `type`. Spans count characters: `text[start:end]`.

    sentiment: `label` and `score` (-1 to 1), for the text and for each of its `sentences`. topics: a list of `topic`,
    `score` and `spans`. entities: a list of `text`, `label` (OntoNotes: PERSON, ORG, GPE, DATE, MONEY ...), `start` and
    `end`. action_items: a list of `text`, `owner`, `due` and `span`. questions: a list of `text`, `span` and
    `answered`; a request to do something is an action item. pii_redact: `text` without personal data, and `entities`
    with `label`, `start`, `end` and `score`; fails if no installed model can search the text.

    Without a language model, topics work in every language, the other types in English.
    """
    if type == "pii_redact" or type == "pii":  # comparisons that mypy can narrow
        return as_analysis(tools(), redact(tools(), text, mode), text)
    return writer(tools(), model).analyze(SourceText(text), type)


@operation("POST", "/v1/generate", scope="text")
def generate(
    text: InputText,
    type: DocumentType,
    prompt: DocumentPrompt = "",
    model: WriterModel = AUTO,
) -> Generated:
    """Write a document about a text. `content` is Markdown; `items` are its parts with their source passages.

    Items of flashcards have `question` and `answer`, items of a quiz also `options`. Items of chapter_markers have
    `title` and `start` (characters; seconds in a transcript), items of key_quotes `quote` (verbatim) and `speaker`.

    Without a language model, the document consists of sentences of the text, arranged by the template. A prompt then
    favors sentences close to its meaning.
    """
    return writer(tools(), model).generate(SourceText(text), template_of(type), prompt)


def template_of(type: str) -> Template:
    """Return the template of a document type: from the server's own folder first, then the built-in ones."""
    return template(type, current().runtime.settings.templates_dir)


@operation("POST", "/v1/embed", scope="text")
def embed(
    texts: InputTexts,
    model: Annotated[
        str, Field(description="Model: `all-MiniLM-L6-v2`, or its 8-bit variant `all-MiniLM-L6-v2-int8`")
    ] = EXACT,
) -> Embeddings:
    """Turn texts into vectors of unit length: the closer two meanings, the larger the dot product.

    Only the first 256 tokens of each text count, about 200 words.
    """
    pool = current().runtime.pool
    chosen, _ = pool.resolve("embed", model)
    vectors, tokens = pool.work(chosen, "embed_counted", current().report, texts=tuple(texts))
    rows = tuple(tuple(row) for row in vectors.tolist())
    return Embeddings(rows, vectors.shape[1], chosen.id, tokens)


def tools(report: Report | None = None) -> Tools:
    """Return the text engines for the running operation; `report` receives progress instead of the operation's own
    report."""
    return Tools(current().runtime.pool, report or current().report)
