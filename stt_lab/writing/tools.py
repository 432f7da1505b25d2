"""The text engines as functions: parse, embed, translate, and language models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import Message
from stt_lab.text.sentences import sentences
from stt_lab.types import Event, Parsed, Report
from stt_lab.weights import catalog

if TYPE_CHECKING:
    from stt_lab.engines.protocols import Vectors

FAST = "all-MiniLM-L6-v2-int8"  # exact enough to compare sentences with each other
EXACT = "all-MiniLM-L6-v2"
SENTENCES = 32  # sentences per batch, so that other requests get their turn


@dataclass(frozen=True)
class Tools:
    """The engines for one request. Each call waits for its turn, and may raise Cancelled."""

    pool: Pool
    report: Report

    def parser(self, language: str | None) -> catalog.Model | None:
        """Return the installed parser of a language; model ids begin with the language, as spaCy names its
        pipelines."""
        return next((model for model in self.pool.available("parse") if model.id.split("_")[0] == language), None)

    def parse(self, text: str, language: str | None) -> Parsed:
        """Parse a text; without a parser for its language, only split it into sentences. Raises ModelMissing for
        English without a parser."""
        model = self.parser(language) or (self.pool.best("parse") if language == "en" else None)
        if model is None:
            return Parsed(language, sentences(text, language))
        parsed: Parsed = self.pool.work(model, "parse", self.report, text=text)
        return parsed

    @property
    def embedder(self) -> catalog.Model:
        """The faster installed variant of the embedder."""
        here = {model.id: model for model in self.pool.available("embed")}
        return here.get(FAST) or self.pool.best("embed")

    def embed(self, texts: Iterable[str]) -> Vectors:
        """Return vectors of unit length; shape (texts, 384)."""
        vectors: Vectors = self.pool.work(self.embedder, "embed", self.report, texts=tuple(texts))
        return vectors

    def translate(
        self, model: catalog.Model, texts: Sequence[str], source: str | None, target: str, again: bool = False
    ) -> list[str]:
        """Translate each sentence (see `protocols.Translator`), and report progress over all of them."""
        made: list[str] = []
        for start in range(0, len(texts), SENTENCES):
            part = tuple(texts[start : start + SENTENCES])
            report = _scaled(self.report, start / len(texts), len(part) / len(texts))
            languages = {"source": source, "target": target}
            made += self.pool.work(model, "translate", report, texts=part, again=again, **languages)
        return made

    def count(self, model: catalog.Model, texts: Iterable[str]) -> tuple[int, ...]:
        """Count the tokens of each text for a language model."""
        counts: tuple[int, ...] = self.pool.work(model, "count", self.report, texts=tuple(texts))
        return counts

    def complete(
        self,
        model: catalog.Model,
        messages: tuple[Message, ...],
        schema: Mapping[str, Any] | None,
        most: int,
        report: Report,
    ) -> Any:
        """Return a language model's answer of at most `most` tokens: JSON of the schema, or plain text. Raises
        BadAnswer."""
        said = self.pool.work(model, "complete", report, messages=messages, schema=schema, most=most)
        return said if schema is None else json.loads(said)

    def answerable(self, question: str, passages: Iterable[str]) -> float | None:
        """Return by how much (in logits) the best answer of the passages is likelier than none; None without an
        installed reader or passages."""
        model, texts = next(self.pool.available("read"), None), tuple(passages)
        if model is None or not texts:
            return None
        scores: tuple[float, ...] = self.pool.work(model, "answerable", self.report, question=question, passages=texts)
        return max(scores)

    def likelihoods(
        self, model: catalog.Model, messages: tuple[Message, ...], words: tuple[str, ...], report: Report
    ) -> tuple[float, ...]:
        """Return the probability that a language model's answer begins with each word; () if that is not known."""
        found: tuple[float, ...] = self.pool.work(model, "likelihoods", report, messages=messages, words=words)
        return found


def _scaled(report: Report, done: float, share: float) -> Report:
    """Return a report for one part of the work: it starts at `done` and covers `share`."""

    def scaled(event: Event) -> None:
        if event.stage == "translating":
            event = replace(event, fraction=done + share * event.fraction)
        report(event)

    return scaled
