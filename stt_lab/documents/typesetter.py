"""The process that sets a PDF: a line of JSON in, the data of transcript.typ; a line out, {"warnings", "content"}.

Typst shapes every script, breaks its lines, and asks nothing of the system. The file is PDF/A-2a and PDF/UA-1, for
archives and for screen readers, where this machine's fonts have all characters. Where they lack some, boxes stand for
those, and a note in the document says what to install.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typst

TEMPLATE = Path(__file__).with_name("transcript.typ")
MEMORY = 2 * 2**30  # bytes; eight hours of speech need 0.4 GB
FONT_WHEELS = ("manimgx_fonts", "manimgx_fonts_cjk")  # Noto fonts from PyPI: only their files are used
CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")  # as names of characters begin
REGIONS = {"ja": "JP", "ko": "KR", "yue": "HK"}  # where Han characters look as readers of a language expect
UNSHOWN = re.compile(r'the text `"((?:[^"\\]|\\.)+)"` could not be displayed')
ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


def main() -> None:
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    content, warnings = typeset(json.loads(sys.stdin.buffer.readline()))
    print(json.dumps({"warnings": warnings, "content": base64.b64encode(content).decode()}), flush=True)


def typeset(data: dict[str, Any]) -> tuple[bytes, list[str]]:
    fonts = _fonts()
    data["fonts"] = _families(set(fonts.families()), set(_texts(data)), data["language"])
    compiler = typst.Compiler(TEMPLATE, font_paths=fonts)
    try:
        return _compile(compiler, data, ["a-2a", "ua-1"]), []
    except typst.TypstError as problem:  # these standards want a glyph for each character
        advice = _advice(UNSHOWN.findall(problem.diagnostic))
    data["notes"] += [{"text": sentence, "rtl": False} for sentence in advice]
    return _compile(compiler, data, []), advice


def _compile(compiler: typst.Compiler, data: dict[str, Any], standards: list[typst.PDFStandard]) -> bytes:
    created = datetime(**data["created"], tzinfo=UTC)
    inputs = {"data": json.dumps(data)}
    made = compiler.compile(sys_inputs=inputs, pdf_standards=standards, timestamp=created)
    assert isinstance(made, bytes)
    return made


def _texts(data: Any) -> str:
    """All strings within, joined."""
    if isinstance(data, dict | list):
        return "".join(map(_texts, data.values() if isinstance(data, dict) else data))
    return data if isinstance(data, str) else ""


@lru_cache
def _fonts() -> typst.Fonts:
    """All fonts of the system, of FONT_WHEELS and of Typst, which itself brings Latin, Greek and Cyrillic ones."""
    found = [find_spec(name) for name in FONT_WHEELS]
    return typst.Fonts(font_paths=[Path(spec.origin).parent for spec in found if spec and spec.origin])


def _families(there: set[str], characters: Iterable[str], language: str) -> list[str]:
    """Fonts in the order in which they are asked for a glyph; all others that there are follow by themselves."""
    scripts = _scripts(characters)
    region = REGIONS.get(language) or ("JP" if "HIRAGANA" in scripts else "KR" if "HANGUL" in scripts else "SC")
    families = [f"Noto {kind} {script.title()}" for script in scripts for kind in ("Sans", "Serif")]
    return [name for name in ("Noto Sans", *families, f"Noto Sans CJK {region}", "Libertinus Serif") if name in there]


def _scripts(characters: Iterable[str]) -> list[str]:
    """As names of characters begin: ARABIC, CJK, LATIN."""
    return sorted({unicodedata.name(char, "UNKNOWN").split()[0] for char in characters if char.isalpha()})


def _advice(unshown: Iterable[str]) -> list[str]:
    """What to install for characters that could not be shown, if there are any."""
    text = ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(unshown))
    if not text:
        return []
    scripts = _scripts(text)
    packages = {"fonts-noto-cjk" if script in CJK else "fonts-noto-core" for script in scripts} or {
        "fonts-noto-color-emoji",
        "fonts-symbola",
    }
    kinds = ", ".join("Chinese, Japanese or Korean" if name in CJK else name.title() for name in scripts)
    return [
        f"Boxes stand for characters of which this server has no font ({kinds[:80] or 'symbols'}): install one and "
        f"export again; on Debian {' and '.join(sorted(packages))} bring them."
    ]


if __name__ == "__main__":
    main()
