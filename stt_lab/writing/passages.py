"""Split a transcript into passages, and rank passages for a question by words and by several rankings. Pure."""

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

SIZE = 100  # words of a passage, about: MiniLM reads 256 tokens, about 200 words
SHARED = 0.5  # share of a passage that is also in the next one
SMOOTH = 60  # constant of reciprocal rank fusion: larger values flatten the first ranks
SATURATION, LENGTHS = 1.2, 0.5  # parameters of BM25, known as k1 and b

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Passage:
    """Consecutive segments."""

    first: int  # number of the first segment, from 0
    last: int  # number of the last segment, inclusive

    def shares(self, other: Passage) -> float:
        """Return the share of the shorter passage that lies in both, 0 to 1."""
        both = min(self.last, other.last) - max(self.first, other.first) + 1
        return max(0, both) / (min(self.last - self.first, other.last - other.first) + 1)


def passages(source: SourceText) -> tuple[Passage, ...]:
    """Split a transcript into overlapping passages; every segment with words is in one."""
    spoke = [part.order for part in source.segments if part.end > part.start]
    sums = [0, *accumulate(spoken.words(source.segments[order].of(source.text)) for order in spoke)]
    found, first = [], 0  # index into `spoke`
    while first < len(spoke):
        last = max(first, bisect_right(sums, sums[first] + SIZE) - 2)
        found.append(Passage(spoke[first], spoke[last]))
        if last + 1 == len(spoke):
            break
        shared = sums[first] + (sums[last + 1] - sums[first]) * (1 - SHARED)
        first = max(first + 1, bisect_right(sums, shared) - 1)
    return tuple(found)


def said(source: SourceText, passage: Passage) -> str:
    """Return a passage as text, with a name where the speaker changes."""
    return " ".join(_said(source, source.segments[passage.first : passage.last + 1]))


def _said(source: SourceText, parts: Sequence[SegmentSpan]) -> Iterator[str]:
    before = None
    for part in parts:
        text = part.of(source.text)
        yield f"{part.speaker}: {text}" if part.speaker and part.speaker != before else text
        before = part.speaker


# Search by words


def by_words(question: str, texts: Sequence[str]) -> list[float]:
    """Return the BM25 score of each text for a question (Robertson and Zaragoza 2009)."""
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
    """Return the BM25 weight of a word that occurs `count` times in a text of `length` times the average length."""
    return count * (SATURATION + 1) / (count + SATURATION * (1 - LENGTHS + LENGTHS * length))


# Merging rankings


def ranked(scores: Sequence[float], least: float = 0.0) -> list[int]:
    """Return the positions of the scores above `least`, best first; equal scores keep their order."""
    return sorted((i for i, score in enumerate(scores) if score > least), key=lambda i: -scores[i])


def fused(*rankings: tuple[float, Iterable[Key]]) -> dict[Key, float]:
    """Merge weighted rankings into one, best first: reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
    scores: dict[Key, float] = {}
    for weight, ranking in rankings:
        for rank, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + weight / (SMOOTH + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def apart(order: Iterable[int], all_passages: Sequence[Passage], most: int, share: float = SHARED) -> list[int]:
    """Return the first `most` passages of an order that share at most `share` with those already chosen."""
    chosen: list[int] = []
    for number in order:
        if all(all_passages[number].shares(all_passages[other]) <= share for other in chosen):
            chosen.append(number)
        if len(chosen) == most:
            break
    return chosen
