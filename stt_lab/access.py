"""Who is calling: the administrator's key, the sign-in address of the first start, and the browser's cookie.

Accounts with keys of their own come behind `Access.identify`; until then a caller is the administrator or anonymous.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from stt_lab.errors import Unauthorized
from stt_lab.registry import ADMINISTRATOR, ANONYMOUS, Caller
from stt_lab.settings import Settings

COOKIE = "stt_lab_session"
SIGN_IN_PATH = "/sign-in"
COOKIE_AGE_S = 30 * 24 * 3600


class Access:
    """The administrator's key and what is derived from it; nothing here is ever logged."""

    def __init__(self, settings: Settings) -> None:
        given = settings.admin_key
        self.made_key = given is None  # then the owner is told how to sign in
        self._key = given.get_secret_value() if given else _kept_key(settings.data_dir / "admin.key")

    def identify(self, authorization: str | None) -> Caller:
        """The caller of an `Authorization` header: none is anonymous, a wrong key is Unauthorized."""
        if not authorization:
            return ANONYMOUS
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not _same(key.strip(), self._key):
            raise Unauthorized(
                "This key is not valid here: send 'Authorization: Bearer KEY' with a key of this installation."
            )
        return ADMINISTRATOR

    def identify_browser(self, authorization: str | None, cookie: str | None) -> Caller:
        """The caller behind the page: a header as above, else the session cookie, else anonymous."""
        if not authorization and cookie and _same(cookie, self.session):
            return ADMINISTRATOR
        return self.identify(authorization)

    @property
    def session(self) -> str:
        """Value of the administrator's cookie: the key itself never reaches a browser."""
        return self._derive("session")

    @property
    def sign_in_token(self) -> str:
        return self._derive("sign-in")

    def signs_in(self, token: str) -> bool:
        return _same(token, self.sign_in_token)

    def sign_in_address(self, base: str) -> str:
        return f"{base.rstrip('/')}{SIGN_IN_PATH}?token={self.sign_in_token}"

    def _derive(self, purpose: str) -> str:
        return hmac.new(self._key.encode(), f"stt_lab {purpose}".encode(), hashlib.sha256).hexdigest()


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
