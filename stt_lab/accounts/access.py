"""Identify callers by the administrator's key, an account's key, a session of the page, or their address.

The session cookie holds a random id, not a key; the store keeps a digest of it (stt_lab.accounts.accounts). Digests
use a random secret of the installation. Nothing that leaves the server is derived from a key.
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
from stt_lab.accounts.kept_secret import kept_secret
from stt_lab.accounts.one_time_tokens import OneTimeTokens, account_of, sign_in_tokens, stream_tokens
from stt_lab.accounts.origin import LOOPBACK_NAMES, came_through_a_proxy, host_name, is_foreign
from stt_lab.accounts.wrong_keys import WrongKeys
from stt_lab.caller import ADMINISTRATOR, ADMINISTRATOR_ID, ANONYMOUS, LOCAL_CLIENT, Caller
from stt_lab.errors import BadInput, Forbidden, Unauthorized
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
FOREIGN_HERE = (
    "A page of another site sent this request to the server of this machine. "
    "Open the server's own page, or name the origin in STT_LAB_CORS_ORIGINS."
)
SHORTEST_KEY = 20  # characters of the administrator's key
V6_PREFIX = 64  # bits: internet providers give each customer a whole IPv6 network of this prefix length


class Access:
    """Identifies callers. Holds the administrator's key; never logs it.

    `address` is the one that the server listens on, "" where nobody listens or it is not known.
    """

    def __init__(self, settings: Settings, accounts: Accounts, address: str = "") -> None:
        given = settings.admin_key
        self.made_key = given is None  # no key was set: the server prints the sign-in address
        self._key = _checked(given.get_secret_value() if given else _kept_key(settings.data_dir / "admin.key"))
        self._secret = kept_secret(settings.data_dir / "access.key")
        self.accounts = accounts
        self.tokens, self._data_dir = sign_in_tokens(settings.data_dir), settings.data_dir
        self.wrong_keys = WrongKeys()
        self.cors_origins = frozenset(settings.cors_origins)
        self._proxies, self._max_upload_mb = settings.trusted_proxies, settings.max_upload_mb
        self._local = _is_loopback(address)
        own = [*LOOPBACK_NAMES, address] if self._local else []
        self._names = frozenset(filter(None, [*own, *map(host_name, settings.hosts)]))
        self._end_sessions_of_another_key(settings.data_dir / "admin.digest")

    def identify(self, connection: HTTPConnection) -> Caller:
        """Identify the caller of an HTTP request, a WebSocket or a request from the page.

        The first of these decides: the header `Authorization: Bearer KEY`; `?token=` on a WebSocket, with a key or a
        token that opens one stream, because browsers cannot set its headers; the session of the page. Otherwise, or
        after the session has ended, the caller is anonymous. Raises Unauthorized for a wrong key, and Forbidden if a
        page of another site uses the session.
        """
        authorization = connection.headers.get("authorization")
        if authorization:
            return self.identify_key(_bearer(authorization), self.address(connection))
        if token := _token(connection):
            address = self.address(connection)
            return self._take(token, address) if account_of(token) else self.identify_key(token, address)
        return self._signed_in(connection) or replace(ANONYMOUS, client=self.client(connection))

    def identify_key(self, key: str, address: str = "") -> Caller:
        """Identify the caller by a key from an address. Raises Unauthorized for a wrong key, RateLimited after many."""
        client = self._client(address)
        self.wrong_keys.check(client, key)
        try:
            caller = ADMINISTRATOR if _same(key, self._key) else _caller(*self.accounts.identify(key))
        except Unauthorized:
            self.wrong_keys.count_wrong(client)
            raise
        self.wrong_keys.note_right(client, key)
        return caller

    def _take(self, token: str, address: str) -> Caller:
        """Identify the caller by a token that opens one stream. Raises Unauthorized or RateLimited."""
        client, account_id = self._client(address), account_of(token)
        assert account_id is not None
        self.wrong_keys.check(client, token)
        key_id = stream_tokens(self._data_dir, account_id).take(token)
        account = None if key_id is None else self.accounts.get(account_id)
        if account is None or account.disabled:
            self.wrong_keys.count_wrong(client)
            raise Unauthorized(
                "This stream token is not valid: each opens one stream, within a minute. "
                "Get a new one with POST /v1/stream/token."
            )
        if not key_id and account_id == ADMINISTRATOR_ID:
            return ADMINISTRATOR
        key = next((key for key in self.accounts.keys(account_id) if str(key.id) == key_id), None)
        if key is None:
            raise Unauthorized(WRONG_KEY)
        return _caller(account, key)

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

    def check_host(self, connection: HTTPConnection) -> None:
        """Raise BadInput if a request names another server: a page whose name was bound to this machine sends that."""
        for host in self._hosts(connection) if self._names else ():
            if host_name(host) not in self._names:
                names = (f"[{name}]" if ":" in name else name for name in sorted(self._names)[:5])
                raise BadInput(
                    f"The host {host[:80]!r} is not a name of this server. "
                    f"Use {', '.join(names)}, or add the name to the setting STT_LAB_HOSTS."
                )

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise Forbidden if a page of another site uses a session, or what the machine's own callers may do.

        A request with a key uses neither.
        """
        key = connection.headers.get("authorization") or _token(connection)
        if key or not self.is_foreign(connection):
            return
        if connection.cookies.get(COOKIE):
            raise Forbidden(FOREIGN)
        if self.is_local(connection) and connection.headers.get("origin") not in self.cors_origins:
            raise Forbidden(FOREIGN_HERE)

    def is_foreign(self, connection: HTTPConnection) -> bool:
        """Return whether a browser sent this request from a page of another site."""
        method = connection.scope.get("method", "GET")
        return is_foreign(method, connection.headers, self._hosts(connection), self.is_encrypted(connection))

    def is_local(self, connection: HTTPConnection) -> bool:
        """Return whether a caller is on this machine: the server listens on loopback only, and no proxy is between."""
        peer = connection.client.host if connection.client else ""
        return (
            self._local
            and _is_loopback(peer)
            and not self.trusts(peer)
            and not came_through_a_proxy(connection.headers.keys())
        )

    def _hosts(self, connection: HTTPConnection) -> list[str]:
        """Return the names of this server that a request gives: Host, and X-Forwarded-Host of trusted proxies."""
        hosts = [connection.headers.get("host", "")]
        if self._behind_proxy(connection):
            hosts += [name for line in connection.headers.getlist("x-forwarded-host") for name in line.split(",")]
        return hosts

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
        return self._derive(f"session {session_id}")

    def _end_sessions_of_another_key(self, path: Path) -> None:
        """End the administrator's sessions if they began under another key, which may have been replaced for a reason.

        The file holds a digest of the key; it cannot be tested against guesses without the installation's secret.
        """
        digest = self._derive(f"administrator {self._key}")
        kept = path.read_text() if path.exists() else digest
        if not _same(kept, digest):
            self.accounts.end_sessions(ADMINISTRATOR_ID)
        if kept != digest or not path.exists():
            _write_private(path, digest)

    # Signing in without a key

    def sign_in(self, token: str, address: str = "") -> Caller:
        """Take the token of a sign-in address, which signs its first visitor in as the administrator."""
        client = self._client(address)
        self.wrong_keys.check(client, token)
        if self.tokens.take(token) is None:
            self.wrong_keys.count_wrong(client)
            raise Unauthorized(
                "This sign-in address is not valid: each works once, within 15 minutes. "
                "Run `stt-lab sign-in` on the server's machine for a new one."
            )
        return ADMINISTRATOR

    def sign_in_address(self, base: str) -> str:
        """Return a new address that signs its first visitor in as the administrator."""
        return sign_in_address(base, self.tokens)

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

    def client(self, connection: HTTPConnection) -> str:
        """Return what names the client of a connection: a hash of its address, or LOCAL_CLIENT."""
        return LOCAL_CLIENT if self.is_local(connection) else self.hashed_address(connection)

    def hashed_address(self, connection: HTTPConnection) -> str:
        return self._client(self.address(connection))

    def _client(self, address: str) -> str:
        """Hash an address with the installation's secret. Quotas are counted by this; the address is not stored."""
        parsed = _parsed(address)
        if isinstance(parsed, IPv6Address):
            return self._derive(f"client {ip_network((parsed, V6_PREFIX), strict=False)}")[:32]
        return self._derive(f"client {parsed or address}")[:32]

    def _derive(self, purpose: str) -> str:
        return hmac.new(self._secret, f"stt_lab {purpose}".encode(), hashlib.sha256).hexdigest()


def sign_in_address(base: str, tokens: OneTimeTokens) -> str:
    return f"{base.rstrip('/')}{SIGN_IN_PATH}?token={tokens.make()}"


def _token(connection: HTTPConnection) -> str | None:
    """Return the key in the address of a WebSocket, whose headers browsers cannot set."""
    return connection.query_params.get("token") if connection.scope["type"] == "websocket" else None


def _is_loopback(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


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


def _checked(key: str) -> str:
    """Return the administrator's key if it is too long to be guessed."""
    if len(key) < SHORTEST_KEY:
        raise BadInput(
            f"The administrator's key (STT_LAB_ADMIN_KEY) has {len(key)} characters, and {SHORTEST_KEY} are needed. "
            "Set a longer one, or leave it unset: the first start then makes one."
        )
    return key


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


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
