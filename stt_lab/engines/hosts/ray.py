"""Engines on the nodes of a Ray cluster that is there already. Imports no Ray: `ray_driver`, a child process, does.

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
from stt_lab.engines.hosts.environment import worker_environ
from stt_lab.engines.hosts.process import EngineProcess, ProcessHost
from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.settings import Settings

PROGRAM = "stt_lab.engines.hosts.ray_driver"
FOLDERS = ("models_dir", "model_paths")
DRIVER_ENVIRON = {  # the operator's own variables of Ray go before these
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",  # then the cluster counts as lost
    "RAY_COLOR_PREFIX": "0",  # what nodes log comes out in the server's log
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # would send the working folder to the nodes
}


@dataclass(frozen=True)
class Plan:
    """What the driver has to know of the settings."""

    address: str
    device: str  # "auto", "cpu" or "cuda"
    profile: str
    folders: Mapping[str, Any]  # where weights lie, as far as it is set
    places: int  # calls under way on a device, besides urgent ones


def lost() -> Unavailable:
    return Unavailable("The Ray cluster does not answer. Retry later, or check with `ray status` whether it runs.")


class Driver(EngineProcess):
    """A running `ray_driver`, which itself runs a call again when a node dies. It ends when the cluster is lost."""

    def __init__(self, plan: Plan) -> None:
        self.devices = 1
        self._why: SttError = lost()
        super().__init__(PROGRAM, driver_environ(), PACKAGES)  # Ray tells the nodes where it runs
        self.send(("connect", plan))

    def notice(self, kind: str, value: Any) -> None:
        if kind == "devices":
            self.devices = value
        elif kind == "lost":
            self._why = value

    def blame(self, number: int) -> Exception:
        return self._why


class RayHost(ProcessHost[Driver]):
    """Engines as Ray actors, one per device. The driver starts on first use and ends when idle, its actors with it."""

    pid = None  # the engines' processes are the nodes'

    def __init__(self, settings: Settings) -> None:
        _check(settings)
        places = settings.recordings_at_once
        plan = Plan(settings.ray_address, settings.device, settings.cpu_profile, _folders(settings), places)
        super().__init__(lambda: Driver(plan), settings.idle_unload_s)
        self._places = places

    @property
    def devices(self) -> int:
        """The devices of the cluster; 1 before the first call has connected."""
        return max(1, self._process.devices) if self._process is not None else 1

    @property
    def capacity(self) -> int:
        return self.devices * self._places


def driver_environ() -> dict[str, str]:
    """Environment of the driver: a worker's, and what the operator says to Ray."""
    own = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    return worker_environ("cpu", 1, "off") | DRIVER_ENVIRON | own


def _check(settings: Settings) -> None:
    if importlib.util.find_spec("ray") is None:
        raise BadInput(
            "STT_LAB_ENGINE_HOST is ray, but Ray is not installed. Install it with `pip install 'stt_lab[ray]'`."
        )
    if settings.ray_address == "local":
        raise BadInput("STT_LAB_RAY_ADDRESS must name a running cluster: auto, or host:port.")


def _folders(settings: Settings) -> dict[str, Any]:
    """The settings of where weights lie that somebody set, with absolute paths: other nodes have other folders."""
    given = settings.model_dump(include=settings.model_fields_set & set(FOLDERS))
    return {name: _absolute(value) for name, value in given.items()}


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _absolute(path) for name, path in value.items()}
    return Path(value).expanduser().absolute()
