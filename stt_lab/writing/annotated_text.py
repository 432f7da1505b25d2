"""A text with annotations: sentences, speakers, grammar and vectors."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from stt_lab.cached import cached
from stt_lab.errors import ModelMissing
from stt_lab.text.sentences import label_name, labels, language_of, sentences
from stt_lab.types import Entity, Parsed, TextSpan, Token
from stt_lab.writing.names import tidied
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools

if TYPE_CHECKING:
    from stt_lab.engines.protocols import Vectors

LONG = 60  # words from which an unpunctuated sentence is cut further


@dataclass(frozen=True)
class Sentence(TextSpan):
    """A sentence of one speaker."""

    number: int  # from 0
    text: str
    speaker: str | None = None

    @property
    def cited(self) -> tuple[Sentence, ...]:
        """Return the supporting sentences: the sentence itself."""
        return (self,)

    @property
    def spans(self) -> tuple[TextSpan, ...]:
        """Return the spans of the cited sentences."""
        return tuple(TextSpan(one.start, one.end) for one in self.cited)


@dataclass(frozen=True)
class GroundedStatement(Sentence):
    """A statement about sentences of the text, in their place: its span covers the first to the last."""

    origins: tuple[Sentence, ...] = ()

    @classmethod
    def about(cls, text: str, origins: tuple[Sentence, ...]) -> GroundedStatement:
        """Make a statement about one or more sentences, given in order."""
        return cls(origins[0].start, origins[-1].end, origins[0].number, text, None, origins)

    @property
    def cited(self) -> tuple[Sentence, ...]:
        return self.origins

    @property
    def said(self) -> str:
        """All text that may support the statement: the cited sentences with their speakers."""
        return " ".join(f"{one.speaker or ''} {one.text}" for one in self.origins)


class AnnotatedText:
    """A text whose annotations are computed on first use: a summary needs no grammar, names need no vectors."""

    def __init__(self, source: SourceText, tools: Tools) -> None:
        self.source, self.tools, self.text = source, tools, source.text
        self.language = source.language or language_of(source.text) or "en"  # default for a text without letters

    @cached
    def parsed(self) -> Parsed:
        return self.tools.parse(self.text, self.language)

    @cached
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences, each of one speaker, without speaker labels."""
        spans = self._spans
        if any(len(span.of(self.text).split()) > LONG for span in spans):
            spans = self.parsed.sentences
        cut = [piece for span in spans for piece in pieces(self.text, span, self._cuts)]
        return tuple(
            Sentence(one.start, one.end, number, one.of(self.text), self._speaker(one.start))
            for number, one in enumerate(cut)
        )

    @cached
    def _spans(self) -> tuple[TextSpan, ...]:
        """Sentences by punctuation; long ones of a transcript are cut at its segments."""
        starts = [TextSpan(part.start, part.start) for part in self.source.segments]
        return tuple(
            piece
            for span in sentences(self.text, self.language)
            for piece in (pieces(self.text, span, starts) if len(span.of(self.text).split()) > LONG else (span,))
        )

    @cached
    def _labels(self) -> tuple[TextSpan, ...]:
        return () if self.source.segments else labels(self.text)

    @cached
    def _cuts(self) -> list[TextSpan]:
        """Where the speaker changes: an empty span, or the speaker label."""
        changes = (second for first, second in pairwise(self.source.segments) if first.speaker != second.speaker)
        return [*self._labels, *(TextSpan(part.start, part.start) for part in changes)]

    def _speaker(self, offset: int) -> str | None:
        part = self.source.part(offset)
        if part is not None:
            return part.speaker
        place = bisect_right(self._labels, offset, key=lambda label: label.start) - 1
        return label_name(self._labels[place].of(self.text)) if place >= 0 else None

    @cached
    def speakers(self) -> tuple[str, ...]:
        """Speakers in the order in which they first speak."""
        return tuple(dict.fromkeys(one.speaker for one in self.sentences if one.speaker))

    @cached
    def vectors(self) -> Vectors:
        """Vectors of the sentences; shape (sentences, 384)."""
        return self.tools.embed(one.text for one in self.sentences)

    def tokens(self, span: TextSpan) -> tuple[Token, ...]:
        """Return the tokens in a span; () without a parser for the language."""
        return self.parsed.tokens[slice(*self.places(span))]

    def places(self, span: TextSpan) -> tuple[int, int]:
        """Return the positions of the first token in a span, and after the last."""
        tokens = self.parsed.tokens
        first = bisect_left(tokens, span.start, key=lambda token: token.start)
        return first, bisect_left(tokens, span.end, lo=first, key=lambda token: token.start)

    @cached
    def named(self) -> tuple[Entity, ...]:
        """Names, dates and amounts in the whole text."""
        return tidied(self.text, self.parsed.entities, self.speakers)

    def entities(self, span: TextSpan) -> tuple[Entity, ...]:
        """Return the entities that begin in a span."""
        found = self.named
        first = bisect_left(found, span.start, key=lambda entity: entity.start)
        return found[first : bisect_left(found, span.end, lo=first, key=lambda entity: entity.start)]


def pieces(text: str, span: TextSpan, cuts: list[TextSpan]) -> Iterator[TextSpan]:
    """Yield the parts of a span between cuts, without surrounding white space."""
    first = bisect_left(cuts, span.start, key=lambda cut: cut.start)
    inside = cuts[first : bisect_left(cuts, span.end, lo=first, key=lambda cut: cut.start)]
    edges = [span.start, *(edge for cut in inside for edge in (cut.start, cut.end)), span.end]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        part = text[start:end]
        if part.strip():
            yield TextSpan(start + len(part) - len(part.lstrip()), start + len(part.rstrip()))


def parsed(annotated: AnnotatedText, what: str) -> AnnotatedText:
    """Return the text itself. Raises ModelMissing if no parser for its language is installed; `what` names the
    analysis."""
    if annotated.tools.parser(annotated.language) is None and annotated.language != "en":
        known = sorted({model.id.split("_")[0] for model in annotated.tools.pool.available("parse")})
        raise ModelMissing(
            f"Without a language model, {what} can be found only in {' and '.join(known) or 'no language'}; this text "
            f"is in '{annotated.language}'. Set `model` to a language model."
        )
    return annotated
