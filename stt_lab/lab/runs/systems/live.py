"""Our own live sessions, which get a recording as it would come from a microphone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.engines.turns import turn_end
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.ours import OwnConfig, OwnSystem
from stt_lab.lab.runs.systems.protocol import SystemContext, SystemOutput, language_setting
from stt_lab.metrics import Clock, StreamLog, StreamUpdate
from stt_lab.streaming.events import Final, LiveEvent
from stt_lab.streaming.live import LiveStream
from stt_lab.streaming.stream import sound_of
from stt_lab.types import Audio, Event, Report, Segment

if TYPE_CHECKING:
    from stt_lab.types import Samples


@dataclass(frozen=True)
class LiveConfig:
    """`engine = "stt_lab-live"`. With the clock "stopped", sound waits while something is computed."""

    model: str  # of the catalog
    language: str = "auto"  # auto, known, or a code
    clock: Clock = "running"

    def make(self, context: SystemContext) -> LiveSystem:
        return LiveSystem(self, context)


class LiveSystem(OwnSystem):
    """A session per recording, with the engines of a file's transcription."""

    def __init__(self, config: LiveConfig, context: SystemContext) -> None:
        super().__init__(OwnConfig(config.model, config.language), context)
        self._live = config

    @property
    def capacity(self) -> int:
        return 1  # streams beside each other would be late because of each other

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput:
        language = language_setting(self._live.language, item)
        self.check_language(language)
        running = self._live.clock == "running"
        clock: Callable[[], float] = time.monotonic if running else lambda: 0.0
        with tempfile.TemporaryDirectory() as folder, self._stream(language, Path(folder), report, clock) as stream:
            updates, segments = _listened(stream, sound_of(audio, running), audio.duration, report, running)
        log = StreamLog(tuple(updates), self._live.clock, None, stream.worked_s, stream.steps, stream.skipped)
        return SystemOutput(log.text, stream.session.likely_language, tuple(segments), stream=log)

    def _stream(
        self, language: str | None, folder: Path, report: Report, clock: Callable[[], float]
    ) -> AbstractContextManager[LiveStream]:
        turns = turn_end(self._settings)
        return closing(LiveStream(self.pool, self.model, language, folder / "sound", report, clock=clock, turns=turns))

    def provenance(self) -> dict[str, Any]:
        return super().provenance() | {"engine": "stt_lab-live", "settings": asdict(self._live)}


def _listened(
    stream: LiveStream, pieces: Iterable[Samples], duration: float, report: Report, running: bool
) -> tuple[list[StreamUpdate], list[Segment]]:
    """Return the updates of a stream and its finals."""
    updates, segments, began = list[StreamUpdate](), list[Segment](), time.monotonic()

    def note(events: Iterable[LiveEvent]) -> None:
        for event in events:
            at = time.monotonic() - began if running else stream.duration
            heard = min(duration, at)
            if isinstance(event, Final):
                segments.append(Segment(event.start, event.end, event.text, event.words))
                updates.append(StreamUpdate(at, heard, event.text, words=event.words))
            else:
                updates.append(StreamUpdate(at, heard, partial=event.text))

    for piece in pieces:
        report(Event("transcribing"))
        note(stream.push(piece))
    note(stream.finish())
    return updates, segments
