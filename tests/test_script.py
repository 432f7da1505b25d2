"""Where in a transcript a stretch of its text was said."""

from __future__ import annotations

from stt_lab.types import Segment, TextSpan, Transcript
from stt_lab.writing.source_text import SourceText

SEGMENTS = (
    Segment(0.0, 2.0, "Good morning.", speaker="Ada"),
    Segment(2.5, 4.5, "Hello there.", speaker="Ben"),
    Segment(5.0, 6.0, "So."),
)
TRANSCRIPT = Transcript("en", 8.0, SEGMENTS)


def test_a_transcript() -> None:
    script = SourceText.of(TRANSCRIPT)
    assert script.text == "Good morning. Hello there. So."
    assert [part.of(script.text) for part in script.segments] == [segment.text for segment in SEGMENTS]
    assert [part.speaker for part in script.segments] == ["Ada", "Ben", None]
    assert (script.language, script.duration) == ("en", 8.0)


def test_sources() -> None:
    script = SourceText.of(TRANSCRIPT)
    hello = script.text.index("Hello")
    assert script.segment_orders([TextSpan(0, 4)]) == (0,)
    assert script.segment_orders([TextSpan(hello, hello + 5)]) == (1,)
    assert script.segment_orders([TextSpan(5, hello + 2)]) == (0, 1)
    assert script.segment_orders([TextSpan(len(script.text) - 1, len(script.text)), TextSpan(0, 1)]) == (0, 2)
    assert script.segment_orders([TextSpan(hello, hello)]) == (1,)
    assert script.segment_orders([]) == ()
    assert SourceText("plain text").segment_orders([TextSpan(0, 3)]) == ()


def test_times() -> None:
    script = SourceText.of(TRANSCRIPT)
    hello = script.text.index("Hello")
    assert script.time(0) == 0.0
    assert script.time(hello) == 2.5
    assert script.time(hello + 6) == 3.5
    assert script.time(len(script.text)) == 6.0
    assert SourceText("plain text").time(3) is None
    assert SourceText("plain text").part(3) is None
