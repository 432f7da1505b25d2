"""The context of a running operation: its caller, runtime and receiver of progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from stt_lab.caller import Caller
from stt_lab.errors import BadInput
from stt_lab.registry.declaration import SERVER_OPTIONS, Request
from stt_lab.runtime import Runtime
from stt_lab.types import File, Report, silent

Meter = Callable[[float], None]  # receives the seconds of sound to charge for


class Gate(Protocol):
    """Admits requests and runs their work, at once or as jobs."""

    def run(self, request: Request, context: Context) -> Any:
        """Run a request. Return its result, or a JobInfo if its options ask for that."""
        ...


class OpenGate:
    """Runs the work at once, without charge or storage: for plain Python and the command line."""

    def run(self, request: Request, context: Context) -> Any:
        for name, unset in SERVER_OPTIONS.items():
            implied = name == "background" and request.op.job is not None and request.op.job.detached
            if getattr(request.options, name) != unset and not implied:
                raise BadInput(
                    f"The parameter '{name}' needs a server. Start one with `stt-lab serve` and send the request there."
                )
        return perform(request, context)


def unmetered(seconds: float) -> None:
    """Charge nothing."""


@dataclass(frozen=True)
class Context:
    """What a surface and the gate supply to an operation besides its parameters."""

    caller: Caller
    runtime: Runtime
    report: Report = silent  # receives progress; raises Cancelled if the client has disconnected
    gate: Gate = field(default_factory=OpenGate)
    meter: Meter = unmetered
    idempotency_key: str | None = None
    filename: str = ""  # the client's name of the upload, for display only
    folder: Path | None = None  # for files of a live stream, which are deleted when it ends
    recording: Path | None = None  # file in which a live stream keeps its sound (16-bit PCM); None: it keeps none
    plan: Any = None  # return value of the operation's `plan` for this request


_context: ContextVar[Context | None] = ContextVar("context", default=None)


def current() -> Context:
    """Return the context of the running operation. Raises RuntimeError outside of one."""
    context = _context.get()
    if context is None:
        raise RuntimeError("No operation is running in this thread. Call operations through stt_lab.registry.")
    return context


def running() -> Context | None:
    """Return the context of the running operation, or None."""
    return _context.get()


def perform(request: Request, context: Context) -> Any:
    """Do the work of an admitted request. Gates call this."""
    context = replace(context, plan=request.plan)
    result = within(context, request.op.fn, request.values)
    if isinstance(result, Generator):
        return steps(context, result)
    if isinstance(result, File):
        return replace(result, chunks=steps(context, result.chunks))
    return result


def within(context: Context, fn: Callable[..., Any], values: Any) -> Any:
    """Call a function with `context` as the `current` one."""
    token = _context.set(context)
    try:
        return fn(**values)
    finally:
        _context.reset(token)


def steps(context: Context, items: Iterator[Any]) -> Iterator[Any]:
    """Yield the items of a lazy result. Each is computed in the given context, in the thread that asks for it."""
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
