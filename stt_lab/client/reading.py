"""Answers of the API as the values that the same operation returns in Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from stt_lab.errors import SttError
from stt_lab.types import Provenance, Segment, Suppressed, Transcript, Turn, Word

Wire = Mapping[str, Any]


def value_of(kind: Any, body: Any) -> Any:
    """JSON as a value of an operation's return type."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(body)
    except ValidationError as problem:
        where = ".".join(map(str, problem.errors()[0]["loc"]))
        raise SttError(
            f"The server's answer is not understood ({where[:80]}): use the same version of stt_lab on both sides."
        ) from problem


@lru_cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def transcript_of(body: Wire) -> Transcript:
    """A transcript of the API; what it does not tell (suppressed and turns without verbose_json) is empty."""
    try:
        return Transcript(
            language=body["language"],
            duration=body["duration"],
            segments=tuple(map(_segment, body["segments"])),
            speakers=tuple(body["speakers"]),
            model=body.get("model", ""),
            warnings=tuple(body.get("warnings", ())),
            suppressed=tuple(Suppressed(**item) for item in body.get("suppressed", ())),
            turns=tuple(Turn(**item) for item in body.get("turns", ())),
            provenance=tuple(Provenance(**item) for item in body.get("provenance", ())),
            id=body.get("id"),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise SttError(
            f"The server's transcript is not understood ({problem}): use the same version of stt_lab on both sides."
        ) from problem


def _segment(body: Wire) -> Segment:
    text, words = body["text"], body["words"]
    written = _written(text, [word["word"] for word in words])
    return Segment(
        body["start"],
        body["end"],
        text,
        tuple(
            Word(word["start"], word["end"], as_written, word.get("confidence"), word.get("speaker"))
            for word, as_written in zip(words, written, strict=True)
        ),
        body.get("speaker"),
    )


def _written(text: str, words: list[str]) -> list[str]:
    """Each word as the text has it, with its space and punctuation: together they are the text again."""
    cuts, end = [], 0
    for word in words:
        start = text.find(word, end)
        if start < 0:  # the text has it otherwise
            return [f" {word}" for word in words]
        cuts.append(max((i for i in range(end, start) if text[i].isspace()), default=start))
        end = start + len(word)
    parts = [text[start:stop] for start, stop in pairwise([0, *cuts[1:], len(text)])]
    return [f" {parts[0]}", *parts[1:]] if words else []
