"""Run the engines of one device on a node of a Ray cluster, as an actor that `ray_driver` creates and calls.

Ray calls the methods in threads. Each call has its own thread, so that progress and cancellations are not blocked.
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
class ActorSpec:
    """Arguments of an actor, sent to its node."""

    device: str  # "cpu" or "cuda"
    threads: int
    profile: str
    folders: Mapping[str, Any]  # the server's folders of weights, for nodes without their own settings


class NodeEngines:
    """Serves numbered calls: receives their sound, starts them, returns their messages, and cancels them.

    Calls take turns as in a worker process.
    """

    def __init__(self, spec: ActorSpec) -> None:
        settings = node_settings(spec.folders)
        clean_environ(spec)
        self._host = _NodeHost(spec, settings)
        self._calls: dict[int, _Call] = {}

    def ready(self) -> None:
        """Return once the constructor has ended."""

    def write(self, number: int, name: str, start: int, chunk: bytes) -> None:
        """Receive a part of the sound for argument `name` of a call, from byte `start`; 0 begins a new file."""
        call = self._calls.setdefault(number, _Call())
        if start == 0:
            call.sounds[name] = tempfile.TemporaryFile()  # noqa: SIM115  has no name: it goes with the process
        view = memoryview(chunk)
        while view:
            written = os.pwrite(call.sounds[name].fileno(), view, start)
            start, view = start + written, view[written:]

    def start(self, number: int, call: EngineCall) -> None:
        """Begin a call whose sound has been received."""
        begun = self._calls.setdefault(number, _Call())
        begun.thread = threading.Thread(target=self._work, args=(number, call, begun), daemon=True)
        begun.thread.start()

    def receive(self, number: int, patience_s: float) -> tuple[str, Any] | None:
        """Return the next message of a call, like those of a worker process; None if none comes in time."""
        try:
            kind, value = self._calls[number].messages.get(timeout=patience_s)
        except queue.Empty:
            return None
        if kind in ("done", "failed"):
            del self._calls[number]
        return kind, value

    def cancel(self, number: int, patience_s: float) -> bool:
        """Cancel a call. Return whether it ended in time; then nothing is left of it."""
        call = self._calls.get(number)
        if call is None:
            return True
        call.cancelled.set()
        self._host.turns.wake()
        if call.thread is not None:
            call.thread.join(patience_s)
            if call.thread.is_alive():
                return False
        for file in call.sounds.values():
            file.close()
        self._calls.pop(number, None)
        return True

    def _work(self, number: int, call: EngineCall, begun: _Call) -> None:
        report = Reporter(lambda event: begun.messages.put(("event", event)), begun.cancelled)
        with ExitStack() as stack:
            for file in begun.sounds.values():
                stack.enter_context(file)
            found = outcome(lambda: self._host.run(_with_sounds(call, begun.sounds), report, number), call)
        begun.messages.put(found)


class _Call:
    """A call on this node."""

    def __init__(self) -> None:
        self.sounds: dict[str, IO[bytes]] = {}
        self.cancelled = threading.Event()
        self.messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None


class _NodeHost(InProcessHost):
    """Runs engines with the weights, device and threads of this node."""

    def __init__(self, spec: ActorSpec, settings: Settings) -> None:
        super().__init__()
        self._actor_spec, self._settings = spec, settings

    def run(self, call: EngineCall, report: Report, number: int = 0) -> Any:
        return super().run(replace(call, spec=self._spec(call.spec.model)), report, number)

    def _spec(self, model_id: str) -> EngineSpec:
        model = catalog.get(model_id)
        folder, extra = catalog.locate(model, self._settings), catalog.extra(model, self._settings)
        if folder is None or len(extra) < len(model.needs):
            raise ModelMissing(
                f"The model '{model_id}' is missing on a node of the cluster. "
                f"Install it on every node with `stt-lab models pull {model_id}`."
            )
        return EngineSpec(folder, model_id, self._actor_spec.device, self._actor_spec.threads, extra)


def node_settings(folders: Mapping[str, Any]) -> Settings:
    """Return the settings of this node, with the server's folders where the node has none."""
    own = get_settings()
    return own.model_copy(update={name: path for name, path in folders.items() if name not in own.model_fields_set})


def clean_environ(spec: ActorSpec) -> None:
    """Return the environment of a worker plus Ray's variables, without secrets of the user who started the node."""
    kept = worker_environ(spec.device, spec.threads, spec.profile)
    for name in set(os.environ) - set(kept):
        if not name.startswith("RAY_"):
            del os.environ[name]
    os.environ.update(kept)


def _with_sounds(call: EngineCall, sounds: Mapping[str, IO[bytes]]) -> EngineCall:
    """Return the call with this node's files. They are unnamed; Linux, which Ray's nodes run, opens them by number."""
    paths = {name: Path(f"/proc/self/fd/{file.fileno()}") for name, file in sounds.items()}
    local = {name: replace(call.arguments[name], path=path) for name, path in paths.items()}
    return replace(call, arguments={**call.arguments, **local})
