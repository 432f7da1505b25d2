"""Open media: its sound tracks, its times, and what its headers declare. Part of the decoder's program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import av.error
from av.stream import Discard, Disposition

from stt_lab.audio.parts import UNKNOWN_SIZE, Part, PartFile
from stt_lab.errors import BadInput, UnsupportedMedia
from stt_lab.types import Track

ACCEPTED = "MP3, WAV, FLAC, OGG, M4A, AAC, OPUS, WMA, MP4, WebM, MKV, AVI, MOV, WMV, MPG or MPEG"
DEMUXERS = "aac,asf,avi,flac,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav"  # no playlists, which name further files
NO_PROTOCOL = "none"  # this program opens the file itself, so demuxers may open nothing
TIMED = ("matroska", "mov", "mpegts", "mpeg", "asf", "ogg", "flac")  # their packets say when they are heard
SLACK_SHARE = 0.01  # of a length: what a guess of it may be wrong by


@dataclass(frozen=True)
class Media:
    """An open part of a file."""

    container: Any
    file: PartFile

    @property
    def kind(self) -> str:
        """The demuxer's name."""
        name: str = self.container.format.name
        return name

    @property
    def timed(self) -> bool:
        """Whether time stamps of packets can be trusted. Other demuxers count them from sizes."""
        return self.kind.startswith(TIMED)

    @property
    def start(self) -> float | None:
        """Seconds at which the earliest track begins, which is time 0 of the recording."""
        ticks = self.container.start_time
        return None if ticks is None else ticks / av.time_base

    @property
    def length(self) -> float | None:
        """Seconds that the container declares for its longest track."""
        ticks = self.container.duration
        return None if not ticks or ticks < 0 else ticks / av.time_base

    def facts(self, stream: Any) -> dict[str, Any]:
        codec = stream.codec_context
        return {
            "container": self.kind,
            "codec": codec.name,
            "channels": codec.channels,
            "source_rate": codec.sample_rate,
        }

    def deep(self, stream: Any) -> bool:
        """Return whether samples of a track have more than 16 bits."""
        return stream.codec_context.format.name.removesuffix("p") not in ("u8", "s16")

    def stream(self, number: int) -> Any:
        """Select a sound track, counted from 1; the demuxer then drops all others.

        Raises UnsupportedMedia if its codec is unknown.
        """
        stream = self.container.streams.audio[number - 1]
        if stream.codec_context is None:
            raise UnsupportedMedia(f"The codec of the sound is not supported. Convert the file to {ACCEPTED}.")
        for other in self.container.streams:
            if other is not stream:
                other.discard = Discard.all
        return stream


@contextmanager
def opened(file: BinaryIO, part: Part) -> Iterator[Media]:
    """Open a part. Raises UnsupportedMedia if it is no media, or has no sound that can be decoded."""
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": NO_PROTOCOL}
    source = PartFile(file, part)
    try:
        container = av.open(source, container_options=options, metadata_errors="ignore")
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError, OSError):
        raise UnsupportedMedia(
            f"The file is not readable audio or video, or its beginning or index is missing. Send {ACCEPTED}."
        ) from None
    with container:
        if not container.streams.audio:
            raise UnsupportedMedia("The video has no sound track. Send a file with sound.")
        yield Media(container, source)


def tracks(media: Media) -> tuple[Track, ...]:
    """Return the sound tracks, in the file's order."""
    return tuple(
        Track(
            number,
            _text(stream.metadata.get("language", "")),
            _text(stream.metadata.get("title", "") or stream.metadata.get("handler_name", "")),
            bool(stream.disposition & Disposition.default),
        )
        for number, stream in enumerate(media.container.streams.audio, 1)
    )


def _text(value: str) -> str:
    plain = "".join(char for char in value if char.isprintable()).strip()[:80]
    return "" if plain in ("und", "SoundHandler") else plain


def candidates(found: tuple[Track, ...], asked: int) -> tuple[Track, ...]:
    """Return the tracks to try: the one that was asked for, or those flagged as default before the others.

    Raises BadInput if the file has no track of that number.
    """
    if asked:
        if asked > len(found):
            listed = ", ".join(track.label for track in found)
            raise BadInput(f"The file has no sound track {asked}. Choose one of: {listed}.")
        return (found[asked - 1],)
    return tuple(sorted(found, key=lambda track: not track.default))


def declared_seconds(media: Media, stream: Any, start: int, seconds: float) -> float:
    """Return the seconds that the headers declare for a sound track; 0 if they declare none.

    `start` is the byte offset of its first packet, `seconds` the length that was found.
    """
    if media.kind in ("wav", "avi"):
        return _promised_by_riff(media, seconds)
    if "DURATION" in stream.metadata:  # Matroska's tag of the track: "00:01:02.500000000"
        with contextlib.suppress(ValueError):
            hours, minutes, rest = map(float, stream.metadata["DURATION"].split(":"))
            return hours * 3600 + minutes * 60 + rest
    own = media.kind.startswith("mov")  # per-track durations; other formats give the longest track's
    others = [
        one for one in media.container.streams if one is not stream and not one.disposition & Disposition.attached_pic
    ]
    if not stream.duration or media.kind == "aac" or (others and not own):
        return 0.0
    declared = float(stream.duration * stream.time_base)
    rate = stream.codec_context.bit_rate if media.kind == "mp3" else None  # bits per second
    # FFmpeg's own estimate, where the header has no count
    guess = (media.container.size - start) * 8 / rate if rate else 0.0
    return 0.0 if abs(guess - declared) <= SLACK_SHARE * declared else declared


def _promised_by_riff(media: Media, seconds: float) -> float:
    """Read the size in a RIFF header (little-endian), because FFmpeg trims the length of WAV and AVI to the file's."""
    media.file.seek(4)
    declared = 8 + int.from_bytes(media.file.read(4), "little")
    return seconds * declared / media.file.size if declared < UNKNOWN_SIZE else 0.0
