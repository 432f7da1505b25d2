"""Detect filler words and rate sentences by their substance. Pure; the words are English."""

from __future__ import annotations

import re
from math import prod

from stt_lab.text import UNSPACED

SHORT, LONG = 6, 45  # word counts between which a sentence makes a good statement
LETTERS = 2  # letters per word in scripts without spaces, about

_SOUND = r"(?:um+|uh+|uhm+|erm?|hmm*|mm+|mhm|uh-huh|ah+|eh|oh)"
FILLER = re.compile(rf"\b{_SOUND}\b,?|,\s*(?:you know|i mean|like|sort of|kind of)\b(?=,)", re.IGNORECASE)
REPAIR = re.compile(r"\b(\w+),? \1\b|\w\s*(?:—|–|--|\.\.\.|…)\s*$", re.IGNORECASE)  # "the, the", "and then we--"
_LEADING = re.compile(
    rf"^(?:{_SOUND}\b[,.\s…-]*|(?:you know|i mean|okay|ok|so|well|right|yeah|anyway|alright|all right|now|look|listen)"
    r"\s*,\s*|(?:and|but|so)\s+(?=[\w']+\s))+",
    re.IGNORECASE,
)
# Greetings, and words that refer to something said before
_GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks?|welcome|bye|goodbye)\b", re.IGNORECASE
)
_BACK = re.compile(r"^\W*(?:(?:and|but|so)\s+)?(?:he|she|it|they|that|this|there|those)\b", re.IGNORECASE)


def words(text: str) -> int:
    """Count words approximately; in scripts without spaces, two letters count as one word."""
    return len(text.split()) + len(UNSPACED.findall(text)) // LETTERS


def cleaned(text: str, language: str | None) -> str:
    """Return a sentence on one line; an English one loses leading fillers and starts with a capital letter."""
    plain = " ".join(text.split())
    kept = _LEADING.sub("", plain) if language == "en" else plain
    return kept[:1].upper() + kept[1:] if words(kept) >= SHORT // 2 else plain


def substance(text: str) -> float:
    """Rate how well a sentence represents others, 0 to 1: of moderate length, no question, few fillers."""
    count = words(_LEADING.sub("", text))
    if count < SHORT - 1:
        return 0.0
    length = min(1.0, (count + 2) / (2 * SHORT)) if count < 2 * SHORT else min(1.0, LONG / count)
    clean = 1 - min(1.0, 4 * len(FILLER.findall(text)) / count)
    question = 0.4 if text.rstrip().endswith(("?", "？", "؟")) else 1.0
    weak = (REPAIR, 0.6), (_GREETING, 0.3), (_BACK, 0.85)
    return length * clean * question * prod(factor for pattern, factor in weak if pattern.search(text))
