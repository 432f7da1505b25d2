"""What surrounds every route (stt_lab.web.security): hosts, origins, headers, the shape of errors, the log."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import KEY, Service, fakes_fixture, served, tone  # noqa: F401

from stt_lab.caller import ADMINISTRATOR
from stt_lab.errors import BadInput
from stt_lab.settings import Settings, get_settings

OWNER = {"Authorization": f"Bearer {KEY}"}
EVIL = "http://evil.example"
Make = Callable[..., Settings]


@contextmanager
def client_of(service: Service, **headers: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=20, headers=headers) as made:
        yield made


@pytest.fixture(params=["anywhere", "loopback"])
def service(request: pytest.FixtureRequest, fakes: Make) -> Iterator[Service]:
    with served(fakes(), "127.0.0.1" if request.param == "loopback" else "0.0.0.0") as running:
        yield running


@pytest.fixture
def here(fakes: Make) -> Iterator[Service]:
    """A server that listens on loopback only."""
    with served(fakes(), "127.0.0.1") as running:
        yield running


def error(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "code"}
    for word in words:
        assert word in body["error"]


# Hosts


def asked_as(service: Service, host: str, path: str = "/health", **headers: str) -> httpx.Response:
    with client_of(service) as client:
        return client.get(path, headers={"Host": host, **headers})


def test_names_of_this_machine(here: Service) -> None:
    for host in ("localhost", "LOCALHOST:7860", "localhost.", "127.0.0.1:1", "[::1]", "[::1]:7860"):
        assert asked_as(here, host).status_code == 200, host


STRANGE = [
    "evil.example",
    "evil.example:7860",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",
]


@pytest.mark.parametrize("host", [*STRANGE, "a@localhost", "localhost/a", "localhost evil", "[::2]", "10.0.0.1", ":80"])
def test_a_name_that_was_bound_to_this_machine(host: str, here: Service) -> None:
    """DNS rebinding: the page's own name now resolves to 127.0.0.1, so for the browser the request is not foreign."""
    same = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    for path in ("/health", "/v1/models", "/", "/sign-in", "/nothing", "/gradio_api/queue/data?session_hash=a"):
        for headers in ({}, same, OWNER):
            error(asked_as(here, host, path, **headers), 400, "STT_LAB_HOSTS", "localhost")


def test_rebinding_by_a_resolver(here: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a browser does it: the name resolves to the attacker's address first, and to this machine the next time."""
    answers = iter(["203.0.113.7", "127.0.0.1"])
    plain = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return plain(next(answers) if host == "rebound.example" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    page = socket.getaddrinfo("rebound.example", 80)[0][4][0]
    assert page == "203.0.113.7"
    answer = httpx.get(f"http://rebound.example:{here.port}/v1/models", headers={"Sec-Fetch-Site": "same-origin"})
    error(answer, 400, "'rebound.example", "STT_LAB_HOSTS")


def test_names_in_the_settings(fakes: Make) -> None:
    with served(fakes(hosts="stt.example.org, Other.example"), "127.0.0.1") as named:
        for host in ("stt.example.org", "other.example:443", "localhost"):
            assert asked_as(named, host).status_code == 200
        error(asked_as(named, "evil.example"), 400)


def test_a_server_for_others_accepts_any_name_unless_they_are_set(fakes: Make, tmp_path: Path) -> None:
    with served(fakes(), "0.0.0.0") as anywhere:
        assert asked_as(anywhere, "space.example").status_code == 200
    with served(fakes(hosts="space.example", data_dir=tmp_path / "other"), "0.0.0.0") as named:
        assert asked_as(named, "space.example").status_code == 200
        error(asked_as(named, "localhost"), 400, "space.example")


def test_names_behind_a_proxy(fakes: Make) -> None:
    with served(fakes(hosts="stt.example.org", trusted_proxies="127.0.0.1"), "127.0.0.1") as behind:
        inside = f"127.0.0.1:{behind.port}"
        assert asked_as(behind, inside, **{"X-Forwarded-Host": "stt.example.org"}).status_code == 200
        error(asked_as(behind, inside, **{"X-Forwarded-Host": "evil.example"}), 400)
        error(asked_as(behind, inside, **{"X-Forwarded-Host": "stt.example.org, evil.example"}), 400)


@pytest.mark.parametrize(
    ("name", "value"),
    [("HOSTS", "https://a.example"), ("HOSTS", "*.example"), ("CORS_ORIGINS", "a.example"), ("CORS_ORIGINS", "*")],
)
def test_settings_that_are_no_names(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"STT_LAB_{name}", value)
    get_settings.cache_clear()
    with pytest.raises(BadInput, match=f"STT_LAB_{name} is invalid"):
        get_settings()
    get_settings.cache_clear()


# Origins


def cookie(service: Service) -> dict[str, str]:
    return {"Cookie": f"stt_lab_session={service.access.begin_session(ADMINISTRATOR)}"}


def test_a_session_and_a_foreign_page(service: Service) -> None:
    before = len(service.accounts.keys(1))
    with client_of(service, **cookie(service)) as client:
        other_port = f"http://127.0.0.1:{service.port + 1}"
        for origin in (EVIL, other_port, "http://localhost", "null", "https://127.0.0.1"):
            for method, path in (("GET", "/health"), ("POST", "/api/v1/keys/"), ("GET", "/docs"), ("GET", "/nothing")):
                error(client.request(method, path, headers={"Origin": origin}), 403, "another site")
        own = {"Origin": f"http://127.0.0.1:{service.port}"}
        assert client.post("/api/v1/keys/", json={"name": "a"}, headers=own).status_code == 200
        assert client.get("/api/v1/keys/").status_code == 200
    assert len(service.accounts.keys(1)) == before + 1


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def test_no_page_of_another_origin_reads_an_answer(service: Service) -> None:
    with client_of(service) as client:
        for path in ("/health", "/v1/transcribe", "/nothing", "/gradio_api/queue/join", "/sign-in"):
            for origin in (EVIL, "null", "http://localhost:3000", f"http://127.0.0.1:{service.port}"):
                asked = client.options(path, headers={"Origin": origin, **PREFLIGHT})
                error(asked, 403, "STT_LAB_CORS_ORIGINS")
                assert cors(asked) == cors(client.get(path, headers={"Origin": origin})) == {}


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_origins_in_the_settings(address: str, fakes: Make) -> None:
    with served(fakes(cors_origins="https://App.example, http://localhost:3000/"), address) as listed:
        session = cookie(listed)
        for origin in ("https://app.example", "http://localhost:3000"):
            with client_of(listed, Origin=origin) as client:
                asked = client.options("/v1/transcribe", headers=PREFLIGHT)
                assert asked.status_code == 204
                assert cors(asked)["access-control-allow-origin"] == origin
                assert "POST" in cors(asked)["access-control-allow-methods"]
                assert "authorization" in cors(asked)["access-control-allow-headers"].lower()
                for answer in (client.get("/api/v1/keys/", headers=OWNER), client.get("/v1/nothing")):
                    assert cors(answer)["access-control-allow-origin"] == origin
                    assert "access-control-allow-credentials" not in cors(answer)
                    assert "origin" in answer.headers["vary"].lower()
                error(client.get("/api/v1/keys/", headers=session), 403)  # sessions are for the page alone
        with client_of(listed, Origin=EVIL) as client:
            assert cors(client.get("/health", headers=OWNER)) == {}


def websocket(service: Service, path: str = "/v1/stream", query: str = "", **headers: str) -> list[dict[str, Any]]:
    """What the application sends to a WebSocket."""
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    scope |= {"headers": lines, "client": ("127.0.0.1", 1), "scheme": "ws", "subprotocols": [], "root_path": ""}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(service.app(scope, receive, send))
    return sent


def test_websockets_pass_the_same_checks(here: Service, caplog: pytest.LogCaptureFixture) -> None:
    own = f"127.0.0.1:{here.port}"
    session = cookie(here)["Cookie"]
    refused = [
        {"host": "evil.example"},
        {"host": own, "origin": EVIL},
        {"host": own, "origin": EVIL, "cookie": session},
        {"host": own, "sec_fetch_site": "cross-site", "cookie": session},
    ]
    for headers in refused:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            sent = websocket(here, **headers)
        assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]
        assert caplog.text.count("/v1/stream") == 1


# My machine is mine


def transcribe(client: httpx.Client, path: Path, **headers: str) -> httpx.Response:
    with path.open("rb") as file:
        return client.post("/v1/transcribe", files={"file": file}, data={"diarize": "false"}, headers=headers)


def test_the_machines_own_callers_are_not_counted(here: Service, tmp_path: Path) -> None:
    talk = tone(tmp_path / "a.wav", 0.5)
    with client_of(here) as client:
        for _ in range(5):
            answer = transcribe(client, talk)
            assert answer.status_code == 200
            assert "x-ratelimit-limit" not in answer.headers
        assert client.get("/api/v1/transcripts/").status_code == 401  # still no library
        error(transcribe(client, talk, Origin=EVIL), 403, "another site", "STT_LAB_CORS_ORIGINS")
        error(transcribe(client, talk, **{"Sec-Fetch-Site": "same-site"}), 403)
        assert transcribe(client, talk, Origin=f"http://127.0.0.1:{here.port}").status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"])
def test_callers_behind_a_proxy_are_counted(name: str, here: Service, tmp_path: Path) -> None:
    talk = tone(tmp_path / "a.wav", 0.5)
    with client_of(here, **{name: "203.0.113.5"}) as client:
        assert [transcribe(client, talk).status_code for _ in range(4)] == [200, 200, 200, 429]
        error(
            transcribe(client, talk),
            429,
            "0 of 3",
            "tomorrow",
            "`stt-lab sign-in`",
            "Authorization: Bearer KEY",
            "tier",
        )
    with client_of(here) as client:
        assert transcribe(client, talk).status_code == 200


def test_callers_of_a_server_for_others_are_counted(fakes: Make, tmp_path: Path) -> None:
    talk = tone(tmp_path / "a.wav", 0.5)
    places: list[tuple[str, dict[str, Any]]] = [("0.0.0.0", {}), ("127.0.0.1", {"trusted_proxies": "127.0.0.0/8"})]
    for number, (address, more) in enumerate(places):
        with served(fakes(data_dir=tmp_path / str(number), **more), address) as other, client_of(other) as client:
            assert [transcribe(client, talk).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_every_401_names_the_way_in(here: Service) -> None:
    with client_of(here) as client:
        error(client.get("/api/v1/keys/"), 401, "Bearer KEY", "`stt-lab keys create`", "`stt-lab sign-in`")
        wrong = client.get("/api/v1/keys/", headers={"Authorization": "Bearer wrong"})
        error(wrong, 401, "Bearer KEY", "`stt-lab keys create`", "`stt-lab sign-in`")
        error(client.get("/sign-in?token=wrong"), 401, "`stt-lab sign-in`")


# Answers


def test_headers_of_every_answer(service: Service, tmp_path: Path) -> None:
    with client_of(service) as client:
        answers = [
            client.get("/health"),
            client.get("/nothing"),
            client.put("/health"),
            client.get("/sign-in"),
            client.get("/openapi.json"),
            client.get("/api/v1/keys/", headers=OWNER),
            client.get("/api/v1/keys/"),
            client.get("/%ff"),
            client.head("/health"),
            transcribe(client, tone(tmp_path / "a.wav", 0.5)),
            transcribe(client, tone(tmp_path / "a.wav", 0.5), Authorization="Bearer wrong"),
        ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff", answer.request.url
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "no-store" in answer.headers["cache-control"]
        assert "strict-transport-security" not in answer.headers


def test_an_unforeseen_error_has_the_headers_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(service.access, "identify", broken)
    with client_of(service) as client:
        answer = client.get("/v1/models")
    error(answer, 500)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_encrypted_clients_stay_encrypted(fakes: Make) -> None:
    with served(fakes(trusted_proxies="127.0.0.1")) as behind, client_of(behind) as client:
        assert (
            "max-age="
            in client.get("/health", headers={"X-Forwarded-Proto": "https"}).headers["strict-transport-security"]
        )
        assert "strict-transport-security" not in client.get("/health").headers


def test_every_error_has_the_one_shape(here: Service) -> None:
    with client_of(here) as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"):
            for path in (
                "/nothing",
                "/v1/transcribe/x",
                "/v1/",
                "/openapi.json/x",
                "/health",
                "/sign-out",
                "//",
                "/v1/models",
            ):
                answer = client.request(method, path)
                if answer.status_code >= 400:
                    error(answer, answer.status_code)
        assert client.request("OPTIONS", "/v1/models").status_code == 405
        assert client.request("TRACE", "/health").status_code == 405
        fields = "&".join(f"key{number}=a" for number in range(5))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        error(client.post("/sign-in", content=fields, headers=form), 400, "'key'")
        error(client.post("/sign-in", content=b"key=%ff", headers=form), 400)
        error(client.post("/sign-in", content=b"key=\xff", headers=form), 400)
        error(client.post("/sign-in", content=b"a" * 5000, headers=form), 413)


def test_errors_of_libraries_get_the_shape_and_lose_their_text(service: Service) -> None:
    """As Gradio's: a plain text, and FastAPI's `detail` with a path of this machine."""
    from fastapi import HTTPException
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    async def plain(request: Request) -> Response:
        return PlainTextResponse("not found in /srv/secret", 404, {"X-Own": "1"})

    async def detail(request: Request) -> Response:
        return JSONResponse({"detail": "no file /srv/secret"}, 422)

    async def raised(request: Request) -> Response:
        raise HTTPException(418)

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        raise RuntimeError("no file /srv/secret")

    library = Starlette(routes=[Route("/plain", plain), Route("/detail", detail), Route("/raised", raised)])
    service.app.mount("/library", library)
    service.app.mount("/broken", broken)
    with client_of(service) as client:
        for path, status in (("plain", 404), ("detail", 422), ("raised", 418)):
            answer = client.get(f"/library/{path}")
            error(answer, status, "/docs")
            assert "secret" not in answer.text
        assert client.get("/library/plain").headers["x-own"] == "1"
        answer = client.get("/broken/")
        error(answer, 500)
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_refusal_is_one_line_in_the_log_without_secrets(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    tries: list[tuple[int, str, dict[str, str]]] = [
        (401, "/api/v1/keys/?token=hidden", {"Authorization": "Bearer hidden"}),
        (401, "/sign-in?token=hidden", {}),
        (404, "/v1/no%0Athing", {}),
        (403, "/health", {"Origin": EVIL, "Cookie": "stt_lab_session=hidden"}),
        (405, "/sign-out", {}),
    ]
    with client_of(service) as client:
        for status, path, headers in tries:
            caplog.clear()
            with caplog.at_level(logging.INFO, logger="stt_lab"):
                assert client.get(path, headers=headers).status_code == status
            lines = [record.getMessage() for record in caplog.records if record.name.startswith("stt_lab")]
            assert len(lines) == 1, lines
            assert str(status) in lines[0]
            assert "hidden" not in lines[0]
            assert "\n" not in lines[0]
            assert "127.0.0.1" not in lines[0]


# Uploads at once


@contextmanager
def stopped_uploads(
    service: Service, count: int, source: str = "127.0.0.1", **headers: str
) -> Iterator[list[socket.socket]]:
    """Uploads that have begun and stop."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST /v1/transcribe HTTP/1.1\r\nHost: a\r\n{lines}Content-Type: multipart/form-data; boundary=b\r\n"
    opened = [socket.create_connection(("127.0.0.1", service.port), 10, (source, 0)) for _ in range(count)]
    for connection in opened:
        connection.sendall(f"{head}Content-Length: 100000\r\n\r\n--b\r\n".encode())
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The status, headers and error of an answer."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    lines = iter(lambda: file.readline().decode().strip(), "")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return status, headers, json.loads(file.read(int(headers["content-length"])))


def test_uploads_at_once(fakes: Make) -> None:
    with served(fakes(trusted_proxies="127.0.0.1")) as running:
        with stopped_uploads(running, 9, X_Forwarded_For="203.0.113.1") as mine:
            status, headers, body = answer_of(mine[-1])
            assert (status, body["code"]) == (429, "rate_limited")
            assert int(headers["retry-after"]) > 0
            with client_of(running, **{"X-Forwarded-For": "203.0.113.1"}) as client:
                assert client.get("/health").status_code == 200
                assert client.get("/v1/models").status_code == 200
        with stopped_uploads(running, 8, X_Forwarded_For="203.0.113.1"):  # the others have left their places
            pass
        many = [f"203.0.113.{number}" for number in range(1, 9)]
        opened: list[Any] = [stopped_uploads(running, 8, X_Forwarded_For=address) for address in many]
        for one in opened:
            one.__enter__()
        with stopped_uploads(running, 1, X_Forwarded_For="203.0.113.99") as late:
            status, headers, body = answer_of(late[0])
            assert (status, body["code"]) == (503, "busy")
            assert int(headers["retry-after"]) > 0
        for one in opened:
            one.__exit__(None, None, None)


def test_addresses_of_this_machine_are_counted_apart(here: Service, tmp_path: Path) -> None:
    talk = tone(tmp_path / "a.wav", 0.5)
    with stopped_uploads(here, 8, "127.0.0.2"), client_of(here) as client:
        assert transcribe(client, talk).status_code == 200


def test_an_upload_waits_for_its_turn(here: Service, tmp_path: Path) -> None:
    talk = tone(tmp_path / "a.wav", 0.5)
    with client_of(here) as client:
        held = stopped_uploads(here, 8)
        opened = held.__enter__()
        opened[0].close()
        assert transcribe(client, talk).status_code == 200
        held.__exit__(None, None, None)
