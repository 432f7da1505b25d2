"""Names that people give: of speakers, titles and tags, as one printable line. Pure."""

from __future__ import annotations

import unicodedata

from stt_lab.errors import BadInput
from stt_lab.text.languages import SHOWN

NAME = 120  # characters of a speaker's name
TAG, MOST_TAGS = 40, 20  # characters of a tag; tags of a transcript
JOINERS = "\u200c\u200d"  # part of names in Persian and Indic scripts


def is_printable(char: str) -> bool:
    return char.isprintable() or char in JOINERS


def speaker_name(value: object) -> str:
    """Return a speaker's name without surrounding spaces. Raises BadInput."""
    tidy = _line(value, NAME)
    if tidy is None:
        raise BadInput(f"The speaker's name is empty, too long or not printable. Use 1 to {NAME} printable characters.")
    return tidy


def tag_list(values: object) -> list[str]:
    """Return tags in their order, each once, without surrounding spaces. Raises BadInput."""
    given = values if isinstance(values, list | tuple) else [values]
    made: dict[str, None] = {}
    for value in given:
        tag = _line(value, TAG)
        if tag is None:
            raise BadInput(f'The tag "{str(value)[:SHOWN]}" cannot be used. Use 1 to {TAG} printable characters.')
        made[tag] = None
    if len(given) > MOST_TAGS:
        raise BadInput(f"There are {len(given)} tags; the limit is {MOST_TAGS}. Send fewer.")
    return list(made)


def _line(value: object, most: int) -> str | None:
    """Return a text without surrounding spaces (NFC); None if it is empty, too long or not printable."""
    tidy = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    return tidy if 1 <= len(tidy) <= most and all(map(is_printable, tidy)) else None
