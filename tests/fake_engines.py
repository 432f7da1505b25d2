"""Engines for tests: what each does is in its name. Light, because workers import it; `fakes` registers them."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from typing import ClassVar

from stt_lab.engines.protocols import EngineSpec, Goal
from stt_lab.errors import RateLimited
from stt_lab.types import (
    SAMPLE_RATE,
    Audio,
    Diarization,
    Event,
    Provenance,
    Recognition,
    Report,
    Segment,
    Span,
    Turn,
    Word,
)


class Fake:
    """A transcriber that says one word a second; others override `work`."""

    languages = ("en", "pt")
    supports_words = True
    loads: ClassVar[int] = 0
    unloads: ClassVar[int] = 0

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec

    def load(self) -> None:
        type(self).loads += 1

    def unload(self) -> None:
        type(self).unloads += 1

    def work(self, audio: Audio, report: Report) -> str:
        return "word. " * math.ceil(audio.duration)  # sentences: between them the speaker may change

    def transcribe(self, audio: Audio, language: str | None, report: Report, goal: Goal = "transcribe") -> Recognition:
        report(Event("transcribing", 0.0))
        texts = self.work(audio, report).split()
        step = audio.duration / max(1, len(texts))
        words = tuple(Word(i * step, (i + 1) * step, f" {text}", 0.9) for i, text in enumerate(texts))
        segments = (Segment(0.0, audio.duration, " ".join(texts), words),) if texts else ()
        made = Provenance(type(self).__name__, self.spec.model, self.spec.device, "1")
        return Recognition(language or "en", segments, made)


class Echo(Fake):
    pass


class Clockwork(Fake):
    """Says a word at each half second of a stretch: its number from the beginning of the sound."""

    STEP = 0.5

    def transcribe(
        self,
        audio: Audio,
        language: str | None,
        report: Report,
        goal: Goal = "transcribe",
        stretches: tuple[Span, ...] = (),
        search: str = "full",
    ) -> Recognition:
        report(Event("transcribing", 0.0))
        words: list[Word] = []
        for stretch in stretches or (Span(0.0, audio.duration),):
            sound = audio.read()
            at = math.ceil(stretch.start / self.STEP)
            while (at + 1) * self.STEP <= stretch.end + 0.1:
                start, end = at * self.STEP, (at + 1) * self.STEP - 0.05
                if abs(sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]).max(initial=0) > 0.1:
                    words.append(Word(start, end, f" w{at}", 0.9))
                at += 1
        made = Provenance(type(self).__name__, self.spec.model, self.spec.device, "1", elapsed=0.01)
        if not words:
            return Recognition(None, (), made)
        text = "".join(word.text for word in words).strip()
        return Recognition(language or "en", (Segment(words[0].start, words[-1].end, text, tuple(words)),), made)


class Mute(Fake):
    def work(self, audio: Audio, report: Report) -> str:
        return ""


class Endless(Fake):
    """Works until it is cancelled."""

    began: ClassVar[threading.Event] = threading.Event()
    ended: ClassVar[threading.Event] = threading.Event()

    def work(self, audio: Audio, report: Report) -> str:
        self.began.set()
        try:
            while True:
                report(Event("transcribing", 0.5, "So far."))
                time.sleep(0.02)
        finally:
            self.ended.set()


class Deaf(Fake):
    """Works for a minute and never reports, as native code may."""

    def work(self, audio: Audio, report: Report) -> str:
        time.sleep(60)
        return "late"


class Crash(Fake):
    """Ends its process, as a fault in native code does."""

    def work(self, audio: Audio, report: Report) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"


class Broken(Fake):
    def work(self, audio: Audio, report: Report) -> str:
        raise RuntimeError("a secret in /etc/passwd")


class Corrupt(Fake):
    """Cannot read its weights until a file called "mended" is beside them."""

    def load(self) -> None:
        if not (self.spec.folder / "mended").exists():
            raise RuntimeError("a secret in /etc/passwd")


class Refusing(Fake):
    def work(self, audio: Audio, report: Report) -> str:
        raise RateLimited("Wait a little.", retry_after=7)


class Chatty(Fake):
    """Prints where the messages of a worker go."""

    def work(self, audio: Audio, report: Report) -> str:
        print("a library greets")
        os.write(1, b"so does one in C\n")
        return "quiet"


class Reveal(Fake):
    """Says which process it is in, and with what environment."""

    def work(self, audio: Audio, report: Report) -> str:
        return json.dumps({"pid": os.getpid(), "environ": dict(os.environ)}, separators=(",", ":")).replace(" ", "~")


class Gated(Fake):
    """Waits for the test, and counts how many work at once."""

    gate: ClassVar[threading.Event] = threading.Event()
    began: ClassVar[threading.Semaphore] = threading.Semaphore(0)
    now: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def work(self, audio: Audio, report: Report) -> str:
        cls = type(self)
        cls.now += 1
        cls.most = max(cls.most, cls.now)
        cls.began.release()
        try:
            while not cls.gate.wait(0.02):
                report(Event("transcribing", 0.5, "So far."))
        finally:
            cls.now -= 1
        return "done"


class Steps(Fake):
    """Works a window for each second of sound, and notes each beside the weights as the language that it was asked for.

    Before the window after the first it waits until a file called "go" is there.
    """

    def transcribe(self, audio: Audio, language: str | None, report: Report, goal: Goal = "transcribe") -> Recognition:
        for window in range(math.ceil(audio.duration)):
            report(Event("transcribing", window / audio.duration))
            with (self.spec.folder / "windows").open("a", encoding="utf-8") as file:
                file.write(f"{language}\n")
            while not (self.spec.folder / "go").exists():
                time.sleep(0.01)  # deaf, as inside a window
        return super().transcribe(audio, language, report, goal)


class Narrator(Fake):
    """Says four sentences a second, takes as long as the sound lasts, and reports what it has said so far."""

    STEP = 0.25

    def transcribe(self, audio: Audio, language: str | None, report: Report, goal: Goal = "transcribe") -> Recognition:
        said: list[Segment] = []
        for number in range(int(audio.duration / self.STEP)):
            start, texts = number * self.STEP, ["This", "is", "sentence", f"{number}."]
            each = self.STEP / len(texts)
            words = (Word(start + i * each, start + (i + 1) * each, f" {text}", 0.9) for i, text in enumerate(texts))
            said.append(Segment(start, start + self.STEP, " ".join(texts), tuple(words)))
            report(Event("transcribing", start / audio.duration, " ".join(one.text for one in said)))
            time.sleep(self.STEP)
        return Recognition("en", tuple(said), Provenance("Narrator", self.spec.model, self.spec.device, "1"))


class Meeting(Fake):
    """Ends when another call of it is under way too."""

    def work(self, audio: Audio, report: Report) -> str:
        (self.spec.folder / f"met-{threading.get_ident()}").touch()
        while len(list(self.spec.folder.glob("met-*"))) < 2:
            report(Event("transcribing", 0.5))
            time.sleep(0.01)
        return "met"


class Halves(Fake):
    """A diarizer: the first speaker has the first half."""

    def diarize(self, audio: Audio, speakers: int, report: Report) -> Diarization:
        report(Event("diarizing", 0.0))
        half = audio.duration / 2
        turns = (Turn(0.0, half, "a"), Turn(half, audio.duration, "b"))
        return Diarization(turns, turns, Provenance("Halves", self.spec.model, "cpu", "1"))


TRANSCRIBERS: tuple[type[Fake], ...] = (
    *(Echo, Mute, Endless, Deaf, Crash, Broken, Refusing, Chatty, Reveal, Gated),
    *(Steps, Meeting, Corrupt, Clockwork, Narrator),
)
ENGINES = {kind.__name__.lower(): f"fake_engines:{kind.__name__}" for kind in (*TRANSCRIBERS, Halves)}


def reset() -> None:
    """Forget what earlier tests did."""
    kinds: list[type[Fake]] = [*TRANSCRIBERS, Halves]
    for kind in kinds:
        kind.loads = kind.unloads = 0
    Endless.began, Endless.ended = threading.Event(), threading.Event()
    Gated.gate, Gated.began, Gated.now, Gated.most = threading.Event(), threading.Semaphore(0), 0, 0
