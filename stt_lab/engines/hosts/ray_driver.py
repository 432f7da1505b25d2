"""Connect a server to a Ray cluster from a separate process: `python -m stt_lab.engines.hosts.ray_driver`.

Ray ends its process when the cluster is lost, so the server must be another one. The messages are those described in
`process`; in addition, the first one in is ("connect", Plan), and ("devices", number) and ("lost", SttError) go out.
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
from stt_lab.engines.hosts.ray_actor import ActorSpec, NodeEngines
from stt_lab.engines.hosts.worker import Replies, message_pipe, outcome
from stt_lab.errors import Busy, Cancelled, EngineCrashed, SttError, Unavailable
from stt_lab.settings import MB
from stt_lab.types import Audio

log = logging.getLogger("stt_lab.ray")
ATTEMPTS = 2
START_S = 60.0  # for an actor to answer; longer means that other work uses its node
CHUNK = 8 * MB  # bytes of sound per part; the object store holds one at a time
CHUNK_S = 60.0
RECEIVE_S = 10.0  # wait of one request for messages, which is then repeated
URGENT = 16  # urgent calls that get messages at once
UNSET = {"OPENBLAS_CORETYPE": ""}  # the node's own value would change the lowest bits, and so the text
DEAD_S = 20.0  # time in which the cluster notices dead nodes
WATCH_S = 2.0  # between checks for new and lost nodes


@dataclass(frozen=True)
class Device:
    """A GPU, or all processors of a node. One call computes on it at a time."""

    node: str  # Ray's id
    host: str  # name of the machine, for the log
    kind: str  # "cuda" or "cpu"
    threads: int
    number: int = 0  # index on its node

    @property
    def resources(self) -> dict[str, int]:
        return {"num_gpus": 1, "num_cpus": 0} if self.kind == "cuda" else {"num_cpus": self.threads}


def find_devices(nodes: Iterable[Mapping[str, Any]], wanted: str) -> tuple[Device, ...]:
    """List the devices of a cluster (`ray.nodes()`): its GPUs; without any, or for "cpu", one per node."""
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
    """A call from the server."""

    def __init__(self, number: int, call: EngineCall, replies: Replies) -> None:
        self.number, self.call = number, call
        self.cancelled = threading.Event()
        self.actor: Any = None  # the device that works on it
        self._replies = replies

    def send(self, kind: str, value: Any) -> None:
        self._replies.send(kind, (self.number, value))

    def check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled("The request was cancelled.")

    def answer(self, reference: Any, patience_s: float = float("inf")) -> Any:
        """Wait for an actor's answer. Raises Cancelled, or RayError if the actor has gone or is too slow."""
        deadline = time.monotonic() + patience_s
        while True:
            self.check()  # also if the answer is immediate
            if ray.wait([reference], timeout=POLL_S)[0]:
                return ray.get(reference)
            if time.monotonic() > deadline:
                raise GetTimeoutError(f"no answer in {patience_s:g} s")


class Cluster:
    """The devices of a cluster and their actors, which are created on first use and end with this process."""

    def __init__(self, plan: Plan) -> None:
        ray.init(address=plan.address, namespace="stt_lab", logging_level=logging.WARNING)
        self._plan = plan
        self._actors: dict[Device, Any] = {}
        self._calls: dict[Device, list[Call]] = {}  # in progress
        self._reserved: dict[Device, Call] = {}  # devices reserved for calls that run again alone
        self._change = threading.Condition()

    def devices(self) -> tuple[Device, ...]:
        nodes: Callable[[], list[dict[str, Any]]] = ray.nodes  # untyped
        return find_devices(nodes(), self._plan.device)

    def run(self, call: Call) -> tuple[str, Any]:
        """Run a call. If its actor or node dies, run it once more: alone, and on another device if possible.

        It is unknown which call crashed an actor. Run alone, the faulty call harms no other. An urgent call does not
        run again, because its result would be too late.
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
        """Wait for a place on a device. After a device was `lost`, wait for another one for the call alone."""
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
        """Reserve a device for a call and drop its earlier reservation."""
        self._reserved = {one: other for one, other in self._reserved.items() if other is not call}
        if device is not None:
            self._reserved[device] = call

    def _choose(self, call: Call, lost: Device | None, avoid: bool) -> Device | None:
        """Choose a device with a free place, preferably with few calls and an actor; `avoid` the lost one's node.

        A call that must be alone reserves a device until the calls on it have ended. Urgent calls need no place.
        """
        devices = self.devices()
        if not devices:
            raise Unavailable("No node of the cluster can run engines. Add a node, or change STT_LAB_DEVICE.")
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
            "max_concurrency": 4 * plan.places
            + URGENT,  # up to four concurrent requests per call: messages, cancellation, spares
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(device.node, soft=False),
            "runtime_env": {"env_vars": tuning(device.kind, device.threads, plan.profile) | UNSET},
        }
        spec = ActorSpec(device.kind, device.threads, plan.profile, plan.folders)
        return ray.remote(NodeEngines).options(**options).remote(spec)

    def _stop(self, device: Device, call: Call) -> None:
        """Cancel a call on a device. Kill the actor if it does not end soon; wait longer if it has other calls."""
        if self._ends(call, CANCEL_GRACE_S):
            return
        if self._load(device) == 1:
            self._end(device, call.actor)
        else:
            threading.Thread(target=self._supervise, args=(device, call), daemon=True).start()

    def _supervise(self, device: Device, call: Call) -> None:
        if not self._ends(call, ABANDONED_S):
            log.warning("a cancelled call on %s has not ended; killing its actor, other calls run again", device.host)
            self._end(device, call.actor)

    @staticmethod
    def _ends(call: Call, patience_s: float) -> bool:
        with suppress(RayError):
            asked = call.actor and call.actor.cancel.remote(call.number, patience_s)
            return asked is None or bool(ray.get(asked, timeout=patience_s + 1))
        return False

    def _end(self, device: Device, actor: Any) -> None:
        """Kill the actor of a device, which also drops received sound."""
        with self._change:
            if self._actors.get(device) is actor:  # False if another call has done this
                self._actors.pop(device, None)
        if actor is not None:
            with suppress(RayError):
                ray.kill(actor)


def _ship(actor: Any, name: str, audio: Audio, call: Call) -> None:
    """Send sound to an actor, part by part through the object store; at least one part, even if empty."""
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
    return EngineCrashed("The engine stopped unexpectedly. Send a shorter file, or see the server's log.")


def serve(cluster: Cluster, calls: dict[int, Call], call: Call) -> None:
    """Run a call and report its outcome."""
    found = outcome(lambda: cluster.run(call), call.call)
    del calls[call.number]
    kind, value = found if found[0] == "failed" else found[1]  # from the cluster or the engine
    call.send(kind, value)


def watch(cluster: Cluster, replies: Replies) -> None:
    """Report the number of devices whenever it changes."""
    reported = 0
    while True:
        if (count := len(cluster.devices())) != reported:
            replies.send("devices", count)
            reported = count
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
        except Exception:  # end of the stream, or half a message
            os._exit(0)  # even during calls: the server has gone, and Ray ends the actors
        if kind == "run":
            number, given = value
            call = calls[number] = Call(number, given, replies)
            threading.Thread(target=serve, args=(cluster, calls, call), daemon=True).start()
        elif value in calls:
            calls[value].cancelled.set()


if __name__ == "__main__":
    main()
