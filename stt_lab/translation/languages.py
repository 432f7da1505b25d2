"""Languages of translation, by code or name. Pure."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from stt_lab.errors import BadInput
from stt_lab.text.languages import ALIASES, LANGUAGES, SHOWN, native_names, nearest, standard_code

TABLE = Path(__file__).with_name("languages.toml")
LONGEST = 80  # characters of a code or name that are looked at
OTHERS = {  # codes of other standards and of Whisper
    "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "nob": "no", "tgl": "fil", "tl": "fil",
    "zh-hans": "zh", "zh-hk": "zh-hant", "zh-mo": "zh-hant", "zh-tw": "zh-hant",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """A language of translation."""

    code: str  # BCP-47
    name: str  # English
    iso3: str | None = None  # ISO 639-3, if `code` is ISO 639-1


@lru_cache
def languages() -> dict[str, Language]:
    """Return all languages by code."""
    return {code: Language(code, **row) for code, row in tomllib.loads(TABLE.read_text("utf-8")).items()}


@lru_cache
def _known() -> dict[str, str]:
    """Return codes by everything that people may write, in lower case."""
    codes = {code.lower(): code for code in languages()}
    names = {language.name.lower(): code for code, language in languages().items()}
    three = {language.iso3: code for code, language in languages().items() if language.iso3}
    heard = {name: OTHERS.get(code, code) for code, name in LANGUAGES.items()}
    whisper = {name: codes[code] for name, code in heard.items() if code in codes}
    others = {other: codes[OTHERS.get(code, code)] for other, code in (ALIASES | OTHERS).items()}
    return whisper | names | three | others | codes


def language(value: str) -> Language:
    """Return the language of a code (pt, por, pt-BR, zh-Hant), or of an English or native name.

    An unknown country is ignored. Raises BadInput for another value, with a suggestion.
    """
    wanted = " ".join(value[:LONGEST].lower().replace("_", "-").split())
    code = _code(wanted)
    while code is None and (shorter := re.fullmatch(r"(.+)-(?:[a-z]{2}|\d{3})", wanted)):
        wanted = shorter[1]
        code = _code(wanted)
    if code is None:
        plain = _code(wanted.split("-")[0])  # without a script
        near = plain or _code(nearest(wanted, [*_known(), *filter(_code, native_names())]) or "")
        found = languages()[near] if near else None
        advice = f"Did you mean {found.name} ({found.code})?" if found else "Use one listed at /v1/translate/languages."
        raise BadInput(f'The language "{value[:SHOWN]}" cannot be translated. {advice}')
    return languages()[code]


def _code(wanted: str) -> str | None:
    """Return the code in languages.toml for a code or a name."""
    return _known().get(wanted) or _known().get((standard_code(wanted) or "").lower())
