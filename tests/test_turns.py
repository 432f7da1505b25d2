"""Who works on a device, and in which order; and that real recordings give the same text by turns as alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Choose
from fakes import started, until

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines import decoding
from stt_lab.engines.hosts import EngineCall, InProcessHost
from stt_lab.engines.hosts import turns as turns_module
from stt_lab.engines.hosts.turns import CallTurn, Turns
from stt_lab.engines.pool import ENGINES, Pool
from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import Cancelled
from stt_lab.settings import Settings
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Event, Recognition, Report, silent
from stt_lab.weights import catalog


class Play:
    """Calls that take turns on one device. Each waits in a window until `step` lets it go on."""

    def __init__(self, threads: ExitStack) -> None:
        self.turns = Turns(self._note)
        self.working: tuple[int, ...] = ()
        self.begun: list[int] = []  # the numbers of calls, in the order in which they got a turn
        self.windows: list[int] = []  # the numbers of calls, for each window after their first
        self.cancelled: set[int] = set()
        self._threads = threads
        self._steps: dict[int, threading.Semaphore] = {}
        self._over: set[int] = set()

    def _note(self, numbers: tuple[int, ...]) -> None:
        self.begun += [number for number in numbers if number not in self.working]
        self.working = numbers

    def call(
        self, number: int, session: float | None = None, alone_in: object = None, owner: str = ""
    ) -> list[BaseException]:
        """Begin a call; it works or waits when this returns."""
        waits = threading.Event()
        go = self._steps[number] = threading.Semaphore(0)

        def alive() -> None:
            waits.set()
            if number in self.cancelled:
                raise Cancelled("Enough.")

        def work() -> None:
            turn = CallTurn(alive, session, owner, alone_in, number)
            with self.turns.taking(turn):
                while go.acquire() and number not in self._over:
                    self.turns.pause(turn)
                    self.windows.append(number)

        raised = self._threads.enter_context(started(work))
        until(lambda: waits.is_set() or number in self.working)
        return raised

    def step(self, number: int) -> None:
        """End the window that a call works on."""
        self._steps[number].release()

    def end(self, number: int) -> None:
        """End a call after its window."""
        self._over.add(number)
        self.step(number)

    def finish(self) -> None:
        for number, go in self._steps.items():
            self._over.add(number)
            go.release()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr(turns_module, "SLICE_S", 0.0)
    with ExitStack() as threads:
        made = Play(threads)
        yield made
        made.finish()


def stepped(play: Play, number: int, then: tuple[int, ...]) -> None:
    play.step(number)
    until(lambda: play.working == then)


def ended(play: Play, number: int, then: tuple[int, ...]) -> None:
    play.end(number)
    until(lambda: play.working == then)


def test_calls_go_round(play: Play) -> None:
    for number in (1, 2, 3):
        play.call(number)
    for working, then in pairwise(
        (1, 2, 1, 3, 2, 1, 3)
    ):  # every other turn is an older call's while there are new ones
        assert play.working == (working,)
        stepped(play, working, (then,))


def test_a_call_alone_keeps_its_turn(play: Play) -> None:
    play.call(1)
    play.step(1)
    play.step(1)
    until(lambda: play.windows == [1, 1])
    assert play.begun == [1]


def test_a_call_keeps_its_turn_for_a_while(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "SLICE_S", 60.0)
    play.call(1)
    play.call(2)
    play.step(1)
    until(lambda: play.windows == [1])
    assert play.working == (1,)
    ended(play, 1, (2,))


def test_new_calls_cannot_keep_an_old_one_waiting(play: Play) -> None:
    play.call(1)
    for number in (2, 3, 4):
        play.call(number)
    stepped(play, 1, (2,))
    ended(play, 2, (1,))
    stepped(play, 1, (3,))
    ended(play, 3, (1,))


def test_owners_take_turns_however_many_calls_they_have(play: Play) -> None:
    for number in (1, 2, 3):
        play.call(number, owner="many")
    play.call(9, owner="one")
    for working, then in pairwise((1, 2, 9, 1, 9, 3, 9, 2, 9, 1)):
        assert play.working == (working,)
        stepped(play, working, (then,))


def test_a_new_owner_goes_before_the_calls_of_others_at_every_second_turn(play: Play) -> None:
    for number in (1, 2):
        play.call(number, owner="many")
    stepped(play, 1, (2,))
    for number, owner in ((8, "one"), (9, "another")):
        play.call(number, owner=owner)
    stepped(play, 2, (8,))
    ended(play, 8, (1,))
    stepped(play, 1, (9,))
    ended(play, 9, (2,))


def test_a_first_turn_is_long_only_for_the_only_call_of_an_owner(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        play.call(number, owner="many")
    stepped(play, 1, (2,))
    monkeypatch.setattr(turns_module, "FIRST", 1e12)
    monkeypatch.setattr(turns_module, "SLICE_S", 1e-9)
    play.call(9, owner="one")
    stepped(play, 2, (9,))
    play.step(9)
    until(lambda: play.windows == [9])
    assert play.working == (9,)
    ended(play, 9, (1,))


def test_urgent_calls_go_first_and_the_oldest_session_before_others(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "URGENT_AT_ONCE", 1)
    monkeypatch.setattr(turns_module, "SLICE_S", 60.0)
    play.call(1)
    play.call(2)
    for number, session in ((13, 3.0), (11, 1.0), (12, 2.0)):
        play.call(number, session)
    stepped(play, 1, (11,))
    ended(play, 11, (12,))
    play.call(10, 0.5)  # an older session than the one that works
    stepped(play, 12, (10,))
    ended(play, 10, (12,))
    ended(play, 12, (13,))
    ended(play, 13, (1,))  # which goes on with its round
    ended(play, 1, (2,))


def test_two_urgent_calls_at_once_while_all_others_pause(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "URGENT_AT_ONCE", 2)
    play.call(1)
    for number in (11, 12, 13):
        play.call(number, float(number))
    stepped(play, 1, (11, 12))
    ended(play, 12, (11, 13))
    ended(play, 13, (11,))
    play.call(14, 14.0)
    assert play.working == (11, 14)
    ended(play, 14, (11,))
    ended(play, 11, (1,))


def test_an_urgent_call_does_not_end_the_round_of_the_one_that_it_interrupts(play: Play) -> None:
    play.call(1)
    play.call(2)
    play.call(11, 1.0)
    stepped(play, 1, (11,))
    ended(play, 11, (1,))
    stepped(play, 1, (2,))


def test_a_call_that_waits_may_leave(play: Play) -> None:
    play.call(1)
    raised = play.call(2)
    play.call(3)
    play.cancelled.add(2)
    play.turns.wake()
    until(lambda: raised)
    assert isinstance(raised[0], Cancelled)
    ended(play, 1, (3,))


def test_a_call_that_pauses_may_leave(play: Play) -> None:
    raised = play.call(1)
    play.call(2)
    stepped(play, 1, (2,))
    play.cancelled.add(1)
    until(lambda: raised)
    play.step(2)
    until(lambda: play.windows == [2])
    assert play.working == (2,)


def test_calls_that_share_what_cannot_be_shared_follow_each_other(play: Play) -> None:
    play.call(1, alone_in="a")
    play.call(2, 1.0, alone_in="a")  # urgent, and waits all the same
    play.call(3, alone_in="b")
    stepped(play, 1, (3,))
    stepped(play, 3, (1,))
    ended(play, 1, (2,))
    ended(play, 2, (3,))


# Real recordings


@pytest.fixture(scope="module")
def sounds(made_data: Choose, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Audio]:
    """A recording of a few seconds, and the same ones end to end for more than two windows."""
    folder = tmp_path_factory.mktemp("sounds")
    raw: list[bytes] = []
    with closing(Decoder(folder, DecodeLimits(SAMPLE_RATE * 600, 60))) as decoder:
        for recording in made_data(kind="utterance", language="en"):
            with decoder.decode(recording.path) as audio:
                raw.append(audio.path.read_bytes())
    short, long = min(raw, key=len), b"".join(raw)
    long *= -(-70 * SAMPLE_RATE * SAMPLE_BYTES // len(long))
    made = {}
    for name, samples in (("short", short), ("long", long)):
        path = folder / name
        path.write_bytes(samples)
        made[name] = Audio(path, len(samples) // SAMPLE_BYTES)
    return made


def heard(pool: Pool, audio: Audio, report: Report = silent, session: float | None = None) -> Recognition:
    found = pool.transcribe(catalog.get("base"), audio, "en", report, session=session)
    return replace(found, provenance=replace(found.provenance, elapsed=0.0))


@pytest.mark.truth
@pytest.mark.timeout(900)
def test_a_short_recording_beside_a_long_one_and_both_as_alone(sounds: dict[str, Audio], tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device="cpu", threads=1)
    with closing(Pool(settings)) as pool, ExitStack() as threads:
        alone = {name: heard(pool, audio) for name, audio in sounds.items()}
        together: dict[str, Recognition] = {}
        order: list[str] = []
        begun = threading.Event()

        def work(name: str, session: float | None = None) -> None:
            def report(event: Event) -> None:
                if name == "long" and event.fraction:
                    begun.set()

            together[name] = heard(pool, sounds[name.partition(" ")[0]], report, session)
            order.append(name)

        raised = [threads.enter_context(started(lambda: work("long")))]
        assert begun.wait(300)  # its second window
        raised.append(threads.enter_context(started(lambda: work("short"))))
        raised.append(threads.enter_context(started(lambda: work("short urgent", 1.0))))
        until(lambda: len(order) == 3 or any(raised), 600)
        process = pool.process
    assert raised == [[], [], []]
    assert order[-1] == "long"
    assert process is not None
    assert together["long"] == alone["long"]
    assert together["short"] == together["short urgent"] == alone["short"]
    assert len(alone["long"].segments) > 4


@pytest.mark.truth
@pytest.mark.timeout(900)
def test_samples_depend_on_no_other_recording(
    sounds: dict[str, Audio], models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same text when a recording falls back to sampling alone, once more, and by turns with another one."""
    monkeypatch.setitem(decoding.OPTIONS, "temperatures", [1.0])
    monkeypatch.setattr(turns_module, "SLICE_S", 0.0)
    spec = EngineSpec(models_dir / "base", "base")
    parts = sounds | {"long": replace(sounds["long"], samples=35 * SAMPLE_RATE)}  # two windows

    def run(host: InProcessHost, name: str) -> list[str]:
        arguments = {"audio": parts[name], "language": "en"}
        call = EngineCall(ENGINES["faster-whisper"], spec, "transcribe", arguments, interleaved=True)
        return [segment.text for segment in host.run(call, silent).segments]

    host = InProcessHost()
    first, again = run(host, "short"), run(host, "short")
    with closing(InProcessHost()) as other:
        alone = run(other, "long")
    together: dict[str, list[str]] = {}
    with started(lambda: together.update(long=run(host, "long"))) as raised:
        together["short"] = run(host, "short")
    host.close()
    assert raised == []
    assert first
    assert first == again == together["short"]
    assert together["long"] == alone
