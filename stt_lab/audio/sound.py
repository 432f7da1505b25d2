"""Turn decoded frames into PCM at their times, and measure its level. Part of the decoder's program."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import av
import av.error
import numpy as np

from stt_lab.audio.media import Media
from stt_lab.errors import TooLarge, UnsupportedMedia
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE

BLOCK = 500_000  # source samples per resampling step
BLOCK_SECONDS = 60  # limit of a block at low source rates, which resampling enlarges most
MAX_UNREADABLE = 100  # consecutive unreadable packets after which reading stops
GAP_S = 0.1  # time stamps may be wrong by this much, by rounding in the container
LONGEST_GAP_S = 3600.0  # a longer one is a wrong time stamp, if the container declares no length
SPARSE = 8  # of so many source samples, one tells the energy of a channel
CANCELS = 0.1  # share of the channels' mean energy below which their mix has cancelled itself
FULL = 32_767  # largest 16-bit sample
QUIET = 0.003  # of full scale (-50 dB): a peak below it is brought to LEVEL; speech at -49 dB (FLEURS) is read well
FAINT = 0.0001  # of full scale (-80 dB): what is below is no sound
LEVEL = 0.7  # of full scale (-3 dB)
FLOAT_BYTES = 4
MOST_CHANNELS = 8  # that are kept; a mono mix has no limit
WAV_BYTES = 2**32 - 2**20  # of sound that a WAV file can hold, as 16-bit samples

Frame: TypeAlias = "av.AudioFrame"


@dataclass(frozen=True)
class Mix:
    """How channels become one: all of them (None) or one, times `gain`."""

    channel: int | None = None
    gain: float = 1.0

    @property
    def plain(self) -> bool:
        return self.channel is None and self.gain == 1.0


@dataclass
class Tally:
    """What was found in a track while it was read."""

    rate: int = SAMPLE_RATE  # Hz, of the output; 0: that of the sound
    layout: str = "mono"  # of the output's channels; "": those of the sound, as 32-bit floats
    channels: int = 1  # of the output
    floats: bool = False  # whether samples are 32-bit floats instead of 16-bit integers
    base: int = 0  # output samples of earlier parts
    written: int = 0  # output samples of all parts, each of all channels
    skipped: int = 0  # packets that could not be read or decoded
    start: int = 0  # byte offset of the first packet
    position: int = 0  # byte offset that reading has reached
    gaps: list[float] = field(default_factory=list)  # seconds of sound that is missing, each
    peak: float = 0.0  # of the output, in full scale
    mixed: float = 0.0  # energy of the mean of all channels
    energies: Any = 0.0  # of each channel

    @property
    def seconds(self) -> float:
        """Of this part."""
        return (self.written - self.base) / self.rate if self.rate else 0.0

    @property
    def size(self) -> int:
        """Bytes of a sample of all channels."""
        return self.channels * (FLOAT_BYTES if self.floats else SAMPLE_BYTES)

    def adopt(self, frame: Frame) -> None:
        """Take rate and channels of the first frame, where the output keeps those of the sound."""
        if not self.layout:
            self.rate, self.layout, self.channels = frame.sample_rate, frame.layout.name, frame.layout.nb_channels
            check_channels(self.channels)

    @property
    def silent(self) -> bool:
        return self.peak < FAINT

    @property
    def cancels(self) -> bool:
        """Whether the channels' mix has lost nearly all sound, as when one is the other turned over."""
        return np.size(self.energies) > 1 and self.mixed < CANCELS * float(np.mean(self.energies))


class Placed(NamedTuple):
    """A frame, and the second of its part at which its run of uninterrupted frames begins."""

    frame: Frame
    begin: float


def frames(media: Media, stream: Any, tally: Tally) -> Iterator[Placed]:
    """Yield decoded frames with their times. Undecodable packets are counted and skipped."""
    clock = Clock(media, tally)
    for packet in _packets(media.container, stream, tally):
        tally.start = tally.start or packet.pos or 0
        tally.position = max(tally.position, packet.pos or 0)
        try:
            found = packet.decode()
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            tally.skipped += 1
            continue
        for frame in found:
            begin = clock.place(frame)
            frame.pts = None  # from here on, samples are counted
            yield Placed(frame, begin)


class Clock:
    """Tells when frames are heard: one after the other, except where time stamps say that sound is missing."""

    def __init__(self, media: Media, tally: Tally) -> None:
        self._timed, self._tally = media.timed, tally
        self._zero, self._length = media.start, media.length  # seconds; None where unknown
        self._begin = self._now = 0.0  # seconds: of the run, and of the next frame

    def place(self, frame: Frame) -> float:
        """Return the time at which the run of this frame begins."""
        if self._timed and frame.pts is not None and frame.time_base:
            stamp = float(frame.pts * frame.time_base)
            self._zero = stamp if self._zero is None else self._zero
            missing = stamp - self._zero - self._now
            if missing > GAP_S and self._believable(missing):
                if self._now:  # a late beginning is no gap
                    self._tally.gaps.append(missing)
                self._now += missing
                self._begin = self._now
            elif abs(missing) > GAP_S:  # time stamps begin anew, as in joined files
                self._zero += missing
        self._now += frame.samples / frame.sample_rate
        return self._begin

    def _believable(self, missing: float) -> bool:
        if self._length is None:
            return missing <= LONGEST_GAP_S
        return self._now + missing <= self._length + GAP_S


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


def pcm(placed: Iterable[Placed], mix: Mix, tally: Tally, max_samples: int) -> Iterator[memoryview]:
    """Yield raw PCM at the tally's rate, with silence where sound is missing: 16-bit mono, or floats of all channels.

    Each run of frames with the same rate, channels and sample format has a resampler of its own. `max_samples` counts
    at 16 kHz; raises TooLarge beyond it.
    """
    for _, run in itertools.groupby(placed, key=_shape):
        first = next(run)
        tally.adopt(first.frame)
        rate, layout, kind = first.frame.sample_rate, first.frame.layout.name, first.frame.format.name
        missing = tally.base + round(first.begin * tally.rate) - tally.written if first.begin else 0
        check_room(missing, tally, max_samples)
        yield from _silence(missing, tally)
        resampler, average = _resampler(tally), not tally.floats and not _can_mix(kind, layout)
        run = itertools.chain([first], run)
        for block in itertools.chain(_blocks(run, min(BLOCK, BLOCK_SECONDS * rate)), [None]):
            coming = block.samples * tally.rate // rate if block else 0
            check_room(coming, tally, max_samples)  # before the resampler allocates memory
            if block is not None and not tally.floats:
                block = _as_mono(block, mix, tally, average)
            for frame in resampler.resample(block):
                made = memoryview(frame.planes[0])[: frame.samples * tally.size]
                tally.written += frame.samples
                tally.peak = max(tally.peak, _peak(made, tally.floats))
                yield made


def check_room(coming: int, tally: Tally, max_samples: int) -> None:
    """Refuse sound beyond the limit, which counts at 16 kHz, and beyond what a WAV file can hold."""
    total = tally.written + coming
    if total > max_samples * tally.rate // SAMPLE_RATE:
        raise TooLarge(f"The recording is longer than {readable_length(max_samples)}. Split it into shorter parts.")
    if tally.floats and total * tally.channels * SAMPLE_BYTES > WAV_BYTES:
        raise TooLarge("The result would be larger than 4 GB, the most that a WAV file holds. Split the recording.")


def check_channels(channels: int) -> None:
    """Refuse a sound with too many channels to keep them."""
    if channels > MOST_CHANNELS:
        raise UnsupportedMedia(
            f"The recording has {channels} channels. Send one with at most {MOST_CHANNELS}, or mix it down."
        )


def _as_mono(block: Frame, mix: Mix, tally: Tally, average: bool) -> Frame:
    """Mix a block as wanted, and weigh its channels where the resampler mixes them."""
    if not mix.plain:
        return _mixed(block, mix)
    _weigh(block, tally)
    return _mixed(block, mix) if average else block


def _silence(samples: int, tally: Tally) -> Iterator[memoryview]:
    while samples > 0:
        size = min(samples, BLOCK)
        tally.written += size
        samples -= size
        yield memoryview(bytes(size * tally.size))


def _peak(made: memoryview, floats: bool) -> float:
    if floats:
        found = np.abs(np.frombuffer(made, "<f4"))
        return float(found.max()) if found.size else 0.0
    samples = np.frombuffer(made, "<i2")
    return max(int(samples.max()), -int(samples.min())) / FULL if samples.size else 0.0


def _weigh(block: Frame, tally: Tally) -> None:
    """Add up the energy of the channels and of their mean."""
    if block.layout.nb_channels < 2:
        return
    samples = _channels(block)[::SPARSE]
    energies = np.square(samples).sum(axis=0, dtype=np.float64)  # (channels,)
    known = np.size(tally.energies) in (1, energies.size)
    tally.energies = tally.energies + energies if known else energies
    tally.mixed = (tally.mixed if known else 0.0) + float(np.square(samples.mean(axis=1)).sum(dtype=np.float64))


def _mixed(block: Frame, mix: Mix) -> Frame:
    """Return one channel, or the mean of all, as float."""
    samples = _channels(block)
    one = samples.mean(axis=1) if mix.channel is None else samples[:, min(mix.channel, samples.shape[1] - 1)]
    made = av.AudioFrame.from_ndarray(np.ascontiguousarray(one * mix.gain, np.float32)[None], "flt", "mono")
    made.sample_rate = block.sample_rate
    return made


def _channels(block: Frame) -> Any:
    """Return the samples as float32, shape (n, channels). Packs first: PyAV miscounts planes of eight or more planar
    channels."""
    packed = av.AudioResampler(format="flt", layout=block.layout.name, rate=block.sample_rate).resample(block)
    return np.concatenate([one.to_ndarray().reshape(-1, block.layout.nb_channels) for one in packed])


def _shape(placed: Placed) -> tuple[float, int, str, str]:
    frame = placed.frame
    return placed.begin, frame.sample_rate, frame.layout.name, frame.format.name


def resampler_to(rate: int = SAMPLE_RATE) -> Any:
    return av.AudioResampler(format="s16", layout="mono", rate=rate)  # faster-whisper's setting


def _resampler(tally: Tally) -> Any:
    if not tally.floats:
        return resampler_to(tally.rate)
    return av.AudioResampler(format="flt", layout=tally.layout, rate=tally.rate)


def _blocks(run: Iterable[Placed], size: int) -> Iterator[Frame]:
    """Join frames of one format to blocks of at least `size` samples, except for the last."""
    fifo = av.AudioFifo()
    for placed in run:
        fifo.write(placed.frame)
        if fifo.samples >= size:
            yield fifo.read()
    if fifo.samples:
        yield fifo.read()


def _can_mix(kind: str, layout: str) -> bool:
    """Return whether libswresample can mix this layout to mono. It cannot for nine or more unnamed channels."""
    try:
        probe = av.AudioFrame(format=kind, layout=layout, samples=1)
        probe.sample_rate = SAMPLE_RATE
        resampler_to().resample(probe)
    except av.error.ArgumentError:
        return False
    return True


def readable_length(samples: int) -> str:
    """Format a length for people: "8 hours", "90 seconds"."""
    seconds = samples / SAMPLE_RATE
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
