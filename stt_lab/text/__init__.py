"""Written language: language codes, ends of sentences, clean text, and normalisers for word error rates.

languages.py  languages of speech, by codes and names
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from stt_lab.cached import cached
from stt_lab.errors import BadInput, Unavailable
from stt_lab.extras import command
from stt_lab.text.languages import ALIASES as ALIASES
from stt_lab.text.languages import LANGUAGES as LANGUAGES
from stt_lab.text.languages import SHOWN as SHOWN
from stt_lab.text.languages import language_code as language_code

# Full stops, question and exclamation marks: Latin, CJK, Arabic, Indic, Armenian, Ethiopic, Burmese, Khmer, Tibetan
SENTENCE_ENDS = frozenset(".?!…‼⁇⁈⁉。．｡？！؟۔।॥։።፧။។៕།")
CLAUSE_ENDS = frozenset(",;:—–、，；：､،؛፣፤၊")
_ABBREVIATIONS = frozenset([  # that end no sentence in any language; `sentences` looks at more
    "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "approx.", "ca.", "cf.", "nr.", "fig.", "jan.",
    "z.b.", "d.h.", "bzw.", "hr.", "mme.", "mlle.", "sr.", "sra.", "srta.", "dra.", "núm.", "pág.", "sig.", "dott.",
    "avv.", "ing.", "dhr.", "mevr.", "bijv.", "blz.", "проф.", "рис.", "стр.",
])  # fmt: skip


def _closes(char: str) -> bool:
    """Return whether a character may follow the mark that ends a sentence: spaces, closing quotes and brackets."""
    return char.isspace() or char in "\"'" or unicodedata.category(char) in ("Pe", "Pf")


def _ending(text: str) -> str:
    """Return the text up to its last character that is not a closing one."""
    end = len(text)
    while end and _closes(text[end - 1]):
        end -= 1
    return text[:end]


def sentence_end(text: str) -> bool:
    """Return whether a sentence ends with this text; closing quotes and brackets may follow the mark.

    Initials ("J.") and a few titles ("Dr.") do not end a sentence.
    """
    body = _ending(text)
    if not body or body[-1] not in SENTENCE_ENDS:
        return False
    last = body.split()[-1].lower()
    return last not in _ABBREVIATIONS and not re.fullmatch(r"[^\W\d_]\.", last)


def clause_end(text: str) -> bool:
    """Return whether a comma or similar mark ends the text: the second-best place to break a line."""
    return _ending(text)[-1:] in CLAUSE_ENDS


# Controls that change the reading direction, and code points that no file may contain
UNWANTED = re.compile("[\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")


def clock(seconds: float) -> str:
    """Format seconds as 1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clean(text: str) -> str:
    """Return a text on one line with single spaces, without control characters, lone surrogates and direction
    overrides."""
    kept = (char for char in text if char.isspace() or unicodedata.category(char) not in ("Cc", "Cs"))
    return " ".join(UNWANTED.sub("", "".join(kept)).split())


def _fold(text: str) -> str:
    return " ".join(text.split())


def _basic(text: str) -> str:
    """Lower-case a text (NFKC); apostrophes within words vanish, other punctuation (categories P*) becomes a space."""
    lowered = unicodedata.normalize("NFKC", text).lower()
    joined = re.sub(r"(?<=\w)['’ʼ](?=\w)", "", lowered)
    return "".join(" " if unicodedata.category(char).startswith("P") else char for char in joined)


@lru_cache
def _whisper() -> ModuleType:
    """Import whisper.normalizers without the package's own __init__, which would import torch and numba."""
    package = importlib.util.find_spec("whisper")
    folder = Path(package.origin).parent / "normalizers" if package and package.origin else Path()
    name = "_whisper_normalizers"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if folder.name != "normalizers" or not folder.is_dir() or spec is None or spec.loader is None:
        raise Unavailable(f"The whisper normalisers need openai-whisper. Run {command('lab')}.")
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
        raise BadInput(f'The normaliser "{name[:SHOWN]}" does not exist. Use one of {", ".join(NORMALISERS)}.')
    kind = "EnglishTextNormalizer" if name == "whisper_en" else "BasicTextNormalizer"
    with warnings.catch_warnings(category=ResourceWarning, action="ignore"):  # it does not close its spelling table
        made: Callable[[str], str] = getattr(_whisper(), kind)()
    return made


# Letters of scripts without spaces between words: Thai and Lao, Burmese, Khmer, kana, Chinese characters
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Table:
    """A custom normaliser: whole words are replaced, ignoring case and all at once, before a named normaliser runs.

    If several entries match, the longest wins. An empty replacement deletes the words.
    """

    pairs: tuple[tuple[str, str], ...]  # from, to
    then: str = "basic"

    def __post_init__(self) -> None:
        if not self.pairs or not all(source.split() for source, _ in self.pairs):
            raise BadInput("The table of replacements is empty. Write a word, a tab and its replacement on each line.")

    @cached
    def digest(self) -> str:
        """First eight digits of the SHA-256 of all replacements, independent of file format and order."""
        content = json.dumps(sorted(self.pairs), ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """Name in scores: "table-3fa9c1d2+whisper_en"."""
        return f"table-{self.digest}+{self.then}"

    @cached
    def _longest_first(self) -> list[tuple[str, str]]:
        return sorted(self.pairs, key=lambda pair: -len(pair[0]))

    @cached
    def _pattern(self) -> re.Pattern[str]:
        """Compile a pattern with one group per entry, so that a match identifies its replacement."""
        return re.compile("|".join(_entry(source) for source, _ in self._longest_first), re.IGNORECASE)

    def replaced(self, text: str) -> str:
        found = self._longest_first
        return self._pattern.sub(lambda match: found[(match.lastindex or 1) - 1][1], unicodedata.normalize("NFC", text))


def _entry(source: str) -> str:
    """Return the expression of an entry: any white space between its words, no letter or digit around them."""
    words = r"\s+".join(map(re.escape, source.split()))
    before = r"(?<!\w)" if _bounded(source[0]) else ""
    after = r"(?!\w)" if _bounded(source[-1]) else ""
    return f"{before}({words}){after}"


def _bounded(char: str) -> bool:
    return bool(re.match(r"\w", char)) and not UNSPACED.match(char)


def read_table(path: Path, then: str = "basic") -> Table:
    """Read a table from a UTF-8 file: lines of from<TAB>to; if named .json, an object or a list of pairs.

    Raises BadInput, with the line or the entry, for an invalid file and for a word with two replacements.
    """
    _normaliser(then)
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The table {path.name} cannot be read as UTF-8. Check its name and encoding.") from error
    entries = _of_json(content, path.name) if path.suffix.lower() == ".json" else _of_lines(content, path.name)
    made: dict[str, tuple[str, str]] = {}
    for where, source, target in entries:
        pair = (unicodedata.normalize("NFC", " ".join(source.split())), " ".join(target.split()))
        if not pair[0]:
            raise BadInput(f"{where} has nothing to replace. Put a word before the tab.")
        if made.setdefault(pair[0].lower(), pair)[1] != pair[1]:
            raise BadInput(f'{where} replaces "{source[:SHOWN]}" again, with another text. Remove one of the two.')
    return Table(tuple(made.values()), then)


def _of_lines(content: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield (where, from, to) for each line."""
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            source, tab, target = line.partition("\t")
            if not tab or "\t" in target:
                raise BadInput(f"Line {number} of {name} is invalid. Write a word, one tab and its replacement.")
            yield f"Line {number} of {name}", source, target


def _of_json(content: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield (where, from, to) for each entry."""
    try:
        read: Any = json.loads(content, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The table {name} is not valid JSON: {error}.") from error
    if not isinstance(read, list):
        raise BadInput(f"The table {name} has the wrong form. Write an object of replacements, or a list of pairs.")
    for number, pair in enumerate(read, 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(side, str) for side in pair):
            raise BadInput(f"Entry {number} of {name} is invalid. Write a pair of texts.")
        yield f"Entry {number} of {name}", *pair


Normaliser: TypeAlias = str | Table


def find_normaliser(spec: str, folder: Path) -> Normaliser:
    """Return a normaliser as settings files write it: a name, or FILE+NAME for a table in `folder` before the named
    one.

    Raises BadInput for unknown names and for files outside the folder.
    """
    file, plus, then = spec.rpartition("+")
    if not plus:
        _normaliser(spec)
        return spec
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BadInput(f"The table {file[:SHOWN]} is outside the folder of the file that names it. Move it there.")
    return read_table(path, then)


def normaliser_name(normaliser: Normaliser) -> str:
    """Return the label for scores: the name; for a table also the digest of its content."""
    return normaliser.name if isinstance(normaliser, Table) else normaliser


def normalise(text: str, normaliser: Normaliser) -> str:
    """Normalize a text for comparison; its words are separated by single spaces.

    none: as written. basic: lower case without punctuation. whisper, whisper_en: the multilingual and the English
    normaliser of openai-whisper (Radford et al. 2022, appendix C). A `Table`: its replacements, then the normaliser it
    names. Raises BadInput for another name.
    """
    if isinstance(normaliser, Table):
        return normalise(normaliser.replaced(text), normaliser.then)
    return _fold(_normaliser(normaliser)(text))
