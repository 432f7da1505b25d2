"""Decide whether a sentence ends with a point, by the words around it and the abbreviations of the language. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stt_lab.text.abbreviations import PointUsage

__all__ = ["ends_with_point"]

_OPENING = "\"'“„«‘([{¿¡*_-–—"  # before a word
_DOTTED = re.compile(r"[^\W\d_]{1,2}(?:\.[^\W\d_]{1,2})+")  # u.s, ph.d, s.a
_NO_VOWELS = re.compile("[bcdfghjklmnpqrstvwxzßçñ]{2,}|[бвгджзйклмнпрстфхцчшщ]{2,}")
_SOUNDS = frozenset(["hm", "hmm", "hmmm", "mm", "mmm", "mhm", "sh", "shh", "pst", "psst", "brr", "grr", "pff", "tsk"])
_ROMAN = re.compile(r"[IVXLC]+\b")
_INITIAL = re.compile(r"[^\W\d_]\.")
_NEXT = re.compile(r"[^\W_]+['’]?")
_ELIDED = re.compile(r"\A[^\W\d_]{1,5}['’](?=\w)")  # of l'art.
_LONGEST_ORDINAL = 3  # digits


@dataclass(frozen=True)
class _Place:
    """The words on both sides of a point."""

    word: str  # before it, in lower case
    raw: str  # the same as written
    previous: str  # the word before that, in lower case
    after: str
    usage: PointUsage

    @property
    def starts(self) -> bool:
        """Whether the next word is one that begins sentences."""
        found = _NEXT.match(self.after)
        word = found[0].casefold().replace("’", "'") if found else ""
        return word.rstrip("'") in self.usage.starters or word in self.usage.starters

    @property
    def next_word(self) -> str:
        found = _NEXT.match(self.after)
        return found[0].casefold() if found else ""

    @property
    def digit(self) -> bool:
        return self.after[:1].isdigit()


def ends_with_point(before: str, after: str, usage: PointUsage) -> bool:
    """Return whether a sentence ends between `before`, which ends with a letter or a digit, a point, and `after`, which
    does not begin with a lower-case letter. Both may be cut: a few words decide."""
    *earlier, raw = before.split()[-2:]
    previous = earlier[0].lstrip(_OPENING).casefold() if earlier else ""
    raw = _without_article(raw.lstrip(_OPENING), usage)
    place = _Place(raw.casefold(), raw, previous, after.lstrip(_OPENING), usage)
    if place.word.isdigit():
        return not _is_ordinal(place)
    if previous.endswith(".") and (known := _known(previous + place.word, place)) is not None:
        return known  # z. B., т. д.
    return _ends_with_letter(place) if len(place.word) == 1 else _ends_with_word(place)


def _without_article(word: str, usage: PointUsage) -> str:
    """Return an abbreviation without an elided word before it: "l'art." is "art."."""
    rest = _ELIDED.sub("", word)
    return rest if rest.casefold() in usage.names | usage.numbers else word


def _is_ordinal(place: _Place) -> bool:
    """Return whether a number is an ordinal one, where these are written with a point: "am 3. Mai"."""
    if not place.usage.ordinals or len(place.word) > _LONGEST_ORDINAL:
        return False
    return place.next_word in place.usage.months or (place.previous in place.usage.ordinals and not place.starts)


def _known(word: str, place: _Place) -> bool | None:
    """Return what is known about an abbreviation; None if nothing is."""
    if word in place.usage.names:
        return False
    if word in place.usage.lists:
        return True
    return place.starts if word in place.usage.last else None


def _ends_with_letter(place: _Place) -> bool:
    initial = _INITIAL.match(place.after)
    if initial and _known(f"{place.word}.{initial[0][0].casefold()}", place) is not None:
        return False  # "a. C."
    if place.raw.islower():
        if place.previous[:1].isdigit() or _ROMAN.fullmatch(place.previous.upper()):
            return True  # a unit: "40 m.", "XIX в."
        if place.digit or _ROMAN.match(place.after):
            return False  # "p. 14", "s. XIX"
    if initial or place.word in place.usage.names:
        return False
    if place.digit:
        return place.word not in place.usage.numbers
    if place.previous in place.usage.lettered:
        return True  # "plan B."
    return place.starts and not _INITIAL.fullmatch(place.previous)  # else an initial


def _ends_with_word(place: _Place) -> bool:
    known = _known(place.word, place)
    if known is not None:
        return known
    if place.digit or _ROMAN.match(place.after):
        numbered = place.word in place.usage.numbers or place.word.endswith("str")
        if numbered and (place.digit or not place.starts):
            return False
    short = _NO_VOWELS.fullmatch(place.word) and not place.raw.isupper() and place.word not in _SOUNDS
    if _DOTTED.fullmatch(place.word) or short:
        unit = bool(short) and place.raw.islower() and place.previous[:1].isdigit()
        return place.starts or unit
    return True
