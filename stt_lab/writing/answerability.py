"""Decide whether a text answers a question, as far as possible without a language model.

Similarity does not tell: a question about something that is almost mentioned is as close to the text as one that it
answers. These signs tell that an answer is missing: nobody mentions such a thing or person; the question asks for a
number or a time and none is given; the question is about a person who does not speak. Names and times need English
grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stt_lab.text.words import rarity, telling
from stt_lab.types import Parsed, Token
from stt_lab.writing.source_text import SegmentSpan, SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Question

# Fitted on the odd-numbered questions of eval/text, measured on all (docs/text.md)
NEAR = 0.3  # score of the best passage: cosine and words
TOGETHER = 0.3  # share of the words of a question, weighted by rarity, in two consecutive segments

_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundred|thousand|million|billion|half|dozen|nobody|none|zero)\b",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\b(?:second|minute|hour|day|night|week|month|year|decade|centur|page|line|word|foot|feet|inch|mile|met(?:re|er)"
    r"|kilomet|centimet)",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[$£€¥%]|\b(?:dollars?|euros?|pounds?|cents?|pence|kroner|francs?|yen|rupees?|percent|free)\b", re.IGNORECASE
)
_MUCH = re.compile(r"\bhow much\b(?! (?:time|longer))|\bhow many (?:dollars|euros|pounds)\b|\bcosts?\b|\bsalary\b")
_MANY = re.compile(r"\bhow many (?:(?:of|the|other|more|different) )*(\w+)")
_LONG = re.compile(r"\bhow long\b")
_SIZE = re.compile(r"\bhow (?:old|far|tall|strong|big|high|often|large|fast|heavy|wide|deep)\b")
_SAYING = frozenset(("say", "explain", "tell", "answer", "reply", "claim", "state", "promise"))
_SAID = r"[^.?!]{0,40}\b(?:say|says|said|tells|told|explains|explained|answers|answered|promised)\b"
_TIMES, _PLACES = {"DATE", "TIME", "EVENT"}, {"GPE", "LOC", "FAC", "ORG"}


@dataclass(frozen=True)
class Signs:
    """Signs that an answer is missing, and how close the text is."""

    nearness: float  # score of the best passage
    together: float  # 0 to 1: share of the words of the question in two consecutive segments
    stranger: bool  # the question names somebody or something that the text does not
    lacking: bool  # the closest place lacks what is asked for, such as a number
    silent: bool  # the question asks what a person said who does not speak

    @property
    def missing(self) -> bool:
        far = self.nearness < NEAR and self.together < TOGETHER
        return far or self.stranger or self.lacking or self.silent


def signs(tools: Tools, source: SourceText, question: Question, places: Sequence[Sequence[SegmentSpan]]) -> Signs:
    """Return the signs for a question and the places closest to it, closest first."""
    parsed = _parsed(tools, question.query, source.language)
    words = [set(telling(f"{part.speaker or ''} {part.of(source.text)}")) for part in source.segments]
    return Signs(
        nearness=max(question.scores, default=0.0),
        together=_together(set(telling(question.query)), words),
        stranger=_names_strangers(parsed, set().union(*words)),
        lacking=_lacks(tools, source, question, places[0]) if places else True,
        silent=_asks_the_silent(source, question.query, parsed),
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


def _lacks(tools: Tools, source: SourceText, question: Question, place: Sequence[SegmentSpan]) -> bool:
    asked, text = question.text.lower(), " ".join(part.of(source.text) for part in place)
    wanted = _quantity(asked)
    if wanted is not None:
        return not wanted(text)
    labels = _TIMES if re.search(r"\bwhen\b", asked) else _PLACES if re.search(r"^where\b", asked) else None
    if labels is None or tools.parser(source.language) is None:
        return False
    known = set(telling(question.query))
    found = _parsed(tools, text, source.language).entities
    return not any(one.label in labels and not known.issuperset(telling(one.text)) for one in found)


def _quantity(asked: str) -> Callable[[str], bool] | None:
    """Return a test that a place must pass to answer a question about a quantity; None for other questions."""
    if _MUCH.search(asked):
        return lambda text: bool(_MONEY.search(text))
    if many := _MANY.search(asked):
        thing = telling(many[1])
        return lambda text: bool(_NUMBER.search(text)) and (not thing or thing[0] in telling(text))
    if _LONG.search(asked):
        return lambda text: bool(_NUMBER.search(text) and _UNIT.search(text))
    return (lambda text: bool(_NUMBER.search(text))) if _SIZE.search(asked) else None


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
