"""Tell what kind of answer an English question asks for, and whether a place of a text has one. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stt_lab.text.words import telling
from stt_lab.types import Entity

Names = Sequence[Entity]
Test = Callable[[str, Names], bool]  # text of a place and its names -> whether it may answer

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
_AGE = re.compile(
    r"\byears? old\b|\b(?:aged|born)\b|\bage of\b|\bturn(?:s|ed)? \w+\b|\b\w+ty(?:-\w+)? years\b", re.IGNORECASE
)
_YEAR = re.compile(
    r"\b(?:1\d|20)\d\d\b|\b(?:eighteen|nineteen|twenty) (?:hundred|oh|ten|eleven|twelve|\w+ty|\w+teen)\b", re.IGNORECASE
)
_DIGITS = re.compile(r"\d{3}")

_OLD = re.compile(r"\bhow old\b")
_MUCH = re.compile(
    r"\bhow much\b(?! (?:time|longer))|\bhow many (?:dollars|euros|pounds)\b|\bcosts?\b|\bsalary\b"
    r"|\bcharge\b.{0,60}?\bfor\b"
)
_MANY = re.compile(r"\bhow many (?:(?:of|the|other|more|different) )*(\w+)")
_LONG = re.compile(r"\bhow long\b")
_SIZE = re.compile(r"\bhow (?:far|tall|strong|big|high|often|large|fast|heavy|wide|deep)\b")
_WHICH_YEAR = re.compile(r"\b(?:what|which) year\b")
_WHEN = re.compile(r"\bwhen\b|\b(?:what|which) (?:day|month|date|time)\b")
_WHERE = re.compile(r"^where\b|\bin (?:what|which) (?:town|city|country|village|place)\b")
_NAME = re.compile(r"\bname of\b")
_CODE = re.compile(r"\bwhat is the number\b")
_TIMES, _PLACES = frozenset(("DATE", "TIME", "EVENT")), frozenset(("GPE", "LOC", "FAC", "ORG"))
_CALLED = frozenset(("PERSON", "ORG", "PRODUCT", "WORK_OF_ART"))


@dataclass(frozen=True)
class AnswerType:
    """A test for places that may answer. `by_names` tells that it needs the names of a place, which grammar finds."""

    test: Test
    by_names: bool = False


def answer_type(question: str) -> AnswerType | None:
    """Return the kind of answer that a question asks for; None if it asks for nothing that can be tested."""
    asked = question.lower()
    if _OLD.search(asked):
        return _matching(_AGE)
    if many := _MANY.search(asked):
        return AnswerType(_counting(asked, telling(many[1])[:1]))
    if _MUCH.search(asked):
        return _matching(_MONEY)
    if _LONG.search(asked):
        return AnswerType(lambda text, names: bool(_NUMBER.search(text) and _UNIT.search(text)))
    plain = ((_SIZE, _NUMBER), (_WHICH_YEAR, _YEAR), (_CODE, _DIGITS))
    found = next((answer for asks, answer in plain if asks.search(asked)), None)
    return _matching(found) if found else _named(question, asked)


def _matching(pattern: re.Pattern[str]) -> AnswerType:
    return AnswerType(lambda text, names: bool(pattern.search(text)))


def _counting(asked: str, thing: Sequence[str]) -> Test:
    """Return a test for a number in a place that speaks of what is counted; for money, an amount is enough."""
    if _MUCH.search(asked):
        return lambda text, names: bool(_MONEY.search(text))
    return lambda text, names: bool(_NUMBER.search(text)) and set(thing) <= set(telling(text))


def _named(question: str, asked: str) -> AnswerType | None:
    """Return a test for names that the question itself does not have."""
    kinds = ((_WHEN, _TIMES), (_WHERE, _PLACES), (_NAME, _CALLED))
    labels = next((labels for asks, labels in kinds if asks.search(asked)), None)
    if labels is None:
        return None
    known = set(telling(question))
    return AnswerType(
        lambda text, names: any(one.label in labels and not known.issuperset(telling(one.text)) for one in names), True
    )
