"""Turn sound that is coming into the updates of a stream, and count what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.audio.wav import to_pcm
from stt_lab.engines.admission import Gauge
from stt_lab.engines.pool import Pool
from stt_lab.engines.turns import TurnEnd
from stt_lab.errors import NoCredits, RateLimited
from stt_lab.streaming.events import Final, LiveEvent
from stt_lab.streaming.live import PIECE, LiveStream
from stt_lab.streaming.session import PACE, Pace
from stt_lab.streaming.updates import LastUpdate, Ready, Update
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Event, Report, Segment, Span, Transcript
from stt_lab.weights.catalog import Model

if TYPE_CHECKING:
    from stt_lab.types import Samples

POLL_S = 0.02
MINUTE_S = 60.0


class Control(Enum):
    """What may come between two pieces of sound."""

    FINALIZE = "finalize"  # make final what was said so far
    NOTHING = "nothing"  # no sound came for a moment


Sound = Iterable["Samples | Control"]


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
    urgent: bool = True  # whether somebody is speaking now: such streams go before recordings
    gauge: Gauge = field(default_factory=Gauge)
    turns: TurnEnd | None = None  # hears whether somebody has finished; without it, text and silence alone tell


def listen_live(live: Live, sound: Sound) -> Iterator[Update]:
    """Yield Ready once the model is loaded, updates while sound comes, and a LastUpdate when it ends.

    Raises Busy if the machine carries no further stream. If `meter` raises, what was heard before becomes final first.
    Other errors end the stream at once.
    """
    with live.pool.admission.seat(live.model, live.gauge) if live.urgent else live.pool.slot(live.report):
        _load(live)
        yield Ready(model=live.model.id, warnings=live.warnings)
        window = live.folder / "window.pcm"
        with closing(
            LiveStream(
                live.pool, live.model, live.language, window, live.report, live.pace, live.urgent, turns=live.turns
            )
        ) as stream:
            yield from _listened(live, stream, sound)


def _load(live: Live) -> None:
    """Load the model, if it is not loaded yet: recognise a moment of silence."""
    silence = live.folder / "silence.pcm"
    silence.write_bytes(bytes(SAMPLE_RATE // 2 * SAMPLE_BYTES))
    audio, session = Audio(silence, SAMPLE_RATE // 2), time.time() if live.urgent else None
    stretches = (Span(0.0, audio.duration),)
    live.pool.transcribe(
        live.model, audio, live.language or "en", live.report, session=session, stretches=stretches, search="greedy"
    )


def _listened(live: Live, stream: LiveStream, sound: Sound) -> Iterator[Update]:
    said: list[Segment] = []
    with live.recording.open("ab", buffering=0) if live.recording else nullcontext() as recording:
        try:
            for piece in sound:
                live.report(Event("transcribing"))
                for event in _heard(live, stream, piece, recording):
                    yield _update(event, said)
        except (NoCredits, RateLimited):
            yield from (_update(event, said) for event in stream.finish())
            raise
    yield from (_update(event, said) for event in stream.finish())
    made = _transcript(live, stream, said)
    yield LastUpdate(language=made.language, transcript=made)


def _heard(live: Live, stream: LiveStream, piece: Samples | Control, recording: FileIO | None) -> Iterator[LiveEvent]:
    if piece is Control.FINALIZE:
        yield from stream.finalize()
    elif not isinstance(piece, Control):
        for part in _minutes(piece, stream.duration):
            live.meter(stream.duration + len(part) / SAMPLE_RATE)
            if recording:
                recording.write(to_pcm(part))
            for event in stream.push(part):
                stream.show(live.gauge)
                yield event
            stream.show(live.gauge)


def _minutes(piece: Samples, at: float) -> Iterator[Samples]:
    """Split sound that comes at this second where a minute ends: the next one may not be paid for."""
    while len(piece):
        left = max(1, round((MINUTE_S - at % MINUTE_S) * SAMPLE_RATE))
        yield piece[:left]
        at, piece = at + len(piece[:left]) / SAMPLE_RATE, piece[left:]


def _update(event: LiveEvent, said: list[Segment]) -> Update:
    if isinstance(event, Final):
        said.append(Segment(event.start, event.end, event.text))  # without words, of which there may be very many
        return Update(event.text, start=event.start, end=event.end, words=event.words, language=event.language)
    return Update(partial=event.text, stable=len(event.stable))


def _transcript(live: Live, stream: LiveStream, said: list[Segment]) -> Transcript:
    language = stream.session.likely_language if said else None
    return Transcript(language, stream.duration, tuple(said), model=live.model.id, warnings=live.warnings)


def sound_of(audio: Audio, real: bool, piece: int = PIECE) -> Iterator[Samples]:
    """Yield decoded sound in pieces of so many samples, as fast as it is taken; `real`: as it would come from
    a microphone, all that has come since the last piece, and no less than `piece`.
    """
    at, began = 0, time.monotonic()
    while at < audio.samples:
        come = int((time.monotonic() - began) * SAMPLE_RATE) if real else at + piece
        if come - at < piece and come < audio.samples:
            time.sleep(POLL_S)
            continue
        yield audio.read(at, come)
        at = min(come, audio.samples)
