"""Operations of administrators: the accounts of this installation, their keys and their credits."""

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

Id = Annotated[int, Field(description="number of the account", ge=1)]


@dataclass(frozen=True)
class AccountList:
    count: int
    results: tuple[AccountInfo, ...]


@dataclass(frozen=True)
class Granted:
    id: int
    credits: int  # the new balance


@dataclass(frozen=True)
class EndedSessions:
    ended: int


@operation("GET", f"{API}/accounts/", scope="admin")
def list_accounts() -> AccountList:
    """List all accounts: for administrators."""
    found = tuple(map(shown_account, the_store().list()))
    return AccountList(len(found), found)


@operation("POST", f"{API}/accounts/", scope="admin")
def create_account(
    name: Annotated[str, Field(description="unique in this installation")],
    email: Annotated[str | None, Field(description="e-mail address")] = None,
    tier: Annotated[str, Field(description="free, paid, unlimited, or another that was made")] = "free",
) -> AccountInfo:
    """Make an account: for administrators. Its first key comes from `create_account_key`."""
    return shown_account(the_store().create(name, email, tier))


@operation("POST", f"{API}/accounts/{{id}}/keys/", scope="admin")
def create_account_key(
    id: Id,
    name: Annotated[str, Field(description="to tell it from others")],
    scopes: Annotated[
        list[str] | None, BeforeValidator(as_list), Field(description="without any: all but admin")
    ] = None,
) -> NewKey:
    """Make a key for any account: for administrators."""
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
    tier: Annotated[str | None, Field(description="another plan")] = None,
    disabled: Annotated[bool | None, Field(description="switch the account and its keys off, or on again")] = None,
) -> AccountInfo:
    """Change any account: for administrators."""
    return shown_account(the_store().update(id, **given(name=name, email=email, tier=tier, disabled=disabled)))


@operation("POST", f"{API}/accounts/{{id}}/credits/", scope="admin")
def grant_credits(
    id: Id,
    credits: Annotated[int, Field(description="how many; negative takes back")],
    note: Annotated[str, Field(description="why")] = "",
) -> Granted:
    """Give credits to an account: for administrators."""
    return Granted(id, the_store().grant(id, credits, note))


@operation("DELETE", f"{API}/sessions/", scope="admin")
def end_sessions(
    account: Annotated[int | None, Field(description="Number of the account; without it, all accounts", ge=1)] = None,
) -> EndedSessions:
    """End the sessions of the page, of one account or of all: for administrators. Keys stay valid."""
    return EndedSessions(the_store().end_sessions(account))
