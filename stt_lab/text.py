"""Written language: tags of languages, ends of sentences, and the normalisers of word error rates."""

from __future__ import annotations

import difflib
import importlib.util
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from stt_lab.errors import BadInput, Unavailable

# What Whisper's tokenizer knows, by its own codes: ISO 639-1 where one exists, and jw for Javanese.
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
    "burmese": "my", "castilian": "es", "cmn": "zh", "fil": "tl", "filipino": "tl", "flemish": "nl", "haitian": "ht",
    "iw": "he", "jv": "jw", "letzeburgesch": "lb", "mandarin": "zh", "moldavian": "ro", "moldovan": "ro", "nb": "no",
    "panjabi": "pa", "pushto": "ps", "sinhalese": "si", "valencian": "ca",
}  # fmt: skip
_CODES = {name: code for code, name in LANGUAGES.items()} | ALIASES | {code: code for code in LANGUAGES}
SHOWN = 30  # characters of a wrong value that an error repeats


def language_code(value: str) -> str | None:
    """Whisper's code of a language given as "en", "EN", "en-US" or "english"; None for "auto" (or nothing: detect it).

    Raises BadInput for a language that Whisper does not know.
    """
    wanted = value.strip().lower()
    if wanted in ("", "auto"):
        return None
    code = _CODES.get(wanted) or _CODES.get(re.split("[-_]", wanted)[0])
    if code is None:
        raise BadInput(f'The language "{value[:SHOWN]}" is not known: {_suggestion(wanted)}')
    return code


def _suggestion(wanted: str) -> str:
    near = difflib.get_close_matches(wanted[:SHOWN], _CODES, 1)
    if near:
        return f"did you mean {near[0]}?"
    return "use auto, a code such as en, or another of the list at /v1/languages."


# Full stops, question and exclamation marks of Latin, CJK, Arabic, Indic, Armenian, Ethiopic, Burmese, Khmer, Tibetan
SENTENCE_ENDS = frozenset(".?!…‼⁇⁈⁉。．｡？！؟۔।॥։።፧။។៕།")
CLAUSE_ENDS = frozenset(",;:—–、，；：､،؛፣፤၊")
_ABBREVIATIONS = frozenset(["mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e."])


def _closes(char: str) -> bool:
    """True for what may follow the mark that ends a sentence: spaces, closing quotes and brackets."""
    return char.isspace() or char in "\"'" or unicodedata.category(char) in ("Pe", "Pf")


def _ending(text: str) -> str:
    """The text up to its last character that does not merely close."""
    end = len(text)
    while end and _closes(text[end - 1]):
        end -= 1
    return text[:end]


def sentence_end(text: str) -> bool:
    """True where a sentence ends with this text; closing quotes and brackets may follow the mark.

    Initials ("J.") and a few titles ("Dr.") end nothing.
    """
    body = _ending(text)
    if not body or body[-1] not in SENTENCE_ENDS:
        return False
    last = body.split()[-1].lower()
    return last not in _ABBREVIATIONS and not re.fullmatch(r"[^\W\d_]\.", last)


def clause_end(text: str) -> bool:
    """True where a comma or its kin ends the text: the next best place to break a line."""
    return _ending(text)[-1:] in CLAUSE_ENDS


def _fold(text: str) -> str:
    return " ".join(text.split())


def _basic(text: str) -> str:
    """Lowercase (NFKC); apostrophes within words vanish, other punctuation (categories P*) becomes a space."""
    lowered = unicodedata.normalize("NFKC", text).lower()
    joined = re.sub(r"(?<=\w)['’ʼ](?=\w)", "", lowered)
    return "".join(" " if unicodedata.category(char).startswith("P") else char for char in joined)


@lru_cache
def _whisper() -> ModuleType:
    """whisper.normalizers, loaded past the package's own __init__, which would import torch and numba."""
    package = importlib.util.find_spec("whisper")
    folder = Path(package.origin).parent / "normalizers" if package and package.origin else Path()
    name = "_whisper_normalizers"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if folder.name != "normalizers" or not folder.is_dir() or spec is None or spec.loader is None:
        raise Unavailable('The whisper normalisers need openai-whisper: run pip install "stt_lab[lab]".')
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NORMALISERS = ("none", "basic", "whisper", "whisper_en")


@lru_cache
def _normaliser(name: str) -> Callable[[str], str]:
    if name == "none":
        return str
    if name == "basic":
        return _basic
    if name not in NORMALISERS:
        raise BadInput(f'The normaliser "{name[:SHOWN]}" is not known: use one of {", ".join(NORMALISERS)}.')
    kind = "EnglishTextNormalizer" if name == "whisper_en" else "BasicTextNormalizer"
    with warnings.catch_warnings(category=ResourceWarning, action="ignore"):  # it leaves its spelling table open
        made: Callable[[str], str] = getattr(_whisper(), kind)()
    return made


def normalise(text: str, name: str) -> str:
    """The text as a metric compares it, its words separated by single spaces.

    none: as written. basic: lowercase without punctuation. whisper, whisper_en: the multilingual and the English
    normaliser of openai-whisper (Radford et al. 2022, appendix C). Raises BadInput for another name.
    """
    return _fold(_normaliser(name)(text))
