"""Who is calling: the administrator's key, the keys of accounts, the browser's cookie, and the client's address.

A cookie holds no key: it names one, signed with a secret that is derived from the administrator's, and it ends with
the key that it names.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.caller import ADMINISTRATOR, ANONYMOUS, Caller
from stt_lab.errors import NotFound, Unauthorized
from stt_lab.settings import MB, Settings

if TYPE_CHECKING:
    from stt_lab.accounts.accounts import Account, Accounts, Key

COOKIE = "stt_lab_session"
SIGN_IN_PATH = "/sign-in"
COOKIE_AGE_S = 30 * 24 * 3600
V6_PREFIX = 64  # bits of an IPv6 address that one customer of a provider has for himself


class Access:
    """The administrator's key and what is derived from it; nothing here is ever logged."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        given = settings.admin_key
        self.made_key = given is None  # then the owner is told how to sign in
        self._key = given.get_secret_value() if given else _kept_key(settings.data_dir / "admin.key")
        self._accounts = accounts
        self._proxies, self._max_upload_mb = settings.trusted_proxies, settings.max_upload_mb

    def identify(self, authorization: str | None, address: str = "") -> Caller:
        """The caller of an `Authorization` header: none is anonymous, a wrong key is Unauthorized."""
        if not authorization:
            return replace(ANONYMOUS, client=self._client(address))
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized(
                "This key is not valid here: send 'Authorization: Bearer KEY' with a key of this installation."
            )
        return self._owner(key.strip())

    def identify_browser(self, authorization: str | None, cookie: str | None, address: str = "") -> Caller:
        """The caller behind the page: a header as above, else the session cookie, else anonymous."""
        signed_in = None if authorization or not cookie else self._signed_in(cookie)
        return signed_in or self.identify(authorization, address)

    def visitor(self, request: Any) -> Caller:
        """The caller behind a request of the page or of Gradio's clients: Starlette's, or Gradio's own around it."""
        authorization, cookie = request.headers.get("authorization"), request.cookies.get(COOKIE)
        return self.identify_browser(authorization, cookie, self.address(request))

    def _owner(self, key: str) -> Caller:
        if _same(key, self._key):
            return ADMINISTRATOR
        return _caller(*self._accounts.identify(key))

    # The page

    @property
    def session(self) -> str:
        """Value of the administrator's cookie: the key itself never reaches a browser."""
        return self._derive("session")

    def session_of(self, key: str) -> str:
        """The cookie of whoever has this key. Raises Unauthorized for a wrong one."""
        caller = self._owner(key)
        if caller.key_id is None:
            return self.session
        named = f"{caller.account_id}.{caller.key_id}"
        return f"{named}.{self._derive(f'session {named}')}"

    def _signed_in(self, cookie: str) -> Caller | None:
        if _same(cookie, self.session):
            return ADMINISTRATOR
        named, _, signature = cookie.rpartition(".")
        if not named or not _same(signature, self._derive(f"session {named}")):
            return None
        account_id, key_id = map(int, named.split("."))
        return self._holder(account_id, key_id)

    def _holder(self, account_id: int, key_id: int) -> Caller | None:
        """Whoever signed in with a key, as long as it is good."""
        try:
            account = self._accounts.get(account_id)
        except NotFound:
            return None
        keys = () if account.disabled else self._accounts.keys(account_id)  # those that are good
        return next((_caller(account, key) for key in keys if key.id == key_id), None)

    @property
    def sign_in_token(self) -> str:
        return self._derive("sign-in")

    def signs_in(self, token: str) -> bool:
        return _same(token, self.sign_in_token)

    def sign_in_address(self, base: str) -> str:
        return f"{base.rstrip('/')}{SIGN_IN_PATH}?token={self.sign_in_token}"

    def upload_limit(self, caller: Caller) -> int:
        """Bytes that a caller may send at once: what the tier and the installation allow."""
        tier = self._accounts.tier_of(caller.account_id)
        limits = (tier.max_upload_mb, self._max_upload_mb)
        return min(limit for limit in limits if limit is not None) * MB

    # Addresses

    def trusts(self, peer: str) -> bool:
        """Whether an address is that of a proxy whose headers count."""
        address = _parsed(peer)
        return address is not None and any(address in proxies for proxies in self._proxies)

    def address(self, request: Any) -> str:
        """The client's own address: behind proxies of ours the last of X-Forwarded-For that is none of them."""
        address: str = request.client.host if request.client else ""
        hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
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
