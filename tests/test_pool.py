"""stt_lab.engines.pool: one slot per device, a bounded queue, models resolved to what is here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from fake_engines import Echo, Gated
from fakes import fakes_fixture, pcm, started, until  # noqa: F401

from stt_lab.engines.hosts import turns
from stt_lab.engines.pool import Pool
from stt_lab.errors import BadInput, Busy, Cancelled, EngineCrashed, ModelMissing, Unavailable
from stt_lab.settings import Settings
from stt_lab.slots import Slot
from stt_lab.types import Event, Report, silent
from stt_lab.weights import catalog, devices

Make = Callable[..., Pool]


@pytest.fixture
def make(fakes: Callable[..., Settings]) -> Iterator[Make]:
    """A pool over fakes with settings of one's own."""
    with ExitStack() as ends:

        def made(**more: object) -> Pool:
            pool = Pool(fakes(**more))
            ends.callback(pool.close)
            return pool

        yield made


# The slot


def test_the_slot_is_free_at_once() -> None:
    events: list[Event] = []
    slot = Slot()
    for _ in range(3):
        with slot.hold(events.append, 1):
            pass
    assert events == []


def test_first_come_first_served() -> None:
    slot, order, ready = Slot(), list[int](), threading.Semaphore(0)

    def take(number: int) -> None:
        with slot.hold(lambda event: ready.release(), 10):
            order.append(number)

    with ExitStack() as threads, slot.hold(silent, 1):
        for number in range(5):
            threads.enter_context(started(lambda number=number: take(number)))  # type: ignore[misc]
            assert ready.acquire(timeout=5)  # it waits
            while ready.acquire(blocking=False):
                pass
        assert order == []
    assert order == [0, 1, 2, 3, 4]


def test_one_at_a_time() -> None:
    slot, inside, most = Slot(), 0, 0

    def take() -> None:
        nonlocal inside, most
        for _ in range(50):
            with slot.hold(silent, 10):
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ExitStack() as threads:
        raised = [threads.enter_context(started(take)) for _ in range(6)]
    assert (most, inside, raised) == (1, 0, [[]] * 6)


def test_who_waits_is_told_and_may_leave() -> None:
    slot, events = Slot(), list[Event]()

    def leave(event: Event) -> None:
        events.append(event)
        raise Cancelled("Enough.")

    with slot.hold(silent, 1):
        began = time.monotonic()
        with pytest.raises(Cancelled), slot.hold(leave, 10):
            pytest.fail("the slot was taken")
        assert time.monotonic() - began < 1
    assert events == [Event("queued")]
    with slot.hold(leave, 0):  # and nobody stands in the line any more
        pass


def test_a_wait_ends() -> None:
    slot = Slot()
    with slot.hold(silent, 1), pytest.raises(Busy) as caught, slot.hold(silent, 0.3):
        pytest.fail("the slot was taken")
    assert isinstance(caught.value.retry_after, int)


def test_a_slow_reader_of_progress_holds_nobody_up() -> None:
    slot, stuck, go = Slot(), threading.Event(), threading.Event()

    def read_slowly(event: Event) -> None:
        stuck.set()
        assert go.wait(10)

    def wait() -> None:
        with slot.hold(read_slowly, 10):
            pass

    with ExitStack() as threads:
        with slot.hold(silent, 1):
            raised = threads.enter_context(started(wait))
            assert stuck.wait(5)
        go.set()  # the holder could leave before this
    assert raised == []


def test_the_slot_is_free_after_an_error() -> None:
    slot = Slot()
    with pytest.raises(ZeroDivisionError), slot.hold(silent, 1):
        raise ZeroDivisionError
    with slot.hold(silent, 0):
        pass


def test_whoever_wants_several_places_is_not_passed_by() -> None:
    slot, events, order = Slot(lambda: 3), threading.Semaphore(0), list[str]()

    def take(name: str, places: int, over: threading.Event) -> None:
        with slot.hold(lambda event: events.release(), 10, places):
            order.append(name)
            assert over.wait(10)

    first, all_, last = threading.Event(), threading.Event(), threading.Event()
    with ExitStack() as threads:
        raised = [threads.enter_context(started(lambda: take("first", 1, first)))]
        until(lambda: order == ["first"])
        raised.append(threads.enter_context(started(lambda: take("all", 3, all_))))
        assert events.acquire(timeout=5)
        raised.append(threads.enter_context(started(lambda: take("last", 1, last))))
        for _ in range(4):  # both wait, although two places are free
            assert events.acquire(timeout=5)
        assert order == ["first"]
        first.set()
        until(lambda: order == ["first", "all"])
        all_.set()
        until(lambda: order == ["first", "all", "last"])
        last.set()
    assert raised == [[], [], []]


def test_more_places_than_there_are_is_all_of_them() -> None:
    slot = Slot(lambda: 2)
    with slot.hold(silent, 1, 3), pytest.raises(Busy), slot.hold(silent, 0.3):
        pytest.fail("no place was free")


# The queue


def test_the_pool_says_whether_it_works(make: Make) -> None:
    pool = make()
    assert not pool.working
    with pool.slot(silent):
        assert pool.working
    assert not pool.working


# Models


def test_a_model_that_is_here_is_used(make: Make) -> None:
    model, warnings = make().resolve("transcribe", "mute")
    assert (model.id, warnings) == ("mute", ())


def test_the_best_that_is_here_stands_in_and_says_so(make: Make) -> None:
    model, (warning,) = make().resolve("transcribe", "absent")
    assert model.id == "large-v3-turbo"
    assert "'absent'" in warning
    assert "'large-v3-turbo'" in warning


def test_strict_models(make: Make) -> None:
    with pytest.raises(ModelMissing, match="stt-lab models pull absent"):
        make(strict_models=True).resolve("transcribe", "absent")


@pytest.mark.parametrize("name", ["../../etc", "org/model", "", "LARGE", "halves"])
def test_unknown_models(name: str, make: Make) -> None:
    with pytest.raises(BadInput, match="mute"):
        make().resolve("transcribe", name)


def test_no_model_at_all(make: Make, tmp_path: Path) -> None:
    pool = make()
    for path in (tmp_path / "models").rglob("weights"):
        path.unlink()
    with pytest.raises(ModelMissing, match="models pull"):
        pool.best("diarize")
    with pytest.raises(ModelMissing, match="pull mute"):
        pool.resolve("transcribe", "mute")
    with pytest.raises(ModelMissing, match="pull mute"):  # it went between the question and the work
        pool.transcribe(catalog.get("mute"), pcm(tmp_path / "a.pcm"), None, silent)


def test_cuda_that_is_not_there_is_said_at_the_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu", lambda: None)
    with pytest.raises(Unavailable, match="STT_LAB_DEVICE"):
        make(device="cuda")
    assert make(device="auto").device == "cpu"


# Engines


def test_engines_get_their_placement(make: Make, tmp_path: Path) -> None:
    pool, audio = make(threads=3), pcm(tmp_path / "a.pcm", 2.0)
    found = pool.transcribe(catalog.get("echo"), audio, "pt", silent)
    assert (found.language, found.segments[0].text) == ("pt", "word. word.")
    assert (found.provenance.model, found.provenance.device) == ("echo", "cpu")
    assert len(pool.diarize(pool.best("diarize"), audio, 0, silent).exclusive) == 2
    assert Echo.loads == 1


def test_in_a_worker(make: Make, tmp_path: Path) -> None:
    pool, audio = make(engine_host="process"), pcm(tmp_path / "a.pcm", 2.0)
    told = json.loads(pool.transcribe(catalog.get("reveal"), audio, None, silent).segments[0].text)
    assert "GLIBC_TUNABLES" in told["environ"]
    with pytest.raises(EngineCrashed):
        pool.transcribe(catalog.get("crash"), audio, None, silent)
    assert pool.transcribe(catalog.get("echo"), audio, None, silent).segments[0].text == "word. word."
    pool.close()
    until(lambda: not psutil.pid_exists(told["pid"]))
    with pytest.raises(Unavailable):
        pool.transcribe(catalog.get("echo"), audio, None, silent)


def test_one_works_while_others_wait(make: Make, tmp_path: Path) -> None:
    pool, audio, waits = make(), pcm(tmp_path / "a.pcm"), threading.Semaphore(0)

    def report(event: Event) -> None:
        if event.stage == "queued":
            waits.release()

    def work() -> None:
        with pool.slot(report):
            pool.transcribe(catalog.get("gated"), audio, None, report)

    with ExitStack() as threads:
        raised = [threads.enter_context(started(work)) for _ in range(3)]
        assert Gated.began.acquire(timeout=5)
        assert waits.acquire(timeout=5)
        Gated.gate.set()
    assert (Gated.most, raised) == (1, [[], [], []])


def test_recordings_take_turns(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLICE_S", 0.0)
    pool, audio = make(recordings_at_once=2), pcm(tmp_path / "a.pcm")
    assert (pool.capacity, pool.devices) == (2, 1)

    def work(model: str, report: Report = silent) -> str:
        with pool.slot(report):
            return pool.transcribe(catalog.get(model), audio, None, report).segments[0].text

    with ExitStack() as threads:
        raised = threads.enter_context(started(lambda: work("gated")))
        assert Gated.began.acquire(timeout=5)
        assert work("echo") == "word. word."  # beside it, in the same engine host
        assert pool.working
        Gated.gate.set()
    assert raised == []


def test_an_urgent_call_needs_no_place(make: Make, tmp_path: Path) -> None:
    pool, audio = make(recordings_at_once=1), pcm(tmp_path / "a.pcm")

    def work() -> None:
        with pool.slot(silent):
            pool.transcribe(catalog.get("gated"), audio, None, silent)

    with ExitStack() as threads:
        raised = threads.enter_context(started(work))
        assert Gated.began.acquire(timeout=5)
        found = pool.transcribe(catalog.get("echo"), audio, None, silent, session=time.time())
        assert found.segments[0].text == "word. word."
        Gated.gate.set()
    assert raised == []


@pytest.mark.parametrize("settings", [{"recordings_at_once": 3}, {"recordings_at_once": 1}])
def test_alone_on_a_device(make: Make, settings: dict[str, int]) -> None:
    pool = make(queue_timeout_s=0.3, **settings)
    with pool.slot(silent, alone=True), pytest.raises(Busy), pool.slot(silent):
        pytest.fail("the device was taken")


def test_speech_never_lands_in_the_worker_for_texts() -> None:
    voices = {"enhance", "speak", "embed_voice", "stock_voices", "vocode"}
    speech = {"transcribe", "diarize", "embed_speaker", "hear_turn"} | voices
    assert {model.task for model in catalog.models() if model.lane == "speech"} == speech
    assert not [model.id for model in catalog.models() if model.lane == "text" and model.task in speech]
