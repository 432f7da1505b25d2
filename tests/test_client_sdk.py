"""stt_lab.client: against a server of its own making for what goes wrong, against the real one for what goes right."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
import threading
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_engines import Endless, Gated
from fakes import KEY, Service, fakes_fixture, served, tone, until  # noqa: F401

import stt_lab
from stt_lab import client as client_module
from stt_lab.client import Client, parts, transport
from stt_lab.client.parts import TranscribeOptions
from stt_lab.client.reading import transcript_of
from stt_lab.errors import (
    BadInput,
    Busy,
    Cancelled,
    MissingFile,
    NotFound,
    RateLimited,
    SttError,
    Unauthorized,
    Unavailable,
)
from stt_lab.registry import OPERATIONS
from stt_lab.settings import Settings
from stt_lab.transcription.render import render, to_json
from stt_lab.types import JobInfo, Segment, Transcript, Word

HEALTH = {"status": "ok", "gpu_available": False, "gpu_name": None, "gpu_memory_mb": 0}
Answer = httpx.Response | Exception
Make = Callable[..., Settings]


# What goes wrong


class Scripted:
    """A server that gives its answers one after the other, and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.requests, self.bodies = list(answers), list[httpx.Request](), list[bytes]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **more: Any) -> Client:
        return Client("http://server", "a-key", transport=httpx.MockTransport(self), **more)


def refused(status: int, code: str, sentence: str = "No.", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": sentence, "code": code}, headers=headers)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", slept.append)
    return slept


def test_retry_after_is_honoured(pauses: list[float]) -> None:
    server = Scripted(
        refused(429, "rate_limited", **{"Retry-After": "7"}),
        refused(503, "busy", **{"Retry-After": "3"}),
        httpx.Response(200, json=HEALTH),
    )
    with server.client() as client:
        assert client.health().status == "ok"
    assert pauses == [7, 3]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer a-key"}


def test_pauses_grow_where_the_server_does_not_say(pauses: list[float]) -> None:
    broken = [httpx.ConnectError("refused"), httpx.ReadTimeout(""), httpx.RemoteProtocolError("gone")]
    with Scripted(*broken, httpx.Response(200, json=HEALTH)).client() as client:
        assert client.health().gpu_available is False
    assert [0.25 <= pauses[0] <= 0.5, 0.5 <= pauses[1] <= 1, 1 <= pauses[2] <= 2] == [True] * 3


def test_patience_ends(pauses: list[float]) -> None:
    server = Scripted(refused(429, "rate_limited", "Come back tomorrow.", **{"Retry-After": "40000"}))
    with server.client() as client, pytest.raises(RateLimited, match="Come back tomorrow") as caught:
        client.models()
    assert (caught.value.retry_after, pauses) == (40000, [])
    with (
        Scripted(httpx.ConnectError("refused")).client(patience=0) as client,
        pytest.raises(Unavailable, match=r"http://server.*did not answer \(refused\)"),
    ):
        client.models()


def test_what_cannot_succeed_is_not_repeated(pauses: list[float]) -> None:
    server = Scripted(refused(401, "unauthorized", "Bad key."))
    with server.client() as client, pytest.raises(Unauthorized, match=r"Bad key\."):
        client.account()
    assert pauses == []


def test_a_post_is_repeated_under_one_key(pauses: list[float]) -> None:
    made = {"id": 7, "credits": 30}
    server = Scripted(httpx.ReadTimeout("slow"), refused(409, "conflict"), httpx.Response(200, json=made))
    with server.client() as client:
        assert client.call("grant_credits", id=7, credits=30).credits == 30
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 32


def test_a_post_that_shows_a_secret_once_is_sent_once(pauses: list[float]) -> None:
    server = Scripted(httpx.ReadTimeout("slow"))
    with server.client() as client, pytest.raises(Unavailable):
        client.keys.create("mine")
    assert "idempotency-key" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refused(503, "busy", "Wait."), Busy, "Wait."),
        (refused(418, "unheard_of", "Tea."), SttError, "Tea."),
        (refused(404, "unheard_of", "Gone."), NotFound, "Gone."),
        (httpx.Response(502, text="<h1>Bad gateway</h1>"), Unavailable, "502 Bad Gateway"),
        (httpx.Response(500, json={"error": {"nested": 1}}), SttError, "500 Internal Server Error"),
        (httpx.Response(404, json=["a list"]), NotFound, "404"),
    ],
)
def test_errors_are_ours(answer: httpx.Response, kind: type[SttError], words: str, pauses: list[float]) -> None:
    with Scripted(answer).client(patience=0) as client, pytest.raises(SttError, match=words) as caught:
        client.usage()
    assert type(caught.value) is kind


def test_answers_that_are_not_understood() -> None:
    server = Scripted(httpx.Response(200, json={"status": "ok"}))
    with server.client() as client, pytest.raises(SttError, match=r"is invalid \(gpu_available\)"):
        client.health()
    with pytest.raises(SttError, match="is invalid"):
        transcript_of({"text": "only"})


JOB = {
    "id": "job_1",
    "status": "queued",
    "stage": "queued",
    "percent": 0,
    "eta_s": None,
    "created": "2026-01-01T00:00:00Z",
    "started": None,
    "finished": None,
    "transcript_id": None,
    "error": None,
    "url": "/v1/jobs/job_1",
}


def test_an_upload_starts_again(pauses: list[float]) -> None:
    server = Scripted(refused(503, "busy", **{"Retry-After": "1"}), httpx.Response(202, json=JOB))
    file = io.BytesIO(b"a header, then the sound")
    file.seek(9)  # as who looks at a file leaves it
    with server.client() as client:
        assert client.jobs.submit(file, idempotency_key="mine", language="en").id == "job_1"
    for body in server.bodies:
        assert b"a header, then the sound" in body
        assert b'name="background"\r\n\r\ntrue' in body
    assert [request.headers["idempotency-key"] for request in server.requests] == ["mine", "mine"]
    assert not file.closed


def test_what_can_be_read_once_is_sent_once(pauses: list[float]) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    server = Scripted(refused(503, "busy"))
    with server.client() as client, pytest.raises(Busy):
        client.jobs.submit(Pipe(b"sound"))
    assert len(server.requests) == 1


def test_a_recording_is_read_in_pieces() -> None:
    sizes: list[int] = []

    class Long(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sizes.append(-1 if size is None else size)
            return super().read(size)

    def server(request: httpx.Request) -> httpx.Response:
        received = sum(map(len, typing.cast(typing.Iterable[bytes], request.stream)))
        assert received > 3_000_000
        return httpx.Response(202, json=JOB)

    with Client("http://server", transport=httpx.MockTransport(server)) as client:
        client.jobs.submit(Long(bytes(3_000_000)))
    assert len(sizes) > 10
    assert max(sizes) < 100_000
    assert min(sizes) > 0


def events(*jobs: dict[str, Any]) -> httpx.Response:
    import json

    lines = [": still here\n\n", *(f"event: {job['status']}\ndata: {json.dumps(job)}\n\n" for job in jobs)]
    return httpx.Response(200, text="".join(lines))


def test_a_job_is_followed_over_several_connections(pauses: list[float]) -> None:
    running = JOB | {"status": "running", "stage": "transcribing", "percent": 40}
    done = running | {"status": "done", "percent": 100, "finished": "2026-01-01T00:01:00Z"}
    server = Scripted(events(JOB, running), httpx.ConnectError("refused"), events(running, done))
    seen: list[float] = []
    with server.client() as client:
        assert client.jobs.wait("job_1", lambda job: seen.append(job.percent)).status == "done"
    assert seen == [0, 40, 40, 100]


def test_a_job_that_failed_raises_its_error() -> None:
    ended = JOB | {"status": "failed", "finished": "2026-01-01T00:01:00Z"}
    failed = ended | {"error": {"error": "Send sound.", "code": "unsupported_media", "status": 400}}
    with Scripted(events(JOB, failed), events(ended | {"status": "cancelled"})).client() as client:
        with pytest.raises(BadInput, match=r"Send sound\."):
            client.jobs.wait("job_1")
        with pytest.raises(Cancelled):
            client.jobs.wait("job_1")
    gone = httpx.Response(200, text='event: error\ndata: {"error": "Gone.", "code": "not_found"}\n\n')
    with Scripted(gone).client() as client, pytest.raises(NotFound):
        client.jobs.wait("job_1")


def test_pages_move_while_they_are_read() -> None:
    """What is deleted moves the rest up, what is new moves it down: each is listed once, none is left out."""
    shelf = list(range(250, 0, -1))

    def server(request: httpx.Request) -> httpx.Response:
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        rows = [found(number) for number in shelf[offset : offset + limit]]
        return httpx.Response(200, json={"count": len(shelf), "results": rows})

    def found(number: int) -> dict[str, Any]:
        plain = {"id": number, "slug": str(number), "title": "", "created": "2026-01-01T00:00:00Z"}
        return plain | {"snippet": "", "segment_order": None, "start_time": None}

    with Client("http://server", transport=httpx.MockTransport(server)) as client:
        listed = []
        for one in client.transcripts.search("word"):
            listed.append(one.id)
            shelf.remove(one.id)
            if one.id == 200:
                shelf.insert(0, 251)
    assert listed == sorted(listed, reverse=True)
    assert set(listed) == set(range(1, 251))


@pytest.mark.parametrize("address", ["", "server:7860", "ftp://server"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(BadInput, match="address of a server"):
        Client(address)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with Scripted().client() as client, pytest.raises(MissingFile, match="cannot be read"):
        client.transcribe(tmp_path / "none.wav")


def test_an_unknown_operation() -> None:
    with Scripted().client() as client, pytest.raises(BadInput, match="Unknown operation 'dance'"):
        client.call("dance")


# Values


TOLD = Transcript(
    "en",
    4.0,
    (
        Segment(
            0.0,
            2.0,
            "“Well-known”, said the – rather old – man.",
            tuple(
                Word(i * 0.2, i * 0.2 + 0.1, text, 0.5, "Speaker 1")
                for i, text in enumerate([" “Well", "-known”,", " said", " the –", " rather", " old –", " man."])
            ),
            "Speaker 1",
        ),
        Segment(2.0, 3.0, "你好吗？", (Word(2.0, 2.5, " 你好"), Word(2.5, 3.0, "吗？"))),
        Segment(3.0, 4.0, "...", ()),
    ),
    ("Speaker 1",),
    "base",
    ("A warning.",),
)


def test_transcripts_come_back_as_they_were() -> None:
    read = transcript_of(to_json(TOLD, verbose=True))
    assert [word.text for word in read.segments[0].words] == [
        " “Well-", "known”,", " said", " the –", " rather", " old –", " man.",
    ]  # fmt: skip
    for segment, original in zip(read.segments, TOLD.segments, strict=True):
        assert replace(segment, words=()) == replace(original, words=())
        assert [word.plain for word in segment.words] == [word.plain for word in original.words if word.plain]
        assert "".join(word.text for word in segment.words).strip() in ("", segment.text)
    assert replace(read, segments=()) == replace(TOLD, segments=())
    assert render(read, "srt").text == render(TOLD, "srt").text


def test_options_are_the_parameters_of_the_operation() -> None:
    options = set(typing.get_type_hints(TranscribeOptions))
    ours = {"file", "background", "response_format"}
    assert options | ours == set(OPERATIONS["transcribe"].fields)


def test_import_is_light() -> None:
    heavy = ["httpx", "pydantic", "numpy", "torch", "gradio", "fastapi", "sqlalchemy"]
    code = f"import sys, stt_lab.client; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


# The real server, with engines that need no weights


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    with served(fakes()) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{service.port}", KEY, timeout=20, patience=20) as made:
        yield made


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return tone(tmp_path / "talk.wav")


def test_transcribe(client: Client, talk: Path) -> None:
    seen: list[JobInfo] = []
    made = client.transcribe(talk, progress=seen.append, language="pt", speakers=2)
    assert isinstance(made, Transcript)
    assert (made.text, made.language, made.duration) == ("word. word.", "pt", 2.0)
    assert made.speakers == ("Speaker 1", "Speaker 2")
    assert [word.text for segment in made.segments for word in segment.words] == [" word.", " word."]
    assert made.provenance
    assert seen[-1].status == "done"
    with talk.open("rb") as file:
        assert client.transcribe(file, diarize=False, store=False).text == made.text
        assert not file.closed
    assert [(one.id, one.title) for one in client.transcripts] == [(made.id, "talk.wav")]


def test_the_same_key_is_the_same_work(client: Client, talk: Path) -> None:
    first = client.jobs.submit(talk, idempotency_key="once")
    client.jobs.wait(first.id)
    assert client.jobs.submit(talk, idempotency_key="once").id == first.id
    assert client.transcribe(talk, idempotency_key="once").text == "word. word."
    assert len(list(client.transcripts)) == 1


def test_without_a_key(service: Service, talk: Path) -> None:
    with Client(f"http://127.0.0.1:{service.port}") as anonymous:
        assert anonymous.transcribe(talk).text == "word. word."
        with pytest.raises(Unauthorized):
            list(anonymous.transcripts)


def test_errors_of_the_server(client: Client, service: Service, talk: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Model 'shouting'"):
        client.transcribe(talk, model="shouting")
    (tmp_path / "noise.wav").write_bytes(b"no sound at all")
    with pytest.raises(BadInput):
        client.transcribe(tmp_path / "noise.wav")
    with Client(f"http://127.0.0.1:{service.port}", "wrong") as stranger, pytest.raises(Unauthorized):
        stranger.transcribe(talk)


def test_cancel(client: Client, talk: Path) -> None:
    job = client.jobs.submit(talk, model="endless")
    assert Endless.began.wait(10)
    client.jobs.cancel(job.id)
    with pytest.raises(Cancelled):
        client.jobs.wait(job.id)
    assert Endless.ended.wait(5)


def test_who_gives_up_cancels(client: Client, talk: Path) -> None:
    jobs: list[str] = []

    def interrupt(job: JobInfo) -> None:
        jobs.append(job.id)
        if job.status == "running":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.transcribe(talk, model="endless", progress=interrupt)
    until(lambda: client.jobs.get(jobs[0]).status == "cancelled")


def test_the_library(client: Client, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PAGE", 2)
    for _ in range(3):
        client.jobs.submit(talk)
    until(lambda: [one.status for one in client.transcripts] == ["done"] * 3, 20)
    listed = list(client.transcripts)
    assert list(client.transcripts.list(language="de")) == []
    first = listed[0]
    assert client.transcripts.get(first.slug).id == first.id
    read = client.transcripts.read(first.id)
    assert (read.id, read.text) == (first.id, "word. word.")
    assert client.transcripts.update(first.id, speakers={"Speaker 1": "Ada"}).speakers == ("Ada", "Speaker 2")
    assert client.transcripts.update(first.id, title="Of words").title == "Of words"
    assert {one.id for one in client.transcripts.search("word")} == {one.id for one in listed}
    assert [one.id for one in client.transcripts.search("ada")] == [first.id]
    assert {one.id for one in client.transcripts.search("a word", mode="meaning")} == {one.id for one in listed}
    for one in client.transcripts:
        client.transcripts.delete(one.id)
    assert list(client.transcripts) == []
    with pytest.raises(NotFound):
        client.transcripts.get(first.id)


def test_a_transcript_is_summarized_and_asked(client: Client, talk: Path) -> None:
    number = client.transcribe(talk).id
    assert number is not None
    made = client.transcripts.summarize(number, "detailed")
    assert (made.style, made.model) == ("detailed", "extractive")
    assert client.transcripts.summarize(number, "detailed") == made
    answer = client.transcripts.chat(number, "Which word?")
    assert answer.sources[0].text == "word."
    assert client.transcripts.chat(number, "And then?", session_id=answer.session_id).session_id == answer.session_id
    with pytest.raises(NotFound, match="chat was not found"):
        client.transcripts.chat(number, "And then?", session_id="chat_of_somebody")


def test_export(client: Client, talk: Path, tmp_path: Path) -> None:
    client.transcribe(talk)
    (one,) = client.transcripts
    for format, begins in (("srt", b"1\n00:00"), ("json", b"{"), ("docx", b"PK")):
        path = client.transcripts.export(one.id, format, tmp_path / f"out.{format}")
        assert path.read_bytes().startswith(begins)
    with pytest.raises(NotFound):
        client.transcripts.export(one.id + 1, "srt", tmp_path / "out.none")
    assert client.transcripts.audio(one.id, tmp_path / "out.wav").read_bytes() == talk.read_bytes()
    names = {path.name for path in tmp_path.iterdir() if "out" in path.name}
    assert names == {"out.srt", "out.json", "out.docx", "out.wav"}


def test_account_and_keys(client: Client, service: Service, talk: Path) -> None:
    assert client.account().admin
    assert client.update_account(email="a@example.org").email == "a@example.org"
    made = client.keys.create("laptop", ["speech", "library"])
    assert made.id in {key.id for key in client.keys.list()}
    with Client(f"http://127.0.0.1:{service.port}", made.key) as other:
        other.transcribe(talk)
        client.keys.revoke(made.id)
        with pytest.raises(Unauthorized):
            other.transcribe(talk)
    usage = client.usage()
    assert (len(usage.days), usage.jobs) == (30, 1)
    assert {"echo", "english"} <= {model.id for model in client.models()}
    assert any(language.code == "bo" for language in client.languages())
    assert client.health().status == "ok"


def test_the_example_of_the_documentation(
    service: Service, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = client_module.__doc__ or ""
    example = textwrap.dedent(text[text.index("    from") : text.index("Methods return")])
    talk.rename(tmp_path / "meeting.mp3")
    monkeypatch.chdir(tmp_path)
    address = f"http://127.0.0.1:{service.port}"
    exec(example.replace("http://127.0.0.1:7860", address).replace("stt_...", KEY), {})
    assert "word. word." in capsys.readouterr().out
    assert list(tmp_path.glob("*.docx"))


def test_threads_share_a_client(client: Client, talk: Path) -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(client.transcribe(talk).text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert texts == ["word. word."] * 3
    assert stt_lab.__version__


def test_jobs_are_listed_with_their_place_and_what_was_recognized(client: Client, service: Service, talk: Path) -> None:
    Gated.gate.clear()
    sent = [client.jobs.submit(talk, model="gated").id]
    assert Gated.began.acquire(timeout=10)
    sent += [client.jobs.submit(talk, model="gated").id for _ in range(3)]
    until(lambda: client.jobs.list()[-1].text == "So far.")
    listed = client.jobs.list()
    assert [job.id for job in listed] == sent[::-1]
    assert {(job.operation, job.filename) for job in listed} == {("transcribe", "talk.wav")}
    places = [job.place for job in listed if job.status == "queued"]
    assert places == sorted(places, reverse=True)
    assert places[-1] == 1
    assert client.jobs.get(listed[0].id).place == places[0]
    assert len(client.jobs.list(2)) == 2
    Gated.gate.set()
    for job in sent:
        client.jobs.wait(job)
    assert {(job.place, job.text, job.status) for job in client.jobs.list()} == {(None, "", "done")}
    with Client(f"http://127.0.0.1:{service.port}") as anonymous, pytest.raises(Unauthorized):
        anonymous.jobs.list()  # somebody else may have the same address
