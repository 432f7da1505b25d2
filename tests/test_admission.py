"""How many live streams a machine admits."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from stt_lab.engines import admission
from stt_lab.engines.admission import Admission, Gauge
from stt_lab.errors import Busy
from stt_lab.weights import catalog

TINY = catalog.get("tiny.en", catalog.models("transcribe"))
LARGE = catalog.get("large-v3", catalog.models("transcribe"))


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission.os, "cpu_count", lambda: 2)


def admitted(full: Admission, stack: ExitStack, gauge: Gauge | None = None) -> int:
    """How many more streams of a small model are admitted, each with its own gauge."""
    count = 0
    while True:
        try:
            stack.enter_context(full.seat(TINY, gauge or Gauge()))
        except Busy:
            return count
        count += 1


def test_as_many_as_the_estimate_says() -> None:
    with ExitStack() as stack:
        assert admitted(Admission("cpu"), stack) == int(1.6 / (TINY.size_mb / 300))


def test_one_is_never_refused_and_leaves_room_when_it_ends() -> None:
    full = Admission("cpu")
    for _ in range(3):
        with full.seat(LARGE, Gauge()), pytest.raises(Busy), full.seat(TINY, Gauge()):
            pass
    assert full.open == 0


def test_what_was_measured_counts() -> None:
    with ExitStack() as stack:
        slow = Gauge(heard=100.0, voiced=50.0, worked=60.0, needed=50.0)  # each second of speech takes a processor
        assert admitted(Admission("cpu"), stack, slow) == 2  # the second was admitted by the estimate
    quiet = replace(slow, voiced=admission.KNOWN_S - 1)
    with ExitStack() as stack:
        assert admitted(Admission("cpu"), stack, quiet) > 2


def test_what_ended_streams_cost_is_remembered() -> None:
    full = Admission("cpu")
    with full.seat(TINY, Gauge(heard=100.0, voiced=100.0, needed=10.0)):
        pass
    with ExitStack() as stack:
        assert admitted(full, stack) > int(1.6 / (TINY.size_mb / 300))
