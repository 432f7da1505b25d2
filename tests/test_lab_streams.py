"""Live systems of the laboratory: our own with a made engine, and a service that is made up."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from fakes import fakes_fixture
from live_toys import levels, silence, voice
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs import predictions
from stt_lab.lab.runs.predictions import Prediction
from stt_lab.lab.runs.suite import read_suites, read_system
from stt_lab.lab.runs.systems import ready
from stt_lab.lab.runs.systems.live_web import LiveService, address
from stt_lab.lab.runs.systems.live_whisperlivekit import LiveKitListener
from stt_lab.lab.runs.systems.protocol import SystemContext, SystemOutput
from stt_lab.metrics import StreamLog, StreamUpdate, final_changes
from stt_lab.settings import Settings, get_settings
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Word, silent

__all__ = ["fakes_fixture", "levels"]
ITEM = Item("i", Path("i.wav"), language="en")


def sound(folder: Path, content: bytes) -> Audio:
    path = folder / "sound.pcm"
    path.write_bytes(content)
    return Audio(path, len(content) // SAMPLE_BYTES)


def listened(config: dict[str, Any], audio: Audio, settings: Settings) -> SystemOutput:
    context = SystemContext("x", settings, Path(), 30.0)
    with closing(read_system("x", config).config.make(context)) as system:
        system.start(silent)
        return system.transcribe(ITEM, audio, silent)


# Ours


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("clock", ["running", "stopped"])
def test_our_stream_says_when_it_said_what(fakes: Callable[..., Settings], tmp_path: Path, clock: str) -> None:
    settings = fakes()
    audio = sound(tmp_path, silence(0.5) + voice(1.5) + silence(1.5) + voice(1.0) + silence(0.2))
    config = {"engine": "stt_lab-live", "model": "clockwork", "language": "known", "clock": clock}
    assert ready.lacks(read_system("x", config), settings) == ""
    found = listened(config, audio, settings)
    assert found.stream is not None
    stream = found.stream
    assert (stream.clock, stream.text) == (clock, found.text)
    assert stream.text
    assert len([one for one in stream.updates if one.text]) == len(found.segments) >= 2
    assert final_changes(stream).repeated == final_changes(stream).changed == 0
    assert stream.steps
    times = [one.at for one in stream.updates]
    assert times == sorted(times)
    assert all(one.heard <= min(one.at, audio.duration) for one in stream.updates)
    if clock == "stopped":
        assert times[-1] == pytest.approx(audio.duration)
        assert stream.skipped == 0  # computing takes no time
    else:
        assert times[-1] > audio.duration - 0.5


def test_a_stream_stays_in_its_prediction(tmp_path: Path) -> None:
    stream = StreamLog((StreamUpdate(1.5, 1.0, "a b", words=(Word(0, 1, "a", 0.5),)),), "stopped", "a b", 0.5, 3, 1)
    made = Prediction("x", "i", text="a b", stream=stream)
    predictions.append(tmp_path / "rows", made)
    assert predictions.read(tmp_path / "rows") == (made,)


def test_wrong_live_systems_are_refused(fakes: Callable[..., Settings]) -> None:
    with pytest.raises(BadInput, match="cannot have clock = 'slow'"):
        read_system("x", {"engine": "stt_lab-live", "model": "echo", "clock": "slow"})
    with pytest.raises(BadInput, match="invalid url 'ftp://x'"):
        listened({"engine": "stt-live", "url": "ftp://x", "model": "m"}, Audio(Path(), 0), get_settings())
    assert "stt-lab models pull absent" in ready.lacks(
        read_system("x", {"engine": "stt_lab-live", "model": "absent"}), fakes()
    )


def test_the_suite_has_live_systems() -> None:
    suite = read_suites(ROOT / "eval" / "suites.toml")["live"]
    assert {entry.engine for entry in suite.systems} >= {"stt_lab-live", "stt_lab"}


# A service


class ToyService:
    """Takes a stream, and says one word for each second of sound."""

    def __init__(self, **last: Any) -> None:
        self.paths, self.keys, self.received = list[str](), list[str | None](), 0
        self._last = last

    def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.keys.append(socket.request.headers.get("Authorization"))
        socket.send(json.dumps({"status": "loading", "text": ""}))
        socket.send(json.dumps({"status": "ready", "text": ""}))
        said = 0
        for received in socket:
            if isinstance(received, str):
                assert json.loads(received) == {"action": "stop"}
                break
            self.received += len(received)
            if self.received // (SAMPLE_RATE * SAMPLE_BYTES) > said:
                word = {"word": "word", "start": said, "end": said + 1}
                said += 1
                socket.send(json.dumps({"text": "", "partial": "wor"}))
                socket.send(json.dumps({"text": "", "status": "alive", "lag": 0.1, "rtf": 0.5}))
                socket.send(json.dumps({"text": "word", "partial": "", "words": [word]}))
        socket.send(json.dumps({"text": "", "final": True, "transcript": " ".join(["word"] * said)} | self._last))


@contextmanager
def serving(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/v1/stream"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("last", [{}, {"text": "word word"}])
def test_a_service_is_heard_at_the_speed_of_speech(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: dict[str, Any]
) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    service = ToyService(**last)
    with serving(service.serve) as url:
        config = {"engine": "stt-live", "url": url, "model": "m", "language": "known", "key_env": "A_KEY"}
        found = listened(config, sound(tmp_path, silence(2.5)), get_settings())
    assert service.received == 2.5 * SAMPLE_RATE * SAMPLE_BYTES
    assert (service.paths, service.keys) == (["/v1/stream?model=m&language=en"], ["Bearer secret"])
    assert found.text == "word word"
    assert found.stream is not None
    assert found.stream.worked_s == pytest.approx(1.25)
    assert [(one.text, one.partial) for one in found.stream.updates] == [("", "wor"), ("word", "")] * 2
    assert found.stream.updates[-1].words == (Word(1, 2, "word"),)
    assert 2.0 <= found.stream.updates[-1].at < 10
    assert final_changes(found.stream).changed == 0


def test_a_service_that_refuses_or_breaks_off_is_a_sentence(tmp_path: Path) -> None:
    def refuse(socket: ServerConnection) -> None:
        socket.send(json.dumps({"text": "", "error": "No credits are left.", "code": "no_credits"}))

    def leave(socket: ServerConnection) -> None:
        socket.send(json.dumps({"status": "ready", "text": ""}))
        socket.close(1011)

    config = {"engine": "stt-live", "model": "m"}
    audio = sound(tmp_path, silence(0.5))
    with serving(refuse) as url, pytest.raises(SttError, match="No credits are left"):
        listened(config | {"url": url}, audio, get_settings())
    with serving(leave) as url, pytest.raises(Unavailable, match="too early"):
        listened(config | {"url": url}, audio, get_settings())
    with pytest.raises(Unavailable, match="Check that it is running"):
        listened(config | {"url": url}, audio, get_settings())


def test_an_address_keeps_its_own_query() -> None:
    made = address(LiveService("https://x.example/v1/stream?region=eu", "base"), None)
    assert made == "wss://x.example/v1/stream?region=eu&model=base"


# WhisperLiveKit


def test_whisperlivekit_settles_what_its_lines_have(tmp_path: Path) -> None:
    states = [
        ([], "one"), ([], "one"), (["one"], "to"), (["one", ""], "two"), (["One two"], ""),
        (["one two", "three"], "four"),
    ]  # fmt: skip

    def answer(socket: ServerConnection) -> None:
        socket.send(json.dumps({"type": "config", "useAudioWorklet": True}))
        for received in socket:
            if not received:
                break
        for lines, partial in states:
            rows = [{"speaker": 1, "text": line, "start": "0:00:00", "end": "0:00:01"} for line in lines]
            socket.send(json.dumps({"status": "active_transcription", "lines": rows, "buffer_transcription": partial}))
        socket.send(json.dumps({"type": "ready_to_stop"}))

    with serving(answer) as url, connect(url.replace("http", "ws")) as connection:
        found = LiveKitListener(connection, sound(tmp_path, silence(0.3)), silent).output("en")
    assert (found.text, found.language) == ("one two three", "en")
    assert found.stream is not None
    assert [(one.text, one.partial) for one in found.stream.updates] == [
        ("", "one"), ("one", "to"), ("", "two"), ("two", ""), ("three", "four"), ("", ""),
    ]  # fmt: skip
    assert final_changes(found.stream).changed == 0
    assert found.stream.worked_s is None


def test_whisperlivekit_is_not_ready_without_its_environment(
    fakes: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = read_system("x", {"engine": "whisperlivekit", "model": "clockwork"})
    if ready.installed("whisperlivekit"):
        pytest.skip("whisperlivekit is installed beside stt_lab")
    said = ready.lacks(entry, fakes())
    assert "python -m venv eval/envs/whisperlivekit && eval/envs/whisperlivekit/bin/pip install" in said
