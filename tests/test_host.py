"""stt_lab.engines.hosts and worker: engines in this process and in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_engines import ENGINES, Echo
from fakes import PATHS, pcm, started, until

from stt_lab.engines.hosts import (
    CANCEL_GRACE_S,
    EngineCall,
    InProcessHost,
    WorkerHost,
    environment,
    process,
    worker_environ,
)
from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import Cancelled, EngineCrashed, RateLimited, SttError, Unavailable
from stt_lab.types import Audio, Event, Recognition, Report, silent


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    return pcm(tmp_path / "a.pcm", 3.0)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerHost]:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    host = WorkerHost(worker_environ("cpu", 1, "off"), idle_s=60)
    yield host
    host.close()


def task(engine: str, audio: Audio, model: str = "m", language: str | None = None, **more: Any) -> EngineCall:
    spec = EngineSpec(audio.path.parent, model)
    arguments = {"audio": audio, "language": language}
    return EngineCall(ENGINES[engine], spec, "transcribe", arguments, interleaved=True, **more)


def text(result: Any) -> str:
    assert isinstance(result, Recognition)
    return " ".join(segment.text for segment in result.segments)


class Stop:
    """A report that cancels at the first event of a stage."""

    def __init__(self, stage: str = "transcribing") -> None:
        self.stage, self.at = stage, 0.0

    def __call__(self, event: Event) -> None:
        if event.stage == self.stage:
            self.at = self.at or time.monotonic()
            raise Cancelled("Enough.")


# In this process


def test_inprocess_loads_once_and_again_after_close(audio: Audio) -> None:
    Echo.loads = Echo.unloads = 0
    host, events = InProcessHost(), list[Event]()
    assert text(host.run(task("echo", audio), events.append)) == "word. word. word."
    assert text(host.run(task("echo", audio), events.append)) == "word. word. word."
    assert [event.stage for event in events] == ["loading", "transcribing", "transcribing"]
    assert (Echo.loads, Echo.unloads) == (1, 0)
    host.close()
    host.run(task("echo", audio), silent)
    assert (Echo.loads, Echo.unloads) == (2, 1)


def test_inprocess_keeps_an_engine_for_each_placement(audio: Audio) -> None:
    Echo.loads = 0
    host = InProcessHost()
    for model in ("one", "two", "one"):
        assert host.run(task("echo", audio, model), silent).provenance.model == model
    assert Echo.loads == 2


def test_inprocess_cancel(audio: Audio) -> None:
    with pytest.raises(Cancelled):
        InProcessHost().run(task("endless", audio), Stop())


# In a worker


def test_result_and_progress_cross(worker: WorkerHost, audio: Audio) -> None:
    events: list[Event] = []
    assert text(worker.run(task("echo", audio), events.append)) == "word. word. word."
    assert [event.stage for event in dict.fromkeys(events)] == ["loading", "transcribing"]


def test_errors_cross_whole(worker: WorkerHost, audio: Audio) -> None:
    with pytest.raises(RateLimited, match=r"Wait a little\.") as caught:
        worker.run(task("refusing", audio), silent)
    assert caught.value.retry_after == 7


def test_a_strange_error_stays_in_the_log(worker: WorkerHost, audio: Audio, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SttError) as caught:
        worker.run(task("broken", audio), silent)
    assert type(caught.value) is SttError
    assert "secret" not in str(caught.value)
    assert "a secret in /etc/passwd" in capfd.readouterr().err
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."


def test_what_libraries_print_is_no_message(
    worker: WorkerHost, audio: Audio, capfd: pytest.CaptureFixture[str]
) -> None:
    assert text(worker.run(task("chatty", audio), silent)) == "quiet"
    until(lambda: "so does one in C" in capfd.readouterr().err)


def test_one_process_serves_many_tasks(worker: WorkerHost, audio: Audio) -> None:
    assert worker.pid is None
    worker.run(task("echo", audio), silent)
    first = worker.pid
    worker.run(task("echo", audio), silent)
    assert worker.pid == first != os.getpid()


def test_a_crash_fails_one_task(worker: WorkerHost, audio: Audio) -> None:
    with pytest.raises(EngineCrashed):
        worker.run(task("crash", audio), silent)
    assert worker.pid is None
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."


def test_kill_9_from_outside_fails_one_task(worker: WorkerHost, audio: Audio) -> None:
    def kill(event: Event) -> None:
        if event.stage == "transcribing":
            psutil.Process(worker.pid).kill()

    with pytest.raises(EngineCrashed):
        worker.run(task("endless", audio), kill)
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."


def test_a_worker_that_died_while_idle_is_replaced(worker: WorkerHost, audio: Audio) -> None:
    worker.run(task("echo", audio), silent)
    process = psutil.Process(worker.pid)
    process.kill()
    until(lambda: worker.pid is None)
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."
    assert worker.pid != process.pid


def test_cancel_keeps_a_worker_that_reacts(worker: WorkerHost, audio: Audio) -> None:
    stop = Stop()
    with pytest.raises(Cancelled):
        worker.run(task("endless", audio), stop)
    assert time.monotonic() - stop.at < CANCEL_GRACE_S
    pid = worker.pid
    assert pid is not None
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."  # and not what was cancelled
    assert worker.pid == pid


def test_cancel_kills_a_worker_that_does_not_react(worker: WorkerHost, audio: Audio) -> None:
    stop = Stop()
    with pytest.raises(Cancelled):
        worker.run(task("deaf", audio), stop)
    assert time.monotonic() - stop.at < CANCEL_GRACE_S + 1
    assert worker.pid is None
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."


def test_a_report_that_fails_in_any_way_stops_the_work(worker: WorkerHost, audio: Audio) -> None:
    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.run(task("endless", audio), interrupt)
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."


def test_an_idle_worker_is_ended(audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    host = WorkerHost(worker_environ("cpu", 1, "off"), idle_s=0.2)
    assert text(host.run(task("echo", audio), silent)) == "word. word. word."
    until(lambda: host.pid is None)
    assert text(host.run(task("echo", audio), silent)) == "word. word. word."
    host.close()


def test_a_worker_that_works_is_not_idle(audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    host = WorkerHost(worker_environ("cpu", 1, "off"), idle_s=0.05)
    host.run(task("echo", audio), silent)
    began: list[float] = []

    def report(event: Event) -> None:
        if event.stage == "transcribing":
            began.append(time.monotonic())
            if began[-1] - began[0] > 0.5:  # ten times the idle time
                raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        host.run(task("endless", audio), report)
    host.close()


def test_close_ends_a_running_task_for_good(worker: WorkerHost, audio: Audio) -> None:
    runs = threading.Event()

    def report(event: Event) -> None:
        if event.stage == "transcribing":
            runs.set()

    with started(lambda: worker.run(task("deaf", audio), report)) as raised:
        assert runs.wait(10)
        process = psutil.Process(worker.pid)
        worker.close()
        assert not process.is_running()
    assert isinstance(raised[0], Unavailable)
    assert not isinstance(raised[0], EngineCrashed)
    with pytest.raises(Unavailable):
        worker.run(task("echo", audio), silent)
    assert worker.pid is None


def test_close_without_a_start_is_harmless() -> None:
    host = WorkerHost({}, idle_s=60)
    host.close()
    host.close()


PARENT = """
import sys
from pathlib import Path
from fake_engines import ENGINES
from fakes import pcm
from stt_lab.engines.hosts import EngineCall, WorkerHost, worker_environ
from stt_lab.engines.protocols import EngineSpec
audio = pcm(Path(sys.argv[1]))
host = WorkerHost(worker_environ("cpu", 1, "off"), 60)
def report(event):
    if event.stage == "transcribing":
        print(host.pid, flush=True)
place = EngineSpec(Path("."), "m")
host.run(EngineCall(ENGINES[sys.argv[2]], place, "transcribe", {"audio": audio, "language": None}), report)
"""


@pytest.mark.parametrize("engine", ["endless", "deaf"])
def test_a_worker_ends_with_a_parent_that_is_killed(engine: str, tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": PATHS}
    command = [sys.executable, "-c", PARENT, str(tmp_path / "a.pcm"), engine]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.communicate(timeout=5)  # stderr ends when the worker, which has it too, is gone
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_files_in_the_working_folder_are_not_imported(
    worker: WorkerHost, audio: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("queue.py", "pickle.py", "stt_lab.py"):
        (tmp_path / name).write_text("raise SystemExit('imported by mistake')\n")
    monkeypatch.chdir(tmp_path)
    assert text(worker.run(task("echo", audio), silent)) == "word. word. word."


def reveal(host: WorkerHost, audio: Audio, report: Report = silent) -> dict[str, str]:
    found: dict[str, str] = json.loads(text(host.run(task("reveal", audio), report)))["environ"]
    return found


def test_the_environment_of_a_worker_holds_no_secrets(audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    secrets = ("STT_LAB_ADMIN_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "PGPASSWORD", "SMTP_PASS")
    for name in secrets:
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    host = WorkerHost(worker_environ("cpu", 3, "fast"), idle_s=60)
    found = reveal(host, audio)
    host.close()
    assert not [name for name, value in found.items() if "s3cret" in value]
    assert not [name for name in found if name.startswith("STT_LAB_")]
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert found["PYANNOTE_METRICS_ENABLED"] == "0"
    assert found["CUDA_VISIBLE_DEVICES"] == "1"
    assert found["PATH"] == os.environ["PATH"]
    assert "mmap_max" in found["GLIBC_TUNABLES"]


@pytest.mark.parametrize(
    ("device", "profile", "tuned", "forced"),
    [
        ("cpu", "fast", True, False),
        ("cpu", "avx512", True, True),
        ("cpu", "off", False, False),
        ("cuda", "avx512", False, False),
    ],
)
def test_the_fast_profile_is_for_the_cpu(
    device: str, profile: str, tuned: bool, forced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CT2_FORCE_CPU_ISA", raising=False)
    monkeypatch.setattr(environment, "has_avx512", lambda: True)
    environ = worker_environ(device, 1, profile)
    assert ("GLIBC_TUNABLES" in environ, "CT2_FORCE_CPU_ISA" in environ) == (tuned, forced)


def test_avx512_is_not_forced_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CT2_FORCE_CPU_ISA", raising=False)
    monkeypatch.setattr(environment, "has_avx512", lambda: False)
    environ = worker_environ("cpu", 1, "avx512")
    assert ("GLIBC_TUNABLES" in environ, "CT2_FORCE_CPU_ISA" in environ) == (True, False)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs /proc/cpuinfo, which is Linux's")
def test_avx512_is_what_the_processor_says() -> None:
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    assert environment.has_avx512() == all(f"avx512{part}" in flags for part in ("f", "cd", "bw", "dq", "vl"))


def test_half_a_message_is_a_crash(worker: WorkerHost, audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.stdout.buffer.write(b'\\x80\\x04\\x95\\xff'); sys.stdout.flush(); sys.stdin.read(1)"

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: popen([sys.executable, "-c", code], **how))
    with pytest.raises(EngineCrashed):
        worker.run(task("echo", audio), silent)


# Several calls in one worker


def windows(audio: Audio) -> list[str]:
    """Whose windows the engine "steps" has worked on, in order."""
    note = audio.path.with_name("windows")
    return note.read_text("utf-8").split() if note.exists() else []


class Watch:
    """A report that knows how far a call is, and may be told to cancel it."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.enough = threading.Event()

    def __call__(self, event: Event) -> None:
        self.stages.append(event.stage)
        if self.enough.is_set():
            raise Cancelled("Enough.")


class Calls:
    """Calls in threads, by name: what became of them, and how far they are."""

    def __init__(self, worker: WorkerHost, threads: ExitStack) -> None:
        self._worker, self._threads = worker, threads
        self.results: dict[str, str] = {}
        self.raised: dict[str, list[BaseException]] = {}
        self.watches: dict[str, Watch] = {}

    def begin(self, name: str, call: EngineCall, stage: str) -> None:
        """Begin a call and wait until it has reported a stage."""
        watch = self.watches[name] = Watch()

        def work() -> None:
            self.results[name] = text(self._worker.run(call, watch))

        self.raised[name] = self._threads.enter_context(started(work))
        until(lambda: stage in watch.stages, 20)


@pytest.fixture
def calls(worker: WorkerHost) -> Iterator[Calls]:
    with ExitStack() as threads:
        made = Calls(worker, threads)
        yield made
        for watch in made.watches.values():
            watch.enough.set()


def test_urgent_calls_go_between_the_windows_of_another(calls: Calls, audio: Audio) -> None:
    calls.begin("long", task("steps", audio, language="long"), "transcribing")
    until(lambda: windows(audio) == ["long"])
    for name in ("one", "two", "three"):
        calls.begin(name, task("steps", audio, language=name, session=1.0), "queued")
    audio.path.with_name("go").touch()
    until(lambda: len(calls.results) == 4, 20)
    found = windows(audio)
    assert found[0] == "long"
    assert found[-2:] == ["long", "long"]  # it paused until none was left
    assert sorted(found[1:-2]) == sorted(["one", "two", "three"] * 3)
    assert set(calls.results.values()) == {"word. word. word."}


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_two_urgent_calls_work_at_once(calls: Calls, audio: Audio) -> None:
    calls.begin("long", task("endless", audio), "transcribing")
    calls.begin("one", task("meeting", audio, session=1.0), "transcribing")
    calls.begin("two", task("meeting", audio, session=2.0), "transcribing")
    until(lambda: len(calls.results) == 2, 20)
    assert calls.results == {"one": "met", "two": "met"}
    calls.watches["long"].enough.set()


def test_a_waiting_call_is_cancelled_at_once(calls: Calls, worker: WorkerHost, audio: Audio) -> None:
    calls.begin("deaf", task("deaf", audio), "transcribing")
    calls.begin("waits", task("echo", audio), "queued")
    pid, began = worker.pid, time.monotonic()
    calls.watches["waits"].enough.set()
    until(lambda: calls.raised["waits"])
    assert time.monotonic() - began < CANCEL_GRACE_S
    assert isinstance(calls.raised["waits"][0], Cancelled)
    assert worker.pid == pid
    calls.watches["deaf"].enough.set()


def test_to_cancel_a_deaf_call_does_not_fail_others(
    calls: Calls, worker: WorkerHost, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ABANDONED_S", 0.3)
    calls.begin("deaf", task("deaf", audio), "transcribing")
    calls.begin("waits", task("echo", audio), "queued")
    pid, began = worker.pid, time.monotonic()
    calls.watches["deaf"].enough.set()
    until(lambda: calls.raised["deaf"])
    assert time.monotonic() - began < CANCEL_GRACE_S + 1
    until(lambda: calls.results, 20)
    assert calls.results == {"waits": "word. word. word."}
    assert worker.pid != pid  # which was killed, for it would have worked for a minute


def test_a_cancelled_call_ends_with_its_window(calls: Calls, worker: WorkerHost, audio: Audio) -> None:
    calls.begin("one", task("steps", audio, language="one"), "transcribing")
    calls.begin("two", task("steps", audio, language="two"), "queued")
    pid = worker.pid
    calls.watches["one"].enough.set()
    until(lambda: calls.raised["one"])  # although its window has not ended
    audio.path.with_name("go").touch()
    until(lambda: calls.results, 20)
    assert windows(audio) == ["one", "two", "two", "two"]
    assert worker.pid == pid


def test_a_crash_fails_the_call_that_worked_and_no_other(calls: Calls, audio: Audio) -> None:
    calls.begin("long", task("steps", audio, language="long"), "transcribing")
    calls.begin("bad", task("crash", audio, session=1.0), "queued")
    audio.path.with_name("go").touch()
    until(lambda: calls.results, 20)
    assert isinstance(calls.raised["bad"][0], EngineCrashed)
    assert calls.results == {"long": "word. word. word."}
    assert windows(audio) == ["long"] * 4  # it began again, in another process


def test_calls_that_are_not_interleaved_have_an_engine_for_themselves(calls: Calls, audio: Audio) -> None:
    one, two = (replace(task("steps", audio, language=name), interleaved=False) for name in ("one", "two"))
    calls.begin("one", one, "transcribing")
    calls.begin("two", replace(two, session=1.0), "queued")
    calls.begin("other", task("steps", audio, "of another model", "other", session=2.0), "queued")
    audio.path.with_name("go").touch()
    until(lambda: len(calls.results) == 3, 20)
    assert windows(audio) == ["one", *["other"] * 3, "one", "one", *["two"] * 3]


def test_two_threads_never_share_the_worker(worker: WorkerHost, audio: Audio) -> None:
    results: list[str] = []
    work: Callable[[], None] = lambda: results.append(text(worker.run(task("echo", audio), silent)))  # noqa: E731
    with started(work) as one, started(work) as two:
        pass
    assert (one, two, results) == ([], [], ["word. word. word."] * 2)
