"""Names of people: the findings of the entity recogniser, and what it misses in speech.

It was trained on newspapers, so in conversations it takes many first names for companies or towns. Therefore lists of
given names, titles and family words before a name, forms of introduction and address, and other mentions of the same
name also decide whether a capitalized name is a person's.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stt_lab.engines.pii.hits import PiiHit
from stt_lab.engines.pii.lists import (
    ACTS,
    LABELS,
    LOCATIVE,
    MONTHS,
    NEVER,
    NOUNS,
    PARTICLES,
    PLACES,
    SHORT_TITLES,
    THINGS,
    TITLES,
    TOWNS,
)

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

SURE = 0.6  # score from which a name is searched for elsewhere
LEAST_NAMES = 15_000  # in total; fewer means that the lists have changed


@lru_cache
def given_names() -> frozenset[str]:
    """Return first names of some eighty countries in lower-case Latin letters, from the package Faker."""
    from faker.providers import person

    found: set[str] = set()
    for module in pkgutil.iter_modules(person.__path__):
        provider = importlib.import_module(f"{person.__name__}.{module.name}").Provider
        for table in (vars(provider).get(name) for name in dir(provider) if name.startswith("first_")):
            found.update(_flat(table))
    names = frozenset(part for name in found for part in re.split("[ -]", name.lower()) if _is_latin(part))
    if len(names) < LEAST_NAMES:
        raise RuntimeError(f"the lists of given names have only {len(names)} names")
    return names


def _flat(table: Any) -> Iterator[str]:
    """Yield the names of a tuple or a table of weights; of rows with several readings, all text parts."""
    for item in table if isinstance(table, tuple | list | dict) else ():
        yield from (part for part in ([item] if isinstance(item, str) else item) if isinstance(part, str))


def _is_latin(name: str) -> bool:
    return len(name) > 1 and name.isalpha() and all("LATIN" in unicodedata.name(char, "") for char in name)


# Names in a text

_WORD = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")
_PART = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]{2,})?")
_POSSESSIVE = re.compile(r"['’]s$")
_INITIALS = re.compile(r"(?:(?<!\w)[A-Z]\. ?){0,4}$")
_LAST_WORD = re.compile(r"(?<!\w)(\w+)\W{1,2}$")
_LOCATED = re.compile(rf"\b(?:{'|'.join(sorted(LOCATIVE))}) $", re.I)
_ON_A_STREET = re.compile(r" (?:Street|Road|Lane|Avenue)\b|\d")
_INTRODUCED = re.compile(
    r"(?:\bmy name(?:'s| is| was)|\bnames?(?:'s| is| was| are)|\b(?:I'm|I am|this is|that's|it's|here's|it is|he's|"
    r"she's|who is|who's|you're|named|called|speaking to|"
    r"speaking with|speak to|talk to|ask for|meet|attention of|signed|"
    r"known as|goes by|introduce|welcome|thank you|thanks|hello|hi|hey|bye|goodbye|morning|afternoon|evening|dear|"
    r"sorry|cheers|okay|yes|no|so|and|well|right))[,:]? $",
    re.I,
)
_KIN = re.compile(
    r"\b(?:my|his|her|our|your|their|the|a|an|'s) (?:\w+ )?(?:brother|sister|son|daughter|wife|husband|partner|"
    r"mother|father|mum|mom|dad|uncle|aunt|niece|nephew|cousin|friend|neighbou?r|colleague|boss|manager|assistant|doctor|nurse|"
    r"teacher|lawyer|landlord|listener|caller|guest|host|author|client|patient|student|intern|secretary|chairman|kid|boy|girl|man|"
    r"woman|baby|grandmother|grandfather|grandson|granddaughter|fiancée?|engineer|designer|driver|agent),? $",
    re.I,
)


@dataclass(frozen=True)
class _Word:
    text: str
    start: int
    end: int
    token: Token
    first: bool  # first word of its sentence

    @property
    def key(self) -> str:
        return self.text.lower()

    @property
    def label(self) -> str:
        """Label of the entity that contains it, or ""."""
        label: str = self.token.ent_type_
        return label

    @property
    def proper(self) -> bool:
        return self.token.tag_ in ("NNP", "NNPS")

    @property
    def given(self) -> bool:
        if self.key in NOUNS:
            return False
        return any(part[0].isupper() and part.lower() in given_names() for part in self.text.split("-"))

    @property
    def initial(self) -> bool:
        return len(self.text) == 1 and self.text.isupper() and self.text != "I"

    @property
    def named(self) -> bool:
        """Return whether it can be part of a name."""
        if not self.text[0].isupper() or self.text.isupper() or self.key in NEVER:
            return False
        if self.token.is_stop and not self.given:
            return False
        return self.proper or self.label in LABELS or (self.given and not self.first)


_Unit = list[_Word]  # words that may be one name


def people(doc: Doc) -> Iterator[tuple[PiiHit, tuple[str, ...]]]:
    """Yield names of people in a parsed text, with those of their words that also mean this person elsewhere."""
    text = doc.text  # computed on each access
    units = list(_units(text, _words(doc, text)))
    places = {_name(unit) for unit in units if _preceding(text, unit) == "in"} | {_name(unit[:-1]) for unit in units}
    for whole in units:
        unit, titled = _tidied(whole)
        score = _score(doc, text, unit, places, titled) if unit else 0.0
        if score:
            initials = _INITIALS.search(text, max(0, unit[0].start - 8), unit[0].start)
            start = initials.start() if initials else unit[0].start
            own = tuple(word.text for word in unit if word.given or not word.first)
            yield PiiHit(start, unit[-1].end, score), own if score >= SURE else ()


def _words(doc: Doc, text: str) -> Iterator[_Word]:
    tokens = {token.idx: token for token in doc}
    for match in _WORD.finditer(text):
        start, end = match.span()
        if start in tokens:  # otherwise it is inside a token, such as a file name
            end -= 2 * bool(_POSSESSIVE.search(match[0]))
            before = text[max(0, start - 6) : start].rstrip(" \"'“‘(\n")
            yield _Word(text[start:end], start, end, tokens[start], not before or before[-1] in ".?!:…")


def _units(text: str, words: Iterable[_Word]) -> Iterator[_Unit]:
    """Yield runs of words that may be one name; particles count if a name follows."""
    unit: _Unit = []
    particles: _Unit = []
    for word in words:
        last = (particles or unit or [word])[-1]
        gap = text[last.end : word.start]
        near = bool(unit) and (gap == " " or (gap == ". " and last.initial))
        if near and (word.named or word.initial):
            unit, particles = [*unit, *particles, word], []
        elif near and word.key in PARTICLES:
            particles.append(word)
        else:
            if unit:
                yield unit
            unit, particles = [word] if word.named else [], []
    if unit:
        yield unit


def _tidied(unit: _Unit) -> tuple[_Unit, bool]:
    """Return a name without words that only precede it, and whether a title was among them."""
    titles = next((i for i, word in enumerate(unit) if word.key not in TITLES), len(unit))
    rest = unit[titles:]
    if len(rest) > 1 and rest[0].first and not rest[0].proper and not rest[0].given:
        rest = rest[1:]
    return ([] if len(rest) == 1 and rest[0].key in MONTHS else rest), titles > 0


def _name(unit: _Unit) -> str:
    return " ".join(word.text for word in unit)


def _preceding(text: str, unit: _Unit) -> str:
    """Return the word before a name, without a mark after it."""
    found = _LAST_WORD.search(text, max(0, unit[0].start - 20), unit[0].start)
    return found[1].lower() if found else ""


def _score(doc: Doc, text: str, unit: _Unit, places: set[str], titled: bool) -> float:
    """Return the score of a unit as a person's name."""
    before, after = text[max(0, unit[0].start - 45) : unit[0].start], text[unit[-1].end : unit[-1].end + 20]
    last = _preceding(text, unit)
    if titled or (last in TITLES and before.endswith(" ") and (before[-2:] != ". " or last in SHORT_TITLES)):
        return 0.9
    if unit[-1].key in THINGS or last in ("st", "saint") or _ON_A_STREET.match(after):
        return 0.0
    given, labels = any(word.given for word in unit), {word.label for word in unit}
    introduced = _INTRODUCED.search(before) or _KIN.search(before)
    if not given and not introduced and _name(unit) in places:
        return 0.0
    if "PERSON" in labels and (given or unit[0].key not in TOWNS):
        return 0.85
    town = unit[0].key in TOWNS or bool(labels & PLACES and _LOCATED.search(before))
    lone = unit[0].first and len(unit) == 1 and not labels - {""}
    if _KIN.search(before) or (given and not town and not lone):
        return 0.7
    if town:
        return 0.0
    if introduced or _is_addressed(before, after, unit):
        return 0.6
    return 0.5 if _acts(doc, unit) else 0.0


def _is_addressed(before: str, after: str, unit: _Unit) -> bool:
    """Return whether a name is set off by punctuation, as in "Mirel, come in." and "See you then, Elena." """
    if len(unit) > 1:
        return False
    if unit[0].first:
        return bool(unit[0].label) and after.startswith(",")
    return before.endswith(", ") and after[:1] in ".?!,"


def _acts(doc: Doc, unit: _Unit) -> bool:
    """Return whether a verb of human activity follows."""
    follows = doc[unit[-1].token.i + 1 : unit[-1].token.i + 3]
    return len(unit) == 1 and any(token.lemma_.lower() in ACTS for token in follows)


def spread(text: str, names: Iterable[str], score: float) -> Iterator[PiiHit]:
    """Yield every mention of words of known names; adjacent ones as one."""
    parts = {part for name in names for part in _PART.findall(name) if len(part) > 2 and part[0].isupper()}
    parts -= {part for part in parts if part.lower() in NEVER | MONTHS | TITLES | PARTICLES}
    start = end = -2
    for match in _PART.finditer(text):
        if match[0] not in parts:
            continue
        if match.start() != end + 1 or text[end] not in " -":
            if start >= 0:
                yield PiiHit(start, end, score)
            start = match.start()
        end = match.end()
    if start >= 0:
        yield PiiHit(start, end, score)
