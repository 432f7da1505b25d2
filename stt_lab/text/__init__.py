"""Written language: tags of languages, ends of sentences, clean text, and the normalisers of word error rates."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

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


# Controls that turn the reading direction of what follows, and code points that no file may hold
UNWANTED = re.compile("[\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")


def clean(text: str) -> str:
    """On one line, white space of any kind as single spaces; without what could break a file or what is around it:
    control characters, lone surrogates, and controls that turn the direction of reading."""
    kept = (char for char in text if char.isspace() or unicodedata.category(char) not in ("Cc", "Cs"))
    return " ".join(UNWANTED.sub("", "".join(kept)).split())


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


# Letters of scripts that put no spaces between words: Thai and Lao, Burmese, Khmer, kana, Chinese characters
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Table:
    """A normaliser of one's own: whole words replaced, in any case and all at once, before a named normaliser.

    Where several entries fit, the longest wins. An empty replacement leaves the words out.
    """

    pairs: tuple[tuple[str, str], ...]  # from, to
    then: str = "basic"

    def __post_init__(self) -> None:
        if not self.pairs or not all(source.split() for source, _ in self.pairs):
            raise BadInput(
                "A table of replacements needs entries: write a word, a tab and its replacement on each line."
            )

    @cached_property
    def digest(self) -> str:
        """Eight digits of the SHA-256 of what is replaced by what, whatever the file's format and order."""
        content = json.dumps(sorted(self.pairs), ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """How a score names it: "table-3fa9c1d2+whisper_en"."""
        return f"table-{self.digest}+{self.then}"

    @cached_property
    def _longest_first(self) -> list[tuple[str, str]]:
        return sorted(self.pairs, key=lambda pair: -len(pair[0]))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """One group an entry, so that a match tells its replacement."""
        return re.compile("|".join(_entry(source) for source, _ in self._longest_first), re.IGNORECASE)

    def replaced(self, text: str) -> str:
        found = self._longest_first
        return self._pattern.sub(lambda match: found[(match.lastindex or 1) - 1][1], unicodedata.normalize("NFC", text))


def _entry(source: str) -> str:
    """The expression of an entry: spaces of any kind between its words, and no letter or digit around them."""
    words = r"\s+".join(map(re.escape, source.split()))
    before = r"(?<!\w)" if _bounded(source[0]) else ""
    after = r"(?!\w)" if _bounded(source[-1]) else ""
    return f"{before}({words}){after}"


def _bounded(char: str) -> bool:
    return bool(re.match(r"\w", char)) and not UNSPACED.match(char)


def read_table(path: Path, then: str = "basic") -> Table:
    """A table from a file in UTF-8: lines of from<TAB>to, or, named .json, an object or a list of pairs.

    Raises BadInput, naming the line or the entry, for what is neither, and where one word has two replacements.
    """
    _normaliser(then)
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"The table {path.name} cannot be read as a file in UTF-8: check its name and encoding."
        ) from error
    entries = _of_json(content, path.name) if path.suffix.lower() == ".json" else _of_lines(content, path.name)
    made: dict[str, tuple[str, str]] = {}
    for where, source, target in entries:
        pair = (unicodedata.normalize("NFC", " ".join(source.split())), " ".join(target.split()))
        if not pair[0]:
            raise BadInput(f"{where} has nothing to replace: put a word before the tab.")
        if made.setdefault(pair[0].lower(), pair)[1] != pair[1]:
            raise BadInput(f'{where} replaces "{source[:SHOWN]}" a second time and otherwise: leave one of both.')
    return Table(tuple(made.values()), then)


def _of_lines(content: str, name: str) -> Iterator[tuple[str, str, str]]:
    """(where, from, to)"""
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            source, tab, target = line.partition("\t")
            if not tab or "\t" in target:
                raise BadInput(f"Line {number} of {name} is not a word, one tab, and its replacement.")
            yield f"Line {number} of {name}", source, target


def _of_json(content: str, name: str) -> Iterator[tuple[str, str, str]]:
    """(where, from, to)"""
    try:
        read: Any = json.loads(content, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The table {name} is not JSON: {error}.") from error
    if not isinstance(read, list):
        raise BadInput(f"The table {name} must be an object of replacements, or a list of pairs.")
    for number, pair in enumerate(read, 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(side, str) for side in pair):
            raise BadInput(f"Entry {number} of {name} is not a pair of texts.")
        yield f"Entry {number} of {name}", *pair


Normaliser: TypeAlias = str | Table


def find_normaliser(spec: str, folder: Path) -> Normaliser:
    """A normaliser as a file of settings writes it: a name, or FILE+NAME for a table in `folder` before the named one.

    Raises BadInput for unknown names and for files outside the folder.
    """
    file, plus, then = spec.rpartition("+")
    if not plus:
        _normaliser(spec)
        return spec
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BadInput(f"The table {file[:SHOWN]} must lie in the folder of the file that names it.")
    return read_table(path, then)


def normaliser_name(normaliser: Normaliser) -> str:
    """What a score is labelled with: the name, and of a table the digest of its content too."""
    return normaliser.name if isinstance(normaliser, Table) else normaliser


def normalise(text: str, normaliser: Normaliser) -> str:
    """The text as a metric compares it, its words separated by single spaces.

    none: as written. basic: lowercase without punctuation. whisper, whisper_en: the multilingual and the English
    normaliser of openai-whisper (Radford et al. 2022, appendix C). A `Table`: its replacements, then the one that it
    names. Raises BadInput for another name.
    """
    if isinstance(normaliser, Table):
        return normalise(normaliser.replaced(text), normaliser.then)
    return _fold(_normaliser(normaliser)(text))
