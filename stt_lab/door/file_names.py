"""Read the client's name of an uploaded file from the Content-Disposition of its part.

Clients write names that are not ASCII in four ways: raw UTF-8 (browsers, curl), `filename*=UTF-8''...` (RFC 5987),
percent-encoding, and a MIME word such as `=?utf-8?B?...?=` (.NET). Pure.
"""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

from stt_lab.door.input_check import decode

LONGEST = 255  # characters
CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "us-ascii": "ascii"}
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
EXTENDED = re.compile(rb"filename\*=([^']*)'[^']*'(.*)", re.DOTALL | re.IGNORECASE)
MIME_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?[^?]*\?=", re.IGNORECASE)
PERCENT = re.compile("%[0-9a-f]{2}", re.IGNORECASE)


def has_file_name(disposition: bytes) -> bool:
    """Return whether a part is a file."""
    return b"filename" in disposition.lower()


def file_name(disposition: bytes, plain: bytes) -> str:
    """Return the last part of a file's name, without control characters; "" without one.

    `plain` is the value of the parameter `filename`. `filename*` wins over it. Raises BadInput if `plain` is not UTF-8.
    """
    name = _extended(disposition)
    if name is None:
        name = _decoded(decode(plain, "The name of the file"))
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable()).strip()[:LONGEST]


def _extended(disposition: bytes) -> str | None:
    """Return the value of `filename*`; None if it is missing or broken."""
    for part in QUOTED.sub(b"", disposition).split(b";"):
        found = EXTENDED.fullmatch(b"=".join(side.strip() for side in part.split(b"=", 1)))
        charset = CHARSETS.get(found[1].decode("latin-1").lower()) if found else None
        if found and charset:
            try:
                return unquote_to_bytes(found[2]).decode(charset)
            except UnicodeDecodeError:
                return None
    return None


def _decoded(name: str) -> str:
    """Decode MIME words and percent-encoding. Text that is not encoded completely and as UTF-8 stays unchanged."""
    words = name.split()
    if words and all(MIME_WORD.fullmatch(word) for word in words):
        try:
            return str(make_header(decode_header(name)))
        except (HeaderParseError, LookupError, ValueError):
            return name
    if "%" in name and name.count("%") == len(PERCENT.findall(name)):
        try:
            return unquote_to_bytes(name).decode("utf-8")
        except UnicodeDecodeError:
            return name
    return name
