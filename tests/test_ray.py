"""stt_lab.engines.hosts.ray, ray_driver and ray_actor: engines on a cluster, here of two nodes on this machine."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Choose
from fake_engines import ENGINES
from fakes import PATHS, pcm, started, tone, until
from nodes import Nodes

import stt_lab.operations  # noqa: F401  declares them
from stt_lab.caller import ADMINISTRATOR, ADMINISTRATOR_ID
from stt_lab.engines import pool
from stt_lab.engines.hosts import CANCEL_GRACE_S, EngineCall, Host, InProcessHost, WorkerHost, worker_environ
from stt_lab.engines.hosts import ray as ray_host
from stt_lab.engines.hosts.ray import RayHost
from stt_lab.engines.hosts.ray_driver import CHUNK, find_devices
from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import BadInput, Cancelled, EngineCrashed, ModelMissing, SttError, Unavailable
from stt_lab.jobs import JobQueue
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.runtime import Runtime, local_runtime
from stt_lab.settings import Settings, get_settings
from stt_lab.store import queue
from stt_lab.types import SAMPLE_BYTES, Audio, Event, JobInfo, silent
from stt_lab.weights import catalog

slow = pytest.mark.slow
IDLE_S = 5.0
SECRETS = {"STT_LAB_ADMIN_KEY": "s3cret", "HF_TOKEN": "s3cret", "PGPASSWORD": "s3cret"}
PLACES = ENGINES | {"heavy": "ray_engines:Heavy", "second": "ray_engines:Second"}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What nodes inherit: where engines are, no setting of where weights lie, and secrets that must not get further.

    With Jupyter comes a parser that takes two seconds to import, and jsonschema imports it in each process of Ray.
    """
    get_settings()  # of the tests, read before one of them is taken away
    lighter = tmp_path_factory.mktemp("lighter")
    (lighter / "rfc3987_syntax.py").write_text("raise ImportError\n")  # jsonschema does without
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(lighter), PATHS]))
        patch.delenv("STT_LAB_MODELS_DIR")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_health_check_period_ms", "500")  # a node that has gone is noticed in 5 s, not 15
        patch.setenv("RAY_health_check_failure_threshold", "10")
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


def task(engine: str, audio: Audio, model: str = "base") -> EngineCall:
    spec, arguments = EngineSpec(Path("of the server"), model), {"audio": audio, "language": None}
    return EngineCall(PLACES[engine], spec, "transcribe", arguments, interleaved=True)


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
def test_a_cluster_without_nodes(cluster: Nodes, host: RayHost, audio: Audio) -> None:
    assert cluster.engines() == []  # the tests below add nodes
    with pytest.raises(Unavailable, match="No node of the cluster"):
        host.run(task("echo", audio), silent)


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
        assert host.devices == 2
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
def test_calls_on_a_node_take_turns_and_urgent_ones_go_first(nodes: Nodes, host: RayHost, audio: Audio) -> None:
    watches = [Watch(), Watch()]
    with ExitStack() as threads:
        raised = [
            threads.enter_context(started(lambda watch=watch: host.run(task("endless", audio), watch)))  # type: ignore[misc]
            for watch in watches
        ]
        until(lambda: all(watch.works() for watch in watches), 60)
        before = nodes.engines()
        assert [len(pids) for pids in before] == [1, 1]
        assert host.capacity == 2 * get_settings().recordings_at_once
        assert text(host.run(replace(task("echo", audio), session=1.0), silent)) == "word. word. word."
        told = json.loads(text(host.run(task("reveal", audio), silent)))
        assert [told["pid"]] in before
        for watch in watches:
            watch.enough.set()
    assert [type(problem) for (problem,) in raised] == [Cancelled, Cancelled]
    assert nodes.engines() == before


@slow
def test_a_task_that_kills_its_engine_fails_in_the_end(nodes: Nodes, host: RayHost, audio: Audio) -> None:
    with pytest.raises(EngineCrashed, match="shorter file"):
        host.run(task("crash", audio), silent)
    assert text(host.run(task("echo", audio), silent)) == "word. word. word."


@slow
def test_a_cluster_that_does_not_answer(settings: Settings, audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "2")
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
    with pytest.raises(Unavailable, match="shutting down"):
        host.run(task("echo", audio), silent)


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
        work = EngineCall(
            pool.ENGINES["faster-whisper"], EngineSpec(folder, "base"), "transcribe", {"audio": audio, "language": None}
        )
        worker = WorkerHost(worker_environ("cpu", 1, settings.cpu_profile), idle_s=60)
        hosts: list[Host] = [InProcessHost(), worker, RayHost(far)]
        here, beside, there = [ends.enter_context(closing(host)).run(work, silent) for host in hosts]
    assert len(text(here).split()) > 3
    assert text(there) == text(beside) == text(here)
    assert there.segments == beside.segments  # to the last digit with as many threads; confidences differ with others
    assert (there.language, there.suppressed) == (here.language, here.suppressed)


@pytest.fixture
def runtime(settings: Settings, tmp_path: Path) -> Iterator[Runtime]:
    with closing(Runtime(settings.model_copy(update={"data_dir": tmp_path}))) as made:
        yield made


@pytest.fixture
def jobs(runtime: Runtime) -> Iterator[JobQueue]:
    with closing(JobQueue(runtime, runtime.database, runtime.accounts, runtime.library, runtime.settings)) as made:
        made.start()
        yield made


@slow
def test_jobs_spread_over_the_nodes_and_survive_one(
    nodes: Nodes, runtime: Runtime, jobs: JobQueue, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pool.ENGINES, "faster-whisper", PLACES["second"])
    note, talk = weights / "runs", tone(tmp_path / "talk.wav", 1.0)

    def ask() -> str:
        wish = {"file": talk, "model": "base", "diarize": False, "background": True}
        made: JobInfo = call(OPERATIONS["transcribe"], wish, Context(ADMINISTRATOR, runtime, gate=jobs))
        return made.id

    def engines() -> list[int]:
        """Processes that have begun a task."""
        return [int(pid) for pid in note.read_text("utf-8").split()] if note.exists() else []

    def done(*ids: str) -> bool:
        ended = [jobs.get(ADMINISTRATOR, one) for one in ids]
        assert not [one.error for one in ended if one.error]
        return all(one.status == "done" for one in ended)

    both = ask(), ask()  # neither ends before both are worked on
    until(lambda: done(*both), 60)
    assert [len(set(pids) & set(engines())) for pids in nodes.engines()] == [1, 1]

    note.unlink()
    job = ask()
    until(engines, 60)
    nodes.remove(next(index for index, pids in enumerate(nodes.engines()) if engines()[0] in pids))
    until(lambda: done(job), 90)
    assert len(engines()) == 2
    assert engines()[1] in nodes.engines()[0]
    assert jobs.result(ADMINISTRATOR, job).value.text == "once"
    with runtime.database.read() as session:
        row = queue.get(session, job)
    assert row is not None
    assert row.attempts == 1  # of the job: the server was there all the time
    kinds = [entry.kind for entry in runtime.accounts.ledger(ADMINISTRATOR_ID) if entry.job_id == job]
    assert sorted(kinds) == ["reserve", "settle"]
    until(lambda: runtime.pool.devices == 1, 60)


@slow
def test_a_cluster_that_ends_in_a_task(nodes: Nodes, settings: Settings, audio: Audio) -> None:
    """The last test of this cluster."""
    watch = Watch()
    with closing(RayHost(settings)) as host, started(lambda: host.run(task("endless", audio), watch)) as raised:
        until(watch.works, 60)
        nodes.behead()
        until(lambda: raised, 60)
    assert isinstance(raised[0], Unavailable)
    assert "ray status" in str(raised[0])


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
    with pytest.raises(BadInput, match=r"pip install .*\[ray\]"):
        RayHost(Settings(engine_host="ray"))
