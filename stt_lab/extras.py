"""Say how to install the packages of an extra: from the index of packages, or from a clone's own folder."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "stt_lab"


def command(extra: str) -> str:
    """Return the command that installs an extra, for a sentence: `pip install 'stt_lab[lab]'`.

    It names no absolute path, because users of the server may read it.
    """
    made = command_line(extra)
    return f"`{made}`" if clone() is None else f"`{made}` in the folder of the clone"


def command_line(extra: str) -> str:
    """Return that command alone. In a clone, it has to be run in the clone's folder."""
    folder = clone()
    if folder is None:
        return f"pip install '{NAME}[{extra}]'"
    python = Path(sys.executable)
    shown = python.relative_to(folder).as_posix() if python.is_relative_to(folder) else "python"
    return f"{shown} -m pip install -e '.[{extra}]'"


@lru_cache
def clone() -> Path | None:
    """Return the folder that this package was installed from; None if it came from an index."""
    try:
        origin = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    if "dir_info" not in origin:
        return None
    return Path(url2pathname(urlsplit(str(origin["url"])).path))
