"""Calls of engines, with their progress and outcome, as hosts pass them to engines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import EngineCrashed, EngineTimedOut, Unavailable
from stt_lab.types import Report

POLL_S = 0.2  # between checks of a waiting call for cancellation
CANCEL_GRACE_S = 1.0  # grace for a cancelled call that is alone in its process, before the process is killed
CRASHED_S = 600.0  # time for which a crash of the engines is remembered
ABANDONED_S = 30.0  # the same if other calls run in the process, which have to start again after the kill


@dataclass(frozen=True)
class EngineCall:
    """One call of one engine."""

    engine: str  # "module:Class", imported by the host
    spec: EngineSpec
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    session: float | None = None  # start time of an urgent call's session, in any clock; the oldest goes first
    owner: str = ""  # whose call it is; owners take turns
    main_thread: bool = False  # whether native code of the engine crashes in another thread of its process
    interleaved: bool = False  # whether other calls of the same engine may run between its windows
    limit_s: float = math.inf  # seconds of work, without waiting for a turn, after which the call is stopped
    slice_s: float | None = None  # shortest turn, if others wait; None: turns.SLICE_S

    @property
    def urgent(self) -> bool:
        return self.session is not None


class Host(Protocol):
    """Runs engines."""

    @property
    def devices(self) -> int:
        """Return how many calls compute at the same time; others take turns with them."""
        ...

    @property
    def capacity(self) -> int:
        """Return how many non-urgent calls should be in progress; more wait in the pool."""
        ...

    @property
    def pid(self) -> int | None:
        """Return the id of the engines' process, if one runs on this machine."""
        ...

    @property
    def crashes(self) -> int:
        """Return how often the engines crashed within the last CRASHED_S."""
        ...

    def run(self, call: EngineCall, report: Report) -> Any:
        """Run a call and return its result. Raises errors of the engine or `report`, EngineCrashed, EngineTimedOut,
        ModelBroken, or Unavailable."""
        ...

    def close(self) -> None: ...


def ending() -> Unavailable:
    return Unavailable("The server is shutting down. Retry in a few seconds.")


def crashed() -> EngineCrashed:
    return EngineCrashed("The engine stopped unexpectedly. Send the request again, or a shorter file if this recurs.")


def timed_out(call: EngineCall) -> EngineTimedOut:
    return EngineTimedOut(
        f"The work took more than {call.limit_s:,.0f} s and was stopped. Send a shorter text or recording; on a slow "
        "machine, the administrator can raise STT_LAB_ENGINE_PATIENCE."
    )
