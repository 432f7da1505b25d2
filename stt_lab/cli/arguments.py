"""Generate the arguments of a command from the parameters of an operation."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from stt_lab.registry import is_media, is_prose, plain_type


def add_argument(command: argparse.ArgumentParser, name: str, info: FieldInfo) -> None:
    """Add a parameter to a command: a positional argument if it is required, else an option.

    Options that are not given are absent from the result, so that the operation applies its own default.
    """
    if is_media(info):
        command.add_argument(name, nargs="+", metavar="FILE", help=info.description)
        return
    kind = plain_type(info)
    options: dict[str, Any] = {"choices": get_args(kind)} if get_origin(kind) is Literal else {}
    described = info.description or ""
    if is_prose(info):
        options["type"], described = _prose, f"{described} (@FILE reads a file, - reads stdin)"
    if info.is_required():
        command.add_argument(name, help=described, **options)
        return
    shown = "" if info.default is None else f" (default: {info.default})"
    options |= {"dest": name, "default": argparse.SUPPRESS, "help": f"{described}{shown}"}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    command.add_argument("--" + name.replace("_", "-"), **options)


def _prose(given: str) -> str:
    """Return a text as given, or read it from a file or stdin."""
    try:
        if given == "-":
            return sys.stdin.read()
        return Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
    except (OSError, UnicodeDecodeError):
        raise argparse.ArgumentTypeError(
            f"{given[:80]} is not a readable text file in UTF-8. Check its name and encoding."
        ) from None
