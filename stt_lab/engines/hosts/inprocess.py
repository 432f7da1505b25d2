"""Run engines in this process: inside workers, or everywhere by a setting."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from stt_lab.engines.hosts.calls import EngineCall, timed_out
from stt_lab.engines.hosts.turns import CallTurn, Turns
from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import ModelBroken, SttError
from stt_lab.types import Event, Report

log = logging.getLogger(__name__)


class InProcessHost:
    """Engines in this process. They are loaded on first use and stay until `close`; calls of threads take turns."""

    devices = 1
    pid = None
    crashes = 0  # a crash would end this process

    def __init__(self, capacity: int = 1, changed: Callable[[tuple[int, ...]], None] = lambda numbers: None) -> None:
        self.capacity = capacity
        self.turns = Turns(changed)
        self._engines: dict[tuple[str, EngineSpec], Any] = {}
        self._loading = threading.Lock()

    def run(self, call: EngineCall, report: Report, number: int = 0) -> Any:
        """Run a call and return its result. `number` identifies the call in messages about turns."""
        last = Event("queued")

        def step(event: Event) -> None:
            nonlocal last
            last = event
            report(event)
            if turn.worked > call.limit_s:
                raise timed_out(call)
            self.turns.pause(turn)

        alone_in = None if call.interleaved else (call.engine, call.spec)
        turn = CallTurn(lambda: report(last), call.session, call.owner, alone_in, number, call.slice_s)
        with self.turns.taking(turn):
            return getattr(self.engine(call, step), call.method)(**call.arguments, report=step)

    def engine(self, call: EngineCall, report: Report) -> Any:
        """Return the loaded engine of a call."""
        key = call.engine, call.spec
        if key not in self._engines:
            report(Event("loading"))  # other calls may have a turn here and load it
        with self._loading:
            if key not in self._engines:
                self._engines[key] = _loaded(call)
            return self._engines[key]

    def close(self) -> None:
        for engine in self._engines.values():
            engine.unload()
        self._engines.clear()


def _loaded(call: EngineCall) -> Any:
    """Load the engine of a call. Raises ModelBroken if its files cannot be read."""
    module, _, name = call.engine.partition(":")
    engine = getattr(importlib.import_module(module), name)(call.spec)
    try:
        engine.load()
    except SttError:
        raise
    except Exception:
        log.exception("the model %s in %s cannot be loaded", call.spec.model, call.spec.folder)
        raise ModelBroken(
            f"The model '{call.spec.model}' cannot be loaded. Ask the administrator to run `stt-lab models doctor`, "
            f"or to remove it and install it again with `stt-lab models pull {call.spec.model}`."
        ) from None
    return engine
