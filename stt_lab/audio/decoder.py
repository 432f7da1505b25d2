"""Decode untrusted media in a separate process with limits: the child program of `stt_lab.audio`.

    python -m stt_lab.audio.decoder MAX_SAMPLES MEMORY_MB

MAX_SAMPLES counts at 16 kHz. Requests are JSON lines on stdin, {"source": path, "target": path, "rate": hertz,
"track": number, "whole": false}. Answers are JSON lines on stdout: {"fraction": 0.5} once or more, then {"done": {...}}
or {"error": sentence, "code": code}. The program ends with its stdin, also in the middle of a file. It imports PyAV and
numpy and nothing else that is heavy, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO, TypeAlias

import av.error
import numpy as np

from stt_lab.audio.media import ACCEPTED, Media, candidates, declared_seconds, opened, tracks
from stt_lab.audio.parts import find_parts
from stt_lab.audio.sound import (
    FAINT,
    FLOAT_BYTES,
    LEVEL,
    MOST_CHANNELS,
    QUIET,
    WAV_BYTES,
    Mix,
    Tally,
    frames,
    pcm,
)
from stt_lab.errors import SttError, Unavailable, UnsupportedMedia
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Track

HIGHEST_RATE = 48_000  # Hz
BLOCK_SECONDS = 60  # of sound, by which an output file may exceed the limit before it is noticed
REPORT_EVERY = 0.25  # seconds
OPEN_FILES = 32
FAINTEST = 0.00001  # of full scale (-100 dB): what is below is no sound, even with more than 16 bits
PROBE = 1000.0  # gain (60 dB) with which a track is read that has nothing in 16 bits
SLACK_SECONDS, SLACK_SHARE = 0.25, 0.01  # tolerated excess of the declared length: codec padding, rounding

Pending: TypeAlias = "queue.SimpleQueue[dict[str, Any]]"


def main() -> None:
    """Answer requests until stdin ends."""
    max_samples, memory_mb = int(sys.argv[1]), int(sys.argv[2])
    _limit(max_samples, memory_mb)
    gc.freeze()  # garbage collection after each file then visits that file's objects only
    pending: Pending = queue.SimpleQueue()
    target: list[str] = []  # the file being written
    threading.Thread(target=_listen, args=(pending, target), daemon=True).start()
    while True:
        request = pending.get()
        target[:] = [request["target"]]
        _say({"fraction": 0.0})  # errors from here on are caused by the file
        _limit_file(max_samples, 0 if request["whole"] else request["rate"])
        _say(_answer(request, max_samples))
        target.clear()
        gc.collect()  # resamplers are part of reference cycles


def _limit(max_samples: int, memory_mb: int) -> None:
    """Set the system's limits on memory, written bytes, open files and core dumps, where it supports them."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_AS: memory_mb * 1024 * 1024,
        resource.RLIMIT_FSIZE: _bytes(max_samples, 0),
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS and refuses it
            resource.setrlimit(kind, (value, value))


def _limit_file(max_samples: int, rate: int) -> None:
    """Limit the size of the next output file by its sample rate."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # as in _limit
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (_bytes(max_samples, rate), _bytes(max_samples, 0)))


def _bytes(max_samples: int, rate: int) -> int:
    """Return the largest output file at a sample rate, or with all channels (0): one block more than allowed."""
    if not rate:
        whole = min(WAV_BYTES * FLOAT_BYTES // SAMPLE_BYTES, max_samples * HIGHEST_RATE * MOST_CHANNELS)
        return max(whole + 2**26, _bytes(max_samples, HIGHEST_RATE))
    return (max_samples + SAMPLE_RATE * BLOCK_SECONDS) * SAMPLE_BYTES * rate // SAMPLE_RATE


def _listen(pending: Pending, target: list[str]) -> None:
    """Pass requests on. When the parent has gone, remove the unfinished file and exit."""
    for line in sys.stdin:
        pending.put(json.loads(line))
    for path in list(target):
        with contextlib.suppress(OSError):
            os.unlink(path)
    os._exit(0)


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _answer(request: dict[str, Any], max_samples: int) -> dict[str, Any]:
    try:
        source, target = request["source"], request["target"]
        decoded = decode(source, target, max_samples, request["rate"], request["track"], request["whole"])
        return {"done": decoded}
    except SttError as problem:
        return problem.as_dict()
    except MemoryError:
        error = "The file needs too much memory to decode. Convert it to 16 kHz mono FLAC."
    except OSError:
        return Unavailable(
            "The server's disk is full. Try again later, or ask the administrator to free space."
        ).as_dict()
    except (av.error.FFmpegError, ValueError, RuntimeError, ArithmeticError):
        error = f"The file cannot be decoded. Convert it to {ACCEPTED}."
    return UnsupportedMedia(error).as_dict()


def decode(
    source: str, target: str, max_samples: int, rate: int = SAMPLE_RATE, track: int = 0, whole: bool = False
) -> dict[str, Any]:
    """Write a sound track of `source` to the new file `target` as raw 16-bit mono PCM at `rate` Hz.

    `track` counts from 1; 0 chooses the one that is flagged as default if it has sound, else the first with sound.
    `max_samples` counts at 16 kHz. Sample n is heard n / `rate` seconds after the beginning of the file. Returns the
    fields of `stt_lab.types.Audio` except path and rate. With `whole`, the sound keeps rate, channels and level, as
    interleaved 32-bit floats, and the fields are those of `stt_lab.audio.multichannel.Multichannel`. Raises
    UnsupportedMedia for files that are no media or have no sound, BadInput for a track that is not there, and TooLarge
    beyond `max_samples`.
    """
    with _open(source) as file, open(target, "xb") as out:
        reader = Reader(file, out, max_samples, rate, whole)
        found = reader.tracks()
        order = candidates(found, track)
        used, heard = reader.choose(order)
        if not heard.samples:
            raise UnsupportedMedia(f"The file has no sound that can be decoded. Convert it to {ACCEPTED}.")
        warnings = [*heard.warnings(), *reader.warnings(), *_passed_over(order, used)]
        listed = [asdict(replace(one, used=one is used)) for one in found]
        if whole:
            made = heard.tally
            return {"samples": made.written, "channels": made.channels, "sample_rate": made.rate, "warnings": warnings}
        return heard.facts | {"samples": heard.samples, "tracks": listed, "warnings": warnings}


def _open(source: str) -> BinaryIO:
    try:
        return open(source, "rb")
    except OSError:
        raise UnsupportedMedia("The file cannot be opened. Check its permissions and send it again.") from None


def _passed_over(order: tuple[Track, ...], used: Track) -> list[str]:
    """Tell that the track which players would choose is silent."""
    first = order[0]
    if used is first or not first.default:
        return []
    return [f"Track {first.number} is flagged as the default, but it is silent. Track {used.number} was used."]


@dataclass(frozen=True)
class Heard:
    """A track as it was written."""

    facts: dict[str, Any]  # of the first part: container, codec, channels, source_rate
    deep: bool  # whether a sample can be quieter than one of 16 bits
    tally: Tally
    declared: float  # seconds that headers declare, of the parts that declare a length
    found: float  # seconds that were found in these parts
    unread: int  # parts that could not be read
    mix: Mix
    peak: float  # of the sound before its level was raised, in full scale

    @property
    def samples(self) -> int:
        return self.tally.written

    @property
    def silent(self) -> bool:
        return self.peak < FAINTEST

    def warnings(self) -> Iterator[str]:
        faults = []
        if self.tally.skipped:
            faults.append(f"{self.tally.skipped} packet{'s were' if self.tally.skipped > 1 else ' was'} skipped")
        if self.declared - self.found > max(SLACK_SECONDS, SLACK_SHARE * self.declared):
            faults.append(f"it ends early or has gaps ({self.found:.1f} of {self.declared:.1f} s were found)")
        if self.unread:
            faults.append(f"{self.unread} of the recordings in it could not be read")
        if faults:
            yield f"The file is damaged: {' and '.join(faults)}. The readable part was used."
        if gaps := self.tally.gaps:
            places = "one place" if len(gaps) == 1 else f"{len(gaps)} places"
            yield f"Sound is missing in {places} ({sum(gaps):.1f} s in all). All times are still those of the file."
        if self.mix.channel is not None:
            yield f"The channels cancel each other out when mixed. Channel {self.mix.channel + 1} alone was used."
        if self.mix.gain != 1.0:
            level, raised = (20 * math.log10(ratio) for ratio in (self.peak, self.mix.gain))
            yield f"The recording is very quiet (its peak is at {level:.0f} dB). It was raised by {raised:.0f} dB."


class Reader:
    """Reads tracks of a file, and writes the one that was read last."""

    def __init__(self, file: BinaryIO, out: BinaryIO, max_samples: int, rate: int, whole: bool = False) -> None:
        self._file, self._out, self._max_samples, self._rate = file, out, max_samples, rate
        self._whole = whole
        self._parts = find_parts(file)
        self._due = time.monotonic() + REPORT_EVERY

    def tracks(self) -> tuple[Track, ...]:
        with opened(self._file, self._parts[0]) as media:
            return tracks(media)

    def warnings(self) -> Iterator[str]:
        if len(self._parts) > 1:
            yield f"The file holds {len(self._parts)} recordings, one after the other. They were read as one."
        if any(part.corrected for part in self._parts):
            yield "The header of the file declares less sound than there is. All of it was read."

    def choose(self, order: tuple[Track, ...]) -> tuple[Track, Heard]:
        """Write the first of these tracks that has sound, or else the first."""
        for track in order:
            heard = self.hear(track)
            if not heard.silent:
                return track, heard
        return order[0], heard if len(order) == 1 else self.hear(order[0])

    def hear(self, track: Track) -> Heard:
        """Write a track: brought to level if it is very quiet, and one channel of it if a mix cancels itself out."""
        heard = self._write(track, Mix())
        if self._whole:
            return heard
        channel = int(np.argmax(heard.tally.energies)) if heard.tally.cancels else None
        if channel is not None or (heard.deep and heard.peak < FAINT):
            heard = self._write(track, Mix(channel, 1.0 if channel is not None else PROBE))
        gain = LEVEL / heard.peak if FAINTEST <= heard.peak < QUIET else 1.0
        wanted = Mix(channel, gain)
        return heard if heard.mix == wanted else replace(self._write(track, wanted), peak=heard.peak)

    def _write(self, track: Track, mix: Mix) -> Heard:
        self._out.seek(0)
        self._out.truncate()
        tally = Tally(0, "", floats=True) if self._whole else Tally(self._rate)
        deep = False
        facts: dict[str, Any] = {}
        declared = found = 0.0
        unread = 0
        for part in self._parts:
            try:
                with opened(self._file, part) as media:
                    stream = media.stream(min(track.number, len(media.container.streams.audio)))
                    tally.base, tally.start, tally.position = tally.written, 0, 0
                    self._copy(media, stream, mix, tally)
                    facts, deep = facts or media.facts(stream), deep or media.deep(stream)
                    promised = declared_seconds(media, stream, tally.start, tally.seconds)
            except UnsupportedMedia:
                if part is self._parts[0]:
                    raise
                unread += 1
                continue
            declared, found = declared + promised, found + (tally.seconds if promised else 0.0)
        return Heard(facts, deep, tally, declared, found, unread, mix, tally.peak / mix.gain)

    def _copy(self, media: Media, stream: Any, mix: Mix, tally: Tally) -> None:
        for block in pcm(frames(media, stream, tally), mix, tally, self._max_samples):
            self._out.write(block)
            if time.monotonic() >= self._due:
                _say({"fraction": min(1.0, tally.position / media.container.size)})
                self._due = time.monotonic() + REPORT_EVERY


if __name__ == "__main__":
    main()
