"""Show a stream: finals on stdout, a line each; what may still change on stderr, if that is a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from stt_lab.streaming.updates import LastUpdate, Ready, Update
from stt_lab.types import Transcript

CLEAR = "\r\033[K"


def show_live(updates: Iterator[Update], quiet: bool = False) -> Transcript | None:
    """Print updates as they come, with `quiet` no finals. Return the transcript."""
    shown = sys.stderr.isatty()
    transcript = None
    for update in updates:
        if isinstance(update, Ready | LastUpdate):
            transcript = update.transcript if isinstance(update, LastUpdate) else None
            warnings = update.warnings if isinstance(update, Ready) else ()
            for warning in warnings:
                print(f"stt-lab: {warning}", file=sys.stderr)
        if shown:
            width = shutil.get_terminal_size().columns - 1
            print(CLEAR + update.partial[-width:], end="", file=sys.stderr, flush=True)
        if update.text and not quiet:
            print(update.text, flush=True)
    return transcript
