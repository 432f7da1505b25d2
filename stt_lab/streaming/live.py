"""A live session on a machine: sound goes to a file, voice activity is heard here, and the pool decodes the steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stt_lab.engines.activity import BLOCK_S, VoiceActivity
from stt_lab.engines.pool import Pool
from stt_lab.streaming.events import LiveEvent
from stt_lab.streaming.session import PACE, Pace, Session, Step
from stt_lab.types import SAMPLE_RATE, Audio, Recognition, Report, Span
from stt_lab.weights.catalog import Model

if TYPE_CHECKING:
    from stt_lab.types import Samples

PIECE = SAMPLE_RATE // 10  # samples that are heard between two looks at what is due
BEHIND_S = 1.5  # seconds of sound that wait; with more, partials are skipped until it is made up


class LiveStream:
    """Speech that is coming. `push` and `finish` yield events as they happen; both work in the caller's thread.

    The file `path` keeps the sound (16-bit PCM); it belongs to the caller.
    """

    def __init__(
        self,
        pool: Pool,
        model: Model,
        language: str | None,
        path: Path,
        report: Report,
        pace: Pace = PACE,
    ) -> None:
        self.session = Session(pace, BLOCK_S)
        self.session.language = language
        self.began = time.time()
        self.steps = self.skipped = 0
        self.worked_s = 0.0
        self._pool, self._model, self._path, self._report = pool, model, path, report
        self._voice, self._samples = VoiceActivity(), 0
        self._file = path.open("wb")

    @property
    def duration(self) -> float:
        """Seconds of sound so far."""
        return self._samples / SAMPLE_RATE

    def push(self, samples: Samples) -> Iterator[LiveEvent]:
        """Hear float32 samples of SAMPLE_RATE, shape (n,)."""
        for at in range(0, len(samples), PIECE):
            piece = samples[at : at + PIECE]
            self._file.write((np.clip(piece, -1, 1 - 2**-15) * 32768).astype("<i2").tobytes())
            self._samples += len(piece)
            self.session.hear(self._voice.push(piece))
            yield from self.session.due()
            step = self.session.wanted()
            behind = (len(samples) - at) / SAMPLE_RATE
            if step and not step.final and behind > BEHIND_S:
                self.skipped += 1
            elif step:
                yield from self._decode(step)

    def finalize(self) -> Iterator[LiveEvent]:
        """Make final what was said so far."""
        self.session.force()
        yield from self.session.due()
        while not self.session.idle and (step := self.session.wanted()):
            yield from self._decode(step)

    def finish(self) -> Iterator[LiveEvent]:
        """End the stream: the last words become final."""
        self.session.hear(self._voice.push(np.zeros(SAMPLE_RATE // 2, np.float32)))
        yield from self.finalize()
        self.close()

    def close(self) -> None:
        """Close the file of the sound."""
        self._file.close()

    def _decode(self, step: Step) -> Iterator[LiveEvent]:
        while True:
            events, again = self.session.answer(step, self._recognise(step))
            yield from events
            if again is None:
                return
            step = again

    def _recognise(self, step: Step) -> Recognition:
        self._file.flush()
        end = min(step.stretch.end, self.duration)
        began = time.perf_counter()
        found = self._pool.transcribe(
            self._model,
            Audio(self._path, self._samples),
            self.session.language,
            self._report,
            session=self.began,
            stretches=(Span(min(step.stretch.start, end), end),),
            search="greedy" if not step.final else "padded" if step.padded else "beam",
        )
        self.steps += 1
        self.worked_s += time.perf_counter() - began
        return found
