"""Run child processes: a class that exchanges messages with a program, and a function for its environment."""

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

PACKAGES = Path(__file__).resolve().parents[1]  # the folder that contains stt_lab
PYTHON = ("PATH", "LD_LIBRARY_PATH", "DYLD_", "SYSTEMROOT", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_", "PYTHON")
OF_PACKAGES = ("ORT_DISABLE_TELEMETRY", "PYANNOTE_METRICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")
SILENT = (*OF_PACKAGES, "WANDB_MODE", "WANDB_ERROR_REPORTING")  # set by stt_lab itself
OF_STT_LAB = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # another interpreter would find our libraries by these
LOG_TAIL = 2000  # bytes


def clean_environ(*more: str, own_python: bool = True) -> dict[str, str]:
    """Return the environment that Python and its libraries need, without secrets.

    `more` lists prefixes of further variables to keep. With `own_python`, the program can import stt_lab; for another
    interpreter, set it to False.
    """
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(PYTHON + SILENT + more)}
    if not own_python:
        return {name: value for name, value in kept.items() if name not in OF_STT_LAB}
    return kept | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), *filter(None, [kept.get("PYTHONPATH")])])}


class Lines:
    """Messages as lines of JSON, for programs that are not trusted: reading them runs no code."""

    @staticmethod
    def read(source: IO[bytes]) -> Any:
        """Read the next message. Raises EOFError at the end."""
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
        """Read the next message. Raises EOFError at the end, and any exception for half a message."""
        return pickle.load(source)

    @staticmethod
    def write(message: Any, sink: IO[bytes]) -> None:
        sink.write(pickle.dumps(message))  # pickle first, so that an unpicklable value writes nothing


class Child:
    """A running program, and the thread that reads its messages.

    It has its own session, so Ctrl-C in a terminal reaches only the parent; it should end when its stdin closes.
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
        """Send a message. Ignored by a program that has ended; `receive` then reports the end."""
        assert self.process.stdin is not None
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._wire.write(message, self.process.stdin)
            self.process.stdin.flush()

    def receive(self, patience_s: float) -> Any:
        """Return the next message; None if none comes in time. Raises EOFError if the program has ended."""
        try:
            message = self._messages.get(timeout=max(0.0, patience_s))
        except queue.Empty:
            return None
        if isinstance(message, EOFError):
            self._messages.put(message)  # kept for the next caller
            raise message
        return message

    def take(self, message: Any) -> None:
        """Handle a message in the reading thread; EOFError() at the end."""
        self._messages.put(message)

    def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            try:
                message = self._wire.read(self.process.stdout)
            except Exception:  # EOFError, or any exception for half a message
                break
            self.take(message)
        self.take(EOFError())

    def stderr_tail(self) -> str:
        """Return the last part of a program's stderr, if that is kept. The program must have ended."""
        if self._log is None:
            return ""
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - LOG_TAIL))
        return self._log.read().decode("utf-8", "replace")

    def end(self) -> None:
        """Kill the program; it needs no orderly end. Harmless when repeated, or after a fork."""
        if os.getpid() != self._parent:
            return
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for file in (self.process.stdin, self.process.stdout, self._log):
            with contextlib.suppress(OSError, ValueError):  # the buffer of the broken pipe still had a message
                if file is not None:
                    file.close()


def limit_memory(memory_mb: int) -> None:
    """Limit the memory of this process and forbid it core dumps, where the system supports that. For child programs."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; macOS refuses the limit of memory
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
