"""Webhooks: a signed POST says how a job ended, tried again until the receiver takes it.

The address comes from a stranger, so nothing inside this network may be reached through it: a name is resolved once,
every address that it has must be public, and the connection goes to the address that was checked. Redirects are not
followed, and of the answer only the status is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore
from pydantic import TypeAdapter

from stt_lab import __version__
from stt_lab.errors import BadInput, SttError
from stt_lab.registry import WEBHOOK
from stt_lab.settings import Settings
from stt_lab.store import deliveries
from stt_lab.store.database import Database
from stt_lab.store.deliveries import Attempt, Due
from stt_lab.types import JobInfo

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0  # for all of a delivery after the name is resolved
PORTS = {"http": 80, "https": 443}
THREADS = 2  # so that one slow receiver does not hold up the others
MESSAGE = TypeAdapter(JobInfo)
STOP_S = 1.0  # for attempts under way when the server ends
POLL_S = 1.0  # how soon a retry, or a job of another server, is noticed


class Refused(Exception):
    """A webhook's address that must not be reached."""


def check_url(url: str, settings: Settings) -> None:
    """Raises BadInput for an address that can never be delivered to. Names are resolved when it comes to that."""
    if settings.offline:
        raise BadInput(
            f"This installation is offline and reaches no webhook: leave '{WEBHOOK}' out and ask for the job."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme, 0)
        plain = url.isascii() and url.isprintable() and " " not in url
        httpcore.URL(url)
    except (ValueError, TypeError, httpcore.UnsupportedProtocol):  # TypeError: not ASCII
        host, port, plain = None, 0, False
    if not (plain and host and parts.scheme in PORTS and parts.username is None):
        raise BadInput(
            f"The parameter '{WEBHOOK}' cannot be used: write it like https://host/path, without a password."
        )
    if not (port in PORTS.values() or 1024 <= port < 65536):
        raise BadInput(f"The port of '{WEBHOOK}' cannot be used: choose 80, 443, or one from 1024 on.")
    if is_address(host) and not (settings.webhook_allow_private or is_public(host)):
        raise BadInput(f"The address of '{WEBHOOK}' is private: give one that can be reached from everywhere.")


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an IP address may be reached: neither private, loopback, link-local, reserved nor multicast."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1]) or _nat64(ip)
        if inner:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator (RFC 6052) would reach for this one."""
    known = ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in known else None


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to the address that was checked, and gives up when the time for all is over."""

    def __init__(self, allow_private: bool, timeout_s: float) -> None:
        self._allow_private = allow_private
        self._deadline = time.monotonic() + timeout_s
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._resolve(host, port)
        return _Timed(self._sockets.connect_tcp(address, port, timeout, local_address), self._deadline)

    def _resolve(self, host: str, port: int) -> str:
        """The first address of a host, when all of them may be reached."""
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            raise Refused("the host is not known") from None
        if not self._allow_private and not all(is_public(address) for address in found):
            raise Refused("the host has a private address")
        return found[0]


class _Timed(httpcore.NetworkStream):
    """A connection on which everything together ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.close()  # before TLS nobody else does
            raise httpcore.ReadTimeout("the receiver took too long")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left())

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def post(url: str, headers: dict[str, str], body: bytes, allow_private: bool, timeout_s: float = TIMEOUT_S) -> Attempt:
    """Send once; what went wrong is part of the answer, in words that show nothing of this network."""
    timeouts = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)}
    try:
        with (
            httpcore.ConnectionPool(network_backend=CheckedNetwork(allow_private, timeout_s)) as pool,
            pool.stream("POST", url, headers=list(headers.items()), content=body, extensions=timeouts) as answer,
        ):
            return Attempt(answer.status, "" if 200 <= answer.status < 300 else "the receiver refused it")
    except Refused as problem:
        return Attempt(None, str(problem))
    except httpcore.TimeoutException:
        return Attempt(None, "the receiver took too long")
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
        return Attempt(None, "the receiver could not be reached, or does not speak HTTP")


def sign(secret: str, timestamp: str, delivery: str, body: bytes) -> str:
    """What a receiver computes again: HMAC-SHA256 of "timestamp.delivery.body"."""
    signed = f"{timestamp}.{delivery}.".encode() + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class Webhooks:
    """Tells receivers how jobs ended, in threads of its own."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._secret = installation_secret(settings.data_dir)
        self._wake, self._ending, self._over = threading.Event(), threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def secret(self, account_id: int) -> str:
        """With which an account checks signatures."""
        return "whsec_" + hmac.new(self._secret, f"webhook {account_id}".encode(), hashlib.sha256).hexdigest()

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._work, name="webhooks", daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """A job with a webhook has just ended here."""
        self._wake.set()

    def close(self) -> None:
        """An attempt that takes longer is not waited for: it counts as none, and is made again after a minute."""
        self._ending.set()
        self._wake.set()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._over.set()  # the database is closed next

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                worked = self.deliver_next()
            except SttError as problem:
                log.warning("webhooks wait: %s", problem)
                worked = False
            except Exception:
                log.exception("a webhook could not be told")
                worked = False
            if not worked:
                self._wake.wait(POLL_S)
                if not self._ending.is_set():  # else the other threads sleep on
                    self._wake.clear()

    def deliver_next(self) -> bool:
        """Make the attempt that is due; False when none is."""
        with self._database.read() as session:
            if not deliveries.due(session):
                return False
        with self._database.write() as session:
            due = deliveries.claim(session)
        if due is None:
            return False
        attempt = self._attempt(due)
        if not self._over.is_set():
            with self._database.write() as session:
                deliveries.record(session, due, attempt)
        return True

    def _attempt(self, due: Due) -> Attempt:
        url = due.job.webhook_url or ""
        body, stamp = MESSAGE.dump_json(due.job.info), str(int(time.time()))
        headers = {
            "Host": urlsplit(url).netloc,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "User-Agent": f"stt_lab/{__version__}",
            "X-STT-Timestamp": stamp,
            "X-STT-Delivery": due.id,
            "X-STT-Signature": sign(self.secret(due.job.account_id), stamp, due.id, body),
        }
        return post(url, headers, body, self._settings.webhook_allow_private)


def installation_secret(data_dir: Path) -> bytes:
    """256 random bits of this installation, made on first use and shared by all servers of the data directory."""
    path = data_dir / "webhooks.key"
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = data_dir / f".webhooks-{secrets.token_hex(8)}"
    if not path.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another server was quicker
            os.link(draft, path)  # whole or not at all
        draft.unlink()
    return path.read_bytes()
