"""Results of operations as JSON, as in HTTP, which the tab renders and saves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from stt_lab.types import TextSpan
from stt_lab.ui.html import Saved

MARKDOWN, PLAIN = (".md", "text/markdown"), (".txt", "text/plain")
Wire = Mapping[str, Any]


def plain(made: Any) -> Any:
    """Convert a result to JSON values."""
    return TypeAdapter(type(made)).dump_python(made, mode="json")


def saved(answer: Wire, stem: str, what: str, text: str = "", kind: tuple[str, str] = MARKDOWN) -> list[Saved]:
    """Return an answer as files: its text, if any, and its JSON."""
    suffix, media_type = kind
    whole = json.dumps(answer, ensure_ascii=False, indent=2)
    texts = [Saved(f"{stem} {what}{suffix}", media_type, text)] if text else []
    return [*texts, Saved(f"{stem} {what}.json", "application/json", whole)]


def spans(item: Wire) -> list[TextSpan]:
    """Return the spans of an item: its fields `spans`, `span`, or `start` and `end`."""
    found: Sequence[Wire] = item.get("spans") or [item.get("span") or item]
    return [TextSpan(one["start"], one["end"]) for one in found if isinstance(one.get("end"), int)]
