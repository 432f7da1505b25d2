"""Call webhooks: send a signed POST when a job ends, and repeat it until the receiver accepts it.

The address comes from a stranger, so nothing inside this network may be reached through it: a name is resolved once,
every address that it has must be public (networks.py), and the connection goes to the address that was checked; where
it ended is checked again before anything is sent. Redirects are not followed, and of the answer only the status is
read.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
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
from stt_lab.accounts.kept_secret import kept_secret
from stt_lab.errors import BadInput, SttError
from stt_lab.jobs.networks import is_address, is_public
from stt_lab.registry import WEBHOOK
from stt_lab.settings import Settings
from stt_lab.store import deliveries
from stt_lab.store.database import Database
from stt_lab.store.deliveries import Attempt, Due
from stt_lab.types import JobInfo

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0  # for the whole attempt after the name is resolved
PORTS = {"http": 80, "https": 443}
THREADS = 2  # two, so that one slow receiver does not delay the others
PRIVATE = "the host has a private address"
MESSAGE = TypeAdapter(JobInfo)
STOP_S = 1.0  # for running attempts when the server ends
POLL_S = 1.0  # between checks for due retries and jobs of other servers


class AddressRefused(Exception):
    """The address of a webhook must not be contacted."""


def check_url(url: str, settings: Settings) -> None:
    """Raise BadInput for a URL that can never be called. Its host is resolved only at delivery."""
    if settings.offline:
        raise BadInput(
            f"This server is offline and cannot call webhooks. Remove '{WEBHOOK}' and ask for the job instead."
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
            f"The parameter '{WEBHOOK}' is not a valid URL. Write it like https://host/path, without a password."
        )
    if not (port in PORTS.values() or 1024 <= port < 65536):
        raise BadInput(f"The port {port} of '{WEBHOOK}' is not allowed. Use 80, 443 or 1024 to 65535.")
    if is_address(host) and not (settings.webhook_allow_private or is_public(host)):
        raise BadInput(f"The address of '{WEBHOOK}' is private. Use a public one.")


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to the address that was checked, within one deadline for the whole exchange."""

    def __init__(self, allow_private: bool, timeout_s: float, sockets: httpcore.NetworkBackend | None = None) -> None:
        self._allow_private = allow_private
        self._deadline = time.monotonic() + timeout_s
        self._sockets = sockets or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._resolve(host, port)
        stream = self._sockets.connect_tcp(address, port, timeout, local_address)
        if not self._allow_private and not _is_connected_to_public(stream):
            stream.close()
            raise AddressRefused(PRIVATE)
        return _Timed(stream, self._deadline)

    def _resolve(self, host: str, port: int) -> str:
        """Return the first address of a host if all of its addresses are allowed."""
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            raise AddressRefused("the host is not known") from None
        if not self._allow_private and not all(is_public(address) for address in found):
            raise AddressRefused(PRIVATE)
        return found[0]


def _is_connected_to_public(stream: httpcore.NetworkStream) -> bool:
    """Return whether the other end of a connection is public (getpeername)."""
    peer = stream.get_extra_info("server_addr")
    return peer is not None and is_public(str(peer[0]))


class _Timed(httpcore.NetworkStream):
    """A connection whose reads and writes share one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.close()  # before TLS, nothing else closes it
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
    """Send a request once. Failures are reported in the attempt, without details of this network."""
    timeouts = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)}
    try:
        with (
            httpcore.ConnectionPool(network_backend=CheckedNetwork(allow_private, timeout_s)) as pool,
            pool.stream("POST", url, headers=list(headers.items()), content=body, extensions=timeouts) as answer,
        ):
            return Attempt(answer.status, "" if 200 <= answer.status < 300 else "the receiver refused it")
    except AddressRefused as problem:
        return Attempt(None, str(problem))
    except httpcore.TimeoutException:
        return Attempt(None, "the receiver took too long")
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
        return Attempt(None, "the receiver could not be reached, or does not speak HTTP")


def sign(secret: str, timestamp: str, delivery: str, body: bytes) -> str:
    """Return the signature: HMAC-SHA256 of "timestamp.delivery.body"."""
    signed = f"{timestamp}.{delivery}.".encode() + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class Webhooks:
    """Calls the webhooks of ended jobs in its own threads."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._secret = installation_secret(settings.data_dir)
        self._wake, self._ending, self._over = threading.Event(), threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def secret(self, account_id: int) -> str:
        """Return the secret with which an account checks signatures."""
        return "whsec_" + hmac.new(self._secret, f"webhook {account_id}".encode(), hashlib.sha256).hexdigest()

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._work, name="webhooks", daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Check for due deliveries now: a job with a webhook has ended."""
        self._wake.set()

    def close(self) -> None:
        """Stop within STOP_S. Unfinished attempts do not count and are repeated after a minute."""
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
                log.exception("a webhook could not be called")
                worked = False
            if not worked:
                self._wake.wait(POLL_S)
                if not self._ending.is_set():  # kept set while ending, to wake the other threads
                    self._wake.clear()

    def deliver_next(self) -> bool:
        """Make the next due attempt. Return False if none is due."""
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
    """Return the secret from which those of all accounts are derived."""
    return kept_secret(data_dir / "webhooks.key")
