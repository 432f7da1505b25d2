"""Operations on the caller's account: keys, credits and usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from stt_lab.caller import SCOPES, Caller
from stt_lab.errors import BadInput, Forbidden
from stt_lab.operations.jobs import jobs
from stt_lab.operations.values import Removed, as_list, as_mapping
from stt_lab.registry import current, operation
from stt_lab.weights import catalog, devices

if TYPE_CHECKING:
    from stt_lab.accounts import accounts as store

API = "/api/v1"


@dataclass(frozen=True)
class Quota:
    """What remains of the plan's allowance; None means unlimited."""

    unit: str  # transcriptions, minutes or credits
    limit: int | None
    remaining: int | None
    reset: int  # seconds until the allowance renews; 0: never


@dataclass(frozen=True)
class AccountInfo:
    """An account without its secrets."""

    id: int
    name: str
    email: str | None
    preferences: dict[str, Any]  # e-mail preferences
    plan: str
    credits: int
    quota: Quota | None
    admin: bool
    disabled: bool
    created: datetime


@dataclass(frozen=True)
class OwnAccount(AccountInfo):
    """The caller's own account."""

    webhook_secret: str  # key of the signatures of webhooks


@dataclass(frozen=True)
class KeyInfo:
    """A key without its secret part."""

    id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created: datetime
    last_used: datetime | None


@dataclass(frozen=True)
class KeyList:
    """All valid keys of an account."""

    count: int
    results: tuple[KeyInfo, ...]


@dataclass(frozen=True)
class NewKey(KeyInfo):
    """A new key, with its secret part."""

    key: str | None = None  # shown in this answer only; None when the answer is replayed


@dataclass(frozen=True)
class OperationUsage:
    """What one operation used on one day."""

    operation: str
    minutes: int
    credits: int
    jobs: int


@dataclass(frozen=True)
class DayUsage:
    """What the account used on one day (UTC)."""

    day: date
    minutes: int
    credits: int
    jobs: int
    operations: tuple[OperationUsage, ...]


@dataclass(frozen=True)
class Usage:
    """Successful work by day (UTC), today last, and its totals."""

    days: tuple[DayUsage, ...]
    minutes: int
    credits: int
    jobs: int
    quota: Quota | None


@dataclass(frozen=True)
class Instance:
    """A place where engines run."""

    id: str
    device: str
    status: str  # running or idle
    models: tuple[str, ...]  # installed on this machine


@dataclass(frozen=True)
class Cloud:
    """All places where engines run."""

    count: int
    results: tuple[Instance, ...]


Mapping = Annotated[dict[str, Any] | None, BeforeValidator(as_mapping)]
Scopes = Annotated[
    list[str] | None,
    BeforeValidator(as_list),
    Field(description=f"Scopes of the key: {', '.join(SCOPES)}; default: those of the caller"),
]
NewName = Annotated[str | None, Field(description="New name")]
NewEmail = Annotated[str | None, Field(description='New e-mail address; "" removes it')]


# Account


@operation("GET", f"{API}/account/", scope="account")
def account() -> OwnAccount:
    """Get the account: name, e-mail preferences, credits and plan."""
    return _own(the_store().get(_caller().account_id))


@operation("PATCH", f"{API}/account/", scope="account")
def update_account(
    name: NewName = None,
    email: NewEmail = None,
    preferences: Annotated[Mapping, Field(description="E-mail preferences; they replace the old ones")] = None,
) -> OwnAccount:
    """Change the account's name, e-mail address or e-mail preferences."""
    changes = given(name=name, email=email, preferences=preferences)
    return _own(the_store().update(_caller().account_id, **changes))


# Keys


@operation("GET", f"{API}/keys/", scope="account")
def keys() -> KeyList:
    """List the account's keys. Only their prefixes are shown; the server does not store the keys themselves."""
    found = tuple(map(shown_key, the_store().keys(_caller().account_id)))
    return KeyList(len(found), found)


@operation("POST", f"{API}/keys/", scope="account")
def create_key(
    name: Annotated[str, Field(description="Name of the key")],
    scopes: Scopes = None,
) -> NewKey:
    """Create a key. This answer is the only place that shows it."""
    caller = _caller()
    wanted = sorted(_own_scopes(caller)) if scopes is None else scopes
    check_scopes(wanted, caller)
    key, raw = the_store().create_key(caller.account_id, name, wanted)
    return NewKey(**vars(shown_key(key)), key=raw)


@operation("DELETE", f"{API}/keys/{{id}}/", scope="account")
def revoke_key(id: Annotated[int, Field(description="Number of the key")]) -> Removed:
    """Revoke a key. It stops working at once."""
    the_store().revoke_key(_caller().account_id, id)
    return Removed(id, "revoked")


# Usage and devices


@operation("GET", f"{API}/usage/", scope="account")
def usage() -> Usage:
    """Get what the account used in the last 30 days, by day and operation."""
    store = the_store()
    rows = store.usage(_caller().account_id)
    days = tuple(
        DayUsage(
            row.day,
            row.minutes,
            row.credits,
            row.jobs,
            tuple(OperationUsage(one.operation, one.minutes, one.credits, one.jobs) for one in row.operations),
        )
        for row in rows
    )
    minutes, credits, jobs = (sum(getattr(day, name) for day in days) for name in ("minutes", "credits", "jobs"))
    return Usage(days, minutes, credits, jobs, _quota(_caller().account_id))


@operation("GET", f"{API}/cloud/", scope="account")
def cloud() -> Cloud:
    """List the places where engines run. Only administrators see them; for other callers the list is empty."""
    if not _caller().admin:
        return Cloud(0, ())
    runtime = current().runtime
    here = tuple(model.id for model in catalog.models() if catalog.available(model, runtime.settings))
    place = Instance("local", devices.device(runtime.settings), "running" if runtime.pool.working else "idle", here)
    return Cloud(1, (place,))


# Helpers


def _caller() -> Caller:
    return current().caller


def the_store() -> store.Accounts:
    return current().runtime.accounts


def given(**changes: Any) -> dict[str, Any]:
    """Return the changes that are not None. Raises BadInput if there are none."""
    made = {name: value for name, value in changes.items() if value is not None}
    if not made:
        raise BadInput(f"There is nothing to change. Send at least one of {', '.join(changes)}.")
    return made


def _own_scopes(caller: Caller) -> frozenset[str]:
    return frozenset(SCOPES) if caller.admin else caller.scopes


def check_scopes(wanted: list[str], caller: Caller) -> None:
    """Raise BadInput for an unknown scope, and Forbidden for one that the caller does not have."""
    for scope in wanted:
        if scope not in SCOPES:
            raise BadInput(f"The scope {scope[:40]!r} does not exist. Use one of {', '.join(SCOPES)}.")
        if not caller.may(scope) or (scope == "admin" and not caller.admin):
            raise Forbidden(f"You cannot create a key with the scope '{scope}'. Ask an administrator for one.")


def shown_account(account: store.Account) -> AccountInfo:
    return AccountInfo(**_shown(account))


def _own(account: store.Account) -> OwnAccount:
    return OwnAccount(**_shown(account), webhook_secret=jobs().webhook_secret(account.id))


def _shown(account: store.Account) -> dict[str, Any]:
    names = ("id", "name", "email", "preferences", "admin", "disabled", "created")
    shown = {name: getattr(account, name) for name in names}
    return shown | {"plan": account.tier, "credits": the_store().balance(account.id), "quota": _quota(account.id)}


def _quota(account_id: int) -> Quota | None:
    limits = the_store().limits(account_id, _caller().client)
    return Quota(**vars(limits)) if limits else None


def shown_key(key: store.Key) -> KeyInfo:
    return KeyInfo(key.id, key.name, key.prefix, key.scopes, key.created, key.last_used)
