"""stt_lab.door.input_check: text that UTF-8 cannot hold, NUL, odd numbers and deep nesting, on every surface."""

from __future__ import annotations

import json
import math
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import KEY, Service, fakes_fixture, served, tone  # noqa: F401
from sqlalchemy import text

from stt_lab.caller import LOCAL
from stt_lab.errors import BadInput
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings

OWNER = {"Authorization": f"Bearer {KEY}"}
Make = Callable[..., Settings]


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


# JSON as a hostile client writes it, and a word of the error's sentence
HOSTILE = {
    '{"name": "\\ud800"}': "half of a character",
    '{"name": "a\\udc00b"}': "half of a character",
    '{"name": "a\\u0000b"}': "NUL",
    '{"\\ud800": "a"}': "half of a character",
    '{"preferences": {"\\ud800": 1}}': "half of a character",
    '{"preferences": {"a": [{"b": "\\ud800"}]}}': "half of a character",
    '{"preferences": {"a": NaN}}': "NaN",
    '{"preferences": {"a": -Infinity}}': "Infinity",
    '{"preferences": {"a": 1e999}}': "not finite",
    '{"preferences": {"a": 1' + "0" * 30 + "}}": "64 bits",
    '{"preferences": {"a": ' + nested(40) + "}}": "levels",
    '{"preferences": {"a": ' + nested(900) + "}}": "levels",
    '{"preferences": {"a": ' + nested(200_000) + "}}": "levels",
    '{"name": "a", "name": "b"}': "twice",
    '{"name": "\\ud800", "unknown\\ud800": 1}': "half of a character",
    "{": "JSON",
    "": "JSON",
    "[]": "JSON object",
}


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    with served(fakes()) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=20) as made:
        yield made


def refused(answer: httpx.Response, *words: str) -> None:
    assert answer.status_code == 400, answer.text
    sentence = answer.json()["error"]
    assert sentence.endswith(".")
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_bodies_of_json(body: str, client: httpx.Client, service: Service) -> None:
    before = service.accounts.get(1)
    headers = OWNER | {"Content-Type": "application/json"}
    for method, path in (("PATCH", "/api/v1/account/"), ("POST", "/api/v1/accounts/"), ("POST", "/api/v1/keys/")):
        refused(client.request(method, path, content=body, headers=headers), HOSTILE[body])
    assert service.accounts.get(1) == before
    assert len(service.accounts.list()) == 2


def test_bodies_that_are_not_utf_8(client: httpx.Client) -> None:
    for body in (b'{"name": "\xff"}', b'{"name": "\xed\xa0\x80"}', '{"name": "a"}'.encode("utf-16")):
        refused(client.post("/api/v1/keys/", content=body, headers=OWNER), "JSON", "UTF-8")
    assert client.post("/api/v1/keys/", content=b'\xef\xbb\xbf{"name": "a"}', headers=OWNER).status_code == 200


@pytest.mark.parametrize("part", ["%ED%A0%80", "%FF", "%00"])
def test_addresses(part: str, client: httpx.Client) -> None:
    for path in (
        f"/v1/jobs/{part}",
        f"/api/v1/transcripts/{part}/",
        f"/{part}",
        f"/api/v1/transcripts/?language={part}",
    ):
        refused(client.get(path, headers=OWNER), "address")
    refused(client.get(f"/api/v1/transcripts/?{part}=1", headers=OWNER), "address")


def test_a_query_with_a_name_twice(client: httpx.Client) -> None:
    refused(client.get("/api/v1/transcripts/?limit=1&limit=2", headers=OWNER), "'limit'", "twice")


@pytest.mark.parametrize("value", [b"\xff", b"\xed\xa0\x80", b"a\0b"])
def test_forms(value: bytes, client: httpx.Client, tmp_path: Path) -> None:
    sound = tone(tmp_path / "a.wav").read_bytes()

    def send(disposition: bytes, content: bytes) -> httpx.Response:
        parts = [(b'form-data; name="file"; filename="a.wav"', sound), (b"form-data; " + disposition, content)]
        body = b"".join(b"--b\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % part for part in parts) + b"--b--\r\n"
        return client.post("/v1/transcribe", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})

    refused(send(b'name="language"', value), "'language'")
    if b"\0" not in value:  # the parser refuses it in a header
        refused(send(b'name="' + value + b'"', b"a"), "name of a field")
        refused(send(b'name="file"; filename="' + value + b'"', sound))
    assert send(b'name="language"', b"auto").status_code == 200


def test_headers(client: httpx.Client) -> None:
    for value in (b"\xff", b"a\tb", b"\xed\xa0\x80", b""):
        refused(client.post("/api/v1/keys/", json={"name": "a"}, headers=OWNER | {b"Idempotency-Key": value}))


def test_every_surface_checks_parameters(tmp_path: Path) -> None:
    runtime = Runtime(Settings(data_dir=tmp_path, models_dir=tmp_path))
    for value in ("\ud800", "a\0b", {"a": math.nan}, {"\ud800": 1}, json.loads(nested(40))):
        with pytest.raises(BadInput, match="preferences"):
            call(OPERATIONS["update_account"], {"preferences": value}, Context(LOCAL, runtime))
    runtime.close()


# Rows that are already there


def damage(service: Service, **columns: object) -> int:
    account = service.accounts.create(f"Ada {secrets.token_hex(4)}")
    with service.runtime.database.write() as session:
        for column, value in columns.items():
            statement = f"UPDATE accounts SET {column} = :value WHERE id = :id"
            session.execute(text(statement), {"value": value, "id": account.id})
    return account.id


def test_one_bad_row_breaks_no_list(client: httpx.Client, service: Service) -> None:
    half = damage(service, preferences='{"colour": "\\ud800"}')
    unreadable = [
        damage(service, preferences="{not json"),
        damage(service, created="yesterday"),
        damage(service, preferences="[1]"),
        damage(service, name=b"\xff\xfe"),
    ]
    number = damage(service)
    with service.runtime.database.write() as session:
        session.execute(text("UPDATE accounts SET email = CAST(x'ff' AS TEXT) WHERE id = :id"), {"id": number})
    service.accounts.create("Grace")
    answer = client.get("/api/v1/accounts/", headers=OWNER)
    assert answer.status_code == 200, answer.text
    listed = answer.json()
    assert listed["damaged"] == [half, *unreadable]
    shown = {account["id"]: account for account in listed["results"]}
    assert shown[number]["email"] == "\ufffd"  # a byte that is not UTF-8 costs no more than its character
    assert shown[half]["preferences"] == {"colour": "\ufffd"}
    assert [account["name"] for account in listed["results"]][-1] == "Grace"
    assert client.get("/health").status_code == 200


def test_an_owner_can_mend_a_bad_row(client: httpx.Client, service: Service) -> None:
    number = damage(service, preferences='{"colour": "\\ud800"}')
    key = service.accounts.create_key(number, "a", ["account"])[1]
    headers = {"Authorization": f"Bearer {key}"}
    assert client.get("/api/v1/account/", headers=headers).json()["preferences"] == {"colour": "\ufffd"}
    assert client.patch("/api/v1/account/", json={"preferences": {}}, headers=headers).status_code == 200
    assert client.get("/api/v1/accounts/", headers=OWNER).json()["damaged"] == []


def test_what_is_not_http_is_refused_in_the_same_shape(service: Service) -> None:
    for sent in (
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(sent)
            received = connection.makefile("rb").read()
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"nosniff" in head
        answer: dict[str, Any] = json.loads(body)
        assert set(answer) == {"error", "code"}
