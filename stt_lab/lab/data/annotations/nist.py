"""Read NIST's formats: RTTM (turns), STM (segments) and CTM (words), one a line, fields separated by blanks.

Names of recordings and speakers may contain blanks, though the formats forbid them: fields are told by their form. A
line that can be read in two ways is a Flaw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from stt_lab.lab.data.annotations.files import read_lines, same_name
from stt_lab.lab.data.annotations.labels import FIX, is_event, word_of
from stt_lab.lab.data.annotations.values import NUMBER, Annotation, by_start, number, of_segments, of_words, span
from stt_lab.lab.data.items import Flaw
from stt_lab.types import Segment, Turn, Word

__all__ = ["read_ctm", "read_rttm", "read_stm"]

RTTM = "SPEAKER file channel start duration <NA> <NA> speaker"
CTM = "file channel start duration word [confidence]"
STM = "file channel speaker start end text"
# fmt: off
OTHER_TYPES = frozenset([  # of RTTM lines that are no turns
    "SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU", "CB",
    "A/P", "SPKR-INFO",
])
# fmt: on
NOTHING = frozenset(["<NA>", "-", "NA", "<na>"])
CHANNEL = re.compile(r"[A-Za-z]|[0-9]{1,2}")
CONDITION = r"<(?:[^<>,]*,[^<>]*|NA)>(?:[ \t]+|\Z)"  # <o,f0,male>
WORD_TYPES = frozenset(["lex", "frag", "fp", "un-lex", "for-lex", "na"])
SOUND_TYPES = frozenset(["non-lex", "misc", "noscore"])
ALTERNATIVES = ("<ALT_BEGIN>", "<ALT>", "<ALT_END>")
BLANK = re.compile("[ \t]+")  # no other white space: it occurs within words
TOKEN = re.compile(r"\{[^{}/\s]{1,40}\}(?=\s|\Z)|[{}]|[^\s{}]+")  # of an STM text
DEEPEST = 10  # alternatives within alternatives
ALTERNATIVE = "write { one / other }"
BLANKS = "join blanks in names with _"
Made = TypeVar("Made")


@dataclass(frozen=True)
class _Line:
    """One line, and the fields that were told apart."""

    text: str
    where: str
    fields: list[str]

    def __getitem__(self, position: int) -> str:
        return self.fields[position] if position < len(self.fields) else ""

    def __len__(self) -> int:
        return len(self.fields)

    def name(self, start: int, stop: int) -> str:
        """Return a name of one or more fields."""
        return " ".join(self.fields[start:stop])

    def rest(self, position: int) -> str:
        """Return the line from a field on."""
        return BLANK.split(self.text, position)[position] if position < len(self) else ""

    def times(self, position: int) -> bool:
        """Return whether two numbers stand here."""
        return bool(NUMBER.fullmatch(self[position]) and NUMBER.fullmatch(self[position + 1]))


def _lines(path: Path, name: str) -> Iterator[_Line]:
    for count, line in enumerate(read_lines(path, name), 1):
        text = line.strip(" \t")
        if text and not text.startswith(";"):
            yield _Line(text, f"{name} line {count}", BLANK.split(text))


def _chosen(found: Iterable[tuple[str, Made]], name: str, recordings: frozenset[str]) -> list[Made]:
    """Return what is about the recording; a file about a single one is about this one, whatever it is called."""
    parts = [(_plain(file), made) for file, made in found]
    known = {_plain(one) for one in recordings}
    described = {file for file, _ in parts}
    if len(described) > 1 and not described & known:
        raise Flaw(f"{name} describes {len(described)} recordings, but not this one", "use the audio's name in it")
    return [made for file, made in parts if len(described) == 1 or file in known]


def _plain(name: str) -> str:
    """Return a form that is equal for names that differ in what file names often differ in."""
    return "_".join(same_name(name).split())


def _refuse(line: _Line, form: str, least: int) -> Flaw:
    if len(line) < least:
        return Flaw(f"{line.where} has {len(line)} fields", f"expected: {form}")
    return Flaw(f"{line.where} cannot be read as {form}", f"correct its fields, and {BLANKS}")


# Turns


def read_rttm(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    return Annotation(turns=by_start(_chosen(_turns(path, name), name, recordings)))


def _turns(path: Path, name: str) -> Iterator[tuple[str, Turn]]:
    for line in _lines(path, name):
        if line[0] in OTHER_TYPES:
            continue
        if line[0] != "SPEAKER" and len(line) >= len(RTTM.split()):
            raise Flaw(f"{line.where} begins with {line[0][:20]!r}", f"expected: {RTTM}")
        start = _turn_times(line)
        where = line.where
        first = number(line[start], where)
        turn = span(Turn, first, _end(first, number(line[start + 1], where)), where, _speaker(line, start + 4))
        yield line.name(1, start - 1), turn


def _turn_times(line: _Line) -> int:
    """Return the position of the start time: the two fields after the times are empty, which names are not."""
    places = [at for at in range(3, len(line) - 3) if line[at + 2] in NOTHING and line[at + 3] in NOTHING]
    timed = [at for at in places if line.times(at)]
    if len(line) < len(RTTM.split()):
        raise _refuse(line, RTTM, len(RTTM.split()))
    if not timed and 3 in places:
        for position in (3, 4):
            number(line[position], line.where)  # raises the Flaw of the wrong one
    if len(timed) != 1:
        raise _refuse(line, RTTM, 0)
    return timed[0]


def _speaker(line: _Line, start: int) -> str:
    """Return the speaker, before an optional confidence and an optional lookahead time."""
    end = len(line)
    while end > start + 1 and len(line) - end < 2 and (line[end - 1] in NOTHING or "." in line[end - 1]):
        if line[end - 1] not in NOTHING and not NUMBER.fullmatch(line[end - 1]):
            break
        end -= 1
    speaker = line.name(start, end)
    if not speaker or speaker in NOTHING:
        raise Flaw(f"{line.where} names no speaker", f"expected: {RTTM}")
    if end - start > 1 and re.fullmatch("[0-9]+", line[end - 1]) and len(line) - start <= 3:
        fix = f"write the confidence with a point (1.0), or {BLANKS}"
        raise Flaw(f"{line.where}: {line[end - 1]!r} is the end of a name or a confidence", fix)
    return speaker


def _end(start: float, duration: float) -> float:
    """Return the end in whole microseconds: 0.1 + 0.2 is 0.3."""
    return round(start + duration, 6)


# Words


def read_ctm(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    found = _chosen(_first_alternatives(path, name), name, recordings)
    return of_words(word for line in found if (word := _word(*line)) is not None)


def _first_alternatives(path: Path, name: str) -> Iterator[tuple[str, tuple[_Line, int]]]:
    """Yield (recording, (line, position of the start time)); of alternatives only the first one counts."""
    number_of = 0  # of the alternative, from 1; 0 outside
    began = ""
    for line in _lines(path, name):
        mark = line[len(line) - 1].upper()
        if mark in ALTERNATIVES:
            if (mark == "<ALT_BEGIN>") == bool(number_of):
                raise Flaw(f"{line.where}: {mark} stands in the wrong place", f"write {', '.join(ALTERNATIVES)}")
            number_of = {"<ALT_BEGIN>": 1, "<ALT>": number_of + 1, "<ALT_END>": 0}[mark]
            began = line.where
        elif number_of <= 1:
            start = _word_times(line)
            yield line.name(0, start - 1), (line, start)
    if number_of:
        raise Flaw(f"{began}: the alternatives do not end", "write <ALT_END> after the last one")


def _word_times(line: _Line) -> int:
    if len(line) < 5:
        raise _refuse(line, CTM, 5)
    places = [at for at in range(2, len(line) - 2) if line.times(at) and _is_word(line, at + 2)]
    return _only(line, places, 2, lambda at: line[at - 1], CTM)


def _is_word(line: _Line, at: int) -> bool:
    """Return whether the fields can be a word, its confidence, its type and its speaker."""
    confidence = line[at + 1]
    sure = not confidence or confidence in NOTHING or (NUMBER.fullmatch(confidence) and 0 <= float(confidence) <= 1)
    return bool(sure) and line[at + 2].lower() in WORD_TYPES | SOUND_TYPES | {""} and len(line) <= at + 4


def _only(line: _Line, places: list[int], standard: int, channel: Callable[[int], str], form: str) -> int:
    """Return the standard position if a channel stands before it, else the only possible one."""
    if standard in places and (CHANNEL.fullmatch(channel(standard)) or len(places) == 1):
        return standard
    if len(places) == 1:
        return places[0]
    if not places:
        for position in (standard, standard + 1):
            number(line[position], line.where)
    raise _refuse(line, form, 0)


def _word(line: _Line, start: int) -> Word | None:
    where, token, sure = line.where, line[start + 2], line[start + 3]
    first = number(line[start], where)
    text = word_of(token) if token != "@" else ""
    made = span(Word, first, _end(first, number(line[start + 1], where)), where, text)
    if line[start + 4].lower() in SOUND_TYPES or not text or is_event(token, where):
        return None
    speaker = line[start + 5]
    return replace(
        made,
        confidence=None if not sure or sure in NOTHING else float(sure),
        speaker=None if not speaker or speaker in NOTHING or speaker.lower() == "unknown" else speaker,
    )


# Segments


def read_stm(path: Path, name: str, recordings: frozenset[str]) -> Annotation:
    return of_segments(part for part in _chosen(_segments(path, name, recordings), name, recordings) if part)


def _segments(path: Path, name: str, recordings: frozenset[str]) -> Iterator[tuple[str, Segment | None]]:
    """Yield (recording, segment); None for a stretch that is not scored."""
    for line in _lines(path, name):
        channel, start = _segment_times(line, recordings)
        where, speaker = line.where, line.name(channel + 1, start)
        begin, end = number(line[start], where), number(line[start + 1], where)
        text = re.sub(rf"\A{CONDITION}", "", line.rest(start + 2), flags=re.IGNORECASE)
        made = span(Segment, begin, end, where, "", speaker=speaker)
        scored = speaker != "inter_segment_gap" and text.strip().lower() != "ignore_time_segment_in_scoring"
        yield line.name(0, channel), _said(made, text, where) if scored else None


def _segment_times(line: _Line, recordings: frozenset[str]) -> tuple[int, int]:
    """Return the positions of the channel and of the start time."""
    if len(line) < 5:
        raise _refuse(line, STM, 5)
    known = next((len(one.split()) for one in sorted(recordings, key=len) if _begins(line, one)), 0)
    places = [at for at in range(3, min(len(line) - 1, 12)) if line.times(at)]
    places = [at for at in places if float(line[at]) <= float(line[at + 1])] or places[:1]
    start = _only(line, places, known + 2 if known else 3, lambda at: line[at - 2], STM)
    channels = [at for at in range(known or 1, start - 1) if CHANNEL.fullmatch(line[at])]
    if start == 3 or known in channels:
        return (known or 1), start
    if len(channels) != 1:
        raise _refuse(line, STM, 0)
    return channels[0], start


def _said(made: Segment, text: str, where: str) -> Segment | None:
    """Return the segment with its words; None if only noises are noted."""
    words = _spoken(text, where)
    return replace(made, text=words) if words or not text.strip() else None


def _begins(line: _Line, name: str) -> bool:
    count = len(name.split())
    return _plain(line.name(0, count)) == _plain(name) and " " in name.strip()


def _spoken(text: str, where: str) -> str:
    """Return the words of a text: of alternatives the first ones, no events, no marks of pronunciation."""
    if re.search(r"\(\(\s*\)\)", text):
        raise Flaw(f"{where}: (()) stands for words that are not known", FIX)
    words = []
    first: list[bool] = []  # of each open brace: whether its first alternative is being read
    for token in TOKEN.findall(text):
        for part in re.split("(/)", token) if first else [token]:
            if part == "{" and len(first) < DEEPEST:
                first.append(True)
            elif part == "}" and first:
                first.pop()
            elif part == "/" and first:
                first[-1] = False
            elif part in ("{", "}"):
                raise Flaw(f"{where}: a brace stands in the wrong place", ALTERNATIVE)
            elif all(first) and part != "@" and not is_event(part, where) and (word := word_of(part)):
                words.append(word)
    if first:
        raise Flaw(f"{where}: the alternatives do not end", ALTERNATIVE)
    return " ".join(words)
