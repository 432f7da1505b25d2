"""Summaries, analyses and documents of stored transcripts: made once, then returned until something changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from stt_lab.errors import BadInput
from stt_lab.library import Library
from stt_lab.library.results import ResultKey
from stt_lab.types import TextSpan
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.writer import Writer, writer

T = TypeVar("T")


def made(
    library: Library,
    tools: Tools,
    account_id: int,
    transcript_id: int,
    parameters: Mapping[str, Any],
    kind: type[T],
    make: Callable[[Writer, SourceText], T],
    force: bool = False,
) -> T:
    """Return the stored result for the same text, names and parameters, or make and store it.

    `parameters` contain the operation and the requested model; the key uses the writer that it resolves to. `force`
    always makes a new result. Raises BadInput for a transcript without speech.
    """
    source = SourceText.of(library.transcript(account_id, transcript_id))
    if not source.text.strip():
        raise BadInput("This transcript contains no speech.")
    who = writer(tools, str(parameters["model"]))
    key = _digest(dict(parameters) | {"model": who.model})
    asked = ResultKey(transcript_id, str(parameters["operation"]), _digest(_said(source)), key)
    adapter = TypeAdapter[T](kind)
    kept = None if force else library.results.get(asked)
    if kept is not None:
        return adapter.validate_python(kept)
    result = make(who, source)
    library.results.put(asked, who.model, adapter.dump_python(result, mode="json"))
    return result


def _said(source: SourceText) -> list[Any]:
    """Return everything that a result can depend on."""
    return [
        source.text,
        source.language,
        [[part.start, part.begin, part.finish, part.speaker] for part in source.segments],
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def located(value: Any, source: SourceText) -> Any:
    """Add `sources` and `start_time` (seconds) to every object with a span in a result; a known `start_time` stays."""
    if isinstance(value, list | tuple):
        return [located(one, source) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: one if name in ("span", "spans") else located(one, source) for name, one in value.items()}
    spans = [TextSpan(span["start"], span["end"]) for span in _spans(value)]
    if not spans:
        return inner
    return {"start_time": _seconds(source, spans)} | inner | {"sources": list(source.segment_orders(spans))}


def _spans(value: Mapping[str, Any]) -> list[Mapping[str, int]]:
    """Return the spans of an object itself: `span`, `spans`, or its own start and end."""
    if isinstance(value.get("span"), dict):
        return [value["span"]]
    if isinstance(value.get("spans"), list | tuple):
        return list(value["spans"])
    own = isinstance(value.get("start"), int) and isinstance(value.get("end"), int)
    return [value] if own else []


def _seconds(source: SourceText, spans: list[TextSpan]) -> float | None:
    found = source.time(min(span.start for span in spans))
    return None if found is None else round(found, 2)
