"""Identify callers: by the administrator's key, by a key of an account, by the page's session, or by their address.

The session's cookie holds no key but a random id, which the store has as a digest (stt_lab.accounts.accounts).
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
    "This request comes from a page of another site and uses the session of this one: "
    "open the page of this server, or send a key as 'Authorization: Bearer KEY'."
)
V6_PREFIX = 64  # bits of an IPv6 address that one customer of a provider has for himself


class Access:
    """The administrator's key and what is derived from it; nothing here is ever logged."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        given = settings.admin_key
        self.made_key = given is None  # then the owner is told how to sign in
        self._key = given.get_secret_value() if given else _kept_key(settings.data_dir / "admin.key")
        self.accounts = accounts
        self._proxies, self._max_upload_mb = settings.trusted_proxies, settings.max_upload_mb

    def identify(self, connection: HTTPConnection) -> Caller:
        """Identify the caller of an HTTP request, of a WebSocket, or of a request of the page.

        The first of these decides: the header `Authorization: Bearer KEY`; `?token=KEY` of a WebSocket, whose headers a
        browser cannot set; the page's session. Without any of them, or after the session has ended, the caller is
        anonymous. Raises Unauthorized for a wrong key, and Forbidden when a page of another site uses the session.
        """
        authorization = connection.headers.get("authorization")
        if authorization:
            return self.identify_key(_bearer(authorization))
        token = connection.query_params.get("token") if connection.scope["type"] == "websocket" else None
        if token:
            return self.identify_key(token)
        return self._signed_in(connection) or replace(ANONYMOUS, client=self._client(self.address(connection)))

    def identify_key(self, key: str) -> Caller:
        """Identify the caller by a key. Raises Unauthorized for a wrong one."""
        if _same(key, self._key):
            return ADMINISTRATOR
        return _caller(*self.accounts.identify(key))

    # The page's sessions

    def begin_session(self, caller: Caller) -> str:
        """Begin a session of a caller who has shown a key; return its id, the value of the cookie."""
        session_id = secrets.token_urlsafe(SESSION_BYTES)
        self.accounts.begin_session(self._session_digest(session_id), caller.account_id, caller.key_id)
        return session_id

    def end_session(self, connection: HTTPConnection) -> None:
        """End the session that a request carries: no copy of its cookie is valid any more."""
        if cookie := connection.cookies.get(COOKIE):
            self.accounts.end_session(self._session_digest(cookie))

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise Forbidden when a page of another site uses the session. A request with a key does not use it."""
        uses_session = connection.cookies.get(COOKIE) and not connection.headers.get("authorization")
        if uses_session and self.is_foreign(connection):
            raise Forbidden(FOREIGN)

    def is_foreign(self, connection: HTTPConnection) -> bool:
        """Say whether a browser sent this from a page of another site."""
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
        """Digest a session's id for the store. A new administrator's key makes other digests and ends all sessions."""
        return self._derive(f"session {session_id}")

    @property
    def sign_in_token(self) -> str:
        return self._derive("sign-in")

    def signs_in(self, token: str) -> bool:
        return _same(token, self.sign_in_token)

    def sign_in_address(self, base: str) -> str:
        return f"{base.rstrip('/')}{SIGN_IN_PATH}?token={self.sign_in_token}"

    def upload_limit(self, caller: Caller) -> int:
        """Bytes that a caller may send at once: what the tier and the installation allow."""
        tier = self.accounts.tier_of(caller.account_id)
        limits = (tier.max_upload_mb, self._max_upload_mb)
        return min(limit for limit in limits if limit is not None) * MB

    # Addresses

    def trusts(self, peer: str) -> bool:
        """Whether an address is that of a proxy whose headers count."""
        address = _parsed(peer)
        return address is not None and any(address in proxies for proxies in self._proxies)

    def is_encrypted(self, connection: HTTPConnection) -> bool:
        """Whether the client's own connection is encrypted."""
        forwarded = connection.headers.get("x-forwarded-proto", "") if self._behind_proxy(connection) else ""
        return (forwarded or connection.scope.get("scheme", "http")) in ("https", "wss")

    def _behind_proxy(self, connection: HTTPConnection) -> bool:
        return connection.client is not None and self.trusts(connection.client.host)

    def address(self, connection: HTTPConnection) -> str:
        """The client's own address: behind proxies of ours the last of X-Forwarded-For that is none of them."""
        address: str = connection.client.host if connection.client else ""
        hops = [hop.strip() for line in connection.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        while hops and self.trusts(address):
            address = hops.pop()
        return address

    def _client(self, address: str) -> str:
        """A keyed hash of an address, by which daily quotas are counted: the address itself is not stored."""
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
    """The key of an `Authorization` header."""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized(WRONG_KEY)
    return key.strip()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _kept_key(path: Path) -> str:
    """The key in a file that only its owner can read, made on the first start (256 random bits)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept = path.read_text().strip()
        if kept:
            return kept
        path.unlink()  # a start that was cut off before it wrote the key
        return _kept_key(path)
    key = f"stt_{secrets.token_urlsafe(32)}"
    with os.fdopen(handle, "w") as file:
        file.write(key + "\n")
    return key
