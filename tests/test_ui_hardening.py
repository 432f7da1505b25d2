"""What strangers may not do: read the server's files, make it fetch, fill its disk, or act as the administrator."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from toy_server import (
    API,
    KEY,
    MINE,
    Served,
    Toy,
    button,
    file_data,
    file_inputs,
    functions,
    handler,
    join,
    serve,
    settings_for,
    transcribed,
    until,
    upload,
    wav,
)

from stt_lab.accounts.accounts import Tier
from stt_lab.caller import ADMINISTRATOR
from stt_lab.registry import OPERATIONS
from stt_lab.settings import MB

SECRET = "the-content-of-a-file-that-nobody-may-read"
CHOOSE = "Choose a file, or record one."


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("hardening"))) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        yield client


# Files of the server


def forbidden(served: Served) -> list[Path]:
    data = served.settings.data_dir
    (data / "private.txt").write_text(SECRET)
    (data / "admin.key").write_text(SECRET)
    (data / "gradio" / "loose.txt").write_text(SECRET)
    return [Path("/etc/passwd"), data / "private.txt", data / "admin.key", data / "gradio" / "loose.txt"]


def hostile(served: Served) -> list[str]:
    """Ways to write the path of a file that was not uploaded."""
    paths = forbidden(served)
    inside = served.settings.data_dir / "gradio" / ("0" * 64)
    tricks = [f"{inside}/../../private.txt", f"{inside}/../../../../../../../../etc/passwd", "\0", "a" * 5000]
    return [*map(str, paths), *tricks, f"file://{paths[1]}"]


def test_a_server_path_is_refused_by_every_function_with_a_file(served: Served, client: httpx.Client) -> None:
    slots_of = file_inputs(client)
    counts = {fn["id"]: len(fn["inputs"]) for fn in functions(client)}
    assert len(slots_of) >= 4  # the API's transcribe; the page's transcribe and its two sources
    paths, before = hostile(served), served.uploads
    for index, slots in slots_of.items():
        for path in paths:
            for meta in (True, False):
                data: list[Any] = [file_data(path, meta) if i in slots else None for i in range(counts[index])]
                told = join(client, index, data)
                refusals = ('"success":false', "Only uploaded files are accepted", "NUL character")
                assert any(word in told for word in refusals), told
                assert not any(word in told for word in (SECRET, "root:x:", "Traceback"))
    assert served.uploads == before  # nor was one copied to where it could be fetched
    assert (served.settings.data_dir / "private.txt").read_text() == SECRET  # nor were they removed


def test_a_server_path_is_refused_by_the_simple_routes(served: Served, client: httpx.Client) -> None:
    for path in hostile(served):
        event = client.post(f"{API}/call/transcribe", json={"data": [file_data(path)]})
        if event.status_code == 200:
            told = client.get(f"{API}/call/transcribe/{event.json()['event_id']}").text
            assert "event: error" in told
            assert SECRET not in told
    for name in ("run", "api"):
        assert client.post(f"{API}/{name}/transcribe", json={"data": [file_data("/etc/passwd")]}).status_code == 404
        assert client.post(f"{API}/{name}/predict", json={"data": [None], "fn_index": 0}).status_code == 404


def test_only_uploads_are_served(served: Served, client: httpx.Client) -> None:
    for path in hostile(served):
        answer = client.get(f"{API}/file={path.replace(chr(0), '%00')}")
        assert answer.status_code == (400 if "\0" in path else 404), path[:100]
        assert set(answer.json()) == {"error", "code"}
    mine = upload(client, b"mine")
    assert client.get(f"{API}/file={mine}").content == b"mine"
    link = served.settings.data_dir / "gradio" / Path(mine).with_name("link.wav")
    link.symlink_to(served.settings.data_dir / "private.txt")
    for address in (link, Path(mine).with_name("link.wav"), link.with_name(Path(mine).name)):
        assert client.get(f"{API}/file={address}").status_code == 404


def test_nobody_can_guess_where_an_upload_lies(client: httpx.Client) -> None:
    same = {upload(client, b"the same content") for _ in range(3)}
    assert len(same) == 3
    assert all(len(Path(path).parent.name) == 64 for path in same)


def test_an_uploaded_page_or_drawing_does_not_run(client: httpx.Client) -> None:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for name in ("a.svg", "a.html", "a.js"):
        path = upload(client, drawing, name)
        index = next(iter(file_inputs(client)))
        join(client, index, [file_data(path)] + [None] * 5)
        answer = client.get(f"{API}/file={upload(client, drawing, name)}")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_folder_of_uploads_is_private(served: Served) -> None:
    assert stat.S_IMODE((served.settings.data_dir / "gradio").stat().st_mode) == 0o700


# Requests that the server would make


class Trap(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_HEAD = do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that no request may reach, under an address that Gradio takes for a public one."""
    monkeypatch.setattr(Trap, "asked", [])

    async def everything_is_public(*args: object, **kwargs: object) -> str:
        return "127.0.0.1"

    monkeypatch.setattr("safehttpx.async_validate_url", everything_is_public)
    with ThreadingHTTPServer(("127.0.0.1", 0), Trap) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_server_fetches_no_address(client: httpx.Client, trap: str) -> None:
    counts = {fn["id"]: len(fn["inputs"]) for fn in functions(client)}
    for index, slots in file_inputs(client).items():
        for value in (
            file_data(f"{trap}/a.wav"),
            file_data(f"{trap}/a.wav", meta=False),
            file_data("/etc/passwd") | {"url": trap},
        ):
            told = join(client, index, [value if i in slots else None for i in range(counts[index])])
            assert "error" in told.lower() or "Only uploaded" in told
    for address in (
        f"{API}/file={trap}/a",
        f"{API}/proxy={trap}/a",
        f"{API}/file/{trap}/a",
        f"{API}/file=//127.0.0.1/a",
    ):
        assert client.get(address).status_code == 404
    assert Trap.asked == []


# What else Gradio would answer

CLOSED = [
    ("GET", "/monitoring"),
    ("GET", "/monitoring/summary"),
    ("GET", "/monitoring/x"),
    ("GET", f"{API}/deep_link?session_hash=x"),
    ("GET", f"{API}/runs"),
    ("GET", f"{API}/dev/reload"),
    ("GET", f"{API}/queue/status"),
    ("GET", f"{API}/vibe-code"),
    ("GET", f"{API}/custom_component/x/client/component/x"),
    ("GET", f"{API}/mcp"),
    ("GET", "/login_check"),
    ("GET", "/svelte/../../x"),
    ("GET", "/nothing"),
    ("POST", "/login"),
    ("POST", f"{API}/component_server"),
    ("POST", f"{API}/process_recording"),
    ("POST", f"{API}/vibe-edit"),
    ("POST", f"{API}/stream/x"),
    ("POST", f"{API}/run-history/connect"),
    ("DELETE", f"{API}/queue/join"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_other_routes_are_closed(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert isinstance(answer.json()["error"], str)


def test_websockets_to_the_page_are_closed(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    lines = ["GET / HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert b"101 Switching" not in connection.recv(200)


def test_the_page_keeps_to_this_host(client: httpx.Client) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["run_history"] is False
    assert config["show_error"] is False
    assert not config.get("pwa")


# Limits


def test_an_upload_beyond_the_limit_is_refused(served: Served, client: httpx.Client) -> None:
    before = served.uploads
    big = b"x" * (3 * 1024 * 1024)
    answer = client.post(f"{API}/upload", files={"files": ("a.wav", big)})
    assert answer.status_code == 413
    assert "2 MB" in answer.json()["error"]
    parts = iter(
        [b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n', *[b"x" * 65536] * 48]
    )
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post(f"{API}/upload", content=parts, headers=kind)  # chunked: no length to go by
    assert answer.status_code == 413
    assert isinstance(answer.json()["error"], str)
    answer = client.post(f"{API}/upload", files={"files": ("a.wav", big[: 2 * 1024 * 1024 + 1])})  # by one byte
    assert answer.status_code == 413
    assert "2 MB" in answer.json()["error"]
    assert served.uploads == before


def test_an_upload_is_one_file(served: Served, client: httpx.Client) -> None:
    before = served.uploads
    many = [("files", (f"{i}.wav", b"x")) for i in range(3)]
    assert client.post(f"{API}/upload", files=many).status_code == 400
    assert served.uploads == before


def test_an_upload_that_breaks_off_leaves_nothing(served: Served) -> None:
    before = served.uploads
    host, port = served.url.removeprefix("http://").split(":")
    head = f"POST {API}/upload HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: 500000\r\n\r\n{part}".encode() + b"x" * 100_000)
        until(lambda: len(served.uploads) > len(before))
    until(lambda: served.uploads == before)


def test_a_large_call_is_refused(client: httpx.Client) -> None:
    answer = client.post(f"{API}/queue/join", json={"data": ["x" * 2_000_000], "session_hash": "x", "fn_index": 0})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"data": 1}', b'{"data": [], "fn_index": 99999, "session_hash": "q"}']
)
def test_a_malformed_call_shows_no_trace(client: httpx.Client, content: bytes) -> None:
    answer = client.post(f"{API}/queue/join", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 404, 422, 500)
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text


HOSTILE = [
    '{"data": ["\\ud800"], "fn_index": 0, "session_hash": "x"}',
    '{"data": ["a\\u0000"], "fn_index": 0, "session_hash": "x"}',
    '{"data": [], "fn_index": 0, "session_hash": "\\udfff"}',
    '{"data": [{"\\ud800": 1}], "fn_index": 0, "session_hash": "x"}',
    '{"data": [NaN], "fn_index": 0, "session_hash": "x"}',
    '{"data": [1e999], "fn_index": 0, "session_hash": "x"}',
    '{"data": [' + "[" * 900 + "]" * 900 + '], "fn_index": 0, "session_hash": "x"}',
    '{"data": ' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"data": [], "data": [], "fn_index": 0, "session_hash": "x"}',
    "{",
    "",
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_what_no_text_or_number_can_be_is_a_400(client: httpx.Client, content: str) -> None:
    for path in ("queue/join", "call/models", "call/create_key", "call/v2/models", "cancel", "reset"):
        answer = client.post(f"{API}/{path}", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 400, (path, answer.text)
        assert set(answer.json()) == {"error", "code"}


def test_the_page_is_readable_from_no_other_origin(served: Served, client: httpx.Client) -> None:
    ask = {"Access-Control-Request-Method": "POST"}
    for host in ("named.example", served.url.removeprefix("http://")):
        for origin in ("https://evil.example", "http://localhost:3000", "null"):
            headers = {"Host": host, "Origin": origin}
            for path in ("/", "/config", f"{API}/info", "/theme.css"):
                answers = [client.get(path, headers=headers), client.options(path, headers=headers | ask)]
                assert answers[1].status_code == 403
                for answer in answers:
                    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_headers_and_errors_of_the_page(client: httpx.Client) -> None:
    for path in ("/", "/config", "/nothing", f"{API}/info", f"{API}/file=/etc/passwd", "/theme.css"):
        answer = client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert ("no-store" in answer.headers.get("cache-control", "")) == (path != "/theme.css"), path
    for body in ('{"data": 1}', "[]", '"a"', "1"):
        answer = client.post(f"{API}/queue/join", content=body, headers={"content-type": "application/json"})
        assert answer.status_code >= 400
        assert set(answer.json()) == {"error", "code"}, answer.text


# Who may


def test_a_page_of_another_site_cannot_use_a_session(served: Served, client: httpx.Client) -> None:
    """Not one route of Gradio, whatever is asked; the page itself can, and so can a key."""
    session = {"cookie": f"stt_lab_session={served.access.begin_session(ADMINISTRATOR)}"}
    before, body = served.uploads, {"data": [], "session_hash": "x", "fn_index": 0}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}):
        foreign = session | headers
        answers = [
            client.get(path, headers=foreign) for path in ("/", "/config", f"{API}/info", f"{API}/call/models/x")
        ]
        answers += [client.post(f"{API}/{path}", json=body, headers=foreign) for path in ("queue/join", "call/models")]
        answers.append(client.post(f"{API}/upload", files={"files": ("a.wav", b"RIFF")}, headers=foreign))
        assert [answer.status_code for answer in answers] == [403] * len(answers)
        assert all("another site" in answer.json()["error"] for answer in answers)
    assert served.uploads == before
    index, nothing = button(client, "Transcribe"), [None, None, "base", "auto", True, 0]
    assert "another site" in join(client, index, nothing, **session, origin="https://evil.example")
    assert CHOOSE in join(client, index, nothing, **session, origin=served.url)
    key = {"authorization": f"Bearer {KEY}", "origin": "https://evil.example"}
    assert CHOOSE in join(client, index, nothing, **session, **key)


def test_private_functions_check_the_key(served: Served, client: httpx.Client, tmp_path: Path) -> None:
    path = upload(client, wav(tmp_path / "a.wav").read_bytes())
    told = transcribed(client, path, authorization="Bearer x")
    assert "This key is not valid" in told
    assert "Good" not in told
    again = upload(client, wav(tmp_path / "b.wav").read_bytes())
    mine = re.search(r"job_[0-9a-f]{32}", transcribed(client, again, **MINE))
    assert mine
    assert "Good" not in join(client, handler(client, "follow"), [mine[0]])  # as another caller


def test_a_quota_is_said_on_the_page(served: Served, client: httpx.Client, tmp_path: Path) -> None:
    served.accounts.set_tier(Tier(name="anonymous", per_day=0))
    try:
        path = upload(client, wav(tmp_path / "a.wav").read_bytes())
        told = transcribed(client, path)
    finally:
        served.accounts.set_tier(Tier(name="anonymous"))
    assert "transcriptions are left for today" in told
    assert "Good" not in told


def test_the_tier_limits_uploads_of_the_page(served: Served, client: httpx.Client) -> None:
    served.accounts.set_tier(Tier(name="anonymous", max_upload_mb=1))
    files = {"files": ("a.wav", bytes(3 * MB // 2))}
    try:
        refused = client.post(f"{API}/upload", files=files)
        mine = client.post(f"{API}/upload", files=files, headers={"Authorization": f"Bearer {KEY}"})
        wrong = client.post(f"{API}/upload", files=files, headers={"Authorization": "Bearer x"})
    finally:
        served.accounts.set_tier(Tier(name="anonymous"))
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert "1 MB" in refused.json()["error"]
    assert (mine.status_code, wrong.status_code) == (200, 401)


def test_only_the_operations_are_in_the_api(client: httpx.Client) -> None:
    info = client.get(f"{API}/info").json()
    assert set(info["named_endpoints"]) == {f"/{name}" for name in OPERATIONS}
    assert info["unnamed_endpoints"] == {}


def test_an_unexpected_failure_shows_a_sentence_only(
    client: httpx.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Toy.lines = ("broken",)
    try:
        path = upload(client, wav(tmp_path / "a.wav").read_bytes())
        told = transcribed(client, path)
    finally:
        Toy.lines = ("Good morning.",)
    assert "Something went wrong" in told
    assert "secret detail" not in told
    assert "secret detail" in caplog.text
    assert json.dumps("/etc/somewhere") not in told
