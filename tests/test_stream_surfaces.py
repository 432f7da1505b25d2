"""Live speech on every surface with a real model, the hosted API's client, and a server that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import gradio_client
import httpx
import pytest
from conftest import Choose, Recording
from fakes import KEY, environ
from live_toys import talking
from serving import Server, serving

import stt_lab
from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.audio.wav import wav_writer
from stt_lab.client import Client
from stt_lab.errors import Unauthorized, Unavailable, UnsupportedMedia
from stt_lab.metrics import wer
from stt_lab.streaming.updates import LastUpdate, Ready
from stt_lab.types import SAMPLE_RATE, silent

pytestmark = pytest.mark.truth
CLIENTS = Path(__file__).parent / "clients"
OLD = "websocket-client==1.8.0"


@pytest.fixture(scope="module")
def clip(made_data: Choose) -> Recording:
    (one,) = made_data(id="prompts__en_vm-msgforwarded")
    return one


@pytest.fixture(scope="module")
def sound(clip: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as a WAV file of 16-bit PCM at 16 kHz."""
    folder = tmp_path_factory.mktemp("sound")
    with (
        Decoder(folder, DecodeLimits(60 * SAMPLE_RATE, 60)).decode(clip.path, silent) as audio,
        wav_writer(folder / "clip.wav") as write,
    ):
        write(audio.path.read_bytes())
    return folder / "clip.wav"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Server]:
    places = {"STT_LAB_MODELS_DIR": str(models_dir), "STT_LAB_ADMIN_KEY": KEY}
    with serving(tmp_path_factory.mktemp("streams"), fakes=False, **places) as running:
        yield running


def said(text: str, clip: Recording) -> None:
    assert wer([clip.text or ""], [text], "whisper_en").rate <= 0.25, text


def pcm(sound: Path) -> bytes:
    with wave.open(str(sound)) as file:
        return file.readframes(file.getnframes())


def test_python(clip: Recording) -> None:
    first, *_, last = stt_lab.stream(clip.path, model="tiny.en", speed="max")
    assert isinstance(first, Ready)
    assert isinstance(last, LastUpdate)
    assert last.transcript is not None
    said(last.transcript.text, clip)


def test_the_command(clip: Recording, tmp_path: Path, models_dir: Path) -> None:
    command = [sys.executable, "-m", "stt_lab", "stream", str(clip.path), "--model", "tiny.en"]
    env = environ(tmp_path) | {"STT_LAB_MODELS_DIR": str(models_dir)}
    ended = subprocess.run([*command, "-o", str(tmp_path), "--speed", "max"], env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    said(json.loads((tmp_path / f"{clip.path.stem}.json").read_text())["text"], clip)
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    said(ended.stdout, clip)


def test_a_gradio_client(server: Server, clip: Recording) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    client = gradio_client.Client(server.url, verbose=False, headers=headers)
    job = client.submit(
        file=gradio_client.handle_file(str(clip.path)), model="tiny.en", language="en", speed="max", api_name="/stream"
    )
    last = job.result(timeout=60)
    assert last["final"] is True
    said(last["transcript"], clip)
    assert job.outputs()[0]["status"] == "ready"
    said(" ".join(one["text"] for one in job.outputs()), clip)


@pytest.mark.parametrize("store", [False, True])
def test_our_client(server: Server, clip: Recording, store: bool) -> None:
    with Client(server.url, KEY) as client:
        first, *_, last = client.stream(clip.path, model="tiny.en", language="en", store=store)
        assert isinstance(first, Ready)
        assert isinstance(last, LastUpdate)
        assert last.transcript is not None
        said(last.transcript.text, clip)
        assert last.transcript.duration == pytest.approx(clip.duration, abs=0.01)
        assert (last.transcript.id is not None) is store
        if last.transcript.id is not None:
            assert client.transcripts.get(last.transcript.id).text == last.transcript.text


def test_our_client_refuses_as_the_server_does(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client, pytest.raises(Unauthorized):
        list(client.stream([b"\0\0"]))
    with Client("http://127.0.0.1:9", KEY) as client, pytest.raises(Unavailable):
        list(client.stream([b"\0\0"]))
    (tmp_path / "text.wav").write_text("no sound")
    with Client(server.url, KEY) as client, pytest.raises(UnsupportedMedia):
        list(client.stream(tmp_path / "text.wav"))


def broken() -> Iterator[bytes]:
    yield bytes(3200)
    raise ZeroDivisionError("of the caller")


def test_a_source_that_fails_is_the_callers(server: Server) -> None:
    with Client(server.url, KEY) as client, pytest.raises(ZeroDivisionError):
        list(client.stream(broken(), model="tiny.en"))


@pytest.mark.parametrize("version", ["", OLD])
def test_the_sdk(server: Server, clip: Recording, sound: Path, version: str, tmp_path: Path) -> None:
    """From 1.9, websocket-client calls every close by a server an error, and the SDK's `finish` raises it; its callback
    has had every message by then, the last one too."""
    env = dict(os.environ)
    if version:
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), version]
        subprocess.run(install, check=True, timeout=300)
        env["PYTHONPATH"] = str(tmp_path)
    command = [sys.executable, str(CLIENTS / "sdk_stream.py"), server.url, KEY, "tiny.en", str(sound)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    if version:
        assert told["version"] == version.rpartition("=")[2]
        assert told["error"] == ""
    assert told["error"] in ("", "STTError: WebSocket error: Connection closed normally (code 1000)")
    assert told["last"]["final"] is True
    said(told["last"]["text"], clip)
    said(" ".join(told["heard"][:-1]), clip)  # every message was given to the caller, the last one has all of it


def test_a_killed_server_keeps_what_it_delivered(tmp_path: Path, models_dir: Path, sound: Path) -> None:
    """Three times; eval/LOG.md has ten."""
    places = {"STT_LAB_MODELS_DIR": str(models_dir), "STT_LAB_ADMIN_KEY": KEY}
    headers = {"Authorization": f"Bearer {KEY}"}
    delivered: list[str] = []
    key = ""
    for number in range(4):
        with serving(tmp_path, fakes=False, **places) as server:
            if not key:
                key = paying(server, headers)
            own = {"Authorization": f"Bearer {key}"}
            kept = server.client.get("/api/v1/transcripts/", headers=own).json()["results"]
            assert [one["status"] for one in kept] == ["done"] * number
            texts = [server.client.get(f"/api/v1/transcripts/{one['id']}/", headers=own).json()["text"] for one in kept]
            assert texts[::-1] == delivered
            assert credits(server, own) == 10 - number
            if number < 3:
                delivered.append(until_killed(server, key, sound))


def paying(server: Server, headers: dict[str, str]) -> str:
    """Return the key of an account with ten credits."""
    made = server.client.post("/api/v1/accounts/", headers=headers, json={"name": "ada", "tier": "paid"}).json()
    address = f"/api/v1/accounts/{made['id']}"
    server.client.post(f"{address}/credits/", headers=headers, json={"credits": 10})
    return str(server.client.post(f"{address}/keys/", headers=headers, json={"name": "test"}).json()["key"])


def credits(server: Server, headers: dict[str, str]) -> int:
    found: int = server.client.get("/api/v1/account/", headers=headers).json()["credits"]
    return found


def until_killed(server: Server, key: str, sound: Path) -> str:
    """Stream until something is final, kill the server, and return what was delivered."""
    port = httpx.URL(server.url).port or 80
    with talking(port, "?model=tiny.en&language=en&store=true", key) as client:
        client.until("status", "ready")
        sender = threading.Thread(target=client.say, args=(pcm(sound) + bytes(3 * 32000),))
        sender.start()
        client.until("words")
        sender.join()
        server.process.send_signal(signal.SIGKILL)
        client.code()
    return " ".join(one["text"] for one in client.finals)
