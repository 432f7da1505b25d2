"""Operations: what a user can ask for, declared once and printed to every surface.

`@operation` turns a typed function into an `Operation`; HTTP, Gradio, the command line and the Python API
are printed from it. `call` is the one way in for all of them: authorize -> parse -> gate -> present. The gate admits,
queues, charges and stores (stt_lab.jobs on a server; nothing of that in plain Python).

declaration.py  operations, their parameters, and what they say about jobs, charges and the form of the answer
context.py      what a running operation finds with `current`
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
) -> Callable[..., Any]:
    """Declare a function as an operation. What remains under its name validates like every surface does."""

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
        )
        OPERATIONS[op.name] = op

        @functools.wraps(fn)
        def validated(*args: Any, **kwargs: Any) -> Any:
            given = op.signature.bind(*args, **kwargs).arguments
            around = running()  # an operation that calls another one stays with its caller
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
    """That a caller may use an operation. `authorize` makes it, before anything else of a request is looked at."""

    op: Operation
    caller: Caller

    def call(
        self, values: Mapping[str, Any], context: Context, make: Callable[[Any, Mapping[str, Any]], Any] | None = None
    ) -> Any:
        """Run the operation; `make` presents its result in the place of the operation's own presentation."""
        context = replace(context, caller=self.caller)
        request = prepare(self.op, values, context)
        result = context.gate.run(request, context)
        return present(self.op, result, request.values, make)


def call(op: Operation, values: Mapping[str, Any], context: Context) -> Any:
    """Run an operation for a caller: the only way in, for every surface."""
    return authorize(op, context.caller).call(values, context)


def authorize(op: Operation, caller: Caller) -> Permit:
    """Raises Unauthorized or Forbidden unless the caller may use the operation."""
    if caller.anonymous and not op.anonymous:
        raise Unauthorized(f"{op.name} needs a key. Send it as 'Authorization: Bearer KEY'.")
    if not caller.anonymous and not caller.may(op.scope):
        raise Forbidden(f"This key may not use {op.name}. Use a key with the scope '{op.scope}'.")
    return Permit(op, caller)


def prepare(op: Operation, values: Mapping[str, Any], context: Context) -> Request:
    """Check the parameters of a request and plan its work, once on its way. Raises BadInput and its kin."""
    request = op.parse(values)
    return request if op.plan is None else replace(request, plan=within(context, op.plan, request.values))


def present(
    op: Operation,
    result: Any,
    values: Mapping[str, Any],
    make: Callable[[Any, Mapping[str, Any]], Any] | None = None,
) -> Any:
    """Give a result the form that its request asked for; a job that goes on in the background has none."""
    if make is None and op.presentation is not None:
        make = op.presentation.make
    in_background = op.job is not None and isinstance(result, JobInfo)
    return result if make is None or in_background else make(result, values)
