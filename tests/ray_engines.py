"""More engines for tests, which the nodes of a cluster import."""

from __future__ import annotations

import os
import time

from fake_engines import Fake

from stt_lab.types import Audio, Event, Report


class Heavy(Fake):
    """Says how much sound reached it, and from where."""

    def work(self, audio: Audio, report: Report) -> str:
        return f"{audio.read().sum():.3f} {audio.path}"


class Second(Fake):
    """Works without end when it runs first; what runs is written beside the weights."""

    def work(self, audio: Audio, report: Report) -> str:
        note = self.spec.folder / "runs"
        with note.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        while len(note.read_text("utf-8").split()) < 2:
            report(Event("transcribing", 0.5))
            time.sleep(0.05)
        return "once"
