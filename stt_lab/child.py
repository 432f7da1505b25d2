"""Child processes: one class that exchanges messages with a program, and one function for the program's environment."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

PACKAGES = Path(__file__).resolve().parents[1]  # the folder that a child finds stt_lab in
PYTHON = ("PATH", "LD_LIBRARY_PATH", "DYLD_", "SYSTEMROOT", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_", "PYTHON")
OF_STT_LAB = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # these would lead another interpreter to our libraries
LOG_TAIL = 2000  # bytes


def clean_environ(*more: str, own_python: bool = True) -> dict[str, str]:
    """Return the variables that Python and its libraries need, and no secrets.

    `more` are beginnings of further names to keep. A program with `own_python` finds stt_lab; one that another
    interpreter runs does not.
    """
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(PYTHON + more)}
    if not own_python:
        return {name: value for name, value in kept.items() if name not in OF_STT_LAB}
    return kept | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), *filter(None, [kept.get("PYTHONPATH")])])}


class Lines:
    """Messages as lines of JSON, for programs that are not trusted: reading them runs no code."""

    @staticmethod
    def read(source: IO[bytes]) -> Any:
        """The next message. Raises EOFError at the end."""
        line = source.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)

    @staticmethod
    def write(message: Any, sink: IO[bytes]) -> None:
        sink.write(json.dumps(message).encode() + b"\n")


class Pickles:
    """Messages as pickles, for stt_lab's own programs."""

    @staticmethod
    def read(source: IO[bytes]) -> Any:
        """The next message. Raises EOFError at the end, and anything for half a message."""
        return pickle.load(source)

    @staticmethod
    def write(message: Any, sink: IO[bytes]) -> None:
        sink.write(pickle.dumps(message))  # nothing is written of what cannot be pickled


class Child:
    """A running program, and the thread that reads its messages.

    It has a session of its own, so Ctrl-C in a terminal reaches the parent only; it should end when its stdin does.
    Raises OSError if the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        wire: type[Lines | Pickles] = Lines,
        *,
        folder: Path | None = None,
        stderr: Literal["inherit", "discard", "keep"] = "inherit",
    ) -> None:
        self._wire = wire
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._log: IO[bytes] | None = tempfile.TemporaryFile() if stderr == "keep" else None  # noqa: SIM115  see end()
        self._sending = threading.Lock()
        self._parent = os.getpid()
        pipe, discard = subprocess.PIPE, subprocess.DEVNULL
        sink = discard if stderr == "discard" else self._log
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=sink, env=dict(environ), cwd=folder, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, message: Any) -> None:
        """Send a message; the last message from a program that has ended says so."""
        assert self.process.stdin is not None
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._wire.write(message, self.process.stdin)
            self.process.stdin.flush()

    def receive(self, patience_s: float) -> Any:
        """The next message; None if none comes in time. Raises EOFError when the program has ended."""
        try:
            message = self._messages.get(timeout=max(0.0, patience_s))
        except queue.Empty:
            return None
        if isinstance(message, EOFError):
            self._messages.put(message)  # for whoever asks next
            raise message
        return message

    def take(self, message: Any) -> None:
        """Called by the reading thread for each message, and at the end with EOFError()."""
        self._messages.put(message)

    def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            try:
                message = self._wire.read(self.process.stdout)
            except Exception:  # EOFError, or half a message, which may raise anything
                break
            self.take(message)
        self.take(EOFError())

    def last_words(self) -> str:
        """The end of what a program that has ended wrote to stderr, where that is kept."""
        if self._log is None:
            return ""
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - LOG_TAIL))
        return self._log.read().decode("utf-8", "replace")

    def end(self) -> None:
        """Kill the program, which owns nothing that needs an orderly end. Harmless when repeated, or after a fork."""
        if os.getpid() != self._parent:
            return
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for file in (self.process.stdin, self.process.stdout, self._log):
            with contextlib.suppress(OSError, ValueError):  # a message was still in the buffer of the broken pipe
                if file is not None:
                    file.close()
