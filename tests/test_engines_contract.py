"""What every engine of speech promises, asked of each with real weights."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import started, until

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines import pool
from stt_lab.engines.hosts import EngineCall, InProcessHost, turns
from stt_lab.engines.protocols import Diarizer, EngineSpec, Transcriber
from stt_lab.errors import Cancelled
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, Audio, Diarization, Event, Recognition, Report, Span, silent
from stt_lab.weights import catalog

pytestmark = pytest.mark.truth

MODELS = ("tiny.en", "base", "segmentation-3.0")
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "transcribe": ("transcribe", {"language": None}),
    "diarize": ("diarize", {"speakers": 0}),
}
Result = Recognition | Diarization
Ask = Callable[..., Result]


def test_every_engine_of_speech_is_asked() -> None:
    """Those of texts have contracts of their own, beside what else they promise."""
    speech = {model.engine for model in catalog.models() if model.task in METHODS}
    assert {catalog.get(model).engine for model in MODELS} == speech <= set(pool.ENGINES)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """Ten seconds of two people, from the recording that pyannote.audio ships."""
    spec = importlib.util.find_spec("pyannote")  # without importing it: the import decodes the file
    assert spec is not None
    places = [Path(place) / "audio" / "sample" / "sample.wav" for place in spec.submodule_search_locations or ()]
    folder = tmp_path_factory.mktemp("speech")
    decoder = Decoder(folder / "work", DecodeLimits(SAMPLE_RATE * 3600, 60))
    with decoder.decode(next(path for path in places if path.exists())) as audio:
        path = folder / "speech.pcm"
        path.write_bytes((audio.read(5 * SAMPLE_RATE, 15 * SAMPLE_RATE) * 32768).astype("<i2").tobytes())
    decoder.close()
    return Audio(path, 10 * SAMPLE_RATE)


@pytest.fixture(scope="module", params=MODELS)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    model, settings = catalog.get(request.param), get_settings()
    folder = catalog.locate(model, settings)
    assert folder is not None, f"fetch the weights first: stt-lab models pull {model.id}"
    place = EngineSpec(folder, model.id, threads=2, extra=catalog.extra(model, settings))
    host = InProcessHost()
    made = host.engine(EngineCall(pool.ENGINES[model.engine], place, METHODS[model.task][0]), silent)
    yield made
    host.close()


@pytest.fixture(scope="module")
def ask(engine: Any) -> Ask:
    method, options = METHODS[catalog.get(engine.spec.model).task]

    def asked(audio: Audio, report: Report = silent) -> Result:
        result: Result = getattr(engine, method)(audio=audio, report=report, **options)
        return result

    return asked


@pytest.fixture(scope="module")
def usual(ask: Ask, speech: Audio) -> tuple[Result, list[Event]]:
    """What comes of the speech, and the progress on the way."""
    events: list[Event] = []
    return ask(speech, events.append), events


Usual = tuple[Result, list[Event]]


def spans(result: Result) -> list[Span]:
    """What lies in time, in order: words, or turns that do not overlap."""
    if isinstance(result, Recognition):
        return [word for segment in result.segments for word in segment.words]
    return list(result.exclusive)


def sound(path: Path, samples: np.ndarray) -> Audio:
    path.write_bytes((samples * 32767).astype("<i2").tobytes())
    return Audio(path, len(samples))


def timeless(result: Result) -> Result:
    return replace(result, provenance=replace(result.provenance, elapsed=0.0))


def test_it_is_what_the_protocol_says(engine: Any) -> None:
    if catalog.get(engine.spec.model).task == "transcribe":
        assert isinstance(engine, Transcriber)
        assert "en" in engine.languages
        assert engine.supports_words
    else:
        assert isinstance(engine, Diarizer)


def test_a_constructor_reads_nothing(engine: Any, tmp_path: Path) -> None:
    place = EngineSpec(tmp_path / "nowhere", engine.spec.model)
    assert type(engine)(place).spec is place


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05, 3.0])
def test_silence_of_any_length(seconds: float, ask: Ask, tmp_path: Path) -> None:
    result = ask(sound(tmp_path / "a.pcm", np.zeros(int(seconds * SAMPLE_RATE))))
    assert spans(result) == []
    if isinstance(result, Recognition):
        assert (result.segments, result.language) == ((), None)


def test_very_short_noise(ask: Ask, tmp_path: Path) -> None:
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, SAMPLE_RATE // 20)
    assert all(span.end <= 0.05 for span in spans(ask(sound(tmp_path / "a.pcm", noise))))


def test_times_are_monotone_and_inside(usual: Usual, speech: Audio) -> None:
    result, _ = usual
    found = spans(result)
    assert len(found) >= 2
    assert all(0 <= span.start <= span.end <= speech.duration for span in found)
    assert all(a.start <= b.start and a.end <= b.end for a, b in pairwise(found))
    if isinstance(result, Recognition):
        assert all(a.end <= b.start for a, b in pairwise(result.segments))
        for segment in result.segments:
            assert segment.text == "".join(word.text for word in segment.words).strip()
            assert segment.start <= segment.words[0].start
            assert segment.words[-1].end <= segment.end
            assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in segment.words)
    else:
        assert all(a.end <= b.start for a, b in pairwise(result.exclusive))
        assert all(turn.end <= speech.duration for turn in result.turns)


def test_progress(usual: Usual) -> None:
    _, events = usual
    assert events
    assert all(event.stage in Event.STAGES and 0 <= event.fraction <= 1 for event in events)
    assert [e.fraction for e in events] == sorted(e.fraction for e in events)


def test_the_same_twice(usual: Usual, ask: Ask, speech: Audio) -> None:
    assert timeless(ask(speech)) == timeless(usual[0])


def test_two_calls_by_turns_are_as_alone(
    usual: Usual, ask: Ask, speech: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SLICE_S", 0.0)
    part = sound(tmp_path / "a.pcm", speech.read(0, 6 * SAMPLE_RATE))
    alone, device, order, waiting = ask(part), turns.Turns(), list[str](), set[str]()
    made: dict[str, Result] = {}

    def work(name: str, audio: Audio) -> None:
        def report(event: Event) -> None:
            order.append(name)
            device.pause(turn)

        turn = turns.CallTurn(lambda: waiting.add(name))
        with device.taking(turn):
            made[name] = ask(audio, report)

    with ExitStack() as threads, device.taking(turns.CallTurn(lambda: None)):
        one = threads.enter_context(started(lambda: work("whole", speech), 120))
        two = threads.enter_context(started(lambda: work("part", part), 120))
        until(lambda: len(waiting) == 2)
    assert (one, two) == ([], [])
    assert timeless(made["whole"]) == timeless(usual[0])
    assert timeless(made["part"]) == timeless(alone)
    assert len(list(groupby(order))) > 2  # they did alternate


def test_across_processes(usual: Usual) -> None:
    assert pickle.loads(pickle.dumps(usual[0])) == usual[0]


def test_provenance(usual: Usual, engine: Any) -> None:
    made = usual[0].provenance
    assert (made.model, made.device) == (engine.spec.model, "cpu")
    assert made.engine
    assert made.version
    assert made.elapsed > 0


def test_a_call_after_unload_loads_again(usual: Usual, engine: Any, ask: Ask, speech: Audio) -> None:
    engine.unload()
    engine.unload()
    assert timeless(ask(speech)) == timeless(usual[0])


def test_a_report_that_raises_cancels(ask: Ask, speech: Audio) -> None:
    events: list[Event] = []

    def cancel(event: Event) -> None:
        events.append(event)
        if len(events) == 2:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        ask(speech, cancel)
    assert len(events) == 2  # and it asked no more
