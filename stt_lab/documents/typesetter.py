"""Child process that makes a PDF: a line of JSON with template data in; a line {"warnings", "content"} out.

Typst shapes every script and breaks its lines without help of the system. The file is PDF/A-2a and PDF/UA-1, for
archives and screen readers, if this machine's fonts contain all characters. Otherwise boxes replace missing characters,
and a note in the document says what to install.
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
FONT_WHEELS = ("manimgx_fonts", "manimgx_fonts_cjk")  # Noto fonts from PyPI; only their files are used
CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")  # prefixes of character names
REGIONS = {
    "ja": "JP",
    "ko": "KR",
    "yue": "HK",
}  # where Han characters have the shapes that readers of a language expect
UNSHOWN = re.compile(r'the text `"((?:[^"\\]|\\.)+)"` could not be displayed')
ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


def main() -> None:
    """Limit memory, read the data, write warnings and PDF."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    content, warnings = typeset(json.loads(sys.stdin.buffer.readline()))
    print(json.dumps({"warnings": warnings, "content": base64.b64encode(content).decode()}), flush=True)


def typeset(data: dict[str, Any]) -> tuple[bytes, list[str]]:
    """Return the PDF and its warnings."""
    fonts = all_fonts()
    data["fonts"] = font_families(set(fonts.families()), set(_texts(data)), data["language"])
    compiler = typst.Compiler(TEMPLATE, font_paths=fonts)
    try:
        return _compile(compiler, data, ["a-2a", "ua-1"]), []
    except typst.TypstError as problem:  # these standards require a glyph for each character
        advice = advise(UNSHOWN.findall(problem.diagnostic))
    data["notes"] += [{"text": sentence, "rtl": False} for sentence in advice]
    return _compile(compiler, data, []), advice


def _compile(compiler: typst.Compiler, data: dict[str, Any], standards: list[typst.PDFStandard]) -> bytes:
    created = datetime(**data["created"], tzinfo=UTC)
    inputs = {"data": json.dumps(data)}
    made = compiler.compile(sys_inputs=inputs, pdf_standards=standards, timestamp=created)
    assert isinstance(made, bytes)
    return made


def _texts(data: Any) -> str:
    """Join all strings in the data."""
    if isinstance(data, dict | list):
        return "".join(map(_texts, data.values() if isinstance(data, dict) else data))
    return data if isinstance(data, str) else ""


@lru_cache
def all_fonts() -> typst.Fonts:
    """Return the fonts of the system, of FONT_WHEELS and of Typst, which contains Latin, Greek and Cyrillic ones."""
    found = [find_spec(name) for name in FONT_WHEELS]
    return typst.Fonts(font_paths=[Path(spec.origin).parent for spec in found if spec and spec.origin])


def font_families(there: set[str], characters: Iterable[str], language: str) -> list[str]:
    """Return fonts in the order in which glyphs are searched; all other installed fonts follow."""
    scripts = _scripts(characters)
    region = REGIONS.get(language) or ("JP" if "HIRAGANA" in scripts else "KR" if "HANGUL" in scripts else "SC")
    families = [f"Noto {kind} {script.title()}" for script in scripts for kind in ("Sans", "Serif")]
    return [name for name in ("Noto Sans", *families, f"Noto Sans CJK {region}", "Libertinus Serif") if name in there]


def _scripts(characters: Iterable[str]) -> list[str]:
    """Return scripts as character names begin: ARABIC, CJK, LATIN."""
    return sorted({unicodedata.name(char, "UNKNOWN").split()[0] for char in characters if char.isalpha()})


def advise(unshown: Iterable[str]) -> list[str]:
    """Return what to install for missing characters, if any."""
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
        f"Boxes replace characters that this server has no font for ({kinds[:80] or 'symbols'}). Install a font, such "
        f"as Debian's {' and '.join(sorted(packages))}, and export again."
    ]


if __name__ == "__main__":
    main()
