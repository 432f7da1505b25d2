"""Extract key phrases: Grootendorst 2020, "KeyBERT", on noun phrases found by a parser.

Candidates are ranked by similarity to the whole text and by frequency; candidates similar to a chosen one rank lower.
Without a parser, candidates are words that occur repeatedly.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_lab.text import UNSPACED
from stt_lab.types import TextSpan, Token
from stt_lab.writing.annotated_text import AnnotatedText
from stt_lab.writing.english import words
from stt_lab.writing.ranking import varied

if TYPE_CHECKING:
    from stt_lab.engines.protocols import Vectors

MOST_WORDS = 4  # per phrase
CANDIDATES = 200  # candidates that are compared, most frequent first
SAMPLE = 150  # sentences that represent a long text
BALANCE = 0.6  # of MMR: weight of the score against variety
RARE = 0.3  # share of its score that a phrase keeps if it occurs once
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’-](?=\w)){2,}$|[A-Z]{2,}$")
UNNAMED = frozenset(["PERSON", "DATE", "TIME", "CARDINAL", "ORDINAL", "MONEY", "PERCENT", "QUANTITY"])
EMPTY = words("phrases", "empty")  # nouns that name no subject


@dataclass(frozen=True)
class Phrase:
    """A key phrase."""

    text: str
    score: float  # 0 to 1
    spans: tuple[TextSpan, ...]  # every occurrence


def phrases(annotated: AnnotatedText, within: TextSpan | None = None, most: int = 10) -> tuple[Phrase, ...]:
    """Return the key phrases of a text or of a span, best first."""
    whole = within or TextSpan(0, len(annotated.text))
    found = _candidates(annotated, whole)
    keys = sorted(found, key=lambda key: (-len(found[key]), found[key][0].start))[:CANDIDATES]
    if not keys:
        return ()
    shown = [_shown(annotated.text, found[key]) for key in keys]
    vectors = annotated.tools.embed(shown)
    counts = np.log1p(np.array([len(found[key]) for key in keys], np.float32))
    scores = np.maximum(vectors @ _meaning(annotated, whole), 0) * (RARE + (1 - RARE) * counts / counts.max())
    chosen: list[int] = []
    for place in varied(scores, vectors, 2 * most, BALANCE):
        if len(chosen) < most and not any(_same(keys[place], keys[other]) for other in chosen):
            chosen.append(place)
    chosen.sort(key=lambda place: -scores[place])
    return tuple(Phrase(shown[place], round(float(scores[place]), 4), tuple(found[keys[place]])) for place in chosen)


def _same(one: str, other: str) -> bool:
    """Return whether one phrase contains all words of the other."""
    first, second = set(one.split()), set(other.split())
    return first <= second or second <= first


def _shown(text: str, spans: Iterable[TextSpan]) -> str:
    """Return the most frequent spelling, on one line."""
    forms = Counter(" ".join(span.of(text).split()) for span in spans)
    return max(forms, key=lambda form: (forms[form], form.islower(), -len(form)))


def _meaning(annotated: AnnotatedText, whole: TextSpan) -> Vectors:
    """Return the vector of a span: the mean of its sentences, for long spans of a sample."""
    inside = [one for one in annotated.sentences if whole.start <= one.start < whole.end] or list(annotated.sentences)
    step = max(1, len(inside) // SAMPLE)
    mean = annotated.tools.embed(one.text for one in inside[::step]).mean(axis=0)
    made: Vectors = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return made


# Candidates: a key for all forms of a phrase -> its occurrences


def _candidates(annotated: AnnotatedText, whole: TextSpan) -> dict[str, list[TextSpan]]:
    found: dict[str, list[TextSpan]] = defaultdict(list)
    spoken = {part.lower() for name in annotated.speakers for part in name.split()}
    pairs = _nouns(annotated, whole) if annotated.parsed.tokens else _repeated(annotated.text, whole)
    for key, span in pairs:
        if not set(key.split()) & spoken:
            found[key].append(span)
    return found


def _nouns(annotated: AnnotatedText, whole: TextSpan) -> Iterator[tuple[str, TextSpan]]:
    """Yield nouns with the adjectives and nouns before them; no names of people, times or amounts."""
    skipped = [one for one in annotated.entities(whole) if one.label in UNNAMED]
    closed = {place for one in skipped for place in range(*annotated.places(one))}
    first, last = annotated.places(whole)
    run: list[Token] = []
    for place in range(first, last + 1):
        token = annotated.parsed.tokens[place] if place < last else None
        if token and place not in closed and _fits(token, annotated.text) and (run or not token.stop):
            run.append(token)
            continue
        yield from _phrase(run)
        run = []


def _fits(token: Token, text: str) -> bool:
    return token.pos in ("NOUN", "PROPN", "ADJ") and bool(_WORD.match(token.of(text)))


def _phrase(run: list[Token]) -> Iterator[tuple[str, TextSpan]]:
    """Yield a phrase up to its last noun; of a long one only the last words."""
    while run and (run[-1].pos == "ADJ" or run[-1].lemma.lower() in EMPTY):
        run = run[:-1]
    while run and run[0].lemma.lower() in EMPTY:
        run = run[1:]
    run = run[-MOST_WORDS:]
    if run and not run[-1].stop and len(run[-1].lemma) > 1:
        yield " ".join(token.lemma.lower() for token in run), TextSpan(run[0].start, run[-1].end)


def _repeated(text: str, whole: TextSpan) -> Iterator[tuple[str, TextSpan]]:
    """Yield repeated words for a language without a parser, except the most common ones, which carry little meaning."""
    pattern = rf"{UNSPACED.pattern}{{2,4}}" if UNSPACED.search(whole.of(text)) else r"[^\W\d_]{4,}"
    found = [
        (match[0].lower(), TextSpan(whole.start + match.start(), whole.start + match.end()))
        for match in re.finditer(pattern, whole.of(text))
    ]
    counts = Counter(word for word, _ in found)
    common = {word for word, count in counts.items() if count > max(3, len(found) // 50)}
    again = any(count > 1 for word, count in counts.items() if word not in common)
    for word, span in found:
        if word not in common and (counts[word] > 1 or not again):
            yield word, span


# Titles


def titles(annotated: AnnotatedText, parts: Sequence[range]) -> list[str]:
    """Return a title for each range of sentences: phrases typical of that range; no phrase twice."""
    found = _candidates(annotated, TextSpan(0, len(annotated.text)))
    keys = sorted(found, key=lambda key: (-len(found[key]), found[key][0].start))[: 2 * CANDIDATES]
    shown = [_shown(annotated.text, found[key]) for key in keys]
    if not keys:
        return [_first_words(annotated, part) for part in parts]
    vectors = annotated.tools.embed(shown)
    inside = np.array([[_within(annotated, part, found[key]) for key in keys] for part in parts], np.float32)
    weight = np.log1p(inside) * inside / np.maximum(inside.sum(axis=0), 1)  # (parts, phrases)
    made, used = [], set[str]()
    for part, row in zip(parts, weight, strict=True):
        near = np.maximum(vectors @ annotated.vectors[part.start : part.stop].mean(axis=0), 0) * row
        order = [int(place) for place in np.argsort(-near, kind="stable") if near[place] > 0]
        named = _different([keys[place] for place in order if keys[place] not in used])
        used |= set(named)
        made.append(joined([shown[keys.index(key)] for key in named]) if named else _first_words(annotated, part))
    return made


def _within(annotated: AnnotatedText, part: range, spans: Iterable[TextSpan]) -> int:
    start, end = annotated.sentences[part.start].start, annotated.sentences[part.stop - 1].end
    return sum(start <= span.start < end for span in spans)


def _different(keys: Sequence[str]) -> list[str]:
    """Return the first phrase, and a second one if the first is a single word."""
    if not keys or " " in keys[0]:
        return list(keys[:1])
    return [keys[0], *[key for key in keys[1:3] if not _same(key, keys[0])][:1]]


def joined(shown: Sequence[str]) -> str:
    """Join phrases: "Pipes, mice and leather"."""
    text = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""
    return text[:1].upper() + text[1:]


def _first_words(annotated: AnnotatedText, part: range) -> str:
    said = annotated.sentences[part.start].text.split()
    return " ".join(said[:6]) + "…" * (len(said) > 6)
