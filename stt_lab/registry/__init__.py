"""Operations: declared once as functions, and offered on every surface.

`@operation` turns a typed function into an `Operation`, from which HTTP, Gradio, the command line and the Python API
are generated. All of them run it by `call`: authorize -> parse -> gate -> present. The gate admits, queues, charges and
stores (stt_lab.jobs on a server; the gate of plain Python only runs the work).

declaration.py  operations and their parameters, jobs, charges and presentations
context.py      the context of a running operation, which `current` returns
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stt_lab.caller import LOCAL, Caller
from stt_lab.errors import Forbidden, Unauthorized
from stt_lab.registry.context import (
    Context,
    Gate,
    Meter,
    OpenGate,
    current,
    perform,
    running,
    steps,
    unmetered,
    within,
)
from stt_lab.registry.declaration import (
    MEDIA,
    PROSE,
    WEBHOOK,
    Charge,
    JobOptions,
    JobSpec,
    Media,
    Method,
    Operation,
    Presentation,
    Request,
    is_media,
    is_prose,
    per_minute,
    plain_type,
)
from stt_lab.registry.docstring import docstring
from stt_lab.runtime import local_runtime
from stt_lab.types import JobInfo

__all__ = [
    "MEDIA",
    "OPERATIONS",
    "PROSE",
    "WEBHOOK",
    "Charge",
    "Context",
    "Gate",
    "JobOptions",
    "JobSpec",
    "Media",
    "Meter",
    "OpenGate",
    "Operation",
    "Permit",
    "Presentation",
    "Request",
    "authorize",
    "call",
    "current",
    "is_media",
    "is_prose",
    "operation",
    "per_minute",
    "perform",
    "plain_type",
    "prepare",
    "present",
    "steps",
    "unmetered",
    "within",
]

OPERATIONS: dict[str, Operation] = {}


def operation(
    method: Method,
    path: str,
    *,
    scope: str | None = None,
    anonymous: bool = False,
    charge: Charge | None = None,
    job: JobSpec | None = None,
    plan: Callable[..., Any] | None = None,
    presentation: Presentation | None = None,
    replayable: bool = True,
    live: bool = False,
    streamed: bool = False,
    heavy: bool = False,
) -> Callable[..., Any]:
    """Declare a function as an operation. The decorated function validates its arguments like every surface."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        if not fn.__doc__:
            raise TypeError(f"{fn.__name__}: an operation needs a docstring")
        if fn.__name__ in OPERATIONS:
            raise TypeError(f"{fn.__name__}: declared twice")
        op = Operation(
            fn=fn,
            method=method,
            path=path,
            scope=scope,
            anonymous=anonymous,
            charge=charge,
            job=job,
            plan=plan,
            presentation=presentation,
            replayable=replayable,
            live=live,
            streamed=streamed,
            heavy=heavy,
        )
        OPERATIONS[op.name] = op

        @functools.wraps(fn)
        def validated(*args: Any, **kwargs: Any) -> Any:
            given = op.signature.bind(*args, **kwargs).arguments
            around = running()  # an operation that calls another one keeps its caller
            context = replace(around, gate=OpenGate()) if around else Context(LOCAL, local_runtime())
            request = prepare(op, given, context)
            return present(op, context.gate.run(request, context), request.values)

        validated.__signature__ = op.signature  # type: ignore[attr-defined]  # with the job options
        validated.__doc__ = docstring(op)
        validated.__annotations__ = {name: p.annotation for name, p in op.signature.parameters.items()}
        validated.__annotations__["return"] = op.signature.return_annotation
        return validated

    return declare


@dataclass(frozen=True)
class Permit:
    """Proof that a caller may use an operation. `authorize` makes it before any other part of a request is read."""

    op: Operation
    caller: Caller

    def call(
        self, values: Mapping[str, Any], context: Context, make: Callable[[Any, Mapping[str, Any]], Any] | None = None
    ) -> Any:
        """Run the operation. `make` presents its result instead of the operation's own presentation."""
        context = replace(context, caller=self.caller)
        request = prepare(self.op, values, context)
        result = context.gate.run(request, context)
        return present(self.op, result, request.values, make)


def call(op: Operation, values: Mapping[str, Any], context: Context) -> Any:
    """Run an operation for a caller. Every surface calls this."""
    return authorize(op, context.caller).call(values, context)


def authorize(op: Operation, caller: Caller) -> Permit:
    """Check that a caller may use an operation. Raises Unauthorized or Forbidden."""
    if caller.anonymous and not op.anonymous:
        raise Unauthorized(
            f"{op.name} needs a key. Send it as 'Authorization: Bearer KEY' (`stt-lab keys create` makes one), "
            "or sign in (`stt-lab sign-in`)."
        )
    if not caller.anonymous and not caller.may(op.scope):
        raise Forbidden(f"This key may not use {op.name}. Use a key with the scope '{op.scope}'.")
    return Permit(op, caller)


def prepare(op: Operation, values: Mapping[str, Any], context: Context) -> Request:
    """Check the parameters of a request and plan its work. Raises BadInput and its subclasses."""
    request = op.parse(values)
    return request if op.plan is None else replace(request, plan=within(context, op.plan, request.values))


def present(
    op: Operation,
    result: Any,
    values: Mapping[str, Any],
    make: Callable[[Any, Mapping[str, Any]], Any] | None = None,
) -> Any:
    """Present a result in the requested form. A job that goes on in the background stays a JobInfo."""
    if make is None and op.presentation is not None:
        make = op.presentation.make
    in_background = op.job is not None and isinstance(result, JobInfo)
    return result if make is None or in_background else make(result, values)
