"""Identify callers by the administrator's key, an account's key, a session of the page, or their address.

The session cookie holds a random id, not a key; the store keeps a digest of it (stt_lab.accounts.accounts).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.accounts.accounts import WRONG_KEY
from stt_lab.accounts.origin import is_foreign
from stt_lab.caller import ADMINISTRATOR, ANONYMOUS, Caller
from stt_lab.errors import Forbidden, Unauthorized
from stt_lab.settings import MB, Settings

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from stt_lab.accounts.accounts import Account, Accounts, Key

COOKIE = "stt_lab_session"
SIGN_IN_PATH = "/sign-in"
SESSION_BYTES = 32
FOREIGN = (
    "A page of another site sent this request with a session of this server. "
    "Open this server's own page, or send a key as 'Authorization: Bearer KEY'."
)
V6_PREFIX = 64  # bits: internet providers give each customer a whole IPv6 network of this prefix length


class Access:
    """Identifies callers. Holds the administrator's key and what is derived from it; never logs either."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        given = settings.admin_key
        self.made_key = given is None  # no key was set: the server prints the sign-in address
        self._key = given.get_secret_value() if given else _kept_key(settings.data_dir / "admin.key")
        self.accounts = accounts
        self._proxies, self._max_upload_mb = settings.trusted_proxies, settings.max_upload_mb

    def identify(self, connection: HTTPConnection) -> Caller:
        """Identify the caller of an HTTP request, a WebSocket or a request from the page.

        The first of these decides: the header `Authorization: Bearer KEY`; `?token=KEY` on a WebSocket, because
        browsers cannot set its headers; the session of the page. Otherwise, or after the session has ended, the caller
        is anonymous. Raises Unauthorized for a wrong key, and Forbidden if a page of another site uses the session.
        """
        authorization = connection.headers.get("authorization")
        if authorization:
            return self.identify_key(_bearer(authorization))
        token = connection.query_params.get("token") if connection.scope["type"] == "websocket" else None
        if token:
            return self.identify_key(token)
        return self._signed_in(connection) or replace(ANONYMOUS, client=self._client(self.address(connection)))

    def identify_key(self, key: str) -> Caller:
        """Identify the caller by a key. Raises Unauthorized for a wrong key."""
        if _same(key, self._key):
            return ADMINISTRATOR
        return _caller(*self.accounts.identify(key))

    # The page's sessions

    def begin_session(self, caller: Caller) -> str:
        """Begin a session for a caller who has signed in. Return its id, the value of the cookie."""
        session_id = secrets.token_urlsafe(SESSION_BYTES)
        self.accounts.begin_session(self._session_digest(session_id), caller.account_id, caller.key_id)
        return session_id

    def end_session(self, connection: HTTPConnection) -> None:
        """End the session of a request. Copies of its cookie stop working too."""
        if cookie := connection.cookies.get(COOKIE):
            self.accounts.end_session(self._session_digest(cookie))

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise Forbidden if a page of another site uses the session. A request with a key does not use it."""
        uses_session = connection.cookies.get(COOKIE) and not connection.headers.get("authorization")
        if uses_session and self.is_foreign(connection):
            raise Forbidden(FOREIGN)

    def is_foreign(self, connection: HTTPConnection) -> bool:
        """Return whether a browser sent this request from a page of another site."""
        hosts = [connection.headers.get("host", "")]
        if self._behind_proxy(connection):
            hosts += ",".join(connection.headers.getlist("x-forwarded-host")).split(",")
        method = connection.scope.get("method", "GET")
        return is_foreign(method, connection.headers, hosts, self.is_encrypted(connection))

    def _signed_in(self, connection: HTTPConnection) -> Caller | None:
        cookie = connection.cookies.get(COOKIE)
        if not cookie:
            return None
        self.check_origin(connection)
        found = self.accounts.find_session(self._session_digest(cookie))
        if found is None:
            return None
        account, key = found
        return ADMINISTRATOR if key is None else _caller(account, key)

    def _session_digest(self, session_id: str) -> str:
        """Digest a session id for the store. A new administrator's key changes all digests and so ends all sessions."""
        return self._derive(f"session {session_id}")

    @property
    def sign_in_token(self) -> str:
        return self._derive("sign-in")

    def signs_in(self, token: str) -> bool:
        return _same(token, self.sign_in_token)

    def sign_in_address(self, base: str) -> str:
        return f"{base.rstrip('/')}{SIGN_IN_PATH}?token={self.sign_in_token}"

    def upload_limit(self, caller: Caller) -> int:
        """Return the largest upload of a caller in bytes: the lower limit of the tier and the installation."""
        tier = self.accounts.tier_of(caller.account_id)
        limits = (tier.max_upload_mb, self._max_upload_mb)
        return min(limit for limit in limits if limit is not None) * MB

    # Addresses

    def trusts(self, peer: str) -> bool:
        """Return whether an address belongs to a trusted proxy, whose X-Forwarded headers count."""
        address = _parsed(peer)
        return address is not None and any(address in proxies for proxies in self._proxies)

    def is_encrypted(self, connection: HTTPConnection) -> bool:
        """Return whether the connection of the client itself is encrypted."""
        forwarded = connection.headers.get("x-forwarded-proto", "") if self._behind_proxy(connection) else ""
        return (forwarded or connection.scope.get("scheme", "http")) in ("https", "wss")

    def _behind_proxy(self, connection: HTTPConnection) -> bool:
        return connection.client is not None and self.trusts(connection.client.host)

    def address(self, connection: HTTPConnection) -> str:
        """Return the client's address: behind trusted proxies, the last one in X-Forwarded-For that is not theirs."""
        address: str = connection.client.host if connection.client else ""
        hops = [hop.strip() for line in connection.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        while hops and self.trusts(address):
            address = hops.pop()
        return address

    def _client(self, address: str) -> str:
        """Hash an address with the key. Daily quotas are counted by this hash; the address itself is not stored."""
        parsed = _parsed(address)
        if isinstance(parsed, IPv6Address):
            return self._derive(f"client {ip_network((parsed, V6_PREFIX), strict=False)}")[:32]
        return self._derive(f"client {parsed or address}")[:32]

    def _derive(self, purpose: str) -> str:
        return hmac.new(self._key.encode(), f"stt_lab {purpose}".encode(), hashlib.sha256).hexdigest()


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _caller(account: Account, key: Key) -> Caller:
    scopes = frozenset(key.scopes) if account.admin else frozenset(key.scopes) - {"admin"}
    return Caller(account.name, scopes, account.admin and "admin" in scopes, account.id, key.id)


def _bearer(authorization: str) -> str:
    """Return the key in an `Authorization` header."""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized(WRONG_KEY)
    return key.strip()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _kept_key(path: Path) -> str:
    """Return the key in a file that only its owner can read. The first start writes it (256 random bits)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept = path.read_text().strip()
        if kept:
            return kept
        path.unlink()  # an earlier start was interrupted before it wrote the key
        return _kept_key(path)
    key = f"stt_{secrets.token_urlsafe(32)}"
    with os.fdopen(handle, "w") as file:
        file.write(key + "\n")
    return key
