"""Check parameters of callers, and convert them to what is stored or searched for."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime, time

from stt_lab.errors import BadInput
from stt_lab.store.models import JOB_STATES
from stt_lab.store.transcripts import NEWEST, SORTS
from stt_lab.text import SHOWN, language_code
from stt_lab.text.names import is_printable

MOST, FARTHEST = 100, 10**9  # results per page; largest offset
TITLE = 255  # characters
SLUG_WORDS = 50  # characters
SLUG_END = 8  # random characters out of 30: 39 bits
ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # without look-alikes: 0 and o, 1 and l, i and u
NUMBER, SLUG = re.compile("[0-9]{1,18}"), re.compile("[a-z0-9-]{1,60}")


def check_window(limit: int, offset: int) -> None:
    """Raise BadInput for a limit or an offset out of range."""
    if not 1 <= limit <= MOST:
        raise BadInput(f"The limit {limit} is out of range. Use 1 to {MOST}.")
    if not 0 <= offset <= FARTHEST:
        raise BadInput(f"The offset {offset} is out of range. Use 0 to {FARTHEST}.")


def key(id_or_slug: int | str) -> int | str | None:
    """Return the number or the slug of a transcript; None for anything else."""
    text = str(id_or_slug)
    return int(text) if NUMBER.fullmatch(text) else text if SLUG.fullmatch(text) else None


def status(value: str | None) -> str | None:
    """Return a job status, or None for no filter. Raises BadInput."""
    if value and value not in JOB_STATES:
        raise BadInput(f'The status "{value[:SHOWN]}" does not exist. Use one of {", ".join(JOB_STATES)}.')
    return value or None


def language(value: str | None) -> str | None:
    """Return the code of a language, or None for no filter. Raises BadInput."""
    code = language_code(value) if value else None
    if value and code is None:
        raise BadInput("The language 'auto' cannot be a filter. Use a code such as en, or omit the language.")
    return code


def sort(value: str | None) -> str:
    """Return an order of a list; newest first without one. Raises BadInput."""
    if value and value.removeprefix("-") not in SORTS:
        raise BadInput(f'The order "{value[:SHOWN]}" does not exist. Use one of {", ".join(SORTS)}, or -{NEWEST[1:]}.')
    return value or NEWEST


def moment(name: str, value: str | date | None) -> datetime | None:
    """Return the first moment of a day (UTC), or the last one for `date_to`. Raises BadInput."""
    if not value:
        return None
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value)
    except ValueError:
        raise BadInput(f'The {name} "{str(value)[:SHOWN]}" is not a date. Write it like 2026-03-31.') from None
    return datetime.combine(day, time.max if name == "date_to" else time.min, UTC)


def title(value: str) -> str:
    """Return a title on one line, printable and not empty."""
    return "".join(char for char in " ".join(value.split()) if is_printable(char))[:TITLE].strip() or "Untitled"


def check_known(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput for a name that is not among the known speakers."""
    known = tuple(known)
    wrong = [name for name in names if name not in known]
    if wrong:
        choice = f"Use one of {', '.join(known)}." if known else "This transcript has no speakers."
        raise BadInput(f'The speaker "{wrong[0][:SHOWN]}" was not found. {choice}')


def slug(title: str) -> str:
    """Make a slug: words of the title in ASCII, and random characters."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", plain))[:SLUG_WORDS].rstrip("-") or "transcript"
    return f"{words}-{''.join(secrets.choice(ALPHABET) for _ in range(SLUG_END))}"
