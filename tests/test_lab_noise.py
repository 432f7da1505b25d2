"""Numbers of the laboratory's sound against theory, and what is made of them."""

from __future__ import annotations

import json
import math
import random
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lab_toys import made_results, said

from stt_lab.errors import BadInput, Unavailable
from stt_lab.lab.data.items import Item
from stt_lab.lab.noise import effects, levels, robustness
from stt_lab.lab.noise.robustness import CLEAN, Coding, Sweep, by_condition, by_snr
from stt_lab.lab.noise.sound import write_wav
from stt_lab.lab.report import plots
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

NONE = Sweep((), "pink", (), (), (), (), (), telephone=False)


def sine(seconds: float, amplitude: float = 0.5, hertz: float = 440.0) -> Sound:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * times), np.float32)


def white(seconds: float, power: float) -> Sound:
    size = round(seconds * SAMPLE_RATE)
    return np.asarray(np.random.default_rng(7).standard_normal(size) * math.sqrt(power), np.float32)


def decibels(power: float) -> float:
    return 10 * math.log10(power)


# Levels


@pytest.mark.parametrize("amplitude", [0.9, 0.1, 0.01, 0.001])
def test_the_active_level_of_a_tone_is_half_its_amplitude_squared(amplitude: float) -> None:
    assert decibels(levels.active_level(sine(4.0, amplitude))) == pytest.approx(decibels(amplitude**2 / 2), abs=0.1)


def test_the_active_level_ignores_how_long_pauses_are() -> None:
    tone, pause = sine(2.0), np.zeros(2 * SAMPLE_RATE, np.float32)
    short = levels.active_level(np.concatenate([tone, pause]))
    long = levels.active_level(np.concatenate([tone, pause, pause, pause]))
    assert short == pytest.approx(long)
    assert decibels(short) == pytest.approx(
        decibels(0.125 * 2 / 2.2), abs=0.3
    )  # the hangover of 0.2 s counts as speech


def test_the_envelope_looks_back_only() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[8000] = 1.0
    envelope = levels._envelope(click)
    assert envelope[:8000].max() == 0.0
    hold = round(levels.HANGOVER_S * SAMPLE_RATE)
    peak = int(np.argmax(envelope))
    assert envelope[peak : peak + hold].min() == pytest.approx(envelope.max())
    assert envelope[peak + hold + 800] < envelope.max()


@pytest.mark.parametrize(
    ("snr", "expected"),
    [(30, 30.0), (25, 25.0), (10, 10 - 3.01), (5, 5 - 3.01)],  # noise above the margin of 15.9 dB fills the pauses
)
def test_the_ratio_of_a_tone_with_pauses_to_noise(snr: int, expected: float) -> None:
    tone = np.concatenate([np.concatenate([sine(1.0), np.zeros(SAMPLE_RATE, np.float32)]) for _ in range(4)])
    noise = white(8.0, 0.125 / 10 ** (snr / 10))
    assert levels.signal_to_noise(tone + noise) == pytest.approx(expected, abs=1.2)


def test_less_than_a_second_has_no_ratio() -> None:
    frames = levels.FEWEST * levels.FRAME
    assert levels.signal_to_noise(white(2.0, 0.01)[: frames - 1]) is None
    assert levels.signal_to_noise(white(2.0, 0.01)[:frames]) is not None
    assert levels.signal_to_noise(np.zeros(5 * SAMPLE_RATE, np.float32)) is None  # digital silence
    assert levels.signal_to_noise(np.zeros(0, np.float32)) is None


def test_the_ratio_has_a_floor() -> None:
    loud, quiet = white(2.0, 0.1), white(0.2, 1e-6)
    noisy = levels.signal_to_noise(np.concatenate([loud, quiet]))
    assert noisy is not None
    assert noisy >= levels.LOWEST_DB


# Effects


def test_no_effect_changes_nothing() -> None:
    sound = sine(0.1)
    assert effects.unchanged(sound, 3) is sound
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert effects.noise(10.0)(silence, 3) is silence  # there is no speech to measure from


@pytest.mark.parametrize("snr", [20, 0])
def test_added_noise_has_the_power_that_was_asked_for(snr: int) -> None:
    tone = sine(4.0, 0.1)
    noisy = effects.noise(snr, "white")(tone, 5)
    added = float(np.mean(np.square(noisy - tone, dtype=float)))
    assert decibels(0.005 / added) == pytest.approx(snr, abs=0.3)


@pytest.mark.parametrize(("colour", "fall"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
def test_the_colour_of_noise_is_its_fall_per_octave(colour: str, fall: float) -> None:
    tone = sine(8.0, 0.01)
    spectrum = np.abs(np.fft.rfft(effects.noise(0.0, colour)(tone, 1) - tone)) ** 2
    hertz = np.fft.rfftfreq(len(tone), 1 / SAMPLE_RATE)
    low, high = (float(np.mean(spectrum[(hertz >= from_) & (hertz < 2 * from_)])) for from_ in (500, 4000))
    assert decibels(high / low) / 3 == pytest.approx(fall, abs=1.0)  # over three octaves; the filter has 64 points


def test_random_numbers_of_others_are_left_as_they_were() -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), float(np.random.random())
    random.seed(1)
    np.random.seed(1)
    effects.noise(10.0)(sine(1.0), 99)
    assert (random.random(), float(np.random.random())) == expected


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_speed_changes_the_length(factor: float) -> None:
    made = effects.speed(factor)(sine(2.0), 0)
    assert len(made) / SAMPLE_RATE == pytest.approx(2.0 / factor, abs=0.1)


def test_a_room_keeps_the_level_and_lasts_longer() -> None:
    tone = sine(1.0)
    made = effects.room(0.3)(tone, 0)
    assert levels.active_level(made) == pytest.approx(levels.active_level(tone), rel=0.02)
    assert len(made) == len(tone) + len(effects.impulse_response(0.3)) - 1
    assert effects.impulse_response(0.3) is effects.impulse_response(0.3)  # computed once


def test_the_band_of_a_telephone() -> None:
    for hertz, kept in ((50.0, False), (1000.0, True), (7500.0, False)):
        made = effects.telephone_band(sine(1.0, 0.5, hertz), 0)
        loss = decibels(0.125 / float(np.mean(np.square(made[SAMPLE_RATE // 4 :], dtype=float))))
        assert (loss < 1.0) is kept, hertz


# Conditions


def test_a_sweep_of_nothing_has_the_clean_recordings_only() -> None:
    assert list(NONE.conditions()) == [CLEAN]


def test_conditions_are_named_the_mildest_first() -> None:
    sweep = Sweep((0, 20.5), "white", (0.8, 0.3), (20, 2), (1.5, 0.75), (16, 144), (6, 64))
    made = sweep.conditions()
    assert list(made) == [
        CLEAN, "noise, SNR 20.5 dB", "noise, SNR 0 dB", "room, T60 0.3 s", "room, T60 0.8 s", "clipped, 2 %",
        "clipped, 20 %", "0.75 times as fast", "1.5 times as fast", "telephone, G.711", "MP3, 144 kb/s",
        "MP3, 16 kb/s", "Opus, 64 kb/s", "Opus, 6 kb/s",
    ]  # fmt: skip
    assert made["noise, SNR 20.5 dB"].extra == {"snr_db": 20.5}
    assert made["MP3, 16 kb/s"].coding == Coding(".mp3", "libmp3lame", 16_000, 16_000)
    assert made["telephone, G.711"].coding == Coding(".wav", "pcm_mulaw", 8_000, 64_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"snrs_db": (True,)}, {"snrs_db": (math.nan,)}, {"speeds": (0.4,)}, {"speeds": (2.1,)}, {"opus_kbps": (5,)},
        {"opus_kbps": (129,)}, {"rooms_s": (0.1,)}, {"clipped": (0,)}, {"clipped": (3,)}, {"mp3_kbps": (9,)},
    ],
)  # fmt: skip
def test_each_strength_has_limits(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(BadInput, match=f"^{name} cannot contain "):
        Sweep(**wrong)


def test_a_codec_is_asked_for_its_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jobs: list[dict[str, Any]] = []

    def run(command: list[str], input: str, **more: Any) -> SimpleNamespace:
        jobs.extend(json.loads(input))
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(robustness.subprocess, "run", run)
    with robustness._Writer(tmp_path) as writer:
        assert writer.write("plain", sine(0.1), None) == tmp_path / "plain.wav"
        assert writer.write("coded", sine(0.1), Coding(".opus", "libopus", 16_000, 6_000)) == tmp_path / "coded.opus"
        assert not jobs  # all in one process, at the end
    (job,) = jobs
    assert {name: job[name] for name in ("codec", "rate", "bit_rate")} == {
        "codec": "libopus", "rate": 16_000, "bit_rate": 6_000,
    }  # fmt: skip
    assert job["target"] == str(tmp_path / "coded.opus")
    assert not Path(job["source"]).exists()  # gone with the writer


def test_nothing_is_encoded_after_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(robustness.subprocess, "run", pytest.fail)
    writer = robustness._Writer(tmp_path)
    writer.write("coded", sine(0.1), Coding(".opus", "libopus", 16_000, 6_000))
    source = Path(writer._jobs[0]["source"])
    assert source.exists()
    writer.__exit__(KeyError, KeyError(), None)
    assert not source.exists()


def test_an_encoder_that_hangs_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(*command: Any, **more: Any) -> None:
        raise robustness.subprocess.TimeoutExpired("encoder", 1)

    monkeypatch.setattr(robustness.subprocess, "run", run)
    with pytest.raises(Unavailable, match="The encoder cannot run"), robustness._Writer(tmp_path) as writer:
        writer.write("coded", sine(0.1), Coding(".mp3", "libmp3lame", 16_000, 8_000))


# Results


def test_conditions_are_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    conditions = [(CLEAN, None), ("noise, SNR 20 dB", 20.0), ("noise, SNR 5 dB", 5.0), ("room", None)]
    rows = [
        {"id": name, "audio": f"{n}.wav", "language": "en", "text": "red green", "source": name}
        | ({} if snr is None else {"snr_db": snr})
        for n, (name, snr) in enumerate(conditions)
    ]
    texts = ("red green", "red green", "red", "")
    heard = [said("s", row["id"], text) for row, text in zip(rows, texts, strict=True)]
    found = made_results(tmp_path, rows, heard)
    assert by_condition(found)[["group", "value"]].to_numpy().tolist() == [
        [CLEAN, 0.0], ["noise, SNR 20 dB", 0.0], ["noise, SNR 5 dB", 50.0], ["room", 100.0],
    ]  # fmt: skip
    table = by_snr(found)
    assert table["snr"].to_list() == [math.inf, 20.0, 5.0]
    axes = plots.noise_curve(found, table).axes[0]
    assert [float(tick) for tick in axes.get_xticks()] == [5.0, 20.0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.0, 50.0], [0.0, 0.0]]  # and the clean one, dashed


def test_recordings_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    rows = [
        {"id": "silent", "audio": "a.wav", "text": ""},
        {"id": "unknown", "audio": "b.wav"},
        {"id": "long", "audio": "c.wav", "text": "x", "duration": 31.0},
        {"id": "two", "audio": "d.wav", "text": "x y", "turns": [
            {"start": 0, "end": 1, "speaker": "A"}, {"start": 1, "end": 2, "speaker": "B"},
        ]},
    ]  # fmt: skip
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(BadInput, match="has no recording of one speaker with text, up to 30 s"):
        robustness.worsened(str(tmp_path), str(tmp_path / "out"), NONE)
    assert not (tmp_path / "out").exists()


# Files


def samples(path: Path) -> Any:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_loud_sound_is_scaled_and_quiet_sound_is_not(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.asarray([0.5, -1.0, 0.0], np.float32))
    assert samples(tmp_path / "a.wav").tolist() == [16383, -32767, 0]
    write_wav(tmp_path / "b.wav", np.asarray([2.0, -4.0, 1.0], np.float32))
    assert samples(tmp_path / "b.wav").tolist() == [16383, -32767, 8191]
    write_wav(tmp_path / "c.wav", np.zeros(0, np.float32))
    assert samples(tmp_path / "c.wav").tolist() == []


def test_a_recording_that_cannot_be_read_has_no_estimate(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", white(2.0, 0.01))
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    items = [Item(name, tmp_path / f"{name}.wav") for name in ("a", "b", "gone")]
    found = levels.estimates(items)
    assert list(found) == ["a", "b", "gone"]
    assert found["a"] is not None
    assert (found["b"], found["gone"]) == (None, None)
