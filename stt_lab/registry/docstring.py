"""Generate docstrings of the Python functions from the declarations: parameters, units, result and errors."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic.fields import FieldInfo

from stt_lab.registry.declaration import Operation

WIDTH = 100
FILE_ERRORS = {
    "MissingFile": "The file cannot be read.",
    "UnsupportedMedia": "The file has no sound that can be decoded.",
}


def docstring(op: Operation) -> str:
    """Return the docstring of an operation's function: summary, parameters, result and errors."""
    parts = [op.description]
    if op.fields:
        listed = (_entry(name, _about(info)) for name, info in op.fields.items())
        parts.append("Parameters:\n" + "\n".join(listed))
    parts.append(("Yields" if op.live else "Returns") + ":\n" + _entry(_name(op.yielded), _shape(op)))
    parts.append("Raises:\n" + "\n".join(_entry(name, why) for name, why in errors(op).items()))
    return "\n\n".join(parts)


def errors(op: Operation) -> dict[str, str]:
    """Return the errors that an operation may raise, by class name, and their reasons."""
    found = {"BadInput": "A parameter is not valid."}
    found |= FILE_ERRORS if op.file_params else {}
    found |= {"NotFound": "Nothing has this id."} if op.path_params else {}
    found["Unavailable"] = "A model or its device is not available now."
    return found | ({"Cancelled": "The work was cancelled."} if op.job else {})


def _entry(name: str, text: str) -> str:
    return textwrap.fill(f"{name}: {text}", WIDTH, initial_indent="    ", subsequent_indent="        ")


def _about(info: FieldInfo) -> str:
    text = (info.description or "").rstrip(".")
    default = "" if info.is_required() or info.default is None else f" (default: {info.default!r})"
    return f"{text}{default}."


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else "value"


def _shape(op: Operation) -> str:
    kind = op.yielded
    about = (inspect.getdoc(kind) or "").splitlines()[:1] if is_dataclass(kind) else []
    members = f" Members: {', '.join(one.name for one in fields(kind))}." if is_dataclass(kind) else ""
    generated = about and about[0].startswith(f"{_name(kind)}(")  # dataclasses use the signature as docstring
    text = " ".join(about) if about and not generated else "The result."
    texts = f" In another format ({', '.join(op.texts)}): a Rendering with the `text`." if op.texts else ""
    return text + members + texts + (" With `background`: a JobInfo." if op.job else "")
