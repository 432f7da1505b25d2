"""Read Praat's TextGrids, in the long and the short form of text files.

Praat itself reads only what stands free: texts in quotation marks, numbers, and flags in angle brackets. Everything
else, such as "xmin =", is for people. Praat's manual: "TextGrid file formats".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stt_lab.lab.data.annotations.files import NEWLINE, read_text
from stt_lab.lab.data.annotations.labels import BARE, is_event, without_events
from stt_lab.lab.data.annotations.values import NUMBER, Annotation, of_segments, of_words, span
from stt_lab.lab.data.items import Flaw
from stt_lab.types import Segment, Word

__all__ = ["read_textgrid"]

# Tiers by name. Aligners write "words", "Ada - words" or "ORT-MAU"
WORDS = re.compile(
    r"(?:(?P<speaker>\S.*?)\s?-\s?)?words?|ORT(?:-MAU)?|w[öo]e?rter|mots|palabras|palavras|parole|woorden|слова",
    re.IGNORECASE,
)
UTTERANCES = re.compile(r"utterances?|sentences?|text|transcript(?:ion)?s?|phrases?|orthography", re.IGNORECASE)
OTHERS = re.compile(  # no words of the recording: sounds, remarks, silences, other languages
    r"(?:.*\S\s?-\s?)?(?:phon(?:e|eme|es|emes|etic|etics)|segments?_phon[^-]*|syll(?:able)?s?|MAU|MAS|KAN(?:-MAU)?|ipa|pos"
    r"|comments?|remarks?|notes?|gloss(?:es)?|translations?|silences?|vad|tones?|pitch|breaks?|events?|misc)",
    re.IGNORECASE,
)
# Texts, and what stands free: numbers, flags, and comments up to the end of their line; a quotation mark without an end
TOKEN = re.compile(r'"(?:[^"]|"")*+"|(?<!\S)(?:[-+.0-9][^\s"]*|<exists>|<absent>)(?!\S)|(?<!\S)![^\n\r]*|"')
HEADS = (["ooTextFile", "TextGrid"], ["ooTextFile short", "TextGrid"])
KINDS = {"IntervalTier": 3, "TextTier": 2}  # tokens of an entry
SLACK = 1e-6  # seconds
SAVE = "save it from Praat as a text file"


@dataclass(frozen=True)
class _Entry:
    start: float
    end: float
    label: str
    where: str


def read_textgrid(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    """Read words from word tiers, skip tiers of sounds and remarks, and take every other tier as one speaker's
    utterances."""
    words: list[Word] = []
    segments: list[Segment] = []
    for tier, entries in _Tokens(read_text(path, name), name).tiers():
        plain = tier.strip()
        if found := WORDS.fullmatch(plain):
            words += _words(entries, found["speaker"])
        elif not OTHERS.fullmatch(plain):
            segments += _utterances(entries, None if UTTERANCES.fullmatch(plain) else tier)
    timed = of_words(words) if words else Annotation()
    return of_segments(segments) | timed if segments or not words else timed


def _words(entries: list[_Entry], speaker: str | None) -> Iterator[Word]:
    for one in entries:
        if not is_event(one.label, one.where):
            yield Word(one.start, one.end, one.label, None, speaker)


def _utterances(entries: list[_Entry], speaker: str | None) -> Iterator[Segment]:
    for one in entries:
        text = "" if one.label.casefold() in BARE else without_events(one.label, one.where)
        if text:
            yield Segment(one.start, one.end, text, speaker=speaker)


class _Tokens:
    """The free-standing texts, numbers and flags of a file, in order."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._line = 1
        self._tokens = _tokens(text)

    def tiers(self) -> Iterator[tuple[str, list[_Entry]]]:
        """Yield (name, labelled intervals) of each tier of intervals; tiers of points are skipped."""
        self._head()
        for _ in range(self._count()):
            kind, name = self._string(), self._string()
            if kind not in KINDS:
                raise self._flaw(f"{kind[:20]!r} is not a kind of tier")
            self._number(), self._number()
            entries = [self._entry(KINDS[kind]) for _ in range(self._count())]
            if kind == "IntervalTier":
                _check_order(entries)
                yield name, [one for one in entries if one.label]
        if self._token():
            raise self._flaw("there is more than the sizes say")

    def _head(self) -> None:
        head = [self._token()[1:-1], self._token()[1:-1]]
        if head not in HEADS:
            raise Flaw(f"{self._name} is not a TextGrid", SAVE)
        self._number(), self._number()
        if self._token() != "<exists>":
            raise self._flaw("there are no tiers")

    def _entry(self, tokens: int) -> _Entry:
        start = self._number()
        end = self._number() if tokens == 3 else start
        where = f"{self._name} line {self._line}"
        label = " ".join(self._string().split())
        span(Word, start, end, where, label)  # checks the times
        return _Entry(start, end, label, where)

    def _token(self) -> str:
        """Return the next token; "" at the end."""
        self._line, token = next(self._tokens, (self._line, ""))
        return token

    def _string(self) -> str:
        token = self._token()
        if len(token) < 2 or token[0] != '"':
            raise self._flaw(f"{token[:20]!r} stands where a text in quotation marks is expected")
        return token[1:-1].replace('""', '"')

    def _number(self) -> float:
        token = self._token()
        if not NUMBER.fullmatch(token):
            raise self._flaw(f"{token[:20]!r} stands where a number is expected")
        return float(token)

    def _count(self) -> int:
        found = self._number()
        if found < 0 or found != int(found):
            raise self._flaw(f"{found:g} is not a number of entries")
        return int(found)

    def _flaw(self, what: str) -> Flaw:
        return Flaw(f"{self._name} line {self._line}: {what}", f"{SAVE}, with quotation marks in texts doubled")


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, token); comments are skipped."""
    line, seen = 1, 0
    for found in TOKEN.finditer(text):
        line += len(NEWLINE.findall(text, seen, found.start()))
        seen = found.start()
        if not found[0].startswith("!"):
            yield line, found[0]


def _check_order(entries: list[_Entry]) -> None:
    for before, now in pairwise(entries):
        if now.start < before.end - SLACK:
            raise Flaw(f"{now.where}: the interval begins before the one above it ends", "correct the times")
