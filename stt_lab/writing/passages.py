"""Passages of a script, and which of them a question is about: by words, by ranks of several searches. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from stt_lab.text.words import rarity, telling
from stt_lab.writing import fillers as spoken
from stt_lab.writing.source_text import SegmentSpan, SourceText

SIZE = 100  # words of a passage, about: MiniLM reads 256 tokens, some 200 words
SHARED = 0.5  # of a passage that is also in the next one, so that what belongs together stands together somewhere
SMOOTH = 60  # of reciprocal rank fusion: how little the first ranks stand out
SATURATION, LENGTHS = 1.2, 0.5  # of BM25: how fast a repeated word stops counting, how much long passages pay

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Passage:
    """Segments that follow each other."""

    first: int  # order of a segment
    last: int  # inclusive

    def shares(self, other: Passage) -> float:
        """How much of the shorter one is in both, 0 to 1."""
        both = min(self.last, other.last) - max(self.first, other.first) + 1
        return max(0, both) / (min(self.last - self.first, other.last - other.first) + 1)


def passages(source: SourceText) -> tuple[Passage, ...]:
    """The segments of a transcript in stretches that overlap; every segment with words is in one."""
    spoke = [part.order for part in source.segments if part.end > part.start]
    sums = [0, *accumulate(spoken.words(source.segments[order].of(source.text)) for order in spoke)]
    found, first = [], 0  # of those that spoke
    while first < len(spoke):
        last = max(first, bisect_right(sums, sums[first] + SIZE) - 2)
        found.append(Passage(spoke[first], spoke[last]))
        if last + 1 == len(spoke):
            break
        shared = sums[first] + (sums[last + 1] - sums[first]) * (1 - SHARED)
        first = max(first + 1, bisect_right(sums, shared) - 1)
    return tuple(found)


def said(source: SourceText, passage: Passage) -> str:
    """A passage as it is read: with a name where another one begins to speak."""
    return " ".join(_said(source, source.segments[passage.first : passage.last + 1]))


def _said(source: SourceText, parts: Sequence[SegmentSpan]) -> Iterator[str]:
    before = None
    for part in parts:
        text = part.of(source.text)
        yield f"{part.speaker}: {text}" if part.speaker and part.speaker != before else text
        before = part.speaker


# By words


def by_words(question: str, texts: Sequence[str]) -> list[float]:
    """How well the words of each text match a question: BM25 (Robertson and Zaragoza 2009)."""
    wanted = set(telling(question))
    counts = [Counter(telling(text)) for text in texts]
    lengths = [max(1, sum(count.values())) for count in counts]
    average = sum(lengths) / max(1, len(lengths))
    worth = {word: rarity(sum(word in count for count in counts), len(texts)) for word in wanted}
    return [
        sum(worth[word] * _weight(count[word], length / average) for word in wanted if word in count)
        for count, length in zip(counts, lengths, strict=True)
    ]


def _weight(count: int, length: float) -> float:
    """Of a word that is so often in a text, whose length is this multiple of the average."""
    return count * (SATURATION + 1) / (count + SATURATION * (1 - LENGTHS + LENGTHS * length))


# Several rankings


def ranked(scores: Sequence[float], least: float = 0.0) -> list[int]:
    """Positions of the scores above `least`, best first; of equals the earlier."""
    return sorted((i for i, score in enumerate(scores) if score > least), key=lambda i: -scores[i])


def fused(*rankings: tuple[float, Iterable[Key]]) -> dict[Key, float]:
    """Rankings with their weights as one, best first: reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
    scores: dict[Key, float] = {}
    for weight, ranking in rankings:
        for rank, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + weight / (SMOOTH + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def apart(order: Iterable[int], all_passages: Sequence[Passage], most: int, share: float = SHARED) -> list[int]:
    """The first of an order that have hardly anything in common with those before them."""
    chosen: list[int] = []
    for number in order:
        if all(all_passages[number].shares(all_passages[other]) <= share for other in chosen):
            chosen.append(number)
        if len(chosen) == most:
            break
    return chosen
