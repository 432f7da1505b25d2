"""Events of stages as the percent of a whole job, and the seconds that the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable

from stt_lab.types import Event

WEIGHTS = {"decoding": 5, "transcribing": 60, "diarizing": 32, "joining": 3}  # shares of the time of a usual job
LEAST = 0.02  # of a stage, before its speed says anything


class Progress:
    """How far a job is. The percent never falls; waiting and loading do not count as speed."""

    def __init__(self, without: tuple[str, ...] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.stage, self.percent = "queued", 0.0
        self.eta_s: float | None = None
        self._weights = {stage: weight for stage, weight in WEIGHTS.items() if stage not in without}
        self._clock = clock
        self._began = clock()  # the stage

    def see(self, event: Event) -> None:
        if event.stage != self.stage:
            self.stage, self._began = event.stage, self._clock()
        if event.stage not in self._weights:
            self.eta_s = None
            return
        done = self._weights[event.stage] * event.fraction
        total = sum(self._weights.values())
        self.percent = max(self.percent, 100 * (self._before(event.stage) + done) / total)
        self.eta_s = self._eta(event, total - self._before(event.stage) - done)

    def _before(self, stage: str) -> float:
        """Weight of the stages before this one."""
        stages = list(self._weights)
        return sum(self._weights[earlier] for earlier in stages[: stages.index(stage)])

    def _eta(self, event: Event, left: float) -> float | None:
        """At the speed of this stage; decoding is so much faster that it says nothing."""
        if event.stage == "decoding" or event.fraction < LEAST:
            return None
        return (self._clock() - self._began) / (self._weights[event.stage] * event.fraction) * left
