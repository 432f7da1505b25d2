"""The process that speaks with a Ray cluster for a server: `python -m stt_lab.engines.hosts.ray_driver`.

Ray ends the process that it is used in when the cluster is lost, so that is not the server's. Pickled messages cross
stdin and stdout. In: ("connect", Plan), then ("run", (number, EngineCall)) and ("cancel", (number, None)).
Out: ("devices", how many there are), ("lost", SttError), and a task's ("event" | "done" | "failed", (number, value)).
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stt_lab.engines.hosts import CANCEL_GRACE_S, POLL_S, EngineCall, tuning
from stt_lab.engines.hosts.ray import Plan, lost
from stt_lab.engines.hosts.ray_actor import Equipment, NodeEngines
from stt_lab.engines.hosts.worker import message_pipe
from stt_lab.errors import Busy, Cancelled, EngineCrashed, SttError, Unavailable
from stt_lab.settings import MB
from stt_lab.types import Audio

log = logging.getLogger("stt_lab.ray")
ATTEMPTS = 2
START_S = 60.0  # until an actor answers; longer means that others use its node
CHUNK = 8 * MB  # of a sound on its way; one is in the object store at a time
CHUNK_S = 60.0
RECEIVE_S = 10.0  # a question for news is asked anew after that
WATCH_S = 2.0  # how soon nodes that come or go are noticed


@dataclass(frozen=True)
class Device:
    """Where one task runs at a time: a GPU, or all processors of a node."""

    node: str  # Ray's id
    host: str  # name of the machine, for the log
    kind: str  # "cuda" or "cpu"
    threads: int
    number: int = 0  # among the node's own

    @property
    def resources(self) -> dict[str, int]:
        return {"num_gpus": 1, "num_cpus": 0} if self.kind == "cuda" else {"num_cpus": self.threads}


def find_devices(nodes: Iterable[Mapping[str, Any]], wanted: str) -> tuple[Device, ...]:
    """The devices of a cluster (`ray.nodes()`): its GPUs; else, or where "cpu" is wanted, a node each."""
    gpus, cpus = list[Device](), list[Device]()
    for node in nodes:
        if not node["Alive"]:
            continue
        place = node["NodeID"], node["NodeManagerHostname"]
        has = {name: int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU")}
        share = max(1, has["CPU"] // max(1, has["GPU"]))
        gpus += [Device(*place, "cuda", share, number) for number in range(has["GPU"])]
        if has["CPU"]:
            cpus.append(Device(*place, "cpu", has["CPU"]))
    return tuple(gpus if wanted != "cpu" and (gpus or wanted == "cuda") else cpus)


class Replies:
    """The pipe to the server; safe to use from many threads."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._lock = sink, threading.Lock()

    def send(self, kind: str, value: Any) -> None:
        with self._lock:
            pickle.dump((kind, value), self._sink)
            self._sink.flush()


class Call:
    """A task that the server waits for."""

    def __init__(self, number: int, task: EngineCall, replies: Replies) -> None:
        self.task = task
        self.cancelled = threading.Event()
        self._number, self._replies = number, replies

    def send(self, kind: str, value: Any) -> None:
        self._replies.send(kind, (self._number, value))

    def check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled("The request was cancelled.")

    def answer(self, reference: Any, patience_s: float = float("inf")) -> Any:
        """What an actor answers. Raises Cancelled, and RayError when it is gone or does not answer in time."""
        deadline = time.monotonic() + patience_s
        while True:
            self.check()  # also when answers come fast
            if ray.wait([reference], timeout=POLL_S)[0]:
                return ray.get(reference)
            if time.monotonic() > deadline:
                raise GetTimeoutError(f"no answer in {patience_s:g} s")


class Cluster:
    """The devices of a cluster and the actors on them, which are made on first use and end with this process."""

    def __init__(self, plan: Plan) -> None:
        ray.init(address=plan.address, namespace="stt_lab", logging_level=logging.WARNING)
        self._plan = plan
        self._actors: dict[Device, Any] = {}
        self._taken: set[Device] = set()
        self._change = threading.Condition()

    def devices(self) -> tuple[Device, ...]:
        nodes: Callable[[], list[dict[str, Any]]] = ray.nodes  # which has no types
        return find_devices(nodes(), self._plan.device)

    def run(self, call: Call) -> tuple[str, Any]:
        """A task's outcome. When its actor or node dies, the task runs once more, on another node if there is one."""
        problem, device = RayError(), None
        for _ in range(ATTEMPTS):
            with self._hold(call, device) as device:
                try:
                    return self._work(device, call)
                except RayError as found:
                    log.warning("an engine on %s was lost: %s", device.host, found)
                    self._end(device)
                    problem = found
                except BaseException:  # cancelled
                    self._stop(device)
                    raise
        raise _failure(problem)

    @contextmanager
    def _hold(self, call: Call, avoided: Device | None) -> Iterator[Device]:
        """A device for one task, when one is free."""
        with self._change:
            while (device := self._choose(avoided)) is None:
                call.check()
                self._change.wait(POLL_S)
            self._taken.add(device)
        try:
            yield device
        finally:
            with self._change:
                self._taken.remove(device)
                self._change.notify_all()

    def _choose(self, avoided: Device | None) -> Device | None:
        """A free device, rather one with an actor; not on the avoided one's node unless there is no other node."""
        devices = self.devices()
        if not devices:
            raise Unavailable("No node of the cluster can run an engine: add one, or see what STT_LAB_DEVICE asks for.")
        others = [one for one in devices if avoided is None or one.node != avoided.node] or devices
        free = [one for one in others if one not in self._taken]
        return min(free, key=lambda one: one not in self._actors, default=None)

    def _work(self, device: Device, call: Call) -> tuple[str, Any]:
        actor = self._actor(device, call)
        for name, value in call.task.arguments.items():
            if isinstance(value, Audio):
                _ship(actor, name, value, call)
        call.answer(actor.start.remote(call.task), START_S)
        while True:
            kind, value = call.answer(actor.receive.remote(RECEIVE_S)) or ("", None)
            if kind in ("done", "failed"):
                if isinstance(value, Unavailable):
                    log.warning("on %s: %s", device.host, value)
                return kind, value
            if kind:
                call.send(kind, value)

    def _actor(self, device: Device, call: Call) -> Any:
        if device not in self._actors:
            log.info("an engine starts on %s: %s, %d threads", device.host, device.kind, device.threads)
            self._actors[device] = self._make(device)
            call.answer(self._actors[device].ready.remote(), START_S)
        return self._actors[device]

    def _make(self, device: Device) -> Any:
        plan = self._plan
        options: dict[str, Any] = {
            **device.resources,
            "max_concurrency": 4,  # a question for news, a cancel, and one to spare
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(device.node, soft=False),
            "runtime_env": {"env_vars": tuning(device.kind, device.threads, plan.profile)},
        }
        equipment = Equipment(device.kind, device.threads, plan.profile, plan.folders)
        return ray.remote(NodeEngines).options(**options).remote(equipment)

    def _stop(self, device: Device) -> None:
        """Cancel what the device's actor does; kill it unless it then says soon that it is free."""
        actor, free = self._actors.get(device), False
        with suppress(RayError):
            free = actor is None or ray.get(actor.cancel.remote(CANCEL_GRACE_S), timeout=CANCEL_GRACE_S + 1)
        if not free:
            self._end(device)

    def _end(self, device: Device) -> None:
        """Kill the device's actor. What it has of a sound goes with it."""
        actor = self._actors.pop(device, None)
        if actor is not None:
            with suppress(RayError):
                ray.kill(actor)


def _ship(actor: Any, name: str, audio: Audio, call: Call) -> None:
    """Send a sound to an actor, chunk by chunk through the object store; an empty one too."""
    with audio.path.open("rb") as file:
        start, chunk = 0, file.read(CHUNK)
        while chunk or not start:
            call.answer(actor.write.remote(name, start, chunk), CHUNK_S)
            if not chunk:
                break
            start, chunk = start + len(chunk), file.read(CHUNK)


def _failure(problem: RayError) -> SttError:
    if isinstance(problem, GetTimeoutError):
        return Busy("The nodes of the cluster are busy with other work: try again later.")
    return EngineCrashed(
        "The engine stopped unexpectedly, twice: send a shorter file; the log of the server says more."
    )


def serve(cluster: Cluster, calls: dict[int, Call], number: int) -> None:
    """Do a task and tell its outcome."""
    call = calls[number]
    try:
        call.send(*cluster.run(call))
    except SttError as problem:
        call.send("failed", problem)
    except Exception:
        log.exception("task %s of %s failed", call.task.method, call.task.engine)
        call.send("failed", SttError("The engine could not finish this file; the server's log says why."))
    finally:
        del calls[number]


def watch(cluster: Cluster, replies: Replies) -> None:
    """Tell how many devices there are, whenever that changes."""
    told = 0
    while True:
        if (count := len(cluster.devices())) != told:
            replies.send("devices", count)
            told = count
        time.sleep(WATCH_S)


def connect(plan: Plan, replies: Replies) -> Cluster:
    try:
        return Cluster(plan)
    except Exception as problem:
        log.error("no connection to the Ray cluster: %s", problem)
        replies.send("lost", lost())
        sys.exit(1)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    replies = Replies(message_pipe())
    cluster = connect(pickle.load(sys.stdin.buffer)[1], replies)
    threading.Thread(target=watch, args=(cluster, replies), daemon=True).start()
    calls: dict[int, Call] = {}
    while True:
        try:
            kind, (number, value) = pickle.load(sys.stdin.buffer)
        except Exception:  # the end, or half a message
            os._exit(0)  # also in the middle of a task: nobody waits for it, and Ray ends the actors
        if kind == "run":
            calls[number] = Call(number, value, replies)
            threading.Thread(target=serve, args=(cluster, calls, number), daemon=True).start()
        elif call := calls.get(number):
            call.cancelled.set()


if __name__ == "__main__":
    main()
