"""The interface of a system under test: it transcribes one decoded recording, and may diarize it.

Every system gets the same decoded audio (16 kHz, mono, 16 bit), so that recognisers are compared and not media
decoders. Services behind a URL get the file itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stt_lab.errors import BadInput
from stt_lab.lab.data.dataset import Item
from stt_lab.metrics import StreamLog
from stt_lab.settings import Settings
from stt_lab.text import language_code
from stt_lab.types import Audio, Report, Segment, Turn

KNOWN = "known"  # value of `language` and `speakers`: take it from the reference


@dataclass(frozen=True)
class SystemOutput:
    """Output of a system for one recording."""

    text: str | None  # never normalised; None: the system writes no text
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    turns: tuple[Turn, ...] | None = None  # None: the system does not diarize
    stream: StreamLog | None = None  # of a live system: when it said what


class System(Protocol):
    """A recogniser with its settings. After an SttError, `transcribe` can be called again."""

    name: str
    remote: bool  # behind a URL: it gets no warm-up

    def start(self, report: Report) -> None:
        """Load weights. Raises SttError if something is missing; the run then stops."""
        ...

    @property
    def capacity(self) -> int:
        """Number of recordings it processes at once."""
        ...

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput: ...

    def processes(self) -> tuple[int, ...]:
        """Return its pids on this machine, whose memory is measured; () if it runs elsewhere."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return what its results depend on, such as weights and versions; no paths or host names."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class SystemContext:
    """What every system is created with."""

    name: str  # of the system
    settings: Settings
    envs: Path  # folder with a Python environment per engine
    timeout_s: float  # per recording


class SystemConfig(Protocol):
    """The settings of one engine, as in suites.toml."""

    def make(self, context: SystemContext) -> System: ...


def language_setting(setting: str, item: Item) -> str | None:
    """Return the language to request: a code, the reference's language ("known"), or None to detect it."""
    return item.language if setting == KNOWN else language_code(setting)


def speaker_setting(setting: int | str, item: Item) -> int:
    """Return the number of speakers to request; 0 = detect."""
    if setting != KNOWN:
        return int(setting)
    spoken = item.turns if item.turns is not None else item.segments
    if not spoken:
        raise BadInput(
            f"The number of speakers of {item.id!r} is unknown. Add turns to its reference, or set speakers = 0."
        )
    return len({one.speaker for one in spoken})
