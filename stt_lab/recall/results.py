"""Summaries, analyses and documents of stored transcripts: made once, and given again until somebody wants new ones."""

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
    """What `make` makes of a transcript, or made of the same text, names and parameters before, unless `force`.

    `parameters` have the operation and the wanted model; who writes counts, not what he was called.
    """
    source = SourceText.of(library.transcript(account_id, transcript_id))
    if not source.text.strip():
        raise BadInput("Nothing is said in this transcript: choose another one.")
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
    """All that a result can rest on."""
    return [
        source.text,
        source.language,
        [[part.start, part.begin, part.finish, part.speaker] for part in source.segments],
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def located(value: Any, source: SourceText) -> Any:
    """A result of an analysis, with `sources` and `start_time` beside every span in it; times that are known stay."""
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
    """Those of a dictionary itself: as `span`, as `spans`, or as its own start and end."""
    if isinstance(value.get("span"), dict):
        return [value["span"]]
    if isinstance(value.get("spans"), list | tuple):
        return list(value["spans"])
    own = isinstance(value.get("start"), int) and isinstance(value.get("end"), int)
    return [value] if own else []


def _seconds(source: SourceText, spans: list[TextSpan]) -> float | None:
    found = source.time(min(span.start for span in spans))
    return None if found is None else round(found, 2)
