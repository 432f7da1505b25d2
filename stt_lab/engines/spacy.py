"""spaCy pipelines: tokens with grammar, and named entities.

Sentences end where `text.sentences` says; only unpunctuated text, as some recognisers write, is split by the parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stt_lab.engines.long_words import LongWords
from stt_lab.engines.protocols import EngineSpec
from stt_lab.text.sentences import sentences
from stt_lab.types import Entity, Event, Parsed, Report, TextSpan, Token

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

LONG = 60  # words from which the parser may split a sentence
KEPT = 200_000  # characters up to which a parse is cached for the next request about the same text
BLOCK = 5_000  # characters that are parsed at once


class SpacyParser:
    """A `Parser` in the folder of a spaCy pipeline."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.languages: tuple[str, ...] = ()
        self._nlp: Language | None = None
        self._last: tuple[str, Parsed] | None = None

    def load(self) -> None:
        import spacy
        from spacy.util import registry

        # Components of other packages would be imported now, presidio's with all of transformers: 11 s for nothing
        registry._entry_point_factories.entry_points = False
        self._nlp = spacy.load(self.spec.folder)
        self._nlp.tokenizer = LongWords(self._nlp.tokenizer, self._nlp.vocab)
        self.languages = (self._nlp.lang,)

    def unload(self) -> None:
        self._nlp = self._last = None

    def parse(self, text: str, report: Report) -> Parsed:
        if self._nlp is None:
            self.load()
        assert self._nlp is not None
        spans: list[TextSpan] = []
        tokens: list[Token] = []
        entities: list[Entity] = []
        report(Event("reading", 0.0))
        if self._last and self._last[0] == text:
            report(Event("reading", 1.0))
            return self._last[1]
        for block in _blocks(sentences(text, self.languages[0])):
            start, end, first = block[0].start, block[-1].end, len(tokens)
            doc = self._read(text[start:end], [span.start - start for span in block], block)
            spans += (TextSpan(start + one.start_char, start + one.end_char) for one in _trimmed(doc.sents))
            entities += (_entity(one, start) for one in doc.ents)
            tokens += (_token(one, start, first) for one in doc)
            report(Event("reading", end / len(text)))
        made = Parsed(self.languages[0], tuple(spans), tuple(tokens), tuple(entities))
        self._last = (text, made) if len(text) <= KEPT else None
        return made

    def _read(self, text: str, starts: list[int], block: list[TextSpan]) -> Doc:
        """Parse a block whose sentences begin at the given positions."""
        assert self._nlp is not None
        doc = self._nlp.make_doc(text)
        known = set(starts)
        long = [
            (at, at + span.end - span.start) for at, span in zip(starts, block, strict=True) if _is_long(span, text, at)
        ]
        for token in doc:
            if token.idx in known:
                token.is_sent_start = True
            elif not any(begin < token.idx < end for begin, end in long):
                token.is_sent_start = False
        return self._nlp(doc)


def _is_long(span: TextSpan, text: str, at: int) -> bool:
    return len(text[at : at + span.end - span.start].split()) > LONG


def _blocks(spans: tuple[TextSpan, ...]) -> Iterator[list[TextSpan]]:
    block: list[TextSpan] = []
    for span in spans:
        if block and span.end - block[0].start > BLOCK:
            yield block
            block = []
        block.append(span)
    if block:
        yield block


def _trimmed(found: Any) -> Iterator[Any]:
    """Yield sentences without white-space tokens at their ends."""
    for one in found:
        first, last = 0, len(one)
        while first < last and one[first].is_space:
            first += 1
        while last > first and one[last - 1].is_space:
            last -= 1
        if last > first:
            yield one[first:last]


def _entity(found: Any, start: int) -> Entity:
    return Entity(start + found.start_char, start + found.end_char, found.text, found.label_)


def _token(token: Any, start: int, first: int) -> Token:
    begin = start + token.idx
    grammar = (token.lemma_, token.pos_, token.tag_, token.dep_)
    return Token(begin, begin + len(token.text), *grammar, first + token.head.i, token.is_stop)
