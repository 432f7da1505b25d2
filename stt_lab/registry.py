"""Operations: what a user can ask for, declared once and printed to every surface.

`@operation` turns a typed function into an `Operation`; HTTP, Gradio, the command line and the Python API
are printed from it. `call` is the one way in for all of them: authorise -> validate -> the gate, which admits, queues,
charges and stores (stt_lab.jobs on a server; nothing of that in plain Python).
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from stt_lab.caller import LOCAL, Caller
from stt_lab.errors import BadInput, Forbidden, MissingFile, Unauthorized
from stt_lab.runtime import Runtime, local_runtime
from stt_lab.types import Report, silent

Method = Literal["GET", "POST", "PATCH", "DELETE"]
Price = Callable[[float], int]  # of seconds of sound, in credits (1 credit = 1 minute)
Meter = Callable[[float], None]  # takes the seconds of sound that the running operation will be charged for
MEDIA = "media"  # marks a parameter that is a file: an upload on the network, a path in Python and on the command line
PROSE = "prose"  # marks a parameter that is a text of any length: on the command line also of a file
Media = Annotated[Path, Field(description="audio or video", json_schema_extra={MEDIA: True})]


def free(seconds: float) -> int:
    return 0


def per_minute(seconds: float) -> int:
    """A credit for each minute, rounded up."""
    return math.ceil(seconds / 60)


class Gate(Protocol):
    """What stands between a request and its work."""

    def run(self, op: Operation, values: dict[str, Any], context: Context, work: Callable[[Context], Any]) -> Any:
        """The result of `work`, now or when its turn comes; or the job itself, when `values` ask for that."""
        ...


class OpenGate:
    """Works at once, and takes and keeps nothing: of plain Python and the command line."""

    def run(self, op: Operation, values: dict[str, Any], context: Context, work: Callable[[Context], Any]) -> Any:
        for name in ("background", "webhook_url"):
            if values.get(name):
                raise BadInput(f"The parameter '{name}' needs a server: start one with `stt-lab serve` and ask it.")
        return work(context)


def unmetered(seconds: float) -> None:
    pass


@dataclass(frozen=True)
class Context:
    """What a surface and the gate supply to an operation beside its parameters."""

    caller: Caller
    runtime: Runtime
    report: Report = silent  # takes progress; raises Cancelled when the caller has gone
    gate: Gate = OpenGate()  # noqa: RUF009  it has no state
    meter: Meter = unmetered
    idempotency_key: str | None = None
    filename: str = ""  # of the upload, as the client named it; to show, never to open


_context: ContextVar[Context | None] = ContextVar("context", default=None)


def current() -> Context:
    """The context of the running operation; of this process itself when it was called as a plain function."""
    return _context.get() or Context(LOCAL, local_runtime())


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A declared function with its route, scope and price."""

    fn: Callable[..., Any]
    method: Method
    path: str
    scope: str | None = None  # None: open to everybody
    price: Price = free
    long: bool = False  # a job: it waits for its turn, can be cancelled, and survives a restart
    check: Callable[..., object] | None = (
        None  # of the parameters, before a job is accepted; raises BadInput and its kin
    )
    kept: bool = True  # whether the answer to an Idempotency-Key is kept; a file is made anew
    signature: inspect.Signature = field(init=False)
    params: type[BaseModel] = field(init=False)

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(self.fn, include_extras=True)
        sig = inspect.signature(self.fn)
        public = [p.replace(annotation=hints[name]) for name, p in sig.parameters.items()]
        fields: dict[str, Any] = {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in public}
        config = ConfigDict(extra="forbid")
        object.__setattr__(self, "signature", sig.replace(parameters=public, return_annotation=hints["return"]))
        object.__setattr__(self, "params", create_model(f"{self.name}_params", __config__=config, **fields))

    @property
    def name(self) -> str:
        return self.fn.__name__

    @property
    def summary(self) -> str:
        return self.description.splitlines()[0]

    @property
    def description(self) -> str:
        return inspect.getdoc(self.fn) or ""

    @property
    def fields(self) -> dict[str, FieldInfo]:
        return self.params.model_fields

    @property
    def media(self) -> tuple[str, ...]:
        """Names of the parameters that are files."""
        return tuple(name for name, info in self.fields.items() if is_media(info))

    @property
    def placed(self) -> tuple[str, ...]:
        """Names of the parameters that are part of the path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def priced(self) -> bool:
        return self.price is not free

    def parse(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Checked and converted parameters; BadInput names the first that is wrong."""
        missing = [name for name in self.media if values.get(name) in (None, "")]
        if missing:
            raise MissingFile(f"No recording was sent: put the audio or video into the field '{missing[0]}'.")
        try:
            params = self.params(**values)
        except ValidationError as problem:
            raise BadInput(_sentence(self, problem)) from None
        return {name: getattr(params, name) for name in self.fields}


def is_media(info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(MEDIA))


def is_prose(info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(PROSE))


def plain_type(info: FieldInfo) -> Any:
    """The type of a parameter, without the None that stands for "not given"."""
    members = [member for member in typing.get_args(info.annotation) if member is not type(None)]
    optional = type(None) in typing.get_args(info.annotation)
    return members[0] if optional and len(members) == 1 else info.annotation


def _sentence(op: Operation, problem: ValidationError) -> str:
    first = problem.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"There is no parameter '{name[:80]}'; {op.name} takes {', '.join(op.fields) or 'none'}."
    meaning = op.fields[name].description if name in op.fields else ""  # an alias has none
    about = f" ({meaning})" if meaning else ""
    said = first["msg"].removeprefix("Value error, ")
    return f"The parameter '{name}'{about} cannot be {str(first['input'])[:80]!r}: {said[0].lower()}{said[1:]}."


OPERATIONS: dict[str, Operation] = {}


def operation(
    method: Method,
    path: str,
    *,
    scope: str | None = None,
    price: Price = free,
    long: bool = False,
    check: Callable[..., object] | None = None,
    kept: bool = True,
) -> Callable[..., Any]:
    """Declare a function as an operation. What remains under its name validates like every surface does."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        if not fn.__doc__:
            raise TypeError(f"{fn.__name__}: an operation needs a docstring")
        if fn.__name__ in OPERATIONS:
            raise TypeError(f"{fn.__name__}: declared twice")
        op = Operation(fn=fn, method=method, path=path, scope=scope, price=price, long=long, check=check, kept=kept)
        OPERATIONS[op.name] = op

        @functools.wraps(fn)
        def validated(*args: Any, **kwargs: Any) -> Any:
            values = op.parse(op.signature.bind(*args, **kwargs).arguments)
            return OpenGate().run(op, values, current(), functools.partial(perform, op, values))

        return validated

    return declare


def call(op: Operation, values: Mapping[str, Any], context: Context) -> Any:
    """Run an operation for a caller: the only way in, for every surface."""
    authorise(op, context.caller)
    parsed = op.parse(values)
    if op.check is not None:
        _within(context, op.check, parsed)
    return context.gate.run(op, parsed, context, functools.partial(perform, op, parsed))


def perform(op: Operation, values: dict[str, Any], context: Context) -> Any:
    """The work itself, with checked values: what a gate calls when it has admitted a request."""
    return _within(context, op.fn, values)


def _within(context: Context, fn: Callable[..., Any], values: dict[str, Any]) -> Any:
    token = _context.set(context)
    try:
        return fn(**values)
    finally:
        _context.reset(token)


def authorise(op: Operation, caller: Caller) -> None:
    """Raises Unauthorized or Forbidden unless the caller may use the operation."""
    if caller.may(op.scope):
        return
    if caller.anonymous:
        raise Unauthorized(f"For {op.name} a key is needed: send it as 'Authorization: Bearer KEY'.")
    raise Forbidden(f"This key may not use {op.name}: ask for one with the scope '{op.scope}'.")
