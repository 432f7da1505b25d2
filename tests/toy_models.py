"""Small models, wheels and a small hub for the tests of models: no network, no real weights."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stt_lab.settings import Settings
from stt_lab.weights import catalog

REPO, COMMIT = "org/toy", "0123456789abcdef0123456789abcdef01234567"
HALVES = (b"first half, " * 100_000, b"second half")  # over 512 kB: pip shows no progress for less
PACKAGED = {"model.bin": b"".join(HALVES), "config.json": b"{}"}
HUBBED = {"model.bin": b"the hub's own " * 1000, "config.json": b'{"from": "hub"}'}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ROW = """task = "transcribe"
lane = "speech"
engine = "faster-whisper"
name = "Toy"
languages = 1
speed = "fast"
license = "MIT"
size_mb = 2"""

CATALOG = f"""
[package]
toy-one = {{{{ version = "1.0", sha256 = "{{one}}" }}}}
toy-two = {{{{ version = "1.0", sha256 = "{{two}}" }}}}

[[model]]
id = "toy"
{ROW}
files = ["model.bin", "config.*"]
repo = "{REPO}"
revision = "{COMMIT}"
packages = ["toy-one", "toy-two"]
needs = ["tool"]

[model.hub_sha256]
"model.bin" = "{digest(HUBBED["model.bin"])}"
"config.json" = "{digest(HUBBED["config.json"])}"

[model.embedded]
"model.bin" = {{{{ sha256 = "{digest(PACKAGED["model.bin"])}", parts = ["toy_one/part1", "toy_two/part2"] }}}}
"config.json" = {{{{ sha256 = "{digest(PACKAGED["config.json"])}", parts = ["toy_two/config.json"] }}}}

[[model]]
id = "tool"
{ROW}
files = ["tool.bin"]

[[model]]
id = "gate"
{ROW}
files = ["*"]
repo = "org/gate"
revision = "{COMMIT}"
gated = true
"""


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> str:
    """Write a wheel as pip wants it, and return its sha256."""
    stem = name.replace("-", "_")
    info = {
        f"{stem}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{stem}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}-1.0.dist-info/RECORD": b"",
    }
    path = folder / f"{stem}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**members, **info}.items():
            archive.writestr(member, data)
    return digest(path.read_bytes())


class Toy:
    """A model `toy` in a catalog of its own, joined from two wheels, with a model `tool` that it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.catalog = folder, folder / "catalog.toml"
        self.models, self.wheels = folder / "models", folder / "wheels"
        self.wheels.mkdir()
        one = wheel(self.wheels, "toy-one", {"toy_one/part1": HALVES[0]})
        two = wheel(self.wheels, "toy-two", {"toy_two/part2": HALVES[1], "toy_two/config.json": b"{}"})
        self.catalog.write_text(CATALOG.format(one=one, two=two), "utf-8")
        (self.models / "tool").mkdir(parents=True)
        (self.models / "tool" / "tool.bin").write_bytes(b"tool")

    def settings(self, **more: Any) -> Settings:
        return Settings(models_dir=self.models, data_dir=self.folder / "data", **more)

    def replace(self, old: str, new: str) -> None:
        self.catalog.write_text(self.catalog.read_text("utf-8").replace(old, new), "utf-8")
        catalog.read.cache_clear()

    def put(self, folder: Path, files: dict[str, bytes] = PACKAGED) -> Path:
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder

    def child(self, call: str, **environ: str) -> subprocess.Popen[str]:
        """`call` in a process of its own, with `report` printing what it is told and `settings` at hand."""
        code = f"""
import os, signal
from pathlib import Path
from stt_lab.weights import catalog
from stt_lab.weights.pull import pull
from stt_lab.errors import Cancelled
from stt_lab.settings import Settings
catalog.CATALOG = Path({str(self.catalog)!r})
settings = Settings(models_dir=Path({str(self.models)!r}))
def report(what, done, total):
    print(what, done, total, flush=True)
def die(what, done, total):
    if what.startswith("unpacking"):
        os.kill(os.getpid(), signal.SIGKILL)
def cancel(what, done, total):
    if done:
        raise Cancelled(f"no more than {{done}} of {{total}}")
try:
    print("at", {call})
except Exception as problem:
    print(type(problem).__name__, problem)
"""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **environ}, text=True, **pipes)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy(tmp_path)
    monkeypatch.setattr(catalog, "CATALOG", toy.catalog)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(toy.wheels)), ("CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return toy


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as its client asks for, and a page of links for pip whose wheels never end."""

    asked: ClassVar[Counter[str]] = Counter()
    broken = ""  # a file that gets 404

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked[f"{self.command} {path.rpartition('/')[2]}"] += 1
        if path.endswith(".whl"):
            return self.answer(200, b"\0" * 700_000, length=2_000_000)
        if path == "/links":
            return self.answer(200, b"<a href='/toy_one-1.0-py3-none-any.whl'>toy</a>", kind="text/html")
        if "/tree/" in path:
            tree = [{"type": "file", "path": n, "size": len(d), "oid": digest(d)[:40]} for n, d in HUBBED.items()]
            return self.answer(200, json.dumps(tree).encode(), kind="application/json")
        name = path.rpartition("/")[2]
        if "/org/gate/" in path:
            return self.answer(401, b"", error="GatedRepo")
        if name in HUBBED and name != self.broken:
            return self.answer(200, HUBBED[name], etag=digest(HUBBED[name])[:40])
        return self.answer(404 if path != "/" else 200, b"")

    do_HEAD = do_GET

    def answer(
        self, status: int, body: bytes, *, kind: str = "", etag: str = "", error: str = "", length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("ETag", f'"{etag}"'), ("X-Error-Code", error)):
            if value.strip('"'):
                self.send_header(name, value)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.wfile.flush()
            if length is not None:
                self.server.over.wait(60)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.over = threading.Event()  # type: ignore[attr-defined]
        monkeypatch.setattr(Hub, "asked", Counter())
        monkeypatch.setattr(Hub, "broken", "")
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
