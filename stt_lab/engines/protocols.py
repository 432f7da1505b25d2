"""What an engine is: a few attributes and one method. See DESIGN in docs/architecture.md.

A constructor only stores its arguments; `load()` reads weights; `unload()` frees them and may be called
at any time; a call after it loads again. `report` takes progress and raises `Cancelled` when the caller
has given up, so an engine reports at least every few seconds of work and needs no other means of cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from stt_lab.types import Audio, Diarization, Event, Recognition

Report = Callable[[Event], None]
Goal = Literal["transcribe", "translate"]  # what is written: what was said, or that in English


def silent(event: Event) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class Placement:
    """Where and with what an engine runs."""

    folder: Path  # of the weights
    model: str  # id in the catalog
    device: str = "cpu"  # "cpu" or "cuda"
    threads: int = 1
    extra: tuple[tuple[str, Path], ...] = ()  # further folders by model id, such as an embedding model's


class Engine(Protocol):
    """Common to all engines."""

    placement: Placement

    def load(self) -> None: ...

    def unload(self) -> None: ...


@runtime_checkable
class Transcriber(Engine, Protocol):
    """Sound to text."""

    languages: tuple[str, ...]  # ISO 639-1 codes
    supports_words: bool

    def transcribe(self, audio: Audio, language: str | None, report: Report, goal: Goal = "transcribe") -> Recognition:
        """Segments with word times, monotone and inside the audio; `language` is the spoken one, None detects it."""
        ...


@runtime_checkable
class Diarizer(Engine, Protocol):
    """Who speaks when."""

    def diarize(self, audio: Audio, speakers: int, report: Report) -> Diarization:
        """Turns of `speakers` speakers; 0 finds the number out."""
        ...
