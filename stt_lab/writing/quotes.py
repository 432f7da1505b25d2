"""Find the places of a text that come closest to a question: segments, each with the reply if it asks something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stt_lab.errors import ModelMissing
from stt_lab.text.words import rarity, telling
from stt_lab.types import TextSpan
from stt_lab.writing.source_text import SegmentSpan, SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Question

LOOKED_AT = 4  # passages that are searched for quotes
BY_WORDS = 0.5  # weight of matching words, against 1 for similar meaning


@dataclass(frozen=True)
class QuoteCandidate:
    """A segment that may be quoted, together with the reply if it is a question."""

    parts: tuple[SegmentSpan, ...]
    score: float  # cosine to the question, plus its share of matching words times BY_WORDS

    @property
    def span(self) -> TextSpan:
        return TextSpan(self.parts[0].start, self.parts[-1].end)


def places(tools: Tools, source: SourceText, question: Question) -> list[QuoteCandidate]:
    """Return the segments of the best passages, best first; no segment twice."""
    orders = dict.fromkeys(
        part.order for span in question.passages[:LOOKED_AT] for part in source.segments if _inside(part, span)
    )
    candidates = [_with_reply(source, order) for order in orders]
    texts = [" ".join(part.of(source.text) for part in parts) for parts in candidates]
    phrasings = question.phrasings
    matches = [_matches(phrasing, texts) for phrasing in phrasings]
    scores = [
        near + BY_WORDS * sum(match) / len(phrasings)
        for near, *match in zip(_nearness(tools, phrasings, texts), *matches, strict=True)
    ]
    ranked = sorted(zip(candidates, scores, strict=True), key=lambda pair: -pair[1])
    used: set[int] = set()
    found = []
    for parts, score in ranked:
        if used.isdisjoint(part.order for part in parts):
            found.append(QuoteCandidate(parts, score))
            used |= {part.order for part in parts}
    return found


def asks(source: SourceText, part: SegmentSpan) -> bool:
    """Return whether a segment ends with a question mark."""
    return part.of(source.text).rstrip().endswith(("?", "？", "؟"))


def _inside(part: SegmentSpan, span: TextSpan) -> bool:
    return part.start < part.end and span.start <= part.start and part.end <= span.end


def _with_reply(source: SourceText, order: int) -> tuple[SegmentSpan, ...]:
    part = source.segments[order]
    return source.segments[order : order + 2] if asks(source, part) else (part,)


def _nearness(tools: Tools, phrasings: Sequence[str], texts: Sequence[str]) -> list[float]:
    """Return the cosine of each text to the question, averaged over its phrasings."""
    try:
        vectors = tools.embed([*phrasings, *texts])
    except ModelMissing:  # only words are compared
        return [0.0] * len(texts)
    return [float(score) for score in vectors[len(phrasings) :] @ vectors[: len(phrasings)].mean(axis=0)]


def _matches(query: str, texts: Sequence[str]) -> list[float]:
    """Return the share (0 to 1) of the words of a question in each text; rare words weigh more."""
    wanted, found = set(telling(query)), [set(telling(text)) for text in texts]
    worth = {word: rarity(sum(word in each for each in found), len(found)) for word in wanted}
    total = sum(worth.values())
    return [sum(worth[word] for word in wanted & each) / total if total else 0.0 for each in found]
