"""Run the request loop of a driver: `python loop.py DRIVER`. JSON lines on stdin and stdout; needs Python 3.9.

In, first: {"model", "weights", "extra", "threads", "device", "options"}; out: {"versions"} or {"error"}.
Then, each: {"sound": file of signed 16-bit samples at 16 kHz, "language", "speakers"}; out: {"text", "language",
"segments", "turns"} or {"error"}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import Any, TextIO


def messages() -> TextIO:
    """Return the real stdout, and redirect stdout to stderr: output of libraries must not mix with messages."""
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return sink


def installed(*packages: str) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def pass_on(lines: SimpleQueue[str]) -> None:
    """Queue requests from stdin; exit when the parent closes it, even during a recording."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def main() -> None:
    sink = messages()

    def say(message: dict[str, Any]) -> None:
        sink.write(json.dumps(message) + "\n")
        sink.flush()

    try:
        packages, hear = importlib.import_module(sys.argv[1]).load(json.loads(sys.stdin.readline()))
    except Exception as problem:
        traceback.print_exc()
        say({"error": f"The program cannot start: {_sentence(problem)}"})
        return
    import numpy as np  # imported now, so that it is not measured

    say({"versions": installed(*packages)})
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=pass_on, args=(lines,), daemon=True).start()
    while True:
        request = json.loads(lines.get())
        samples = np.fromfile(request["sound"], "<i2").astype(np.float32) / np.float32(32768)
        try:
            say(hear(samples, request.get("language"), request.get("speakers") or 0))
        except Exception as problem:
            traceback.print_exc()
            say({"error": f"The program failed on this file: {_sentence(problem)}"})


def _sentence(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0][:300] if lines else 'no message'}"


if __name__ == "__main__":
    main()
