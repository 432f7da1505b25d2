"""Manage accounts, their keys and the sessions of the page, on top of quotas and credits.

A key is shown once, when it is created. The store keeps only its SHA-256, which suffices for 256 random bits, and only
a digest of each session id.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from stt_lab.accounts.credits import Credits, LedgerEntry, Limits, Tier, UsageDay
from stt_lab.door.input_check import check
from stt_lab.errors import BadInput, NotFound, Unauthorized
from stt_lab.store import models as rows
from stt_lab.store import queries, sessions
from stt_lab.store.database import Session
from stt_lab.store.models import ADMINISTRATOR_ID, ANONYMOUS_ID

__all__ = [
    "ADMINISTRATOR_ID",
    "ANONYMOUS_ID",
    "Account",
    "Accounts",
    "Key",
    "LedgerEntry",
    "Limits",
    "Tier",
    "UsageDay",
]

KEY_BYTES = 32
KEY = re.compile(r"stt_[A-Za-z0-9_-]{43}")
PREFIX = len("stt_") + 8  # characters of a key that may be shown
SCOPE = re.compile(r"[a-z][a-z0-9_:-]{0,39}")
MOST_KEYS = 100  # valid keys of an account
TOUCH = timedelta(minutes=1)  # resolution of a key's last_used, so that few requests write
SESSION_AGE = timedelta(days=30)
SESSION_UNUSED = timedelta(days=14)  # an unused session ends after this time
SESSION_TOUCH = timedelta(hours=1)  # resolution of a session's last use
MOST_SESSIONS = 100  # sessions of an account; a further one ends the oldest
WRONG_KEY = (
    "This key is not valid. Send 'Authorization: Bearer KEY' with a key of this installation "
    "(`stt-lab keys create` makes one), or sign in (`stt-lab sign-in`)."
)
RESERVED = ("administrator", "anonymous")  # names of the accounts that every installation has


@dataclass(frozen=True)
class Account:
    id: int
    name: str
    email: str | None
    preferences: dict[str, Any]  # about e-mail
    tier: str
    admin: bool
    disabled: bool
    created: datetime


@dataclass(frozen=True)
class Key:
    """The parts of a key that may be shown."""

    id: int
    account_id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created: datetime
    last_used: datetime | None
    revoked: datetime | None


class Accounts(Credits):
    """Accounts, keys and sessions in the store."""

    # -- accounts

    def create(self, name: str, email: str | None = None, tier: str = "free") -> Account:
        return self._save(rows.AccountRow(preferences={}), {"name": name, "email": email, "tier": tier})

    def get(self, account_id: int) -> Account:
        with self._database.read() as session:
            return _account(queries.account(session, account_id))

    def find(self, name: str) -> Account:
        """Return the account with this name. Raises NotFound."""
        with self._database.read() as session:
            row = queries.account_named(session, _normal(name)) if name.isprintable() else None
            if row is None:
                raise NotFound(f"Account {name[:120]!r} was not found.")
            return _account(row)

    def list(self) -> tuple[Account, ...]:
        return self.list_all()[0]

    def list_all(self) -> tuple[tuple[Account, ...], tuple[int, ...]]:
        """Return all accounts that can be read, and the numbers of those with values that nobody could have sent."""
        with self._database.read() as session:
            found, damaged = queries.accounts(session)
            accounts = tuple(_account(row) for row in found)
        odd = [account.id for account in accounts if not _is_sound(account)]
        return accounts, tuple(sorted([*damaged, *odd]))

    def update(self, account_id: int, **changes: Any) -> Account:
        """Change name, email, preferences, tier, admin or disabled."""
        fixed = {ADMINISTRATOR_ID: {"tier", "admin", "disabled"}, ANONYMOUS_ID: {"name", "admin"}}
        if refused := sorted(fixed.get(account_id, set()) & changes.keys()):
            raise BadInput(
                f"'{refused[0]}' of this account cannot be changed, because the installation needs it. Leave it out."
            )
        return self._save(account_id, changes)

    def _save(self, account: rows.AccountRow | int, changes: dict[str, Any]) -> Account:
        checked = {name: _checked(name, value) for name, value in changes.items()}
        if account not in (ADMINISTRATOR_ID, ANONYMOUS_ID):
            _refuse_reserved(checked.get("name", ""))
        with self._database.write() as session:
            row = queries.account(session, account, lock=True) if isinstance(account, int) else account
            _tier_exists(session, checked.get("tier", row.tier))
            with queries.unique(session, f"The name {checked.get('name', '')!r} is taken. Choose another one."):
                for name, value in checked.items():
                    setattr(row, name, value)
                session.add(row)
            if row.disabled:
                sessions.remove(session, account_id=row.id)
            return _account(row)

    # -- keys

    def create_key(self, account_id: int, name: str, scopes: Iterable[str]) -> tuple[Key, str]:
        """Create a key. Return it and its secret, which cannot be read again later."""
        if account_id == ANONYMOUS_ID:
            raise BadInput("The anonymous account cannot have keys. Create an account first.")
        raw = f"stt_{secrets.token_urlsafe(KEY_BYTES)}"
        row = rows.ApiKeyRow(
            account_id=account_id, name=_name(name), prefix=raw[:PREFIX], digest=_digest(raw), scopes=_scopes(scopes)
        )
        with self._database.write() as session:
            queries.account(session, account_id, lock=True)
            if len(queries.keys(session, account_id)) >= MOST_KEYS:
                raise BadInput(f"The account has {MOST_KEYS} keys already. Revoke one that is no longer used.")
            session.add(row)
            session.flush()
            return _key(row), raw

    def keys(self, account_id: int, *, revoked: bool = False) -> tuple[Key, ...]:
        """Return the valid keys of an account, oldest first; with `revoked`, the revoked ones too."""
        with self._database.read() as session:
            queries.account(session, account_id)
            return tuple(_key(row) for row in queries.keys(session, account_id, revoked=revoked))

    def revoke_key(self, account_id: int, key_id: int) -> None:
        """Revoke a key and end its sessions, on every server that uses this store."""
        with self._database.write() as session:
            row = session.get(rows.ApiKeyRow, key_id) if 0 < key_id <= queries.LARGEST_ID else None
            if row is None or row.account_id != account_id or row.revoked:
                raise NotFound(f"Key {key_id} was not found.")
            row.revoked = self._clock()
            sessions.remove(session, key_id=key_id)

    def identify(self, raw: str) -> tuple[Account, Key]:
        """Return the account of a key. Raises Unauthorized if the key is not valid or its account is disabled."""
        if not KEY.fullmatch(raw):
            raise Unauthorized(WRONG_KEY)
        digest = _digest(raw)
        with self._database.read() as session:
            candidates = queries.keys_with_prefix(session, raw[:PREFIX])
            found = [row for row in candidates if hmac.compare_digest(row.digest, digest)]
            if not found:
                raise Unauthorized(WRONG_KEY)
            account, key = _account(queries.account(session, found[0].account_id)), _key(found[0])
        if account.disabled:
            raise Unauthorized(
                "The account of this key is disabled. Ask the administrator, or use the key of another account."
            )
        self._touch(key)
        return account, key

    def _touch(self, key: Key) -> None:
        now = self._clock()
        if key.last_used is None or key.last_used <= now - TOUCH:
            self._database.note(("key", key.id), lambda session: queries.touch(session, key.id, now, now - TOUCH))

    # -- sessions of the page

    def begin_session(self, digest: str, account_id: int, key_id: int | None) -> None:
        """Store a new session and remove expired ones. A session without a key is the administrator's."""
        now = self._clock()
        row = rows.SessionRow(
            digest=digest, account_id=account_id, key_id=key_id, created=now, used=now, expires=now + SESSION_AGE
        )
        with self._database.write() as session:
            queries.account(session, account_id, lock=True)
            sessions.remove_old(session, now, now - SESSION_UNUSED)
            session.add(row)
            session.flush()
            sessions.keep_newest(session, account_id, MOST_SESSIONS)

    def find_session(self, digest: str) -> tuple[Account, Key | None] | None:
        """Find the account and the key of a session. Return None unless session, key and account are valid."""
        now = self._clock()
        with self._database.read() as session:
            found = sessions.find(session, digest, now, now - SESSION_UNUSED)
            if found is None:
                return None
            row, account, key = found
            number = row.id
            made = _account(account), None if key is None else _key(key)
        if row.used <= now - SESSION_TOUCH:
            self._database.note(("session", number), lambda session: sessions.touch(session, number, now))
        return made

    def end_session(self, digest: str) -> None:
        with self._database.write() as session:
            sessions.remove(session, digest=digest)

    def end_sessions(self, account_id: int | None = None) -> int:
        """End all sessions of an account, or of all accounts. Return their number."""
        with self._database.write() as session:
            if account_id is None:
                return sessions.remove(session)
            return sessions.remove(session, account_id=queries.account(session, account_id).id)


def _account(row: rows.AccountRow) -> Account:
    return Account(**{field.name: getattr(row, field.name) for field in fields(Account)})


def _is_sound(account: Account) -> bool:
    """Return whether all values of an account are such as may be sent (stt_lab.door.input_check)."""
    try:
        check([vars(account)])
    except BadInput:
        return False
    return isinstance(account.name, str) and isinstance(account.preferences, dict)


def _key(row: rows.ApiKeyRow) -> Key:
    values = {field.name: getattr(row, field.name) for field in fields(Key)}
    return Key(**values | {"scopes": tuple(row.scopes)})


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode()).hexdigest()


# -- checks of values


def _checked(name: str, value: Any) -> Any:
    if name not in CHECKS:
        raise BadInput(f"{name[:40]!r} of an account cannot be changed. Choose from {', '.join(CHECKS)}.")
    return CHECKS[name](value)


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _name(value: Any) -> str:
    name = _normal(value) if isinstance(value, str) else ""
    if not (1 <= len(name) <= 120 and name.isprintable()):
        raise BadInput("This name is empty, too long or has several lines. Use 1 to 120 characters on one line.")
    return name


def _refuse_reserved(name: str) -> None:
    """Raise BadInput for a name that reads like that of an account which every installation has."""
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    if plain in RESERVED:
        raise BadInput(f"The name {name[:40]!r} is reserved for the account '{plain}'. Choose another one.")


def _email(value: Any) -> str | None:
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) and len(value) <= 254 and value.isprintable() else ""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise BadInput("This e-mail address is not valid. Write one like ada@example.org, with at most 254 characters.")
    return text


def _preferences(value: Any) -> dict[str, Any]:
    with suppress(TypeError, ValueError):  # not representable in JSON
        if isinstance(value, dict) and len(json.dumps(value, allow_nan=False)) <= 4000:
            return value
    raise BadInput("These preferences cannot be stored. Send a JSON object of at most 4000 characters.")


def _tier_name(value: Any) -> str:
    return str(value)[:40]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadInput("'admin' and 'disabled' must be true or false. Send one of these.")
    return value


def _scopes(scopes: Iterable[str]) -> list[str]:
    wanted = sorted(set(scopes))
    if not wanted or not all(SCOPE.fullmatch(scope) for scope in wanted):
        raise BadInput("These scopes are not valid. Send a list of names such as 'speech'.")
    return wanted


def _tier_exists(session: Session, name: str) -> None:
    known = [tier.name for tier in queries.tiers(session)]
    if name not in known:
        raise BadInput(f"Tier {name!r} was not found. Choose from {', '.join(known)}.")


CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "email": _email,
    "preferences": _preferences,
    "tier": _tier_name,
    "admin": _flag,
    "disabled": _flag,
}
