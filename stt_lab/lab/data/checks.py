"""Check rows that can be parsed but contradict themselves, their audio or each other."""

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

SHOWN = 40  # characters of a wrong value that an error quotes
SLACK = 0.5  # seconds of tolerance: codecs pad, and people round
SILENT = "non-speech"  # `kind` of recordings without speech
Part = TypeVar("Part", bound=Span)


class Audios:
    """Checks audio files, and decodes them on request."""

    def __init__(self, decode: bool) -> None:
        self._decode = decode
        self._open = ExitStack()
        self._decoder: Decoder | None = None

    def __enter__(self) -> Audios:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def duration(self, audio: Path) -> float | None:
        """Return the duration in seconds, None without decoding. Raises Flaw if the file is missing or unreadable."""
        if not audio.is_file():
            raise Flaw("the audio file does not exist", "correct its name, or add the file")
        if not audio.stat().st_size:
            raise Flaw("the audio file is empty", "replace it")
        if not self._decode:
            return None
        try:
            with self._started().decode(audio) as found:
                return found.duration
        except BadInput as problem:
            raise Flaw(f"the audio cannot be decoded: {_reason(problem)}", "convert it, or remove the row") from None
        except SttError as problem:
            raise Flaw(f"the audio could not be decoded now: {_reason(problem)}", "run the check again") from None

    def _started(self) -> Decoder:
        if self._decoder is None:
            self._decoder = self._open.enter_context(own_decoder(get_settings()))
        return self._decoder


def _reason(problem: SttError) -> str:
    """Return the first sentence of an error, without a full stop: the second one is advice for users."""
    return str(problem).split(". ")[0].rstrip(".")


def flaws(row: ManifestRow, audios: Audios) -> Iterator[Flaw]:
    """Yield every flaw of a parsed row."""
    item = row.item
    if row.repeats:
        yield Flaw(f"line {row.repeats} has the same id, so this row becomes {item.id}", "give each row a unique id")
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
        yield Flaw(
            f"the audio lasts {measured:.2f} s, but duration is {item.duration:.2f}",
            "correct the duration, or replace the audio",
        )
    if measured == 0:
        yield Flaw("the audio has no samples", "replace the file")


def _labels(row: ManifestRow) -> Iterator[Flaw]:
    for column in ("language", "licence", "license", "source"):
        if row.columns.get(column) == "":
            yield Flaw(f"{column} is empty", "fill it in, or remove the column")
    try:
        language_code(row.item.language or "")
    except BadInput:
        yield Flaw(
            f"language {str(row.item.language)[:SHOWN]!r} is not known",
            "use an ISO 639-1 code such as en, or remove the column",
        )


def _text(row: ManifestRow) -> Iterator[Flaw]:
    item = row.item
    spoken = item.segments or item.words or item.turns
    if "text" in row.columns and item.text is None:
        yield Flaw("text is null", 'remove it if the words are unknown, or write "" if nobody speaks')
    elif item.text is None and item.kind == SILENT:
        yield Flaw(f"kind is {SILENT}, but text is missing", 'write "text": "", so that hallucinated words are counted')
    elif item.text is not None and item.text != "" and not item.text.strip():
        yield Flaw("text is blank", 'write "" if nobody speaks, or remove it')
    elif item.text == "" and spoken:
        yield Flaw(
            "text is empty, but segments, turns or words say that somebody speaks", "write the text, or remove it"
        )
    elif item.text and item.kind == SILENT:
        yield Flaw(f"kind is {SILENT}, but text is not empty", "correct one of them")
    empty = _first(item.segments or (), lambda part: not part.text.strip())
    if empty:
        yield Flaw(f"segments[{empty}] has no text", "write what is said there, or remove the segment")
    empty = _first(item.words or (), lambda part: not part.text.strip())
    if empty:
        yield Flaw(f"words[{empty}] has no text", "write the word, or remove it")
    for name, parts in _lists(item):
        nameless = _first(parts, lambda part: getattr(part, "speaker", None) == "")
        if nameless:
            yield Flaw(f"{name}[{nameless}] has an empty speaker", "name the speaker, or remove `speaker`")


def _times(item: Item, duration: float | None) -> Iterator[Flaw]:
    end = math.inf if duration is None else duration + SLACK
    for name, parts in _lists(item):
        late = _first(parts, lambda part: part.end > end)
        if late:
            yield Flaw(
                f"{name}[{late}] ends at {parts[late - 1].end:.2f} s, but the audio ends at {duration:.2f} s",
                "correct the times, or replace the audio",
            )
        for number, (one, other) in enumerate(pairwise(parts), 2):
            if other.start < one.start:
                yield Flaw(f"{name}[{number}] starts before the one above it", "sort them by start time")
                break
    yield from _nesting(item)


def _nesting(item: Item) -> Iterator[Flaw]:
    """Yield words that lie outside their segments."""
    for number, segment in enumerate(item.segments or (), 1):
        outside = _first(segment.words, lambda word, around=segment: not _within(word, around))  # type: ignore[misc]
        if outside:
            yield Flaw(f"segments[{number}].words[{outside}] lies outside its segment", "correct the times")
            return
    if item.segments and item.words:
        covered = _cover(item.segments)
        outside = _first(item.words, lambda word: word.end > covered(word.start) + SLACK)
        if outside:
            yield Flaw(f"words[{outside}] lies outside all segments", "correct the times of the word or the segments")


def _within(word: Word, segment: Segment) -> bool:
    return segment.start - SLACK <= word.start and word.end <= segment.end + SLACK


def _cover(segments: Sequence[Segment]) -> Callable[[float], float]:
    """Return a function from a time to the latest end of the segments that started before it."""
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
    """Return the number, from 1, of the first part that is wrong, or 0."""
    return next((number for number, part in enumerate(parts, 1) if wrong(part)), 0)
