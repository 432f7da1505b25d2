"""Where in a transcript a stretch of its text was said."""

from __future__ import annotations

from stt_lab.types import Segment, TextSpan, Transcript
from stt_lab.writing.script import Script

SEGMENTS = (
    Segment(0.0, 2.0, "Good morning.", speaker="Ada"),
    Segment(2.5, 4.5, "Hello there.", speaker="Ben"),
    Segment(5.0, 6.0, "So."),
)
TRANSCRIPT = Transcript("en", 8.0, SEGMENTS)


def test_a_transcript() -> None:
    script = Script.of(TRANSCRIPT)
    assert script.text == "Good morning. Hello there. So."
    assert [part.of(script.text) for part in script.parts] == [segment.text for segment in SEGMENTS]
    assert [part.speaker for part in script.parts] == ["Ada", "Ben", None]
    assert (script.language, script.duration) == ("en", 8.0)


def test_sources() -> None:
    script = Script.of(TRANSCRIPT)
    hello = script.text.index("Hello")
    assert script.sources([TextSpan(0, 4)]) == (0,)
    assert script.sources([TextSpan(hello, hello + 5)]) == (1,)
    assert script.sources([TextSpan(5, hello + 2)]) == (0, 1)
    assert script.sources([TextSpan(len(script.text) - 1, len(script.text)), TextSpan(0, 1)]) == (0, 2)
    assert script.sources([TextSpan(hello, hello)]) == (1,)
    assert script.sources([]) == ()
    assert Script("plain text").sources([TextSpan(0, 3)]) == ()


def test_times() -> None:
    script = Script.of(TRANSCRIPT)
    hello = script.text.index("Hello")
    assert script.time(0) == 0.0
    assert script.time(hello) == 2.5
    assert script.time(hello + 6) == 3.5
    assert script.time(len(script.text)) == 6.0
    assert Script("plain text").time(3) is None
    assert Script("plain text").part(3) is None
