"""What a live session tells: text that may still change, and text that is final."""

from __future__ import annotations

from dataclasses import dataclass

from stt_lab.types import Word


@dataclass(frozen=True)
class Partial:
    """Text since the last final. Two hypotheses agree on `stable`; `unstable` follows it and may still change."""

    stable: str
    unstable: str
    heard: float  # seconds of sound that the session had when the text was decoded

    @property
    def text(self) -> str:
        return f"{self.stable} {self.unstable}".strip()


@dataclass(frozen=True)
class Final:
    """Text that never changes and never comes again."""

    text: str
    words: tuple[Word, ...]  # times in seconds of the stream
    language: str | None = None

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def end(self) -> float:
        return self.words[-1].end


LiveEvent = Partial | Final
