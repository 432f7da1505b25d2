"""Summaries, analyses and documents of stored transcripts: made once, and given again until somebody wants new ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from stt_lab.errors import BadInput
from stt_lab.library import Library
from stt_lab.library.kept import Asked
from stt_lab.types import TextSpan
from stt_lab.writing.script import Script
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
    make: Callable[[Writer, Script], T],
    force: bool = False,
) -> T:
    """What `make` makes of a transcript, or made of the same text, names and parameters before, unless `force`.

    `parameters` have the operation and the wanted model; who writes counts, not what he was called.
    """
    script = Script.of(library.transcript(account_id, transcript_id))
    if not script.text.strip():
        raise BadInput("Nothing is said in this transcript: choose another one.")
    who = writer(tools, str(parameters["model"]))
    key = _digest(dict(parameters) | {"model": who.model})
    asked = Asked(transcript_id, str(parameters["operation"]), _digest(_said(script)), key)
    adapter = TypeAdapter[T](kind)
    kept = None if force else library.kept.get(asked)
    if kept is not None:
        return adapter.validate_python(kept)
    result = make(who, script)
    library.kept.put(asked, who.model, adapter.dump_python(result, mode="json"))
    return result


def _said(script: Script) -> list[Any]:
    """All that a result can rest on."""
    return [
        script.text,
        script.language,
        [[part.start, part.begin, part.finish, part.speaker] for part in script.parts],
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def located(value: Any, script: Script) -> Any:
    """A result of an analysis, with `sources` and `start_time` beside every span in it; times that are known stay."""
    if isinstance(value, list | tuple):
        return [located(one, script) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: one if name in ("span", "spans") else located(one, script) for name, one in value.items()}
    spans = [TextSpan(span["start"], span["end"]) for span in _spans(value)]
    if not spans:
        return inner
    return {"start_time": _seconds(script, spans)} | inner | {"sources": list(script.sources(spans))}


def _spans(value: Mapping[str, Any]) -> list[Mapping[str, int]]:
    """Those of a dictionary itself: as `span`, as `spans`, or as its own start and end."""
    if isinstance(value.get("span"), dict):
        return [value["span"]]
    if isinstance(value.get("spans"), list | tuple):
        return list(value["spans"])
    own = isinstance(value.get("start"), int) and isinstance(value.get("end"), int)
    return [value] if own else []


def _seconds(script: Script, spans: list[TextSpan]) -> float | None:
    found = script.time(min(span.start for span in spans))
    return None if found is None else round(found, 2)
