"""Operations: what a user can ask for, declared once and printed to every surface.

`@operation` turns a typed function into an `Operation`; HTTP, Gradio, the command line and the Python API
are printed from it. `call` is the one gate in front of all of them:
authorise -> validate -> admit (quota, credits) -> run -> settle.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from stt_lab.engines.protocols import Report, silent
from stt_lab.errors import BadInput, Forbidden, MissingFile
from stt_lab.runtime import Runtime, local_runtime

Method = Literal["GET", "POST"]
Price = Callable[[Any], int]  # of a result, in credits (1 credit = 1 minute of audio)
MEDIA = "media"  # marks a parameter that is a file: an upload on the network, a path in Python and on the command line
Media = Annotated[Path, Field(description="audio or video", json_schema_extra={MEDIA: True})]


def free(result: object) -> int:
    return 0


@dataclass(frozen=True)
class Caller:
    """Who asks. Accounts and tiers will be rows behind it; until then there are these three."""

    name: str
    scopes: frozenset[str] = frozenset()
    admin: bool = False

    def may(self, scope: str | None) -> bool:
        return scope is None or self.admin or scope in self.scopes


ANONYMOUS = Caller("anonymous", frozenset({"speech"}))
ADMINISTRATOR = Caller("administrator", admin=True)
LOCAL = Caller("local", admin=True)  # Python functions and the command line


@dataclass(frozen=True)
class Context:
    """What a surface supplies to an operation beside its parameters."""

    caller: Caller
    runtime: Runtime
    report: Report = silent  # takes progress; raises Cancelled when the caller has gone


_context: ContextVar[Context | None] = ContextVar("context", default=None)


def current() -> Context:
    """The context of the running operation; of this process itself when it was called as a plain function."""
    return _context.get() or Context(LOCAL, local_runtime())


class Gate(Protocol):
    """Where quota and credits are taken; the store of accounts will stand behind it."""

    def admit(self, operation: Operation, caller: Caller) -> typing.ContextManager[Callable[[int], None]]:
        """Enter before the work; call what it yields with the price after success; leaving without gives back."""
        ...


class OpenGate:
    """Admits everybody and takes nothing."""

    @contextmanager
    def admit(self, operation: Operation, caller: Caller) -> Iterator[Callable[[int], None]]:
        yield lambda credits: None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A declared function with its route, scope and price."""

    fn: Callable[..., Any]
    method: Method
    path: str
    scope: str | None = None  # None: open to everybody
    price: Price = free
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
        return (inspect.getdoc(self.fn) or "").splitlines()[0]

    @property
    def fields(self) -> dict[str, FieldInfo]:
        return self.params.model_fields

    @property
    def media(self) -> tuple[str, ...]:
        """Names of the parameters that are files."""
        return tuple(name for name, info in self.fields.items() if is_media(info))

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


def _sentence(op: Operation, problem: ValidationError) -> str:
    first = problem.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"There is no parameter '{name[:80]}'; {op.name} takes {', '.join(op.fields) or 'none'}."
    meaning = op.fields[name].description
    about = f" ({meaning})" if meaning else ""
    return f"The parameter '{name}'{about} cannot be {str(first['input'])[:80]!r}: {first['msg'].lower()}."


OPERATIONS: dict[str, Operation] = {}


def operation(method: Method, path: str, *, scope: str | None = None, price: Price = free) -> Callable[..., Any]:
    """Declare a function as an operation. What remains under its name validates like every surface does."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        if not fn.__doc__:
            raise TypeError(f"{fn.__name__}: an operation needs a docstring")
        if fn.__name__ in OPERATIONS:
            raise TypeError(f"{fn.__name__}: declared twice")
        op = OPERATIONS[fn.__name__] = Operation(fn=fn, method=method, path=path, scope=scope, price=price)

        @functools.wraps(fn)
        def validated(*args: Any, **kwargs: Any) -> Any:
            return fn(**op.parse(op.signature.bind(*args, **kwargs).arguments))

        return validated

    return declare


def call(op: Operation, values: Mapping[str, Any], context: Context, gate: Gate | None = None) -> Any:
    """Run an operation for a caller: the only way in, for every surface."""
    if not context.caller.may(op.scope):
        raise Forbidden(f"This key may not use {op.name}: ask for one with the scope '{op.scope}'.")
    parsed = op.parse(values)
    with (gate or OpenGate()).admit(op, context.caller) as settle:
        token = _context.set(context)
        try:
            result = op.fn(**parsed)
        finally:
            _context.reset(token)
        settle(op.price(result))
    return result
