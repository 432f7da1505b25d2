"""The Voice tab: pictures of any length, equal loudness, names that are no HTML, and who may use its functions."""

from __future__ import annotations

import base64
import io
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from outline import NASTY
from PIL import Image
from toy_server import Served, button, file_data, join, serve, settings_for, upload, wav

from stt_lab.types import Audio
from stt_lab.ui.voice import html
from stt_lab.ui.voice.pictures import COLUMNS, LOUDEST, ROWS, SoundPicture, picture_of, read_decoded, read_wav

RATE = 16_000


def pixels(picture: SoundPicture) -> np.ndarray:
    """Brightness of the spectrogram, shape (ROWS, COLUMNS), the highest frequency first."""
    image = Image.open(io.BytesIO(base64.b64decode(picture.spectrogram)))
    assert image.size == (COLUMNS, ROWS)
    return np.asarray(image.convert("L")).astype(int)


def tone(hertz: float, seconds: float, level: float = 0.5, rate: int = RATE) -> np.ndarray:
    return (level * 32767 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("seconds", [0.02, 0.5, 20])
def test_a_tone_is_a_line_at_its_frequency(rate: int, seconds: float) -> None:
    picture = picture_of(tone(2000, seconds, rate=rate), rate)
    assert picture.duration == pytest.approx(seconds, abs=0.001)
    assert picture.peak == pytest.approx(0.5, abs=0.01)
    brightest = pixels(picture)[:, COLUMNS // 2].argmax()
    highest = min(8000, rate / 2)
    assert brightest == pytest.approx(ROWS * (1 - 2000 / highest), abs=6 if seconds < 0.1 else 2)


def test_silence_is_dark_and_gain_makes_it_brighter() -> None:
    assert pixels(picture_of(np.zeros(RATE, np.int16), RATE)).max() < 40
    assert pixels(picture_of(np.zeros(0, np.int16), RATE)).max() < 40
    quiet = 10 ** ((LOUDEST - 40) / 20)
    plain, louder = (pixels(picture_of(tone(2000, 1, quiet), RATE, gain)).max() for gain in (0, 20))
    assert plain < louder


def test_the_waveform_has_the_highest_samples() -> None:
    sound = np.zeros(100_000, np.int16)
    sound[50_003] = -16_384  # one of 208 in its column
    picture = picture_of(sound, RATE)
    assert picture.peak == 0.5
    assert f"{50_003 * COLUMNS // 100_000},1.500" in picture.waveform


def test_an_hour_is_drawn_as_quickly_and_as_small(tmp_path: Path) -> None:
    path, samples = tmp_path / "a.pcm", 3600 * RATE
    np.tile(tone(440, 10), 360).tofile(path)
    began = time.process_time()
    hour = picture_of(*read_decoded(Audio(path, samples)))
    assert time.process_time() - began < 5
    short = picture_of(tone(440, 10), RATE)
    assert hour.duration == 3600
    assert len(hour.waveform) + len(hour.spectrogram) < 2 * (len(short.waveform) + len(short.spectrogram)) < 300_000


def test_wav_files_are_read_without_their_other_channels(tmp_path: Path) -> None:
    both = np.stack([tone(440, 1), np.zeros(RATE, np.int16)], 1)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(both.tobytes())
    sound, rate = read_wav(tmp_path / "a.wav")
    assert rate == RATE
    assert np.array_equal(sound, both[:, 0])
    with wave.open(str(tmp_path / "b.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
    assert len(read_wav(tmp_path / "b.wav")[0]) == 0


@pytest.mark.parametrize(
    ("before", "after", "peaks", "gains"),
    [
        (-30.0, -16.0, (0.1, 0.9), (14.0, 0.0)),  # up to full scale there are 20 dB
        (-30.0, -16.0, (0.5, 0.9), (6.02, -7.98)),  # there are only 6 dB: both are lowered
        (-10.0, -16.0, (1.0, 0.5), (-6.0, 0.0)),
        (None, None, (0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_both_are_equally_loud_and_nothing_is_distorted(
    before: float | None, after: float | None, peaks: tuple[float, float], gains: tuple[float, float]
) -> None:
    levels = html.Levels(before, after)
    made = levels.gains(*peaks)
    assert made == pytest.approx(gains, abs=0.01)
    assert all(peak * 10 ** (gain / 20) <= 1.0001 for peak, gain in zip(peaks, made, strict=True))
    if before is not None and after is not None:
        assert before + made[0] == pytest.approx(after + made[1])


def test_names_and_warnings_are_text() -> None:
    picture = picture_of(tone(440, 1), RATE)
    sounds = [html.Sound(title, NASTY, f"a/{NASTY}", picture, -20.0) for title in ("Original", "Enhanced")]
    made = html.comparison(sounds, html.Levels(-20.0, -16.0), [NASTY])
    made += html.speech(sounds[0], {"X-Engine": NASTY, "X-Similarity": NASTY}, [NASTY])
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert "Equal loudness" in made
    assert "Equal loudness" not in html.comparison(sounds, html.Levels(None, None), [])
    assert html.renamed("../../a b.mp3", "enhanced.wav") == "a b-enhanced.wav"


# Whose work it does


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("voice"))) as running:
        yield running


@pytest.mark.parametrize(("verb", "options"), [("Enhance", [100, True, -16]), ("Speak", ["Hello.", "auto", 1, True])])
def test_the_functions_need_a_key_with_its_scope(
    served: Served, tmp_path: Path, verb: str, options: list[object]
) -> None:
    account = served.accounts.create(f"Ada {verb}", tier="unlimited").id
    keys = {scope: served.accounts.create_key(account, scope, [scope])[1] for scope in ("speech", "library")}
    content = wav(tmp_path / "a.wav", 4).read_bytes()
    with httpx.Client(base_url=served.url, timeout=60) as client:
        index = button(client, verb)
        for key, sentence in ((None, "sign in"), ("wrong", "sign in"), (keys["library"], "speech&#x27;")):
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            said = join(client, index, [file_data(upload(client, content)), None, *options], **headers)
            assert sentence in said
            assert "voice-sound" not in said
        who = {"authorization": f"Bearer {keys['speech']}"}
        said = join(client, index, [None, None, *options], **who)
        assert "No recording was sent" in said
        said = join(client, index, [file_data(upload(client, content)), None, *options], **who)
        assert "voice-sound" in said, said[-500:]
    assert [entry.kind for entry in served.accounts.ledger(account)][:2] == ["settle", "reserve"]
