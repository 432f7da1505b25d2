"""Turn answers of the API into the values that the same operation returns in Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from stt_lab.errors import SttError
from stt_lab.transcription.render import from_json
from stt_lab.types import Transcript

Wire = Mapping[str, Any]


def value_of(kind: Any, body: Any) -> Any:
    """Parse JSON as a value of an operation's return type. Raises SttError."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(body)
    except ValidationError as problem:
        where = ".".join(map(str, problem.errors()[0]["loc"]))
        raise SttError(
            f"The server's answer is invalid ({where[:80]}). Use the same version of stt_lab on both sides."
        ) from problem


@lru_cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def transcript_of(body: Wire) -> Transcript:
    """Parse a transcript; fields that the API omits (`suppressed` and `turns` without verbose_json) are empty."""
    try:
        return from_json(body)
    except (KeyError, TypeError, ValueError) as problem:
        raise SttError(
            f"The server's transcript is invalid ({problem}). Use the same version of stt_lab on both sides."
        ) from problem
