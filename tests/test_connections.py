"""stt_lab.web.connections: clients that stop, floods, slow readers; attributes of uvicorn that it uses."""

from __future__ import annotations

import asyncio
import inspect
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import h11
import httpx
import pytest
import uvicorn
from fakes import started, until
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from stt_lab.server import OPTIONS
from stt_lab.web import connections
from stt_lab.web.connections import ConnectionLimits, Listener, limited, limits_for, raise_descriptor_limit

QUICK = ConnectionLimits(headers_s=0.4, chunk_s=0.6, keep_alive_s=0.5, write_s=0.6, look_s=0.05)
PATIENT = ConnectionLimits(headers_s=20, chunk_s=20, keep_alive_s=20, write_s=20, connections=20, share=8)


class Seen:
    """What the application saw."""

    def __init__(self) -> None:
        self.disconnected = self.received = 0
        self.open = threading.Event()


async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


def application(seen: Seen) -> Starlette:
    async def upload(request: Request) -> Response:
        try:
            async for chunk in request.stream():
                seen.received += len(chunk)
        except ClientDisconnect:
            seen.disconnected += 1
            raise
        return PlainTextResponse("received")

    async def download(request: Request) -> Response:
        return StreamingResponse(iter([bytes(65536)] * 1000))

    async def early(request: Request) -> Response:
        return PlainTextResponse("no", 413)

    async def slow(request: Request) -> Response:
        while not seen.open.is_set():
            await asyncio.sleep(0.02)
        return PlainTextResponse("late")

    routes = [
        Route("/health", health),
        Route("/upload", upload, methods=["POST"]),
        Route("/download", download),
        Route("/early", early, methods=["POST"]),
        Route("/slow", slow),
    ]
    return Starlette(routes=routes)


class Running:
    """A server with these limits."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.seen = Seen()
        options = OPTIONS | {"http": limited(limits), "log_level": "critical"}
        self.server = uvicorn.Server(uvicorn.Config(application(self.seen), "127.0.0.1", 0, lifespan="off", **options))

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)

    def connect(self, sent: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.sendall(sent)
        return made

    def health(self) -> float:
        """Seconds until a new client has its answer."""
        began = time.monotonic()
        assert httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5).status_code == 200
        return time.monotonic() - began


@contextmanager
def running(limits: ConnectionLimits) -> Iterator[Running]:
    made = Running(limits)
    with started(made.server.run) as raised:
        try:
            until(lambda: made.server.started or raised, 10)
            yield made
        finally:
            made.seen.open.set()
            for one in list(made.server.server_state.connections):
                one.loop.call_soon_threadsafe(one.transport.abort)
            until(lambda: made.open == 0)
            made.server.should_exit = True
    assert raised == []


def seconds_until_closed(connection: socket.socket) -> float:
    """Read until the server closes the connection."""
    began = time.monotonic()
    with connection, suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - began


HEAD = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000]
)
def test_headers_that_do_not_come(sent: bytes) -> None:
    with running(QUICK) as server:
        assert 0.2 < seconds_until_closed(server.connect(sent)) < 2
        assert server.health() < 1


def test_headers_that_drip() -> None:
    """A byte now and then does not count: the whole head has its time."""
    with running(QUICK) as server, server.connect(b"GET /health HTTP/1.1\r\nHost: a\r\nX: ") as connection:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012  reset or broken pipe
            while time.monotonic() - began < 5:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("chunk", [b"", b"x" * 3000])
def test_a_body_that_stops(chunk: bytes) -> None:
    with running(QUICK) as server:
        assert 0.4 < seconds_until_closed(server.connect(HEAD + chunk)) < 2
        until(lambda: server.seen.disconnected == 1)  # the application can clean up
        until(lambda: server.open == 0)


def test_a_body_that_drips() -> None:
    with running(QUICK) as server, server.connect(HEAD) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012
            while time.monotonic() - began < 5:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < 2


def test_a_slow_body_that_goes_on() -> None:
    with running(QUICK) as server, server.connect(HEAD) as connection:
        for _ in range(10):
            connection.sendall(b"x" * 10_000)
            time.sleep(0.15)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
        assert server.seen.received == 100_000


def test_the_rest_of_a_body_that_was_refused() -> None:
    with running(QUICK) as server:
        connection = server.connect(HEAD.replace(b"upload", b"early"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
        assert seconds_until_closed(connection) < 2
        until(lambda: server.open == 0)


def test_an_idle_connection() -> None:
    with running(QUICK) as server:
        connection = server.connect(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert 0.3 < seconds_until_closed(connection) < 2


def test_one_request_after_the_other() -> None:
    with running(QUICK) as server, server.connect() as connection:
        for _ in range(20):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            while not received.endswith(b"ok"):
                received += connection.recv(65536)
            time.sleep(0.1)


def test_an_answer_that_takes_its_time() -> None:
    with running(QUICK) as server, server.connect(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") as connection:
        time.sleep(1.5)
        server.seen.open.set()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_download_that_nobody_reads() -> None:
    with running(QUICK) as server:
        connection = server.connect(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: server.open == 1)
        until(lambda: server.open == 0, 5)
        connection.close()


def test_a_download_that_is_read_slowly() -> None:
    with running(QUICK) as server, server.connect(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n") as connection:
        read, began = 0, time.monotonic()
        while time.monotonic() - began < 1.5:
            read += len(connection.recv(2_000_000))
            time.sleep(0.1)
        while read < 65_536_000:
            received = connection.recv(1_000_000)
            assert received
            read += len(received)


def test_a_flood_of_silent_connections() -> None:
    with running(PATIENT) as server, ExitStack() as stack:
        for _ in range(10):
            for _ in range(10):
                stack.enter_context(server.connect())
            assert server.health() < 1
        until(lambda: server.open <= 20)


def test_a_flood_of_bodies_that_stop() -> None:
    with running(PATIENT) as server, ExitStack() as stack:
        for _ in range(10):
            for _ in range(10):
                stack.enter_context(server.connect(HEAD))
            assert server.health() < 1
        until(lambda: server.open <= 20)


def test_a_flood_of_answers_that_do_not_end() -> None:
    with running(PATIENT) as server, ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(server.connect(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert server.health() < 1
        until(lambda: server.open <= 20)


@pytest.mark.parametrize("grace_s", [0.25, 60.0])  # within it, all of a flood has just come
def test_a_flood_closes_its_own_connections_first(grace_s: float) -> None:
    with running(replace(PATIENT, grace_s=grace_s)) as server, ExitStack() as stack:
        mine = socket.create_connection(("127.0.0.1", server.port), 10, ("127.0.0.2", 0))  # another address
        time.sleep(0.1)
        for _ in range(100):
            stack.enter_context(server.connect())
        until(lambda: server.open <= 20)
        mine.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert mine.recv(65536).startswith(b"HTTP/1.1 200")
        mine.close()


FLOOD = """
import resource, socket, sys
from stt_lab.web.connections import limits_for, raise_descriptor_limit
descriptors = raise_descriptor_limit()
print(descriptors, limits_for(descriptors).connections, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "found"), [(256, 1024, 1024), (1024, 1024, 1024), (512, 4096, 4096)])
def test_the_limit_of_descriptors_is_raised(soft: int, hard: int, found: int) -> None:
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})){FLOOD}"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert list(map(int, said)) == [found, min(int(found * 0.6), 2000), found, hard]


def test_this_process_keeps_its_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert raise_descriptor_limit() >= min(before[0], connections.DESCRIPTORS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert limits_for(0).connections > 0


def test_the_queue_is_longer_than_what_is_accepted_at_once() -> None:
    with Listener() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with ExitStack() as stack:
            for _ in range(50):  # with a queue of 1, the third would wait for a second
                stack.enter_context(socket.create_connection(listener.getsockname(), timeout=0.5))


# uvicorn


def test_the_version_that_was_checked_is_named() -> None:
    checked, here = (list(map(int, one.split(".")[:2])) for one in (connections.CHECKED_WITH, uvicorn.__version__))
    assert checked == here, f"uvicorn {uvicorn.__version__}: check each attribute of connections.py, raise CHECKED_WITH"


METHODS = ("connection_made", "connection_lost", "data_received", "handle_websocket_upgrade", "send_400_response")


def test_attributes_of_uvicorn_exist() -> None:
    for name in METHODS:
        assert callable(getattr(H11Protocol, name))
    config: Any = uvicorn.Config(application(Seen()), lifespan="off")
    loop = asyncio.new_event_loop()
    made = H11Protocol(config, uvicorn.server.ServerState(), {}, loop)
    loop.close()
    for name in ("client", "conn", "connections", "cycle", "flow", "loop", "transport"):
        assert hasattr(made, name), name
    assert isinstance(made.conn, h11.Connection)
    for name in ("more_body", "response_complete", "waiting_for_100_continue"):
        assert f"self.{name} " in inspect.getsource(RequestResponseCycle.__init__), name
