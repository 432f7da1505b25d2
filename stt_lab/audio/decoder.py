"""Decode untrusted media in a separate process with limits: the child program of `stt_lab.audio`.

    python -m stt_lab.audio.decoder MAX_SAMPLES MEMORY_MB

MAX_SAMPLES counts at 16 kHz. Requests are JSON lines on stdin, {"source": path, "target": path, "rate": hertz}. Answers
are JSON lines on stdout: {"fraction": 0.5} once or more, then {"done": {...}} or {"error": sentence, "code": code}. The
program ends with its stdin, also in the middle of a file. It imports PyAV and nothing else that is heavy, so that it
starts in a tenth of a second.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import av
import av.error
from av.stream import Discard, Disposition

from stt_lab.errors import SttError, TooLarge, Unavailable, UnsupportedMedia
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE

ACCEPTED = "MP3, WAV, FLAC, OGG, M4A, AAC, OPUS, WMA, MP4, WebM, MKV, AVI, MOV, WMV, MPG or MPEG"
DEMUXERS = "aac,asf,avi,flac,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav"  # no playlists, which name further files
NO_PROTOCOL = "none"  # this program opens the file itself, so demuxers may open nothing
BLOCK = 500_000  # source samples per resampling step
HIGHEST_RATE = 48_000  # Hz
BLOCK_SECONDS = 60  # limit of a block at low source rates, which resampling enlarges most
REPORT_EVERY = 0.25  # seconds
MAX_UNREADABLE = 100  # consecutive unreadable packets after which reading stops
OPEN_FILES = 32
UNKNOWN_SIZE = 0x7FFF_0000  # sizes in a RIFF header from here on mean "unknown"
SLACK_SECONDS, SLACK_SHARE = 0.25, 0.01  # tolerated excess of the declared length: codec padding, rounding

Frame: TypeAlias = "av.AudioFrame"
Pending: TypeAlias = "queue.SimpleQueue[dict[str, Any]]"


@dataclass
class Tally:
    """Counters for a file while it is read."""

    skipped: int = 0  # packets that could not be read or decoded
    start: int = 0  # byte offset of the first packet
    position: int = 0  # byte offset that reading has reached
    rate: int = SAMPLE_RATE  # Hz, of the output
    written: int = 0  # output samples

    @property
    def seconds(self) -> float:
        return self.written / self.rate


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
        _limit_file(max_samples, request["rate"])
        _say(_answer(request["source"], request["target"], max_samples, request["rate"]))
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
        resource.RLIMIT_FSIZE: _bytes(max_samples, HIGHEST_RATE),
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

        resource.setrlimit(resource.RLIMIT_FSIZE, (_bytes(max_samples, rate), _bytes(max_samples, HIGHEST_RATE)))


def _bytes(max_samples: int, rate: int) -> int:
    """Return the largest output file at a sample rate: one block more than allowed."""
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


def _answer(source: str, target: str, max_samples: int, rate: int) -> dict[str, Any]:
    try:
        return {"done": decode(source, target, max_samples, rate)}
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


def decode(source: str, target: str, max_samples: int, rate: int = SAMPLE_RATE) -> dict[str, Any]:
    """Write the first sound track of `source` to the new file `target` as raw 16-bit mono PCM at `rate` Hz.

    `max_samples` counts at 16 kHz. Returns the fields of `stt_lab.types.Audio` except path and rate. Raises
    UnsupportedMedia for files that are no media or have no sound, and TooLarge beyond `max_samples`.
    """
    tally = Tally(rate=rate)
    with _open(source) as file, _demux(file) as container, open(target, "xb") as out:
        stream = _sound(container)
        due = time.monotonic() + REPORT_EVERY
        for pcm in _resampled(_frames(container, stream, tally), tally, max_samples):
            out.write(pcm)
            if time.monotonic() >= due:
                _say({"fraction": min(1.0, tally.position / container.size)})
                due = time.monotonic() + REPORT_EVERY
        if not tally.written:
            raise UnsupportedMedia(f"The file has no sound that can be decoded. Convert it to {ACCEPTED}.")
        return {
            "samples": tally.written,
            "container": container.format.name,
            "codec": stream.codec_context.name,
            "channels": stream.codec_context.channels,
            "source_rate": stream.codec_context.sample_rate,
            "warnings": _warnings(tally, _declared_seconds(file, container, stream, tally)),
        }


class _Nameless:
    """A file without its name, so that only the content decides the format."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _open(source: str) -> BinaryIO:
    try:
        return open(source, "rb")
    except OSError:
        raise UnsupportedMedia("The file cannot be opened. Check its permissions and send it again.") from None


def _demux(file: BinaryIO) -> Any:
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": NO_PROTOCOL}
    try:
        return av.open(_Nameless(file), container_options=options, metadata_errors="ignore")
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError, OSError):
        raise UnsupportedMedia(
            f"The file is not readable audio or video, or its beginning or index is missing. Send {ACCEPTED}."
        ) from None


def _sound(container: Any) -> Any:
    """Select the first sound track; the demuxer then drops all others."""
    if not container.streams.audio:
        raise UnsupportedMedia("The video has no sound track. Send a file with sound.")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise UnsupportedMedia(f"The codec of the sound is not supported. Convert the file to {ACCEPTED}.")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def _frames(container: Any, stream: Any, tally: Tally) -> Iterator[Frame]:
    """Yield decoded frames. Undecodable packets are counted and skipped."""
    for packet in _packets(container, stream, tally):
        tally.start = tally.start or packet.pos or 0
        tally.position = max(tally.position, packet.pos or 0)
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            tally.skipped += 1
            continue
        for frame in frames:
            frame.pts = None  # positions come from counted samples, not from timestamps
            yield frame


def _packets(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """Yield the packets of a track; continue after unreadable parts."""
    failures = 0
    while failures < MAX_UNREADABLE:
        try:
            for packet in container.demux(stream):
                failures = 0
                yield packet
            return
        except av.error.InvalidDataError:
            failures += 1
            tally.skipped += 1


def _resampled(frames: Iterable[Frame], tally: Tally, max_samples: int) -> Iterator[memoryview]:
    """Yield raw PCM at the tally's rate, with a new resampler whenever rate, channels or sample format change."""
    most = max_samples * tally.rate // SAMPLE_RATE
    for (rate, layout, kind), run in itertools.groupby(frames, key=_shape):
        resampler = _resampler(tally.rate)
        average = not _can_mix(kind, layout)
        for block in itertools.chain(_blocks(run, min(BLOCK, BLOCK_SECONDS * rate)), [None]):
            coming = block.samples * tally.rate // rate if block else 0
            if tally.written + coming > most:  # check before the resampler allocates memory
                raise TooLarge(
                    f"The recording is longer than {_readable_length(max_samples)}. Split it into shorter parts."
                )
            for frame in resampler.resample(_average(block) if block and average else block):
                tally.written += frame.samples
                yield memoryview(frame.planes[0])[: frame.samples * SAMPLE_BYTES]


def _shape(frame: Frame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _resampler(rate: int = SAMPLE_RATE) -> Any:
    return av.AudioResampler(format="s16", layout="mono", rate=rate)  # faster-whisper's setting


def _blocks(frames: Iterable[Frame], size: int) -> Iterator[Frame]:
    """Join frames of one format to blocks of at least `size` samples, except for the last."""
    fifo = av.AudioFifo()
    for frame in frames:
        fifo.write(frame)
        if fifo.samples >= size:
            yield fifo.read()
    if fifo.samples:
        yield fifo.read()


def _can_mix(kind: str, layout: str) -> bool:
    """Return whether libswresample can mix this layout to mono. It cannot for nine or more unnamed channels."""
    try:
        probe = av.AudioFrame(format=kind, layout=layout, samples=1)
        probe.sample_rate = SAMPLE_RATE
        _resampler().resample(probe)
    except av.error.ArgumentError:
        return False
    return True


def _average(frame: Frame) -> Frame:
    """Return the mean of all channels as float. Packs first: PyAV miscounts planes of eight or more planar channels."""
    packed = av.AudioResampler(format="flt", layout=frame.layout.name, rate=frame.sample_rate).resample(frame)[0]
    samples = packed.to_ndarray().reshape(-1, frame.layout.nb_channels)  # (n, channels)
    mono = av.AudioFrame.from_ndarray(samples.mean(axis=1)[None], format="flt", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono


def _declared_seconds(file: BinaryIO, container: Any, stream: Any, tally: Tally) -> float:
    """Return the seconds that the headers declare for the sound track; 0 if they declare none."""
    kind = container.format.name
    if kind in ("wav", "avi"):
        return _promised_by_riff(file, container.size, tally)
    if "DURATION" in stream.metadata:  # Matroska's tag of the track: "00:01:02.500000000"
        with contextlib.suppress(ValueError):
            hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
            return hours * 3600 + minutes * 60 + seconds
    own = kind.startswith("mov")  # per-track durations; other formats give the longest track's
    others = [one for one in container.streams if one is not stream and not one.disposition & Disposition.attached_pic]
    if not stream.duration or kind == "aac" or (others and not own):
        return 0.0
    seconds = float(stream.duration * stream.time_base)
    rate = stream.codec_context.bit_rate if kind == "mp3" else None  # bits per second
    guess = (
        (container.size - tally.start) * 8 / rate if rate else 0.0
    )  # FFmpeg's own estimate, without a count in the header
    return 0.0 if abs(guess - seconds) <= SLACK_SHARE * seconds else seconds


def _promised_by_riff(file: BinaryIO, size: int, tally: Tally) -> float:
    """Read the size in a RIFF header (little-endian), because FFmpeg trims the length of WAV and AVI to the file's."""
    file.seek(4)
    declared = 8 + int.from_bytes(file.read(4), "little")
    return tally.seconds * declared / size if declared < UNKNOWN_SIZE else 0.0


def _warnings(tally: Tally, promised: float) -> list[str]:
    found = tally.seconds
    faults = []
    if tally.skipped:
        faults.append(f"{tally.skipped} packet{'s were' if tally.skipped > 1 else ' was'} skipped")
    if promised - found > max(SLACK_SECONDS, SLACK_SHARE * promised):
        faults.append(f"it ends early or has gaps ({found:.1f} of {promised:.1f} s were found)")
    return [f"The file is damaged: {' and '.join(faults)}. The readable part was used."] if faults else []


def _readable_length(samples: int) -> str:
    """Format a length for people: "8 hours", "90 seconds"."""
    seconds = samples / SAMPLE_RATE
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"


if __name__ == "__main__":
    main()
