"""English word lists of english.toml, as sets and as regular expressions."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path


@lru_cache
def _table() -> dict[str, dict[str, str | list[str]]]:
    return tomllib.loads(Path(__file__).with_name("english.toml").read_text("utf-8"))


def _listed(section: str, name: str) -> list[str]:
    found = _table()[section][name]
    return found.split() if isinstance(found, str) else found


def words(section: str, name: str) -> frozenset[str]:
    """Return a word list as a set."""
    return frozenset(_listed(section, name))


def either(section: str, name: str) -> str:
    """Return a regular expression for any word of a list; any spaces match between words, and any apostrophe or
    none."""
    longest = sorted(_listed(section, name), key=lambda one: (-len(one), one))
    plain = (r"\s+".join(map(re.escape, one.split())).replace("'", "['’]?") for one in longest)
    return f"(?:{'|'.join(plain)})"
