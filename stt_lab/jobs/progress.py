"""Compute the percent and the remaining seconds of a job from the events of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from stt_lab.types import Event

MIN_FRACTION = 0.02  # of a stage, before its speed says anything
IDLE = ("queued", "loading")  # for a turn on the device, and for models
MIN_SHARE = 0.1  # of the whole: the speed of a shorter stage says nothing about the rest


class Progress:
    """The progress of a job. The percent never falls; waiting and loading do not count as speed.

    `stages` holds the stages of the job in order, each with its share of the time.
    """

    def __init__(self, stages: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self.stage, self.percent = "queued", 0.0
        self.eta_s: float | None = None
        self.text = ""  # the end of what was recognized so far
        self.seconds = dict.fromkeys(IDLE, 0.0)  # of stages in which nothing is done
        self._shares, self._total = dict(stages), sum(stages.values())
        self._clock = clock
        self._began = clock()  # the stage

    def see(self, event: Event) -> None:
        """Take an event into account."""
        self.text = event.text or self.text
        if event.stage != self.stage:
            now = self._clock()
            if self.stage in IDLE:
                self.seconds[self.stage] += now - self._began
            self.stage, self._began = event.stage, now
        if event.stage not in self._shares:
            self.eta_s = None
            return
        done = self._before(event.stage) + self._shares[event.stage] * event.fraction
        self.percent = max(self.percent, 100 * done / self._total)
        self.eta_s = self._eta(event, self._total - done)

    def _before(self, stage: str) -> float:
        """Return the share of the stages before this one."""
        stages = list(self._shares)
        return sum(self._shares[earlier] for earlier in stages[: stages.index(stage)])

    def _eta(self, event: Event, left: float) -> float | None:
        """Return the remaining seconds at the speed of this stage."""
        share = self._shares[event.stage]
        if share < MIN_SHARE * self._total or event.fraction < MIN_FRACTION:
            return None
        return (self._clock() - self._began) / (share * event.fraction) * left
