"""Every path with every method, as every caller, from every origin: no leak, one shape of errors, no fault.

Who may do what stands in test_authorization; here the answers of all combinations are held to what must always be so.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from databases import TEMPLATE, cluster
from fastapi.routing import APIRoute
from toy_server import API, KEY, Served, serve, settings_for, until, wav

from stt_lab.accounts.access import COOKIE
from stt_lab.caller import ADMINISTRATOR, Caller
from stt_lab.web.routes import METHODS

MARK = "zebrafish"
GRADIO = (  # what the page and its clients use, and what Gradio would serve besides
    *(
        "/",
        "/config",
        "/theme.css",
        "/robots.txt",
        "/assets/x.js",
        "/monitoring",
        "/login",
        "/logout",
        "/custom_component",
    ),
    *(f"{API}/{rest}" for rest in ("info", "app_id", "startup-events", "queue/data", "queue/join", "cancel", "reset")),
    *(f"{API}/{rest}" for rest in ("upload", "call/models", "call/v2/models", "call/models/none", "file=/etc/passwd")),
    *(
        f"{API}/{rest}"
        for rest in ("heartbeat/a", "upload_progress", "proxy=http://127.0.0.1/", "run/models", "deep_link")
    ),
    *(
        f"{API}/{rest}"
        for rest in ("stream/a/b/c", "component_server", "process_recording", "dev/reload", "vibe-code/")
    ),
)
FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "another site, older browser": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a sandboxed page": {"Origin": "null"},
}
CALLERS = ("nobody", "key", "administrator's key", "wrong key", "session", "administrator's session", "ended session")
SESSIONS = ("session", "administrator's session", "ended session")


@dataclass
class World:
    """A running application, an owner with a job and a transcript, and somebody else."""

    served: Served
    owner: Caller
    other: Caller
    keys: dict[str, str]
    names: dict[str, Any]
    client: httpx.Client

    def who(self, caller: str) -> dict[str, str]:
        """Return the headers of a caller: a key, or the cookie of a new session."""
        access = self.served.access
        if caller in self.keys:
            return {"Authorization": f"Bearer {self.keys[caller]}"}
        if caller == "ended session":
            return {"Cookie": f"{COOKIE}=ended"}
        if caller in SESSIONS:
            account = ADMINISTRATOR if caller == "administrator's session" else self.other
            return {"Cookie": f"{COOKIE}={access.begin_session(account)}"}
        return {}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    more = {} if request.param == "sqlite" else {"database_url": cluster().create("matrix", TEMPLATE)}
    running = serve(settings_for(folder, **more), address="127.0.0.1")
    with running as served, httpx.Client(base_url=served.url, timeout=30) as client:
        scopes = ["speech", "text", "library", "account"]
        made = {}
        for name in ("owner", "other"):
            account = served.accounts.create(name, tier="unlimited")
            made[name] = served.accounts.create_key(account.id, f"{MARK} {name}" if name == "owner" else name, scopes)[
                1
            ]
        files = {"file": (f"{MARK}.wav", wav(folder / "a.wav", 0.5).read_bytes())}
        bearer = {"Authorization": f"Bearer {made['owner']}"}
        fields = {"model": "base", "async": "true"}
        job = client.post("/v1/transcribe", files=files, data=fields, headers=bearer).json()
        until(lambda: client.get(job["url"], headers=bearer).json()["status"] == "done")
        transcript = client.get(job["url"], headers=bearer).json()["transcript_id"]
        keys = {"key": made["other"], "administrator's key": KEY, "wrong key": "stt_wrong"}
        owner, other = (served.access.identify_key(made[name]) for name in ("owner", "other"))
        names = {"job": job["id"], "transcript": transcript, "format": "srt"}
        yield World(served, owner, other, keys, names, client)


def paths(world: World) -> dict[str, set[str]]:
    """Return the paths of the application, with the owner's job and transcript in them, and their methods."""
    found: dict[str, set[str]] = {path: set() for path in GRADIO}
    for route in world.served.app.routes:
        if isinstance(route, APIRoute) and "{rest" not in route.path and not route.path.endswith("/"):
            kind = "job" if "/jobs/" in route.path else "transcript"
            path = re.sub(r"{id}", str(world.names[kind]), route.path).replace("{format}", "srt")
            methods = set(route.methods or ())
            found.setdefault(path, set()).update(methods if methods != set(METHODS) else ())
    return found | {"/openapi.json": {"GET"}, "/nowhere": set(), "/v1/nowhere": set()}


def ask(world: World, method: str, path: str, headers: dict[str, str]) -> tuple[httpx.Response, str]:
    """Return the answer and its text; of a stream of events, which would go on, the first part."""
    world.client.cookies.clear()
    body: dict[str, Any] = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
    with world.client.stream(method, path, headers=headers, **body) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer, next(answer.iter_text(), "")
        answer.read()
        return answer, answer.text


def problems(world: World, method: str, answer: httpx.Response, text: str) -> list[str]:
    """What is wrong with an answer, whatever was asked."""
    found = []
    if answer.status_code >= 500 and not (answer.status_code == 503 and "retry-after" in answer.headers):
        found.append("a fault of the server")
    if answer.status_code >= 400 and method != "HEAD" and "text/html" not in answer.headers.get("content-type", ""):
        error = json.loads(text)
        shaped = isinstance(error, dict) and {"error", "code"} <= set(error) and isinstance(error["error"], str)
        found += [] if shaped and error["error"].rstrip()[-1:] in ".?!" else [f"another shape of error: {text[:100]}"]
    if any(name.startswith("access-control-") for name in answer.headers):
        found.append("CORS headers")
    if answer.headers.get("x-content-type-options") != "nosniff":
        found.append("no nosniff")
    if MARK in text:
        found.append("something of another account")
    if str(world.served.settings.data_dir) in text or KEY in text or "Traceback" in text:
        found.append("a path, a key or a trace")
    return found


def checked(world: World, cases: list[tuple[str, str, str, dict[str, str], int | None]]) -> list[str]:
    """Ask all cases: method, path, caller, further headers, and the status that it must have, if only one will do."""
    wrong = []
    for method, path, caller, headers, status in cases:
        answer, text = ask(world, method, path, world.who(caller) | headers)
        found = problems(world, method, answer, text)
        if status and answer.status_code != status:
            found.append(f"{answer.status_code} instead of {status}")
        wrong += [f"{method} {path} as {caller} with {headers}: {', '.join(found)}"] if found else []
    return wrong


def report(wrong: list[str]) -> str:
    return "\n".join([f"{len(wrong)} cases", *wrong[:40]])


def test_every_method_as_every_caller(world: World) -> None:
    cases: list[tuple[str, str, str, dict[str, str], int | None]] = []
    for path, methods in paths(world).items():
        for method in (*METHODS, "OPTIONS", "TRACE", "PROPFIND"):
            callers = CALLERS if method in methods or not methods else ("nobody", "session")
            cases += [(method, path, caller, {}, None) for caller in callers]
    assert len(cases) > 1500
    wrong = checked(world, cases)
    assert not wrong, report(wrong)


def test_no_other_site_gets_an_answer(world: World) -> None:
    """With a session of whomever; and without one, where this machine's own anonymous callers have no daily count."""
    cases: list[tuple[str, str, str, dict[str, str], int | None]] = []
    public = {"/docs", "/openapi.json", "/sign-in", "/nowhere", "/v1/nowhere"}  # say nothing of anybody
    for path, methods in paths(world).items():
        for method in methods or {"GET", "POST"}:
            for headers in FOREIGN.values():
                cases += [(method, path, caller, headers, None if path in public else 403) for caller in SESSIONS[:2]]
    for path in ("/v1/transcribe", f"{API}/call/transcribe", f"{API}/queue/join", f"{API}/upload"):
        cases += [("POST", path, "nobody", headers, 403) for headers in FOREIGN.values()]
    wrong = checked(world, cases)
    assert not wrong, report(wrong)


def test_no_other_name_of_this_machine_gets_an_answer(world: World) -> None:
    """What a browser sends after a name of another site was pointed at this machine (DNS rebinding)."""
    names = (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "evil.example:7860",
        "[::2]",
        "0.0.0.0",
    )
    cases: list[tuple[str, str, str, dict[str, str], int | None]] = []
    for path, methods in paths(world).items():
        for method in methods or {"GET"}:
            name = names[len(cases) % len(names)]
            cases.append((method, path, CALLERS[len(cases) % len(CALLERS)], {"Host": name}, 400))
    wrong = checked(world, cases)
    assert not wrong, report(wrong)


def test_no_path_opens_a_websocket_without_a_key(world: World) -> None:
    """The stream accepts, says why not, and closes; every other path refuses the upgrade."""
    port = httpx.URL(world.served.url).port
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    for path in (*paths(world), "/v1/stream", f"{API}/queue/join"):
        for origin in ("", "Origin: https://evil.example\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{upgrade}{origin}"
                connection.sendall(f"{head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
                answer = connection.recv(64)
                if path.rstrip("/") == "/v1/stream" and b" 101 " in answer:
                    while b"}" not in answer:
                        answer += connection.recv(4096)
                    assert b'"code": "unauthorized"' in answer
                    assert b"ready" not in answer
                else:
                    assert b" 101 " not in answer, path
