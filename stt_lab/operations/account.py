"""Operations on accounts, keys, credits and usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from stt_lab.caller import SCOPES, Caller
from stt_lab.errors import BadInput, Forbidden
from stt_lab.operations.jobs import jobs
from stt_lab.operations.values import Removed, listed, mapped
from stt_lab.registry import current, operation
from stt_lab.weights import catalog, devices

if TYPE_CHECKING:
    from stt_lab.accounts import accounts as store

API = "/api/v1"


@dataclass(frozen=True)
class Quota:
    """What is left of what the plan allows; None is no limit."""

    unit: str  # transcriptions, minutes or credits
    limit: int | None
    remaining: int | None
    reset: int  # seconds until it starts anew; 0 where it does not


@dataclass(frozen=True)
class AccountInfo:
    id: int
    name: str
    email: str | None
    preferences: dict[str, Any]  # of e-mail
    plan: str
    credits: int
    quota: Quota | None
    admin: bool
    disabled: bool
    created: datetime


@dataclass(frozen=True)
class OwnAccount(AccountInfo):
    webhook_secret: str  # signs what webhooks are told


@dataclass(frozen=True)
class KeyInfo:
    """What may be shown of a key."""

    id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created: datetime
    last_used: datetime | None


@dataclass(frozen=True)
class KeyList:
    count: int
    results: tuple[KeyInfo, ...]


@dataclass(frozen=True)
class NewKey(KeyInfo):
    key: str | None = None  # the key itself: in this one answer only, and not in a replay of it


@dataclass(frozen=True)
class OperationUsage:
    operation: str
    minutes: int
    credits: int
    jobs: int


@dataclass(frozen=True)
class DayUsage:
    day: date
    minutes: int
    credits: int
    jobs: int
    operations: tuple[OperationUsage, ...]


@dataclass(frozen=True)
class Usage:
    """What succeeded, by day (UTC); today is last."""

    days: tuple[DayUsage, ...]
    minutes: int
    credits: int
    jobs: int
    quota: Quota | None


@dataclass(frozen=True)
class Instance:
    """An engine's place of work in this installation."""

    id: str
    device: str
    status: str  # running, idle
    models: tuple[str, ...]  # that are on this machine


@dataclass(frozen=True)
class Cloud:
    count: int
    results: tuple[Instance, ...]


Mapping = Annotated[dict[str, Any] | None, BeforeValidator(mapped)]
Scopes = Annotated[
    list[str] | None,
    BeforeValidator(listed),
    Field(description=f"what it may be used for: {', '.join(SCOPES)}; without any, what the caller may"),
]
NewName = Annotated[str | None, Field(description="a new name")]
NewEmail = Annotated[str | None, Field(description='a new e-mail address, "" for none')]


# One's own account


@operation("GET", f"{API}/account/", scope="account")
def account() -> OwnAccount:
    """Show the account: name, e-mail preferences, credits and plan."""
    return _own(the_store().get(_caller().account_id))


@operation("PATCH", f"{API}/account/", scope="account")
def update_account(
    name: NewName = None,
    email: NewEmail = None,
    preferences: Annotated[Mapping, Field(description="e-mail preferences, in place of the old ones")] = None,
) -> OwnAccount:
    """Change the account's name, e-mail address or e-mail preferences."""
    changes = given(name=name, email=email, preferences=preferences)
    return _own(the_store().update(_caller().account_id, **changes))


# Keys


@operation("GET", f"{API}/keys/", scope="account")
def keys() -> KeyList:
    """List the account's keys. The keys themselves are not kept."""
    found = tuple(map(shown_key, the_store().keys(_caller().account_id)))
    return KeyList(len(found), found)


@operation("POST", f"{API}/keys/", scope="account")
def create_key(
    name: Annotated[str, Field(description="to tell it from others")],
    scopes: Scopes = None,
) -> NewKey:
    """Make a key. The answer is the only place where it is shown."""
    caller = _caller()
    wanted = sorted(_own_scopes(caller)) if scopes is None else scopes
    check_scopes(wanted, caller)
    key, raw = the_store().create_key(caller.account_id, name, wanted)
    return NewKey(**vars(shown_key(key)), key=raw)


@operation("DELETE", f"{API}/keys/{{id}}/", scope="account")
def revoke_key(id: Annotated[int, Field(description="number of the key")]) -> Removed:
    """Revoke a key: from now on it is refused."""
    the_store().revoke_key(_caller().account_id, id)
    return Removed(id, "revoked")


# What was used, and where it runs


@operation("GET", f"{API}/usage/", scope="account")
def usage() -> Usage:
    """Show what the account used in the last 30 days, by day and operation."""
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
    """List the places where engines work: for administrators; the list of all others is empty."""
    if not _caller().admin:
        return Cloud(0, ())
    runtime = current().runtime
    here = tuple(model.id for model in catalog.models() if catalog.available(model, runtime.settings))
    place = Instance("local", devices.device(runtime.settings), "running" if runtime.pool.working else "idle", here)
    return Cloud(1, (place,))


# Parts


def _caller() -> Caller:
    return current().caller


def the_store() -> store.Accounts:
    return current().runtime.accounts


def given(**changes: Any) -> dict[str, Any]:
    made = {name: value for name, value in changes.items() if value is not None}
    if not made:
        raise BadInput(f"Nothing would change: send at least one of {', '.join(changes)}.")
    return made


def _own_scopes(caller: Caller) -> frozenset[str]:
    return frozenset(SCOPES) if caller.admin else caller.scopes


def check_scopes(wanted: list[str], caller: Caller) -> None:
    """No key may do more than the one that makes it."""
    for scope in wanted:
        if scope not in SCOPES:
            raise BadInput(f"There is no scope {scope[:40]!r}: choose from {', '.join(SCOPES)}.")
        if not caller.may(scope) or (scope == "admin" and not caller.admin):
            raise Forbidden(f"A key with the scope '{scope}' cannot be made here: ask an administrator for one.")


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
