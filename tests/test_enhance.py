"""Recordings without noise and at a loudness: the steps, the child process, and the operation on every surface."""

from __future__ import annotations

import io
import math
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pyloudnorm
import pytest
from media_files import encode
from scipy.signal import resample
from toy_server import KEY, MINE, Served, serve, settings_for, until

import stt_lab
from stt_lab import cli
from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.audio.multichannel import Multichannel
from stt_lab.client import Client
from stt_lab.errors import BadInput, Cancelled, EngineTimedOut, TooLarge, UnsupportedMedia
from stt_lab.types import SAMPLE_RATE, Event, silent
from stt_lab.voice import enhancement
from stt_lab.voice.deepfilter import RATE, DeepFilter
from stt_lab.voice.enhancement import Enhanced, Wanted, enhance
from stt_lab.voice.levels import CEILING, Limiter, LoudnessMeter
from stt_lab.voice.resampling import BlockResampler
from stt_lab.weights import catalog

LIMITS = DecodeLimits(max_samples=3600 * SAMPLE_RATE, timeout_s=60)
PLAIN = Wanted(-16.0, True, 100.0)


def folder() -> Path:
    found = catalog.module_folder(catalog.get("deepfilternet3"))
    assert found is not None
    return found


def voiced(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Something like a voice: harmonics of a moving pitch in syllables, shape (n,), float32."""
    t = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.7 * t + seed)) / rate
    sound = sum(np.sin(k * pitch) / k for k in range(1, 16) if 200 * k < rate / 2)
    return (0.2 * sound * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def noisy(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Voices with noise, different in each channel, shape (channels, n)."""
    noise = np.random.default_rng(1).normal(0, 0.02, (channels, round(seconds * rate)))
    return (np.stack([voiced(seconds, rate, i) for i in range(channels)]) + noise).astype(np.float32)


def write(path: Path, sound: np.ndarray, rate: int, codec: str = "pcm_s16le", layout: str = "") -> Path:
    layouts = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
    encode(str(path), "wav", codec, rate, layout or layouts[len(sound)], sound)
    return path


def read(content: bytes) -> tuple[np.ndarray, int]:
    """The samples of a WAV file, shape (n, channels), and its rate."""
    with wave.open(io.BytesIO(content)) as file:
        assert file.getsampwidth() == 2
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return raw / 32768, file.getframerate()


def true_peak(sound: np.ndarray) -> float:
    """In dB, by Fourier interpolation at four times the rate: not the filter of the program."""
    padded = np.pad(sound, ((64, 64), (0, 0)))
    return float(20 * np.log10(np.abs(resample(padded, 4 * len(padded), axis=0)).max()))


# The steps


@pytest.mark.parametrize("rates", [(16_000, 48_000), (44_100, 48_000), (48_000, 11_025), (96_000, 48_000)])
def test_rates_change_without_delay_in_blocks_of_any_size(rates: tuple[int, int]) -> None:
    source, target = rates
    n = source * 2 + 17
    total = math.ceil(n * target / source)
    sound = np.sin(2 * np.pi * 440 * np.arange(n) / source).astype(np.float32)

    def made(size: int) -> np.ndarray:
        one = BlockResampler(source, target)
        pieces = [one.push(sound[at : at + size]) for at in range(0, n, size)]
        return np.concatenate([*pieces, one.finish(total)])

    whole = made(n)
    assert len(whole) == total
    inner = slice(target // 50, total - target // 50)  # at both ends the sine is cut off
    assert np.abs(whole - np.sin(2 * np.pi * 440 * np.arange(total) / target))[inner].max() < 1e-3
    assert np.abs(made(1000) - whole).max() < 1e-5
    assert np.abs(made(7777) - whole).max() < 1e-5


def test_what_the_lower_rate_cannot_hold_is_removed() -> None:
    one = BlockResampler(48_000, 16_000)
    sound = np.sin(2 * np.pi * 10_000 * np.arange(48_000) / 48_000).astype(np.float32)
    made = np.concatenate([one.push(sound), one.finish(16_000)])
    assert np.abs(made[500:-500]).max() < 1e-4


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(48_000, 1, 5.0), (44_100, 2, 7.3), (11_025, 2, 0.45)])
def test_loudness_is_that_of_pyloudnorm(rate: int, channels: int, seconds: float) -> None:
    sound = noisy(seconds, rate, channels).T * np.linspace(0.01, 1, round(seconds * rate))[:, None].astype(np.float32)
    meter = LoudnessMeter(rate, channels, len(sound))
    for at in range(0, len(sound), 3001):
        meter.push(sound[at : at + 3001])
    assert meter.loudness() == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(sound.astype(float)), abs=1e-6)


@pytest.mark.parametrize(("seconds", "level"), [(0.39, 0.1), (2.0, 0.0)])
def test_short_and_silent_sounds_have_no_loudness(seconds: float, level: float) -> None:
    n = round(seconds * 16_000)
    meter = LoudnessMeter(16_000, 1, n)
    meter.push(np.full((n, 1), level, np.float32))
    assert meter.loudness() is None


def test_peaks_between_samples_are_limited_alike_in_blocks() -> None:
    rate = 16_000
    n = np.arange(2 * rate)
    sound = (1.5 * np.sin(2 * np.pi * n / 4 + np.pi / 4)).astype(np.float32)[:, None]  # its samples are at 1.06
    sound[: rate // 2] *= 0.1
    limiter = Limiter(rate)
    whole = limiter.limit(sound)
    assert true_peak(whole) <= -1.0
    assert true_peak(whole[rate:]) > -1.6  # it is not lowered further than necessary
    assert np.abs(whole[: rate // 4] - sound[: rate // 4]).max() < 1e-6  # what is quiet stays
    start, stop = 7000, 9000
    part = limiter.limit(sound[start - limiter.context : stop + limiter.context])
    assert np.abs(part[limiter.context : -limiter.context] - whole[start:stop]).max() < 1e-5


@pytest.mark.parametrize("limit", [0.0, 6.0, 100.0])
def test_the_filter_is_not_late(limit: float) -> None:
    sound = voiced(3.0, RATE)
    one = DeepFilter(folder(), limit)
    made = np.concatenate([*(one.push(sound[at : at + 4444]) for at in range(0, len(sound), 4444)), one.finish()])
    one.close()
    made = made[: len(sound)]
    assert len(made) == len(sound)
    size = 2 ** math.ceil(math.log2(2 * len(sound)))
    spectrum = np.fft.rfft(made, size) * np.conj(np.fft.rfft(sound, size))
    assert int(np.argmax(np.fft.irfft(spectrum))) == 0


# A recording


def decoded(tmp_path: Path, sound: np.ndarray, rate: int) -> Multichannel:
    path = tmp_path / "sound.pcm"
    path.write_bytes(np.ascontiguousarray(sound.T, "<f4").tobytes())
    return Multichannel(path, sound.shape[1], len(sound), rate)


def test_blocks_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same recording, in blocks of ten seconds and of one."""
    from stt_lab.voice import enhancer

    made = []
    for seconds in (10.0, 1.0):
        monkeypatch.setattr(enhancer, "BLOCK_S", seconds)
        sound = decoded(tmp_path, noisy(4.2, 44_100, 2), 44_100)
        request = {"source": str(sound.path), "target": str(tmp_path / "out.wav"), "samples": sound.samples}
        request |= {"channels": 2, "rate": 44_100, "folder": str(folder()), "loudness": -16.0, "normalize": True}
        done = enhancer.enhance(request | {"attenuation_limit_db": 100.0}, lambda message: None)
        made.append((done, read((tmp_path / "out.wav").read_bytes())[0]))
    (first, one), (second, other) = made
    assert first == pytest.approx(second)
    assert np.abs(one - other).max() <= 2 / 32768


def test_numbers_that_are_none_become_silence(tmp_path: Path) -> None:
    sound = noisy(1.0, 16_000)
    sound[0, 3000:3010] = np.nan
    sound[0, 4000] = np.inf
    made = enhance(decoded(tmp_path, sound, 16_000), PLAIN, folder(), silent)
    assert made.after == pytest.approx(-16, abs=0.5)


def test_a_caller_who_gives_up_leaves_nothing(tmp_path: Path) -> None:
    def report(event: Event) -> None:
        if event.stage == "enhancing":
            raise Cancelled("enough")

    sound = decoded(tmp_path, noisy(30.0, 48_000), 48_000)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        enhance(sound, PLAIN, folder(), report)
    assert time.monotonic() - began < 20
    assert list(tmp_path.iterdir()) == [sound.path]


def test_a_filter_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enhancement, "LEAST_S", 0.1)
    monkeypatch.setattr(enhancement, "PATIENCE", 0.0)
    with pytest.raises(EngineTimedOut, match="shorter recording"):
        enhance(decoded(tmp_path, noisy(20.0, 48_000), 48_000), PLAIN, folder(), silent)


# The operation in Python


KINDS = [(48_000, 2, "pcm_s24le"), (44_100, 1, "pcm_f32le"), (8_000, 1, "pcm_mulaw"), (22_050, 6, "pcm_s16le")]


@pytest.mark.parametrize(("rate", "channels", "codec"), KINDS)
def test_rate_channels_and_length_stay(tmp_path: Path, rate: int, channels: int, codec: str) -> None:
    sound = noisy(2.345, rate, channels)
    source = write(tmp_path / "a.wav", sound, rate, codec)
    file = stt_lab.enhance_audio(source)
    made, its_rate = read(b"".join(file.chunks))
    assert (its_rate, made.shape) == (rate, (sound.shape[1], channels))
    assert float(file.headers["X-Duration"]) == pytest.approx(sound.shape[1] / rate, abs=1e-3)
    assert float(file.headers["X-Loudness-After"]) == pytest.approx(-16, abs=0.5)
    assert file.headers["X-Clipped"] == "0"
    assert true_peak(made) <= -1.0


def test_noise_goes_and_the_voice_stays_in_its_place(tmp_path: Path) -> None:
    rate = 48_000
    voice = voiced(4.0, rate)
    voice[: rate // 2] = 0  # a second of nothing but noise
    sound = voice + np.random.default_rng(2).normal(0, 0.02, len(voice)).astype(np.float32)
    options: dict[str, Any] = {"normalize": False}
    file = stt_lab.enhance_audio(write(tmp_path / "a.wav", sound[None], rate), **options)
    made = read(b"".join(file.chunks))[0][:, 0]
    quiet = slice(rate // 10, rate // 3)
    assert np.square(made[quiet]).mean() < 0.05 * np.square(sound[quiet]).mean()
    lag = np.argmax(np.correlate(made[rate : 2 * rate], sound[rate : 2 * rate], "same")) - rate // 2
    assert abs(lag) <= 2
    limited = stt_lab.enhance_audio(write(tmp_path / "b.wav", sound[None], rate), attenuation_limit_db=6, **options)
    kept = read(b"".join(limited.chunks))[0][:, 0]
    lowered = 10 * np.log10(np.square(sound[quiet]).mean() / np.square(kept[quiet]).mean())
    assert 4 < lowered < 7
    none = stt_lab.enhance_audio(write(tmp_path / "c.wav", sound[None], rate), attenuation_limit_db=0, **options)
    assert np.abs(read(b"".join(none.chunks))[0][:, 0] - sound).max() <= 1 / 32768


def test_silence_and_short_sounds_are_not_normalized(tmp_path: Path) -> None:
    for sound in (np.zeros((1, 32_000), np.float32), noisy(0.2, 16_000)):
        file = stt_lab.enhance_audio(write(tmp_path / "a.wav", sound, 16_000))
        made, _ = read(b"".join(file.chunks))
        assert made.shape == (sound.shape[1], 1)
        assert file.headers["X-Loudness-After"] == "" == file.headers["X-Loudness-Before"]
        assert np.abs(made).max() <= np.abs(sound).max() + 0.01


def test_a_loudness_that_cannot_be_is_said(tmp_path: Path) -> None:
    """Clicks far apart: their peaks would be over full scale long before they are loud."""
    sound = np.zeros((1, 32_000), np.float32)
    sound[0, ::8000] = 0.9
    sound += np.random.default_rng(3).normal(0, 1e-4, sound.shape).astype(np.float32)
    file = stt_lab.enhance_audio(write(tmp_path / "a.wav", sound, 16_000), loudness=-5, attenuation_limit_db=0)
    made, _ = read(b"".join(file.chunks))
    assert np.abs(made).max() <= CEILING  # what is left is white noise, between whose samples meters differ
    assert "instead of -5.0" in file.warnings[-1]


def test_what_is_clipped_is_counted(tmp_path: Path) -> None:
    sound = np.clip(noisy(1.0, 16_000) * 20, -3, 3)
    source = write(tmp_path / "a.wav", sound, 16_000, "pcm_f32le")
    file = stt_lab.enhance_audio(source, normalize=False, attenuation_limit_db=0)
    assert int(file.headers["X-Clipped"]) == np.count_nonzero((sound * 32768).round() > 32767) + np.count_nonzero(
        (sound * 32768).round() < -32768
    )


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(UnsupportedMedia):
        stt_lab.enhance_audio(tmp_path / "text.wav")
    for wrong in ({"loudness": -4}, {"loudness": -41}, {"attenuation_limit_db": 101}, {"attenuation_limit_db": -1}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            stt_lab.enhance_audio(tmp_path / "text.wav", **wrong)


def test_more_channels_than_can_be_kept(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((9, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(9 * 2 * 16_000))
    decoder = Decoder(tmp_path / "work", LIMITS)
    with pytest.raises(UnsupportedMedia, match="9 channels"), decoder.decode_whole(tmp_path / "a.wav"):
        pytest.fail("it was decoded")
    decoder.close()


def test_too_long_to_decode(tmp_path: Path) -> None:
    decoder = Decoder(tmp_path / "work", DecodeLimits(SAMPLE_RATE, 60))
    source = write(tmp_path / "a.wav", noisy(1.5, 44_100, 2), 44_100)
    with pytest.raises(TooLarge, match="longer than 1 second"), decoder.decode_whole(source):
        pytest.fail("it was decoded")
    decoder.close()
    assert list((tmp_path / "work").iterdir()) == []


def test_gaps_and_changing_formats_keep_their_time(tmp_path: Path) -> None:
    """Two WAV files one after the other, the second with another rate: one sound with the first one's rate."""
    first, second = noisy(1.0, 16_000), noisy(0.5, 48_000, 2)
    both = tmp_path / "both.wav"
    parts = [write(tmp_path / "1.wav", first, 16_000), write(tmp_path / "2.wav", second, 48_000)]
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    decoder = Decoder(tmp_path / "work", LIMITS)
    with decoder.decode_whole(both) as sound:
        assert (sound.sample_rate, sound.channels) == (16_000, 1)
        assert sound.samples == pytest.approx(24_000, abs=40)
    decoder.close()


# The other surfaces


def test_headers_of_nothing() -> None:
    made = Enhanced(Path("a"), 1.5, None, -16.04, 3)
    assert made.headers["X-Loudness-Before"] == ""
    assert made.headers["X-Loudness-After"] == "-16.0"
    assert (made.headers["X-Duration"], made.headers["X-Clipped"]) == ("1.500", "3")


def test_the_command_line_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "talk.wav", noisy(1.0, 16_000), 16_000)
    for name in ("talk-enhanced.wav", "talk-enhanced-2.wav"):
        assert cli.main(["enhance-audio", str(source), "--loudness", "-20", "-o", str(tmp_path / "out")]) == 0
        said = capsys.readouterr()
        assert said.out.strip().endswith(name)
        assert "Loudness-After: -20" in said.err
        assert read((tmp_path / "out" / name).read_bytes())[1] == 16_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("enhance"), max_upload_mb=20)) as running:
        yield running


def leftovers(server: Served) -> list[Path]:
    """Files of work and of jobs, without the artifacts of jobs that are kept."""
    data = server.settings.data_dir
    return [path for name in ("work", "jobs", "uploads") for path in (data / name).rglob("*") if path.is_file()]


def test_http(server: Served, tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", noisy(1.5, 44_100, 2), 44_100)
    sent = {"files": {"file": source.read_bytes()}}
    with httpx.Client(base_url=server.url, timeout=60) as client:
        refused = client.post("/v1/enhance-audio", **sent)
        assert refused.status_code == 401
        assert "needs a key" in refused.json()["error"]
        answer = client.post("/v1/enhance-audio", headers=MINE, **sent)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/wav"
        made, rate = read(answer.content)
        assert (rate, made.shape) == (44_100, (66_150, 2))
        assert answer.headers["x-duration"] == "1.500"
        assert float(answer.headers["x-loudness-after"]) == pytest.approx(-16, abs=0.5)
        assert float(answer.headers["x-loudness-before"]) < 0
        assert answer.headers["x-clipped"] == "0"
        bad = client.post("/v1/enhance-audio", headers=MINE, data={"loudness": "0"}, **sent)
        assert bad.status_code == 400
        assert "Loudness of the result in LUFS" in bad.json()["error"]
        missing = client.post("/v1/enhance-audio", headers=MINE, data={"loudness": "-20"})
        assert missing.status_code == 400
    until(lambda: not leftovers(server))


def test_credits_and_background(server: Served, tmp_path: Path) -> None:
    accounts = server.accounts
    account = accounts.create("payer", tier="paid").id
    accounts.grant(account, 10)
    who = {"Authorization": f"Bearer {accounts.create_key(account, 'k', ['speech'])[1]}"}
    source = write(tmp_path / "a.wav", noisy(61.0, 8_000), 8_000).read_bytes()
    with httpx.Client(base_url=server.url, timeout=60, headers=who) as client:
        bad = client.post("/v1/enhance-audio", files={"file": b"no sound"})
        assert (bad.status_code, accounts.balance(account)) == (400, 10)
        job = client.post("/v1/enhance-audio", files={"file": source}, data={"background": "true"}).json()
        until(lambda: client.get(job["url"]).json()["status"] in ("done", "failed"), 60)
        answer = client.get(f"{job['url']}/result")
        assert (answer.status_code, answer.headers["x-duration"]) == (200, "61.000")
        assert len(read(answer.content)[0]) == 61 * 8_000
        assert accounts.balance(account) == 8  # 61 seconds are two minutes
        slow = write(tmp_path / "b.wav", noisy(100.0, 48_000), 48_000).read_bytes()
        job = client.post("/v1/enhance-audio", files={"file": slow}, data={"background": "true"}).json()
        until(lambda: client.get(job["url"]).json()["stage"] == "enhancing", 30)
        assert client.delete(job["url"]).status_code == 200
        until(lambda: client.get(job["url"]).json()["status"] == "cancelled", 10)
        assert accounts.balance(account) == 8
    until(lambda: not leftovers(server))


def test_the_python_client(server: Served, tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", noisy(1.0, 16_000), 16_000)
    with Client(server.url, KEY) as client:
        made = client.enhance_audio(source, tmp_path / "out.wav", loudness=-23.0)
        with pytest.raises(BadInput):
            client.enhance_audio(source, tmp_path / "bad.wav", loudness=3.0)
    sound, rate = read(made.read_bytes())
    assert pyloudnorm.Meter(rate).integrated_loudness(sound) == pytest.approx(-23, abs=0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "out.wav"]


def test_a_video(tmp_path: Path) -> None:
    """What decides is the content: a film without a name that tells it."""
    path = tmp_path / "film"
    encode(str(path), "matroska", "flac", 44_100, "stereo", noisy(1.2, 44_100, 2), "mpeg4")
    made, rate = read(b"".join(stt_lab.enhance_audio(path).chunks))
    assert (rate, made.shape[1]) == (44_100, 2)
    with av.open(str(path)) as container:
        packets = [frame.samples for frame in container.decode(audio=0)]
    assert len(made) == sum(packets)
