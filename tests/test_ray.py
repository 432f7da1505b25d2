"""stt_lab.engines.ray_host, ray_driver and ray_actor: engines on a cluster, here of two nodes on this machine."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Choose
from fake_engines import ENGINES
from fakes import TESTS, pcm, started, until

from stt_lab.audio import PACKAGES
from stt_lab.engines import catalog, pool, ray_host
from stt_lab.engines.host import CANCEL_GRACE_S, Host, InProcessHost, Task, WorkerHost, worker_environ
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import Placement, silent
from stt_lab.engines.ray_host import RayHost
from stt_lab.errors import BadInput, Cancelled, EngineCrashed, ModelMissing, SttError, Unavailable
from stt_lab.runtime import local_runtime
from stt_lab.settings import Settings, get_settings
from stt_lab.types import SAMPLE_BYTES, Audio, Event

pytest.importorskip("ray", reason="the extra ray is not installed")
from stt_lab.engines.ray_driver import CHUNK, find_devices

slow = pytest.mark.slow
IDLE_S = 5.0
SECRETS = {"STT_LAB_ADMIN_KEY": "s3cret", "HF_TOKEN": "s3cret", "PGPASSWORD": "s3cret"}
PLACES = ENGINES | {"heavy": "ray_engines:Heavy", "second": "ray_engines:Second"}
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


class Nodes:
    """A cluster of this machine: a head that only keeps it together, and two nodes that work and may be removed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
        self._workers: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def complete(self, count: int = 2) -> None:
        while len(self._workers) < count:
            self._workers.append(self._cluster.add_node(**NODE))

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


@pytest.fixture(scope="module")
def environ() -> Iterator[None]:
    """What nodes inherit: where engines are, and secrets that must not get further."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(PACKAGES), str(TESTS)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def cluster(environ: None) -> Iterator[Nodes]:
    with closing(Nodes()) as made:
        yield made


@pytest.fixture
def nodes(cluster: Nodes) -> Nodes:
    cluster.complete()
    return cluster


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty files under the name of a model that the catalog knows."""
    folder = tmp_path_factory.mktemp("models") / "base"
    folder.mkdir()
    for name in catalog.get("base").files:
        (folder / name.replace("*", "txt")).touch()
    return folder


@pytest.fixture(scope="module")
def settings(cluster: Nodes, weights: Path) -> Settings:
    return Settings(engine_host="ray", ray_address=cluster.address, models_dir=weights.parent)


@pytest.fixture
def host(settings: Settings, shared: list[RayHost]) -> RayHost:
    """One for all tests until it is closed: a start takes seconds. It soon gives the nodes up for other hosts."""
    if not shared:
        shared.append(RayHost(settings.model_copy(update={"idle_unload_s": IDLE_S})))
    return shared[0]


@pytest.fixture(scope="module")
def shared() -> Iterator[list[RayHost]]:
    made: list[RayHost] = []
    yield made
    for host in made:
        host.close()


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    return pcm(tmp_path / "a.pcm", 3.0)


def task(engine: str, audio: Audio, model: str = "base") -> Task:
    return Task(
        PLACES[engine], Placement(Path("of the server"), model), "transcribe", {"audio": audio, "language": None}
    )


def text(result: Any) -> str:
    return " ".join(segment.text for segment in result.segments)


class Watch:
    """A report that knows the stages, and may be told to cancel."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.enough = threading.Event()

    def __call__(self, event: Event) -> None:
        if event.stage not in self.stages:
            self.stages.append(event.stage)
        if self.enough.is_set():
            raise Cancelled("Enough.")

    def works(self) -> bool:
        return "transcribing" in self.stages


@slow
def test_results_progress_and_errors_cross(nodes: Nodes, host: RayHost, audio: Audio) -> None:
    watch = Watch()
    assert text(host.run(task("echo", audio), watch)) == "word. word. word."
    assert watch.stages == ["loading", "transcribing"]
    with pytest.raises(SttError, match="Wait a little") as caught:
        host.run(task("refusing", audio), silent)
    assert caught.value.retry_after == 7
    with pytest.raises(SttError) as caught:
        host.run(task("broken", audio), silent)
    assert "secret" not in str(caught.value)


@slow
def test_sounds_cross_in_chunks_and_leave_nothing(nodes: Nodes, host: RayHost, tmp_path: Path) -> None:
    loud = 2 * CHUNK // SAMPLE_BYTES + 1  # three chunks with the silence before; the last one is short
    sound = tmp_path / "long.pcm"
    sound.write_bytes(bytes(1000) + b"\x00\x40" * loud)
    total, path = text(host.run(task("heavy", Audio(sound, loud + 500)), silent)).split()
    assert float(total) == pytest.approx(loud / 2, rel=1e-4)
    assert path.startswith("/proc/self/fd/")
    empty = pcm(tmp_path / "empty.pcm", 0.0)
    assert text(host.run(task("heavy", empty), silent)).startswith("0.000")
    for pids in nodes.engines():
        assert not [file for pid in pids for file in psutil.Process(pid).open_files() if "deleted" in file.path]


@slow
def test_an_actor_has_no_secrets(nodes: Nodes, host: RayHost, audio: Audio) -> None:
    found: dict[str, str] = json.loads(text(host.run(task("reveal", audio), silent)))["environ"]
    assert not [name for name, value in found.items() if "s3cret" in value]
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert "mmap_max" in found["GLIBC_TUNABLES"]


@slow
def test_a_model_that_a_node_lacks(
    nodes: Nodes, settings: Settings, audio: Audio, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(RayHost(settings)) as host:
        with pytest.raises(ModelMissing, match=r"on a node of the cluster.*models pull tiny\.en") as caught:
            host.run(task("echo", audio, "tiny.en"), silent)
        assert os.uname().nodename not in str(caught.value)
        until(lambda: f"on {os.uname().nodename}: The model 'tiny.en'" in capfd.readouterr().err)


@slow
def test_work_spreads_over_the_nodes_and_is_cancelled(nodes: Nodes, host: RayHost, audio: Audio) -> None:
    watches = [Watch(), Watch()]
    with ExitStack() as threads:
        raised = [
            threads.enter_context(started(lambda watch=watch, name=name: host.run(task(name, audio), watch)))  # type: ignore[misc]
            for name, watch in zip(("endless", "deaf"), watches, strict=True)
        ]
        until(lambda: all(watch.works() for watch in watches), 60)
        assert [len(pids) for pids in nodes.engines()] == [1, 1]
        assert host.capacity == 2
        before = {pid for pids in nodes.engines() for pid in pids}
        began = time.monotonic()
        for watch in watches:
            watch.enough.set()
    assert time.monotonic() - began < CANCEL_GRACE_S
    assert [type(problem) for (problem,) in raised] == [Cancelled, Cancelled]
    until(lambda: sum(map(len, nodes.engines())) == 1, 10)  # the one that did not listen was killed
    kept = {pid for pids in nodes.engines() for pid in pids}
    assert kept < before
    told = json.loads(text(host.run(task("reveal", audio), silent)))
    assert told["pid"] in kept  # the one that listened is free for the next task


@slow
def test_a_node_that_dies_in_a_task(nodes: Nodes, host: RayHost, audio: Audio, weights: Path) -> None:
    note, results = weights / "runs", list[str]()
    with started(lambda: results.append(text(host.run(task("second", audio), silent)))) as raised:
        until(lambda: note.exists() and note.read_text("utf-8"), 60)
        nodes.remove(nodes.engines().index([int(note.read_text("utf-8"))]))
        until(lambda: results or raised, 90)
        assert nodes.engines() == [[int(note.read_text("utf-8").split()[-1])]]
    assert (results, raised) == (["once"], [])
    assert len(note.read_text("utf-8").split()) == 2
    until(lambda: host.capacity == 1, 20)


@slow
def test_a_task_that_kills_its_engine_fails_in_the_end(nodes: Nodes, host: RayHost, audio: Audio) -> None:
    with pytest.raises(EngineCrashed, match="twice"):
        host.run(task("crash", audio), silent)
    assert text(host.run(task("echo", audio), silent)) == "word. word. word."


@slow
def test_a_pool_over_the_cluster(
    nodes: Nodes, settings: Settings, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pool.ENGINES, "faster-whisper", PLACES["echo"])
    found: list[str] = []

    def work() -> None:
        with engines.slot(silent):
            found.append(text(engines.transcribe(catalog.get("base"), audio, None, silent)))

    with closing(Pool(settings)) as engines, ExitStack() as threads:
        assert engines.capacity == 1  # it has not connected yet
        raised = [threads.enter_context(started(work)) for _ in range(4)]
        until(lambda: len(found) == 4 or any(raised), 90)
    assert (found, raised) == (["word. word. word."] * 4, [[]] * 4)


@slow
def test_a_cluster_that_does_not_answer(settings: Settings, audio: Audio) -> None:
    gone = settings.model_copy(update={"ray_address": "127.0.0.1:9"})
    with closing(RayHost(gone)) as host, pytest.raises(Unavailable, match="ray status"):
        host.run(task("echo", audio), silent)


@slow
def test_the_cluster_gets_its_nodes_back(nodes: Nodes, host: RayHost, shared: list[RayHost], audio: Audio) -> None:
    host.run(task("echo", audio), silent)
    assert any(nodes.engines())
    until(lambda: not any(nodes.engines()), IDLE_S + 15)  # it was idle
    watch = Watch()
    with started(lambda: host.run(task("endless", audio), watch)) as raised:
        until(watch.works, 60)
        host.close()
        shared.clear()
    assert isinstance(raised[0], Unavailable)
    until(lambda: not any(nodes.engines()), 15)
    with pytest.raises(Unavailable, match="ending"):
        host.run(task("echo", audio), silent)


@slow
def test_a_cluster_that_ends_in_a_task(environ: None, audio: Audio, weights: Path) -> None:
    watch = Watch()
    with closing(Nodes()) as own:
        settings = Settings(engine_host="ray", ray_address=own.address, models_dir=weights.parent)
        with closing(RayHost(settings)) as host:
            with pytest.raises(Unavailable, match="No node of the cluster"):
                host.run(task("echo", audio), silent)
            own.complete(1)
            with started(lambda: host.run(task("endless", audio), watch)) as raised:
                until(watch.works, 60)
                own.behead()
                until(lambda: raised, 60)
    assert isinstance(raised[0], Unavailable)
    assert "ray status" in str(raised[0])


@slow
@pytest.mark.truth
def test_real_engines_say_the_same_as_on_this_machine(nodes: Nodes, made_data: Choose) -> None:
    settings = get_settings()
    folder = catalog.locate(catalog.get("base"), settings)
    assert folder is not None
    far = settings.model_copy(update={"engine_host": "ray", "ray_address": nodes.address})
    with ExitStack() as ends:
        sound = made_data(kind="utterance", language="en")[0].path
        audio = ends.enter_context(local_runtime().decoder.decode(sound))
        work = Task(
            pool.ENGINES["faster-whisper"], Placement(folder, "base"), "transcribe", {"audio": audio, "language": None}
        )
        worker = WorkerHost(worker_environ("cpu", 1, settings.cpu_profile), idle_s=60)
        hosts: list[Host] = [InProcessHost(), worker, RayHost(far)]
        here, beside, there = [ends.enter_context(closing(host)).run(work, silent) for host in hosts]
    assert len(text(here).split()) > 3
    assert text(there) == text(beside) == text(here)
    assert there.segments == beside.segments  # to the last digit with as many threads; confidences differ with others
    assert (there.language, there.suppressed) == (here.language, here.suppressed)


# Without a cluster


def test_devices_are_gpus_or_whole_nodes() -> None:
    def node(name: str, alive: bool = True, **resources: float) -> dict[str, Any]:
        return {"NodeID": name, "NodeManagerHostname": name, "Alive": alive, "Resources": resources}

    plain = [node("head"), node("a", CPU=8.0), node("dead", alive=False, CPU=8.0, GPU=1.0)]
    mixed = [*plain, node("b", CPU=8.0, GPU=2.0)]

    def found(nodes: list[dict[str, Any]], wanted: str) -> list[tuple[str, str, int, int]]:
        return [(one.node, one.kind, one.threads, one.number) for one in find_devices(nodes, wanted)]

    assert found(plain, "auto") == found(plain, "cpu") == [("a", "cpu", 8, 0)]
    assert found(plain, "cuda") == []
    assert found(mixed, "auto") == found(mixed, "cuda") == [("b", "cuda", 4, 0), ("b", "cuda", 4, 1)]
    assert found(mixed, "cpu") == [("a", "cpu", 8, 0), ("b", "cpu", 8, 0)]


def test_what_cannot_work_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="STT_LAB_RAY_ADDRESS"):
        RayHost(Settings(engine_host="ray", ray_address="local"))
    monkeypatch.setattr(ray_host.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"stt_lab\[ray\]"):
        RayHost(Settings(engine_host="ray"))
