"""What runs on a node of a Ray cluster: the engines of one device, as an actor that `ray_driver` makes and asks.

Ray calls the methods in threads; the task itself has a thread of its own, so that progress and a cancel get through.
"""

from __future__ import annotations

import os
import queue
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from stt_lab.engines.hosts import EngineCall, InProcessHost, worker_environ
from stt_lab.engines.hosts.worker import Reporter, outcome
from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import ModelMissing
from stt_lab.settings import Settings, get_settings
from stt_lab.types import Report
from stt_lab.weights import catalog


@dataclass(frozen=True)
class Equipment:
    """What an actor works with; travels to the node."""

    device: str  # "cpu" or "cuda"
    threads: int
    profile: str
    folders: Mapping[str, Any]  # the server's settings of where weights lie, for a node that has none of its own


class NodeEngines:
    """One task at a time: its sound is written, it is started, its messages are received, or it is cancelled."""

    def __init__(self, equipment: Equipment) -> None:
        settings = node_settings(equipment.folders)
        clean_environ(equipment)
        self._host = _NodeHost(equipment, settings)
        self._sounds: dict[str, IO[bytes]] = {}
        self._box = _Box()
        self._thread: threading.Thread | None = None

    def ready(self) -> None:
        """Answered once the constructor has ended."""

    def write(self, name: str, start: int, chunk: bytes) -> None:
        """Part of the sound that is argument `name` of the next task, from byte `start`; 0 begins a new one."""
        if start == 0:
            self._sounds[name] = tempfile.TemporaryFile()  # noqa: SIM115  # has no name: it goes with the process
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._sounds[name].fileno(), view, start)
            start, view = start + written, view[written:]

    def start(self, task: EngineCall) -> None:
        """Begin a task, whose sounds have been written."""
        sounds, self._sounds = self._sounds, {}
        self._box = _Box()
        self._thread = threading.Thread(target=self._work, args=(task, sounds, self._box), daemon=True)
        self._thread.start()

    def receive(self, patience_s: float) -> tuple[str, Any] | None:
        """The task's next message, as of a worker process; None if none comes in time."""
        try:
            return self._box.messages.get(timeout=patience_s)
        except queue.Empty:
            return None

    def cancel(self, patience_s: float) -> bool:
        """Stop the task; True when it has ended in time."""
        self._sounds = {}
        self._box.cancelled.set()
        if self._thread is not None:
            self._thread.join(patience_s)
        return self._thread is None or not self._thread.is_alive()

    def _work(self, task: EngineCall, sounds: dict[str, IO[bytes]], box: _Box) -> None:
        with ExitStack() as stack:
            for file in sounds.values():
                stack.enter_context(file)
            found = outcome(self._host, _with_sounds(task, sounds), Reporter(box))
        box.send(*found)


class _Box:
    """Messages of one task (`worker.Outbox`)."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def send(self, kind: str, value: Any) -> None:
        self.messages.put((kind, value))


class _NodeHost(InProcessHost):
    """Engines with the weights, device and threads of this node."""

    def __init__(self, equipment: Equipment, settings: Settings) -> None:
        super().__init__()
        self._equipment, self._settings = equipment, settings

    def run(self, task: EngineCall, report: Report) -> Any:
        return super().run(replace(task, spec=self._spec(task.spec.model)), report)

    def _spec(self, model_id: str) -> EngineSpec:
        model = catalog.get(model_id)
        folder, extra = catalog.locate(model, self._settings), catalog.extra(model, self._settings)
        if folder is None or len(extra) < len(model.needs):
            raise ModelMissing(
                f"The model '{model_id}' is not on a node of the cluster: "
                f"fetch it on every node with `stt-lab models pull {model_id}`."
            )
        return EngineSpec(folder, model_id, self._equipment.device, self._equipment.threads, extra)


def node_settings(folders: Mapping[str, Any]) -> Settings:
    """The settings of this node; the server's folders where the node has no setting of its own."""
    own = get_settings()
    return own.model_copy(update={name: path for name, path in folders.items() if name not in own.model_fields_set})


def clean_environ(equipment: Equipment) -> None:
    """The environment of a worker process, and Ray's: whoever started the node may have had secrets in theirs."""
    kept = worker_environ(equipment.device, equipment.threads, equipment.profile)
    for name in set(os.environ) - set(kept):
        if not name.startswith("RAY_"):
            del os.environ[name]
    os.environ.update(kept)


def _with_sounds(task: EngineCall, sounds: Mapping[str, IO[bytes]]) -> EngineCall:
    """The task over this node's files. They have no names; Linux, which Ray's nodes run, opens them by number."""
    paths = {name: Path(f"/proc/self/fd/{file.fileno()}") for name, file in sounds.items()}
    local = {name: replace(task.arguments[name], path=path) for name, path in paths.items()}
    return replace(task, arguments={**task.arguments, **local})
