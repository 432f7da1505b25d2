"""Decide whether a text answers a question, as far as possible without a language model.

Similarity does not tell: a question about something that is almost mentioned is as close to the text as one that it
answers. These signs tell that an answer is missing: nobody mentions such a person or number; the question asks for a
number, a time, a place or a name and none is near; somebody asks the same and nobody knows; the question is about a
person who does not speak. Names and times need English grammar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stt_lab.text.words import rarity, telling
from stt_lab.types import Parsed, Token
from stt_lab.writing.answer_types import answer_type
from stt_lab.writing.english import either
from stt_lab.writing.grounding import quantities
from stt_lab.writing.names import tidied
from stt_lab.writing.quotes import QuoteCandidate, asks
from stt_lab.writing.source_text import SegmentSpan, SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Question

# Fitted on the questions of eval/text with odd numbers, reported on the others (docs/text.md)
NEAR = 0.2  # score of the best passage: cosine and words
TOGETHER = 0.2  # share of the words of a question, weighted by rarity, in two consecutive segments
AS_CLOSE = 0.9  # least score of a place that is tested for the kind of answer, as a share of the best
SAME = 0.5, 0.7  # scores of a place that says that something is unknown: if it begins with a question, and otherwise

ANSWERED = 0.0  # margin of a trained reader, as in SQuAD 2; not measured here, where no such weights are to be had

_UNKNOWN = re.compile(rf"\b{either('questions', 'unknown')}\b", re.IGNORECASE)
_SAYING = frozenset(("say", "explain", "tell", "answer", "reply", "claim", "state", "promise"))
_SAID = r"[^.?!]{0,40}\b(?:say|says|said|tells|told|explains|explained|answers|answered|promised)\b"


@dataclass(frozen=True)
class Signs:
    """Signs that an answer is missing, and how close the text is."""

    nearness: float  # score of the best passage
    together: float  # 0 to 1: share of the words of the question in two consecutive segments
    stranger: bool  # the question has a name or a number that the text does not
    lacking: bool  # the closest places lack what is asked for, such as a number
    silent: bool  # the question asks what a person said who does not speak
    unknown: bool  # a close place says that nobody knows
    margin: float | None = None  # by how much a trained reader finds an answer likelier than none, in logits

    @property
    def missing(self) -> bool:
        if self.margin is not None:
            return self.margin < ANSWERED or self.silent
        far = self.nearness < NEAR and self.together < TOGETHER
        return far or self.stranger or self.lacking or self.silent or self.unknown


def signs(tools: Tools, source: SourceText, question: Question, places: Sequence[QuoteCandidate]) -> Signs:
    """Return the signs for a question and the places closest to it, closest first."""
    parsed = _parsed(tools, question.query, source.language)
    words = [set(telling(f"{part.speaker or ''} {part.of(source.text)}")) for part in source.segments]
    return Signs(
        nearness=max(question.scores, default=0.0),
        together=_together(set(telling(question.query)), words),
        stranger=_names_strangers(parsed, set().union(*words))
        or not quantities(question.text) <= quantities(source.text),
        lacking=_lacks(tools, source, question, places),
        silent=_asks_the_silent(source, question.query, parsed),
        unknown=any(_says_unknown(source, place) for place in places),
        margin=tools.answerable(question.query, (span.of(source.text) for span in question.passages)),
    )


def asks_the_silent(tools: Tools, source: SourceText, query: str) -> bool:
    """Return whether a question asks what a person said who neither speaks nor is quoted: "What did X say?" """
    return _asks_the_silent(source, query, _parsed(tools, query, source.language))


def _parsed(tools: Tools, text: str, language: str | None) -> Parsed:
    """Parse a text. Without a parser the result is empty: no names, no verbs, and no sign from them."""
    return Parsed(language, ()) if tools.parser(language) is None else tools.parse(text, language)


def _together(wanted: set[str], words: Sequence[set[str]]) -> float:
    """Return the largest share (0 to 1) of the wanted words in two consecutive segments; rare words weigh more."""
    worth = {word: rarity(sum(word in part for part in words), len(words)) for word in wanted}
    total = sum(worth.values())
    both = (wanted & (one | two) for one, two in zip(words, [*words[1:], set()], strict=True))
    return max((sum(worth[word] for word in found) for found in both), default=0.0) / total if total else 0.0


def _names_strangers(parsed: Parsed, words: set[str]) -> bool:
    named = (telling(one.text) for one in parsed.entities if one.label in ("PERSON", "ORG"))
    return any(name and words.isdisjoint(name) for name in named)


def _lacks(tools: Tools, source: SourceText, question: Question, places: Sequence[QuoteCandidate]) -> bool:
    """Return whether none of the closest places has the kind of answer that is asked for."""
    if not places:
        return True
    wanted = answer_type(question.text)
    if wanted is None or (wanted.by_names and tools.parser(source.language) is None):
        return False
    for place in places:
        if place.score < AS_CLOSE * places[0].score:
            break
        text = place.span.of(source.text)
        names = tidied(text, _parsed(tools, text, source.language).entities) if wanted.by_names else ()
        if wanted.test(text, names):
            return False
    return True


def _says_unknown(source: SourceText, place: QuoteCandidate) -> bool:
    asked, other = SAME
    if place.score >= other:
        return bool(_UNKNOWN.search(place.span.of(source.text)))
    return place.score >= asked and asks(source, place.parts[0]) and _unknown_reply(source, place.parts[1:])


def _unknown_reply(source: SourceText, reply: Sequence[SegmentSpan]) -> bool:
    return any(_UNKNOWN.search(part.of(source.text)) for part in reply)


def _asks_the_silent(source: SourceText, query: str, parsed: Parsed) -> bool:
    speakers = set(telling(" ".join(part.speaker or "" for part in source.segments)))
    return any(
        speakers.isdisjoint(telling(who)) and not re.search(rf"\b{re.escape(who)}\b{_SAID}", source.text, re.IGNORECASE)
        for who in (token.of(query) for token in _who_says(parsed))
        if telling(who)
    )


def _who_says(parsed: Parsed) -> list[Token]:
    tokens = parsed.tokens
    return [one for one in tokens if one.dep == "nsubj" and tokens[one.head].lemma in _SAYING]
