"""Decode media files to `Audio`: raw PCM at 16 kHz or another rate, written by a child process with limits.

Media decoders are large C programs that read untrusted files, so they never run in this process. The child
(`stt_lab.audio.decoder`) is kept between files, because starting it takes longer than decoding a short recording.
"""

from __future__ import annotations

import secrets
import stat
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.audio.multichannel import Multichannel
from stt_lab.child import Child, clean_environ
from stt_lab.errors import BadInput, EngineCrashed, MissingFile, SttError, TooLarge, Unavailable, UnsupportedMedia
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Event, Report, Track, silent

PROGRAM = "stt_lab.audio.decoder"
REPORT_EVERY = 0.25  # seconds
WANTED = {"rate": SAMPLE_RATE, "track": 0, "whole": False}  # of a request, unless it says otherwise
LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000  # Hz
REFUSALS = {kind.code: kind for kind in (BadInput, UnsupportedMedia, TooLarge, Unavailable)}


@dataclass(frozen=True)
class DecodeLimits:
    """Limits for decoding one file."""

    max_samples: int  # of decoded sound at 16 kHz; other rates have the same limit in seconds
    timeout_s: float
    memory_mb: int = 2048  # address space of the child


class Decoder:
    """Decodes files in child processes. Thread-safe.

    PCM files are written to `folder`, which is created with mode 0700. Up to `keep` children stay alive between files;
    more are started while more files are decoded at once.
    """

    def __init__(self, folder: Path, limits: DecodeLimits, keep: int = 1) -> None:
        self.folder = folder.absolute()
        self.limits = limits
        self.keep = keep
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._children: set[_Program] = set()
        self._idle: list[_Program] = []
        self._ending = weakref.finalize(self, _end_all, self._children, self._lock)  # also at the interpreter's exit

    def close(self) -> None:
        """End all children; decoding in progress raises Unavailable. Harmless when repeated."""
        self._ending()

    def decode(
        self, source: Path, report: Report = silent, sample_rate: int = SAMPLE_RATE, track: int = 0
    ) -> AbstractContextManager[Audio]:
        """Decode a sound track of `source` at `sample_rate` (Hz). The PCM file is deleted after the block.

        `track` counts from 1; 0 chooses the one that is flagged as default if it has sound, else the first with sound.

        `report` gets `Event("decoding", fraction)` about four times a second; if it raises, the child is stopped.
        Raises MissingFile, UnsupportedMedia, TooLarge, BadInput after the time limit or for a track that is not there,
        and Unavailable after `close`.
        """
        if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
            raise ValueError(f"The sample rate cannot be {sample_rate} Hz. Use {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
        return self._decoded(source, report, sample_rate, track)

    @contextmanager
    def decode_whole(self, source: Path, report: Report = silent) -> Iterator[Multichannel]:
        """Decode `source` with its own rate, channels and level. The file is deleted after the block.

        Progress and errors are those of `decode`; UnsupportedMedia also for more than eight channels, and TooLarge
        for a sound that no WAV file can hold.
        """
        with self._target(source) as target:
            done = self._write(source, target, report, {"whole": True})
            yield Multichannel(path=target, **done | {"warnings": tuple(done["warnings"])})

    @contextmanager
    def _decoded(self, source: Path, report: Report, rate: int, track: int) -> Iterator[Audio]:
        with self._target(source) as target:
            done = self._write(source, target, report, {"rate": rate, "track": track})
            tracks = tuple(Track(**one) for one in done["tracks"])
            samples = target.stat().st_size // SAMPLE_BYTES
            done |= {"samples": samples, "tracks": tracks, "warnings": tuple(done["warnings"])}
            yield Audio(path=target, sample_rate=rate, **done)

    @contextmanager
    def _target(self, source: Path) -> Iterator[Path]:
        _check(source)
        target = self.folder / f"{secrets.token_hex(16)}.pcm"
        try:
            yield target
        finally:
            target.unlink(missing_ok=True)

    def _write(self, source: Path, target: Path, report: Report, wanted: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self.limits.timeout_s
        request = {"source": str(source.absolute()), "target": str(target)} | WANTED | wanted
        report(Event("decoding", 0.0))
        with self._borrowed() as child:
            child.send(request)
            done = self._follow(child, deadline, report)
            report(Event("decoding", 1.0))
        return done

    def _follow(self, child: _Program, deadline: float, report: Report) -> dict[str, Any]:
        """Pass progress on until the last answer. Raises the error in it."""
        fraction = -1.0  # until the child reports that it has begun
        while time.monotonic() < deadline:
            try:
                message = child.receive(min(REPORT_EVERY, deadline - time.monotonic())) or {}
            except EOFError:
                raise self._ended(begun=fraction >= 0) from None
            if "done" in message:
                return dict(message["done"])
            if "error" in message:
                raise REFUSALS[message["code"]](message["error"])
            fraction = max(fraction, message.get("fraction", fraction))
            report(Event("decoding", max(0.0, fraction)))
        raise BadInput(f"Decoding took longer than {self.limits.timeout_s:g} s. Send a shorter recording.")

    def _ended(self, begun: bool) -> SttError:
        """Return the error for a child that ended without an answer."""
        if not self._ending.alive:
            return _stopping()
        if begun:
            return UnsupportedMedia("The decoder crashed on this file. Convert it to 16 kHz mono WAV or FLAC.")
        return _no_start()

    @contextmanager
    def _borrowed(self) -> Iterator[_Program]:
        """Lend a child for one file. It is kept only if decoding succeeds, because a bad file may corrupt it."""
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

    def _take(self) -> _Program:
        with self._lock:
            if not self._ending.alive:
                raise _stopping()
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                self._children.discard(child)
                child.end()
            child = _Program(self.limits)
            self._children.add(child)
            return child

    def _drop(self, child: _Program) -> None:
        with self._lock:
            self._children.discard(child)
        child.end()


def _stopping() -> Unavailable:
    return Unavailable("The server is shutting down. Retry in a few seconds.")


def _no_start() -> EngineCrashed:
    return EngineCrashed("The media decoder does not start. Try again, or reinstall PyAV on this machine.")


def _check(source: Path) -> None:
    """Accept only regular, non-empty files: a pipe or a device would block."""
    try:
        found = source.stat()
    except (OSError, ValueError):
        raise MissingFile("The file does not exist or is not accessible. Check its name and permissions.") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedMedia("This is a folder or a device. Send an audio or video file.")
    if not found.st_size:
        raise UnsupportedMedia("The file is empty. Send an audio or video file.")


class _Program(Child):
    """A running `stt_lab.audio.decoder`. Raises EngineCrashed if it cannot start."""

    def __init__(self, limits: DecodeLimits) -> None:
        command = [sys.executable, "-P", "-m", PROGRAM, str(limits.max_samples), str(limits.memory_mb)]
        environ = clean_environ() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            super().__init__(command, environ, stderr="discard")
        except OSError:
            raise _no_start() from None


def _end_all(children: set[_Program], lock: threading.Lock) -> None:
    with lock:
        ending = list(children)
        children.clear()
    for child in ending:
        child.end()
