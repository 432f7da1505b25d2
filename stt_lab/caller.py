"""Who calls an operation: an account, its key, and what that key may do."""

from __future__ import annotations

from dataclasses import dataclass

ADMINISTRATOR_ID, ANONYMOUS_ID = 1, 2  # accounts that every database has (stt_lab.store.models, slow to import)
SCOPES = ("speech", "text", "library", "account", "admin")  # what a key may be for


@dataclass(frozen=True)
class Caller:
    """Who asks, as the surface found out: the account, its key, and what that key may do."""

    name: str
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    account_id: int = ANONYMOUS_ID
    key_id: int | None = None
    client: str = ""  # of an anonymous caller: a keyed hash of the address, "" for all others

    @property
    def anonymous(self) -> bool:
        return self.account_id == ANONYMOUS_ID

    def may(self, scope: str | None) -> bool:
        return scope is None or self.admin or scope in self.scopes


ANONYMOUS = Caller("anonymous")  # may use the operations that are declared so
ADMINISTRATOR = Caller("administrator", admin=True, account_id=ADMINISTRATOR_ID)
LOCAL = Caller("local", admin=True, account_id=ADMINISTRATOR_ID)  # Python functions and the command line
