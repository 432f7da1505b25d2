"""stt_lab.web.routes over a real port: answers, errors, keys, uploads, clients that go away."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fake_engines import Endless, Gated, Halves
from fakes import KEY, Service, fakes_fixture, files, served, started, tone, until  # noqa: F401

from stt_lab.errors import OldRevision, SttError
from stt_lab.registry import OPERATIONS, Operation
from stt_lab.settings import MB, Settings
from stt_lab.store import queue
from stt_lab.web.service import JSON_LIMIT, error_response

ANY = {"Accept": "*/*"}  # what curl, requests and fetch send
OWNER = {"Authorization": f"Bearer {KEY}"}
Make = Callable[..., Settings]


def add(numbers: list[int], times: int = 1) -> dict[str, int]:
    """Add numbers."""
    return {"sum": sum(numbers) * times}


def guarded(numbers: list[int]) -> dict[str, int]:
    """Add numbers for some."""
    return add(numbers)


def fail(how: str = "quietly") -> dict[str, int]:
    """Fail."""
    raise RuntimeError("a secret in /etc/passwd")


EXTRA = (
    Operation(fn=add, method="POST", path="/v1/add", anonymous=True),
    Operation(fn=fail, method="GET", path="/v1/fail", anonymous=True),
    Operation(fn=guarded, method="POST", path="/v1/guarded", scope="secrets"),
)


@pytest.fixture
def service(fakes: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for op in EXTRA:
        monkeypatch.setitem(OPERATIONS, op.name, op)
    with served(fakes()) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=20) as made:
        yield made


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return tone(tmp_path / "talk.wav")


def send(client: httpx.Client, path: Path, headers: dict[str, str] = ANY, /, **fields: str) -> httpx.Response:
    with path.open("rb") as file:
        return client.post("/v1/transcribe", files={"file": file}, data=fields, headers=headers)


def error(answer: httpx.Response, status: int, *words: str) -> str:
    """The sentence of an error, which has the one shape and tells nothing that it should not."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    sentence = body["error"]
    assert isinstance(sentence, str)
    assert isinstance(body["code"], str)
    assert sentence.endswith(".")
    assert sentence.count(". ") <= 1
    assert "\n" not in sentence
    for secret in (KEY, "Traceback", "/etc", "/tmp", str(Path.home()), "stt_lab/"):
        assert secret not in answer.text
    for word in words:
        assert word in sentence, sentence
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) > 0
    return sentence


# Answers


def test_transcribe_anonymously(client: httpx.Client, talk: Path, service: Service) -> None:
    answer = send(client, talk)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"text", "language", "duration", "segments", "speakers", "model"}
    assert (body["text"], body["duration"], body["model"]) == ("word. word.", 2.0, "large-v3-turbo")
    assert body["text"] == " ".join(segment["text"] for segment in body["segments"])
    assert body["speakers"] == ["Speaker 1", "Speaker 2"]
    assert service.leftovers() == []


def test_where_nobody_speaks(client: httpx.Client, talk: Path) -> None:
    body = send(client, talk, model="mute").json()
    assert (body["text"], body["segments"], body["speakers"]) == ("", [], [])
    assert Halves.loads == 0  # nobody is asked who does not speak


@pytest.mark.parametrize("value", ["false", "0", "False"])
def test_diarize_false(value: str, client: httpx.Client, talk: Path) -> None:
    body = send(client, talk, diarize=value).json()
    assert body["speakers"] == []
    assert all("speaker" not in segment for segment in body["segments"])


def test_the_values_of_the_sdk(client: httpx.Client, talk: Path) -> None:
    body = send(client, talk, diarize="true", speakers="0", language="auto", response_format="json").json()
    assert body["speakers"] == ["Speaker 1", "Speaker 2"]
    assert send(client, talk, diarize="1", speakers="2").json()["speakers"] == ["Speaker 1", "Speaker 2"]


FORMATS = {"srt": "application/x-subrip", "vtt": "text/vtt", "txt": "text/plain", "text": "text/plain"}


@pytest.mark.parametrize("name", FORMATS)
def test_renderings(name: str, client: httpx.Client, talk: Path) -> None:
    answer = send(client, talk, response_format=name)
    assert answer.headers["content-type"] == f"{FORMATS[name]}; charset=utf-8"
    assert "word" in answer.text
    assert ("-->" in answer.text) == (name in ("srt", "vtt"))


@pytest.mark.parametrize("headers", [{"Accept": "application/json"}, {"User-Agent": "stt-ai-python/0.1.0", **ANY}])
@pytest.mark.parametrize("name", FORMATS)
def test_renderings_as_json(name: str, headers: dict[str, str], client: httpx.Client, talk: Path) -> None:
    plain = send(client, talk, response_format=name).text
    body = send(client, talk, headers, response_format=name).json()
    assert (body["text"], body["format"], body["duration"]) == (plain, name, 2.0)


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8"])
def test_browsers_and_curl_get_the_plain_rendering(accept: str, client: httpx.Client, talk: Path) -> None:
    answer = send(client, talk, {"Accept": accept, "User-Agent": "curl/8.5"}, response_format="vtt")
    assert answer.text.startswith("WEBVTT")


def test_verbose_json(client: httpx.Client, talk: Path) -> None:
    answer = send(client, talk, response_format="verbose_json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["provenance"][0]["engine"] == "Echo"


def test_a_model_that_stands_in_is_named(client: httpx.Client, talk: Path) -> None:
    body = send(client, talk, model="absent").json()
    assert body["model"] == "large-v3-turbo"
    assert "'absent'" in body["warnings"][0]


def test_what_needs_no_key(client: httpx.Client) -> None:
    assert {"id", "name", "languages", "speed", "available", "license", "size_mb", "device"} <= set(
        client.get("/v1/models").json()["models"][0]
    )
    languages = client.get("/v1/languages").json()["languages"]
    assert {"code": "en", "name": "english"} in languages
    assert len(languages) >= 99
    health = client.get("/health").json()
    assert (health["status"], health["gpu_available"], health["gpu_name"], health["gpu_memory_mb"]) == (
        "ok", False, None, 0,
    )  # fmt: skip


def test_health_says_what_is_missing_with_200(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "models" / "halves" / "weights").unlink()
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert "diarize" in answer.json()["missing"][0]


def test_a_missing_diarizer_is_said_before_the_work(client: httpx.Client, talk: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "halves" / "weights").unlink()
    error(send(client, talk, model="endless"), 503, "diarize", "models pull")
    assert not Endless.began.is_set()
    assert send(client, talk, diarize="false").status_code == 200


# Keys


def test_keys(client: httpx.Client, talk: Path) -> None:
    assert send(client, talk, {"Authorization": f"Bearer {KEY}"}).status_code == 200
    for path in ("/v1/models", "/health"):
        assert client.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    answer = send(client, talk, {"Authorization": "Bearer wrong"})
    error(answer, 401, "Bearer KEY")
    assert answer.headers["www-authenticate"] == "Bearer"
    error(client.get("/v1/models", headers={"Authorization": "Token x"}), 401)


def test_a_wrong_key_is_refused_before_the_upload(client: httpx.Client) -> None:
    read: list[bytes] = []

    def body() -> Iterator[bytes]:
        for _ in range(10_000):
            read.append(b"x")
            yield b"x" * 65_536

    answer = None
    try:
        answer = client.post("/v1/transcribe", content=body(), headers={"Authorization": "Bearer wrong"})
    except httpx.TransportError:
        assert len(read) < 10_000  # the server has hung up on the rest
    if answer is not None:
        error(answer, 401)


def test_scopes(client: httpx.Client, service: Service) -> None:
    error(client.post("/v1/guarded", json={"numbers": [1]}), 401, "Bearer KEY")
    other = service.accounts.create_key(service.accounts.create("Ada").id, "a", ["speech"])[1]
    error(client.post("/v1/guarded", content=b"", headers={"Authorization": f"Bearer {other}"}), 403, "'secrets'")
    answer = client.post("/v1/guarded", json={"numbers": [1]}, headers=OWNER)
    assert answer.json() == {"sum": 1}


def test_sign_in(client: httpx.Client, service: Service) -> None:
    address = service.access.sign_in_address("")
    answer = client.get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert re.match(r"stt_lab_session=[\w-]{43}; ", cookie)
    assert address.partition("=")[2] not in cookie
    assert "Max-Age=2592000" in cookie  # 30 days
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # plain HTTP on one's own machine
    assert KEY not in cookie


def test_a_session_behind_a_proxy_is_sent_encrypted_only(fakes: Make) -> None:
    with served(fakes(trusted_proxies="127.0.0.0/8")) as behind:
        for proto, secure in (("https", True), ("http", False)):
            address = behind.access.sign_in_address(f"http://127.0.0.1:{behind.port}")
            answer = httpx.get(address, headers={"X-Forwarded-Proto": proto})
            assert ("Secure" in answer.headers["set-cookie"]) is secure


def test_the_form_is_sent_with_its_origin(client: httpx.Client) -> None:
    """Browsers send the origin "null" from a page with the policy no-referrer, which no check can tell from others'."""
    assert client.get("/sign-in").headers["referrer-policy"] == "same-origin"


def test_a_wrong_sign_in(client: httpx.Client) -> None:
    for query in ("?token=", "?token=wrong", f"?token={KEY}"):
        answer = client.get(f"/sign-in{query}")
        error(answer, 401, "sign-in address")
        assert "set-cookie" not in answer.headers


# Errors


BAD: list[tuple[dict[str, str], list[str]]] = [
    ({"model": "gigantic"}, ["'gigantic'", "large-v3-turbo"]),
    ({"model": "../../x"}, ["Choose from"]),
    ({"model": "halves"}, ["transcribe"]),
    ({"language": "xx"}, ["language"]),
    ({"model": "english", "language": "pt"}, ["English"]),
    ({"speakers": "-1"}, ["'speakers'", "Number of speakers"]),
    ({"speakers": "21"}, ["'speakers'"]),
    ({"speakers": "many"}, ["'speakers'", "'many'"]),
    ({"diarize": "perhaps"}, ["'diarize'"]),
    ({"response_format": "pdf"}, ["'response_format'", "'srt'"]),
    ({"pace": "fast"}, ["'pace'", "speakers"]),
]


def test_bad_parameters_are_400(client: httpx.Client, talk: Path, service: Service) -> None:
    for fields, words in BAD:
        error(send(client, talk, **fields), 400, *words)
        assert service.leftovers() == []


def test_no_file(client: httpx.Client) -> None:
    error(client.post("/v1/transcribe"), 400, "'file'")
    error(client.post("/v1/transcribe", data={"language": "en"}), 400, "multipart")
    error(client.post("/v1/transcribe", json={"file": "talk.wav"}), 400, "multipart")
    error(client.post("/v1/transcribe", files={"audio": b"x"}), 400, "'file'")


def test_the_built_in_fetch_with_a_foreign_form(client: httpx.Client) -> None:
    plain = {"Content-Type": "text/plain;charset=UTF-8"}
    error(client.post("/v1/transcribe", content="[object FormData]", headers=plain), 400, "[object FormData]")
    form = {"Content-Type": "multipart/form-data; boundary=--------------------------1"}
    error(client.post("/v1/transcribe", content="[object FormData]", headers=form), 400, "[object FormData]")


def test_unknown_paths(client: httpx.Client) -> None:
    for path in ("/v1/nothing", "/v1/", "/api/v1/nothing/", "/v1/transcribe//", "/v1/../v1/x", "/v1/jobs/a/b"):
        for method in ("GET", "POST", "DELETE", "PUT", "PATCH"):
            error(client.request(method, path), 404, method, "/docs")


def test_wrong_methods(client: httpx.Client) -> None:
    tries = {
        "POST": [("GET", "/v1/transcribe"), ("PUT", "/v1/transcribe/")],
        "GET": [("DELETE", "/v1/models"), ("POST", "/health/")],
        "GET, POST": [("PATCH", "/api/v1/keys/"), ("DELETE", "/api/v1/keys")],
        "DELETE, GET, PATCH": [("POST", "/api/v1/transcripts/1/")],
    }
    for method, path, allowed in [(*one, allowed) for allowed, ones in tries.items() for one in ones]:
        answer = client.request(method, path)
        error(answer, 405, method, allowed)
        assert answer.headers["allow"] == allowed


def test_unknown_query_parameters_of_get(client: httpx.Client) -> None:
    error(client.get("/v1/models?page=2"), 400, "'page'")


def test_what_nobody_foresaw_is_told_to_the_log_only(
    client: httpx.Client, talk: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    error(send(client, talk, model="broken"), 500, "log")
    error(client.get("/v1/fail"), 500, "log")
    assert caplog.text.count("RuntimeError: a secret in /etc/passwd") == 2
    assert service.leftovers() == []
    assert send(client, talk).status_code == 200


def test_errors_of_engines_keep_their_status(client: httpx.Client, talk: Path) -> None:
    answer = send(client, talk, model="refusing")
    error(answer, 429, "Wait")
    assert answer.headers["retry-after"] == "7"


def test_a_file_that_is_no_sound(client: httpx.Client, tmp_path: Path, service: Service) -> None:
    text = tmp_path / "talk.wav"
    text.write_text("not sound at all" * 100)
    error(send(client, text), 400, "WAV")
    assert service.leftovers() == []


# JSON bodies


def test_json_operations(client: httpx.Client) -> None:
    assert client.post("/v1/add", json={"numbers": [1, 2], "times": 2}).json() == {"sum": 6}
    error(client.post("/v1/add", json={"numbers": "many"}), 400, "'numbers'")
    error(client.post("/v1/add", json={}), 400, "'numbers'")


def test_bodies_that_are_no_object(client: httpx.Client) -> None:
    for body in (b"", b"[1]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"numbers": ' + b"9" * 5000 + b"}"):
        error(client.post("/v1/add", content=body), 400)


def test_the_limit_of_json_bodies(client: httpx.Client) -> None:
    big = b'{"numbers": [' + b"1," * (JSON_LIMIT // 2) + b"1]}"
    error(client.post("/v1/add", content=big), 413, "8 MB")
    error(client.post("/v1/add", content=(big[i : i + 65_536] for i in range(0, len(big), 65_536))), 413, "8 MB")


# Uploads


class Wire:
    """A raw connection that has begun an upload."""

    def __init__(
        self,
        service: Service,
        length: int | None = None,
        model: str = "large-v3-turbo",
        headers: dict[str, str] = {},  # noqa: B006  only read
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=20)
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        kind = "Content-Type: multipart/form-data; boundary=B"
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST /v1/transcribe HTTP/1.1\r\nHost: x\r\n{more}{kind}\r\n{size}\r\n\r\n"
        self.chunked = length is None
        self.socket.sendall(head.encode())
        self.send(f'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'.encode())
        self.send(b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n')

    def send(self, data: bytes) -> None:
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def end(self) -> None:
        self.send(b"\r\n--B--\r\n")
        self.socket.sendall(b"0\r\n\r\n")

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer, read until the body is whole."""
        got = b""
        while True:
            got += self.socket.recv(65_536) or pytest.fail(f"the connection ended after {got!r}")
            head, _, body = got.partition(b"\r\n\r\n")
            try:
                return int(head.split()[1]), json.loads(body)
            except (ValueError, IndexError):
                continue

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *problem: object) -> None:
        self.socket.close()


def test_too_large_by_its_header(service: Service) -> None:
    with Wire(service, length=3 * MB) as wire:
        status, body = wire.answer()  # before the content was sent
    assert (status, body["code"]) == (413, "too_large")
    assert "2 MB" in body["error"]
    assert service.leftovers() == []


def test_too_large_while_it_comes(service: Service, client: httpx.Client, talk: Path) -> None:
    with Wire(service) as wire:
        wire.send(b"x" * MB)
        until(lambda: service.leftovers())
        wire.send(b"x" * MB)
        status, _ = wire.answer()  # the body has no end yet
    assert status == 413
    assert service.leftovers() == []
    assert send(client, talk).status_code == 200


def test_too_large_with_a_usual_client(client: httpx.Client, tmp_path: Path, service: Service) -> None:
    big = tmp_path / "big.wav"
    big.write_bytes(bytes(40 * MB))
    error(send(client, big), 413, "2 MB")
    assert service.leftovers() == []


def test_a_client_that_leaves_during_the_upload(
    service: Service, client: httpx.Client, talk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(service) as wire:
        wire.send(b"RIFF" * 10_000)
        until(lambda: service.leftovers())
    until(lambda: not service.leftovers())
    assert send(client, talk).status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]  # it is no fault of the server


def test_a_large_upload_does_not_grow_the_server(fakes: Make) -> None:
    with served(fakes(max_upload_mb=300)) as service, Wire(service, headers=OWNER) as wire:
        process, sizes = psutil.Process(), list[int]()
        for number in range(200):
            wire.send(b"\x01" * MB)
            if number % 10 == 9:
                sizes.append(process.memory_info().rss)
        wire.end()
        assert wire.answer()[0] == 400  # it is not sound
        assert max(sizes) - sizes[0] < 32 * MB
        assert service.leftovers() == []


# Clients that go away, and the queue


def test_a_client_that_leaves_ends_its_work(
    service: Service, client: httpx.Client, talk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(service, model="endless") as wire:
        wire.send(talk.read_bytes())
        wire.end()
        assert Endless.began.wait(10)
    assert Endless.ended.wait(10)  # it would go on for minutes
    assert send(client, talk).status_code == 200  # the slot is free
    until(lambda: not service.leftovers())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_client_that_leaves_the_queue(service: Service, client: httpx.Client, talk: Path) -> None:
    with started(lambda: send(client, talk, OWNER, model="gated")) as raised:
        assert Gated.began.acquire(timeout=10)
        with Wire(service, model="endless") as wire:
            wire.send(talk.read_bytes())
            wire.end()
            until(lambda: len(files(service.settings.uploads_dir)) == 2)
        until(lambda: len(files(service.settings.uploads_dir)) == 1, 2)
        Gated.gate.set()
    assert raised == []
    assert not Endless.began.is_set()


def active(service: Service) -> int:
    """Jobs that wait or run."""
    with service.runtime.database.read() as session:
        return len(queue.active(session))


def test_a_full_queue_is_503_and_everything_else_goes_on(
    fakes: Make, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt_lab.jobs.queue.KEPT_FREE", 0.0)  # one caller may take all places
    with served(fakes(queue_size=12)) as service, ExitStack() as threads:
        client = threads.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=30))
        statuses: list[int] = []

        def work() -> None:
            statuses.append(send(client, talk, OWNER, model="gated").status_code)

        raised = [threads.enter_context(started(work)) for _ in range(13)]
        until(lambda: active(service) == 13, 20)
        assert client.get("/health").status_code == 200  # although thirteen wait
        error(send(client, talk), 503, "Try again")
        Gated.gate.set()
        until(lambda: len(statuses) + sum(map(len, raised)) == 13, 20)
        assert statuses == [200] * 13
        assert Gated.most == 1
        assert send(client, talk).status_code == 200


def test_the_end_of_the_runtime_ends_requests_with_an_error(service: Service, client: httpx.Client, talk: Path) -> None:
    service.runtime.close()
    error(send(client, talk), 503)
    assert service.leftovers() == []


# OpenAPI


def test_openapi_describes_every_operation(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for op in OPERATIONS.values():
        described = paths[op.path][op.method.lower()]
        assert described["description"] == op.description
        assert ("422" in described["responses"]) == (op.method == "POST")  # of the Idempotency-Key only
        assert {"200", "400"} <= set(described["responses"])
    query = paths["/v1/fail"]["get"]["parameters"]
    assert [(one["name"], one["in"], one["required"], one["schema"]["default"]) for one in query] == [
        ("how", "query", False, "quietly")
    ]


def test_every_error_class_has_a_body_of_the_one_shape() -> None:
    kinds, todo = set[type[SttError]](), [SttError]
    while todo:
        kind = todo.pop()
        kinds.add(kind)
        todo += kind.__subclasses__()
    assert len(kinds) >= 13
    for kind in kinds:
        answer = error_response(kind("Do this."))
        more = {"revision": None} if kind is OldRevision else {}
        assert json.loads(bytes(answer.body)) == {"error": "Do this.", "code": kind.code} | more
        assert answer.status_code == kind.status
        assert ("retry-after" in answer.headers) == (kind.retry_after is not None)


def test_a_route_that_waits_holds_up_no_other(service: Service, client: httpx.Client, talk: Path) -> None:
    names: set[str] = set()
    original = service.runtime.accounts.tier_of

    def spy(account_id: int) -> Any:
        names.add(threading.current_thread().name)
        return original(account_id)

    service.runtime.accounts.tier_of = spy  # type: ignore[method-assign]
    assert send(client, talk).status_code == 200
    assert names
    assert all(name.startswith("web-") for name in names)
