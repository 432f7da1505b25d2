"""Words for search and comparison: folded, in any script. Pure.

In scripts without spaces between words, every character is a word, so that any part of a run is found as a phrase.
"""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from functools import lru_cache
from itertools import takewhile

import snowballstemmer

LONGEST_WORD = 60  # characters that are compared

# Thai to Lao, Burmese, jamo, Khmer, kana to Hangul syllables without symbols, rarer ideographs
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff\u3400-\u9fff\uac00-\ud7ff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670]")  # accents, points, harakat


class _Letters(dict[int, str]):
    """Search form of a character: folded; "" if it is ignored; surrounded by spaces if it is a word by itself."""

    def __missing__(self, code: int) -> str:
        plain = MARKS.sub("", unicodedata.normalize("NFKD", chr(code)).casefold())
        self[code] = made = "".join(_letter(char) for char in unicodedata.normalize("NFC", plain))
        return made


def _letter(char: str) -> str:
    if SPACELESS.match(char):
        return f" {char} "
    category = unicodedata.category(char)
    return char if category[0] in "LMN" else "" if category == "Cf" else " "


LETTERS = _Letters()


def words(given: str) -> list[str]:
    """Split a text into search words: "Crème-brûlée" -> ["creme", "brulee"]."""
    return [word[:LONGEST_WORD] for word in unicodedata.normalize("NFC", given).translate(LETTERS).split()]


# Meaningful words

_COMMON = """
a about after again all also am an and any are as at be because been before being but by can could did do does doing
done down during each else ever for from get give go had has have having he her here him his how i if in into is it
its just many may me might more most much must my no nor not of off on one or our out over own say said says shall
she should so some such tell than that the their them then there these they this those through to too under until up
us very was we were what when where which while who whom whose why will with would you your s t re ve ll d m
"""  # English
COMMON = frozenset(_COMMON.split())  # words that do not show what a question is about
_KEPT = 50_000  # stems in memory
_stemmers = threading.local()  # a stemmer works on fields of its own, so each thread has one


@lru_cache(_KEPT)
def stem(word: str) -> str:
    """Return the stem of an English word (Porter 2): of "leads" and "leading" it is equal, of "led" it is not."""
    if not hasattr(_stemmers, "english"):
        _stemmers.english = snowballstemmer.stemmer("english")
    found: str = _stemmers.english.stemWord(word)
    return found


def beginning(word: str) -> str:
    """Return the letters that a word shares with its stem: a search for words that begin so finds other endings."""
    same = (letter == other for letter, other in zip(word, stem(word), strict=False))
    return word[: sum(takewhile(bool, same))] or word


def telling(text: str) -> list[str]:
    """Return the meaningful words of a text, stemmed."""
    return [stem(word) for word in words(text) if word not in COMMON]


def rarity(count: int, total: int) -> float:
    """Return the BM25 weight of a word that occurs in `count` of `total` texts."""
    return math.log(1 + (total - count + 0.5) / (count + 0.5))
