"""What a row can have wrong although it can be read."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TypeVar

from stt_lab.audio import Decoder
from stt_lab.errors import BadInput, SttError
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.lab.data.rows import ManifestRow
from stt_lab.lab.noise.sound import own_decoder
from stt_lab.settings import get_settings
from stt_lab.text import language_code
from stt_lab.types import Segment, Span, Turn, Word

__all__ = ["Audios", "flaws"]

SLACK = 0.5  # seconds that times may be off: codecs pad, and people round
SILENT = "non-speech"  # the kind of recordings in which nobody speaks
Part = TypeVar("Part", bound=Span)


class Audios:
    """Looks at the audio of items; decodes it where that is wanted."""

    def __init__(self, decode: bool) -> None:
        self._decode = decode
        self._open = ExitStack()
        self._decoder: Decoder | None = None

    def __enter__(self) -> Audios:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def duration(self, audio: Path) -> float | None:
        """Seconds; None without decoding. Raises Flaw for what is not there or cannot be decoded."""
        if not audio.is_file():
            raise Flaw("the audio is missing", "correct its name, or put the file there")
        if not audio.stat().st_size:
            raise Flaw("the audio is empty", "replace the file")
        if not self._decode:
            return None
        try:
            with self._started().decode(audio) as found:
                return found.duration
        except BadInput as problem:
            raise Flaw(
                f"the audio cannot be decoded: {str(problem).rstrip('.')}", "convert it or leave it out"
            ) from None
        except SttError as problem:
            raise Flaw(f"the audio was not decoded: {str(problem).rstrip('.')}", "check again") from None

    def _started(self) -> Decoder:
        if self._decoder is None:
            self._decoder = self._open.enter_context(own_decoder(get_settings()))
        return self._decoder


def flaws(row: ManifestRow, audios: Audios) -> Iterator[Flaw]:
    """All that is wrong with a row that could be read."""
    item = row.item
    if row.repeats:
        yield Flaw(
            f"line {row.repeats} has the same id, so this is read as {item.id}", "give each row an id of its own"
        )
    measured = None
    try:
        measured = audios.duration(item.audio)
    except Flaw as flaw:
        yield flaw
    yield from _length(item, measured)
    yield from _labels(row)
    yield from _text(row)
    yield from _times(item, measured or item.duration)


def _length(item: Item, measured: float | None) -> Iterator[Flaw]:
    if measured is not None and item.duration is not None and abs(measured - item.duration) > SLACK:
        yield Flaw(f"the audio has {measured:.2f} s, not {item.duration:.2f}", "correct the duration, or the audio")
    if measured == 0:
        yield Flaw("the audio has no samples", "replace the file")


def _labels(row: ManifestRow) -> Iterator[Flaw]:
    for column in ("language", "licence", "license", "source"):
        if row.columns.get(column) == "":
            yield Flaw(f"{column} is empty", "fill it, or leave the column out")
    try:
        language_code(row.item.language or "")
    except BadInput as problem:
        yield Flaw(str(problem).split(":")[0], "use a code of ISO 639-1 such as en, or leave it out")


def _text(row: ManifestRow) -> Iterator[Flaw]:
    item = row.item
    spoken = item.segments or item.words or item.turns
    if "text" in row.columns and item.text is None:
        yield Flaw("text is null", 'leave it out if the words are not known, write "" where nobody speaks')
    elif item.text is None and item.kind == SILENT:
        yield Flaw(f"kind is {SILENT} and text is left out", 'write "text": "", so that invented words count')
    elif item.text is not None and item.text != "" and not item.text.strip():
        yield Flaw("text has only blanks", 'write "" where nobody speaks, or leave it out')
    elif item.text == "" and spoken:
        yield Flaw("text says that nobody speaks, and others say when", "write the text, or leave it out")
    elif item.text and item.kind == SILENT:
        yield Flaw(f"kind is {SILENT} and there is text", "correct one of them")
    empty = _first(item.segments or (), lambda part: not part.text.strip())
    if empty:
        yield Flaw(f"segments[{empty}] has no text", "write what is said there, or leave it out")
    empty = _first(item.words or (), lambda part: not part.text.strip())
    if empty:
        yield Flaw(f"words[{empty}] has no text", "write the word, or leave it out")
    for name, parts in _lists(item):
        nameless = _first(parts, lambda part: getattr(part, "speaker", None) == "")
        if nameless:
            yield Flaw(f"{name}[{nameless}] has an empty speaker", "name the speaker, or leave the name out")


def _times(item: Item, duration: float | None) -> Iterator[Flaw]:
    end = math.inf if duration is None else duration + SLACK
    for name, parts in _lists(item):
        late = _first(parts, lambda part: part.end > end)
        if late:
            yield Flaw(
                f"{name}[{late}] ends at {parts[late - 1].end:.2f} s, the audio at {duration:.2f} s",
                "correct the times, or the audio",
            )
        for number, (one, other) in enumerate(pairwise(parts), 2):
            if other.start < one.start:
                yield Flaw(f"{name}[{number}] starts before the one ahead of it", "sort them by their start")
                break
    yield from _nesting(item)


def _nesting(item: Item) -> Iterator[Flaw]:
    """Words outside of their segments."""
    for number, segment in enumerate(item.segments or (), 1):
        outside = _first(segment.words, lambda word, around=segment: not _within(word, around))  # type: ignore[misc]
        if outside:
            yield Flaw(f"segments[{number}].words[{outside}] lies outside of its segment", "correct the times")
            return
    if item.segments and item.words:
        covered = _cover(item.segments)
        outside = _first(item.words, lambda word: word.end > covered(word.start) + SLACK)
        if outside:
            yield Flaw(f"words[{outside}] lies outside of all segments", "correct the times of one of them")


def _within(word: Word, segment: Segment) -> bool:
    return segment.start - SLACK <= word.start and word.end <= segment.end + SLACK


def _cover(segments: Sequence[Segment]) -> Callable[[float], float]:
    """For a time, the latest end of the segments that have begun by then."""
    ordered = sorted(segments, key=lambda segment: segment.start)
    starts = [segment.start for segment in ordered]
    ends = [-math.inf, *accumulate((segment.end for segment in ordered), max)]
    return lambda time: ends[bisect_right(starts, time + SLACK)]


def _lists(item: Item) -> list[tuple[str, Sequence[Segment | Turn | Word]]]:
    named: list[tuple[str, Sequence[Segment | Turn | Word] | None]] = [
        ("segments", item.segments),
        ("turns", item.turns),
        ("words", item.words),
    ]
    return [(name, parts) for name, parts in named if parts is not None]


def _first(parts: Sequence[Part], wrong: Callable[[Part], bool]) -> int:
    """The number, from 1, of the first that is wrong; 0 where none is."""
    return next((number for number, part in enumerate(parts, 1) if wrong(part)), 0)
