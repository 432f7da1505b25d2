"""stt_lab.server as people run it: `stt-lab serve` in a process of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import signal
import subprocess
import threading
import wave
from pathlib import Path

import httpx
import numpy as np
import pytest
from fakes import environ, files, pcm, program, tone, until
from serving import Server, gone, serving

from stt_lab.errors import Busy, Unavailable
from stt_lab.scratch import prepare
from stt_lab.server import _welcome, compose, create_app
from stt_lab.settings import Settings, get_settings
from stt_lab.types import silent
from stt_lab.weights import catalog

MINE = {"Authorization": "Bearer my-very-own-key-of-26-chars"}


def test_from_the_first_start_to_the_end(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        welcome = "\n".join(server.lines)
        assert re.fullmatch(r"stt_lab \S+ is ready at http://127\.0\.0\.1:\d+", server.lines[0])
        key = (tmp_path / "data" / "admin.key").read_text().strip()
        assert (tmp_path / "data" / "admin.key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert key not in welcome
        (address,) = re.findall(r"http://\S+/sign-in\?token=\w+", welcome)
        assert f"Keeps its data in {tmp_path / 'data'} (STT_LAB_DATA_DIR)." in server.lines
        check_answers(server, address)
        check_a_second_server(server)
        check_a_port_that_is_taken(server)
        assert server.end() < 10
        assert key not in "\n".join(server.lines + server.errors)
        assert not [line for line in server.errors if "Traceback" in line]


def check_answers(server: Server, address: str) -> None:
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
    for path in ("/v1/nothing", "/v1", "/nothing", "/api/v1/nothing/"):
        assert server.client.get(path).status_code == 404
        assert "error" in server.client.get(path).json()
    assert server.client.post("/health").status_code == 405


def check_a_second_server(server: Server) -> None:
    mark = server.folder / "data" / "uploads" / "mark"
    mark.touch()
    second = run(server.folder, "serve", "--port", "0")
    assert second.returncode == 1
    assert second.stderr.startswith("stt-lab: ")
    assert "STT_LAB_DATA_DIR" in second.stderr
    assert second.stderr.count("\n") == 1
    assert mark.exists()
    assert server.client.get("/health").status_code == 200
    mark.unlink()


def check_a_port_that_is_taken(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    second = run(server.folder, "serve", STT_LAB_DATA_DIR=str(server.folder / "other"), GRADIO_SERVER_PORT=port)
    assert second.returncode == 1
    assert f"stt-lab: Port {port} " in second.stderr
    assert "--port" in second.stderr
    assert second.stderr.count("\n") == 1
    assert not (server.folder / "other").exists()


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = program(folder, *arguments)
    return subprocess.run(command, env=environ(folder, **env), capture_output=True, text=True, check=False, timeout=60)


def asking(server: Server, talk: Path, model: str, statuses: list[int], **more: str) -> threading.Thread:
    """A request in a thread; 0 stands for a connection that ended."""

    def ask() -> None:
        try:
            with talk.open("rb") as file:
                data = {"model": model, **more}
                answer = server.client.post("/v1/transcribe", files={"file": file}, data=data, headers=MINE)
            assert "error" in answer.json()
            statuses.append(answer.status_code)
        except httpx.TransportError:
            statuses.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_sigterm_in_the_middle_of_work(tmp_path: Path) -> None:
    talk, statuses = tone(tmp_path / "talk.wav", 3), list[int]()
    with serving(tmp_path, STT_LAB_ADMIN_KEY="my-very-own-key-of-26-chars", STT_LAB_LOG_LEVEL="debug") as server:
        with_key = server.client.get("/v1/models", headers=MINE)
        assert with_key.status_code == 200
        assert not (tmp_path / "data" / "admin.key").exists()

        threads = [asking(server, talk, "deaf", statuses)]
        until(lambda: any("stt_lab.engines.hosts.worker" in child.cmdline() for child in server.children()), 30)
        threads.append(asking(server, talk, "endless", statuses))  # waits for the first
        until(lambda: len(server.leftovers()) == 4, 30)  # an upload and its decoded sound each
        children = server.children()
        assert len(children) >= 2
        assert server.end() < 10
        for thread in threads:
            thread.join(10)
        until(lambda: gone(children))
        assert statuses == [503, 503]
        assert server.leftovers() == []
        printed = "\n".join(server.lines + server.errors)
        assert "Traceback" not in printed
        assert "sign-in" not in printed
        assert "my-very-own-key-of-26-chars" not in printed


@pytest.mark.truth
def test_sigterm_while_a_real_model_works(tmp_path: Path) -> None:
    talk, statuses = tmp_path / "talk.wav", list[int]()
    rng = np.random.default_rng(1)
    with wave.open(str(talk), "wb") as file, wave.open(str(shipped())) as source:
        file.setparams(source.getparams())
        speech = np.frombuffer(source.readframes(source.getnframes()), "<i2")
        for _ in range(20):  # ten minutes, no two windows of which are the same
            file.writeframes((speech * rng.uniform(0.5, 1.0)).astype("<i2").tobytes())
    with serving(
        tmp_path,
        fakes=False,
        STT_LAB_ADMIN_KEY="my-very-own-key-of-26-chars",
        STT_LAB_MODELS_DIR=str(get_settings().models_dir),
    ) as server:
        thread = asking(server, talk, "tiny.en", statuses, diarize="false")
        until(lambda: any("stt_lab.engines.hosts.worker" in child.cmdline() for child in server.children()), 30)
        (worker,) = [child for child in server.children() if "stt_lab.engines.hosts.worker" in child.cmdline()]
        until(lambda: sum(worker.cpu_times()[:2]) > 6, 60)  # its imports take two seconds
        children = server.children()
        assert statuses == []
        assert server.end() < 10
        thread.join(10)
        until(lambda: gone(children))
        assert statuses == [503]
        assert server.leftovers() == []
        assert "Traceback" not in "\n".join(server.errors)


def shipped() -> Path:
    """Half a minute of speech that pyannote.audio ships."""
    spec = importlib.util.find_spec("pyannote")  # without importing it: the import decodes the file
    assert spec is not None
    places = [Path(place) / "audio" / "sample" / "sample.wav" for place in spec.submodule_search_locations or ()]
    return next(path for path in places if path.exists())


def test_what_a_server_writes_is_private_to_its_user(tmp_path: Path) -> None:
    talk = tone(tmp_path / "talk.wav", 1)
    before = os.umask(0o022)
    try:
        with serving(tmp_path, STT_LAB_ADMIN_KEY="my-very-own-key-of-26-chars") as server:
            with talk.open("rb") as file:
                assert server.client.post("/v1/transcribe", files={"file": file}, headers=MINE).status_code == 200
            server.client.post("/gradio_api/upload", files={"files": ("a.wav", b"x")})
            written = list((tmp_path / "data").rglob("*"))
            assert [path for path in written if path.suffix == ".db"]
            assert len(written) > 10
            assert [path for path in written if path.stat().st_mode & 0o077] == []
    finally:
        os.umask(before)


def test_kill_9_leaves_no_process_and_the_next_start_no_file(tmp_path: Path) -> None:
    talk, statuses = tone(tmp_path / "talk.wav", 3), list[int]()
    with serving(tmp_path, STT_LAB_ADMIN_KEY="my-very-own-key-of-26-chars") as server:
        thread = asking(server, talk, "deaf", statuses)
        until(lambda: any("stt_lab.engines.hosts.worker" in child.cmdline() for child in server.children()), 30)
        children = server.children()
        server.end(signal.SIGKILL)
        thread.join(10)
        until(lambda: gone(children))
        assert statuses == [0]
        assert server.leftovers() != []
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", device="cpu")
    prepare(settings).lock.release()
    assert server.leftovers() == []


def test_without_models(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, models_dir=tmp_path / "none", device="cpu", admin_key="mine-and-nobody-elses-key"
    )
    installation = compose(settings)
    welcome = _welcome(installation, "http://host:1")
    installation.close()
    assert "stt-lab models pull" in welcome
    assert "mine-and" not in welcome


def test_the_application_over_one_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models", device="cpu")
    app = create_app(compose(settings))
    with pytest.raises(Busy, match="STT_LAB_DATA_DIR"):
        create_app(compose(settings))

    async def live() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(live())
    prepare(settings).lock.release()  # its end freed the directory
    with pytest.raises(Unavailable):
        app.state.installation.runtime.pool.transcribe(catalog.get("base"), pcm(tmp_path / "a.pcm"), None, silent)


def test_a_sqlite_file_elsewhere_has_one_server(tmp_path: Path) -> None:
    def settings(data: str) -> Settings:
        url = f"sqlite:///{tmp_path / 'shared' / 'stt_lab.db'}"
        return Settings(data_dir=tmp_path / data, models_dir=tmp_path, database_url=url)

    first = prepare(settings("one"))
    with pytest.raises(Busy, match="STT_LAB_DATABASE_URL"):
        prepare(settings("two"))
    first.release()
    prepare(settings("two")).release()  # the refusal had kept nothing
    prepare(settings("one")).release()


def test_servers_that_share_a_database_share_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=tmp_path, database_url="postgresql://host/name")
    one, two = prepare(settings), prepare(settings)
    assert [scratch.folder for scratch in (one, two)] == [tmp_path / "servers" / name for name in "12"]
    for scratch in (one, two):
        (scratch.folder / "uploads" / "mark").touch()
    two.lock.release()  # as a crash does
    third = prepare(settings)
    assert third.folder == two.folder
    assert [path.parents[1] for path in files(tmp_path) if path.name == "mark"] == [one.folder]
    one.lock.release()
    third.lock.release()
    (tmp_path / "servers" / "2" / "work" / "mark").touch()
    assert prepare(settings).folder == one.folder
    assert not [path for path in files(tmp_path) if path.name == "mark"]  # of servers that are gone, too
