"""A cluster of Ray on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psutil
from needs import needs

needs("ray")

T = TypeVar("T")
NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}


def patiently(start: Callable[[], T]) -> T:
    """A node of Ray ends itself when its helpers need 15 s to start, as on a machine with other work: try again."""
    for _ in range(2):
        with suppress(Exception):
            return start()
    return start()


class Nodes:
    """A cluster of this machine: a head that only keeps it together, and two nodes that work and may be removed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0}))
        self._workers: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def complete(self, count: int = 2) -> None:
        while len(self._workers) < count:
            self._workers.append(patiently(lambda: self._cluster.add_node(**NODE, num_cpus=1)))

    def remove(self, index: int) -> None:
        """A node dies, with all that runs on it."""
        self._cluster.remove_node(self._workers.pop(index), allow_graceful=False)

    def behead(self) -> None:
        """What knows all nodes dies."""
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    def engines(self) -> list[list[int]]:
        """Processes of the actors, node by node."""
        return [_actors(node.all_processes["raylet"][0].process.pid) for node in self._workers]

    def close(self) -> None:
        self._cluster.shutdown()


def _actors(raylet: int) -> list[int]:
    found = []
    for process in psutil.Process(raylet).children():
        with suppress(psutil.Error):
            found += [process.pid] if "NodeEngines" in " ".join(process.cmdline()) else []
    return found
