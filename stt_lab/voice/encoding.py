"""Encode speech while it is made, with the mark that it is synthetic before the sound."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, Protocol

from stt_lab.child import Child, clean_environ
from stt_lab.errors import EngineCrashed, EngineTimedOut
from stt_lab.types import Event, Report
from stt_lab.voice import synthetic_wav

SpeechFormat = Literal["mp3", "wav", "opus", "flac"]
PROGRAM = "stt_lab.voice.encoder"
MEMORY_MB = 1024  # address space of the child
POLL_S, LIMIT_S = 0.25, 30.0  # between looks whether the caller has given up; for one piece, which takes milliseconds


@dataclass(frozen=True)
class Codec:
    """How FFmpeg writes a format. Bit rates in bit/s; 0 for lossless ones."""

    container: str
    codec: str
    bit_rate: int
    options: dict[str, str] = field(default_factory=dict)


MEDIA_TYPES: dict[SpeechFormat, str] = {
    **{"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "flac": "audio/flac"},
}
CODECS: dict[SpeechFormat, Codec] = {
    "mp3": Codec("mp3", "libmp3lame", 64_000, {"write_xing": "0", "id3v2_version": "3"}),  # its length is not known yet
    "opus": Codec("ogg", "libopus", 32_000, {"page_duration": "200000"}),  # microseconds; a second by default
    "flac": Codec("flac", "flac", 0),
}


class SpeechEncoder(Protocol):
    """Makes a file of pieces of 16-bit mono PCM."""

    def push(self, pcm: bytes, rate: int) -> bytes:
        """Take a piece at a sample rate in Hz, the same for all. Return the bytes that are complete."""
        ...

    def finish(self) -> bytes:
        """Return the last bytes of the file."""
        ...


@contextmanager
def speech_encoder(format: SpeechFormat, engine: str, report: Report) -> Iterator[SpeechEncoder]:
    """Open an encoder of speech by an `engine`, such as "kokoro-82m". If `report` raises, it is closed."""
    today = date.today().isoformat()
    if format == "wav":
        yield WavEncoder(engine, today)
        return
    try:
        child = Child([sys.executable, "-P", "-m", PROGRAM, str(MEMORY_MB)], clean_environ(), stderr="discard")
    except OSError:
        raise EngineCrashed("The encoder does not start. Try again, or choose response_format=wav.") from None
    try:
        yield ChildEncoder(child, CODECS[format], tags(engine, today), report)
    finally:
        child.end()


def tags(engine: str, day: str) -> dict[str, str]:
    """Return the mark of synthetic speech as tags: ID3 in MP3, Vorbis comments in Opus and FLAC."""
    return {
        "comment": f"{synthetic_wav.MARK}. Made by {engine}.",
        **{"genre": "Synthetic speech", "artist": f"stt_lab, {engine}", "date": day},
    }


class WavEncoder:
    """A WAV file whose length is not known: both sizes are 0xFFFFFFFF. A `SpeechEncoder`."""

    def __init__(self, engine: str, day: str) -> None:
        self._engine, self._day, self._begun = engine, day, False

    def push(self, pcm: bytes, rate: int) -> bytes:
        before = b"" if self._begun else synthetic_wav.header(rate, None, self._engine, self._day)
        self._begun = True
        return before + pcm

    def finish(self) -> bytes:
        return b""


class ChildEncoder:
    """FFmpeg's encoders in a child process. A `SpeechEncoder`."""

    def __init__(self, child: Child, codec: Codec, tags: dict[str, str], report: Report) -> None:
        self._child, self._codec, self._tags, self._report = child, codec, tags, report
        self._begun = False

    def push(self, pcm: bytes, rate: int) -> bytes:
        if not self._begun:
            self._child.send({**vars(self._codec), "tags": self._tags, "rate": rate})
            self._begun = True
        return self._ask({"pcm": base64.b64encode(pcm).decode("ascii")})

    def finish(self) -> bytes:
        return self._ask({"end": True}) if self._begun else b""

    def _ask(self, message: dict[str, Any]) -> bytes:
        self._child.send(message)
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                answer = self._child.receive(POLL_S)
            except EOFError:
                raise EngineCrashed("The encoder stopped. Send the request again, or choose wav.") from None
            if answer is not None:
                return base64.b64decode(answer["made"])
            self._report(Event("speaking"))
        raise EngineTimedOut(f"Encoding took longer than {LIMIT_S:.0f} s. Send the request again, or choose wav.")
