"""Media of every accepted kind, damaged, hostile and endless: decoded in a child, with nothing left behind."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import ROOT, Choose
from media_files import encode

import stt_lab.audio
from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.errors import (
    BadInput,
    Cancelled,
    EngineCrashed,
    MissingFile,
    SttError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from stt_lab.library.recordings import kind
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, Audio, Event

LIMITS = DecodeLimits(max_samples=4 * 3600 * SAMPLE_RATE, timeout_s=60)
KINDS = {  # file kind: muxer, encoder, source rate in Hz, channel layout
    "wav": ("wav", "pcm_s16le", 48_000, "stereo"),
    "wav-24": ("wav", "pcm_s24le", 44_100, "mono"),
    "wav-float": ("wav", "pcm_f32le", 16_000, "mono"),
    "wav-8k-mulaw": ("wav", "pcm_mulaw", 8_000, "mono"),
    "flac": ("flac", "flac", 44_100, "stereo"),
    "mp3": ("mp3", "libmp3lame", 44_100, "stereo"),
    "ogg": ("ogg", "vorbis", 44_100, "stereo"),
    "opus": ("ogg", "libopus", 48_000, "mono"),
    "m4a": ("ipod", "aac", 44_100, "stereo"),
    "m4a-alac": ("ipod", "alac", 44_100, "stereo"),
    "aac": ("adts", "aac", 44_100, "mono"),
    "wma": ("asf", "wmav2", 44_100, "stereo"),
    "mp4": ("mp4", "aac", 48_000, "stereo"),
    "webm": ("webm", "libopus", 48_000, "stereo"),
    "mkv": ("matroska", "flac", 44_100, "stereo"),
    "avi": ("avi", "libmp3lame", 44_100, "stereo"),
    "mov": ("mov", "pcm_s16le", 48_000, "stereo"),
    "wmv": ("asf", "wmav2", 44_100, "stereo"),
    "mpg": ("mpeg", "mp2", 44_100, "stereo"),
    "ts": ("mpegts", "aac", 44_100, "stereo"),
}
VIDEO = {"mp4": "mpeg4", "mov": "mpeg4", "avi": "mpeg4", "wmv": "wmv2", "mpg": "mpeg1video", "mkv": "mpeg4"}
SOUNDS = {".mp3", ".wav", ".flac", ".ogg", ".m4a", ".opus", ".mp4", ".webm", ".mkv", ".mpg"}


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """440 Hz in all channels at a quarter of full scale, shape (channels, n), float32."""
    wave = 0.25 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def make(path: Path, kind: str, seconds: float, video: str = "", **options: str) -> Path:
    muxer, codec, rate, layout = KINDS[kind]
    encode(str(path), muxer, codec, rate, layout, tone(seconds, rate, 1 + (layout == "stereo")), video, **options)
    return path


ALIKE = {"opus": "ogg", "wmv": "wma"}  # kinds that have the container of another


@pytest.mark.parametrize("name", KINDS)
def test_a_recording_without_a_name_has_a_kind(tmp_path: Path, name: str) -> None:
    suffix, media_type = kind(make(tmp_path / "neutral", name, 0.3, VIDEO.get(name, "")))
    plain = name.partition("-")[0]
    assert suffix == f".{ALIKE.get(plain, plain)}"
    assert media_type.startswith(("audio/", "video/"))
    assert media_type.startswith("audio/") or name in {*VIDEO, "webm", "ts"}


def test_what_is_no_recording_has_no_kind(tmp_path: Path) -> None:
    for content in (b"", b"<html>", b"RIFF", b"\xff"):
        (tmp_path / "neutral").write_bytes(content)
        assert kind(tmp_path / "neutral") == ("", "application/octet-stream")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every child process that the test starts."""
    found: list[subprocess.Popen[bytes]] = []

    class Child(stt_lab.audio._Program):
        def __init__(self, limits: DecodeLimits) -> None:
            super().__init__(limits)
            found.append(self.process)

    monkeypatch.setattr(stt_lab.audio, "_Program", Child)
    return found


@pytest.fixture
def start(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> Iterator[Callable[..., Decoder]]:
    """Makes decoders; afterwards no file and no process of theirs may be left."""
    made: list[Decoder] = []

    def begin(limits: DecodeLimits = LIMITS, keep: int = 1) -> Decoder:
        made.append(Decoder(tmp_path / "pcm", limits, keep))
        return made[-1]

    yield begin
    assert made
    assert list((tmp_path / "pcm").iterdir()) == []
    for decoder in made:
        decoder.close()
    assert [child.poll() for child in started].count(None) == 0


@pytest.fixture
def decoder(start: Callable[..., Decoder]) -> Decoder:
    return start()


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 minutes of MP3, which take seconds to decode: one small file repeated."""
    folder = tmp_path_factory.mktemp("endless")
    piece = make(folder / "piece", "mp3", 20, write_xing="0", id3v2_version="0").read_bytes()
    (folder / "endless").write_bytes(piece * 60)
    return folder / "endless"


def refused(decoder: Decoder, source: Path) -> SttError:
    """The error of a file: two short sentences without a path or a trace."""
    with pytest.raises(SttError) as caught, decoder.decode(source):
        pass
    message = str(caught.value)
    assert message.endswith(".")
    assert message.count(". ") == 1
    assert "/" not in message
    assert "Error" not in message
    return caught.value


def pitch(samples: np.ndarray) -> float:
    """The loudest frequency, Hz."""
    power = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(power) * SAMPLE_RATE / samples.size)


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether the process (of any parent) ends in time; a zombie counts as ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


# Every kind of file


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_by_content_alone(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    _, _, rate, layout = KINDS[kind]
    with decoder.decode(make(tmp_path / "upload.txt", kind, 2.0)) as audio:
        assert audio.duration == pytest.approx(2.0, abs=0.1)
        assert audio.path.stat().st_size == 2 * audio.samples
        assert (audio.channels, audio.source_rate, audio.warnings) == (1 + (layout == "stereo"), rate, ())
        assert audio.codec
        assert audio.container
        middle = audio.read(SAMPLE_RATE // 2, 3 * SAMPLE_RATE // 2)
    assert pitch(middle) == pytest.approx(440, abs=2)
    assert np.abs(middle).max() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("kind", VIDEO)
def test_sound_of_videos(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    with decoder.decode(make(tmp_path / "clip", kind, 2.0, video=VIDEO[kind])) as audio:
        assert audio.duration == pytest.approx(2.0, abs=0.1)
        assert audio.warnings == ()
        assert pitch(audio.read()) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg", "m4a", "webm", "mpg", "wav-8k-mulaw"])
def test_equals_the_recogniser_library_sample_for_sample(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    from faster_whisper.audio import decode_audio

    path = make(tmp_path / "upload", kind, 12.0)  # more than one block at 44.1 kHz
    with decoder.decode(path) as audio:
        np.testing.assert_array_equal(audio.read(), decode_audio(str(path)))


def test_real_recordings_equal_the_recogniser_library(decoder: Decoder) -> None:
    from faster_whisper.audio import decode_audio

    found: dict[str, Path] = {}
    for path in sorted(get_settings().speech_dir.rglob("*.*"), key=lambda path: path.stat().st_size):
        if path.suffix in SOUNDS and "no_audio" not in path.name:
            found.setdefault(path.suffix, path)
    if not found:
        pytest.skip("no recordings in STT_LAB_SPEECH_DIR")
    for path in found.values():
        with decoder.decode(path) as audio:
            np.testing.assert_array_equal(audio.read(), decode_audio(str(path)), err_msg=path.name)
            assert audio.warnings == (), path.name


@pytest.mark.parametrize("layout", ["3.0", "quad", "5.0", "5.1", "6.1", "7.1"])
def test_many_channels_become_one(decoder: Decoder, tmp_path: Path, layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    encode(str(tmp_path / "upload"), "flac", "flac", 48_000, layout, tone(1, 48_000, channels))
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.channels == channels
        assert audio.samples == SAMPLE_RATE
        assert np.abs(audio.read()[1000:-1000]).max() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("channels", "mask"), [(9, 0), (11, 0), (3, 0b10011)])
def test_layouts_that_no_standard_folds_are_averaged(
    decoder: Decoder, tmp_path: Path, channels: int, mask: int
) -> None:
    waves = (tone(1, 16_000, channels) * 32767).astype("<i2")
    waves[-1] = 0  # silent, so that the mean is lower by its share
    body = np.ascontiguousarray(waves.T).tobytes()
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    head = struct.pack("<HHIIHH", 0xFFFE, channels, 16_000, 32_000 * channels, 2 * channels, 16)
    head += struct.pack("<HHI", 22, 16, mask)  # WAVE_FORMAT_EXTENSIBLE
    chunks = b"WAVEfmt " + (40).to_bytes(4, "little") + head + guid + b"data" + len(body).to_bytes(4, "little") + body
    (tmp_path / "upload").write_bytes(b"RIFF" + len(chunks).to_bytes(4, "little") + chunks)
    with decoder.decode(tmp_path / "upload") as audio:
        assert (audio.channels, audio.samples) == (channels, SAMPLE_RATE)
        assert np.abs(audio.read()).max() == pytest.approx(0.25 * (channels - 1) / channels, abs=0.01)


@pytest.mark.parametrize("channels", [8, 9, 16])
def test_planar_sound_of_many_unnamed_channels(decoder: Decoder, tmp_path: Path, channels: int) -> None:
    layout = f"{channels} channels"
    sound = tone(1, 48_000, channels)
    with av.open(str(tmp_path / "upload"), "w", format="ogg") as container:
        track = container.add_stream("libopus", rate=48_000, layout=layout, options={"mapping_family": "255"})
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = 48_000, 0
        convert = av.AudioResampler(format=track.format, layout=layout, rate=48_000, frame_size=960)
        for piece in [*convert.resample(frame), None]:
            container.mux(track.encode(piece))
    with decoder.decode(tmp_path / "upload") as audio:
        assert (audio.channels, audio.samples) == (channels, SAMPLE_RATE)
        assert np.abs(audio.read()[1000:-1000]).max() == pytest.approx(0.25, abs=0.02)


def test_a_stream_that_changes_its_rate_and_channels(decoder: Decoder, tmp_path: Path) -> None:
    parts = []
    for rate, layout in ((44_100, "stereo"), (24_000, "mono"), (16_000, "stereo")):
        part = io.BytesIO()
        encode(part, "adts", "aac", rate, layout, tone(2, rate, 1 + (layout == "stereo")))
        parts.append(part.getvalue())
    (tmp_path / "upload").write_bytes(b"".join(parts))
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == pytest.approx(6.0, abs=0.4)


def test_a_twentieth_of_a_second(decoder: Decoder, tmp_path: Path) -> None:
    with decoder.decode(make(tmp_path / "upload", "wav", 0.05)) as audio:
        assert audio.samples == 800
        assert audio.read().shape == (800,)


class Pipe:
    """A file object that cannot seek, as a browser's recorder writes."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)


@pytest.mark.parametrize("kind", ["webm", "mkv", "flac", "mp3", "wav"])
def test_files_without_a_duration(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    muxer, codec, rate, layout = KINDS[kind]
    target = Pipe(tmp_path / "upload")
    encode(target, muxer, codec, rate, layout, tone(3, rate, 2))
    target.file.close()
    if kind == "webm":
        with av.open(str(tmp_path / "upload")) as container:
            assert container.duration is None
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == pytest.approx(3.0, abs=0.1)
        assert audio.warnings == ()


# Damaged files


@pytest.mark.parametrize("kind", ["mp3", "flac", "wav", "mp4", "webm", "avi", "wma"])
def test_truncated_files_give_what_is_there_and_say_so(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    whole = make(tmp_path / "whole", kind, 10.0, **options).read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    with decoder.decode(tmp_path / "half") as audio:
        assert 3.5 < audio.duration < 6.5
        assert len(audio.warnings) == 1
        assert "damaged" in audio.warnings[0]
        assert "ends early" in audio.warnings[0]
        assert audio.warnings[0].endswith("The readable part was used.")


def test_an_mp4_whose_index_is_cut_off(decoder: Decoder, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", "mp4", 5.0).read_bytes()  # the index is at the end
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    assert isinstance(refused(decoder, tmp_path / "half"), UnsupportedMedia)


def test_broken_packets_are_skipped_and_counted(decoder: Decoder, tmp_path: Path) -> None:
    whole = bytearray(make(tmp_path / "whole", "m4a", 10.0).read_bytes())
    third = len(whole) // 3
    whole[third : third + 4000] = np.random.default_rng(5).bytes(4000)
    (tmp_path / "holed").write_bytes(whole)
    with decoder.decode(tmp_path / "holed") as audio:
        assert audio.duration == pytest.approx(10, abs=0.1)  # silence is where they were
        assert "skipped" in audio.warnings[0]
        assert "Sound is missing" in audio.warnings[1]


def test_a_guessed_duration_is_no_promise(decoder: Decoder, tmp_path: Path) -> None:
    """MP3 without a count in its header: FFmpeg guesses from the first bit rate, and is wrong where it changes."""
    parts = []
    for rate in (32_000, 160_000):
        part = io.BytesIO()
        with av.open(part, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
            track = container.add_stream("libmp3lame", rate=44_100, layout="mono")
            track.bit_rate = rate
            frame = av.AudioFrame.from_ndarray(tone(5, 44_100), format="fltp", layout="mono")
            frame.sample_rate = 44_100
            pieces = av.AudioResampler(format="fltp", frame_size=1152).resample(frame)
            for piece in [*pieces, None]:
                container.mux(track.encode(piece))
        parts.append(part.getvalue())
    picture = b"ID3\4\0\0" + bytes([0, 6, 0, 0]) + bytes(6 << 14)  # a tag of 98304 bytes
    (tmp_path / "upload").write_bytes(picture + b"".join(parts))
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.duration == pytest.approx(10, abs=0.3)
        assert audio.warnings == ()


# What is refused


def test_a_missing_file(decoder: Decoder, tmp_path: Path) -> None:
    assert isinstance(refused(decoder, tmp_path / "nothing.wav"), MissingFile)
    assert isinstance(refused(decoder, Path("a\0b")), MissingFile)
    assert isinstance(refused(decoder, Path("x" * 5000)), MissingFile)


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1/a.wav", "concat:a.wav|b.wav", "file:a.wav", "-", "pipe:0", "data:,"]
)
def test_names_are_never_protocols(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a.wav", "wav", 1.0)
    make(tmp_path / "b.wav", "wav", 1.0)
    assert isinstance(refused(decoder, Path(name)), MissingFile)
    if "/" not in name:
        make(tmp_path / "real", "flac", 0.5).rename(tmp_path / name)
        with decoder.decode(Path(name)) as audio:
            assert (audio.samples, audio.codec) == (8000, "flac")


@pytest.mark.parametrize("name", ["-rf é.wav", "a b\n.mp3", "\udcff.flac"])
def test_odd_names(decoder: Decoder, tmp_path: Path, name: str) -> None:
    with decoder.decode(make(tmp_path / "plain", "wav", 0.5).rename(tmp_path / name)) as audio:
        assert audio.samples == 8000


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{0}'\n",
        "[playlist]\nFile1={0}\nNumberOfEntries=1\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD><BaseURL>{0}</BaseURL></MPD>',
        "This is a letter.\n",
        "\0",
    ],
)
def test_playlists_and_text_are_refused(decoder: Decoder, tmp_path: Path, text: str) -> None:
    wav = make(tmp_path / "a.wav", "wav", 1.0)
    (tmp_path / "upload.wav").write_text(text.format(wav))
    problem = refused(decoder, tmp_path / "upload.wav")
    assert isinstance(problem, UnsupportedMedia)
    assert all(name in str(problem) for name in ("MP3", "FLAC", "OPUS", "MPEG"))


@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_noise_bytes_are_refused(decoder: Decoder, tmp_path: Path, size: int) -> None:
    (tmp_path / "upload").write_bytes(np.random.default_rng(size).bytes(size))
    assert isinstance(refused(decoder, tmp_path / "upload"), UnsupportedMedia)


def test_a_video_without_sound(decoder: Decoder, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "upload"), "w", format="mp4") as container:
        track = container.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        for picture in [av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8)), None]:
            container.mux(track.encode(picture))
    assert "no sound track" in str(refused(decoder, tmp_path / "upload"))


def test_nothing_to_hear(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "empty" in str(refused(decoder, tmp_path / "empty"))
    header = make(tmp_path / "header", "wav-float", 0.1).read_bytes().split(b"data")[0] + b"data\0\0\0\0"
    (tmp_path / "header").write_bytes(header)
    assert "has no sound" in str(refused(decoder, tmp_path / "header"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_folders_pipes_and_devices_do_not_block(decoder: Decoder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert isinstance(refused(decoder, source), UnsupportedMedia)


def test_an_hour_in_a_small_file_meets_the_limit(start: Callable[..., Decoder], tmp_path: Path) -> None:
    encode(str(tmp_path / "hour"), "flac", "flac", 2000, "mono", np.zeros((1, 3600 * 2000), np.float32))
    assert (tmp_path / "hour").stat().st_size < 1_000_000
    limited = start(DecodeLimits(max_samples=10 * 60 * SAMPLE_RATE, timeout_s=60))
    problem = refused(limited, tmp_path / "hour")
    assert isinstance(problem, TooLarge)
    assert "10 minutes" in str(problem)


def test_the_limit_is_exact(start: Callable[..., Decoder], tmp_path: Path) -> None:
    make(tmp_path / "upload", "wav-float", 2.0)
    with start(DecodeLimits(2 * SAMPLE_RATE, 60)).decode(tmp_path / "upload") as audio:
        assert audio.samples == 2 * SAMPLE_RATE
    assert isinstance(refused(start(DecodeLimits(2 * SAMPLE_RATE - 1, 60)), tmp_path / "upload"), TooLarge)


def test_a_source_rate_of_one_hertz_cannot_fill_the_memory(start: Callable[..., Decoder], tmp_path: Path) -> None:
    encode(str(tmp_path / "upload"), "wav", "pcm_s16le", 1, "mono", np.zeros((1, 600_000), np.float32))
    assert isinstance(refused(start(DecodeLimits(3600 * SAMPLE_RATE, 60, 1024)), tmp_path / "upload"), TooLarge)


# Children and files


def test_the_child_is_kept_between_files(
    decoder: Decoder, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    path = make(tmp_path / "upload", "wav", 1.0)
    for _ in range(3):
        with decoder.decode(path) as audio:
            assert audio.path.parent == decoder.folder
        assert not audio.path.exists()
    assert len(started) == 1
    assert decoder.folder.stat().st_mode & 0o777 == 0o700


def test_the_file_goes_when_the_user_of_the_sound_fails(decoder: Decoder, tmp_path: Path) -> None:
    path = make(tmp_path / "upload", "wav", 1.0)
    with pytest.raises(ZeroDivisionError), decoder.decode(path):
        raise ZeroDivisionError


def test_files_decoded_at_once(decoder: Decoder, started: list[subprocess.Popen[bytes]], tmp_path: Path) -> None:
    path = make(tmp_path / "upload", "flac", 3.0)
    barrier, sizes = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        for _ in range(5):
            with decoder.decode(path) as audio:
                sizes.append(audio.read().size)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [3 * SAMPLE_RATE] * 20
    assert len(started) > 1
    assert [child.poll() for child in started].count(None) == 1  # what `keep` allows


def test_progress_rises(decoder: Decoder, endless: Path) -> None:
    events: list[Event] = []
    with decoder.decode(endless, events.append) as audio:
        assert audio.duration == pytest.approx(1200, rel=0.01)
    fractions = [event.fraction for event in events]
    assert {event.stage for event in events} == {"decoding"}
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert any(0.05 < fraction < 0.95 for fraction in fractions)


@pytest.mark.parametrize("stuck", [False, True])
def test_cancel_in_the_middle(
    decoder: Decoder, started: list[subprocess.Popen[bytes]], endless: Path, stuck: bool
) -> None:
    def cancel(event: Event) -> None:
        if started and stuck:
            started[0].send_signal(signal.SIGSTOP)
        if event.fraction > 0 or (stuck and started):
            raise Cancelled("The request was cancelled.")

    with pytest.raises(Cancelled), decoder.decode(endless, cancel):
        pass
    assert started[0].poll() is not None


def test_the_time_limit(start: Callable[..., Decoder], started: list[subprocess.Popen[bytes]], endless: Path) -> None:
    def stop(event: Event) -> None:
        if started:
            started[0].send_signal(signal.SIGSTOP)

    begun = time.monotonic()
    with pytest.raises(BadInput, match="longer than 1 s"), start(DecodeLimits(10**9, 1.0)).decode(endless, stop):
        pass
    assert 0.9 < time.monotonic() - begun < 3


def test_a_killed_child_fails_one_file_only(
    decoder: Decoder, started: list[subprocess.Popen[bytes]], tmp_path: Path, endless: Path
) -> None:
    def kill(event: Event) -> None:
        if event.fraction > 0:
            started[0].kill()

    with pytest.raises(UnsupportedMedia, match="decoder crashed"), decoder.decode(endless, kill):
        pass
    with decoder.decode(make(tmp_path / "upload", "wav", 1.0)) as audio:
        assert audio.samples == SAMPLE_RATE
    started[-1].kill()
    started[-1].wait()  # dies while idle
    with decoder.decode(tmp_path / "upload") as audio:
        assert audio.samples == SAMPLE_RATE
    assert len(started) == 3


def test_a_memory_limit_that_is_too_low(start: Callable[..., Decoder], tmp_path: Path) -> None:
    path = make(tmp_path / "upload", "wav", 60.0)
    with pytest.raises((UnsupportedMedia, EngineCrashed)), start(DecodeLimits(10**9, 30, memory_mb=64)).decode(path):
        pass


def test_a_decoder_that_does_not_start(decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "upload", "wav", 1.0)
    monkeypatch.setattr(stt_lab.audio, "PROGRAM", "stt_lab.no_such_program")
    assert isinstance(refused(decoder, path), EngineCrashed)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_such_python"))
    assert isinstance(refused(decoder, path), EngineCrashed)


def test_close_ends_what_runs_and_what_waits(start: Callable[..., Decoder], tmp_path: Path, endless: Path) -> None:
    decoder = start()
    with decoder.decode(make(tmp_path / "upload", "wav", 1.0)):
        pass
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with decoder.decode(endless, lambda event: running.set() if event.fraction > 0 else None):
                pass
        except SttError as problem:
            failures.append(problem)

    running = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert running.wait(20)
    begun = time.monotonic()
    decoder.close()
    decoder.close()
    thread.join(5)
    assert time.monotonic() - begun < 2
    assert [type(problem) for problem in failures] == [Unavailable]
    with pytest.raises(Unavailable), decoder.decode(endless):
        pass


def test_the_child_sees_no_secret_and_no_open_file(
    decoder: Decoder, started: list[subprocess.Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    monkeypatch.setenv("STT_LAB_ADMIN_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    path = make(tmp_path / "upload", "wav", 1.0)
    with (tmp_path / "private").open("w") as private:
        os.set_inheritable(private.fileno(), True)
        with decoder.decode(path):
            process = Path(f"/proc/{started[0].pid}")
            environ = (process / "environ").read_bytes()
            opened = len(list((process / "fd").iterdir()))
            limits = (process / "limits").read_text()
    assert b"secret" not in environ
    assert b"STT_LAB_" not in environ
    assert opened == 3
    assert f"Max address space         {2048 * 1024 * 1024} " in limits
    assert "Max core file size        0 " in limits


ORPHAN = """
import sys, time
from pathlib import Path
from stt_lab.audio import DecodeLimits, Decoder
decoder = Decoder(Path(sys.argv[1]), DecodeLimits(10**10, 600))
def report(event):
    if event.fraction > 0:
        print(*[child.process.pid for child in decoder._children], flush=True)
with decoder.decode(Path(sys.argv[2]), report):
    pass
sys.stdin.read() if sys.argv[3] == "wait" else None
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("moment", ["busy", "idle", "exit"])
def test_the_child_ends_with_its_parent(tmp_path: Path, endless: Path, moment: str) -> None:
    source = endless if moment == "busy" else make(tmp_path / "upload", "wav", 1.0)
    command = [sys.executable, "-c", ORPHAN, str(tmp_path / "pcm"), str(source), "exit" if moment == "exit" else "wait"]
    root = {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | root) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline().split()[0])
        if moment != "exit":
            parent.send_signal(signal.SIGKILL)
        parent.wait(20)
    assert gone(pid)
    if moment != "idle":
        assert list((tmp_path / "pcm").iterdir()) == []


def test_audio_reads_windows(decoder: Decoder, tmp_path: Path) -> None:
    with decoder.decode(make(tmp_path / "upload", "wav", 1.0)) as audio, contextlib.nullcontext(audio) as same:
        assert isinstance(same, Audio)
        np.testing.assert_array_equal(audio.read(4000, 8000), audio.read()[4000:8000])
        assert audio.read(15_000, 99_000).size == 1000


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_other_sample_rates(decoder: Decoder, made_data: Choose, rate: int) -> None:
    path = made_data(kind="utterance", language="en")[0].path
    with decoder.decode(path) as plain, decoder.decode(path, sample_rate=rate) as audio:
        assert (plain.sample_rate, audio.sample_rate) == (SAMPLE_RATE, rate)
        assert audio.path.stat().st_size == 2 * audio.samples
        assert audio.duration == pytest.approx(plain.duration, abs=0.001)
        at = np.arange(SAMPLE_RATE, 2 * SAMPLE_RATE)  # the second second, at the times of its samples at 16 kHz
        fine = np.interp(at / SAMPLE_RATE, np.arange(audio.samples) / rate, audio.read())
        assert np.corrcoef(fine, plain.read()[at])[0, 1] > 0.99


def test_a_limit_is_one_of_time_at_all_sample_rates(start: Callable[..., Decoder], tmp_path: Path) -> None:
    decoder = start(DecodeLimits(2 * SAMPLE_RATE, 60))
    fits, long = (make(tmp_path / str(seconds), "wav", seconds) for seconds in (2.0, 2.5))
    for rate in (48_000, SAMPLE_RATE):
        with decoder.decode(fits, sample_rate=rate) as audio:
            assert audio.duration == 2
        with pytest.raises(TooLarge, match="2 seconds"), decoder.decode(long, sample_rate=rate):
            pass


@pytest.mark.parametrize("rate", [0, 7_999, 48_001])
def test_a_sample_rate_beyond_the_limits_is_a_fault_of_the_program(decoder: Decoder, tmp_path: Path, rate: int) -> None:
    with pytest.raises(ValueError, match="8000 to 48000 Hz"):
        decoder.decode(make(tmp_path / "upload", "wav", 0.1), sample_rate=rate)
