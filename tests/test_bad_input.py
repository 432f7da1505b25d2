"""Bad input over real HTTP and the real decoder: a status, a sentence, nothing left, and the next request works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import av
import httpx
import numpy as np
import psutil
import pytest
from fakes import KEY, Service, fakes_fixture, served, tone, until  # noqa: F401

from stt_lab.settings import Settings
from stt_lab.types import SAMPLE_RATE

Make = Callable[..., Settings]


class Machine:
    """A running service, and what must hold after every request to it."""

    def __init__(self, service: Service, good: Path) -> None:
        self.service, self.good = service, good
        self._others = psutil.Process().children()  # such as a database that other tests started
        mine = {"Authorization": f"Bearer {KEY}"}  # without a key three requests a day would do
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=mine, timeout=60)

    def post(self, path: Path, name: str = "talk.wav", **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            answer = self.client.post("/v1/transcribe", files={"file": (name, file)}, data=fields)
        assert self.service.leftovers() == []
        until(lambda: len(set(psutil.Process().children()).difference(self._others)) <= 1)  # a decoder that waits
        return answer

    def refuses(self, status: int, answer: httpx.Response, *words: str) -> None:
        sentence = answer.json()["error"]
        assert answer.status_code == status, sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert str(self.service.settings.data_dir) not in answer.text
        assert "Traceback" not in answer.text
        for word in words:
            assert word in sentence, sentence
        assert self.post(self.good).status_code == 200


@contextmanager
def machine_on(service: Service, good: Path) -> Iterator[Machine]:
    made = Machine(service, good)
    with made.client:
        yield made


@pytest.fixture
def machine(fakes: Make, tmp_path: Path) -> Iterator[Machine]:
    with served(fakes()) as service, machine_on(service, tone(tmp_path / "good.wav", 1)) as made:
        yield made


def encode(path: Path, codec: str, seconds: float, quiet: bool = True) -> Path:
    """A file of silence or noise, as FFmpeg's encoder of that name makes it."""
    block = np.zeros((1, SAMPLE_RATE * 10), np.int16)
    if not quiet:
        block = np.random.default_rng(7).integers(-3000, 3000, block.shape, np.int16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        left = int(seconds * SAMPLE_RATE)
        while left > 0:
            frame = av.AudioFrame.from_ndarray(block[:, :left], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            out.mux(stream.encode(frame))
            left -= frame.samples
        out.mux(stream.encode(None))
    return path


def film(path: Path) -> Path:
    """A video without sound."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_no_file(machine: Machine) -> None:
    machine.refuses(400, machine.client.post("/v1/transcribe"), "'file'")
    machine.refuses(400, machine.client.post("/v1/transcribe", files={"language": (None, "en")}), "'file'")


def test_an_empty_file(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    machine.refuses(400, machine.post(tmp_path / "empty"), "empty")


TEXTS = {
    "talk.wav": "This is not sound, whatever its name says.\n" * 50,
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{good}\n#EXT-X-ENDLIST\n",
    "list.m3u": "{good}\n",
    "list.txt": "ffconcat version 1.0\nfile '{good}'\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "page.html": "<html><audio src='{good}'></audio></html>",
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_and_playlists(name: str, machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(TEXTS[name].format(good=machine.good))
    machine.refuses(400, machine.post(path, name), "WAV")


def test_a_video_without_sound(machine: Machine, tmp_path: Path) -> None:
    machine.refuses(400, machine.post(film(tmp_path / "film.mp4")), "no sound track")


def test_names_of_protocols(machine: Machine) -> None:
    for name in ("concat:/etc/passwd|/etc/hosts", "http://127.0.0.1:1/a.wav", "../../../../etc/passwd", "a\x00b"):
        answer = machine.post(machine.good, name)
        assert answer.status_code == 200, (name, answer.text)  # what decides is the content


@pytest.mark.parametrize("text", ["concat:/etc/passwd", "http://127.0.0.1:1/a.wav", "/etc/passwd", "[object File]"])
def test_text_in_the_file_field(text: str, machine: Machine) -> None:
    answer = machine.client.post("/v1/transcribe", files={"file": (None, text)})
    machine.refuses(400, answer, "is text")


def test_an_hour_in_a_small_file(fakes: Make, tmp_path: Path) -> None:
    hour = encode(tmp_path / "hour.flac", "flac", 3600)
    assert hour.stat().st_size < 2_000_000
    good = tone(tmp_path / "good.wav", 1)
    with served(fakes(max_audio_hours=0.5)) as service, machine_on(service, good) as machine:
        machine.refuses(413, machine.post(hour), "30 minutes")
    with served_again(fakes, service) as service, machine_on(service, good) as machine:
        answer = machine.post(hour, model="mute")
        assert (answer.status_code, answer.json()["duration"]) == (200, 3600.0)


def served_again(fakes: Make, before: Service) -> AbstractContextManager[Service]:
    """Another service over the same folder, once the first has ended."""
    for folder in (before.settings.uploads_dir, before.settings.work_dir):
        folder.rmdir()
    return served(fakes())


def test_a_truncated_mp3_is_used_as_far_as_it_goes(machine: Machine, tmp_path: Path) -> None:
    whole = encode(tmp_path / "talk.mp3", "mp3", 20, quiet=False)
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    body = machine.post(cut).json()
    assert 8 < body["duration"] < 12
    assert "damaged" in body["warnings"][0]


def test_random_bytes_behind_a_good_header(machine: Machine, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for magic in (
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"fLaC\x00\x00\x00\x22",
        b"OggS\x00\x02",
        b"\x1aE\xdf\xa3",
        b"ID3\x04",
    ):
        path = tmp_path / "random"
        path.write_bytes(magic + rng.bytes(5000))
        answer = machine.post(path)
        assert answer.status_code in (200, 400), answer.text
    machine.refuses(400, machine.post(film(tmp_path / "film.mp4")))


def test_a_twentieth_of_a_second(machine: Machine, tmp_path: Path) -> None:
    body = machine.post(tone(tmp_path / "short.wav", 0.05)).json()
    assert body["duration"] == 0.05


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": "gigantic"}, "gigantic"),
        ({"language": "xx"}, "language"),
        ({"speakers": "-1"}, "speakers"),
        ({"speakers": "many"}, "speakers"),
    ],
)
def test_parameters(fields: dict[str, str], word: str, machine: Machine) -> None:
    machine.refuses(400, machine.post(machine.good, **fields), word)


def test_over_the_limit(machine: Machine, tmp_path: Path) -> None:
    machine.refuses(413, machine.post(tone(tmp_path / "long.wav", 80)), "2 MB")


LEAVE = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"POST /v1/transcribe HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000000\\r\\n"
          b"Content-Type: multipart/form-data; boundary=B\\r\\n\\r\\n"
          b"--B\\r\\nContent-Disposition: form-data; name=file; filename=a\\r\\n\\r\\n" + b"x" * 100_000)
print("sent", flush=True)
sys.stdin.read()
"""


def test_a_client_that_dies_during_the_upload(machine: Machine) -> None:
    command = [sys.executable, "-c", LEAVE, str(machine.service.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"sent\n"
        until(lambda: machine.service.leftovers())
        client.kill()
    until(lambda: not machine.service.leftovers())
    assert machine.post(machine.good).status_code == 200
