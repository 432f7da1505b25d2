"""Plain Python calls: their engines run in a worker process, as a server's do, which ends with the interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from fakes import environ, tone, until, write_catalog

SCRIPT = """
import os, sys
from pathlib import Path
import stt_lab
from fake_engines import ENGINES
from stt_lab.engines import pool
from stt_lab.runtime import local_runtime
from stt_lab.weights import catalog

catalog.CATALOG = Path(sys.argv[1])
pool.ENGINES.update(ENGINES)
told = stt_lab.transcribe(sys.argv[2], model="reveal", diarize=False)
print(local_runtime().pool.process, os.getpid(), told.text, flush=True)
if sys.argv[3] == "fork":
    if os.fork() == 0:
        sys.exit()  # with what is registered for the exit
    os.wait()
    stt_lab.transcribe(sys.argv[2], model="echo", diarize=False)
    print(local_runtime().pool.process, flush=True)
elif sys.argv[3] == "busy":
    stt_lab.transcribe(sys.argv[2], model="endless", diarize=False)
elif sys.argv[3] == "wait":
    sys.stdin.read()
"""


@contextmanager
def script(folder: Path, then: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], int, int, str]]:
    """A script that has transcribed, and then ends, waits, forks or works: it, its worker, its pid, and the text."""
    command = [sys.executable, "-c", SCRIPT, str(write_catalog(folder)), str(tone(folder / "a.wav", 1.0)), then]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ(folder, **more), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        worker, own, text = process.stdout.readline().split(maxsplit=2)
        yield process, int(worker if worker != "None" else 0), int(own), text
        process.kill()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_engines_are_in_a_worker_with_a_servers_environment(tmp_path: Path) -> None:
    with script(tmp_path, "wait", OPENBLAS_CORETYPE="Haswell", STT_LAB_ADMIN_KEY="s3cret") as (_, worker, own, text):
        assert worker not in (0, own)
        assert f'"pid":{worker}' in text
        assert "GLIBC_TUNABLES" in text
        assert "OPENBLAS_CORETYPE" not in text  # other low bits, and other text
        assert "s3cret" not in text


def test_a_setting_keeps_the_engines_in_the_process(tmp_path: Path) -> None:
    with script(tmp_path, "wait", STT_LAB_ENGINE_HOST="inprocess") as (_, worker, own, text):
        assert worker == 0
        assert f'"pid":{own}' in text


@pytest.mark.parametrize("then", ["exit", "wait", "busy"])
def test_the_worker_ends_with_the_interpreter(tmp_path: Path, then: str) -> None:
    with script(tmp_path, then) as (process, worker, _, _):
        if then != "exit":
            assert not gone(worker)
            process.send_signal(signal.SIGINT)  # Ctrl-C
        process.wait(10)
        until(lambda: gone(worker))
        assert process.returncode == (0 if then == "exit" else -signal.SIGINT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_leaves_the_worker_to_its_parent(tmp_path: Path) -> None:
    with script(tmp_path, "fork") as (process, worker, _, _):
        assert process.stdout is not None
        assert int(process.stdout.readline()) == worker
        assert process.wait(10) == 0
