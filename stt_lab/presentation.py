"""Present results outside of Python: convert any result to JSON, or to the body of an answer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from typing import Any

from stt_lab.door.input_check import repaired
from stt_lab.transcription import render
from stt_lab.types import Rendering, Transcript

JSON = "application/json"


@dataclass(frozen=True)
class Body:
    """The body of an answer: JSON values, or a text of another media type."""

    content: Any
    media_type: str = JSON
    suffix: str = "json"  # suffix of a file with this content
    in_json: Mapping[str, Any] | None = None  # the text in JSON, for clients that read only JSON

    @property
    def text(self) -> str:
        """Return the content for people: the text itself, or indented JSON."""
        if self.media_type != JSON:
            return str(self.content).rstrip("\n")
        return json.dumps(self.content, ensure_ascii=False, indent=2)


def body(result: Any) -> Body:
    """Make the body of an answer from a result other than a file."""
    if isinstance(result, Body):
        return result
    if not isinstance(result, Rendering):
        return Body(to_json(result))
    if result.media_type == JSON:
        return Body(json.loads(result.text))
    source = render.to_json(result.transcript)
    about = {name: value for name, value in source.items() if name in ("id", "language", "duration")}
    suffix = "txt" if result.format == "text" else result.format
    return Body(result.text, result.media_type, suffix, {"text": result.text, "format": result.format} | about)


def to_json(result: Any) -> Any:
    """Convert any result to JSON values: objects by their fields, times in ISO 8601, transcripts as in the API.

    What JSON in UTF-8 cannot hold is repaired, so that one bad value in the store never breaks the answer around it.
    """
    if isinstance(result, Transcript):
        return render.to_json(result)
    if isinstance(result, Rendering):
        return body(result).content
    if is_dataclass(result) and not isinstance(result, type):
        return {field.name: to_json(getattr(result, field.name)) for field in fields(result)}
    if isinstance(result, Mapping):
        return {repaired(str(name)): to_json(value) for name, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [to_json(value) for value in result]
    return _plain(result)


def _plain(value: Any) -> Any:
    """Convert a value without parts."""
    if isinstance(value, str):
        return repaired(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):  # a damaged row of SQLite, which lets any type into any column
        return value.decode("utf-8", "replace")
    return value.isoformat() if isinstance(value, date) else value
