"""The text engines of this process, for tests that call writers without an operation."""

from __future__ import annotations

from stt_lab.runtime import local_runtime
from stt_lab.types import silent
from stt_lab.writing.tools import Tools


def tools() -> Tools:
    return Tools(local_runtime().pool, silent)
