"""Admit as many streams as the machine carries, by what they were measured to cost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stt_lab.errors import Busy
from stt_lab.weights.catalog import Model

FULL = 0.8  # share of the processors that streams may take
MB_PER_SHARE = 300.0  # of a model that takes one processor for each second of speech: tiny.en 0.26, base 0.5
ON_GPU = 0.05  # share of the device that a stream takes there, until it is measured
KNOWN_S = 20.0  # of sound from which a measurement counts
MOST = 64  # streams at once, whatever they cost
RETRY_S = 30


@dataclass
class Gauge:
    """How a stream is doing; read while it works."""

    heard: float = 0.0  # seconds of sound that were worked on
    voiced: float = 0.0  # of these, the ones with a voice
    worked: float = 0.0  # seconds of computing for them
    needed: float = 0.0  # of these, the ones that are left where a machine is full


@dataclass(eq=False)
class _Seat:
    model: str
    gauge: Gauge


class Admission:
    """The streams of a process. Thread-safe."""

    def __init__(self, device: str) -> None:
        self._gpu = device != "cpu"
        self._room = FULL * (1 if self._gpu else os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._seats: list[_Seat] = []
        self._costs: dict[str, float] = {}  # model -> processors for each second of sound

    @contextmanager
    def seat(self, model: Model, gauge: Gauge) -> Iterator[None]:
        """Hold a place within the block. Raises Busy if the machine is full; a single stream is never refused."""
        seat = _Seat(model.id, gauge)
        with self._lock:
            cost = self._cost(model)
            if self._seats and (self.load() + cost > self._room or len(self._seats) >= MOST):
                raise Busy(
                    f"This machine carries no further live stream beside the {len(self._seats)} that are open. Try "
                    "again later, or use a smaller model.",
                    retry_after=RETRY_S,
                )
            self._seats.append(seat)
            self._costs.setdefault(model.id, cost)
        try:
            yield
        finally:
            with self._lock:
                self._seats.remove(seat)
                self._learn(seat)

    @property
    def open(self) -> int:
        """Return how many streams are open."""
        return len(self._seats)

    def load(self) -> float:
        """Return the processors that the open streams take while somebody speaks in all of them."""
        return sum(max(self._costs[seat.model], _measured(seat.gauge)) for seat in self._seats)

    def _cost(self, model: Model) -> float:
        return self._costs.get(model.id, ON_GPU if self._gpu else model.size_mb / MB_PER_SHARE)

    def _learn(self, seat: _Seat) -> None:
        measured = _measured(seat.gauge)
        if measured:
            self._costs[seat.model] = (self._costs[seat.model] + measured) / 2


def _measured(gauge: Gauge) -> float:
    """Return the processors for each second with a voice; 0 if that is not known yet."""
    return gauge.needed / gauge.voiced if gauge.voiced >= KNOWN_S else 0.0
