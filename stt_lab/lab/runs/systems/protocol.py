"""What a system under test is: it hears one decoded recording and says what was said, and by whom.

Every system gets the same decoded sound (16 kHz, mono, 16 bit), so a comparison is one of recognisers, not of decoders
of media; services behind a URL get the file itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stt_lab.errors import BadInput
from stt_lab.lab.data.dataset import Item
from stt_lab.settings import Settings
from stt_lab.text import language_code
from stt_lab.types import Audio, Report, Segment, Turn

KNOWN = "known"  # of `language` and `speakers`: a system is told what the reference says


@dataclass(frozen=True)
class Heard:
    """What a system made of a recording."""

    text: str | None  # as it was written, never normalised; None: the system writes nothing
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    turns: tuple[Turn, ...] | None = None  # None: the system does not tell speakers apart


class System(Protocol):
    """A recogniser with its settings. `transcribe` raises SttError where it fails, and can be called again."""

    name: str
    remote: bool  # behind a URL: it is spared what only warms up

    def start(self, report: Report) -> None:
        """Get ready. Raises SttError that says what is missing; nothing is run then."""
        ...

    @property
    def capacity(self) -> int:
        """How many recordings it works on at once."""
        ...

    def transcribe(self, item: Item, audio: Audio, report: Report) -> Heard: ...

    def processes(self) -> tuple[int, ...]:
        """Its processes on this machine, whose memory is measured; () where it works elsewhere."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Weights, versions and whatever else its results depend on; no paths and no names of machines."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Bench:
    """What systems are made with."""

    name: str  # of the system
    settings: Settings
    envs: Path  # folder of further Python environments, by engine
    timeout_s: float  # for one recording


class Kind(Protocol):
    """The settings of one sort of system, as suites.toml has them."""

    def make(self, bench: Bench) -> System: ...


def told_language(wish: str, item: Item) -> str | None:
    """The language that a system is told: a code, that of the reference ("known"), or None to find it out."""
    return item.language if wish == KNOWN else language_code(wish)


def told_speakers(wish: int | str, item: Item) -> int:
    """The number of speakers that a system is told; 0 to find it out."""
    if wish != KNOWN:
        return int(wish)
    spoken = item.turns if item.turns is not None else item.segments
    if not spoken:
        raise BadInput(f"Nobody says how many speak in {item.id!r}: give it turns, or set speakers = 0.")
    return len({one.speaker for one in spoken})
