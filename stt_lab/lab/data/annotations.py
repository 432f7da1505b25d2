"""Read annotation files: txt, srt, vtt, rttm, stm, ctm and TextGrid.

The readers are strict, because half a reference gives a wrong score: anything unreadable raises a Flaw that names file
and line.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stt_lab.lab.data.items import Flaw
from stt_lab.types import Segment, Span, Turn, Word

__all__ = ["READERS", "Annotation", "read_annotation", "read_text", "span"]

MAX_BYTES = 64 * 1024 * 1024
Made = TypeVar("Made", bound=Span)


@dataclass(frozen=True)
class Annotation:
    """References of one recording; None if the format does not contain them."""

    text: str | None = None
    segments: tuple[Segment, ...] | None = None
    turns: tuple[Turn, ...] | None = None
    words: tuple[Word, ...] | None = None

    def __or__(self, other: Annotation) -> Annotation:
        """Merge two annotations; where both have a value, keep the left one."""
        found = {name: value for name, value in vars(self).items() if value is not None}
        return Annotation(**vars(other) | found)


def read_annotation(path: Path, name: str, recordings: Iterable[str]) -> Annotation:
    """Read an annotation file by its suffix; errors call it `name`.

    In a file about several recordings, only the lines of those in `recordings` count. Raises Flaw.
    """
    return READERS[path.suffix.lower()](path, name, frozenset(recordings))


def read_text(path: Path, name: str) -> str:
    """Read a UTF-8 text file, with or without a byte order mark. Raises Flaw."""
    if not path.is_file():
        raise Flaw(f"{name} does not exist", "correct the name, or add the file")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Flaw(f"{name} is larger than {MAX_BYTES >> 20} MB", "split it into one file per recording")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise Flaw(f"{name} line {line} is not UTF-8", "save the file as UTF-8") from None


def span(kind: type[Made], start: float, end: float, where: str, *rest: Any, **more: Any) -> Made:
    """Build a span and check its times. Raises Flaw."""
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
        raise Flaw(f"{where}: {start:g} .. {end:g} are not valid times", "write seconds, with the end after the start")
    return kind(start, end, *rest, **more)


def _joined(parts: Iterable[Segment | Word]) -> str:
    return " ".join(part.text.strip() for part in parts)


def _by_start(parts: Iterable[Made]) -> tuple[Made, ...]:
    return tuple(sorted(parts, key=lambda part: part.start))


# Text


def _txt(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    return Annotation(text=read_text(path, name).strip())


# NIST formats: one turn or word per line, fields separated by blanks


@dataclass(frozen=True)
class _Line:
    """The fields of a line, and its place in the file."""

    fields: list[str]
    where: str

    def number(self, position: int) -> float:
        try:
            return float(self.fields[position])
        except ValueError:
            raise Flaw(f"{self.where}: {self.fields[position][:20]!r} is not a number", "write seconds") from None


def _nist(path: Path, name: str, recordings: frozenset[str], form: str, free: bool = False) -> list[_Line]:
    """Read the lines of one recording.

    `form` names the required fields of a line; if the last one is `free`, it is the rest of the line, or missing.
    """
    form_fields = form.split()
    file = form_fields.index("file")
    lines = []
    for number, text in enumerate(read_text(path, name).splitlines(), 1):
        fields = text.split(maxsplit=len(form_fields) - 1 if free else -1)
        if not fields or fields[0].startswith(";"):
            continue
        where = f"{name} line {number}"
        if len(fields) < len(form_fields) - free:
            raise Flaw(f"{where} has {len(fields)} fields", f"expected: {form}")
        lines.append(_Line(fields, where))
    described = {line.fields[file] for line in lines}
    if len(described) > 1 and not described & recordings:
        raise Flaw(f"{name} describes {len(described)} recordings, but not this one", "use the audio's name in it")
    return [line for line in lines if len(described) == 1 or line.fields[file] in recordings]


def _rttm(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    turns = []
    for line in _nist(path, name, recordings, "SPEAKER file channel start duration <NA> <NA> speaker"):
        if line.fields[0] == "SPEAKER":
            start = line.number(3)
            turns.append(span(Turn, start, start + line.number(4), line.where, line.fields[7]))
    return Annotation(turns=_by_start(turns))


def _ctm(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    words = []
    for line in _nist(path, name, recordings, "file channel start duration word"):
        start = line.number(2)
        confidence = line.number(5) if len(line.fields) > 5 and line.fields[5] != "NA" else None
        words.append(span(Word, start, start + line.number(3), line.where, line.fields[4], confidence))
    found = _by_start(words)
    return Annotation(text=_joined(found), words=found)


def _stm(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    segments = []
    for line in _nist(path, name, recordings, "file channel speaker start end text", free=True):
        text = line.fields[5] if len(line.fields) > 5 else ""
        text = re.sub(r"^<[^<>\s,]*,[^<>\s]*>\s*", "", text).strip()  # conditions such as <o,f0,male>
        made = span(Segment, line.number(3), line.number(4), line.where, text, speaker=line.fields[2])
        if line.fields[2] != "inter_segment_gap" and text.lower() != "ignore_time_segment_in_scoring":
            segments.append(made)
    return _spoken(segments)


def _spoken(segments: Iterable[Segment]) -> Annotation:
    """Derive the text from segments, and turns if all speakers are known."""
    found = _by_start(segments)
    turns = tuple(Turn(part.start, part.end, part.speaker) for part in found if part.speaker is not None)
    return Annotation(_joined(found), found, turns if len(turns) == len(found) else None)


# Subtitles. Not pysubs2: it appends a cue with broken times to the cue before, and drops voice tags

TIMES = re.compile(r"\s*(?:(\d+):)?(\d\d?):(\d\d)[.,](\d{3})\s*-->\s*(?:(\d+):)?(\d\d?):(\d\d)[.,](\d{3})(?:\s.*)?")
TAG = re.compile(r"</?(?:[A-Za-z][^<>]*|\d[\d:.]*)>|\{\\[^{}]*\}")
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s++([^<>]*)>")


def _subtitles(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    segments: list[Segment] = []
    for line, block in _blocks(read_text(path, name)):
        if block[0].split(maxsplit=1)[0] in ("WEBVTT", "NOTE", "STYLE", "REGION") and "-->" not in "".join(block[:2]):
            continue
        times = next((number for number, text in enumerate(block[:2]) if "-->" in text), 0)  # a number may precede
        found = TIMES.fullmatch(block[times])
        if found is None:
            raise Flaw(
                f"{name} line {line + times}: {block[times][:40]!r} is not a time range",
                "write 00:00:01.000 --> 00:00:02.000",
            )
        start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        text = " ".join(part.strip() for part in block[times + 1 :])
        for speaker, said in _voices(text, web=path.suffix.lower() == ".vtt"):
            segments.append(span(Segment, start, end, f"{name} line {line + times}", said, speaker=speaker))
    return _spoken(segments)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield blocks of lines between empty lines, with the number of the first line."""
    block: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return (hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + thousandths) / 1000


def _voices(text: str, web: bool) -> Iterator[tuple[str | None, str]]:
    """Yield (speaker, text) without markup; skip empty texts."""
    first, *rest = VOICE.split(text)
    for speaker, said in [(None, first), *zip(rest[::2], rest[1::2], strict=True)]:
        plain = TAG.sub("", said)
        if plain := " ".join((html.unescape(plain) if web else plain).split()):
            yield html.unescape(speaker).strip() if speaker else None, plain


# Praat

WORDS = re.compile(r"(?:(?P<speaker>.+?)(?<!\s)\s*-\s*)?words?", re.IGNORECASE)  # "words" and "Ada - words" of aligners
SOUNDS = re.compile(r"(?:.+?(?<!\s)\s*-\s*)?(?:phone(?:me)?s?|segments?_phon.*|syll(?:able)?s?)", re.IGNORECASE)
UTTERANCES = re.compile(r"utterances?|sentences?|text|transcript(?:ion)?s?|phrases?|orthography", re.IGNORECASE)


def _textgrid(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    """Read words from word tiers, skip phone tiers, and take every other tier as one speaker's utterances."""
    words: list[Word] = []
    segments: list[Segment] = []
    tiers = _tiers(path, name)
    for tier, entries in tiers.items():
        where = f"{name} tier {tier[:40]!r}"
        if found := WORDS.fullmatch(tier.strip()):
            speaker = found["speaker"]
            words += [span(Word, start, end, where, label, None, speaker) for start, end, label in entries]
        elif not SOUNDS.fullmatch(tier.strip()):
            speaker = None if UTTERANCES.fullmatch(tier.strip()) else tier
            segments += [span(Segment, start, end, where, label, speaker=speaker) for start, end, label in entries]
    timed = Annotation(text=_joined(_by_start(words)), words=_by_start(words)) if words else Annotation()
    return _spoken(segments) | timed if segments or not words else timed


def _tiers(path: Path, name: str) -> dict[str, list[tuple[float, float, str]]]:
    """Return labelled intervals by tier; point tiers are ignored."""
    from praatio import textgrid

    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        read_text(path, name)  # raises the right Flaw
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    except Exception as problem:  # praatio indexes and converts unchecked input, so any error means a bad file
        reason = " ".join(str(problem).split())[:80]
        raise Flaw(f"{name} is not a TextGrid ({reason})", "save it from Praat as a text file") from None
    tiers = [tier for tier in grid.tiers if isinstance(tier, textgrid.IntervalTier)]
    return {tier.name: [(start, end, label) for start, end, label in tier.entries if label.strip()] for tier in tiers}


READERS: dict[str, Callable[[Path, str, frozenset[str]], Annotation]] = {
    ".txt": _txt,
    ".srt": _subtitles,
    ".vtt": _subtitles,
    ".rttm": _rttm,
    ".stm": _stm,
    ".ctm": _ctm,
    ".textgrid": _textgrid,
}
