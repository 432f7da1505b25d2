"""Run engines on the nodes of an existing Ray cluster. Only the child process `ray_driver` imports Ray.

server (RayHost) -- pipes --> driver process (ray_driver) -- Ray --> an actor per device (ray_actor.NodeEngines)
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.child import PACKAGES
from stt_lab.engines.hosts.calls import EngineCall
from stt_lab.engines.hosts.environment import worker_environ
from stt_lab.engines.hosts.process import EngineProcess, ProcessHost
from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.extras import command
from stt_lab.settings import Settings

PROGRAM = "stt_lab.engines.hosts.ray_driver"
FOLDERS = ("models_dir", "model_paths")
DRIVER_ENVIRON = {  # defaults; the operator's own variables of Ray override them
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",  # seconds without an answer until the cluster counts as lost
    "RAY_COLOR_PREFIX": "0",  # show logs of nodes in the server's log
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # would send the working folder to the nodes
}


@dataclass(frozen=True)
class Plan:
    """The settings that the driver needs."""

    address: str
    device: str  # "auto", "cpu" or "cuda"
    profile: str
    folders: Mapping[str, Any]  # folders of weights that are set
    places: int  # calls in progress per device, besides urgent ones


def lost() -> Unavailable:
    return Unavailable("The Ray cluster does not answer. Try again later, or check it with `ray status`.")


class Driver(EngineProcess):
    """A running `ray_driver`. It repeats calls of nodes that died, and ends when the cluster is lost."""

    def __init__(self, plan: Plan) -> None:
        self.devices = 1
        self._why: SttError = lost()
        self._places = plan.places
        super().__init__(PROGRAM, driver_environ(), PACKAGES)  # Ray passes the working folder to the nodes
        self.send(("connect", plan))

    def notice(self, kind: str, value: Any) -> None:
        if kind == "devices":
            self.devices = value
        elif kind == "lost":
            self._why = value

    def blame(self, number: int) -> Exception:
        return self._why

    def allowed(self, call: EngineCall) -> float:
        return call.limit_s * self._places  # calls take turns on a device, which the driver does not report


class RayHost(ProcessHost[Driver]):
    """Engines as Ray actors, one per device. The driver starts on first use; it ends when idle, with its actors."""

    pid = None  # the engines' processes are on the nodes

    def __init__(self, settings: Settings) -> None:
        _check(settings)
        places = settings.recordings_at_once
        plan = Plan(settings.ray_address, settings.device, settings.cpu_profile, _folders(settings), places)
        super().__init__(lambda: Driver(plan), settings.idle_unload_s)
        self._places = places

    @property
    def devices(self) -> int:
        """Return the number of devices in the cluster; 1 before the first call has connected."""
        return max(1, self._process.devices) if self._process is not None else 1

    @property
    def capacity(self) -> int:
        return self.devices * self._places


def driver_environ() -> dict[str, str]:
    """Return the environment of the driver: a worker's, plus the operator's variables of Ray."""
    own = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    return worker_environ("cpu", 1, "off") | DRIVER_ENVIRON | own


def _check(settings: Settings) -> None:
    if importlib.util.find_spec("ray") is None:
        raise BadInput(f"STT_LAB_ENGINE_HOST is ray, but Ray is not installed. Run {command('ray')}.")
    if settings.ray_address == "local":
        raise BadInput("STT_LAB_RAY_ADDRESS does not name a running cluster. Set auto, or host:port.")


def _folders(settings: Settings) -> dict[str, Any]:
    """Return the explicitly set folders of weights as absolute paths, because nodes have other working folders."""
    given = settings.model_dump(include=settings.model_fields_set & set(FOLDERS))
    return {name: _absolute(value) for name, value in given.items()}


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _absolute(path) for name, path in value.items()}
    return Path(value).expanduser().absolute()
