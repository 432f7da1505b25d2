"""A media file becomes `Audio`: raw PCM at 16 kHz, written by a child process that has limits.

Decoders of media are large programs in C that read what strangers send, so they never run in this process. The
child (`stt_lab.audio.decoder`) is kept between files, because starting it costs more than decoding a short recording.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import stat
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.errors import BadInput, EngineCrashed, MissingFile, SttError, TooLarge, Unavailable, UnsupportedMedia
from stt_lab.types import SAMPLE_BYTES, Audio, Event

PROGRAM = "stt_lab.audio.decoder"
PACKAGES = Path(__file__).resolve().parents[2]  # where the child finds stt_lab
INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_", "SYSTEMROOT", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_", "PYTHON")
REPORT_EVERY = 0.25  # seconds
REFUSALS = {kind.code: kind for kind in (UnsupportedMedia, TooLarge, Unavailable)}

Report = Callable[[Event], None]


@dataclass(frozen=True)
class DecodeLimits:
    """What one file may cost."""

    max_samples: int  # decoded, at 16 kHz
    timeout_s: float
    memory_mb: int = 2048  # address space of the child


def _silent(event: Event) -> None:
    """A report that nobody reads."""


class Decoder:
    """Decodes files in child processes; safe to use from many threads.

    PCM files appear in `folder`, which is made with mode 0700. Up to `keep` children stay alive between files; more
    are started while more files are decoded at once.
    """

    def __init__(self, folder: Path, limits: DecodeLimits, keep: int = 1) -> None:
        self.folder = folder.absolute()
        self.limits = limits
        self.keep = keep
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._idle: list[_Child] = []
        self._ending = weakref.finalize(self, _end_all, self._children, self._lock)  # also at the interpreter's exit

    def close(self) -> None:
        """End all children at once; a file that is being decoded then raises Unavailable. Harmless when repeated."""
        self._ending()

    def decode(self, source: Path, report: Report = _silent) -> AbstractContextManager[Audio]:
        """The sound of `source`; its PCM file is removed when the context ends.

        `report` gets `Event("decoding", fraction)` about four times a second; what it raises stops the child.
        Raises MissingFile, UnsupportedMedia, TooLarge, BadInput after the time limit, Unavailable after `close`.
        """
        return self._decoded(source, report)

    @contextmanager
    def _decoded(self, source: Path, report: Report) -> Iterator[Audio]:
        _check(source)
        target = self.folder / f"{secrets.token_hex(16)}.pcm"
        try:
            yield self._audio(source, target, report)
        finally:
            target.unlink(missing_ok=True)

    def _audio(self, source: Path, target: Path, report: Report) -> Audio:
        deadline = time.monotonic() + self.limits.timeout_s
        request = {"source": str(source.absolute()), "target": str(target)}
        report(Event("decoding", 0.0))
        with self._borrowed() as child:
            child.ask(request)
            done = self._follow(child, deadline, report)
            report(Event("decoding", 1.0))
        done |= {"samples": target.stat().st_size // SAMPLE_BYTES, "warnings": tuple(done["warnings"])}
        return Audio(path=target, **done)

    def _follow(self, child: _Child, deadline: float, report: Report) -> dict[str, Any]:
        """Pass progress on until the last answer; raises what stands in it."""
        fraction = -1.0  # until the child says that it has begun
        while time.monotonic() < deadline:
            message = child.answer(min(REPORT_EVERY, deadline - time.monotonic()))
            if message is None:
                raise self._ended(begun=fraction >= 0)
            if "done" in message:
                return dict(message["done"])
            if "error" in message:
                raise REFUSALS[message["code"]](message["error"])
            fraction = max(fraction, message.get("fraction", fraction))
            report(Event("decoding", max(0.0, fraction)))
        raise BadInput(f"Decoding took longer than {self.limits.timeout_s:g} s; send a shorter recording.")

    def _ended(self, begun: bool) -> SttError:
        """Why a child ended without an answer."""
        if not self._ending.alive:
            return _stopping()
        if begun:
            return UnsupportedMedia("The file makes its decoder fail; convert it to 16 kHz mono WAV or FLAC.")
        return _no_start()

    @contextmanager
    def _borrowed(self) -> Iterator[_Child]:
        """A child for one file. It lives on only if the file was good: a bad one may have harmed it."""
        child = self._take()
        try:
            yield child
        except BaseException:
            self._drop(child)
            raise
        with self._lock:
            stays = self._ending.alive and len(self._idle) < self.keep
            if stays:
                self._idle.append(child)
        if not stays:
            self._drop(child)

    def _take(self) -> _Child:
        with self._lock:
            if not self._ending.alive:
                raise _stopping()
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                self._children.discard(child)
                child.end()
            child = _Child(self.limits)
            self._children.add(child)
            return child

    def _drop(self, child: _Child) -> None:
        with self._lock:
            self._children.discard(child)
        child.end()


def _stopping() -> Unavailable:
    return Unavailable("The program is stopping; try again when it is back.")


def _no_start() -> EngineCrashed:
    return EngineCrashed("The decoder of media does not start; try again, or have PyAV reinstalled on this machine.")


def _check(source: Path) -> None:
    """Only regular files with content are opened: a pipe or a device would block."""
    try:
        found = source.stat()
    except (OSError, ValueError):
        raise MissingFile("The file does not exist or cannot be reached; check its name and send it again.") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedMedia("This is a folder or a device; send a file with sound.")
    if not found.st_size:
        raise UnsupportedMedia("The file is empty; send a file with sound.")


class _Child:
    """A running `stt_lab.audio.decoder` and the thread that reads its answers.

    Raises EngineCrashed if it cannot start.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self.answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        command = [sys.executable, "-P", "-m", PROGRAM, str(limits.max_samples), str(limits.memory_mb)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=null, env=_environment(), text=True
            )
        except OSError:
            raise _no_start() from None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, request: dict[str, str]) -> None:
        assert self.process.stdin
        with contextlib.suppress(OSError, ValueError):  # a child that has ended says so by its answer
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answer(self, patience: float) -> dict[str, Any] | None:
        """The next answer, {} if none comes within `patience` seconds, None when the child has ended."""
        try:
            return self.answers.get(timeout=max(0.0, patience))
        except queue.Empty:
            return {}

    def _read(self) -> None:
        assert self.process.stdout
        with contextlib.suppress(ValueError):  # half a line of a child that was killed
            for line in self.process.stdout:
                self.answers.put(json.loads(line))
        self.answers.put(None)

    def end(self) -> None:
        """Kill the child and wait until nothing of it is left. Harmless when repeated."""
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not yet flushed has no reader any more
                if pipe:
                    pipe.close()


def _environment() -> dict[str, str]:
    """What Python and its libraries need to start, and no secret."""
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(INHERITED)}
    paths = [str(PACKAGES), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _end_all(children: set[_Child], lock: threading.Lock) -> None:
    with lock:
        ending = list(children)
        children.clear()
    for child in ending:
        child.end()
