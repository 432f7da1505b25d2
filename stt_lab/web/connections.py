"""Close connections whose clients stop: uvicorn limits only the time between two requests.

`LimitedProtocol` is uvicorn's protocol with limits. It looks at each connection once a second, and makes room for a new
one by closing the oldest that waits for its client, of the address that has the most. It uses attributes of uvicorn
that are not documented; tests/test_connections.py names the version that this was checked with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from stt_lab.errors import BadInput, SttError, TooLarge, Unavailable

CHECKED_WITH = "0.54.0"  # release of uvicorn
DESCRIPTORS = 65_536  # a higher limit than this has no use here, and makes some programs slow
MOST_CONNECTIONS = 2000  # each holds some memory
KEPT_SHARE = 0.4  # of the descriptors: for the database, files, and pipes of workers
ACCEPT_BATCH = 16  # connections that are accepted before the first of them is looked at
LISTEN_QUEUE = 1024  # connections that the system keeps until then
State = Literal["request", "idle", "body", "rest", "answer"]


@dataclass(frozen=True)
class ConnectionLimits:
    """Times in seconds, and how many connections are open at once."""

    headers_s: float = 15.0  # until the headers of a request are complete
    chunk_s: float = 30.0  # until the next `progress` bytes of a body have arrived
    keep_alive_s: float = 30.0  # between two requests
    write_s: float = 60.0  # until a client has read the next `progress` bytes of an answer
    progress: int = 4096
    look_s: float = 1.0  # between two looks at a connection
    grace_s: float = 0.25  # of a new connection in a flood, which may be that of an honest client
    connections: int = 600
    share: int = 150  # connections of an address; beyond, its oldest may be closed in the middle of an answer


def raise_descriptor_limit() -> int:
    """Raise the number of files and sockets that this process may open as far as the system allows. Return it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, DESCRIPTORS)


def limits_for(descriptors: int) -> ConnectionLimits:
    """Return the limits of a server that may open so many files and sockets."""
    connections = min(MOST_CONNECTIONS, max(16, int(descriptors * (1 - KEPT_SHARE))))
    return ConnectionLimits(connections=connections, share=max(4, connections // 4))


class Listener(socket.socket):
    """A listening socket whose queue is longer than what asyncio accepts at once.

    asyncio uses one number for both, and does not look at new connections before it has accepted so many: with a large
    one, a flood would use up the descriptors before the first connection could be closed.
    """

    def listen(self, backlog: int = LISTEN_QUEUE) -> None:
        super().listen(max(backlog, LISTEN_QUEUE))


class LimitedProtocol(H11Protocol):
    """An HTTP connection with limits."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.opened = self._since = self._written_since = self.loop.time()
        self._seen: tuple[State, object] = ("request", None)
        self._received = self._mark = self._unread = 0
        self._look()
        make_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    @property
    def state(self) -> State:
        """Return what this connection waits for.

        request: the headers of the first request, or the rest of those of a later one; idle: a further request; body:
        the rest of a body; rest: the same, although the request was answered already; answer: this server.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            held_back = self.flow.read_paused or self.cycle.waiting_for_100_continue
            return "body" if self.cycle.more_body and not held_back else "answer"
        if self.conn.their_state is h11.SEND_BODY:
            return "rest"
        return "request" if self.cycle is None or self.conn.trailing_data[0] else "idle"

    @property
    def waits_for_client(self) -> bool:
        return self.state != "answer"

    def _look(self) -> None:
        """Close the connection if its client has stopped; else look again later."""
        self._timer = self.loop.call_later(self.limits.look_s, self._look)
        now = self.loop.time()
        if self._stopped_reading(now):
            self.transport.abort()
        elif self._stopped_sending(now) and not self.transport.is_closing():
            self.transport.close()

    def _stopped_sending(self, now: float) -> bool:
        seen = self.state, self.cycle  # a new request has a new cycle
        moved = self._received - self._mark >= self.limits.progress and seen[0] == "body"
        if moved or seen != self._seen:
            self._seen, self._since, self._mark = seen, now, self._received
        allowed = {
            "request": self.limits.headers_s,
            "idle": self.limits.keep_alive_s,
            "body": self.limits.chunk_s,
            "rest": self.limits.chunk_s,
        }
        return now - self._since > allowed.get(seen[0], float("inf"))

    def _stopped_reading(self, now: float) -> bool:
        """Return whether the client has not read for too long what was written, also after the last byte of it."""
        unread = self.transport.get_write_buffer_size()
        if not unread or unread > self._unread or self._unread - unread >= self.limits.progress:
            self._unread, self._written_since = unread, now
        return now - self._written_since > self.limits.write_s

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._timer.cancel()  # WebSockets have limits of their own
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the shape of all errors."""
        body = json.dumps(BadInput("This is not a valid HTTP request. See /docs for the API.").as_dict()).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        with contextlib.suppress(h11.LocalProtocolError):  # in the middle of an answer
            start = h11.Response(status_code=400, headers=headers, reason=STATUS_PHRASES[400])
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def make_room(new: LimitedProtocol) -> None:
    """Close connections if there are too many.

    First some that wait for their clients, of addresses beyond their share; then one of such an address that just came
    or is being answered; then some of others that wait; else the new one.
    """
    limits = new.limits
    if len(new.connections) <= limits.connections:
        return
    known: list[LimitedProtocol] = [
        one for one in new.connections if isinstance(one, LimitedProtocol) and not one.transport.is_closing()
    ]
    if len(known) <= limits.connections:
        return
    counts = Counter(one.address for one in known)
    latest = new.opened - limits.grace_s
    waiting = [one for one in known if one.opened <= latest and one.waits_for_client]
    greedy = [one for one in known if one is not new and counts[one.address] > limits.share]
    crowded = [one for one in waiting if counts[one.address] > limits.share]
    some = max(1, limits.connections // 20)  # several at once: a flood must not cost a search for each connection
    chosen = _oldest(crowded, counts)[:some] or _oldest(greedy, counts)[:1] or _oldest(waiting, counts)[:some] or [new]
    for one in chosen:
        one.transport.abort()


def _oldest(candidates: Iterable[LimitedProtocol], counts: Counter[str]) -> list[LimitedProtocol]:
    """Sort connections: those of the address that has the most come first, then the oldest; uploads, answers last."""
    late = {"body": 1, "answer": 2}
    return sorted(candidates, key=lambda one: (late.get(one.state, 0), -counts[one.address], one.opened))


class LiveProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that says why it ends, also where no route has a say: a server that stops, a message without end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fail, self.conn.fail = self.conn.fail, self._say_and_fail  # type: ignore[method-assign]

    def _say_and_fail(self, code: int, reason: str = "") -> None:
        if code == 1009:
            self._say(TooLarge("This message is larger than 1 MiB. Send sound in smaller pieces."))
        self._fail(code, reason)

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self._say(Unavailable("The server is shutting down. Begin a new stream when it is back."))
            self.transport.write(b"".join(self.conn.data_to_send()))
        super().shutdown()

    def _say(self, problem: SttError) -> None:
        with contextlib.suppress(InvalidState):
            self.conn.send_text(json.dumps(problem.as_dict() | {"text": ""}).encode())


def limited(limits: ConnectionLimits) -> type[LimitedProtocol]:
    """Return the protocol with these limits, for uvicorn's option `http`."""
    members: dict[str, Any] = {"limits": limits}
    return type("ProtocolWithLimits", (LimitedProtocol,), members)
