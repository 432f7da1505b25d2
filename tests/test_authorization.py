"""Who may do what: every route of the application and every endpoint of Gradio, asked by each kind of caller.

The rows are compared with the application's own routes: one without a row fails. What one account has bears a mark,
which nobody else's answer may show.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from toy_server import API, KEY, Served, Toy, file_data, functions, serve, settings_for, until, upload, wav

from stt_lab.caller import SCOPES
from stt_lab.registry import OPERATIONS
from stt_lab.ui.workbench.files import VERSION
from stt_lab.web.routes import METHODS

MARK = "zebrafish"
CALLERS = ("owner", "other", "revoked", "nobody", "unscoped", "administrator")
Statuses = tuple[int, int, int, int, int, int]  # of the callers, in their order

OPEN: Statuses = (200, 200, 401, 200, 200, 200)  # a key that is not good is refused everywhere
SPEECH: Statuses = (200, 200, 401, 200, 403, 200)
OWN: Statuses = (200, 200, 401, 401, 403, 200)  # what each account has for itself
OWNERS: Statuses = (200, 404, 401, 401, 403, 404)  # what is the owner's alone: the administrator reads it as little
ACCEPTED: Statuses = (202, 404, 401, 401, 403, 404)  # the same, answered with a job
JOBS: Statuses = (200, 404, 401, 404, 403, 404)  # anonymous callers have jobs too
KEYED: Statuses = (200, 200, 401, 401, 200, 200)  # any key
DELIVERIES: Statuses = (200, 404, 401, 401, 200, 404)  # anonymous callers have no webhooks
ADMIN: Statuses = (403, 403, 401, 401, 403, 200)
PAGES: Statuses = (200,) * 6  # say nothing that is anybody's
UNSCOPED = {SPEECH: ("library",), JOBS: ("library",)}  # the key without the scope has this one; else ("speech",)
OF_SPEECH = re.compile(r"POST /v1/(stream|enhance-audio|tts|speak|audio/speech).*|GET /v1/jobs")

RECORDING: dict[str, Any] = {"file": "recording"}
SPOKEN: dict[str, Any] = {"text": "Hello."}  # with a reference
ROWS: dict[str, tuple[Statuses, dict[str, Any]]] = {
    "POST /v1/transcribe": (SPEECH, RECORDING),
    "POST /v1/audio/transcriptions": (SPEECH, RECORDING),
    "POST /v1/audio/translations": (SPEECH, RECORDING),
    "POST /v1/stream": (OWN, RECORDING),
    "POST /v1/enhance-audio": (OWN, RECORDING),
    "POST /v1/tts": (OWN, SPOKEN),
    "POST /v1/speak": (OWN, {"text": "Hello."}),
    "POST /v1/audio/speech": (OWN, {"input": "Hello.", "voice": "alloy"}),
    "GET /v1/audio/voices": (OPEN, {}),
    "POST /v1/stream/token": (OWN, {}),
    "POST /v1/summarize": (OWN, {"text": "a text"}),
    "POST /v1/analyze": (OWN, {"text": "a text", "type": "topics"}),
    "POST /v1/generate": (OWN, {"text": "a text", "type": "blog_post"}),
    "POST /v1/embed": (OWN, {"texts": ["a text"]}),
    "POST /v1/embeddings": (OWN, {"input": ["a text"]}),
    "POST /v1/translate": (OWN, {"text": "a text", "target": "pt"}),
    "GET /v1/translate/languages": (KEYED, {}),
    "GET /v1/models": (OPEN, {}),
    "GET /v1/models/{model}": (OPEN, {}),
    "GET /v1/languages": (OPEN, {}),
    "GET /health": (OPEN, {}),
    "GET /v1/jobs": (OWN, {}),
    "GET /v1/jobs/{job}": (JOBS, {}),
    "GET /v1/jobs/{job}/result": (JOBS, {}),
    "GET /v1/jobs/{job}/events": (JOBS, {}),
    "GET /v1/jobs/{job}/deliveries": (DELIVERIES, {}),
    "DELETE /v1/jobs/{job}": (JOBS, {}),
    "GET /api/v1/account": (OWN, {}),
    "PATCH /api/v1/account": (OWN, {"email": "ada@example.org"}),
    "GET /api/v1/keys": (OWN, {}),
    "POST /api/v1/keys": (OWN, {"name": "another", "scopes": ["speech"]}),
    "DELETE /api/v1/keys/{key}": (OWNERS, {}),
    "GET /api/v1/usage": (OWN, {}),
    "GET /api/v1/cloud": (OWN, {}),
    "GET /api/v1/accounts": (ADMIN, {}),
    "POST /api/v1/accounts": (ADMIN, {"name": "a new one"}),
    "PATCH /api/v1/accounts/{account}": (ADMIN, {"tier": "paid"}),
    "POST /api/v1/accounts/{account}/keys": (ADMIN, {"name": "from above"}),
    "POST /api/v1/accounts/{account}/credits": (ADMIN, {"credits": 5}),
    "DELETE /api/v1/sessions": (ADMIN, {}),
    "GET /api/v1/models": (ADMIN, {}),
    "POST /api/v1/models/{model}": (ADMIN, {}),
    "PATCH /api/v1/models/{model}": (ADMIN, {"default": False}),
    "DELETE /api/v1/models/{model}": ((403, 403, 401, 401, 403, 409), {}),  # a folder of the user's own stays
    "GET /api/v1/storage": (ADMIN, {}),
    "GET /api/v1/transcripts": (OWN, {}),
    "GET /api/v1/transcripts/{transcript}": (OWNERS, {}),
    "PATCH /api/v1/transcripts/{transcript}": (OWNERS, {"title": f"{MARK} again"}),
    "DELETE /api/v1/transcripts/{transcript}": (OWNERS, {}),
    "POST /api/v1/transcripts/{transcript}/diarize": (ACCEPTED, {"speakers": 0}),
    "POST /api/v1/transcripts/{transcript}/transcribe": (ACCEPTED, {"start": 0, "end": 0.4, "model": "base"}),
    "GET /api/v1/transcripts/{transcript}/peaks": (OWNERS, {}),
    "GET /api/v1/transcripts/{transcript}/revisions": (OWNERS, {}),
    "GET /api/v1/transcripts/{transcript}/revisions/{number}": (OWNERS, {}),
    "POST /api/v1/transcripts/{transcript}/revisions/{number}/restore": (OWNERS, {"revision": 1}),
    "GET /api/v1/transcripts/{transcript}/export/{format}": (OWNERS, {}),
    "POST /api/v1/transcripts/{transcript}/redact": (OWNERS, {"types": ["PERSON"]}),
    "GET /api/v1/transcripts/{transcript}/audio": (OWNERS, {}),
    "POST /api/v1/transcripts/{transcript}/summarize": (OWNERS, {"style": "brief"}),
    "POST /api/v1/transcripts/{transcript}/analyze": (OWNERS, {"type": "topics"}),
    "POST /api/v1/transcripts/{transcript}/generate": (OWNERS, {"type": "key_quotes"}),
    "POST /api/v1/transcripts/{transcript}/translate": (OWNERS, {"target": "pt"}),
    "POST /api/v1/transcripts/{transcript}/chat": (OWNERS, {"question": "Who swims?"}),
    "GET /api/v1/search?query=zebrafish": (OWN, {}),
    "GET /api/v1/search?query=zebrafish&mode=meaning": (OWN, {}),
    "GET /docs": (PAGES, {}),
    "GET /openapi.json": (PAGES, {}),
    "GET /live/worklet.js": (PAGES, {}),
    "GET /page/{version}/{name}": (PAGES, {}),
    "GET /sign-in": (PAGES, {}),
    "POST /sign-in": ((401,) * 6, {}),  # what counts is the key in the form, and here is none
    "POST /sign-out": ((303,) * 6, {}),
}
LABORATORY = {"compare", "describe", "go_on", "look", "make_report", "refresh", "show", "take", "watch"}  # test_ui_lab
TEXTS = {"offer", "open", "renew", "work", "stopped", "end", "js_fn"}  # of the Text tab: test_ui_text
TRANSCRIBE = {"send", "recall", "resume", "follow", "cancel", "arrived", "greet", "leave"}  # test_ui_hardening
PRIVATE = {"run"} | TRANSCRIBE | LABORATORY | TEXTS


@dataclass
class World:
    """A running application with two accounts, and a client for each caller."""

    served: Served
    owner: int
    recording: bytes
    reference: bytes  # of a voice
    headers: dict[str, dict[str, str]]

    def names(self) -> dict[str, Any]:
        """What paths name: a job, key, account and transcript of the owner, each of them new."""
        accounts, lines, Toy.lines = self.served.accounts, Toy.lines, (f"The {MARK} swims.",)
        with httpx.Client(base_url=self.served.url, headers=self.headers["owner"]) as client:
            files = {"file": (f"{MARK}.wav", self.recording)}
            fields = {"model": "base", "diarize": "false", "background": "true"}
            job = client.post("/v1/transcribe", files=files, data=fields).json()["id"]
            until(lambda: client.get(f"/v1/jobs/{job}").json()["status"] == "done")
            done = client.get(f"/v1/jobs/{job}").json()
        Toy.lines = lines
        key = accounts.create_key(self.owner, f"{MARK} key", ["speech"])[0].id
        spare = accounts.create(f"spare {key}").id
        transcript = {"transcript": done["transcript_id"], "number": 1, "format": "srt"}
        page = {"version": VERSION, "name": "main.js"}
        return {"job": job, "key": key, "account": spare, "model": "base", **transcript, **page}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("authorization")
    with serve(settings_for(folder, model_paths={"base": folder / "models" / "base"})) as served:
        accounts = served.accounts
        owner, other = (accounts.create(name, tier="unlimited").id for name in ("owner", "other"))
        plain = [scope for scope in SCOPES if scope != "admin"]
        revoked, raw = accounts.create_key(owner, "revoked", plain)
        accounts.revoke_key(owner, revoked.id)
        keys = {
            "owner": accounts.create_key(owner, "all", plain)[1],
            "other": accounts.create_key(other, "all", plain)[1],
            "revoked": raw,
            "speech": accounts.create_key(owner, "for speech", ["speech"])[1],
            "library": accounts.create_key(owner, "for the library", ["library"])[1],
            "administrator": KEY,
        }
        headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()} | {"nobody": {}}
        recording, reference = wav(folder / "a.wav", 0.5), wav(folder / "b.wav", 4.0)
        made = World(served, owner, recording.read_bytes(), reference.read_bytes(), headers)
        made.names()  # so that there is something to list and to find
        yield made


def headers(world: World, caller: str, row: str) -> dict[str, str]:
    scope = "library" if OF_SPEECH.fullmatch(row) else UNSCOPED.get(ROWS[row][0], ("speech",))[0]
    return world.headers[scope if caller == "unscoped" else caller]


def ask(world: World, row: str, caller: str, names: dict[str, Any], slash: bool = False) -> httpx.Response:
    _, body = ROWS[row]
    method, path = row.split(" ")
    path, _, query = path.format(**names).partition("?")
    address = world.served.url + path + "/" * slash + (f"?{query}" if query else "")
    sent: dict[str, Any] = {"json": body} if body else {}
    if body is SPOKEN:
        sent = {"data": body, "files": {"reference": (f"{caller}.wav", io.BytesIO(world.reference))}}
    if body is RECORDING:
        sent = {"files": {"file": (f"{caller}.wav", io.BytesIO(world.recording))}}
    return httpx.request(method, address, headers=headers(world, caller, row), timeout=30, **sent)


def routes(served: Served) -> set[str]:
    """Methods and paths of the application, each once, without those that only refuse."""
    found = {
        f"{method} {route.path.rstrip('/')}"
        for route in served.app.routes
        if isinstance(route, APIRoute) and route.methods and route.methods != set(METHODS)
        for method in route.methods
    }
    assert len(found) > 30
    return found | {"GET /openapi.json"}


def test_every_route_has_a_row(world: World) -> None:
    rows = {re.sub(r"{(job|key|account|transcript|model)}", "{id}", row.split("?")[0]) for row in ROWS}
    assert rows == routes(world.served)


@pytest.mark.parametrize("row", ROWS)
def test_http(row: str, world: World) -> None:
    statuses, _ = ROWS[row]
    names = world.names() if "{" in row else {}
    for caller, status in reversed(list(zip(CALLERS, statuses, strict=True))):  # the owner, who may delete it, is last
        answer = ask(world, row, caller, names)
        assert answer.status_code == status, (caller, answer.text)
        if status >= 400 and row != "POST /sign-in":
            assert set(answer.json()) == {"error", "code"}, caller
        assert (MARK not in answer.text) or caller == "owner", caller
    if "/v1/" in row and statuses[0] == 200 and not row.startswith("DELETE"):
        assert ask(world, row, "owner", names, slash=True).status_code == statuses[0]


# Gradio


def values(name: str, names: dict[str, Any], path: str) -> list[Any]:
    """Arguments for an endpoint: what its row sends, and else its defaults."""
    op = OPERATIONS[name]
    _, body = ROWS[row_of(name)]
    ids = {"accounts": "account", "keys": "key", "transcripts": "transcript", "jobs": "job", "models": "model"}
    given: dict[str, Any] = {"format": "srt", "query": MARK, "number": 1} | (
        body if body is not RECORDING else {"model": "base"}
    )
    given["id"] = names[ids[next(part for part in op.path.split("/") if part in ids)]] if "id" in op.fields else None
    given |= {media: file_data(path) for media in op.file_params}
    return [given.get(field, None if info.is_required() else info.default) for field, info in op.fields.items()]


def row_of(name: str) -> str:
    op = OPERATIONS[name]
    wanted = f"{op.method} {op.path.rstrip('/')}"
    plain = {row: re.sub(r"{(job|key|account|transcript|model)}", "{id}", row.split("?")[0]) for row in ROWS}
    return next(row for row, shape in plain.items() if shape == wanted)


def call(client: httpx.Client, name: str, data: list[Any], who: dict[str, str]) -> tuple[str, str]:
    """How a call of Gradio's API ended, and its answer."""
    event = client.post(f"{API}/call/{name}", json={"data": data}, headers=who).json()["event_id"]
    lines = client.get(f"{API}/call/{name}/{event}", headers=who).text.splitlines()
    ends = [i for i, line in enumerate(lines) if line in ("event: complete", "event: error")]
    return lines[ends[0]].removeprefix("event: "), lines[ends[0] + 1]


SENTENCES = {401: "key", 403: "scope", 404: "There is no|not found|not in", 409: "cannot be deleted"}


def test_every_endpoint_of_gradio_is_an_operation(world: World) -> None:
    with httpx.Client(base_url=world.served.url) as client:
        assert {row_of(name) for name in OPERATIONS} < set(ROWS)
        public = client.get(f"{API}/info").json()["named_endpoints"]
        assert {name.strip("/") for name in public} == set(OPERATIONS)
        private = {fn["api_name"] for fn in functions(client)} - set(OPERATIONS)
        assert {str(name).rstrip("_0123456789") for name in private} == PRIVATE


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradio(name: str, world: World) -> None:
    statuses, _ = ROWS[row_of(name)]
    names = world.names() if "id" in OPERATIONS[name].fields else {}
    with httpx.Client(base_url=world.served.url, timeout=30) as client:
        for caller, status in reversed(list(zip(CALLERS, statuses, strict=True))):
            sound = world.reference if name == "tts" else world.recording
            path = upload(client, sound) if OPERATIONS[name].file_params else ""
            data = values(name, names, path)
            if name == "create_account":
                data[0] = f"{caller} by Gradio"
            how, answer = call(client, name, data, headers(world, caller, row_of(name)))
            assert (how == "complete") == (status < 300), (caller, answer)
            if how == "error":
                assert re.search(SENTENCES[status], answer), (caller, answer)
            assert (MARK not in answer) or caller == "owner", (caller, answer)


# What is replayed


def test_a_replay_is_the_callers_own(world: World) -> None:
    """The same Idempotency-Key of another account is another key."""
    found: dict[str, Any] = {}
    for caller in ("owner", "other", "administrator"):
        who = world.headers[caller] | {"Idempotency-Key": "the same"}
        made = [
            httpx.post(
                f"{world.served.url}/api/v1/keys/", json={"name": caller, "scopes": ["speech"]}, headers=who
            ).json()
            for _ in range(2)
        ]
        assert made[0]["id"] == made[1]["id"]
        assert "key" not in made[1]  # it was shown
        found[caller] = made[0]["id"]
    assert len(set(found.values())) == 3
    nobody = httpx.post(f"{world.served.url}/api/v1/keys/", json={"name": "x"}, headers={"Idempotency-Key": "the same"})
    assert nobody.status_code == 401
    revoked = world.headers["revoked"] | {"Idempotency-Key": "the same"}
    assert httpx.post(f"{world.served.url}/api/v1/keys/", json={"name": "x"}, headers=revoked).status_code == 401


def test_a_replayed_transcript_is_the_callers_own(world: World) -> None:
    ids = []
    for caller in ("owner", "other", "owner", "nobody", "nobody"):
        who = world.headers[caller] | {"Idempotency-Key": "a talk"}
        files = {"file": ("a.wav", world.recording)}
        answer = httpx.post(f"{world.served.url}/v1/transcribe", files=files, data={"model": "base"}, headers=who)
        assert answer.status_code == 200, answer.text
        ids.append(answer.json().get("id"))
    owners, others, again, *nobodys = ids
    assert owners == again != others
    assert nobodys == [None, None]


# Sessions


@contextmanager
def signed_in(world: World, caller: str) -> Iterator[httpx.Client]:
    """A browser in which somebody has signed in with a key."""
    key = world.headers[caller]["Authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=world.served.url, timeout=30) as client:
        answer = client.post("/sign-in", data={"key": key}, headers={"Origin": world.served.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert key not in answer.headers["set-cookie"]
        yield client


@pytest.mark.parametrize("row", [row for row, (statuses, _) in ROWS.items() if statuses is not PAGES])
def test_a_page_of_another_site_cannot_use_a_session(row: str, world: World) -> None:
    """Whatever it asks for, on every route that knows its caller; what it sends with a key is the key's."""
    _, body = ROWS[row]
    method, path = row.format(job="x", key=1, account=1, transcript=1, number=1, format="srt", model="base").split(" ")
    with signed_in(world, "administrator") as client:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = client.request(method, path, json=body if body else None, headers=headers)
            assert (answer.status_code, set(answer.json())) == (403, {"error", "code"}), answer.text
        assert client.get("/api/v1/account/").json()["name"] == "administrator"


def test_a_session_is_good_on_every_route(world: World) -> None:
    names = world.names()
    with signed_in(world, "owner") as client:
        own = {"Origin": world.served.url}
        assert client.get("/api/v1/account/").json()["name"] == "owner"
        assert client.get("/api/v1/account/", headers=own).status_code == 200
        assert client.post("/v1/embed", json={"texts": ["a text"]}, headers=own).status_code == 200
        made = client.post("/v1/transcribe", files={"file": ("a.wav", world.recording)}, data={"model": "base"})
        assert "id" in made.json()  # it is in the library
        audio = client.get(f"/api/v1/transcripts/{names['transcript']}/audio/", headers={"Range": "bytes=0-3"})
        assert (audio.status_code, audio.content) == (206, b"RIFF")
        assert client.get(f"/recordings/{names['transcript']}").status_code == 404  # the same under another name, once
        assert call(client, "account", [], {})[0] == "complete"
        assert client.get("/api/v1/accounts/").status_code == 403


def test_a_key_wins_over_a_session(world: World) -> None:
    with signed_in(world, "owner") as client:
        for origin in ({}, {"Origin": "https://evil.example"}):
            answer = client.get("/api/v1/account/", headers=world.headers["administrator"] | origin)
            assert answer.json()["name"] == "administrator"
        assert client.get("/api/v1/account/", headers=world.headers["revoked"]).status_code == 401
        assert "administrator" in call(client, "account", [], world.headers["administrator"])[1]


def test_a_session_sees_nothing_of_another_account(world: World) -> None:
    names = world.names()
    with signed_in(world, "other") as client:
        for row, (statuses, _) in ROWS.items():
            if row.startswith("GET ") and statuses in (OWN, OWNERS, JOBS, DELIVERIES):
                path = row.format(**names).removeprefix("GET ")
                answer = client.get(path)
                assert answer.status_code == statuses[CALLERS.index("other")], row
                assert MARK not in answer.text.replace(f"query={MARK}", ""), row
        assert MARK not in call(client, "transcript", [names["transcript"]], {})[1]


def test_a_token_in_the_address_opens_no_route(world: World) -> None:
    with httpx.Client(base_url=world.served.url, timeout=30) as client:
        for method, path in (("GET", "/api/v1/account/"), ("POST", "/v1/embed"), ("DELETE", "/api/v1/sessions/")):
            assert client.request(method, path, params={"token": KEY}).status_code == 401, path


def test_a_session_ends_with_its_key(world: World) -> None:
    key, raw = world.served.accounts.create_key(world.owner, "of a browser", ["speech", "library"])
    world.headers["browser"] = {"Authorization": f"Bearer {raw}"}
    with signed_in(world, "browser") as client:
        assert call(client, "transcripts", [20, 0, *[""] * 6], {})[0] == "complete"
        assert client.get("/api/v1/transcripts/").status_code == 200
        assert "scope" in call(client, "account", [], {})[1]
        assert client.get("/api/v1/account/").status_code == 403
        world.served.accounts.revoke_key(world.owner, key.id)
        assert call(client, "transcripts", [20, 0, *[""] * 6], {})[0] == "error"
        assert client.get("/api/v1/transcripts/").status_code == 401
        assert client.get("/v1/models").status_code == 200  # as everybody
        assert client.post("/sign-in", data={"key": raw}).status_code == 401


def test_signing_out_ends_the_session(world: World) -> None:
    with signed_in(world, "owner") as client:
        kept = {"Cookie": f"stt_lab_session={client.cookies['stt_lab_session']}"}
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert client.post("/sign-out", headers=headers).status_code == 403
        assert client.get("/api/v1/account/").status_code == 200
        assert client.post("/sign-out", headers={"Origin": world.served.url}).status_code == 303
        assert not client.cookies
        assert client.get("/api/v1/account/", headers=kept).status_code == 401  # for anybody who copied the cookie


def test_no_other_site_signs_a_visitor_in(world: World) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = httpx.post(f"{world.served.url}/sign-in", data={"key": KEY}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_the_administrator_ends_sessions(world: World) -> None:
    def signed_out(client: httpx.Client) -> bool:
        return client.get("/api/v1/account/").status_code == 401

    address, admin = f"{world.served.url}/api/v1/sessions/", world.headers["administrator"]
    with signed_in(world, "owner") as owner, signed_in(world, "other") as other, signed_in(world, "owner"):
        ended = httpx.delete(address, params={"account": world.owner}, headers=admin).json()["ended"]
        assert ended >= 2
        assert (signed_out(owner), signed_out(other)) == (True, False)
        assert httpx.delete(address, params={"account": 10**6}, headers=admin).status_code == 404
        assert httpx.delete(address, headers=admin).json()["ended"] >= 1
        assert signed_out(other)
        assert httpx.delete(address, headers=admin).json() == {"ended": 0}
