"""Webhooks: receivers are told once, signed, patiently, and nothing inside this network can be reached through them."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpcore
import pytest
from house import House, both, house_fixture, operations, until  # noqa: F401
from sqlalchemy import update

import stt_lab.operations  # noqa: F401  declares them
from stt_lab.errors import BadInput, NotFound
from stt_lab.jobs import webhooks
from stt_lab.jobs.networks import is_public
from stt_lab.jobs.webhooks import CheckedNetwork, Webhooks, check_url, installation_secret, post
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.settings import Settings
from stt_lab.store import deliveries, queue
from stt_lab.store.models import DeliveryRow, now


class Receiver(BaseHTTPRequestHandler):
    """Answers as the test says, and keeps what it got."""

    status: ClassVar[int] = 200
    got: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, dict(self.headers), body))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(name="receiver")
def receiver_fixture() -> Iterator[str]:
    Receiver.status, Receiver.got = 200, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder / "data", **{"webhook_allow_private": True} | more)


def ended(house: House, url: str) -> str:
    """A job that has ended, and whose webhook is to be told; its id."""
    row = queue.JobRow(
        id="job_1", account_id=house.ada.account_id, client="", operation="hum", parameters={}, webhook_url=url,
        state="done", percent=100.0, created=now(), finished=now(),
    )  # fmt: skip
    with house.database.write() as session:
        queue.insert(session, row)
        deliveries.add(session, row.id)
    return row.id


def delivery(house: House, job_id: str = "job_1") -> DeliveryRow:
    with house.database.read() as session:
        (found,) = deliveries.log(session, job_id)
        return found


# -- what a receiver gets


@both
def test_a_receiver_is_told_how_a_job_ended(house: House, receiver: str) -> None:
    jobs = house.server()
    info = house.ask(jobs, background=True, webhook_url=receiver)
    until(lambda: Receiver.got)
    (path, headers, body) = Receiver.got[0]
    told = json.loads(body)
    assert path == "/hook"
    assert (told["id"], told["status"], told["error"]) == (info.id, "done", None)
    assert told["transcript_id"] == house.rows()[0].transcript_id
    signed = f"{headers['X-STT-Timestamp']}.{headers['X-STT-Delivery']}.".encode() + body
    secret = jobs.webhook_secret(house.ada.account_id)
    assert headers["X-STT-Signature"] == "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert abs(int(headers["X-STT-Timestamp"]) - time.time()) < 60
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == receiver.split("/")[2]
    until(lambda: delivery(house, info.id).delivered)
    assert (delivery(house, info.id).status, delivery(house, info.id).attempts) == (200, 1)
    time.sleep(0.1)
    assert len(Receiver.got) == 1


def test_failures_and_cancels_are_told_too(house: House, receiver: str) -> None:
    jobs = house.server()
    house.ask(jobs, act="bad", background=True, webhook_url=receiver)
    until(lambda: len(Receiver.got) == 1)
    waiting = house.ask(jobs, act="wait", background=True, webhook_url=receiver)
    jobs.cancel(house.ada, waiting.id)
    until(lambda: len(Receiver.got) == 2)
    assert [json.loads(body)["status"] for _, _, body in Receiver.got] == ["failed", "cancelled"]
    assert json.loads(Receiver.got[0][2])["error"]["code"] == "bad_parameter"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_receiver_that_refuses_is_asked_again(house: House, receiver: str, status: int) -> None:
    Receiver.status = status
    ended(house, receiver)
    worker = Webhooks(house.database, settings(house.folder))
    waits = []
    for _ in range(deliveries.ATTEMPTS):
        before = now()
        assert worker.deliver_next()
        found = delivery(house)
        assert (found.status, found.delivered) == (status, None)
        waits.append(found.next_attempt and round((found.next_attempt - before).total_seconds()))
        assert not worker.deliver_next()  # not yet
        with house.database.write() as session:
            session.execute(update(DeliveryRow).where(DeliveryRow.next_attempt.is_not(None)).values(next_attempt=now()))
    assert waits == [10, 30, 90, 270, 810, 2430, 3600, None]
    assert not worker.deliver_next()
    assert {path for path, _, _ in Receiver.got} == {"/hook"}  # no redirect was followed
    assert len({headers["X-STT-Delivery"] for _, headers, _ in Receiver.got}) == 1


@both
def test_only_one_server_tells(house: House, receiver: str) -> None:
    ended(house, receiver)
    with house.database.write() as session:
        assert deliveries.claim(session) is not None
    with house.database.write() as session:
        assert deliveries.claim(session) is None
    with house.database.write() as session:  # that server has gone
        session.execute(update(DeliveryRow).values(next_attempt=now() - timedelta(seconds=1)))
    assert Webhooks(house.database, settings(house.folder)).deliver_next()
    assert len(Receiver.got) == 1


def test_the_owner_reads_what_became_of_it(house: House, receiver: str) -> None:
    Receiver.status = 503
    jobs = house.server()
    info = house.ask(jobs, background=True, webhook_url=receiver)
    until(lambda: Receiver.got)
    until(lambda: delivery(house, info.id).status)
    context = Context(house.ada, None, gate=jobs)  # type: ignore[arg-type]
    told = call(OPERATIONS["job_deliveries"], {"id": info.id}, context)
    (one,) = told.results
    assert (told.count, one.attempts, one.status, one.error) == (1, 1, 503, "the receiver refused it")
    assert one.id == Receiver.got[0][1]["X-STT-Delivery"]
    assert one.delivered is None
    assert one.next_attempt > now()
    other = replace(house.ada, account_id=house.ada.account_id + 1)
    with pytest.raises(NotFound):
        call(OPERATIONS["job_deliveries"], {"id": info.id}, replace(context, caller=other))


def test_each_account_has_its_own_secret(house: House) -> None:
    one, again = (Webhooks(house.database, settings(house.folder)) for _ in range(2))
    assert one.secret(1) == again.secret(1) != one.secret(2)
    elsewhere = Webhooks(house.database, Settings(data_dir=house.folder / "other"))
    assert elsewhere.secret(1) != one.secret(1)
    key = house.folder / "data" / "webhooks.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (house.folder / "other").iterdir()] == ["webhooks.key"]
    assert len(installation_secret(house.folder / "data")) == 32


# -- where a webhook may be


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://host/x", "file:///etc/passwd", "javascript:alert(1)", "http://", "http:///x", "//host/x", "host/x",
        "https://user:password@host/x", "https://host:22/x", "https://host:99999/x", "https://ho st/x", "http://[::1/x",
        "https://host/\r\nX: y", "https://hôte/x", "http://127.0.0.1/x", "http://[::1]:8080/x", "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/", "http://224.0.0.1/",
    ],
)  # fmt: skip
def test_bad_addresses_are_refused_at_once(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput, match="webhook_url"):
        check_url(url, settings(tmp_path, webhook_allow_private=False))


def test_a_request_with_a_bad_address_leaves_nothing(house: House) -> None:
    with pytest.raises(BadInput):
        house.ask(house.server(), webhook_url="ftp://host/x")
    assert house.rows() == []
    until(lambda: house.stray() == [])


def test_good_addresses_pass(tmp_path: Path) -> None:
    for url in ("https://example.org/hook?x=1", "http://example.org", "http://example.org:8080/", "https://1.1.1.1/x"):
        check_url(url, settings(tmp_path, webhook_allow_private=False))
    check_url("http://127.0.0.1:8000/x", settings(tmp_path))
    with pytest.raises(BadInput, match="offline"):
        check_url("https://example.org/hook", settings(tmp_path, offline=True))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False),
        ("255.255.255.255", False), ("224.0.0.1", False), ("240.0.0.1", False), ("192.0.2.1", False), ("::1", False),
        ("::", False), ("fe80::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("ff02::1", False),
        ("fec0::1", False), ("::ffff:10.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::7f00:1", False), ("::127.0.0.1", False), ("2001:db8::1", False),
        # reported: what Python's ipaddress takes for public
        ("192.0.0.1", False), ("192.0.0.192", False), ("168.63.129.16", False), ("3fff::1", False),
        ("192.88.99.1", False), ("192.31.196.1", False), ("192.52.193.1", False), ("192.175.48.1", False),
        ("198.18.0.1", False), ("198.19.255.255", False), ("203.0.113.1", False), ("100.100.100.200", False),
        # IPv6: what is not allocated, protocols, and IPv4 inside
        ("4000::1", False), ("100::1", False), ("100:0:0:1::1", False), ("5f00::1", False), ("2001::1", False),
        ("2001:1::1", False), ("2001:2::1", False), ("2001:20::1", False), ("2001:1ff:ffff::1", False),
        ("2620:4f:8000::1", False), ("fd00:ec2::254", False), ("fd20:ce::254", False), ("::ffff:168.63.129.16", False),
        ("64:ff9b::a9fe:a9fe", False), ("64:ff9b:1::808:808", False), ("2002:808:808::", False),
        ("2001:0:808:808::", False), ("::8.8.8.8", False), ("2606:4700::5efe:10.0.0.1", False),
        ("2606:4700::200:5efe:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("2606:4700::5efe:8.8.8.8", True), ("2001:200::1", True), ("8.8.8.8", True), ("2a00:1450::1", True),
    ],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


Resolve = Callable[..., list[tuple[Any, ...]]]


def resolving(*addresses: str) -> tuple[Resolve, list[str]]:
    """A resolver that knows these addresses for every name, and the names that it was asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int, **more: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve, asked


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch, receiver: str) -> None:
    resolve, _ = resolving("1.1.1.1", "127.0.0.1")
    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    attempt = post(receiver.replace("127.0.0.1", "rebind.example"), {}, b"{}", allow_private=False)
    assert (attempt.status, attempt.error) == (None, "the host has a private address")
    assert Receiver.got == []


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, asked = resolving("1.1.1.1")
    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    reached = []

    class Network(httpcore.SyncBackend):
        def connect_tcp(self, host: str, port: int, *more: Any, **others: Any) -> httpcore.NetworkStream:
            reached.append((host, port))
            return Stream([b"HTTP/1.1 204 No Content\r\n\r\n"])

    class Stream(httpcore.MockStream):
        def start_tls(self, context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
            reached.append((server_hostname, "tls"))
            return self

        def get_extra_info(self, info: str) -> Any:
            return ("1.1.1.1", 443) if info == "server_addr" else super().get_extra_info(info)

    monkeypatch.setattr(webhooks.httpcore, "SyncBackend", Network)
    attempt = post("https://receiver.example/hook", {"Host": "receiver.example"}, b"{}", allow_private=False)
    assert attempt.delivered
    assert asked == ["receiver.example"]
    assert reached == [("1.1.1.1", 443), ("receiver.example", "tls")]


def test_a_name_that_changes_its_address_reaches_nothing(monkeypatch: pytest.MonkeyPatch, receiver: str) -> None:
    """DNS rebinding: public when it is checked, and inside of this network whenever it is asked for again."""
    asked: list[str] = []

    def resolve(host: str, port: int, *more: object, **others: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        address = "1.1.1.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    attempt = post(receiver.replace("127.0.0.1", "rebind.example"), {}, b"{}", allow_private=False)
    assert (attempt.status, attempt.error) == (None, "the host has a private address")
    assert asked.count("rebind.example") == 1
    assert Receiver.got == []


@pytest.mark.parametrize("peer", [("127.0.0.1", 80), ("::1", 80, 0, 0), ("fe80::1%eth0", 80, 0, 2), None])
def test_where_the_connection_ended_is_checked_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, peer: tuple[Any, ...] | None
) -> None:
    closed: list[bool] = []

    class Stream(httpcore.MockStream):
        def get_extra_info(self, info: str) -> Any:
            return peer

        def close(self) -> None:
            closed.append(True)

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            pytest.fail("it was sent")

    class Network(httpcore.SyncBackend):
        def connect_tcp(self, host: str, port: int, *more: Any, **others: Any) -> httpcore.NetworkStream:
            return Stream([])

    resolve, _ = resolving("1.1.1.1")
    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    network = CheckedNetwork(False, 5.0, Network())
    with pytest.raises(webhooks.AddressRefused):
        network.connect_tcp("receiver.example", 80)
    assert closed == [True]


def test_redirects_are_not_followed(receiver: str) -> None:
    def redirect(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {receiver}\r\nContent-Length: 0\r\n\r\n".encode())

    with talking(redirect) as url:
        attempt = post(url, {"Host": "x"}, b"{}", allow_private=True)
    assert (attempt.status, attempt.delivered) == (302, False)
    assert Receiver.got == []


def test_an_unknown_host_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*host: object, **more: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(webhooks.socket, "getaddrinfo", unknown)
    assert post("http://nowhere.example/", {}, b"{}", allow_private=False).error == "the host is not known"


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A receiver that says what the test wants, byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join(5)


def drip(connection: socket.socket) -> None:
    try:
        for _ in range(100):
            connection.sendall(b"H")
            time.sleep(0.05)
    except OSError:
        pass


def test_a_receiver_that_drips_is_left(house: House) -> None:
    with talking(drip) as url:
        began = time.monotonic()
        attempt = post(url, {}, b"{}", allow_private=True, timeout_s=0.4)
        assert time.monotonic() - began < 2
    assert attempt.status is None
    assert attempt.error


def test_a_receiver_without_http_is_a_failed_attempt() -> None:
    with talking(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n")) as url:
        attempt = post(url, {}, b"{}", allow_private=True)
    assert attempt.error == "the receiver could not be reached, or does not speak HTTP"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/", {}, b"{}", allow_private=True).status is None
