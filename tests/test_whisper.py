"""The loop over windows: what it leaves out, what it remembers, and that its text is the plain library's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines import decoding, regions
from stt_lab.engines.decoding import Decoding
from stt_lab.engines.protocols import EngineSpec
from stt_lab.engines.regions import Region, Speech, find_activity, without_silence
from stt_lab.engines.whisper import WhisperTranscriber
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, Audio, silent

S = SAMPLE_RATE


def sound(path: Path, samples: np.ndarray[Any, Any]) -> Audio:
    samples.astype("<i2").tofile(path)
    return Audio(path, len(samples))


@pytest.fixture
def ramp(tmp_path: Path) -> Audio:
    """100 s whose samples tell their second."""
    return sound(tmp_path / "ramp.pcm", np.repeat(np.arange(100), S))


def seconds(samples: np.ndarray[Any, Any]) -> list[int]:
    return sorted({round(float(value) * 32768) for value in samples})


def test_speech_is_read_as_if_regions_stood_end_to_end(ramp: Audio) -> None:
    speech = Speech(ramp, [Region(10 * S, 12 * S), Region(50 * S, 53 * S)])
    assert speech.samples == 5 * S
    assert seconds(speech.read(0, 5 * S)) == [10, 11, 50, 51, 52]
    assert seconds(speech.read(S, 3 * S)) == [11, 50]
    assert len(speech.read(5 * S, 6 * S)) == 0


def test_packed_times_become_times_of_the_file(ramp: Audio) -> None:
    speech = Speech(ramp, [Region(10 * S, 12 * S), Region(50 * S, 53 * S)])
    assert [speech.region_at(t) for t in (0, 1.9, 2.1, 99)] == [0, 0, 1, 1]
    assert speech.original(1.5, 0) == 11.5
    assert speech.original(2.5, 0) == 12  # kept inside its region
    assert speech.original(2.5, 1) == 50.5


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([], []),
        ([(1.9, 98.1)], [(0, 100)]),  # short silences at both ends stay
        ([(2.1, 97.9)], [(2.1, 97.9)]),
        ([(10, 20), (21.9, 30), (33, 40)], [(10, 30), (33, 40)]),
    ],
)
def test_only_long_silences_are_left_out(found: list[Any], kept: list[Any]) -> None:
    margin = regions.MARGIN / S
    activity = [Region(round((a + margin) * S), round((b - margin) * S)) for a, b in found]
    assert [(r.start / S, r.stop / S) for r in without_silence(activity, 100 * S)] == kept


def test_speech_over_the_seam_of_two_blocks_is_one_region(ramp: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "VAD_BLOCK", 50 * S)
    answers = iter([[{"start": 40 * S, "end": 50 * S}], [{"start": 0, "end": 10 * S}]])
    monkeypatch.setattr("faster_whisper.vad.get_speech_timestamps", lambda samples, **options: next(answers))
    activity = find_activity(ramp, silent)
    assert activity == [Region(40 * S, 50 * S), Region(50 * S, 60 * S)]
    assert without_silence(activity, 100 * S) == [Region(40 * S - regions.MARGIN, 60 * S + regions.MARGIN)]


def test_the_prompt_is_forgotten_over_silence_and_after_doubt() -> None:
    prompt = decoding._Prompt()
    prompt.enter(0)
    prompt.leave(0, [1, 2], sure=True)
    prompt.enter(0)
    assert prompt.tokens == [1, 2]
    prompt.leave(0, [3], sure=True)
    assert prompt.tokens == [1, 2, 3]
    prompt.leave(0, [4], sure=False)
    assert prompt.tokens == []
    prompt.leave(0, [5], sure=True)
    prompt.enter(1)
    assert prompt.tokens == []


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


def run_over(ramp: Audio) -> Any:
    run: Any = Decoding.__new__(Decoding)
    run.speech = Speech(ramp, [Region(10 * S, 40 * S)])
    run.suppressed, run._tokenizer = [], Letters()
    return run


def part(start: float, end: float, text: str, words: int = 1, likely: float = 0.9) -> dict[str, Any]:
    said = [{"start": start, "end": end, "probability": likely}] * words
    return {"start": start, "end": end, "tokens": list(map(ord, text)), "words": said}


def test_a_loop_is_cut_and_said(ramp: Audio) -> None:
    run = run_over(ramp)
    found = [part(0, 1, " Yes."), part(1, 2, " Yes."), part(2, 3, "Yes. "), part(3, 4, " No.")]
    assert [piece["start"] for piece in run._without_loops(found)] == [0, 3]
    assert [(item.start, item.end, item.text) for item in run.suppressed] == [(11, 12, "Yes."), (12, 13, "Yes.")]


def test_text_that_is_not_believed_is_said(ramp: Audio) -> None:
    run = run_over(ramp)
    hasty, gone = part(3, 3.5, " Thank you for watching."), part(4, 4, " Bye.")
    found = [part(0, 1, " One."), part(1, 2, " Two.", words=0), part(2, 3, " I", likely=0.01), hasty, gone]
    assert run._believed(found) == [part(0, 1, " One.")]
    assert [item.text for item in run.suppressed] == ["Two.", "I", "Thank you for watching.", "Bye."]


def test_doubt_needs_both_signs() -> None:
    assert decoding._suppression_reason(0.9, -1.5)
    assert not decoding._suppression_reason(0.9, -0.5)
    assert not decoding._suppression_reason(0.1, -1.5)


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audio]:
    """The 30 s that pyannote.audio ships."""
    spec = importlib.util.find_spec("pyannote")  # without importing it
    assert spec is not None
    wave = next(Path(p) / "audio/sample/sample.wav" for p in spec.submodule_search_locations or ())
    decoder = Decoder(tmp_path_factory.mktemp("work"), DecodeLimits(SAMPLE_RATE * 60, 60))
    with decoder.decode(wave) as audio:
        yield audio
    decoder.close()


@pytest.fixture(scope="module")
def base() -> WhisperTranscriber:
    engine = WhisperTranscriber(EngineSpec(get_settings().models_dir / "base", "base", threads=2))
    engine.load()
    return engine


@pytest.mark.truth
@pytest.mark.parametrize("quiet", [0.1, 0.2, 0.29])
def test_a_voice_ends_before_the_sound_does(conversation: Audio, tmp_path: Path, quiet: float) -> None:
    """Also when the silence after it is shorter than a pause: the sound ends, and so does the voice."""
    first = find_activity(conversation, silent)[0]
    path = tmp_path / "sound.pcm"
    spoken = conversation.read(0, first.stop)
    path.write_bytes((np.append(spoken, np.zeros(round(quiet * S))) * 32767).astype("<i2").tobytes())
    (*_, last) = find_activity(Audio(path, first.stop + round(quiet * S)), silent)
    assert last.stop / S == pytest.approx(first.stop / S, abs=0.07)


@pytest.mark.truth
def test_the_language_costs_no_second_look(
    base: WhisperTranscriber, conversation: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = base.transcribe(conversation, "en", silent)
    looks: list[int] = []
    model: Any = base._model
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda features: looks.append(1) or encode(features))
    heard = base.transcribe(conversation, None, silent)
    assert heard.language == "en"
    assert len(looks) == 1
    assert heard.segments == told.segments


@pytest.mark.truth
def test_the_text_is_that_of_the_plain_library(base: WhisperTranscriber, conversation: Audio) -> None:
    model: Any = base._model
    plain, _ = model.transcribe(conversation.read(), language="en", vad_filter=True, word_timestamps=True)
    ours = base.transcribe(conversation, "en", silent)
    assert [s.text for s in ours.segments] == [s.text.strip() for s in plain]
    assert len(ours.segments) > 3


@pytest.mark.truth
def test_others_may_go_first_between_the_searches_of_a_window(
    base: WhisperTranscriber, conversation: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(decoding.OPTIONS, "temperatures", [0.0, 1.0])
    monkeypatch.setitem(decoding.OPTIONS, "log_prob_threshold", 0.0)  # nothing is that likely: it falls back
    order: list[str] = []
    model: Any = base._model
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda features: order.append("encode") or encode(features))
    part = replace(conversation, samples=12 * SAMPLE_RATE)
    base.transcribe(part, "en", lambda event: order.append(event.stage))
    first = order.index("encode")
    assert order[first - 1 : first + 3] == ["transcribing", "encode", "transcribing", "transcribing"]


@pytest.mark.truth
def test_progress_has_the_text_so_far(
    base: WhisperTranscriber, conversation: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(decoding, "WINDOW", 1000)  # frames: three windows
    made = base.transcribe(conversation, "en", lambda event: seen.append(event.text))
    whole = " ".join(segment.text for segment in made.segments)
    texts = list(dict.fromkeys(seen))
    assert texts[0] == ""
    assert len(texts) >= 3
    assert all(whole.startswith(text) for text in texts)
    monkeypatch.setattr(decoding, "TEXT", 20)
    base.transcribe(conversation, "en", lambda event: seen.append(event.text))
    assert len(seen[-1]) <= 20
