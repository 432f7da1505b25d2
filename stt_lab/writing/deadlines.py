"""Find the deadline in an English sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from stt_lab.types import Entity, TextSpan

_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_UNIT = r"(?:hour|day|week|weekend|month|quarter|year|sprint|meeting|call|session|season)"
_PART = r"(?:morning|afternoon|evening|night|noon|lunch)"
_NTH = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|(?:ten|eleven|thirteen|fourteen|fifteen|sixteen|"
    r"seventeen|eighteen|nineteen)th|twelfth|twentieth|twenty-\w+|thirtieth|thirty-first|\d{1,2}(?:st|nd|rd|th))"
)
# Times that entity recognisers often miss; those find "March 3rd", "5 pm" and the like
_WHEN = re.compile(
    rf"\b(?:(?:the )?(?:end|start|beginning|middle) of (?:the |this |next ){{0,2}}(?:{_UNIT}|{_DAY}|\w+)"
    rf"|(?:the |this |next |coming |following ){{0,2}}(?:{_UNIT} of the {_NTH}|{_DAY}(?: {_PART})?)"
    rf"|(?:this|next|the coming|the following) (?:{_UNIT}|{_PART})|(?:tomorrow|today|tonight)(?: {_PART})?"
    rf"|the {_NTH}(?: of \w+)?(?! \w)|the weekend|noon|midnight|christmas|easter|eod|eow|cob|then)\b",
    re.IGNORECASE,
)
LED = 60  # characters before a time that its prepositions may take
_LIMIT = r"(?:no later than|not later than|by|before|until|till|within)"
_BEFORE = re.compile(rf"\b(?:{_LIMIT}|on|at|in|for|after|over|first thing)\s+(?:the\s+|about\s+)?$", re.IGNORECASE)
_IS_LIMIT = re.compile(rf"{_LIMIT}\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"\b(?:as soon as [^,.;?!]+|asap\b"
    r"|(?:until|before|once|right after) (?:you|we|i|they|he|she|the|our|lunch)\b[^,.;?!]*)",
    re.IGNORECASE,
)
_NO_DUE = re.compile(  # past times, recurring times and durations
    r"\b(?:last|yesterday|ago|every|each|daily|weekly|monthly|since|old|years?)\b|^(?:about )?(?:\d+|an?|one|two|three|"
    r"four|five|six|seven|eight|nine|ten|twelve|twenty|thirty)\b(?!.*\b(?:am|pm|a\.m\.|p\.m\.|o'clock)\b)",
    re.IGNORECASE,
)


def due(text: str, span: TextSpan, entities: Iterable[Entity]) -> TextSpan | None:
    """Return the first deadline in a span: a limit ("by Friday") if there is one, otherwise a time ("on Friday")."""
    times = list(_times(text, span, entities))
    found = [*times, *(_found(span, match) for match in _CLAUSE.finditer(span.of(text)))]
    limits = [one for one in found if _IS_LIMIT.match(one.of(text))]
    return next(iter(limits or found), None)


def _found(span: TextSpan, match: re.Match[str]) -> TextSpan:
    return TextSpan(span.start + match.start(), span.start + match.end())


def _times(text: str, span: TextSpan, entities: Iterable[Entity]) -> Iterator[TextSpan]:
    """Yield future times with the prepositions before them; adjacent ones are merged."""
    named = [
        one for one in entities if one.label in ("DATE", "TIME") and span.start <= one.start and one.end <= span.end
    ]
    plain = (_found(span, match) for match in _WHEN.finditer(span.of(text)))
    plain = (one for one in plain if not any(other.start <= one.start and one.end <= other.end for other in named))
    whole: TextSpan | None = None
    for one in sorted((*named, *plain), key=lambda one: (one.start, -one.end)):
        led = TextSpan(_led(text, span.start, one.start), one.end)
        if whole and led.start <= whole.end + 1:
            whole = TextSpan(whole.start, max(whole.end, led.end))
            continue
        if whole:
            yield whole
        whole = led if _sets(text, led, one) else None
    if whole:
        yield whole


def _led(text: str, least: int, start: int) -> int:
    """Return where the prepositions before a time begin."""
    before = _BEFORE.search(text, max(least, start - LED), start)
    return before.start() if before else start


def _sets(text: str, led: TextSpan, time: TextSpan) -> bool:
    """Return whether a time sets a deadline: a duration only after "in" or "within", "then" only after a limit."""
    said, word = time.of(text), text[led.start : time.start].strip().lower()
    if re.search(r"\b(?:to|of|than)\s*$", text[max(0, led.start - 6) : led.start]):  # "move it to May"
        return False
    if said.lower() == "then":
        return bool(_IS_LIMIT.match(word))
    return not _NO_DUE.search(said) or word.split(" ")[0] in ("in", "within")
