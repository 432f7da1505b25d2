"""Values that are kept, without a lock that instances share (stt_lab.cached)."""

from __future__ import annotations

import threading

from fakes import started

from stt_lab.cached import cached


class Text:
    made = 0

    def __init__(self, go: threading.Event) -> None:
        self.go = go

    @cached
    def words(self) -> list[str]:
        """The words."""
        type(self).made += 1
        assert self.go.wait(10)
        return ["a", "b"]


def test_it_is_made_once() -> None:
    go = threading.Event()
    go.set()
    text, before = Text(go), Text.made
    assert text.words == ["a", "b"]
    assert text.words is text.words
    assert Text.made == before + 1
    assert Text.words.__doc__ == "The words."


def test_one_instance_does_not_wait_for_another() -> None:
    go, ready = threading.Event(), threading.Event()
    ready.set()
    with started(lambda: Text(go).words):
        assert Text(ready).words == ["a", "b"]
        go.set()
