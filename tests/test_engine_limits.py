"""No call of an engine works longer than its input justifies; a model that cannot be loaded says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_engines import ENGINES
from fakes import PATHS, fakes_fixture, pcm, started, until  # noqa: F401

from stt_lab.engines.hosts import EngineCall, InProcessHost, WorkerHost, process, worker_environ
from stt_lab.engines.hosts.limits import seconds_for
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import EngineSpec, Message
from stt_lab.errors import EngineCrashed, EngineTimedOut, ModelBroken
from stt_lab.settings import Settings
from stt_lab.types import Audio, silent
from stt_lab.weights import catalog


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    return pcm(tmp_path / "a.pcm", 3.0)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerHost]:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    host = WorkerHost(worker_environ("cpu", 1, "off"), idle_s=60)
    yield host
    host.close()


def call(engine: str, audio: Audio, **more: Any) -> EngineCall:
    spec = EngineSpec(audio.path.parent, "m")
    arguments = {"audio": audio, "language": None}
    return EngineCall(ENGINES[engine], spec, "transcribe", arguments, interleaved=True, **more)


def test_a_deaf_engine_is_ended(worker: WorkerHost, audio: Audio) -> None:
    worker.run(call("echo", audio), silent)
    first, began = worker.pid, time.monotonic()
    with pytest.raises(EngineTimedOut, match="STT_LAB_ENGINE_PATIENCE") as caught:
        worker.run(call("deaf", audio, limit_s=0.5), silent)
    assert time.monotonic() - began < 5
    assert caught.value.retry_after
    worker.run(call("echo", audio), silent)
    assert worker.pid != first


def test_an_engine_that_reports_is_stopped_and_its_process_stays(worker: WorkerHost, audio: Audio) -> None:
    worker.run(call("echo", audio), silent)
    first = worker.pid
    with pytest.raises(EngineTimedOut):
        worker.run(call("endless", audio, limit_s=0.5), silent)
    worker.run(call("echo", audio), silent)
    assert worker.pid == first


def test_in_this_process_it_stops_at_its_next_safe_point(audio: Audio) -> None:
    with pytest.raises(EngineTimedOut):
        InProcessHost().run(call("endless", audio, limit_s=0.2), silent)


def test_other_calls_of_an_ended_worker_run_again(worker: WorkerHost, audio: Audio) -> None:
    """`steps` waits for a file, deaf, inside of its turn; `endless` reports and gives its turn away."""
    results: list[Any] = []
    with ExitStack() as threads:
        raised = threads.enter_context(started(lambda: results.append(worker.run(call("meeting", audio), silent)), 40))
        time.sleep(1.0)  # it has its turn, and waits for its like
        with pytest.raises(EngineTimedOut):
            worker.run(call("deaf", audio, limit_s=0.5), silent)
        worker.run(call("meeting", audio), silent)
    assert raised == []
    assert len(results) == 1


def test_waiting_for_a_turn_does_not_count(worker: WorkerHost, audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ABANDONED_S", 2.0)
    release = threading.Event()

    def report(event: Any) -> None:
        if release.is_set():
            raise EngineCrashed("Enough.")

    with ExitStack() as threads:
        busy = threads.enter_context(started(lambda: worker.run(call("deaf", audio), report)))
        time.sleep(1.0)
        patient = threads.enter_context(started(lambda: worker.run(call("echo", audio, limit_s=0.5), silent), 60))
        time.sleep(3.0)  # longer than the limit
        release.set()
    assert patient == []
    assert [type(problem) for problem in busy] == [EngineCrashed]


def test_limits_grow_with_the_input() -> None:
    short, long = (seconds_for("find_pii", {"text": "a" * size}) for size in (1000, 1_000_000))
    assert 60 < short < 600 < long < 4000
    texts, conversation = ("a" * 500, "b" * 500), (Message("user", "a" * 1000),)
    assert seconds_for("embed", {"texts": texts}) == short
    assert seconds_for("complete", {"messages": conversation, "schema": None}) > seconds_for("complete", {})


def test_limits_of_recordings_grow_with_their_duration(tmp_path: Path) -> None:
    minute = seconds_for("transcribe", {"audio": pcm(tmp_path / "a.pcm", 60.0)})
    assert minute - seconds_for("transcribe", {"audio": pcm(tmp_path / "b.pcm", 1.0)}) == 59 * 20


# Models that cannot be loaded, and workers that crash


@pytest.fixture
def make(fakes: Callable[..., Settings]) -> Iterator[Callable[..., Pool]]:
    with ExitStack() as ends:

        def made(**more: object) -> Pool:
            pool = Pool(fakes(**more))
            ends.callback(pool.close)
            return pool

        yield made


@pytest.mark.parametrize("host", ["inprocess", "process"])
def test_a_model_that_cannot_be_loaded_is_unavailable(make: Callable[..., Pool], audio: Audio, host: str) -> None:
    pool = make(engine_host=host)
    assert pool.troubles() == ()
    with pytest.raises(ModelBroken, match="stt-lab models pull corrupt") as caught:
        pool.transcribe(catalog.get("corrupt"), audio, None, silent)
    assert (caught.value.status, bool(caught.value.retry_after)) == (503, True)
    assert "secret" not in str(caught.value)
    (problem,) = pool.troubles()
    assert "'corrupt'" in problem
    (audio.path.parent / "models" / "corrupt" / "mended").touch()
    pool.transcribe(catalog.get("corrupt"), audio, None, silent)
    assert pool.troubles() == ()


def test_a_worker_that_keeps_crashing_is_reported(make: Callable[..., Pool], audio: Audio) -> None:
    pool = make(engine_host="process")
    for _ in range(3):
        assert pool.troubles() == ()
        with pytest.raises(EngineCrashed):
            pool.transcribe(catalog.get("crash"), audio, None, silent)
    (problem,) = pool.troubles()
    assert "crashed 3 times" in problem


def test_the_patience_is_a_setting(make: Callable[..., Pool], audio: Audio) -> None:
    pool = make(engine_host="process", engine_patience=0.001)
    began = time.monotonic()
    with pytest.raises(EngineTimedOut):
        pool.transcribe(catalog.get("deaf"), audio, None, silent)
    assert time.monotonic() - began < 10
    until(lambda: pool.transcribe(catalog.get("echo"), audio, None, silent) is not None)
