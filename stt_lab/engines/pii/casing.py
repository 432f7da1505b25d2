"""Restore capitals in lower-case texts, as some recognisers write them, where names are likely. Pure."""

from __future__ import annotations

import re

from stt_lab.engines.pii.lists import EVERYDAY
from stt_lab.engines.pii.people import given_names
from stt_lab.text.sentences import has_capitals

_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?!\w)")
_STREET = re.compile(
    r"\b(\d+[a-z]?|[a-z]+) (?:[a-z'’-]+ ){1,3}?(?:street|road|avenue|lane|drive|court|row|place|square|boulevard|"
    r"close)\b(?:, [a-z]+(?: [a-z]+)?(?=[.,?!]))?"
)


def cased(text: str, vocabulary: frozenset[str]) -> str:
    """Return the text if it has capitals; otherwise a text of the same length in which likely names have some.

    Likely names are given names, and words outside a vocabulary of the language.
    """
    if has_capitals(text):
        return text
    lowered = text.lower()
    if len(lowered) != len(text):
        return text

    def named(match: re.Match[str]) -> str:
        word = match[0]
        is_name = word not in EVERYDAY and (word in given_names() or (len(word) > 3 and word not in vocabulary))
        capital = word[0].upper() if is_name or word == "i" else word[0]
        return capital + word[1:] if len(capital) == 1 else word

    return _WORD.sub(named, _STREET.sub(lambda match: match[0].title(), lowered))
