"""Declare operations: a typed function with its route, scope, charge, job and presentation."""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from stt_lab.door.input_check import check_parameters
from stt_lab.errors import BadInput, MissingFile

Method = Literal["GET", "POST", "PATCH", "DELETE"]
MEDIA = "media"  # marks a file parameter: an upload on HTTP, a path in Python and on the command line
PROSE = "prose"  # marks a long text: the command line also reads it from a file
Media = Annotated[Path, Field(description="Audio or video file", json_schema_extra={MEDIA: True})]


def per_minute(seconds: float) -> int:
    """Return the credits for seconds of sound: one per minute, rounded up."""
    return math.ceil(seconds / 60)


@dataclass(frozen=True)
class Charge:
    """The charge of an operation: credits for seconds of input or output sound.

    `estimate` computes the expected seconds of output from the operation's parameters. They are reserved before the
    work; in the end the seconds are charged that the operation passes to `Context.meter`.
    """

    sound: Literal["input", "output"] = "input"
    estimate: Callable[..., float] | None = None
    credits: Callable[[float], int] = per_minute

    def __post_init__(self) -> None:
        if (self.sound == "output") != (self.estimate is not None):
            raise TypeError("A charge for output needs an estimate; a charge for input must have none.")


@dataclass(frozen=True)
class JobSpec:
    """How an operation runs as a job.

    `stages` computes the stages in order, each with its share of the time, from the operation's parameters.
    """

    stages: Callable[..., Mapping[str, float]]
    library: bool = False  # store the result as a transcript in the account's library
    detached: bool = False  # a server always answers with the job, as if `background` were set


@dataclass(frozen=True)
class JobOptions:
    """Parameters that every operation with a job has besides its own."""

    background: Annotated[
        bool,
        Field(
            description="Answer at once with a job instead of the result; on HTTP also `async`",
            validation_alias=AliasChoices("background", "async"),
        ),
    ] = False
    store: Annotated[bool, Field(description="Keep the transcript in the library of the key's account")] = True
    webhook_url: Annotated[
        str, Field(max_length=2000, description="URL that receives a signed POST when the job ends")
    ] = ""


OPTION_NAMES = tuple(option.name for option in fields(JobOptions))
SERVER_OPTIONS = {"background": False, "webhook_url": ""}  # options that need a server, with their unset values
WEBHOOK = "webhook_url"  # parameter name for errors about webhooks


@dataclass(frozen=True)
class Presentation:
    """How a result is presented after the gate: `make(result, parameters)`.

    `media_types` lists its text formats besides JSON. `result` is the type before presentation, if it differs from the
    function's. `chosen_by` is the parameter that selects the format, and its value that keeps the result unchanged.
    """

    make: Callable[[Any, Mapping[str, Any]], Any]
    media_types: tuple[str, ...] = ()
    result: Any = None
    chosen_by: tuple[str, str] | None = None


@dataclass(frozen=True)
class Request:
    """Checked parameters of one call, and the plan for them."""

    op: Operation
    values: Mapping[str, Any]  # arguments of the function
    options: JobOptions = field(default_factory=JobOptions)
    plan: Any = None  # return value of `Operation.plan`

    @property
    def stored(self) -> bool:
        """Return whether the result of a live operation goes to the library."""
        return bool(self.values.get("store"))

    @property
    def parameters(self) -> dict[str, Any]:
        """Return all parameters except files."""
        options = {name: getattr(self.options, name) for name in OPTION_NAMES} if self.op.job else {}
        return {name: value for name, value in self.values.items() if name not in self.op.file_params} | options


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A declared function with its route, scope and charge."""

    fn: Callable[..., Any]
    method: Method
    path: str
    scope: str | None = None  # None: any scope
    anonymous: bool = False  # whether callers without a key may use it
    charge: Charge | None = None
    job: JobSpec | None = None  # None: runs at once, and is not resumed after a restart
    plan: Callable[..., Any] | None = None  # chooses models before a job is accepted; raises BadInput

    presentation: Presentation | None = None
    replayable: bool = True  # whether the answer to an Idempotency-Key is stored; files are computed again
    live: bool = False  # whether it yields updates while sound comes, and is charged minute by minute
    streamed: bool = False  # whether its file is sent while it is made, and charged by what was delivered
    heavy: bool = False  # whether it computes for seconds or waits for engines; so do all with a job or the scope text
    signature: inspect.Signature = field(init=False)
    params: type[BaseModel] = field(init=False)

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(self.fn, include_extras=True)
        sig = inspect.signature(self.fn)
        public = [p.replace(annotation=hints[name]) for name, p in sig.parameters.items()]
        public += _options() if self.job else []
        known: dict[str, Any] = {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in public}
        config = ConfigDict(extra="forbid")
        object.__setattr__(self, "signature", sig.replace(parameters=public, return_annotation=hints["return"]))
        object.__setattr__(self, "params", create_model(f"{self.name}_params", __config__=config, **known))

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
    def threads(self) -> Literal["read", "write", "work"]:
        """Return which threads of a server run it, so that none waits for work of another kind."""
        if self.heavy or self.live or self.streamed or self.job is not None or self.scope == "text":
            return "work"
        return "read" if self.method == "GET" else "write"

    @property
    def on_transcript(self) -> bool:
        """Return whether its `id` is that of a stored transcript, with which its stored answers are deleted."""
        return "/transcripts/{id}/" in self.path

    @property
    def result(self) -> Any:
        """Return the type of its result before presentation."""
        declared = self.presentation.result if self.presentation else None
        return declared or self.signature.return_annotation

    @property
    def yielded(self) -> Any:
        """Return the type of what a live operation yields; that of the result of others."""
        return typing.get_args(self.result)[0] if self.live else self.result

    @property
    def file_params(self) -> tuple[str, ...]:
        """Return the names of the file parameters."""
        return tuple(name for name, info in self.fields.items() if is_media(info))

    @property
    def list_params(self) -> tuple[str, ...]:
        """Return the names of the parameters that are lists."""
        return tuple(name for name, info in self.fields.items() if typing.get_origin(plain_type(info)) in (list, tuple))

    def is_optional(self, name: str) -> bool:
        """Return whether a parameter, by its name or another one for it, may be left out."""
        return any(
            name in (known, *_other_names(info)) and not info.is_required() for known, info in self.fields.items()
        )

    @property
    def bare(self) -> bool:
        """Return whether a request may have no body: a POST that requires nothing which is not in the path."""
        return self.method == "POST" and all(
            name in self.path_params or not info.is_required() for name, info in self.fields.items()
        )

    @property
    def path_params(self) -> tuple[str, ...]:
        """Return the names of the parameters in the path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the media types of its text formats besides JSON."""
        return self.presentation.media_types if self.presentation else ()

    def parse(self, values: Mapping[str, Any]) -> Request:
        """Check and convert parameters. Raises BadInput for the first invalid one."""
        check_parameters(values)
        missing = [name for name in self.file_params if values.get(name) in (None, "")]
        if missing:
            raise MissingFile(f"No recording was sent. Send an audio or video file in the field '{missing[0]}'.")
        try:
            params = self.params(**values)
        except ValidationError as problem:
            raise BadInput(_sentence(self, problem)) from None
        checked = {name: getattr(params, name) for name in self.fields}
        options = {name: checked.pop(name) for name in OPTION_NAMES if self.job}
        chosen = JobOptions(**options)
        detached = self.job is not None and self.job.detached
        return Request(self, checked, replace(chosen, background=True) if detached else chosen)

    def options(self, parameters: Mapping[str, Any]) -> JobOptions:
        """Return the job options among checked parameters."""
        return JobOptions(**{name: parameters[name] for name in OPTION_NAMES if name in parameters and self.job})


def _options() -> list[inspect.Parameter]:
    """Append the job options to the parameters of a function."""
    hints = typing.get_type_hints(JobOptions, include_extras=True)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(option.name, kind, default=option.default, annotation=hints[option.name])
        for option in fields(JobOptions)
    ]


def _other_names(info: FieldInfo) -> tuple[str, ...]:
    alias = info.validation_alias
    return tuple(str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else ()


def is_media(info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(MEDIA))


def is_prose(info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(PROSE))


def plain_type(info: FieldInfo) -> Any:
    """Return the type of a parameter without None, the value for "not given"."""
    members = [member for member in typing.get_args(info.annotation) if member is not type(None)]
    optional = type(None) in typing.get_args(info.annotation)
    return members[0] if optional and len(members) == 1 else info.annotation


def _sentence(op: Operation, problem: ValidationError) -> str:
    first = problem.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"Unknown parameter '{name[:80]}'. {op.name} takes {', '.join(op.fields) or 'no parameters'}."
    meaning = op.fields[name].description if name in op.fields else ""  # aliases have none
    about = f" ({meaning})" if meaning else ""
    reason = first["msg"].removeprefix("Value error, ")
    sent = str(first["input"])[:80]
    return f"The parameter '{name}'{about} cannot be {sent!r}: {reason[0].lower()}{reason[1:]}."
