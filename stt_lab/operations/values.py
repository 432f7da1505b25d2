"""Values that operations share: the answer to a deletion, and converters for parameters that the command line sends as
text."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Removed:
    """The id of a deleted or revoked object."""

    id: int
    status: str


def as_text(value: object) -> object:
    """Return a number as text; leave every other value unchanged."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_list(value: object) -> object:
    """Split a comma-separated text into a list; leave every other value unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def as_objects(value: object) -> object:
    """Parse a JSON text as a list; leave every other value unchanged. Raises ValueError for invalid JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("it must be a JSON list") from None


def as_mapping(value: object) -> object:
    """Parse a JSON text; leave every other value unchanged. Raises ValueError for invalid JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("it must be a JSON object") from None
