"""Clean up the entities of a recogniser, and find every further mention of a name. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stt_lab.types import Entity

NAMES = frozenset(["PERSON", "ORG", "GPE", "LOC", "FAC", "NORP", "PRODUCT", "EVENT", "WORK_OF_ART"])
LEAST = 3  # letters of a name that is searched for again
_BEFORE = re.compile(r"^the\s+", re.IGNORECASE)
_AFTER = r"\s,.;:!?\"”»)\]—–'’-"  # marks behind a name
_BEHIND = re.compile(rf"(?<![{_AFTER}])(?<!['’]s)(?:['’]s?|[{_AFTER}])++$")  # only from the first mark of a row
_GENERIC = re.compile(r"(?:speaker|spk|person|participant|unknown)[\s_]*\w{0,3}$", re.IGNORECASE)
_SOUND = re.compile(
    r"(?:um+|uh+|uhm+|erm?|hmm*|mm+|ah+|oh|okay|ok|yeah|yep|hi|hello|hey|thanks|bye|wow|huh)$", re.IGNORECASE
)
# Words before a name by which people are addressed or introduce themselves
_PERSON = re.compile(
    r"\b(?:(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Sir)\.?|[Mm]y name(?:['’]s| is)|I['’]m|I am|[Tt]his is|[Tt]hanks,?"
    r"|[Tt]hank you,?|[Hh]i,?|[Hh]ello,?|[Ii]t['’]s)\s+$"
)
_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|(?:ten|eleven|thirteen|"
    r"fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)th|twelfth|twentieth|twenty-\w+|thirtieth)"
)
_DATED = re.compile(
    rf"\b(?:\w+day|week\w*|weekend\w*|month\w*|year\w*|quarter\w*|decade\w*|centur\w+|day\w*|daily|annual\w*|night|today|yesterday|"
    rf"jan\w*|feb\w*|mar|march|apr\w*|may|june?|july?|aug\w*|sep\w*|oct\w*|nov\w*|dec\w*|spring|summer|autumn|fall|winter|"
    rf"christmas|easter|age|old|{_ORDINAL}|(?:1[5-9]|20)\d\ds?)\b|\d{{1,4}}[/.-]\d{{1,2}}[/.-]\d{{1,4}}|^\d\ds$",
    re.IGNORECASE,
)
_MORE = re.compile(rf"\b(?:{_ORDINAL}\s+of|every|each|(?:once|twice|\w+ times) an?)\s+$", re.IGNORECASE)
_DIGITS = r"\d{1,3}(?:[,. \u00a0]\d{3}){1,5}(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?"
_COUNT = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|"
    r"nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|half|and|a)"
)
_UNIT = (
    r"(?:euros?|dollars?|pounds?|kroner|kronor|francs?|yen|cents?|pence|rupees?|bucks|quid|roubles?|zloty|pesos?|reais|"
    r"EUR|USD|GBP|CHF)"
)
_AMOUNT = re.compile(  # bounded repetitions keep the search fast on any text
    rf"(?<![\w.,])(?:[$€£¥]\s?(?:{_DIGITS})(?:\s?(?:k|m|bn|thousand|million|billion)\b)?"
    rf"|(?:(?:{_DIGITS})(?:\s(?:thousand|million|billion))?|(?!and\b){_COUNT}(?:[\s-]{_COUNT}){{0,12}})"
    rf"\s(?:US |Swiss )?{_UNIT})(?!\w)",
    re.IGNORECASE,
)


def tidied(text: str, found: Iterable[Entity], speakers: Iterable[str] = ()) -> tuple[Entity, ...]:
    """Return entities in order and without overlap. Articles and punctuation are stripped, each name has one label,
    every mention of a known name or speaker is found, amounts of money are added, and dates that are only numbers are
    removed."""
    amounts = [Entity(match.start(), match.end(), match[0], "MONEY") for match in _AMOUNT.finditer(text)]
    known = [one for one in (_trimmed(text, one) for one in found) if one is not None and _likely(one)]
    labels = _labels(text, known) | {name: "PERSON" for name in speakers if not _GENERIC.match(name)}
    labels |= _parts(labels)
    again = _again(text, labels)
    voted = (replace(one, label=labels.get(one.text, one.label)) for one in known)
    return tuple(_whole(text, _apart([*amounts, *voted, *again])))


def _trimmed(text: str, one: Entity) -> Entity | None:
    """Strip what does not belong to an entity, and add what does: "first of" to "first of May"."""
    front = _BEFORE.match(one.text)
    start = one.start + (front.end() if front else 0)
    before = _MORE.search(text[max(0, start - 30) : start]) if one.label == "DATE" else None
    start -= len(before[0]) if before else 0
    kept = text[start : one.end]
    kept = kept if kept.endswith((".m.", "o'clock")) else _BEHIND.sub("", kept)
    if not any(map(str.isalnum, kept)) or _SOUND.match(kept):
        return None
    return Entity(start, start + len(kept), kept, one.label, one.score)


def _likely(one: Entity) -> bool:
    """Return False for entities that are only numbers, such as telephone, card and house numbers."""
    if one.label == "DATE":
        return bool(_DATED.search(one.text)) and not re.search(r"\d{5}|\d[ -]\d{3}", one.text)
    return (
        one.label not in NAMES
        or not any(map(str.isdigit, one.text))
        or one.label in ("PRODUCT", "EVENT", "WORK_OF_ART")
    )


def _labels(text: str, found: Iterable[Entity]) -> dict[str, str]:
    """Return the most frequent label of each name; PERSON if the name is used to address somebody."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        if one.label in NAMES and len(one.text) >= LEAST and one.text[0].isupper():
            votes[one.text][one.label] += 1
            if _PERSON.search(text[max(0, one.start - 16) : one.start]):
                votes[one.text]["PERSON"] += 2
    return {name: counts.most_common(1)[0][0] for name, counts in votes.items()}


def _parts(labels: dict[str, str]) -> dict[str, str]:
    """Return first names and surnames of people, with their label."""
    names = [name.split() for name, label in labels.items() if label == "PERSON" and " " in name]
    return {
        part: "PERSON" for name in names for part in name if len(part) >= LEAST and part[0].isupper() and part.isalpha()
    }


def _again(text: str, labels: dict[str, str]) -> Iterator[Entity]:
    """Yield every mention of a known name."""
    lengths: dict[str, set[int]] = defaultdict(set)  # of the names that begin with a word
    for name in labels:
        lengths[re.split(r"\W", name, maxsplit=1)[0]].add(len(name))
    longest_first = {word: sorted(found, reverse=True) for word, found in lengths.items()}
    for word in re.finditer(r"\w+", text):
        for length in longest_first.get(word[0], ()):
            end = word.start() + length
            name = text[word.start() : end]
            if name in labels and not re.match(r"\w", text[end : end + 1]):
                yield Entity(word.start(), end, name, labels[name])
                break


def _apart(found: Iterable[Entity]) -> Iterator[Entity]:
    end = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if one.start >= end:
            yield one
            end = one.end


def _whole(text: str, found: Iterable[Entity]) -> Iterator[Entity]:
    """Merge adjacent parts of a person's name."""
    parts: list[Entity] = []  # of one name, or one other entity
    for one in found:
        if parts and not (parts[-1].label == one.label == "PERSON" and text[parts[-1].end : one.start] == " "):
            yield _merged(text, parts)
            parts = []
        parts.append(one)
    if parts:
        yield _merged(text, parts)


def _merged(text: str, parts: list[Entity]) -> Entity:
    if len(parts) == 1:
        return parts[0]
    start, end = parts[0].start, parts[-1].end
    return Entity(start, end, text[start:end], "PERSON", min(one.score for one in parts))
