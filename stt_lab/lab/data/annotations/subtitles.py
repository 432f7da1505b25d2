"""Read SubRip (.srt) and WebVTT (.vtt), also without the empty lines between cues."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stt_lab.lab.data.annotations.files import read_lines
from stt_lab.lab.data.annotations.labels import without_events
from stt_lab.lab.data.annotations.values import Annotation, of_segments, span
from stt_lab.lab.data.items import Flaw
from stt_lab.types import Segment

__all__ = ["read_subtitles"]

_TIME = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]\d)[.,](\d{3})"
TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?", re.ASCII)
LIKE_TIMES = re.compile(r"\s*-?\d+:\d[\d:.,]*\s*(?:-+>|[→–—-]+|=>|>)\s*-?\d+:\d[\d:.,]*(?:\s.*)?", re.ASCII)
COUNT = re.compile(r"\s*([0-9]{1,9})\s*")
BLOCKS = ("WEBVTT", "NOTE", "STYLE", "REGION")  # of WebVTT, beside cues
READINGS = re.compile(r"<rt(?:\.[^<>]*)?>[^<>]*(?:</rt>|\Z)")  # how the characters before are read
TAG = re.compile(r"</?(?:[A-Za-z][^<>]*|\d[\d:.]*)>|\{\\[^{}]*\}")
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]*)>")
ROLLING = 3  # cues in a row that repeat a line of the one before


@dataclass(frozen=True)
class _Cue:
    start: float
    end: float
    where: str
    lines: list[str]


def read_subtitles(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    web = path.suffix.lower() == ".vtt"
    cues = list(_cues(read_lines(path, name), name, web))
    _refuse_rolling(cues)
    segments = []
    for cue in cues:
        for speaker, said in _voices(" ".join(line.strip() for line in cue.lines), web):
            if text := without_events(said, cue.where):
                segments.append(span(Segment, cue.start, cue.end, cue.where, text, speaker=speaker))
    return of_segments(segments)


def _cues(lines: list[str], name: str, web: bool) -> Iterator[_Cue]:
    last: int | None = None  # number of the cue before; None if cues have no numbers
    for line, block in _blocks(lines, web):
        places = _times_of(block)
        if not places:
            if not web or block[0].split(maxsplit=1)[0] not in BLOCKS:
                raise _no_times(block[0], f"{name} line {line}")
            continue
        before = places[0] - 1
        last = _count(block[before], last) if before >= 0 else last
        for place, after in pairwise([*places, len(block)]):
            where = f"{name} line {line + place}"
            times = TIMES.fullmatch(block[place])
            if times is None:
                raise _no_times(block[place], where)
            end = after
            if after < len(block) and last is not None and COUNT.fullmatch(block[after - 1]) and after - 1 > place:
                number = block[after - 1].strip()
                if int(number) != last + 1:
                    what = f"{name} line {line + after - 1}: {number[:20]!r} is text, or the number of a cue"
                    raise Flaw(what, "put an empty line between cues")
                last, end = last + 1, after - 1
            groups = times.groups()
            yield _Cue(_seconds(groups[:4]), _seconds(groups[4:]), where, block[place + 1 : end])


def _times_of(block: list[str]) -> list[int]:
    """Return the positions of lines with times: of the first, which one line may precede, and of further cues."""
    head = len(block) if block[0].split(maxsplit=1)[:1] == ["WEBVTT"] else 2
    first = next((at for at, line in enumerate(block[:head]) if "-->" in line or LIKE_TIMES.fullmatch(line)), None)
    if first is None:
        return []
    return [first, *(at for at in range(first + 1, len(block)) if LIKE_TIMES.fullmatch(block[at]))]


def _count(line: str, default: int | None) -> int | None:
    found = COUNT.fullmatch(line)
    return int(found[1]) if found else default


def _no_times(line: str, where: str) -> Flaw:
    return Flaw(f"{where}: {line[:40]!r} is not a time range", "write 00:00:01.000 --> 00:00:02.000")


def _blocks(lines: list[str], web: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield blocks of lines between empty lines, with the number of the first line. In WebVTT, blanks are a text."""
    block: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip() or (line and web and block):
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return (hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + thousandths) / 1000


def _refuse_rolling(cues: list[_Cue]) -> None:
    """Raise Flaw for captions that roll: each cue repeats a line of the one before, so words would count twice."""
    lines = [[plain for line in cue.lines if (plain := TAG.sub("", line).strip())] for cue in cues]
    run = 0
    for (before, now), cue in zip(pairwise(lines), cues[1:], strict=True):
        repeats = bool(before and now) and now[0] == before[-1] and len(before) + len(now) > 2
        run = run + 1 if repeats else 0
        if run == ROLLING:
            raise Flaw(f"{cue.where}: cues repeat the line before them", "save the captions without rolling lines")


def _voices(text: str, web: bool) -> Iterator[tuple[str | None, str]]:
    """Yield (speaker, text) without markup; skip empty texts."""
    first, *rest = VOICE.split(READINGS.sub("", text))
    for speaker, said in [(None, first), *zip(rest[::2], rest[1::2], strict=True)]:
        plain = TAG.sub("", said)
        if plain := " ".join((html.unescape(plain) if web else plain).split()):
            yield html.unescape(speaker).strip() if speaker else None, plain
