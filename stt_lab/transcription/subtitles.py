"""Cut groups of segments into cues, and write cues as SubRip or WebVTT. Pure.

Cues follow Netflix's Timed Text Style Guide: two lines of 42 columns, 5/6 s to 7 s per cue. All cuts of a group are
chosen together: few cues, of even length, that end where sentences or clauses do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from itertools import accumulate, pairwise, takewhile

from stt_lab.cached import cached
from stt_lab.text import clause_end, clean, sentence_end
from stt_lab.types import Segment, Word, is_inner

LINE = 42  # columns; a wide character (CJK) takes two
LINES = 2  # per cue
LONGEST = 7.0  # seconds per cue
SHORTEST_MS = 833  # of a cue, if the next one leaves room: 5/6 s
CUE_COST = 1.0  # per cue, against the costs of breaks below and of uneven lengths (0 to 1)
CLAUSE_BREAK, WORD_BREAK = 0.3, 0.6  # of ending a line or cue after a comma, or within a clause; after a sentence 0


# Pieces: parts that are never broken


@dataclass(frozen=True)
class _Piece:
    """A word, an ideograph, or a part of something longer than a line. A glued piece follows without a space."""

    start: float
    end: float
    text: str
    glued: bool

    @cached
    def break_cost(self) -> float:
        """Cost of a line or a cue that ends with this piece."""
        return 0.0 if sentence_end(self.text) else CLAUSE_BREAK if clause_end(self.text) else WORD_BREAK


def _columns(text: str) -> int:
    """Count columns on a grid: 2 for wide characters, 0 for combining ones."""
    shown = (char for char in text if unicodedata.category(char) not in ("Mn", "Me", "Cf"))
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown)


def _ideographic(char: str) -> bool:
    """Return whether lines may break before and after a character: Han and kana; Hangul is wide too, but written in
    words."""
    wide = unicodedata.category(char) == "Lo" and unicodedata.east_asian_width(char) == "W"
    return wide and not unicodedata.name(char, "").startswith("HANGUL")


def _chunks(token: str, limit: int) -> Iterator[str]:
    """Split a token into parts of at most `limit` columns, ideographs separately; marks stay with their base
    character."""
    chunk, width, base = "", 0, " "
    for char in token:
        columns = _columns(char)
        if chunk and columns and (_ideographic(char) or _ideographic(base) or width + columns > limit):
            yield chunk
            chunk, width = "", 0
        chunk, width, base = chunk + char, width + columns, char if columns else base
    yield chunk


def _split(word: Word, limit: int) -> list[_Piece]:
    """Split a word into pieces that fit, with times in proportion to their lengths."""
    parts = [
        (chunk, position > 0 or (number == 0 and not word.text[:1].isspace()))
        for number, token in enumerate(clean(word.text).split())
        for position, chunk in enumerate(_chunks(token, limit))
    ]
    ends = list(accumulate((len(chunk) for chunk, _ in parts), initial=0))
    times = [word.start + word.duration * end / max(1, ends[-1]) for end in ends]
    return [_Piece(*span, chunk, glued) for span, (chunk, glued) in zip(pairwise(times), parts, strict=True)]


def _pieces(segment: Segment, limit: int) -> list[_Piece]:
    """Return the words of a segment; if they do not spell its text, spread the text over its time."""
    spelt = "".join(word.text for word in segment.words).split() == segment.text.split()
    words = segment.words if spelt else (Word(segment.start, segment.end, segment.text),)
    made: list[_Piece] = []
    for piece in (piece for word in words for piece in _split(word, limit)):
        if made and _inseparable(made[-1], piece, limit):
            before = made.pop()
            piece = replace(before, end=max(before.end, piece.end), text=before.text + piece.text)
        made.append(piece)
    return [replace(made[0], glued=False), *made[1:]] if made else []


def _inseparable(before: _Piece, after: _Piece, limit: int) -> bool:
    """Return whether punctuation must stay with its word, if a line holds both."""
    bare, next_bare = (not any(map(is_inner, piece.text)) for piece in (before, after))
    sticks = bare or (next_bare and unicodedata.category(after.text[0]) not in ("Ps", "Pi"))
    return sticks and after.glued and _columns(before.text + after.text) <= limit


# Cues


@dataclass(frozen=True)
class Cue:
    """A subtitle: lines, times in milliseconds; `speaker` is set where the speaker changes."""

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str


class _Layout:
    """Pieces to cut into cues, with the widths of all ranges. `indent`: columns of the speaker's prefix."""

    def __init__(self, pieces: Sequence[_Piece], indent: int) -> None:
        self.pieces = pieces
        self.indent = indent
        widths = (_columns(piece.text) + (not piece.glued) for piece in pieces)
        self.ends = list(accumulate(widths, initial=0))  # (pieces + 1,): columns before each piece, including spaces

    def width(self, first: int, stop: int) -> int:
        """Return the columns of pieces `first` to `stop` on one line."""
        indent = 0 if first else self.indent
        return indent + self.ends[stop] - self.ends[first] - (not self.pieces[first].glued)

    def fits(self, first: int, stop: int) -> bool:
        """Return whether the range may be one cue; a single piece always may."""
        if stop - first == 1:
            return True
        second = first + 1
        while second < stop and self.width(first, second + 1) <= LINE:
            second += 1
        short = self.pieces[stop - 1].end - self.pieces[first].start <= LONGEST
        return short and (second == stop or self.width(second, stop) <= LINE)

    def cost(self, first: int, stop: int) -> float:
        """Return the cost of a cue: a constant, the square of its empty share, and how badly it ends."""
        empty = 1 - self.width(first, stop) / (LINE * LINES)
        last, following = self.pieces[stop - 1], self.pieces[stop : stop + 1]
        ending = max((last.break_cost - max(0.0, piece.start - last.end) for piece in following), default=0.0)
        return CUE_COST + empty**2 + max(0.0, ending)

    def cuts(self) -> list[tuple[int, int]]:
        """Return the cheapest way to cut the pieces into cues, as (first, stop), by dynamic programming."""
        best = [(0.0, 0)]  # per stop: the least cost, and where its last cue begins
        for stop in range(1, len(self.pieces) + 1):
            firsts = takewhile(partial(self.fits, stop=stop), range(stop - 1, -1, -1))
            best.append(min((best[first][0] + self.cost(first, stop), first) for first in firsts))
        stops = [len(self.pieces)]
        while stops[-1]:
            stops.append(best[stops[-1]][1])
        return list(pairwise(reversed(stops)))

    def lines(self, first: int, stop: int) -> tuple[str, ...]:
        """Return one line, or two of even length that break after punctuation if possible."""
        if self.width(first, stop) <= LINE:
            return (self.text(first, stop),)
        halves = ((self.width(first, middle), self.width(middle, stop), middle) for middle in range(first + 1, stop))
        _, middle = min(
            (abs(upper - lower) / LINE + self.pieces[middle - 1].break_cost, middle)
            for upper, lower, middle in halves
            if max(upper, lower) <= LINE
        )
        return self.text(first, middle), self.text(middle, stop)

    def text(self, first: int, stop: int) -> str:
        return "".join(piece.text if piece.glued else f" {piece.text}" for piece in self.pieces[first:stop]).strip()


def cues(groups: Iterable[tuple[str, Sequence[Segment]]], duration: float) -> list[Cue]:
    """Return the cues of all groups, in order, without overlap. Each group has one speaker and comes with the speaker's
    name, or "" to show none. `duration`: seconds of the recording."""
    made = [cue for name, group in groups for cue in _group_cues(group, name)]
    return _spaced(made, milliseconds(duration))


def _group_cues(group: Sequence[Segment], name: str) -> Iterator[Cue]:
    indent = _columns(f"{name}: ") if name else 0
    pieces = [piece for segment in group for piece in _pieces(segment, LINE - indent)]
    layout = _Layout(pieces, indent)
    for first, stop in layout.cuts():
        end = max(piece.end for piece in pieces[first:stop])
        times = milliseconds(pieces[first].start), milliseconds(end)
        yield Cue(*times, layout.lines(first, stop), "" if first else name)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _spaced(cues: Sequence[Cue], duration: int) -> list[Cue]:
    """Return cues with increasing starts, at least 1 ms long, that end when the next begins; within the duration (ms)
    if possible."""
    starts = [cue.start for cue in cues]
    latest = max(duration, len(cues))
    for i in reversed(range(len(starts))):
        starts[i] = latest = min(starts[i], latest - 1)
    earliest = 0
    for i, start in enumerate(starts):
        starts[i] = max(start, earliest)
        earliest = starts[i] + 1
    limits = [*starts, max(duration, earliest)][1:]
    longest = milliseconds(LONGEST)
    return [
        replace(cue, start=start, end=min(max(cue.end, start + SHORTEST_MS), start + longest, limit))
        for cue, start, limit in zip(cues, starts, limits, strict=True)
    ]


# Files


def srt(cues: Iterable[Cue]) -> Iterator[str]:
    for number, cue in enumerate(cues, 1):
        text = (f"{cue.speaker}: " if cue.speaker else "") + "\n".join(cue.lines)
        text = re.sub("(?<!-)-{2,}>", "->", text)  # SubRip has no escapes, and this would be a line of times
        text = text.replace("<", "‹").replace("{\\", "(\\")  # nor for its tags: <i>, and {\an8} of some players
        yield "\n" * (number > 1) + f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{text}\n"


def vtt(cues: Iterable[Cue]) -> Iterator[str]:
    yield "WEBVTT\n"
    for cue in cues:  # escaping < > & also removes -->
        text = (f"<v {escape(cue.speaker, False)}>" if cue.speaker else "") + escape("\n".join(cue.lines), False)
        yield f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n"


def _clock(ms: int, comma: str) -> str:
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{comma}{rest % 1000:03}"
