"""Describe callers of operations: an account, its key and its scopes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


@dataclass(eq=False)
class Errand:
    """A request or a job while this thread works on it. Callers take turns wherever work has to wait."""

    owner: str  # the account, or the hashed address of an anonymous caller
    refusable: bool  # whether it may be refused where too much waits; not a job, which the queue has admitted
    begun: bool = False  # whether some of its work is done; then it is not refused any more


_errand: ContextVar[Errand | None] = ContextVar("errand", default=None)


@contextmanager
def errand_of(caller: Caller, *, refusable: bool) -> Iterator[None]:
    """Work for a caller within the block."""
    owner = f"{caller.account_id} {caller.client}" if caller.anonymous else str(caller.account_id)
    token = _errand.set(Errand(owner, refusable))
    try:
        yield
    finally:
        _errand.reset(token)


def errand() -> Errand:
    """Return what this thread works on; outside of requests and jobs, work of the program itself."""
    return _errand.get() or Errand("", refusable=False)
