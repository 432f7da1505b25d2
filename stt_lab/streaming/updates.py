"""What a stream sends to its client, and the JSON of that. See docs/live.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stt_lab.transcription import render
from stt_lab.types import Segment, Transcript, Word


@dataclass(frozen=True)
class Update:
    """New text of a stream. `text` is final: it never changes and never comes again. `partial` may still change."""

    text: str = ""
    partial: str = ""
    stable: int = 0  # characters of `partial` on which two hypotheses agree
    start: float | None = None  # seconds of the stream, of a final
    end: float | None = None
    words: tuple[Word, ...] = ()  # of a final
    language: str | None = None


@dataclass(frozen=True)
class Ready(Update):
    """The beginning of a stream: its model is loaded."""

    model: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LastUpdate(Update):
    """The end of a stream. `text` is final text that was not sent before."""

    transcript: Transcript | None = None


def message(update: Update) -> dict[str, Any]:
    """Return an update as JSON."""
    if isinstance(update, Ready):
        warnings = {"warnings": list(update.warnings)} if update.warnings else {}
        return {"status": "ready", "text": "", "model": update.model} | warnings
    made: dict[str, Any] = {"text": update.text, "partial": update.partial}
    if update.partial:
        made["stable"] = update.stable
    if update.words:
        segment = Segment(update.words[0].start, update.words[-1].end, update.text, update.words)
        made |= {name: value for name, value in render.segment_json(segment).items() if name != "text"}
        made |= {"language": update.language}
    if isinstance(update, LastUpdate):
        made |= {"is_final": True, "final": True} | _ending(update.transcript)
    return made


def from_message(made: Mapping[str, Any]) -> Update:
    """Make an update of the result of `message`. Raises KeyError, TypeError or ValueError for anything else."""
    if made.get("status") == "ready":
        return Ready(model=made.get("model", ""), warnings=tuple(made.get("warnings", ())))
    if made.get("final"):
        whole = {"segments": [], "speakers": [], "language": None, "duration": 0.0} | dict(made)
        transcript = render.from_json(whole)
        words = [Segment(0.0, transcript.duration, made["transcript"])] if made.get("transcript") else []
        return LastUpdate(language=transcript.language, transcript=replace(transcript, segments=tuple(words)))
    if not made.get("words"):
        return Update(made["text"], made.get("partial", ""), made.get("stable", 0))
    found = render.read_segment(made)
    return Update(made["text"], start=found.start, end=found.end, words=found.words, language=made.get("language"))


def _ending(transcript: Transcript | None) -> dict[str, Any]:
    if transcript is None:
        return {}
    whole = render.to_json(transcript)
    kept = {name: whole[name] for name in ("duration", "language", "model", "id", "warnings") if name in whole}
    return {"transcript": whole["text"]} | kept
