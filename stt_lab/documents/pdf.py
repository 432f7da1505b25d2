"""Make PDF files with Typst in a child process: the text is untrusted, and Typst keeps much memory."""

from __future__ import annotations

import base64
import logging
import re
import sys
import unicodedata
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from stt_lab.child import Child, clean_environ
from stt_lab.documents.content import CREATOR, Document, Name, Paragraph, right_to_left
from stt_lab.errors import SttError

FOLDER = Path(__file__).parent
FONTS = ("HOME", "XDG_", "WINDIR", "USERPROFILE", "LOCALAPPDATA")  # environment variables for finding fonts
LIMIT = 120  # seconds; two hours of speech take 2 s
BY_ITSELF = "\u0e00-\u109f\u1780-\u17ff\u2e80-\ua4ff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U0001f000-\U0003ffff"
UNBROKEN = rf"[^\s{BY_ITSELF}]"  # without a space, or a rule of its script, to break at
LONG_WORD = re.compile(rf"({UNBROKEN}{{30,59}}?)(?=[\w!-~])|({UNBROKEN}{{60}})")  # preferably before a letter
MARKS = 30  # combining marks per letter: more than any language uses (UAX 15), and more would take hours
BREAK = "\u200b"  # zero-width space

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pdf:
    """A PDF file with warnings."""

    content: bytes
    warnings: tuple[str, ...]


def write(document: Document) -> Pdf:
    """Make a PDF. Raises SttError if the typesetter fails, which no text should cause."""
    command = [sys.executable, "-P", "-m", "stt_lab.documents.typesetter"]
    child = Child(command, clean_environ(*FONTS), folder=FOLDER, stderr="keep")
    try:
        child.send(typst_data(document))
        answer = child.receive(LIMIT)
    except EOFError:
        log.error("the typesetter exited with %d: %s", child.process.wait(), child.stderr_tail())
        raise SttError("The PDF could not be made. Export the transcript as docx, and report this error.") from None
    finally:
        child.end()
    if answer is None:
        raise SttError(f"Making the PDF took more than {LIMIT} s. Export the transcript as docx instead.")
    return Pdf(base64.b64decode(answer["content"]), tuple(answer["warnings"]))


# Template data


def typst_data(document: Document) -> dict[str, Any]:
    units = ("year", "month", "day", "hour", "minute", "second")
    return {
        "title": _said(document.title),
        "running": _said(document.running),
        "author": CREATOR,
        "created": {unit: getattr(document.created, unit) for unit in units},
        "language": document.language,
        "rtl": document.rtl,
        "facts": document.facts,
        "names": [_named(name) for name in document.names],
        "notes": [_said(note) for note in document.notes],
        "paragraphs": [_paragraph(paragraph) for paragraph in document.paragraphs],
    }


def _paragraph(paragraph: Paragraph) -> dict[str, Any]:
    made = _said(paragraph.text) | {"time": paragraph.time}
    return made | ({"name": _named(paragraph.name)} if paragraph.name else {})


def _named(name: Name) -> dict[str, Any]:
    return _said(name.text) | {"colour": f"#{name.colour}"}


def _said(text: str) -> dict[str, Any]:
    """Return a text with its direction, and break opportunities in words that are longer than a line."""
    runs = groupby(text, lambda char: unicodedata.category(char)[0] == "M")
    bounded = "".join("".join(islice(run, MARKS) if marks else run) for marks, run in runs)
    return {"text": LONG_WORD.sub(rf"\g<0>{BREAK}", bounded), "rtl": right_to_left(text)}
