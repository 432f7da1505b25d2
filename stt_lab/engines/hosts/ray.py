"""Engines on the nodes of a Ray cluster that is there already. Imports no Ray: `ray_driver`, a child process, does.

server (RayHost) -- pipes --> driver process (ray_driver) -- Ray --> an actor per device (ray_actor.NodeEngines)
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.audio import PACKAGES
from stt_lab.engines.hosts import POLL_S, Child, EngineCall, ending, worker_environ
from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.settings import Settings
from stt_lab.types import Event, Report

PROGRAM = "stt_lab.engines.hosts.ray_driver"
FOLDERS = ("models_dir", "model_paths")
DRIVER_ENVIRON = {  # the operator's own variables of Ray go before these
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",  # then the cluster counts as lost
    "RAY_COLOR_PREFIX": "0",  # what nodes log comes out in the server's log
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # would send the working folder to the nodes
}

Messages = queue.SimpleQueue[tuple[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What the driver has to know of the settings."""

    address: str
    device: str  # "auto", "cpu" or "cuda"
    profile: str
    folders: Mapping[str, Any]  # where weights lie, as far as it is set


def lost() -> Unavailable:
    return Unavailable(
        "The cluster of the engines does not answer: try again later, or look with `ray status` whether it runs."
    )


class RayHost:
    """Engines as Ray actors, one per device. The driver starts on first use and ends when idle, its actors with it."""

    def __init__(self, settings: Settings) -> None:
        _check(settings)
        self._plan = Plan(settings.ray_address, settings.device, settings.cpu_profile, _folders(settings))
        self._idle_s = settings.idle_unload_s
        self._idle: threading.Timer | None = None
        self._driver: _Driver | None = None
        self._running = 0
        self._closed = False
        self._state = threading.Lock()

    @property
    def capacity(self) -> int:
        """The devices of the cluster; 1 before the first task has connected."""
        return max(1, self._driver.devices) if self._driver is not None else 1

    def run(self, task: EngineCall, report: Report) -> Any:
        """The result of a task. Raises what the engine raised, EngineCrashed, Unavailable without a cluster."""
        with self._connected() as driver, driver.call(task) as (number, messages):
            try:
                kind, value = _follow(messages, report)
            except BaseException:  # cancelled, or nobody reads the progress any more
                driver.send("cancel", (number, None))
                raise
        if kind == "failed":
            raise ending() if self._closed else value
        return value

    @contextmanager
    def _connected(self) -> Iterator[_Driver]:
        """The driver, which is not idle meanwhile."""
        with self._state:
            driver = self._ready()
            self._running += 1
        try:
            yield driver
        finally:
            with self._state:
                self._running -= 1
                if not self._running:
                    self._rest()

    def _ready(self) -> _Driver:
        if self._closed:
            raise ending()
        if self._idle is not None:
            self._idle.cancel()
        if self._driver is not None and not self._driver.alive:
            self._driver.end()
            self._driver = None
        self._driver = self._driver or _Driver(self._plan)
        return self._driver

    def _rest(self) -> None:
        self._idle = threading.Timer(self._idle_s, self._end_idle)
        self._idle.daemon = True
        self._idle.start()

    def _end_idle(self) -> None:
        with self._state:
            if self._driver is not None and not self._running:
                self._driver.end()

    def close(self) -> None:
        """End the driver, also in the middle of tasks: Ray then ends its actors. No other is started."""
        with self._state:
            self._closed = True
            if self._idle is not None:
                self._idle.cancel()
            if self._driver is not None:
                self._driver.end()


def _follow(messages: Messages, report: Report) -> tuple[str, Any]:
    """Pass progress on until the outcome."""
    event = Event("loading")
    while True:
        try:
            kind, value = messages.get(timeout=POLL_S)
        except queue.Empty:
            kind, value = "event", event
        if kind != "event":
            return kind, value
        event = value
        report(event)  # also when nothing came: that lets a cancel through


class _Driver(Child):
    """A running `ray_driver`, which works on several tasks at once: their messages are sorted by number."""

    def __init__(self, plan: Plan) -> None:
        self.devices = 1
        self._calls: dict[int, Messages] = {}
        self._numbers = itertools.count()
        self._sorting, self._sending = threading.Lock(), threading.Lock()
        self._why: SttError = lost()
        self._ended = False
        super().__init__(driver_environ(), PROGRAM, PACKAGES)  # Ray tells the nodes where it runs
        self.send("connect", plan)

    @contextmanager
    def call(self, task: EngineCall) -> Iterator[tuple[int, Messages]]:
        """Have a task done: its number and its messages, which end with "done" or "failed"."""
        number, messages = next(self._numbers), Messages()
        with self._sorting:
            self._calls[number] = messages
            if self._ended:
                messages.put(("failed", self._why))
        self.send("run", (number, task))
        try:
            yield number, messages
        finally:
            with self._sorting:
                del self._calls[number]

    def send(self, kind: str, value: Any) -> None:
        with self._sending:
            super().send(kind, value)

    def take(self, message: tuple[str, Any]) -> None:
        kind, value = message
        with self._sorting:
            if kind == "devices":
                self.devices = value
            elif kind == "lost":
                self._why = value
            elif kind == "ended":
                self._ended = True
                for messages in self._calls.values():
                    messages.put(("failed", self._why))
            elif value[0] in self._calls:  # else nobody waits for it any more
                self._calls[value[0]].put((kind, value[1]))


def driver_environ() -> dict[str, str]:
    """Environment of the driver: a worker's, and what the operator says to Ray."""
    own = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    return worker_environ("cpu", 1, "off") | DRIVER_ENVIRON | own


def _check(settings: Settings) -> None:
    if importlib.util.find_spec("ray") is None:
        raise BadInput("STT_LAB_ENGINE_HOST is ray, but Ray is not installed: `pip install 'stt_lab[ray]'`.")
    if settings.ray_address == "local":
        raise BadInput("STT_LAB_RAY_ADDRESS names a cluster that runs already: set auto, or host:port.")


def _folders(settings: Settings) -> dict[str, Any]:
    """The settings of where weights lie that somebody set, with absolute paths: other nodes have other folders."""
    given = settings.model_dump(include=settings.model_fields_set & set(FOLDERS))
    return {name: _absolute(value) for name, value in given.items()}


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _absolute(path) for name, path in value.items()}
    return Path(value).expanduser().absolute()
