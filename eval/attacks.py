"""Attacks on a server of this machine, each a loop with a pause; what the server answered is counted.

They run in a process of their own, from addresses 127.0.0.2 and 127.0.0.3, until they are told to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import httpx

KINDS: dict[str, Callable[[Attackers], Awaitable[None]]] = {}
ADDRESSES = ("127.0.0.2", "127.0.0.3")
BODIES = (
    b'{"text": "\\ud800", "type": "topics"}',
    b'{"text": "a\\u0000b", "type": "topics"}',
    b'{"text": NaN}',
    b'{"text": ' + b"[" * 100_000,
    b'{"text": 1e999, "type": {}}',
    b"\xff\xfe\x00",
    b"{}",
)
PATTERNS = ("A-" * 100_000, "1 " * 100_000, "a@" * 100_000, "Mr. " * 50_000, "(" * 200_000, "0-" * 100_000)
TIMEOUT_S = 60.0


@dataclass
class Attackers:
    """What attacks need, and what they were answered."""

    url: str
    key: str  # of an account of their own
    recording: Path
    ends: float  # of time.monotonic()
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # answers that must not be

    @property
    def on(self) -> bool:
        return time.monotonic() < self.ends

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def count(self, kind: str, what: object) -> None:
        self.statuses.setdefault(kind, Counter())[str(what)] += 1

    def look(self, kind: str, answer: httpx.Response) -> None:
        self.count(kind, answer.status_code)
        waits = answer.status_code == 503 and "retry-after" in answer.headers
        if answer.status_code >= 500 and not waits and len(self.faults) < 50:
            self.faults.append(f"{kind}: {answer.request.method} {answer.request.url.path} {answer.status_code}")

    def client(self, address: str = ADDRESSES[0]) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, timeout=TIMEOUT_S, transport=httpx.AsyncHTTPTransport(local_address=address)
        )

    async def ask(self, kind: str, client: httpx.AsyncClient, method: str, path: str, **more: object) -> None:
        try:
            self.look(kind, await client.request(method, path, **more))  # type: ignore[arg-type]
        except httpx.HTTPError as problem:
            self.count(kind, type(problem).__name__)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = urlsplit(self.url)
        return await asyncio.open_connection(place.hostname, place.port, local_addr=(ADDRESSES[0], 0))


def attack(run: Callable[[Attackers], Awaitable[None]]) -> Callable[[Attackers], Awaitable[None]]:
    KINDS[run.__name__] = run
    return run


async def _hold(attackers: Attackers, kind: str, number: int, head: bytes) -> None:
    """Keep `number` connections that say no more than `head`; open another for each that the server closes."""

    async def one() -> None:
        while attackers.on:
            try:
                reader, writer = await attackers.connect()
                writer.write(head)
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(1.0, attackers.ends - time.monotonic())):
                        answer = await reader.read(64)
                        attackers.count(kind, answer[9:12].decode("latin-1") or "closed")
                writer.close()
            except OSError as problem:
                attackers.count(kind, type(problem).__name__)
            await asyncio.sleep(1.0)

    await asyncio.gather(*(one() for _ in range(number)))


@attack
async def silent_connections(attackers: Attackers) -> None:
    await _hold(attackers, "silent_connections", 300, b"")


@attack
async def half_requests(attackers: Attackers) -> None:
    await _hold(attackers, "half_requests", 50, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")


@attack
async def stalled_uploads(attackers: Attackers) -> None:
    head = (
        b"POST /v1/transcribe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n"
        b'Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"; '
        b'filename="a.wav"\r\n\r\nRIFF'
    )
    await _hold(attackers, "stalled_uploads", 100, head)


@attack
async def gradio_calls(attackers: Attackers) -> None:
    """Calls whose answers nobody fetches, some of them large."""
    async with attackers.client() as client:
        number = 0
        while attackers.on:
            number += 1
            data = ["x" * 500_000] if number % 20 == 0 else []
            await attackers.ask("gradio_calls", client, "POST", "/gradio_api/call/models", json={"data": data})
            await asyncio.sleep(0.1)


@attack
async def gradio_sessions(attackers: Attackers) -> None:
    """Streams of sessions that do not exist, and calls into sessions that nobody listens to."""
    async with attackers.client() as client:
        while attackers.on:
            session = secrets.token_hex(5)
            body = {"data": [], "fn_index": 0, "session_hash": session}
            await attackers.ask("gradio_sessions", client, "POST", "/gradio_api/queue/join", json=body)
            query = f"/gradio_api/queue/data?session_hash={secrets.token_hex(5)}"
            await attackers.ask("gradio_sessions", client, "GET", query)
            await asyncio.sleep(0.5)


@attack
async def gradio_uploads(attackers: Attackers) -> None:
    async with attackers.client() as client:
        while attackers.on:
            files = {"files": ("a.wav", os.urandom(5_000_000))}
            await attackers.ask("gradio_uploads", client, "POST", "/gradio_api/upload", files=files)
            await asyncio.sleep(1.0)


@attack
async def bodies(attackers: Attackers) -> None:
    async with attackers.client(ADDRESSES[1]) as client:
        while attackers.on:
            for content in BODIES:
                for path in ("/v1/analyze", "/v1/embed", "/api/v1/keys/"):
                    headers = attackers.bearer | {"Content-Type": "application/json"}
                    await attackers.ask("bodies", client, "POST", path, content=content, headers=headers)
                await attackers.ask("bodies", client, "POST", "/gradio_api/call/analyze", content=content)
                await asyncio.sleep(0.2)


@attack
async def waiting_texts(attackers: Attackers) -> None:
    """One account asks for 150 long analyses at once, again and again."""
    text = " ".join(f"Alice met Bob {number} times in town, and they talked about it." for number in range(1500))

    async with attackers.client(ADDRESSES[1]) as client:

        async def one() -> None:
            body = {"text": text, "type": "entities"}
            await attackers.ask("waiting_texts", client, "POST", "/v1/analyze", json=body, headers=attackers.bearer)

        while attackers.on:
            await asyncio.gather(*(one() for _ in range(150)))
            await asyncio.sleep(10.0)


@attack
async def hard_texts(attackers: Attackers) -> None:
    async with attackers.client(ADDRESSES[1]) as client:
        while attackers.on:
            for text in PATTERNS:
                body = {"text": text, "type": "pii"}
                await attackers.ask("hard_texts", client, "POST", "/v1/analyze", json=body, headers=attackers.bearer)
                await asyncio.sleep(5.0)


@attack
async def many_jobs(attackers: Attackers) -> None:
    """One account submits long recordings as fast as it may, and cancels none."""
    content = attackers.recording.read_bytes()
    async with attackers.client(ADDRESSES[1]) as client:
        while attackers.on:
            files, fields = {"file": ("a.flac", content)}, {"async": "true", "store": "false"}
            await attackers.ask(
                "many_jobs", client, "POST", "/v1/transcribe", files=files, data=fields, headers=attackers.bearer
            )
            await asyncio.sleep(3.0)


@attack
async def wrong_keys(attackers: Attackers) -> None:
    async with attackers.client() as client:
        while attackers.on:
            headers = {"Authorization": f"Bearer stt_{secrets.token_urlsafe(16)}"}
            await attackers.ask("wrong_keys", client, "GET", "/api/v1/account/", headers=headers)
            form = {f"field{number}": "x" for number in range(5)} | {"key": "wrong"}
            await attackers.ask("wrong_keys", client, "POST", "/sign-in", data=form)
            await asyncio.sleep(0.2)


@attack
async def foreign_pages(attackers: Attackers) -> None:
    async with attackers.client() as client:
        while attackers.on:
            for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
                for path in ("/", "/v1/models", "/config", "/gradio_api/info"):
                    await attackers.ask("foreign_pages", client, "GET", path, headers=headers)
            await asyncio.sleep(1.0)


@attack
async def slow_readers(attackers: Attackers) -> None:
    """Ask for the largest answer there is, and read none of it."""
    await _hold_unread(attackers, 30)


async def _hold_unread(attackers: Attackers, number: int) -> None:
    async def one() -> None:
        while attackers.on:
            try:
                _, writer = await attackers.connect()
                writer.write(b"GET /config HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20)
                await asyncio.sleep(min(90.0, max(1.0, attackers.ends - time.monotonic())))
                attackers.count("slow_readers", "closed" if writer.is_closing() else "held")
                writer.close()
            except OSError as problem:
                attackers.count("slow_readers", type(problem).__name__)

    await asyncio.gather(*(one() for _ in range(number)))


@attack
async def many_exports(attackers: Attackers) -> None:
    """Twenty typeset documents at once."""
    async with attackers.client(ADDRESSES[1]) as client:
        found = await client.get("/api/v1/transcripts/", headers=attackers.bearer)
        results = found.json().get("results", []) if found.is_success else []
        while attackers.on and results:
            path = f"/api/v1/transcripts/{results[0]['id']}/export/pdf/"
            await asyncio.gather(
                *(attackers.ask("many_exports", client, "GET", path, headers=attackers.bearer) for _ in range(20))
            )
            await asyncio.sleep(15.0)


def run(url: str, key: str, recording: Path, seconds: float, told: Connection) -> None:
    """Run all attacks for so many seconds, and send what they were answered."""
    os.nice(10)  # an attacker has processors of his own, which this machine cannot give
    attackers = Attackers(url, key, recording, time.monotonic() + seconds)

    async def everything() -> None:
        async with asyncio.timeout(seconds + TIMEOUT_S * 2):
            await asyncio.gather(*(kind(attackers) for kind in KINDS.values()))

    with contextlib.suppress(TimeoutError):
        asyncio.run(everything())
    told.send(json.dumps({"statuses": attackers.statuses, "faults": attackers.faults}))
