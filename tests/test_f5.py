"""F5-TTS: its licence, its place among the models that speak, and its engine on networks in miniature."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from references import audio, buzz, wav_of
from toy_server import MINE, Served, Toy, ToySpeaker, serve, settings_for

from stt_lab.engines import pool as pools
from stt_lab.engines.doctor import doctor
from stt_lab.engines.f5 import SHAPE, VOCABULARY, VOCODER, WEIGHTS, F5Speaker, ended, longest, quiet
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import EngineSpec, Speaker, SpokenSentence, Voice, VoiceCopy, VoiceMatch
from stt_lab.errors import BadInput, Cancelled, ModelMissing
from stt_lab.settings import Settings, get_settings
from stt_lab.types import SAMPLE_RATE, Audio, Event, Report, silent
from stt_lab.voice.speech import COPY_RATE, expected_seconds
from stt_lab.weights import catalog
from stt_lab.weights.pull import pull

F5 = catalog.get("f5-tts")

# Its licence, and its place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Empty files where the weights of both speakers and their requirements would be."""
    settings_for(tmp_path)
    for model in (F5, *map(catalog.get, F5.needs)):
        for name in model.files:
            (tmp_path / "models" / model.id / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "models" / model.id / name).touch()
    return tmp_path


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the packages of all extras were installed."""
    monkeypatch.setattr(catalog, "uninstalled", lambda model: ())


def settings_in(folder: Path, **more: object) -> Settings:
    return settings_for(folder, **more)


@pytest.mark.usefixtures("packages")
def test_the_licence_must_be_accepted(folder: Path) -> None:
    refused, accepted = Pool(settings_in(folder)), Pool(settings_in(folder, accept_noncommercial=True))
    assert [model.id for model in refused.speakers("auto")] == ["kokoro-82m"]
    with pytest.raises(ModelMissing, match=r"CC-BY-NC-4\.0.*STT_LAB_ACCEPT_NONCOMMERCIAL=1"):
        refused.speakers("f5-tts")
    assert [model.id for model in accepted.speakers("auto")] == ["f5-tts", "kokoro-82m"]
    assert accepted.speakers("SWivid/F5-TTS") == (F5,)
    assert [model.id for model in accepted.speakers("kokoro-82m")] == ["kokoro-82m"]
    with pytest.raises(BadInput, match=r"'base' cannot speak\. Choose from f5-tts, kokoro-82m"):
        accepted.speakers("base")
    with pytest.raises(BadInput, match=r"'nobody' was not found\. Choose from f5-tts, kokoro-82m"):
        accepted.speakers("nobody")


def test_without_its_packages_or_its_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "uninstalled", lambda model: model.libraries)
    there = Pool(settings_in(folder, accept_noncommercial=True))
    assert [model.id for model in there.speakers("auto")] == ["kokoro-82m"]
    with pytest.raises(ModelMissing, match=r"packages of the model 'f5-tts' are not installed\. Run `.*\[f5\]'`"):
        there.speakers("f5-tts")
    monkeypatch.setattr(catalog, "uninstalled", lambda model: ())
    (folder / "models" / "f5-tts" / WEIGHTS).unlink()
    with pytest.raises(ModelMissing, match="stt-lab models pull f5-tts"):
        there.speakers("f5-tts")


def test_nothing_is_downloaded_before(tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path, data_dir=tmp_path, offline=True)
    with pytest.raises(BadInput, match="STT_LAB_ACCEPT_NONCOMMERCIAL=1"):
        pull("f5-tts", settings)
    assert not list(tmp_path.iterdir())


def test_the_doctor_names_the_setting(folder: Path) -> None:
    (found,) = (one for one in doctor(settings_in(folder)) if one.subject == "model f5-tts")
    assert "STT_LAB_ACCEPT_NONCOMMERCIAL=1" in found.detail + found.remedy or "f5_tts" in found.detail
    empty = Settings(data_dir=folder / "none", models_dir=folder / "none")
    (found,) = (one for one in doctor(empty) if one.subject == "model f5-tts")
    assert "STT_LAB_ACCEPT_NONCOMMERCIAL=1" in found.detail
    (found,) = (one for one in doctor(empty) if one.subject == "task speak")
    assert found.remedy == "stt-lab models pull kokoro-82m"


# The operation, with an engine of the test's own


class ToyCopier(ToySpeaker):
    """Remembers what it is given of a reference."""

    copies: ClassVar[list[VoiceCopy]] = []

    def match(self, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        assert copy is not None
        ToyCopier.copies.append(copy)
        return VoiceMatch(copy, 0.875)

    def speak(self, text: str, language: str, voice: Voice, speed: float, report: Report) -> SpokenSentence:
        assert isinstance(voice, VoiceCopy)
        ToySpeaker.said.append((text, language, speed))
        return SpokenSentence(np.full(24_000, 0.25, np.float32), 24_000)


@pytest.fixture
def server(folder: Path, packages: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setitem(pools.ENGINES, "f5-tts", f"{__name__}:ToyCopier")
    ToyCopier.copies, ToySpeaker.said = [], []
    with serve(settings_in(folder, accept_noncommercial=True)) as running:
        yield running


def ask(server: Served, reference: bytes, **fields: Any) -> httpx.Response:
    files = {"reference": ("r.wav", reference)}
    return httpx.post(f"{server.url}/v1/tts", headers=MINE, files=files, data=fields, timeout=30)


def test_the_words_of_the_reference_are_recognised_here(server: Served) -> None:
    answer = ask(server, wav_of(buzz(4)), text="Hello there. Bye.")
    assert answer.status_code == 200, answer.text
    assert (answer.headers["x-engine"], answer.headers["x-similarity"]) == ("f5-tts", "0.875")
    (copy,) = ToyCopier.copies
    assert copy.words == "Good morning. Hello there, friend."  # as the toy recogniser hears them
    assert (copy.sample_rate, len(copy.sound)) == (COPY_RATE, 4 * COPY_RATE)
    assert b"Made by f5-tts" in answer.content[:1000]
    assert ToySpeaker.said == [("Hello there.", "en", 1.0), ("Bye.", "en", 1.0)]
    assert ask(server, wav_of(buzz(4)), text="Again.").status_code == 200
    assert len(ToyCopier.copies) == 1  # the reference is known


def test_who_speaks(server: Served) -> None:
    spanish = ask(server, wav_of(buzz(4)), text="Buenos dias.", language="es")
    assert spanish.headers["x-engine"] == "kokoro-82m"
    chinese = ask(server, wav_of(buzz(4)), text="早上好。今天天气很好。", language="zh")
    assert chinese.headers["x-engine"] == "f5-tts"
    assert [text for text, language, _ in ToySpeaker.said if language == "zh"] == ["早上好。", "今天天气很好。"]
    chosen = ask(server, wav_of(buzz(4)), text="Hello.", model="kokoro-82m")
    assert chosen.headers["x-engine"] == "kokoro-82m"
    refused = ask(server, wav_of(buzz(4)), text="Buenos dias.", language="es", model="f5-tts")
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "The language 'es' cannot be spoken. Choose from en (English), zh (Chinese).",
    )


def test_a_reference_without_words(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "lines", ())
    answer = ask(server, wav_of(buzz(4)), text="Hello.")
    assert answer.status_code == 400
    assert "No words were recognised in the reference" in answer.json()["error"]


def test_chinese_takes_longer_to_say() -> None:
    assert expected_seconds("今天天气很好" * 10, 1.0) == pytest.approx(4 * expected_seconds("abcdef" * 10, 1.0))


# The engine, on networks that were never trained


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow-matching transformer of two narrow layers and a narrow Vocos, in the files of the hub."""
    pytest.importorskip("f5_tts", reason="f5-tts is not installed: pip install 'stt_lab[f5]'")
    import torch
    import yaml
    from safetensors.torch import save_file

    with quiet():
        from f5_tts.model import CFM, DiT
        from vocos import Vocos

    root = tmp_path_factory.mktemp("models")
    folder = root / "f5-tts"
    (folder / WEIGHTS).parent.mkdir(parents=True)
    characters = " abcdefghijklmnopqrstuvwxyz.,!?ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    (folder / VOCABULARY).write_text("".join(f"{char}\n" for char in characters), "utf-8")
    arch = {"dim": 64, "depth": 2, "heads": 1, "ff_mult": 2, "text_dim": 32, "conv_layers": 1}
    mel = {"target_sample_rate": 24_000, "n_mel_channels": 20, "hop_length": 256, "win_length": 1024, "n_fft": 1024}
    shape = {"model": {"arch": arch, "mel_spec": mel | {"mel_spec_type": "vocos"}}}
    (folder / WEIGHTS).with_name(SHAPE).write_text(yaml.safe_dump(shape), "utf-8")
    torch.manual_seed(1)
    network = CFM(DiT(**arch, text_num_embeds=len(characters), mel_dim=20), mel_spec_kwargs=shape["model"]["mel_spec"])
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)  # the library's own beginning is all zero at the end
    named = {f"ema_model.{name}": value for name, value in network.state_dict().items()}
    save_file(named | {"initted": torch.ones(1), "step": torch.ones(1)}, folder / WEIGHTS)
    vocos = root / VOCODER
    vocos.mkdir()
    parts = {
        "feature_extractor": ("feature_extractors.MelSpectrogramFeatures", {"n_mels": 20, "padding": "center"}),
        "backbone": (
            "models.VocosBackbone",
            {"input_channels": 20, "dim": 32, "intermediate_dim": 64, "num_layers": 2},
        ),
        "head": ("heads.ISTFTHead", {"dim": 32, "n_fft": 1024, "hop_length": 256, "padding": "center"}),
    }
    hparams = {name: {"class_path": f"vocos.{path}", "init_args": how} for name, (path, how) in parts.items()}
    (vocos / "config.yaml").write_text(yaml.safe_dump(hparams), "utf-8")
    torch.save(Vocos.from_hparams(str(vocos / "config.yaml")).state_dict(), vocos / "pytorch_model.bin")
    return root


@pytest.fixture(scope="module")
def speaker(weights: Path) -> F5Speaker:
    real = {need: catalog.locate(catalog.get(need), get_settings()) for need in ("campplus", "dvector")}
    extra = [(VOCODER, weights / VOCODER), *((need, place) for need, place in real.items() if place)]
    return F5Speaker(EngineSpec(weights / "f5-tts", "f5-tts", threads=1, extra=tuple(extra)))


@pytest.fixture(scope="module")
def copy() -> VoiceCopy:
    return VoiceCopy(buzz(3.0)[:48_000].astype(np.float32), SAMPLE_RATE, "the ferry sank in May")


def test_it_speaks(speaker: F5Speaker, copy: VoiceCopy) -> None:
    assert isinstance(speaker, Speaker)
    assert speaker.voices() == ()
    events: list[Event] = []
    made = speaker.speak("Nobody was hurt, and the captain swam.", "en", copy, 1.0, events.append)
    assert made.sample_rate == 24_000
    assert made.samples.dtype == np.float32
    assert np.isfinite(made.samples).all()
    assert 0.004 < np.abs(made.samples).max() <= 1.0
    # as long as the reference takes for as many letters
    assert len(made.samples) / 24_000 == pytest.approx(3.0 / 23 * 38, abs=0.2)
    shares = [event.fraction for event in events]
    assert shares == sorted(shares)
    assert len(shares) >= 32
    again = speaker.speak("Nobody was hurt, and the captain swam.", "en", copy, 1.0, silent)
    assert np.array_equal(made.samples, again.samples)
    other = speaker.speak("Nobody was hurt, but the captain left.", "en", copy, 1.0, silent)
    assert not np.array_equal(made.samples, other.samples)


def test_speed_and_length(speaker: F5Speaker, copy: VoiceCopy) -> None:
    text = "Nobody was hurt, and the captain swam."
    plain, fast = (len(speaker.speak(text, "en", copy, speed, silent).samples) for speed in (1.0, 2.0))
    assert fast == pytest.approx(plain / 2, rel=0.05)
    long = speaker.speak(", ".join(["nobody was hurt"] * 20), "en", copy, 1.0, silent)  # more than one piece
    assert len(long.samples) / 24_000 > TOO_LONG_FOR_ONE
    assert speaker.speak("Yes.", "en", copy, 1.0, silent).samples.size > 0.5 * 24_000


TOO_LONG_FOR_ONE = 22.0 - 3.0


def test_the_reference_makes_the_sound(speaker: F5Speaker, copy: VoiceCopy) -> None:
    one = speaker.speak("Nobody was hurt.", "en", copy, 1.0, silent)
    other = speaker.speak("Nobody was hurt.", "en", replace(copy, sound=copy.sound[::-1].copy()), 1.0, silent)
    quiet = speaker.speak("Nobody was hurt.", "en", replace(copy, sound=copy.sound * 0.25), 1.0, silent)
    assert one.samples.shape == other.samples.shape
    assert not np.array_equal(one.samples, other.samples)
    assert np.abs(quiet.samples).max() < np.abs(one.samples).max()


def test_a_cancelled_call_leaves_nothing_behind(speaker: F5Speaker, copy: VoiceCopy) -> None:
    wanted = speaker.speak("Nobody was hurt.", "en", copy, 1.0, silent)

    def cancel(event: Event) -> None:
        if event.fraction > 0.3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        speaker.speak("The captain swam to the shore and went home.", "en", copy, 1.0, cancel)
    assert np.array_equal(speaker.speak("Nobody was hurt.", "en", copy, 1.0, silent).samples, wanted.samples)
    speaker.unload()
    assert np.array_equal(speaker.speak("Nobody was hurt.", "en", copy, 1.0, silent).samples, wanted.samples)


@pytest.mark.truth
def test_the_copy_is_measured(speaker: F5Speaker, copy: VoiceCopy, tmp_path: Path) -> None:
    """A network that was never trained copies nobody; music is refused as by the other engine."""
    if "dvector" not in dict(speaker.spec.extra):
        pytest.skip("the encoders are not installed: stt-lab models pull kokoro-82m")
    noise = 0.2 * np.random.default_rng(1).normal(0, 0.3, 4 * SAMPLE_RATE)
    with pytest.raises(BadInput, match="music or noise"):
        speaker.match(audio(tmp_path / "n.pcm", noise), silent, copy)
    spoken = spoken_reference()
    match = speaker.match(audio(tmp_path / "s.pcm", spoken), silent, replace(copy, sound=spoken))
    assert isinstance(match.voice, VoiceCopy)
    assert -1.0 <= match.similarity < 0.5


START_S = 22.5  # of a turn of one of the two people


def spoken_reference() -> np.ndarray:
    import importlib.util

    spec = importlib.util.find_spec("pyannote.audio")
    assert spec
    assert spec.origin
    with wave.open(io.BytesIO((Path(spec.origin).parent / "sample" / "sample.wav").read_bytes())) as file:
        file.setpos(round(START_S * SAMPLE_RATE))
        raw = np.frombuffer(file.readframes(4 * SAMPLE_RATE), "<i2")
    return (raw / 32768).astype(np.float32)


def test_damaged_weights(weights: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(weights / "f5-tts", tmp_path / "f5-tts")
    (tmp_path / "f5-tts" / WEIGHTS).write_bytes(b"nothing")
    spec = EngineSpec(tmp_path / "f5-tts", "f5-tts", extra=((VOCODER, weights / VOCODER),))
    with pytest.raises(ModelMissing, match="f5-tts are missing or damaged"):
        F5Speaker(spec).load()


# What needs no network


def test_the_words_end_as_the_network_expects() -> None:
    assert [ended(words) for words in (" Hello there", "Hello!", "你好", "你好。")] == [
        *("Hello there. ", "Hello! ", "你好. ", "你好。"),
    ]


def test_pieces_fit_beside_the_reference(copy: VoiceCopy) -> None:
    assert longest(copy, "a" * 500, 1.0) == int(21 / 3 * 19)
    assert longest(copy, "a" * 500, 2.0) == 2 * longest(copy, "a" * 500, 1.0)
    assert longest(copy, "好" * 500, 1.0) == longest(copy, "a" * 500, 1.0) // 3
