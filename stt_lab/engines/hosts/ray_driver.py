"""The process that speaks with a Ray cluster for a server: `python -m stt_lab.engines.hosts.ray_driver`.

Ray ends the process that it is used in when the cluster is lost, so that is not the server's. Its messages are those
that `process` describes, and in, before any other, ("connect", Plan); out ("devices", number) and ("lost", SttError).
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
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stt_lab.engines.hosts import ABANDONED_S, CANCEL_GRACE_S, POLL_S, EngineCall, tuning
from stt_lab.engines.hosts.ray import Plan, lost
from stt_lab.engines.hosts.ray_actor import Equipment, NodeEngines
from stt_lab.engines.hosts.worker import Replies, message_pipe, outcome
from stt_lab.errors import Busy, Cancelled, EngineCrashed, SttError, Unavailable
from stt_lab.settings import MB
from stt_lab.types import Audio

log = logging.getLogger("stt_lab.ray")
ATTEMPTS = 2
START_S = 60.0  # until an actor answers; longer means that others use its node
CHUNK = 8 * MB  # of a sound on its way; one is in the object store at a time
CHUNK_S = 60.0
RECEIVE_S = 10.0  # a question for news is asked anew after that
URGENT = 16  # messages of urgent calls at once
UNSET = {"OPENBLAS_CORETYPE": ""}  # of whoever started the node: other low bits, and other text
DEAD_S = 20.0  # after that the cluster knows which nodes are dead
WATCH_S = 2.0  # how soon nodes that come or go are noticed


@dataclass(frozen=True)
class Device:
    """Where one call computes at a time: a GPU, or all processors of a node."""

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


class Call:
    """A call that the server waits for."""

    def __init__(self, number: int, call: EngineCall, replies: Replies) -> None:
        self.number, self.call = number, call
        self.cancelled = threading.Event()
        self.actor: Any = None  # which works on it
        self._replies = replies

    def send(self, kind: str, value: Any) -> None:
        self._replies.send(kind, (self.number, value))

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
        self._calls: dict[Device, list[Call]] = {}  # under way
        self._reserved: dict[Device, Call] = {}  # for a call that runs again, alone
        self._change = threading.Condition()

    def devices(self) -> tuple[Device, ...]:
        nodes: Callable[[], list[dict[str, Any]]] = ray.nodes  # which has no types
        return find_devices(nodes(), self._plan.device)

    def run(self, call: Call) -> tuple[str, Any]:
        """A call's outcome. When its actor or node dies, it runs once more: elsewhere if possible, and alone.

        Nobody knows which call an actor died of. Alone, the one that was to blame harms no other. An urgent call does
        not run again: it would come too late.
        """
        problem, device = RayError(), None
        for _ in range(1 if call.call.urgent else ATTEMPTS):
            with self._hold(call, device) as device:
                try:
                    return self._work(device, call)
                except RayError as found:
                    log.warning("an engine on %s was lost: %s", device.host, found)
                    self._end(device, call.actor)
                    problem = found
                except BaseException:  # cancelled
                    self._stop(device, call)
                    raise
        raise _failure(problem)

    @contextmanager
    def _hold(self, call: Call, lost: Device | None) -> Iterator[Device]:
        """A place on a device, when there is one; with a device that was `lost` before, a device for the call alone."""
        known = time.monotonic() + DEAD_S
        try:
            with self._change:
                while (device := self._choose(call, lost, time.monotonic() < known)) is None:
                    call.check()
                    self._change.wait(POLL_S)
                self._calls.setdefault(device, []).append(call)
            yield device
        finally:
            with self._change:
                for calls in self._calls.values():
                    if call in calls:
                        calls.remove(call)
                self._reserve(call, None)
                self._change.notify_all()

    def _reserve(self, call: Call, device: Device | None) -> None:
        """Reserve a device for a call, and no other one."""
        self._reserved = {one: other for one, other in self._reserved.items() if other is not call}
        if device is not None:
            self._reserved[device] = call

    def _choose(self, call: Call, lost: Device | None, avoid: bool) -> Device | None:
        """A device with a place, with few calls if possible and with an actor; `avoid` the node of the lost one.

        A call that is to be alone reserves a device until the calls on it have ended. Urgent calls need no place.
        """
        devices = self.devices()
        if not devices:
            raise Unavailable("No node of the cluster can run an engine. Add one, or check STT_LAB_DEVICE.")
        others = [one for one in devices if not (avoid and lost and one.node == lost.node)] or list(devices)
        open_ = [one for one in others if self._reserved.get(one, call) is call]
        if call.call.urgent:
            open_ = open_ or others
        elif lost is None:
            open_ = [one for one in open_ if self._load(one) < self._plan.places]
        best = min(open_, key=lambda one: (self._load(one), one not in self._actors), default=None)
        if lost is None or best is None:
            return best
        self._reserve(call, best)
        return best if not self._load(best) else None

    def _load(self, device: Device) -> int:
        return len(self._calls.get(device, ()))

    def _work(self, device: Device, call: Call) -> tuple[str, Any]:
        actor = self._actor(device, call)
        for name, value in call.call.arguments.items():
            if isinstance(value, Audio):
                _ship(actor, name, value, call)
        call.answer(actor.start.remote(call.number, call.call), START_S)
        while True:
            kind, value = call.answer(actor.receive.remote(call.number, RECEIVE_S)) or ("", None)
            if kind in ("done", "failed"):
                if isinstance(value, Unavailable):
                    log.warning("on %s: %s", device.host, value)
                return kind, value
            if kind:
                call.send(kind, value)

    def _actor(self, device: Device, call: Call) -> Any:
        with self._change:
            actor = call.actor = self._actors.get(device)
            if actor is not None:
                return actor
            log.info("an engine starts on %s: %s, %d threads", device.host, device.kind, device.threads)
            actor = call.actor = self._actors[device] = self._make(device)
        call.answer(actor.ready.remote(), START_S)
        return actor

    def _make(self, device: Device) -> Any:
        plan = self._plan
        options: dict[str, Any] = {
            **device.resources,
            "max_concurrency": 4 * plan.places + URGENT,  # a question for news and a cancel each, and some to spare
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(device.node, soft=False),
            "runtime_env": {"env_vars": tuning(device.kind, device.threads, plan.profile) | UNSET},
        }
        equipment = Equipment(device.kind, device.threads, plan.profile, plan.folders)
        return ray.remote(NodeEngines).options(**options).remote(equipment)

    def _stop(self, device: Device, call: Call) -> None:
        """Cancel a call on a device; kill its actor unless the call ends soon, or later if it has other calls too."""
        if self._ends(call, CANCEL_GRACE_S):
            return
        if self._load(device) == 1:
            self._end(device, call.actor)
        else:
            threading.Thread(target=self._supervise, args=(device, call), daemon=True).start()

    def _supervise(self, device: Device, call: Call) -> None:
        if not self._ends(call, ABANDONED_S):
            log.warning("a cancelled call on %s has not ended: its actor ends, other calls run again", device.host)
            self._end(device, call.actor)

    @staticmethod
    def _ends(call: Call, patience_s: float) -> bool:
        with suppress(RayError):
            asked = call.actor and call.actor.cancel.remote(call.number, patience_s)
            return asked is None or bool(ray.get(asked, timeout=patience_s + 1))
        return False

    def _end(self, device: Device, actor: Any) -> None:
        """Kill an actor of the device. What it has of a sound goes with it."""
        with self._change:
            if self._actors.get(device) is actor:  # else another call has noticed before
                self._actors.pop(device, None)
        if actor is not None:
            with suppress(RayError):
                ray.kill(actor)


def _ship(actor: Any, name: str, audio: Audio, call: Call) -> None:
    """Send a sound to an actor, chunk by chunk through the object store; an empty one too."""
    with audio.path.open("rb") as file:
        start, chunk = 0, file.read(CHUNK)
        while chunk or not start:
            call.answer(actor.write.remote(call.number, name, start, chunk), CHUNK_S)
            if not chunk:
                break
            start, chunk = start + len(chunk), file.read(CHUNK)


def _failure(problem: RayError) -> SttError:
    if isinstance(problem, GetTimeoutError):
        return Busy("The nodes of the cluster are busy with other work. Try again later.")
    return EngineCrashed("The engine stopped unexpectedly. Send a shorter file; the server's log says more.")


def serve(cluster: Cluster, calls: dict[int, Call], call: Call) -> None:
    """Do a call and tell its outcome."""
    found = outcome(lambda: cluster.run(call), call.call)
    del calls[call.number]
    kind, value = found if found[0] == "failed" else found[1]  # of the cluster, or of the engine
    call.send(kind, value)


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
            kind, value = pickle.load(sys.stdin.buffer)
        except Exception:  # the end, or half a message
            os._exit(0)  # also in the middle of a call: nobody waits for it, and Ray ends the actors
        if kind == "run":
            number, given = value
            call = calls[number] = Call(number, given, replies)
            threading.Thread(target=serve, args=(cluster, calls, call), daemon=True).start()
        elif value in calls:
            calls[value].cancelled.set()


if __name__ == "__main__":
    main()
