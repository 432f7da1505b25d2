"""The time line is the file's: late beginnings, gaps, joined files, wrong headers, tracks, channels and levels."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.errors import BadInput
from stt_lab.types import SAMPLE_RATE, Audio

LIMITS = DecodeLimits(max_samples=2 * 3600 * SAMPLE_RATE, timeout_s=60)
TIMED = {  # container: muxer, sound codec, rate, picture codec
    "mp4": ("mp4", "aac", 48_000, "mpeg4"),
    "mov": ("mov", "aac", 48_000, "mpeg4"),
    "mkv": ("matroska", "aac", 44_100, "mpeg4"),
    "mkv-opus": ("matroska", "libopus", 48_000, "mpeg4"),
    "webm": ("webm", "libopus", 48_000, "libvpx"),
    "ts": ("mpegts", "aac", 48_000, "mpeg2video"),
    "wmv": ("asf", "wmav2", 44_100, "wmv2"),
}
Piece = tuple[float, float]  # seconds: begin, length


@pytest.fixture
def decoder(tmp_path: Path) -> Iterator[Decoder]:
    made = Decoder(tmp_path / "pcm", LIMITS)
    yield made
    made.close()


def beeps(pieces: list[Piece], rate: int) -> list[tuple[int, np.ndarray]]:
    """For each piece: the sample at which it begins, and a tone of its length."""
    return [
        (round(begin * rate), (0.3 * np.sin(2 * np.pi * 500 * np.arange(round(length * rate)) / rate)).astype("f4"))
        for begin, length in pieces
    ]


def write(path: Path, kind: str, pieces: list[Piece], pictures: float = 0.0, zero: float = 0.0, **options: str) -> Path:
    """Write sound that is there only in these pieces; nothing is written between them. Pictures begin at 0.

    `zero` moves all time stamps, by seconds.
    """
    muxer, codec, rate, picture = TIMED[kind]
    with av.open(str(path), "w", format=muxer, options=options) as container:
        video = container.add_stream(picture, rate=25, width=64, height=48, pix_fmt="yuv420p") if pictures else None
        track = container.add_stream(codec, rate=rate, layout="mono")
        track.bit_rate = 64_000
        track.codec_context.open()
        size = track.codec_context.frame_size or 960
        packets = []
        for begin, sound in beeps(pieces, rate):
            encoder = av.CodecContext.create(codec, "w")
            encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", track.format
            encoder.bit_rate = 64_000
            encoder.open()
            frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(format=track.format, layout="mono", rate=rate, frame_size=size)
            at = 0
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                part.pts, part.time_base = at, encoder.time_base
                at += part.samples
                packets += [(packet, begin) for packet in encoder.encode(part)]
            packets += [(packet, begin) for packet in encoder.encode(None)]
        for packet, begin in packets:
            packet.stream = track
            packet.time_base = packet.time_base or 1 / rate
            ticks = (begin / rate + zero) / float(packet.time_base)
            packet.pts, packet.dts = round((packet.pts or 0) + ticks), round((packet.dts or 0) + ticks)
        dark = np.zeros((48, 64, 3), np.uint8)
        shown: list[av.Packet] = []
        for number in range(round(25 * pictures)):
            picture_frame = av.VideoFrame.from_ndarray(dark)
            picture_frame.pts = number + round(25 * zero)
            shown += video.encode(picture_frame) if video else []
        shown += video.encode(None) if video else []
        everything = [packet for packet, _ in packets] + shown
        for packet in sorted(everything, key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)
    return path


def onsets(audio: Audio) -> list[float]:
    """Seconds at which sound begins after silence."""
    loud = np.abs(audio.read()) > 0.05
    blocks = loud[: loud.size // 160 * 160].reshape(-1, 160).any(axis=1)  # of 10 ms
    at = np.flatnonzero(np.diff(np.concatenate([[0], blocks.astype(int)])) == 1) / 100
    apart = np.flatnonzero(np.diff(np.concatenate([[-1.0], at])) > 0.1)
    return [float(one) for one in at[apart]]


@pytest.mark.parametrize("kind", TIMED)
def test_sound_that_begins_after_the_picture(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "upload", kind, [(2.5, 1.0)], pictures=5.0)
    with decoder.decode(path) as audio:
        assert onsets(audio) == [pytest.approx(2.5, abs=0.1)]
        assert audio.warnings == ()


@pytest.mark.parametrize("kind", TIMED)
def test_gaps_stay(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "upload", kind, [(0.0, 1.0), (3.0, 1.0), (4.6, 0.5)])
    with decoder.decode(path) as audio:
        assert onsets(audio) == [pytest.approx(one, abs=0.1) for one in (0.0, 3.0, 4.6)]
        assert audio.duration == pytest.approx(5.1, abs=0.15)
        told = [one for one in audio.warnings if "missing" in one]
        assert told
        assert "2 places (2.6 s in all)" in told[0] or "2 places (2.5 s in all)" in told[0]


@pytest.mark.parametrize("kind", ["ts", "mkv", "webm"])
def test_time_stamps_that_begin_late(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    """As of a live stream that somebody joins after ten hours."""
    path = write(tmp_path / "upload", kind, [(0.0, 1.0), (2.0, 1.0)], pictures=3.0, zero=36_000.0)
    with decoder.decode(path) as audio:
        assert onsets(audio) == [pytest.approx(one, abs=0.1) for one in (0.0, 2.0)]


# Joined files and headers


def tone(seconds: float, rate: int = SAMPLE_RATE, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 500 * np.arange(round(seconds * rate)) / rate)).astype("f4")


def encoded(path: Path, muxer: str, codec: str, sound: np.ndarray, rate: int = SAMPLE_RATE, **options: str) -> bytes:
    """Sound of shape (channels, n) in a file of one track."""
    layout = {1: "mono", 2: "stereo"}[len(sound)]
    with av.open(str(path), "w", format=muxer, options=options) as container:
        track = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"})
        track.bit_rate = 64_000
        track.codec_context.open()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        size = track.codec_context.frame_size or 1024
        resampler = av.AudioResampler(format=track.format, layout=layout, rate=rate, frame_size=size)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(track.encode(piece))
    return path.read_bytes()


JOINED = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "flac": ("flac", "flac", 16_000),
    "mp3": ("mp3", "libmp3lame", 16_000),
    "aac": ("adts", "aac", 16_000),
    "m4a": ("ipod", "aac", 16_000),
    "mp4": ("mp4", "aac", 16_000),
    "opus": ("ogg", "libopus", 48_000),
    "vorbis": ("ogg", "vorbis", 48_000),
    "mkv": ("matroska", "flac", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "ts": ("mpegts", "aac", 48_000),
    "wma": ("asf", "wmav2", 16_000),
    "avi": ("avi", "pcm_s16le", 16_000),
}


@pytest.mark.parametrize("kind", JOINED)
@pytest.mark.parametrize("channels", [(1, 1), (1, 2), (2, 1)], ids=str)
def test_joined_files_are_read_to_the_end(
    decoder: Decoder, tmp_path: Path, kind: str, channels: tuple[int, int]
) -> None:
    muxer, codec, rate = JOINED[kind]
    if kind == "vorbis":  # FFmpeg's own encoder knows stereo only
        channels = (2, 2)
    parts = [encoded(tmp_path / "part", muxer, codec, np.tile(tone(2, rate), (one, 1)), rate) for one in channels]
    (tmp_path / "upload").write_bytes(b"".join(parts))
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == pytest.approx(4.0, abs=0.35)
        if kind != "mp3":  # the index of the second file is a packet without sound
            assert not any("damaged" in one for one in audio.warnings)


def test_joined_recordings_are_told(decoder: Decoder, tmp_path: Path) -> None:
    one = encoded(tmp_path / "part", "wav", "pcm_s16le", tone(1)[None])
    (tmp_path / "upload").write_bytes(one * 3)
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == 3.0
        assert audio.warnings == ("The file holds 3 recordings, one after the other. They were read as one.",)


def stale(data: bytes, seconds: float) -> bytes:
    """The WAV file as a recorder left it that wrote its header after so many seconds."""
    at = data.index(b"data")
    size = round(seconds * SAMPLE_RATE) * 2
    return data[:4] + struct.pack("<I", at + size) + data[8 : at + 4] + struct.pack("<I", size) + data[at + 8 :]


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.9])
def test_a_header_that_declares_less(decoder: Decoder, tmp_path: Path, seconds: float) -> None:
    data = encoded(tmp_path / "part", "wav", "pcm_s16le", tone(2)[None])
    (tmp_path / "upload").write_bytes(stale(data, seconds))
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == pytest.approx(2.0, abs=0.02)
        assert audio.warnings == ("The header of the file declares less sound than there is. All of it was read.",)


@pytest.mark.parametrize("name", [b"LIST", b"id3 ", b"bext", b"cue "])
def test_a_chunk_behind_the_sound_is_no_sound(decoder: Decoder, tmp_path: Path, name: bytes) -> None:
    data = bytearray(encoded(tmp_path / "part", "wav", "pcm_s16le", tone(1)[None]))
    data += name + struct.pack("<I", 50_000) + bytes(range(250)) * 200
    for size in (len(data) - 8, int.from_bytes(data[4:8], "little")):  # counted in the header, or not
        data[4:8] = struct.pack("<I", size)
        (tmp_path / "upload").write_bytes(data)
        with decoder.decode(tmp_path / "upload") as audio:
            assert audio.duration == pytest.approx(1.0, abs=0.01)
            assert audio.warnings == ()


def test_a_large_picture_before_aac(decoder: Decoder, tmp_path: Path) -> None:
    data = encoded(tmp_path / "part", "adts", "aac", tone(2)[None])
    size = 3_000_000
    digits = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    (tmp_path / "upload").write_bytes(b"ID3\4\0\0" + digits + np.random.default_rng(1).bytes(size) + data)
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == pytest.approx(2.0, abs=0.15)


# Tracks, channels and levels


def film(path: Path, *tracks: tuple[np.ndarray, str, str, bool]) -> Path:
    """A Matroska file of several tracks: sound, language, title, and whether it is flagged as default."""
    rate = 48_000
    with av.open(str(path), "w", format="matroska") as container:
        streams = []
        for _, language, title, default in tracks:
            stream = container.add_stream("libopus", rate=rate, layout="mono")
            stream.metadata.update(language=language, title=title)
            stream.disposition = 1 if default else 0
            streams.append(stream)
        packets = []
        for stream, (sound, *_) in zip(streams, tracks, strict=True):
            stream.codec_context.open()
            frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=960)
            for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
                packets += stream.encode(piece)
        for packet in sorted(packets, key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)
    return path


def pitch(audio: Audio) -> float:
    """The strongest frequency in Hz."""
    sound = audio.read()
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * SAMPLE_RATE / sound.size)


def at_pitch(hertz: float, seconds: float = 2.0, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 48_000)) / 48_000)).astype("f4")


def test_the_default_track_is_used(decoder: Decoder, tmp_path: Path) -> None:
    path = film(tmp_path / "upload", (at_pitch(400), "ger", "Commentary", False), (at_pitch(800), "eng", "", True))
    with decoder.decode(path) as audio:
        assert pitch(audio) == pytest.approx(800, abs=5)
        assert [(one.number, one.language, one.title, one.default, one.used) for one in audio.tracks] == [
            (1, "ger", "Commentary", False, False),
            (2, "eng", "", True, True),
        ]
        assert audio.warnings == ()
    with decoder.decode(path, track=1) as audio:
        assert pitch(audio) == pytest.approx(400, abs=5)


def test_a_silent_default_track_is_passed_over(decoder: Decoder, tmp_path: Path) -> None:
    path = film(tmp_path / "upload", (at_pitch(400, level=0.0), "eng", "", True), (at_pitch(800), "ger", "", False))
    with decoder.decode(path) as audio:
        assert pitch(audio) == pytest.approx(800, abs=5)
        assert audio.warnings == ("Track 1 is flagged as the default, but it is silent. Track 2 was used.",)
    with decoder.decode(path, track=1) as audio:
        assert not np.any(audio.read())


def test_a_file_without_sound_in_any_track_is_silent(decoder: Decoder, tmp_path: Path) -> None:
    path = film(tmp_path / "upload", *[(at_pitch(400, level=0.0), "eng", "", True)] * 2)
    with decoder.decode(path) as audio:
        assert audio.duration == pytest.approx(2.0, abs=0.1)
        assert [one.used for one in audio.tracks] == [True, False]


def test_a_track_that_is_not_there(decoder: Decoder, tmp_path: Path) -> None:
    path = film(tmp_path / "upload", (at_pitch(400), "ger", "Commentary", False), (at_pitch(800), "eng", "", True))
    with pytest.raises(BadInput, match=r"no sound track 3. Choose one of: 1 \(ger, Commentary\), 2 \(eng\)"):
        decoder.decode(path, track=3).__enter__()
    with decoder.decode(path) as audio:  # the decoder goes on
        assert audio.samples


@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_channels_that_cancel_each_other(decoder: Decoder, tmp_path: Path, share: float, codec: str) -> None:
    sound = tone(2)
    encoded(tmp_path / "upload", "wav", codec, np.stack([sound, -share * sound]))
    with decoder.decode(tmp_path / "upload") as audio:
        assert np.abs(audio.read()).max() == pytest.approx(0.3, abs=0.01)
        assert audio.warnings == ("The channels cancel each other out when mixed. Channel 1 alone was used.",)


def test_channels_that_differ_are_mixed(decoder: Decoder, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    left, right = (random.normal(0, 0.1, 32_000).astype("f4") for _ in range(2))
    for sound in (np.stack([left, right]), np.stack([left, np.zeros_like(left)]), np.stack([left, left])):
        encoded(tmp_path / "upload", "wav", "pcm_s16le", sound)
        with decoder.decode(tmp_path / "upload") as audio:
            assert audio.warnings == ()


@pytest.mark.parametrize(
    ("decibel", "codec"), [(-55, "pcm_s16le"), (-60, "pcm_f32le"), (-85, "pcm_s24le"), (-95, "pcm_f32le")]
)
def test_very_quiet_sound_is_brought_to_level(decoder: Decoder, tmp_path: Path, decibel: int, codec: str) -> None:
    encoded(tmp_path / "upload", "wav", codec, tone(2, level=10 ** (decibel / 20))[None])
    with decoder.decode(tmp_path / "upload") as audio:
        assert 0.4 < np.abs(audio.read()).max() < 0.9
        assert len(audio.warnings) == 1
        assert "very quiet" in audio.warnings[0]
        assert f"{decibel} dB" in audio.warnings[0]


@pytest.mark.parametrize("level", [0.0, 10 ** (-110 / 20)])
def test_silence_is_not_brought_to_level(decoder: Decoder, tmp_path: Path, level: float) -> None:
    encoded(tmp_path / "upload", "wav", "pcm_f32le", tone(1, level=level)[None])
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.warnings == ()
        assert not np.any(audio.read())
