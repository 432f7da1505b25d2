"""Find personal data in texts: presidio's analyzer with recognisers for spoken language.

hits.py        positions of personal data, and how overlaps are resolved
spoken.py      "oh seven double four" as "0744"
numbers.py     cards by Luhn, IBANs by mod 97, telephone numbers by national plans
patterns.py    e-mail, IP and street addresses; dates of birth
people.py      names
recognisers.py presidio's registry of all of them; silent failures become errors
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stt_lab.engines.pii.hits import PiiHit, settle
from stt_lab.engines.pii.people import spread
from stt_lab.engines.protocols import BY_FORM, EngineSpec, PiiKind
from stt_lab.errors import ModelMissing
from stt_lab.text.sentences import sentences
from stt_lab.types import Entity, Event, Report

if TYPE_CHECKING:
    from stt_lab.engines.pii.recognisers import Analyzer

BLOCK = 5_000  # characters that are read at once
WORD = re.compile(r"[^\W\d_]{2,}")
SHARED = 400  # characters that adjacent blocks share, so that nothing is cut in two


class PresidioFinder:
    """A `PiiFinder` in the folder of a spaCy pipeline."""

    languages: tuple[str, ...] = ("en",)

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._analyzer: Analyzer | None = None

    def load(self) -> None:
        from stt_lab.engines.pii.recognisers import Analyzer

        self._analyzer = Analyzer(self.spec.folder)

    def unload(self) -> None:
        self._analyzer = None

    def find_pii(
        self, text: str, language: str | None, kinds: tuple[PiiKind, ...], names: tuple[str, ...], report: Report
    ) -> tuple[Entity, ...]:
        _check(text, language, kinds, self.languages)
        if self._analyzer is None:
            self.load()
        assert self._analyzer is not None
        report(Event("reading", 0.0))
        if not text.strip():
            return ()
        found: list[tuple[str, PiiHit]] = []
        own = set(names)
        for start, end in _blocks(text, language):
            hits, more = self._analyzer.read(text[start:end], kinds)
            found += ((label, PiiHit(start + hit.start, start + hit.end, hit.score)) for label, hit in hits)
            own |= more
            report(Event("reading", end / len(text)))
        if "PERSON" in kinds:
            found += (("PERSON", hit) for hit in spread(text, own, 0.65))
        return settle(text, found)


def _check(text: str, language: str | None, kinds: tuple[str, ...], languages: tuple[str, ...]) -> None:
    """Raise ModelMissing for what would stay unread: names in a language or a script that no model reads."""
    if set(kinds) <= set(BY_FORM):
        return
    remedy = f"Choose only kinds that work in every language: {', '.join(BY_FORM)}."
    if language not in (None, *languages):
        raise ModelMissing(f"No installed model finds names and addresses in the language '{language}'. {remedy}")
    if word := _other_script(text):
        raise ModelMissing(f"No installed model finds names in the script of '{word[:20]}'. {remedy}")


def _other_script(text: str) -> str:
    """Return the first word in non-Latin letters; "" if there is none."""
    for match in WORD.finditer(text):
        if not match[0].isascii() and any(not _is_latin(char) for char in match[0]):
            return match[0]
    return ""


def _is_latin(char: str) -> bool:
    return unicodedata.category(char) == "Lm" or "LATIN" in unicodedata.name(char, "")


def _blocks(text: str, language: str | None) -> Iterator[tuple[int, int]]:
    """Yield ranges of whole sentences, short enough if possible, each with the end of the range before it."""
    start = 0
    for span in sentences(text, language or "en"):
        if span.end - start > BLOCK and span.start > start:
            yield max(0, start - SHARED), span.start
            start = span.start
        while span.end - start > 2 * BLOCK:  # no end of a sentence in a long stretch
            yield max(0, start - SHARED), start + BLOCK
            start += BLOCK
    yield max(0, start - SHARED), len(text)
