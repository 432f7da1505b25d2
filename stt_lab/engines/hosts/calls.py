"""What crosses between a host and where its engines work: a call, its progress, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import EngineCrashed, Unavailable
from stt_lab.types import Report

POLL_S = 0.2  # how often somebody who waits looks whether the caller has cancelled
CANCEL_GRACE_S = 1.0  # a cancelled call that is alone in its process and has not ended by then is killed with it
ABANDONED_S = 30.0  # the same for one that is not alone: killing it makes the others start again


@dataclass(frozen=True)
class EngineCall:
    """One call of one engine."""

    engine: str  # "module:Class", imported where it works
    spec: EngineSpec
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    session: float | None = None  # of an urgent call: when its session began, in any clock; the oldest goes first
    interleaved: bool = False  # whether other calls of the same engine may run between its windows

    @property
    def urgent(self) -> bool:
        return self.session is not None


class Host(Protocol):
    """Where engines run."""

    @property
    def devices(self) -> int:
        """How many calls compute at the same time; others take turns with them."""
        ...

    @property
    def capacity(self) -> int:
        """How many calls that are not urgent should be under way; more wait in the pool."""
        ...

    @property
    def pid(self) -> int | None:
        """The process of the engines, if they have one on this machine and it runs."""
        ...

    def run(self, call: EngineCall, report: Report) -> Any:
        """The result of a call. Raises what the engine or `report` raised, EngineCrashed, or Unavailable."""
        ...

    def close(self) -> None: ...


def ending() -> Unavailable:
    return Unavailable("The program is shutting down. Retry in a few seconds.")


def crashed() -> EngineCrashed:
    return EngineCrashed("The engine stopped unexpectedly. Send the request again, or a shorter file if it recurs.")
