"""Operations for administrators: accounts, keys, credits and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from stt_lab.caller import SCOPES, Caller
from stt_lab.operations.account import (
    API,
    AccountInfo,
    NewEmail,
    NewKey,
    NewName,
    check_scopes,
    given,
    shown_account,
    shown_key,
    the_store,
)
from stt_lab.operations.values import as_list
from stt_lab.registry import operation

Id = Annotated[int, Field(description="Number of the account", ge=1)]


@dataclass(frozen=True)
class AccountList:
    """All accounts. `damaged` has the numbers of accounts with values that cannot be read."""

    count: int
    results: tuple[AccountInfo, ...]
    damaged: tuple[int, ...] = ()


@dataclass(frozen=True)
class Granted:
    id: int
    credits: int  # the new balance


@dataclass(frozen=True)
class EndedSessions:
    ended: int


@operation("GET", f"{API}/accounts/", scope="admin")
def list_accounts() -> AccountList:
    """List all accounts (administrators only)."""
    found, damaged = the_store().list_all()
    shown = tuple(map(shown_account, found))
    return AccountList(len(shown), shown, damaged)


@operation("POST", f"{API}/accounts/", scope="admin")
def create_account(
    name: Annotated[str, Field(description="Name of the account, unique in this installation")],
    email: Annotated[str | None, Field(description="E-mail address")] = None,
    tier: Annotated[str, Field(description="Name of a tier: free, paid, unlimited, or your own")] = "free",
) -> AccountInfo:
    """Create an account (administrators only). Create its first key with `create_account_key`."""
    return shown_account(the_store().create(name, email, tier))


@operation("POST", f"{API}/accounts/{{id}}/keys/", scope="admin")
def create_account_key(
    id: Id,
    name: Annotated[str, Field(description="Name of the key, such as the device that uses it")],
    scopes: Annotated[
        list[str] | None,
        BeforeValidator(as_list),
        Field(description="Scopes of the key; without any, all except `admin`"),
    ] = None,
) -> NewKey:
    """Create a key for an account (administrators only)."""
    owner = the_store().get(id)
    wanted = [scope for scope in SCOPES if scope != "admin"] if scopes is None else scopes
    check_scopes(wanted, Caller("owner", frozenset(SCOPES), owner.admin))
    key, raw = the_store().create_key(owner.id, name, wanted)
    return NewKey(**vars(shown_key(key)), key=raw)


@operation("PATCH", f"{API}/accounts/{{id}}/", scope="admin")
def change_account(
    id: Id,
    name: NewName = None,
    email: NewEmail = None,
    tier: Annotated[str | None, Field(description="Name of the new tier")] = None,
    disabled: Annotated[
        bool | None, Field(description="Disable the account and its keys, or enable them again")
    ] = None,
) -> AccountInfo:
    """Change an account (administrators only)."""
    return shown_account(the_store().update(id, **given(name=name, email=email, tier=tier, disabled=disabled)))


@operation("POST", f"{API}/accounts/{{id}}/credits/", scope="admin")
def grant_credits(
    id: Id,
    credits: Annotated[int, Field(description="Number of credits; a negative number takes credits back")],
    note: Annotated[str, Field(description="Reason, for the ledger")] = "",
) -> Granted:
    """Grant credits to an account (administrators only)."""
    return Granted(id, the_store().grant(id, credits, note))


@operation("DELETE", f"{API}/sessions/", scope="admin")
def end_sessions(
    account: Annotated[int | None, Field(description="Number of the account; without one, all accounts", ge=1)] = None,
) -> EndedSessions:
    """End the page's sessions of an account, or of all accounts (administrators only). Keys stay valid."""
    return EndedSessions(the_store().end_sessions(account))
