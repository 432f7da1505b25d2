"""WhisperLiveKit, which streams over a WebSocket of its own shape; its server runs in a child process.

Each of its messages has all text so far: `lines` is settled, `buffer_transcription` may still change. A log has what
became settled since the message before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stt_lab.errors import SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.child import PROGRAMS, ChildSystem, ExternalConfig
from stt_lab.lab.runs.systems.live_web import OPEN_S, StreamListener
from stt_lab.lab.runs.systems.protocol import System, SystemContext, SystemOutput, language_setting
from stt_lab.types import Audio, Report


@dataclass(frozen=True)
class WhisperLiveKit(ExternalConfig):
    """`engine = "whisperlivekit"`. `options` are those of its command line."""

    engine: ClassVar[str] = "whisperlivekit"

    def make(self, context: SystemContext) -> System:
        return LiveKitSystem(self, context, PROGRAMS[self.engine])


class LiveKitSystem(ChildSystem):
    """The driver serves; each recording is a stream to its server."""

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput:
        from websockets.exceptions import InvalidHandshake
        from websockets.sync.client import connect

        language = language_setting(self._config.language, item)
        with self._turn:
            child = self._ready(report)
            request = {"sound": str(audio.path), "language": language}
            url = child.ask(request, self._context.timeout_s, report)["url"]
            try:
                with connect(url, compression=None, open_timeout=OPEN_S, max_size=None) as connection:
                    return LiveKitListener(connection, audio, report).output(language)
            except (OSError, TimeoutError, InvalidHandshake) as problem:
                raise Unavailable(f"Its server did not answer ({type(problem).__name__}). Try again.") from None


@dataclass
class LiveKitListener(StreamListener):
    """A stream of WhisperLiveKit's server."""

    stop: ClassVar[str | bytes] = b""
    settled: list[str] = field(default_factory=list)
    partial: str = ""

    def take(self, made: Mapping[str, Any]) -> None:
        if made.get("error"):
            raise SttError(f"The service answered: {str(made['error'])[:300]}")
        if self.began is None:
            self.begin()
        if made.get("type") == "ready_to_stop":
            self.transcript = " ".join(self.settled)
            if self.partial:
                self.note("", "", ())
            self.ended.set()
        elif "lines" in made:
            self._state(made)

    def _state(self, made: Mapping[str, Any]) -> None:
        words = " ".join(str(line.get("text") or "") for line in made["lines"]).split()
        new, partial = words[len(self.settled) :], str(made.get("buffer_transcription") or "").strip()
        if new or partial != self.partial:
            self.note(" ".join(new), partial, ())
        self.settled, self.partial = words, partial
