"""Write Chinese in simplified or traditional characters, by OpenCC (opencc.byvoid.com). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from stt_lab.types import Segment, Word

if TYPE_CHECKING:
    from opencc import OpenCC

Script = Literal["Hans", "Hant"]  # ISO 15924
_TAG = re.compile(r"(?:zh|zho|chi|cmn)[-_](?:(hans|cn|sg|my)|(hant|tw|hk|mo))(?:[-_].*)?")
_NAMES: dict[str, Script] = {"简体中文": "Hans", "繁體中文": "Hant", "繁体中文": "Hant"}
_CONFIG = {"Hans": "t2s", "Hant": "s2t"}


def chinese_script(language: str) -> Script | None:
    """Return the script that a language asks for: zh-Hant, zh-TW, 繁體中文; None if it asks for none."""
    wanted = language.strip().lower()
    if found := _TAG.fullmatch(wanted):
        return "Hans" if found[1] else "Hant"
    return _NAMES.get(wanted)


def in_script(text: str, script: Script) -> str:
    """Return a text in a script; words of several characters are looked up before single characters."""
    made: str = _converter(script).convert(text)
    return made


def segments_in_script(segments: Sequence[Segment], script: Script) -> tuple[Segment, ...]:
    """Return segments in a script, with the times of their words."""
    return tuple(
        replace(one, text=in_script(one.text, script), words=tuple(_words(one.words, script))) for one in segments
    )


def _words(words: Sequence[Word], script: Script) -> Iterator[Word]:
    """Yield words in a script. What surrounds a word decides its characters, so all are converted at once, unless that
    changes their length."""
    whole = "".join(word.text for word in words)
    made, start = in_script(whole, script), 0
    same = len(made) == len(whole)
    for word in words:
        end = start + len(word.text)
        yield replace(word, text=made[start:end] if same else in_script(word.text, script))
        start = end


@lru_cache
def _converter(script: Script) -> OpenCC:
    from opencc import OpenCC

    return OpenCC(_CONFIG[script])
