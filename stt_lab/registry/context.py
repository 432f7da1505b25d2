"""The context of a running operation: its caller, what it works with, and where its progress goes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from stt_lab.caller import Caller
from stt_lab.errors import BadInput
from stt_lab.registry.declaration import SERVER_OPTIONS, Request
from stt_lab.runtime import Runtime
from stt_lab.types import File, Report, silent

Meter = Callable[[float], None]  # takes the seconds of sound that the running operation is charged for


class Gate(Protocol):
    """What stands between a request and its work."""

    def run(self, request: Request, context: Context) -> Any:
        """The result of the request, now or when its turn comes; or a JobInfo, when its options ask for that."""
        ...


class OpenGate:
    """Works at once, and takes and keeps nothing: for plain Python and the command line."""

    def run(self, request: Request, context: Context) -> Any:
        for name, unset in SERVER_OPTIONS.items():
            if getattr(request.options, name) != unset:
                raise BadInput(
                    f"The parameter '{name}' needs a server. Start one with `stt-lab serve` and send it there."
                )
        return perform(request, context)


def unmetered(seconds: float) -> None:
    """A meter that charges nothing."""


@dataclass(frozen=True)
class Context:
    """What a surface and the gate supply to an operation beside its parameters."""

    caller: Caller
    runtime: Runtime
    report: Report = silent  # takes progress; raises Cancelled when the caller has gone
    gate: Gate = field(default_factory=OpenGate)
    meter: Meter = unmetered
    idempotency_key: str | None = None
    filename: str = ""  # of the upload, as the client named it; to show, never to open
    plan: Any = None  # what the operation's `plan` returned for this request


_context: ContextVar[Context | None] = ContextVar("context", default=None)


def current() -> Context:
    """The context of the running operation. Raises RuntimeError outside of one: nobody is the caller by accident."""
    context = _context.get()
    if context is None:
        raise RuntimeError("no operation is running in this thread: call operations through stt_lab.registry")
    return context


def running() -> Context | None:
    """The context of the running operation, or None."""
    return _context.get()


def perform(request: Request, context: Context) -> Any:
    """Do the work itself, with checked parameters: what a gate calls when it has admitted a request."""
    result = within(replace(context, plan=request.plan), request.op.fn, request.values)
    if isinstance(result, Generator):
        return _steps(context, result)
    if isinstance(result, File):
        return replace(result, chunks=_steps(context, result.chunks))
    return result


def within(context: Context, fn: Callable[..., Any], values: Any) -> Any:
    """Call a function that may ask for the `current` context."""
    token = _context.set(context)
    try:
        return fn(**values)
    finally:
        _context.reset(token)


def _steps(context: Context, items: Iterator[Any]) -> Iterator[Any]:
    """The items of a lazy result, each of which is made in its context, in whatever thread asks for it."""
    try:
        while True:
            try:
                item = within(context, items.__next__, {})
            except StopIteration:
                return
            yield item
    finally:
        if isinstance(items, Generator):
            within(context, items.close, {})
