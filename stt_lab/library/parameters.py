"""What callers give: checked, and as it is stored or looked for."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime, time

from stt_lab.errors import BadInput
from stt_lab.store.models import JOB_STATES
from stt_lab.text import SHOWN, language_code

MOST, FARTHEST = 100, 10**9  # results at once; offset
TITLE, NAME = 255, 120  # characters
SLUG_WORDS = 50  # characters
SLUG_END = 8  # random ones, of 30: 39 bits
ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no 0 and o, 1 and l, i and u
NUMBER, SLUG = re.compile("[0-9]{1,18}"), re.compile("[a-z0-9-]{1,60}")
JOINERS = "\u200c\u200d"  # belong to names in Persian and Indic scripts


def check_window(limit: int, offset: int) -> None:
    if not 1 <= limit <= MOST:
        raise BadInput(f"The limit {limit} is out of range: ask for 1 to {MOST} results at once.")
    if not 0 <= offset <= FARTHEST:
        raise BadInput(f"The offset {offset} is out of range: use 0 to {FARTHEST}.")


def key(id_or_slug: int | str) -> int | str | None:
    """A transcript's number or slug; None for what can be neither."""
    text = str(id_or_slug)
    return int(text) if NUMBER.fullmatch(text) else text if SLUG.fullmatch(text) else None


def status(value: str | None) -> str | None:
    if value and value not in JOB_STATES:
        raise BadInput(f'The status "{value[:SHOWN]}" is not known: use one of {", ".join(JOB_STATES)}.')
    return value or None


def language(value: str | None) -> str | None:
    code = language_code(value) if value else None
    if value and code is None:
        raise BadInput("A list has languages by name only: use a code such as en, or leave the language out.")
    return code


def moment(name: str, value: str | date | None) -> datetime | None:
    """The first moment of a day, or the last one of `date_to`."""
    if not value:
        return None
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value)
    except ValueError:
        raise BadInput(f'{name} "{str(value)[:SHOWN]}" is not a day: write it like 2026-03-31.') from None
    return datetime.combine(day, time.max if name == "date_to" else time.min, UTC)


def name(value: str) -> str:
    """A speaker's name without outer spaces."""
    tidy = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    if not 1 <= len(tidy) <= NAME or not all(map(_is_printable, tidy)):
        raise BadInput(f"A speaker's name has 1 to {NAME} printable characters.")
    return tidy


def title(value: str) -> str:
    return "".join(char for char in " ".join(value.split()) if _is_printable(char))[:TITLE].strip() or "Untitled"


def check_known(names: Iterable[str], known: Iterable[str]) -> None:
    known = tuple(known)
    wrong = [name for name in names if name not in known]
    if wrong:
        choice = f"use one of {', '.join(known)}" if known else "this transcript names no speakers"
        raise BadInput(f'The speaker "{wrong[0][:SHOWN]}" is not known: {choice}.')


def _is_printable(char: str) -> bool:
    return char.isprintable() or char in JOINERS


def slug(title: str) -> str:
    """Words of the title in ASCII, and what nobody guesses."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", plain))[:SLUG_WORDS].rstrip("-") or "transcript"
    return f"{words}-{''.join(secrets.choice(ALPHABET) for _ in range(SLUG_END))}"
