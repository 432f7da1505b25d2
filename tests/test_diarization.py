"""Who speaks when, by the real networks on the recording that pyannote.audio ships: two speakers, half a minute."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_lab.engines.protocols import Diarizer, EngineSpec
from stt_lab.engines.pyannote import PyannoteDiarizer
from stt_lab.errors import Cancelled, ModelMissing
from stt_lab.metrics import der
from stt_lab.settings import get_settings
from stt_lab.types import Audio, Diarization, Event, Turn, silent

pytestmark = pytest.mark.truth

MODELS = get_settings().models_dir
PLACE = EngineSpec(
    MODELS / "segmentation-3.0", "segmentation-3.0", threads=2, extra=(("campplus", MODELS / "campplus"),)
)
Record = Callable[[bytes], Audio]


def shipped(name: str) -> Path:
    """A file of pyannote.audio's sample, found without importing it: the import decodes the file."""
    spec = importlib.util.find_spec("pyannote")
    assert spec is not None
    assert spec.submodule_search_locations
    (path,) = [Path(place) / "audio/sample" / name for place in spec.submodule_search_locations][:1]
    return path


@pytest.fixture(scope="module")
def diarizer() -> PyannoteDiarizer:
    made = PyannoteDiarizer(PLACE)
    made.load()
    return made


@pytest.fixture
def record(tmp_path: Path) -> Record:
    def make(pcm: bytes) -> Audio:
        path = tmp_path / "sound.pcm"
        path.write_bytes(pcm)
        return Audio(path, len(pcm) // 2)

    return make


@pytest.fixture(scope="module")
def pcm() -> bytes:
    with wave.open(str(shipped("sample.wav"))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
        return sound.readframes(sound.getnframes())


@pytest.fixture(scope="module")
def truth() -> tuple[Turn, ...]:
    fields = [line.split() for line in shipped("sample.rttm").read_text().splitlines()]
    return tuple(Turn(float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields)


def names(turns: tuple[Turn, ...]) -> set[str]:
    return {turn.speaker for turn in turns}


def check(found: Diarization, audio: Audio) -> None:
    """What holds for every answer."""
    for turns in (found.turns, found.exclusive):
        assert all(0 <= turn.start < turn.end <= audio.duration for turn in turns)
        assert list(turns) == sorted(turns, key=lambda turn: turn.start)
    assert all(before.end <= after.start for before, after in pairwise(found.exclusive))
    assert names(found.exclusive) <= names(found.turns)


def test_it_is_a_diarizer_and_building_one_reads_nothing() -> None:
    lost = PyannoteDiarizer(EngineSpec(Path("nowhere"), "segmentation-3.0"))
    assert isinstance(lost, Diarizer)
    with pytest.raises(ModelMissing, match="Pull the model again"):
        lost.load()


def test_two_speakers_are_told_apart(
    diarizer: PyannoteDiarizer, record: Record, pcm: bytes, truth: tuple[Turn, ...]
) -> None:
    audio = record(pcm)
    found = diarizer.diarize(audio, 0, silent)
    check(found, audio)
    assert len(names(found.turns)) == len(names(truth)) == 2
    assert der(truth, found.turns, audio.duration).rate < 0.10
    assert found.provenance.model == "segmentation-3.0"
    assert found.provenance.elapsed > 0


@pytest.mark.parametrize("speakers", [1, 2, 3, 4])
def test_the_number_of_speakers_is_honoured(
    diarizer: PyannoteDiarizer, record: Record, pcm: bytes, truth: tuple[Turn, ...], speakers: int
) -> None:
    """Also if it is wrong: then a voice is split, and each part has a second of speech at least."""
    audio = record(pcm)
    found = diarizer.diarize(audio, speakers, silent)
    check(found, audio)
    assert len(names(found.turns)) == speakers
    spoken = Counter[str]()
    for turn in found.turns:
        spoken[turn.speaker] += turn.duration
    assert min(spoken.values()) > 0.9
    if speakers == len(names(truth)):
        assert der(truth, found.turns, audio.duration).rate < 0.15


def test_the_same_sound_gives_the_same_turns_also_after_unload(
    diarizer: PyannoteDiarizer, record: Record, pcm: bytes
) -> None:
    audio = record(pcm)
    first = diarizer.diarize(audio, 0, silent)
    diarizer.unload()
    again = diarizer.diarize(audio, 0, silent)
    assert (first.turns, first.exclusive) == (again.turns, again.exclusive)


@pytest.mark.parametrize("pcm_of", [b"", bytes(2), bytes(1600), bytes(20 * 32000)], ids=["none", "1", "0.05s", "20s"])
@pytest.mark.parametrize("speakers", [0, 2])
def test_nobody_speaks_in_silence(diarizer: PyannoteDiarizer, record: Record, pcm_of: bytes, speakers: int) -> None:
    found = diarizer.diarize(record(pcm_of), speakers, silent)
    assert (found.turns, found.exclusive) == ((), ())


@pytest.mark.parametrize("seconds", [0.05, 0.5, 3.0, 9.99, 10.01])
def test_sound_of_any_length_works(
    diarizer: PyannoteDiarizer, record: Record, pcm: bytes, truth: tuple[Turn, ...], seconds: float
) -> None:
    begin = int(truth[0].start * 16000) * 2  # where somebody speaks
    audio = record(pcm[begin : begin + int(seconds * 16000) * 2])
    found = diarizer.diarize(audio, 0, silent)
    check(found, audio)
    assert bool(found.turns) == (seconds >= 0.5)


def test_noise_is_nobody(diarizer: PyannoteDiarizer, record: Record) -> None:
    noise = np.random.default_rng(0).normal(0, 300, 12 * 16000).astype("<i2").tobytes()
    assert diarizer.diarize(record(noise), 0, silent).turns == ()


def test_progress_rises_and_ends_at_one(diarizer: PyannoteDiarizer, record: Record, pcm: bytes) -> None:
    events: list[Event] = []
    diarizer.diarize(record(pcm), 0, events.append)
    fractions = [event.fraction for event in events if event.stage == "diarizing"]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert len(fractions) > 8


@pytest.mark.parametrize("after", [1, 8])
def test_cancel_stops_at_once(diarizer: PyannoteDiarizer, record: Record, pcm: bytes, after: int) -> None:
    """After the first report, and in the midst of the embeddings; no thread goes on behind our back."""
    seen: list[float] = []

    def report(event: Event) -> None:
        seen.append(time.monotonic())
        if len(seen) > after:
            raise Cancelled("Cancelled.")

    audio, threads = record(pcm * 4), threading.active_count()
    with pytest.raises(Cancelled):
        diarizer.diarize(audio, 0, report)
    assert time.monotonic() - seen[-1] < 2
    assert threading.active_count() == threads


def test_telemetry_is_off(diarizer: PyannoteDiarizer) -> None:
    from pyannote.audio.telemetry.metrics import is_metrics_enabled

    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"
    assert not is_metrics_enabled()


def test_one_pass_over_a_window_gives_the_embeddings_of_three(diarizer: PyannoteDiarizer) -> None:
    """community-1's path, with a WeSpeaker of random weights: as pyannote computes them, speaker by speaker."""
    import torch
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    from stt_lab.engines.diarization import WindowedDiarization

    torch.manual_seed(0)
    model = WeSpeakerResNet34().eval()

    class Holder:
        class _embedding:
            model_ = model

    sound = torch.randn(16000 * 3) * 0.1
    speaking = np.zeros((177, 3), np.float32)
    speaking[:90, 0] = speaking[60:, 1] = 1
    holder: Any = Holder()
    shared = WindowedDiarization.embed(holder, sound.numpy(), speaking)
    with torch.inference_mode():
        plain = model(sound[None, None].repeat(2, 1, 1), weights=torch.from_numpy(speaking.T[:2].copy())).numpy()
    np.testing.assert_allclose(shared[:2], plain, rtol=1e-3, atol=1e-4)
    assert np.isnan(shared[2]).all()


def test_a_long_dendrogram_is_bounded() -> None:
    from stt_lab.engines.resegmentation import MOST_LINKED, thin

    kept = thin(np.arange(100_000), MOST_LINKED)
    assert (len(kept), kept[0], kept[-1]) == (MOST_LINKED, 0, 99_999)
    assert thin(np.arange(5), MOST_LINKED).tolist() == [0, 1, 2, 3, 4]
