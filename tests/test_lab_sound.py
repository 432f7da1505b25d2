"""Sound in the laboratory: levels of speech and noise, recordings made worse, and what codecs leave of them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stt_lab.errors import BadInput, Unavailable
from stt_lab.lab.data.dataset import Item, check, read_manifest
from stt_lab.lab.noise import effects, levels, robustness
from stt_lab.lab.noise.robustness import Sweep, worsened
from stt_lab.lab.noise.sound import own_decoder, write_wav
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

FULL = Sweep(snrs_db=[0, 10])
NAMES = [
    "as recorded", "noise, SNR 10 dB", "noise, SNR 0 dB", "room, T60 0.3 s", "room, T60 0.8 s", "clipped, 10 %",
    "0.8 times as fast", "1.25 times as fast", "telephone, G.711", "MP3, 32 kb/s", "MP3, 8 kb/s", "Opus, 16 kb/s",
    "Opus, 6 kb/s",
]  # fmt: skip


def decibels(power: float) -> float:
    return 10 * float(np.log10(power))


def talk(seconds: float, pause: float = 0.4) -> Sound:
    """A buzz of 150 Hz in syllables of 200 ms, a word of a second, then a pause in which there is nothing at all."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20))
    syllables = 0.55 - 0.45 * np.cos(2 * np.pi * 5 * time)
    return np.asarray(0.05 * buzz * syllables * (time % (1 + pause) < 1), np.float32)


def hiss(size: int, power: float) -> Sound:
    return np.asarray(np.random.default_rng(1).standard_normal(size) * np.sqrt(power), np.float32)


# Levels


def test_pauses_do_not_lower_the_level_of_speech() -> None:
    sound = talk(6, pause=0)
    steady = levels.active_level(sound)
    assert decibels(steady) == pytest.approx(decibels(float(np.mean(sound**2))), abs=0.1)
    padded = np.concatenate([np.zeros(5 * SAMPLE_RATE, np.float32), sound, np.zeros(9 * SAMPLE_RATE, np.float32)])
    assert decibels(levels.active_level(padded)) == pytest.approx(decibels(steady), abs=0.3)
    assert decibels(levels.active_level(sound / 4)) == pytest.approx(decibels(steady / 16), abs=0.1)
    assert levels.active_level(np.zeros(SAMPLE_RATE, np.float32)) == 0.0


@pytest.mark.parametrize("snr", [20.0, 10.0, 5.0, 0.0])
def test_noise_is_measured_as_it_was_added(snr: float) -> None:
    sound = talk(8)
    noisy = sound + hiss(len(sound), levels.active_level(sound) / 10 ** (snr / 10))
    assert levels.signal_to_noise(noisy) == pytest.approx(snr, abs=1.5)


def test_some_sound_has_no_snr(tmp_path: Path) -> None:
    assert levels.signal_to_noise(hiss(SAMPLE_RATE // 2, 1e-4)) is None
    assert levels.signal_to_noise(np.zeros(9 * SAMPLE_RATE, np.float32)) is None
    noise = levels.signal_to_noise(hiss(9 * SAMPLE_RATE, 1e-4))
    assert noise is not None
    assert levels.LOWEST_DB <= noise < 0
    write_wav(tmp_path / "a.wav", talk(3) + hiss(3 * SAMPLE_RATE, 1e-4))
    found = levels.estimates([Item("a", tmp_path / "a.wav"), Item("gone", tmp_path / "gone.wav")])
    assert found["gone"] is None
    assert found["a"] == pytest.approx(decibels(levels.active_level(talk(3)) / 1e-4), abs=1.5)


# Effects


@pytest.mark.parametrize("colour", list(effects.COLOURS))
def test_noise_is_as_loud_as_it_says(colour: str) -> None:
    sound = talk(4)
    added = effects.noise(10, colour)(sound, 1) - sound
    assert decibels(levels.active_level(sound) / float(np.mean(added**2))) == pytest.approx(10, abs=0.3)
    power = np.abs(np.fft.rfft(added)) ** 2
    low, high = (float(np.mean(power[4 * hertz : 8 * hertz])) for hertz in (500, 2000))  # 4 s: bins of a quarter hertz
    assert decibels(high / low) == pytest.approx(2 * effects.COLOURS[colour], abs=1)


def test_an_effect_depends_on_its_seed_alone() -> None:
    sound, before = talk(2), random.getstate()
    numbers = np.random.get_state()[1].copy()
    for name, condition in FULL.conditions().items():
        worse = condition.effect(sound, 1)
        assert worse.dtype == np.float32
        assert np.isfinite(worse).all()
        assert np.array_equal(worse, condition.effect(sound, 1)), name
        assert np.array_equal(worse, condition.effect(sound, 2)) is not name.startswith("noise")
    assert random.getstate() == before
    assert np.array_equal(np.random.get_state()[1], numbers)
    assert not effects.noise(0)(np.zeros(1000, np.float32), 1).any()  # nothing to be louder than


@pytest.mark.parametrize("t60", [0.3, 0.8])
def test_rooms_last_as_long_as_they_say(t60: float) -> None:
    answer = effects.impulse_response(t60)
    left = np.cumsum(answer[::-1] ** 2)[::-1]  # Schroeder's backward integration
    fall = 10 * np.log10(left / left[0])
    begin, end = (int(np.argmax(fall < limit)) for limit in (-5, -35))
    assert 2 * (end - begin) / SAMPLE_RATE == pytest.approx(t60, rel=0.2)
    worse = effects.room(t60)(talk(3), 0)
    assert decibels(levels.active_level(worse) / levels.active_level(talk(3))) == pytest.approx(0, abs=0.1)


def test_clipping_speed_and_the_telephone_do_what_they_say() -> None:
    sound = talk(4, pause=0)
    clipped = effects.clipping(10)(sound, 0)
    assert np.mean(clipped == clipped.max()) + np.mean(clipped == clipped.min()) == pytest.approx(0.1, abs=0.01)
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    faster = effects.speed(1.25)(tone, 0)
    assert len(faster) == pytest.approx(len(tone) / 1.25, rel=0.01)
    assert np.argmax(np.abs(np.fft.rfft(faster))) * SAMPLE_RATE / len(faster) == pytest.approx(440, abs=3)
    power = np.abs(np.fft.rfft(effects.telephone_band(hiss(4 * SAMPLE_RATE, 0.01), 0))) ** 2
    inside, below, above = (float(np.mean(power[4 * a : 4 * b])) for a, b in ((600, 2500), (20, 100), (7000, 8000)))
    assert inside > 100 * max(below, above)


def test_loud_sound_is_not_cut_off(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.float32([0.5, 2.0, -4.0]))
    with own_decoder(get_settings()) as decoder, decoder.decode(tmp_path / "a.wav") as audio:
        assert audio.read() == pytest.approx([0.125, 0.5, -1.0], abs=1e-3)


# Datasets


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Two recordings that may be used, and two that may not."""
    folder = tmp_path / "speech"
    folder.mkdir()
    write_wav(folder / "a.wav", talk(2))
    two = [{"start": n, "end": n + 1, "speaker": name, "text": "x"} for n, name in enumerate("AB")]
    rows: list[dict[str, Any]] = [{"id": name, "audio": "a.wav", "text": "some words"} for name in ("one", "two")]
    rows += [
        {"id": "both", "audio": "a.wav", "text": "x x", "segments": two},
        {"id": "nobody", "audio": "a.wav", "text": ""},
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def test_worsened_recordings_are_files_of_their_kind(speech: Path, tmp_path: Path) -> None:
    made = worsened(str(speech), str(tmp_path / "first"), FULL, limit=5)
    assert [item.source for item in made.items] == [*NAMES, *NAMES]
    assert {item.extra["original"] for item in made.items} == {"one", "two"}
    assert [item.extra.get("snr_db") for item in made.items[:4]] == [None, 10, 0, None]
    assert not check(made.folder, decode=True)
    assert read_manifest(made.folder).digest() == made.digest()
    found = {}
    with own_decoder(get_settings()) as decoder:
        for item in made.items[: len(NAMES)]:
            with decoder.decode(item.audio) as audio:
                found[item.source] = (audio.codec, audio.source_rate)
    assert found["telephone, G.711"] == ("pcm_mulaw", 8_000)
    assert found["MP3, 8 kb/s"] == ("mp3float", 16_000)
    assert found["Opus, 6 kb/s"][0] == "opus"
    assert {found[name][0] for name in NAMES[:8]} == {"pcm_s16le"}
    sizes = {item.source: item.audio.stat().st_size for item in made.items}
    for name, kbps in (("MP3, 32 kb/s", 32), ("MP3, 8 kb/s", 8), ("telephone, G.711", 64)):
        assert 8 * sizes[name] / 2.0 / 1000 == pytest.approx(kbps, rel=0.2)
    assert sizes["Opus, 6 kb/s"] < sizes["Opus, 16 kb/s"] < sizes["MP3, 32 kb/s"]
    again = worsened(str(speech), str(tmp_path / "again"), FULL, limit=5)
    assert all(a.audio.read_bytes() == b.audio.read_bytes() for a, b in zip(made.items, again.items, strict=True))
    other = worsened(str(speech), str(tmp_path / "other"), Sweep(snrs_db=[10]), limit=1, seed=1)
    assert other.items[1].audio.read_bytes() != made.items[1].audio.read_bytes()


@pytest.mark.parametrize(
    ("strengths", "sentence"),
    [
        ({"colour": "grey"}, "colour cannot be 'grey'. Choose from white, pink, brown."),
        ({"mp3_kbps": [20]}, "mp3_kbps cannot contain 20. Choose from 8, 16, 24"),
        ({"rooms_s": [9]}, "rooms_s cannot contain 9. Use numbers from 0.15 to 1.2."),
        ({"snrs_db": ["10"]}, "snrs_db cannot contain '10'"),
        ({"clipped": [5]}, "clipped cannot contain 5. Choose from 2, 4"),
    ],
)
def test_strengths_that_cannot_be_are_refused(strengths: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        replace(FULL, **strengths)


def test_a_codec_that_is_not_there_is_a_sentence(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "ENCODER", tmp_path / "none.py")
    with pytest.raises(Unavailable, match=r"The encoder failed .*Exclude the codec"):
        worsened(str(speech), str(tmp_path), FULL, limit=1)
    with pytest.raises(BadInput, match="no recording of one speaker"):
        worsened(str(speech), str(tmp_path), FULL, limit=0)
