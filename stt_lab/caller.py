"""Describe callers of operations: an account, its key and its scopes."""

from __future__ import annotations

from dataclasses import dataclass

ADMINISTRATOR_ID, ANONYMOUS_ID = (
    1,
    2,
)  # accounts in every database; stt_lab.store.models, which uses them, is slow to import
LOCAL_CLIENT = "local"  # client of anonymous callers on the server's own machine, whose transcriptions are not counted
SCOPES = ("speech", "text", "library", "account", "admin")  # scopes of keys


@dataclass(frozen=True)
class Caller:
    """An account or an anonymous client, with its scopes."""

    name: str
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    account_id: int = ANONYMOUS_ID
    key_id: int | None = None
    client: str = ""  # hashed address of an anonymous caller, or LOCAL_CLIENT; "" for others

    @property
    def anonymous(self) -> bool:
        return self.account_id == ANONYMOUS_ID

    def may(self, scope: str | None) -> bool:
        return scope is None or self.admin or scope in self.scopes


ANONYMOUS = Caller("anonymous")  # may use operations declared with `anonymous`
ADMINISTRATOR = Caller("administrator", admin=True, account_id=ADMINISTRATOR_ID)
LOCAL = Caller("local", admin=True, account_id=ADMINISTRATOR_ID)  # caller of Python functions and the command line
