"""Turn sound that is coming into the updates of a stream, and count what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.audio.wav import to_pcm
from stt_lab.engines.pool import Pool
from stt_lab.errors import NoCredits, RateLimited
from stt_lab.streaming.events import Final, LiveEvent
from stt_lab.streaming.live import PIECE, LiveStream
from stt_lab.streaming.session import PACE, Pace
from stt_lab.streaming.updates import LastUpdate, Update
from stt_lab.types import SAMPLE_RATE, Audio, Event, Report, Segment, Transcript
from stt_lab.weights.catalog import Model

if TYPE_CHECKING:
    from stt_lab.types import Samples

POLL_S = 0.05
READ_S = 10  # of a file that are in memory at once


class Command(Enum):
    """What may come between two pieces of sound."""

    FINALIZE = "finalize"  # make final what was said so far
    NOTHING = "nothing"  # no sound came for a moment


Sound = Iterable["Samples | Command"]


@dataclass
class Gauge:
    """How a stream is doing; read while it works."""

    heard: float = 0.0  # seconds of sound that were worked on
    worked: float = 0.0  # seconds of computing for them


@dataclass(frozen=True)
class Live:
    """What a stream needs besides its sound."""

    pool: Pool
    model: Model
    language: str | None
    folder: Path  # for files of this stream
    report: Report
    meter: Callable[[float], None]  # gets the seconds of sound before they are worked on; may raise NoCredits
    recording: Path | None = None  # file for the whole sound (16-bit PCM)
    pace: Pace = PACE
    warnings: tuple[str, ...] = ()
    gauge: Gauge = field(default_factory=Gauge)


def listen_live(live: Live, sound: Sound) -> Iterator[Update]:
    """Yield updates while sound comes, and a LastUpdate when it ends.

    If `meter` raises, what was heard before becomes final first. Other errors end the stream at once.
    """
    stream = LiveStream(live.pool, live.model, live.language, live.folder / "window.pcm", live.report, live.pace)
    said: list[Segment] = []
    with closing(stream):
        try:
            for piece in sound:
                live.report(Event("transcribing"))
                for event in _heard(live, stream, piece):
                    yield _update(event, said)
        except (NoCredits, RateLimited):
            yield from (_update(event, said) for event in stream.finish())
            raise
        yield from (_update(event, said) for event in stream.finish())
        yield LastUpdate(language=stream.session.language, transcript=_transcript(live, stream, said))


def _heard(live: Live, stream: LiveStream, piece: Samples | Command) -> Iterator[LiveEvent]:
    if piece is Command.FINALIZE:
        yield from stream.finalize()
    elif not isinstance(piece, Command):
        live.meter(stream.duration + len(piece) / SAMPLE_RATE)
        if live.recording:
            with live.recording.open("ab") as file:
                file.write(to_pcm(piece))
        for event in stream.push(piece):
            live.gauge.heard, live.gauge.worked = stream.session.now, stream.worked_s
            yield event
        live.gauge.heard, live.gauge.worked = stream.duration, stream.worked_s


def _update(event: LiveEvent, said: list[Segment]) -> Update:
    if isinstance(event, Final):
        said.append(Segment(event.start, event.end, event.text, event.words))
        return Update(event.text, start=event.start, end=event.end, words=event.words, language=event.language)
    return Update(partial=event.text, stable=len(event.stable))


def _transcript(live: Live, stream: LiveStream, said: list[Segment]) -> Transcript:
    language = stream.session.language if said else None
    return Transcript(language, stream.duration, tuple(said), model=live.model.id, warnings=live.warnings)


def sound_of(audio: Audio, real: bool) -> Iterator[Samples | Command]:
    """Yield decoded sound as it would come from a microphone, at its speed or as fast as it is taken."""
    began = time.monotonic()
    for at in range(0, audio.samples, READ_S * SAMPLE_RATE):
        block = audio.read(at, at + READ_S * SAMPLE_RATE)
        for start in range(0, len(block), PIECE):
            while real and (at + start + PIECE) / SAMPLE_RATE > time.monotonic() - began:
                time.sleep(POLL_S)
            yield block[start : start + PIECE]
