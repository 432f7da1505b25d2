"""An installation for tests, whose engines (fake_engines) are registered like real ones.

`python fakes.py CATALOG COMMAND ...` is `stt-lab COMMAND ...` with these engines.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import wave
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fake_engines import ENGINES, TRANSCRIBERS, reset
from fastapi import FastAPI

from stt_lab.engines import pool
from stt_lab.server import OPTIONS, compose
from stt_lab.settings import Settings
from stt_lab.types import SAMPLE_RATE, Audio
from stt_lab.web.routes import add_routes
from stt_lab.weights import catalog

TESTS = Path(__file__).parent
PATHS = os.pathsep.join([str(TESTS), str(TESTS.parent)])  # PYTHONPATH of programs that import these and this checkout
KEY = "the-key-of-the-administrator"


ROW = """
[[model]]
id = "{id}"
task = "{task}"
lane = "speech"
engine = "{engine}"
name = "Fake {id}"
languages = {languages}
speed = "fast"
license = "MIT"
size_mb = 1
files = ["weights"]
"""


def write_catalog(folder: Path) -> Path:
    """A catalog of a model for each engine and their empty weights; the API's default model is an echo."""
    names = {"large-v3-turbo": "echo", **{kind.__name__.lower(): kind.__name__.lower() for kind in TRANSCRIBERS}}
    rows = [ROW.format(id=model, task="transcribe", engine=engine, languages=99) for model, engine in names.items()]
    rows.append(ROW.format(id="english", task="transcribe", engine="echo", languages=1))
    rows.append(ROW.format(id="absent", task="transcribe", engine="echo", languages=99))
    rows.append(ROW.format(id="halves", task="diarize", engine="halves", languages=0))
    path = folder / "catalog.toml"
    path.write_text("[package]\n" + "".join(rows), "utf-8")
    for model in [*names, "english", "halves"]:
        (folder / "models" / model).mkdir(parents=True)
        (folder / "models" / model / "weights").touch()
    return path


@pytest.fixture(name="fakes")
def fakes_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Registers the engines; call it for settings over the test's own folder."""
    monkeypatch.setattr(catalog, "CATALOG", write_catalog(tmp_path))
    for name, place in ENGINES.items():
        monkeypatch.setitem(pool.ENGINES, name, place)
    monkeypatch.setenv("PYTHONPATH", PATHS)  # for worker processes
    reset()

    def settings(**more: Any) -> Settings:
        folders: dict[str, Any] = {"data_dir": tmp_path / "data", "models_dir": tmp_path / "models"}
        plain = {"admin_key": KEY, "engine_host": "inprocess", "device": "cpu", "threads": 1, "max_upload_mb": 2}
        return Settings(**folders | plain | {"recordings_at_once": 1} | more)

    return settings


def environ(folder: Path, **more: str) -> dict[str, str]:
    """Environment of a program that runs as a user's own: with a catalog of fakes in `folder`, and nothing of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("STT_LAB_", "GRADIO_"))}
    given = {"STT_LAB_DATA_DIR": str(folder / "data"), "STT_LAB_MODELS_DIR": str(folder / "models")}
    machine = {"STT_LAB_DEVICE": "cpu", "STT_LAB_THREADS": "1"}
    return plain | given | machine | {"PYTHONPATH": PATHS, "PYTHONUNBUFFERED": "1"} | more


def program(folder: Path, *arguments: str) -> list[str]:
    """The command line of `stt-lab` with fakes."""
    path = folder / "catalog.toml"
    if not path.exists():
        write_catalog(folder)
    return [sys.executable, str(TESTS / "fakes.py"), str(path), *arguments]


def tone(path: Path, seconds: float = 2.0) -> Path:
    """A WAV file with a quiet tone."""
    wave_of = (int(3000 * math.sin(i / 6)) for i in range(int(seconds * SAMPLE_RATE)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(array("h", wave_of).tobytes())
    return path


def pcm(path: Path, seconds: float = 2.0) -> Audio:
    """Decoded silence, as an engine gets it."""
    samples = int(seconds * SAMPLE_RATE)
    path.write_bytes(bytes(2 * samples))
    return Audio(path, samples)


def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for what has no event of its own; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


@contextmanager
def started(work: Callable[[], object], seconds: float = 20) -> Iterator[list[BaseException]]:
    """`work` in a thread; the block gets a list that holds what it raised, once it has ended; in `seconds` at most."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as problem:
            raised.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(seconds)
        assert not thread.is_alive(), "the work did not end"


def files(folder: Path) -> list[Path]:
    """All files below a folder; one that is deleted meanwhile, alone or with its folder, is no error."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return [path for path in paths if path.is_file()]


class Service:
    """The operations over HTTP on a real port, without the page."""

    def __init__(self, settings: Settings, address: str = "", **options: Any) -> None:
        self.settings = settings
        self.installation = compose(settings, address) if address else compose(settings)
        self.runtime, self.access, self.jobs = (
            self.installation.runtime,
            self.installation.access,
            self.installation.jobs,
        )
        self.accounts, self.library = self.runtime.accounts, self.runtime.library
        self.app = app = FastAPI()
        add_routes(app, self.installation)
        self.server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, **OPTIONS | {"log_level": "error"} | options))

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    def leftovers(self) -> list[Path]:
        return files(self.runtime.uploads_dir) + files(self.runtime.work_dir)


@contextmanager
def served(settings: Settings, address: str = "", **options: Any) -> Iterator[Service]:
    """A service on loopback; one that knows it, with `address`. `options` are uvicorn's."""
    service = Service(settings, address, **options)
    with started(service.server.run) as raised:
        try:
            service.jobs.start()
            until(lambda: service.server.started or raised, 10)
            yield service
        finally:
            service.server.should_exit = True
            service.installation.close()
    assert raised == []


@pytest.fixture(name="service")
def service_fixture(fakes: Callable[..., Settings]) -> Iterator[Service]:
    with served(fakes()) as running:
        yield running


@pytest.fixture(name="client")
def client_fixture(service: Service) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=headers, timeout=20) as made:
        yield made


if __name__ == "__main__":
    from stt_lab.cli import main

    catalog.CATALOG = Path(sys.argv[1])
    pool.ENGINES.update(ENGINES)
    sys.exit(main(sys.argv[2:]))
