"""A live session on a machine: sound goes to a file, voice activity is heard here, and the pool decodes the steps.

The file holds the last minutes only: what is final is dropped from it, however long the stream is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from stt_lab.audio.wav import to_pcm
from stt_lab.engines.activity import BLOCK_S, VoiceActivity
from stt_lab.engines.admission import Gauge
from stt_lab.engines.pool import Pool
from stt_lab.engines.turns import HEARD_S, TurnEnd
from stt_lab.streaming.context import CONTEXT_S, window_in_time
from stt_lab.streaming.events import LiveEvent
from stt_lab.streaming.session import PACE, VOICE, Pace, Session, Step
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Recognition, Report, Span
from stt_lab.weights.catalog import Model

if TYPE_CHECKING:
    from stt_lab.types import Samples

PIECE = SAMPLE_RATE // 10  # samples that are heard between two looks at what is due
KEPT_S = 60.0  # of final sound in the file, after which it is written anew without that
PARTIALS_LATER_S = 1.0  # by which a partial may wait longer for its turn than a final
BUSY = 0.5  # share of the time that partials of one stream may take, where there are only two
LEAST = 0.5  # share of their work for partials that is left where a machine is full
COSTS, SHORT_S = 5, 2.0  # finals whose cost is looked at, and seconds below which a stretch costs no less
BEHIND_S = 1.5  # seconds of sound that wait; with more, partials are skipped until it is made up


class LiveStream:
    """Speech that is coming. `push` and `finish` yield events as they happen; both work in the caller's thread.

    The file `path` belongs to the caller (16-bit PCM). `urgent` steps go before recordings. `clock` says how long
    partials take; one that stands still lets them take no time.
    """

    def __init__(
        self,
        pool: Pool,
        model: Model,
        language: str | None,
        path: Path,
        report: Report,
        pace: Pace = PACE,
        urgent: bool = True,
        clock: Callable[[], float] = time.monotonic,
        turns: TurnEnd | None = None,
    ) -> None:
        self.session = Session(pace, BLOCK_S)
        self.session.language = language
        self.steps = self.skipped = 0
        self.worked_s = self._voiced = 0.0  # seconds of computing, and of sound with a voice
        self._partials_s = 0.0  # seconds of computing for partials
        self._costs = deque[float](maxlen=COSTS)  # of the last finals: seconds of computing for each of sound
        self._pool, self._model, self._path, self._report = pool, model, path, report
        self._urgent, self._clock, self._turns = urgent, clock, turns
        self._voice, self._samples = VoiceActivity(), 0
        self._dropped = 0  # samples that are not in the file any more
        self._rest_until = 0.0  # second of the stream before which no further partial begins
        self._file = path.open("wb+")

    @property
    def duration(self) -> float:
        """Seconds of sound so far."""
        return self._samples / SAMPLE_RATE

    def push(self, samples: Samples) -> Iterator[LiveEvent]:
        """Hear float32 samples of SAMPLE_RATE, shape (n,)."""
        for at in range(0, len(samples), PIECE):
            piece = samples[at : at + PIECE]
            self._file.write(to_pcm(piece))
            self._samples += len(piece)
            voice = self._voice.push(piece)
            self._voiced += BLOCK_S * sum(one >= VOICE for one in voice)
            self.session.hear(voice)
            if self._turns and self.session.asks_turn:
                self.session.hear_turn(self._turns.probability(self._last(HEARD_S)))
            yield from self.session.due()
            step = self.session.wanted()
            if step and not step.final and (len(samples) - at) / SAMPLE_RATE > BEHIND_S:
                self.skipped += 1
            elif step and (step.final or self.session.now >= self._rest_until):
                yield from self._decode(step)
        self._drop()

    def show(self, gauge: Gauge) -> None:
        """Say how this stream is doing."""
        gauge.heard, gauge.voiced, gauge.worked = self.session.now, self._voiced, self.worked_s
        gauge.needed = self.worked_s - (1 - LEAST) * self._partials_s

    def finalize(self) -> Iterator[LiveEvent]:
        """Make final what was said so far."""
        self.session.force()
        yield from self.session.due()
        while not self.session.idle and (step := self.session.wanted()):
            yield from self._decode(step)

    def finish(self) -> Iterator[LiveEvent]:
        """End the stream: the last words become final."""
        self.session.hear(self._voice.push_silence(SAMPLE_RATE // 2))
        yield from self.finalize()
        self.close()

    def close(self) -> None:
        """Close the file of the sound."""
        self._file.close()

    def _decode(self, step: Step) -> Iterator[LiveEvent]:
        while True:
            began = self._clock()
            events, again = self.session.answer(step, self._recognise(step))
            if not step.final:
                busy = BUSY * min(1.0, 2 / max(1, self._pool.admission.open))
                self._rest_until = step.heard + (self._clock() - began) / busy
            yield from events
            if again is None:
                return
            step = again

    def _recognise(self, step: Step) -> Recognition:
        self._file.flush()
        base = self._dropped / SAMPLE_RATE
        end = min(step.stretch.end, self.duration) - base
        found = self._pool.transcribe(
            self._model,
            Audio(self._path, self._samples - self._dropped),
            self.session.language,
            self._report,
            session=time.time() + (0.0 if step.final else PARTIALS_LATER_S) if self._urgent else None,
            stretches=(Span(min(max(0.0, step.stretch.start - base), end), end),),
            search="greedy" if not step.final else "padded" if step.padded else "beam",
        )
        self.steps += 1
        self.worked_s += found.provenance.elapsed
        self._partials_s += 0.0 if step.final else found.provenance.elapsed
        if step.final and not step.padded and self._urgent:
            self._costs.append(found.provenance.elapsed / max(step.stretch.duration, SHORT_S))
            self.session.window_s = window_in_time(median(self._costs))
        return _later(found, base) if base else found

    def _last(self, seconds: float) -> Samples:
        """Return the last seconds of the sound, as far as they are in the file."""
        self._file.flush()
        count = self._samples - self._dropped
        return Audio(self._path, count).read(max(0, count - int(seconds * SAMPLE_RATE)), count)

    def _drop(self) -> None:
        """Drop sound that is final from the file, if that is much."""
        final = int(max(0.0, self.session.cut - CONTEXT_S)) * SAMPLE_RATE
        if final - self._dropped < KEPT_S * SAMPLE_RATE:
            return
        self._file.seek((final - self._dropped) * SAMPLE_BYTES)
        rest = self._file.read()
        self._file.seek(0)
        self._file.write(rest)
        self._file.truncate()
        self._dropped = final


def _later(found: Recognition, seconds: float) -> Recognition:
    """Return what was recognised, later by so many seconds."""
    moved = tuple(
        replace(
            segment,
            start=segment.start + seconds,
            end=segment.end + seconds,
            words=tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words),
        )
        for segment in found.segments
    )
    return replace(found, segments=moved)
