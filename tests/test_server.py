"""stt_lab.server as people run it: `stt-lab serve` in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest
from fakes import environ, files, program, tone, until, write_catalog

from stt_lab.access import Access
from stt_lab.errors import Busy
from stt_lab.server import create_app
from stt_lab.settings import Settings


class Server:
    """A running server, and what it has printed."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()
        until(lambda: self.lines or self.process.poll() is not None, 60)
        assert self.lines, self.errors
        until(lambda: "ranscribe" in self.lines[-1] or "No model" in self.lines[-1])
        self.url = self.lines[0].rpartition(" ")[2]
        self.client = httpx.Client(base_url=self.url, timeout=60)

    @staticmethod
    def _read(pipe: IO[str], lines: list[str]) -> None:
        lines.extend(line.rstrip("\n") for line in pipe)  # one by one, as they come

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: int = signal.SIGTERM) -> float:
        """Seconds that the server and all that share its pipes needed to end."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(15)
        for reader in self._readers:
            reader.join(15)
            assert not reader.is_alive(), "a child still has the server's pipes"
        return time.monotonic() - began

    def leftovers(self) -> list[Path]:
        return [path for name in ("uploads", "work", "gradio") for path in files(self.folder / "data" / name)]


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[Server]:
    env = environ(folder, **more)
    server = Server(folder, program(folder, "serve", "--port", "0"), env)
    try:
        yield server
    finally:
        server.client.close()
        if server.process.poll() is None:
            server.process.kill()
        for reader in server._readers:
            reader.join(15)
        for pipe in (server.process.stdout, server.process.stderr):
            if pipe:
                pipe.close()
        server.process.wait()


def gone(children: list[psutil.Process]) -> bool:
    return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_the_first_start(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        welcome = "\n".join(server.lines)
        assert re.fullmatch(r"stt_lab \S+ is ready at http://127\.0\.0\.1:\d+", server.lines[0])
        key = (tmp_path / "data" / "admin.key").read_text().strip()
        assert (tmp_path / "data" / "admin.key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert key not in welcome
        (address,) = re.findall(r"http://\S+/sign-in\?token=\w+", welcome)

        assert server.client.get("/health").json()["status"] == "ok"
        page = server.client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        wrong = server.client.get("/sign-in?token=wrong")
        assert (wrong.status_code, set(wrong.json())) == (401, {"error", "code"})
        signed = server.client.get(address)
        assert (signed.status_code, signed.headers["location"]) == (303, "/")
        assert "HttpOnly" in signed.headers["set-cookie"]
        assert "SameSite=strict" in signed.headers["set-cookie"]
        for path in ("/v1/nothing", "/nothing", "/api/v1/account/"):
            assert server.client.get(path).status_code == 404
            assert "error" in server.client.get(path).json()
        assert server.client.post("/health").status_code == 405

        assert server.end() < 10
        assert key not in "\n".join(server.lines + server.errors)
        assert not [line for line in server.errors if "Traceback" in line]


def test_a_key_of_ones_own_is_never_printed(tmp_path: Path) -> None:
    with serving(tmp_path, STT_LAB_ADMIN_KEY="my-very-own-key", STT_LAB_LOG_LEVEL="debug") as server:
        answer = server.client.get("/v1/models", headers={"Authorization": "Bearer my-very-own-key"})
        assert answer.status_code == 200
        assert not (tmp_path / "data" / "admin.key").exists()
        server.end()
        printed = "\n".join(server.lines + server.errors)
        assert "sign-in" not in printed
        assert "my-very-own-key" not in printed


@pytest.mark.parametrize("model", ["endless", "deaf"])
def test_sigterm_in_the_middle_of_work(model: str, tmp_path: Path) -> None:
    talk = tone(tmp_path / "talk.wav", 3)
    with serving(tmp_path) as server:
        answers: list[httpx.Response] = []

        def ask() -> None:
            with talk.open("rb") as file:
                answers.append(server.client.post("/v1/transcribe", files={"file": file}, data={"model": model}))

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: any("stt_lab.engines.worker" in child.cmdline() for child in server.children()), 20)
        children = server.children()
        assert len(children) == 2
        assert server.leftovers() != []
        assert server.end() < 10
        asking.join(10)
        until(lambda: gone(children))
        assert [answer.status_code for answer in answers] == [503]
        assert "error" in answers[0].json()
        assert server.leftovers() == []
        assert not [line for line in server.errors if "Traceback" in line]


def test_kill_9_leaves_no_process_and_the_next_start_no_file(tmp_path: Path) -> None:
    talk = tone(tmp_path / "talk.wav", 3)
    with serving(tmp_path) as server:

        def ask() -> None:
            with talk.open("rb") as file, pytest.raises(httpx.TransportError):
                server.client.post("/v1/transcribe", files={"file": file}, data={"model": "deaf"})

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: len(server.children()) == 2, 20)
        children = server.children()
        until(lambda: len(server.leftovers()) == 2)
        server.end(signal.SIGKILL)
        asking.join(10)
        until(lambda: gone(children))
        assert server.leftovers() != []
    with serving(tmp_path) as server:
        assert server.leftovers() == []


def test_a_second_server_on_the_same_data(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        mark = tmp_path / "data" / "uploads" / "mark"
        mark.touch()
        second = subprocess.run(
            program(tmp_path, "serve", "--port", "0"),
            env=environ(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 1
        assert second.stderr.startswith("stt-lab: ")
        assert "STT_LAB_DATA_DIR" in second.stderr
        assert second.stderr.count("\n") == 1
        assert mark.exists()
        assert server.client.get("/health").status_code == 200


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        env = environ(tmp_path, STT_LAB_DATA_DIR=str(tmp_path / "other"), GRADIO_SERVER_PORT=port)
        second = subprocess.run(
            program(tmp_path, "serve"), env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert second.returncode == 1
        assert "address already in use" in second.stderr
        assert "Traceback" not in second.stderr


def test_without_models(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    for path in (tmp_path / "models").rglob("weights"):
        path.unlink()
    with serving(tmp_path) as server:
        assert "stt-lab models pull" in server.lines[-1]
        health = server.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")


def test_the_application_over_one_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", device="cpu")
    app = create_app(settings)
    assert isinstance(app.state.access, Access)
    with pytest.raises(Busy):
        create_app(settings)
    app.state.runtime.close()
