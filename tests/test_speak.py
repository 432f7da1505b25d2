"""Stock voices: names, OpenAI's speech API and its own client, files that are sent while they are made, and charges."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import psutil
import pytest
from needs import missing
from starlette.requests import HTTPConnection
from toy_server import KEY, MINE, Served, Toy, ToySpeaker, serve, settings_for, until

from stt_lab.client import Client
from stt_lab.engines import pool
from stt_lab.errors import BadInput, Cancelled, Disconnected, EngineCrashed
from stt_lab.jobs import deliveries
from stt_lab.jobs.deliveries import PIECE, Delivery
from stt_lab.jobs.lifecycle import JOB, Places
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.settings import Settings, get_settings
from stt_lab.store.models import now
from stt_lab.store.queue import JobRow
from stt_lab.types import Event, File, silent
from stt_lab.voice.encoding import CODECS, ChildEncoder, speech_encoder
from stt_lab.voice.speech import SHORT_START, SpokenLine, lines_of, with_short_start
from stt_lab.voice.stock_voices import OPENAI_VOICES, chosen_voice, stock_voices
from stt_lab.weights import catalog

FORMATS = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "flac": "audio/flac"}
OPENAI_SPEAKS_AS = (  # in OpenAI's reference
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("speak"), recordings_at_once=2)) as running:
        yield running


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    Toy.seconds, ToySpeaker.breaks = 0.0, ""


def ask(server: Served, who: dict[str, str] = MINE, **values: Any) -> httpx.Response:
    asked = {"model": "tts-1", "voice": "alloy", "input": "Hello there. Bye!"} | values
    return httpx.post(f"{server.url}/v1/audio/speech", headers=who, json=asked, timeout=30)


def theirs(server: Served, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=0, timeout=30)


def paying(server: Served, name: str, credits: int = 30) -> tuple[int, str]:
    """A new account with credits, and its key."""
    account = server.accounts.create(name, tier="paid").id
    server.accounts.grant(account, credits)
    return account, server.accounts.create_key(account, "k", ["speech"])[1]


def decoded(content: bytes) -> tuple[float, dict[str, str]]:
    """Seconds and tags of a file, as FFmpeg reads them."""
    with av.open(io.BytesIO(content)) as file:
        stream = file.streams.audio[0]
        tags = {**file.metadata, **stream.metadata}
        return sum(frame.samples / frame.sample_rate for frame in file.decode(stream)), tags


# Names


def test_every_name_of_openai_is_a_stock_voice_of_its_gender() -> None:
    assert set(OPENAI_VOICES) == set(OPENAI_SPEAKS_AS)
    known = {Path(item.file).stem for item in catalog.get("kokoro-voices").embedded}
    assert set(OPENAI_VOICES.values()) <= known
    men = {"ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"}
    assert {name for name, voice in OPENAI_VOICES.items() if voice[1] == "m"} == men


def test_voices_are_listed(server: Served) -> None:
    listed = {voice["id"]: voice for voice in httpx.get(f"{server.url}/v1/audio/voices").json()["voices"]}
    assert listed["bm_fable"] == {"id": "bm_fable", "language": "en", "gender": "male", "openai": ["fable"]}
    assert listed["ef_dora"]["language"] == "es"
    assert {voice["language"] for voice in listed.values()} == {"en", "es", "fr", "hi", "it", "pt"}
    assert not [name for name in listed if name[0] in "jz"]


@pytest.mark.parametrize("name", ["jf_alpha", "zm_yunxi", "nobody", "", "../../etc/passwd"])
def test_other_voices_are_refused_with_a_list(server: Served, name: str) -> None:
    answer = ask(server, voice=name)
    assert answer.status_code == 400
    assert "af_heart" in answer.json()["error"]
    assert "alloy" in answer.json()["error"]
    assert "jf_alpha, " not in answer.json()["error"]


def test_a_voice_speaks_its_language(server: Served) -> None:
    ToySpeaker.said = []
    assert ask(server, voice="ef_dora", input="Buenos días.", speed=1.5).status_code == 200
    assert ask(server, voice=" Fable ", input="Buenos días.").status_code == 200
    assert ToySpeaker.said == [("Buenos días.", "es", 1.5), ("Buenos días.", "en", 1.0)]


def test_names_without_weights(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"models_dir": tmp_path})
    with pytest.raises(BadInput, match="alloy"):
        chosen_voice("alloy", ())
    assert stock_voices(catalog.get("kokoro-82m"), settings) == () or catalog.get("kokoro-82m").needs


# The first piece


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello there.", ["Hello there."]),
        (
            "When the train came, everybody who had waited in the cold got up.",
            ["When the train came,", "everybody who had waited in the cold got up."],
        ),
        (
            "Everybody who had waited in the cold since the morning got up at once.",
            ["Everybody who had waited", "in the cold since the morning got up at once."],
        ),
        ("Yes, everybody who had waited so long got up.", ["Yes, everybody who had", "waited so long got up."]),
        ("a" * 90, ["a" * 90]),
        ("Hello. " + "Bye " * 50, ["Hello.", ("Bye " * 50).strip()]),
    ],
)
def test_the_first_piece_is_short_and_nothing_is_lost(text: str, pieces: list[str]) -> None:
    made = with_short_start(lines_of(text, "en"))
    assert [line.text for line in made] == pieces
    assert len(made[0].text) <= SHORT_START or " " not in made[0].text


def test_a_piece_without_letters_is_not_split_off() -> None:
    line = SpokenLine("Well, " * 7 + "— — —", 0.0)
    assert all(any(char.isalpha() for char in part.text) for part in with_short_start((line,)))


# Files


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_a_file_that_says_that_it_is_synthetic(server: Served, format: str) -> None:
    answer = ask(server, response_format=format, input="One. Two. Three.")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FORMATS[format]
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "x-duration" not in answer.headers
    seconds, tags = decoded(answer.content)
    assert seconds == pytest.approx(3 + 2 * 0.35, abs=0.12)  # MP3 begins and ends with padding
    assert "Synthetic speech" in str(tags)
    assert "kokoro-82m" in str(tags)
    assert b"Synthetic speech" in answer.content[:1000]  # before the sound


def test_a_wav_file_of_unknown_length(server: Served) -> None:
    content = ask(server, response_format="wav").content
    assert content[:4] + content[8:12] == b"RIFFWAVE"
    assert struct.unpack("<I", content[4:8])[0] == 0xFFFFFFFF
    at = content.index(b"data")
    assert struct.unpack("<I", content[at + 4 : at + 8])[0] == 0xFFFFFFFF
    assert content.index(b"bext") < at > content.index(b"LIST")
    sound = np.frombuffer(content[at + 8 :], "<i2")
    assert len(sound) == 24_000 * 2 + round(0.35 * 24_000)


def test_an_encoder_that_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with speech_encoder("mp3", "toy", silent) as encoder:
        assert isinstance(encoder, ChildEncoder)
        encoder._child.process.kill()
        with pytest.raises(EngineCrashed, match="stopped"):
            encoder.push(bytes(4800), 24_000)
    monkeypatch.setitem(CODECS, "flac", CODECS["mp3"].__class__("flac", "no such codec", 0))
    with speech_encoder("flac", "toy", silent) as encoder, pytest.raises(EngineCrashed):
        encoder.push(bytes(4800), 24_000)


def test_the_encoder_is_ended_with_its_caller() -> None:
    def leave(event: Event) -> None:
        raise Disconnected("gone")

    with speech_encoder("opus", "toy", leave) as encoder:
        assert isinstance(encoder, ChildEncoder)
        process = encoder._child.process
        encoder.push(b"", 24_000) if process.poll() else None
    assert process.poll() is not None


# OpenAI's client


def test_openais_own_client(server: Served, tmp_path: Path) -> None:
    with theirs(server) as client:
        for model in ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-03-20", "kokoro-82m"):
            made = client.audio.speech.create(model=model, voice="nova", input="Good morning. Hello.")
            assert decoded(made.content)[0] == pytest.approx(2.35, abs=0.06), model
        asked: dict[str, Any] = {"model": "tts-1", "voice": "coral", "input": "Hello.", "response_format": "flac"}
        with client.audio.speech.with_streaming_response.create(**asked, speed=1.25) as answer:
            answer.stream_to_file(tmp_path / "a.flac")
        assert decoded((tmp_path / "a.flac").read_bytes())[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"response_format": "aac"}, "'mp3', 'wav', 'opus' or 'flac'"),
        ({"response_format": "pcm"}, "'mp3', 'wav', 'opus' or 'flac'"),
        ({"stream_format": "sse"}, "no events"),
        ({"speed": 4}, "speed"),
        ({"speed": 0.25}, "speed"),
        ({"input": ""}, "input"),
        ({"input": "😀 !!!"}, "no letters"),
        ({"input": "a" * 20_001}, "at most 20000"),
        ({"voice": {"id": "voice_1"}}, "voice"),
        ({"model": "gpt-9"}, "gpt-9"),
        ({"model": "base"}, "cannot speak"),
    ],
)
def test_what_openais_client_is_told(server: Served, values: dict[str, Any], sentence: str) -> None:
    asked: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hello."} | values
    with theirs(server) as client, pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(**asked)
    assert sentence in refused.value.message


def test_instructions_are_ignored_with_a_warning(server: Served) -> None:
    answer = ask(server, instructions="Whisper.")
    assert answer.status_code == 200
    assert answer.headers["x-stt-warning"] == "These parameters have no effect and were ignored: instructions."
    assert "x-stt-warning" not in ask(server).headers


def test_a_key_is_needed(server: Served) -> None:
    assert ask(server, who={}).status_code == 401
    with theirs(server, "wrong") as client, pytest.raises(openai.AuthenticationError):
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")
    account = server.accounts.create("reader", tier="paid").id
    key = server.accounts.create_key(account, "k", ["library"])[1]
    assert ask(server, who={"Authorization": f"Bearer {key}"}).status_code == 403


def test_our_own_client(server: Served, tmp_path: Path) -> None:
    with Client(server.url, KEY) as client:
        made = client.speak("Hello there.", tmp_path / "a.opus", voice="if_sara", response_format="opus")
        assert "af_heart" in {voice.id for voice in client.call("voices").voices}
    assert decoded(made.read_bytes())[0] == pytest.approx(1, abs=0.06)


# While it is made


@pytest.mark.parametrize("format", FORMATS)
def test_sound_comes_while_the_rest_is_made(server: Served, format: str) -> None:
    Toy.seconds = 0.5
    with theirs(server) as client:
        began = time.monotonic()
        asked: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "One. Two. Three. Four. Five. Six."}
        with client.audio.speech.with_streaming_response.create(**asked, response_format=format) as answer:
            times = [time.monotonic() - began for _ in answer.iter_bytes()]
    assert times[-1] > 3
    assert times[0] < times[-1] - 1.5
    assert len(times) >= 5


# Charges


def test_speech_is_charged_by_its_minutes(server: Served) -> None:
    account, key = paying(server, "speaker")
    answer = ask(server, {"Authorization": f"Bearer {key}"}, input=" ".join(["Hello there."] * 50))
    assert decoded(answer.content)[0] == pytest.approx(50 + 49 * 0.35, abs=0.1)
    assert server.accounts.balance(account) == 28  # at once: the charge is written before the file ends
    assert [entry.kind for entry in server.accounts.ledger(account)] == ["settle", "reserve", "grant"]
    assert server.accounts.limits(account).remaining == 28


def test_too_few_credits_are_an_error_before_any_sound(server: Served) -> None:
    account, key = paying(server, "poor", 1)
    with theirs(server, key) as client, pytest.raises(openai.APIStatusError) as refused:
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there. " * 100)
    assert refused.value.status_code == 402
    assert server.accounts.balance(account) == 1


def test_who_leaves_pays_for_what_came(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    account, key = paying(server, "leaver")
    Toy.seconds, ToySpeaker.said = 0.02, []
    text = " ".join(["Hello."] * 1000)
    with (
        theirs(server, key) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=text, response_format="wav"
        ) as answer,
    ):
        received = 0
        for piece in answer.iter_bytes():
            received += len(piece)
            if received > 70 * 48_000:  # in the second minute
                break
        assert server.accounts.balance(account) < 28  # reserved
    until(lambda: server.accounts.balance(account) in (27, 28), 10)  # a little more lies in the buffers of the system
    spoken = len(ToySpeaker.said)
    time.sleep(0.5)
    assert len(ToySpeaker.said) == spoken < 1000
    assert server.accounts.ledger(account)[0].kind == "settle"


def test_who_leaves_before_any_sound_pays_nothing(server: Served) -> None:
    account, key = paying(server, "early")
    Toy.seconds, Toy.stopped = 20.0, 0
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/v1/audio/speech",
            headers={"Authorization": f"Bearer {key}"},
            json={"input": "Hello.", "voice": "alloy"},
            timeout=1.0,
        )
    until(lambda: Toy.stopped == 1, 5)
    until(lambda: server.accounts.balance(account) == 30)
    until(lambda: server.accounts.ledger(account)[0].kind == "release")


def test_a_failure_before_the_sound_is_an_answer(server: Served) -> None:
    account, key = paying(server, "unlucky")
    ToySpeaker.breaks = "Hello"
    with theirs(server, key) as client, pytest.raises(openai.InternalServerError) as failed:
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hello. Bye.")
    assert "secret" not in failed.value.message
    assert server.accounts.balance(account) == 30
    assert server.accounts.ledger(account)[0].kind == "release"


@pytest.mark.parametrize("format", FORMATS)
def test_a_failure_after_it_ends_the_connection_and_costs_nothing(server: Served, format: str) -> None:
    account, key = paying(server, f"cut {format}")
    ToySpeaker.breaks, Toy.seconds = "Bye", 0.2
    with theirs(server, key) as client:
        asked: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "response_format": format}
        with client.audio.speech.with_streaming_response.create(**asked, input="Hello. More. Bye.") as answer:
            assert answer.status_code == 200
            received = answer.iter_bytes()
            assert next(received)
            with pytest.raises(Exception, match="incomplete chunked read"):  # of the client's own httpx
                list(received)
    until(lambda: server.accounts.balance(account) == 30)
    assert server.accounts.ledger(account)[0].kind == "release"


def test_a_file_that_nobody_gets_costs_nothing(server: Served) -> None:
    """Gradio's clients get a file once it is whole: a cancelled call gave them nothing."""
    installation = server.app.state.installation
    account, key = paying(server, "canceller")
    caller = installation.access.identify(starlette_request(key))
    ended = []

    def report(event: Event) -> None:
        if ended:
            raise Cancelled("The request was cancelled.")

    for close in (lambda chunks: chunks.close(), lambda chunks: ended.append(1)):
        Toy.seconds = 0.2
        context = Context(caller, installation.runtime, report, installation.jobs)
        file = call(OPERATIONS["speak"], {"text": "One. Two. Three. Four.", "response_format": "wav"}, context)
        assert next(file.chunks)
        assert next(file.chunks)
        close(file.chunks)
        with pytest.raises((Cancelled, Disconnected)):
            list(file.chunks)
        until(lambda: server.accounts.ledger(account)[0].kind == "release", 10)
        assert server.accounts.balance(account) == 30


def starlette_request(key: str) -> HTTPConnection:
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"host", b"127.0.0.1")]
    return HTTPConnection(
        {"type": "http", "headers": headers, "client": ("127.0.0.1", 1), "path": "/", "method": "POST"}
    )


def test_a_server_that_vanished_gives_the_reservation_back(server: Served) -> None:
    account, _ = paying(server, "survivor")
    lifecycle = server.app.state.installation.jobs._lifecycle
    row = JobRow(
        id=f"{JOB}{'0' * 32}",
        account_id=account,
        client="",
        caller=None,
        operation="speak",
        parameters={},
        filename="",
        created=now(),
    )
    row = lifecycle.claimed(row)
    lifecycle.submit(row, {}, Places(100))
    lifecycle.reserve(row, 5)
    assert server.accounts.balance(account) == 25
    lifecycle.release(row)  # what the next start does with what it finds
    assert server.accounts.balance(account) == 30
    assert lifecycle.find(row.id).state == "cancelled"


def test_speech_has_no_more_places_than_recordings(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    Toy.seconds = 20.0
    queue = server.app.state.installation.jobs
    monkeypatch.setattr(type(queue), "_places", lambda self: Places(1))
    with httpx.Client(base_url=server.url, headers=MINE) as client:
        threading.Thread(target=lambda: _quietly(client), daemon=True).start()
        until(lambda: server.app.state.installation.runtime.pool.working)
        answer = ask(server)
        assert answer.status_code == 503
        assert answer.json()["code"] == "busy"
        assert int(answer.headers["retry-after"]) > 0
    Toy.seconds = 0.0
    until(lambda: not server.app.state.installation.runtime.pool.working, 10)


def _quietly(client: httpx.Client) -> None:
    with contextlib.suppress(httpx.HTTPError, RuntimeError):
        client.post("/v1/audio/speech", json={"input": "Hello.", "voice": "alloy"}, timeout=3)


# Between the thread and a client


def nothing() -> None:
    """Never stop."""


def put_all(delivery: Delivery, chunks: int, size: int, outcome: list[BaseException | None]) -> None:
    try:
        for number in range(chunks):
            delivery.put(bytes(size), number, number + 1, nothing)
        delivery.finish(nothing)
        outcome.append(None)
    except Disconnected as problem:
        outcome.append(problem)
    delivery.end(outcome[0])


def started(chunks: int, size: int) -> tuple[Delivery, list[BaseException | None]]:
    delivery, outcome = Delivery(), list[BaseException | None]()
    delivery.begin(File("a", "audio/wav", iter(())))
    threading.Thread(target=put_all, args=[delivery, chunks, size, outcome], daemon=True).start()
    return delivery, outcome


def test_what_waits_for_a_client_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "HELD_BYTES", 4 * PIECE)
    delivery, outcome = started(100, PIECE)
    time.sleep(0.3)
    assert len(delivery._pieces) == 4
    assert sum(map(len, delivery)) == 100 * PIECE
    assert outcome == [None]
    assert delivery.delivered == 100


def test_sound_is_delivered_once_more_is_asked_for() -> None:
    delivery, _ = started(1, 4 * PIECE)
    for number in range(4):
        next(delivery)
        assert delivery.delivered == pytest.approx(number / 4)
    delivery.close()
    assert delivery.delivered == pytest.approx(3 / 4)
    with pytest.raises(Disconnected):
        next(delivery)


def test_a_client_that_never_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "HELD_BYTES", 4 * PIECE)
    monkeypatch.setattr(deliveries, "STALL_S", 0.5)
    for chunks in (100, 3):  # while it is made, and afterwards
        delivery, outcome = started(chunks, PIECE)
        until(lambda outcome=outcome: outcome, 3)
        assert isinstance(outcome[0], Disconnected)
        with pytest.raises(Disconnected, match="did not read"):
            list(delivery)


def test_a_client_that_does_not_read_frees_the_engine(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "HELD_BYTES", 4 * PIECE)
    monkeypatch.setattr(deliveries, "STALL_S", 1.0)
    account, key = paying(server, "sleeper")
    engines = server.app.state.installation.runtime.pool
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        asked = {"input": "Hello there. " * 1000, "voice": "alloy", "response_format": "wav"}
        with client.stream("POST", "/v1/audio/speech", json=asked) as answer:
            assert answer.status_code == 200
            until(lambda: engines.working)
            until(lambda: not engines.working, 120)
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
    until(lambda: server.accounts.ledger(account)[0].kind == "settle")


# The real engine


@pytest.mark.truth
def test_the_first_sound_of_a_long_text_comes_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = get_settings()
    model = catalog.get("kokoro-82m")
    if not catalog.available(model, real):
        missing("kokoro-82m is not installed: stt-lab models pull kokoro-82m")
    settings = Settings(data_dir=tmp_path / "data", admin_key=KEY, device="cpu")  # type: ignore[arg-type]
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    text = "When the train finally came into the station, everybody who had waited in the cold got up. " * 6
    monkeypatch.setitem(pool.ENGINES, "kokoro", "stt_lab.engines.kokoro:KokoroSpeaker")
    with serve(settings, real=True) as running, theirs(running) as client:
        asked: dict[str, Any] = {"model": "tts-1", "voice": "alloy"}
        client.audio.speech.create(**asked, input="Hello.")  # loads the model
        began = time.monotonic()
        with client.audio.speech.with_streaming_response.create(**asked, input=text) as answer:
            content = b""
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > 4000:  # behind the tags: sound
                    break
            first = time.monotonic() - began
        print(f"first sound after {first:.2f} s")
        assert first < 20  # other tests share the processors; the figure is in eval/LOG.md
        whole = client.audio.speech.create(**asked, input="Good morning. This is a test.").content
        made = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
        assert max(one.memory_info().rss for one in made) < 600e6  # what a sentence needed has been given back
    assert 1.5 < decoded(whole)[0] < 5
