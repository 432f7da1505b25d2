"""Languages of speech, by their codes and names. Codes of ISO 639-2 and native names are those of Unicode's CLDR."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from stt_lab.errors import BadInput

# Languages of Whisper's tokenizer, by its own codes: ISO 639-1 where one exists, jw for Javanese.
# fmt: off
LANGUAGES: dict[str, str] = {
    "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani", "ba": "bashkir",
    "be": "belarusian", "bg": "bulgarian", "bn": "bengali", "bo": "tibetan", "br": "breton", "bs": "bosnian",
    "ca": "catalan", "cs": "czech", "cy": "welsh", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fo": "faroese",
    "fr": "french", "gl": "galician", "gu": "gujarati", "ha": "hausa", "haw": "hawaiian", "he": "hebrew",
    "hi": "hindi", "hr": "croatian", "ht": "haitian creole", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "is": "icelandic", "it": "italian", "ja": "japanese", "jw": "javanese", "ka": "georgian", "kk": "kazakh",
    "km": "khmer", "kn": "kannada", "ko": "korean", "la": "latin", "lb": "luxembourgish", "ln": "lingala",
    "lo": "lao", "lt": "lithuanian", "lv": "latvian", "mg": "malagasy", "mi": "maori", "mk": "macedonian",
    "ml": "malayalam", "mn": "mongolian", "mr": "marathi", "ms": "malay", "mt": "maltese", "my": "myanmar",
    "ne": "nepali", "nl": "dutch", "nn": "nynorsk", "no": "norwegian", "oc": "occitan", "pa": "punjabi",
    "pl": "polish", "ps": "pashto", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sa": "sanskrit",
    "sd": "sindhi", "si": "sinhala", "sk": "slovak", "sl": "slovenian", "sn": "shona", "so": "somali",
    "sq": "albanian", "sr": "serbian", "su": "sundanese", "sv": "swedish", "sw": "swahili", "ta": "tamil",
    "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen", "tl": "tagalog", "tr": "turkish", "tt": "tatar",
    "uk": "ukrainian", "ur": "urdu", "uz": "uzbek", "vi": "vietnamese", "yi": "yiddish", "yo": "yoruba",
    "yue": "cantonese", "zh": "chinese",
}
# fmt: on

ALIASES = {  # other names and codes of the same languages
    "bahasa indonesia": "id", "bahasa melayu": "ms",
    "burmese": "my", "castilian": "es", "cmn": "zh", "fil": "tl", "filipino": "tl", "flemish": "nl", "haitian": "ht",
    "iw": "he", "jv": "jw", "letzeburgesch": "lb", "mandarin": "zh", "moldavian": "ro", "moldovan": "ro", "nb": "no",
    "panjabi": "pa", "pushto": "ps", "sinhalese": "si", "valencian": "ca",
}  # fmt: skip
_CODES = {name: code for code, name in LANGUAGES.items()} | ALIASES | {code: code for code in LANGUAGES}
SHOWN = 30  # characters of an invalid value that an error repeats
LONGEST = 80  # characters of a code or a name that are looked at
NEAR = 0.75  # similarity of a name that is suggested
SHORTEST = 4  # letters of such a name: any two codes are similar
MORE_CODES = {"nob": "nb", "nno": "nn"}  # that CLDR has no replacement for
MORE_NAMES = {  # that CLDR writes otherwise
    "简体中文": "zh", "繁體中文": "zh-Hant", "繁体中文": "zh-Hant", "普通话": "zh", "普通話": "zh", "汉语": "zh",
    "漢語": "zh", "粤语": "yue", "廣東話": "yue", "广东话": "yue",
}  # fmt: skip


def language_code(value: str) -> str | None:
    """Return Whisper's code for "de", "DE", "de-AT", "deu", "ger", "german" or "deutsch"; None for "auto" or "".

    Raises BadInput for a language that Whisper does not know.
    """
    wanted = " ".join(value.lower().split())
    if wanted in ("", "auto"):
        return None
    found = _code(wanted) or _code(re.split("[-_]", wanted)[0])
    if found is None:
        raise BadInput(f'The language "{value[:SHOWN]}" was not found. {_suggestion(wanted)}')
    return found


def _code(wanted: str) -> str | None:
    if wanted in _CODES:
        return _CODES[wanted]
    tag = standard_code(wanted)
    return _CODES.get(tag.split("-")[0]) if tag else None


def _suggestion(wanted: str) -> str:
    tag = standard_code(wanted)
    name = english_name(tag) if tag else ""
    own = [name for name, code in native_names().items() if _code(code)]
    near = None if name else nearest(wanted, [*_CODES, *own])
    if near:
        return f"Did you mean {near}?"
    known = f"Whisper does not know {name}. " if name else ""
    return f"{known}Use auto, or a code or name listed at /v1/languages."


def standard_code(wanted: str) -> str | None:
    """Return the BCP-47 code for a code of ISO 639-2 or 639-3, or for a native name; None for anything else.

    "de" for "deu", "ger" and "deutsch".
    """
    wanted = " ".join(wanted[:LONGEST].lower().split())
    if re.fullmatch("[a-z]{2,3}", wanted):
        return MORE_CODES.get(wanted) or _shorter(wanted)
    return native_names().get(wanted) or native_names().get(_plain(wanted))


def english_name(code: str) -> str:
    """Return the English name of a code; "" if it has none."""
    from babel import Locale

    return str(Locale("en").languages.get(code.split("-")[0], ""))


def nearest(wanted: str, names: Iterable[str]) -> str | None:
    """Return the name that a misspelt one means; None if no long name is similar."""
    if len(wanted) < SHORTEST:
        return None
    able = [name for name in names if len(name) >= SHORTEST]
    return next(iter(difflib.get_close_matches(wanted[:SHOWN], able, 1, NEAR)), None)


@lru_cache
def _shorter(code: str) -> str | None:
    """Return the code that replaces a longer or an old one; itself if CLDR knows it."""
    from babel import Locale
    from babel.core import get_global

    known = get_global("language_aliases").get(code)
    if known:
        return str(known).replace("_", "-")
    return code if code in Locale("en").languages else None


@lru_cache
def native_names() -> dict[str, str]:
    """Return the codes of languages by their own names, in lower case, with and without accents."""
    from babel import Locale, localedata

    made = dict(MORE_NAMES)
    for code in localedata.locale_identifiers():
        name = Locale.parse(code).languages.get(code) if "_" not in code else None
        if name:
            made.setdefault(name.lower(), code)
            made.setdefault(_plain(name.lower()), code)
    return made


def _plain(name: str) -> str:
    """Return a name without accents: "espanol" for "español"."""
    apart = unicodedata.normalize("NFD", name)
    return unicodedata.normalize("NFC", "".join(char for char in apart if not unicodedata.combining(char)))
