"""The reference page, printed from the operations: `python -m stt_lab.web.reference`, docs/operations.md and /docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import stt_lab.operations  # noqa: F401  declares the operations
from stt_lab.registry import OPERATIONS, Operation, is_media, plain_type
from stt_lab.settings import PREFIX, Settings

MACHINE = ("STT_LAB_DATA_DIR", "STT_LAB_MODELS_DIR", "STT_LAB_THREADS")  # their defaults differ


def page() -> str:
    """The whole page as Markdown."""
    parts = ["# Operations", "Printed by `make docs` from the declarations; do not edit."]
    parts += [_operation(op) for op in OPERATIONS.values()]
    parts += ["# Settings", "Environment variables, read once at the start.", _settings()]
    return "\n\n".join(parts) + "\n"


def html() -> str:
    """The same as a page of its own, which loads nothing from elsewhere."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(page())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>stt_lab: reference</title><style>{STYLE}</style>"
        f'<p><a href="./">The page</a> · <a href="openapi.json">OpenAPI</a></p>{body}</html>'
    )


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "td,th{border:1px solid #8886;padding:.3rem .6rem;text-align:left}"
    "code{font-size:.9em}"
)


def _operation(op: Operation) -> str:
    media = "".join(f" {name.upper()}" for name in op.file_params)
    lines = [
        f"## {op.name}",
        op.description,
        f"HTTP `{op.method} {op.path}` · Gradio `/{op.name}` · command `stt-lab {op.name.replace('_', '-')}{media}`"
        f" · Python `stt_lab.{op.name}`" + (f" · scope `{op.scope}`" if op.scope else ""),
    ]
    if op.fields:
        lines.append(_table("parameter", "type", op.fields))
    return "\n\n".join(lines)


def _settings() -> str:
    fields = {PREFIX + name.upper(): info for name, info in Settings.model_fields.items()}
    return _table("variable", "values", fields)


def _table(subject: str, values: str, fields: Mapping[str, FieldInfo]) -> str:
    rows = [
        _row(f"`{name}`", _kind(info), _default(name, info), info.description or "") for name, info in fields.items()
    ]
    return "\n".join([_row(subject, values, "default", "meaning"), "|---|---|---|---|", *rows])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(info: FieldInfo) -> str:
    if is_media(info):
        return "file"
    if "Secret" in str(info.annotation):
        return "text, secret"
    kind = plain_type(info)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind) if value)
    kind = get_origin(kind) or kind
    return getattr(kind, "__name__", str(kind))


def _default(name: str, info: FieldInfo) -> str:
    if name in MACHINE:
        return "of the machine"
    if info.default in (None, "", {}, ()):
        return "none"
    return "required" if info.default is PydanticUndefined else f"`{info.default}`"


if __name__ == "__main__":
    print(page(), end="")
