"""What operations share: the answer to a removal, and parameters that a command line gives as text."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Removed:
    id: int
    status: str


def texted(value: object) -> object:
    """A text, or a number that stands for one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def listed(value: object) -> object:
    """A list, or its members with commas between them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def mapped(value: object) -> object:
    """An object, or its JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("write it as a JSON object") from None
