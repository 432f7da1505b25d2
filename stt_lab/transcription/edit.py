"""Edit a transcript: replace, split, merge and retime words and segments, and say who speaks. Pure.

Segments and words count from 0, words as the wire shows them (`wording.counted`). All edits are made, or none. Words
that no edit names keep their times exactly; those that one writes, accepts or retimes are `corrected` and lose their
confidence. Without overlaps before, times never decrease afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stt_lab.errors import BadInput
from stt_lab.text import SHOWN
from stt_lab.text.names import speaker_name
from stt_lab.transcription.wording import counted, following, shared, spanning, written
from stt_lab.types import Segment, Word

MOST_EDITS = 1_000  # in one list
LONGEST_TEXT = 10_000  # characters of one edit
LONGEST = 2_000_000  # characters of a transcript after an edit; eight hours of speech have 500,000
LONGEST_SEGMENT = 50_000  # characters of a segment after an edit: an hour of speech
EDGE_S = 0.5  # seconds that a word takes at most which is inserted at the edge of a segment
HUGE = 10**9  # places and times in an edit are smaller
ROUNDED_S = 0.0005  # seconds by which times on the wire differ from ours

Edit = Mapping[str, Any]
EDITS: dict[str, dict[str, tuple[type, ...]]] = {  # operations with their fields
    "replace": {"segment": (int,), "from": (int,), "to": (int,), "text": (str,)},
    "split": {"segment": (int,), "word": (int,)},
    "merge": {"segment": (int,)},
    "retime": {"segment": (int,), "word": (int,), "start": (int, float), "end": (int, float)},
    "delete": {"segment": (int,)},
    "speaker": {"segment": (int,), "from": (int,), "to": (int,), "speaker": (str, type(None))},
    "merge_speakers": {"from": (str,), "into": (str,)},
}
KINDS = {int: "a whole number", float: "a number", str: "a text", type(None): "null"}


@dataclass(frozen=True)
class Draft:
    """What edits change: segments, whose speakers are labels, and the displayed names of labels."""

    segments: tuple[Segment, ...]
    names: Mapping[str, str]
    duration: float  # seconds of the recording

    @property
    def speakers(self) -> list[str]:
        """Return displayed names in the order in which they first speak."""
        labels = (segment.speaker for segment in self.segments)
        return list(dict.fromkeys(self.names.get(label, label) for label in labels if label is not None))


def edited(draft: Draft, edits: Sequence[Any]) -> Draft:
    """Make edits one after the other. Raises BadInput, which names the edit; then none is made.

    Segments that no edit names are the same objects afterwards.
    """
    if len(edits) > MOST_EDITS:
        raise BadInput(f"There are {len(edits):,} edits; the limit is {MOST_EDITS:,}. Send them in several requests.")
    work = _Work(list(draft.segments), dict(draft.names), draft.duration, _characters(draft.segments))
    for number, edit in enumerate(edits):
        op = edit.get("op") if isinstance(edit, Mapping) else None
        try:
            _OPS[_checked(edit)](work, edit)
        except BadInput as problem:
            named = f" ({op[:SHOWN]})" if isinstance(op, str) else ""
            raise BadInput(f"edits[{number}]{named}: {problem} Nothing was changed.") from None
    return Draft(tuple(work.segments), work.names, draft.duration)


def _characters(segments: Iterable[Segment]) -> int:
    return sum(len(segment.text) for segment in segments)


def _checked(edit: Any) -> str:
    """Return the operation of an edit whose fields have their types. Raises BadInput."""
    if not isinstance(edit, Mapping):
        raise BadInput('An edit is an object. Send one such as {"op": "delete", "segment": 0}.')
    op = edit.get("op")
    if not isinstance(op, str) or op not in EDITS:
        raise BadInput(f"This operation does not exist. Use one of {', '.join(EDITS)} in the field 'op'.")
    fields = EDITS[op]
    for name in edit:
        if name != "op" and name not in fields:
            raise BadInput(f"The field '{str(name)[:SHOWN]}' does not exist. Send op, {', '.join(fields)}.")
    for name, kinds in fields.items():
        value = edit.get(name, ...)
        if isinstance(value, bool) or not isinstance(value, kinds):
            said = "is missing" if value is ... else f"cannot be {str(value)[:SHOWN]!r}"
            raise BadInput(f"The field '{name}' {said}. Send {' or '.join(KINDS[kind] for kind in kinds)}.")
        if isinstance(value, int | float) and not abs(value) <= HUGE:
            raise BadInput(f"The field '{name}' is out of range. Send a smaller number.")
    return op


@dataclass
class _Work:
    """A draft that is being edited."""

    segments: list[Segment]
    names: dict[str, str]
    duration: float
    before: int  # characters of the draft
    grown: int = 0  # characters that edits added
    made: dict[int, Segment] = field(
        default_factory=dict
    )  # segments of `spanning`, whose words count as they are, by id

    def segment(self, number: int) -> Segment:
        if not 0 <= number < len(self.segments):
            last = f"0 to {len(self.segments) - 1}" if self.segments else "none, because the transcript has no text"
            raise BadInput(f"The segment {number} does not exist. Use {last}.")
        return self.segments[number]

    def words(self, number: int) -> tuple[Word, ...]:
        segment = self.segment(number)
        return segment.words if id(segment) in self.made else counted(segment)

    def put(self, number: int, words: Sequence[Word]) -> None:
        """Give a segment other words; one without words goes."""
        speaker = self.segments[number].speaker
        self.exchange(number, number + 1, [spanning(words, speaker)] if words else [])

    def exchange(self, first: int, stop: int, segments: Sequence[Segment]) -> None:
        """Replace segments by others, made by `spanning` if they have words. Raises BadInput if they are too long."""
        old = self.segments[first:stop]
        most = max([LONGEST_SEGMENT, *(len(one.text) for one in old)])
        if any(len(one.text) > most for one in segments):
            raise BadInput(f"The segment would have more than {LONGEST_SEGMENT:,} characters. Use several segments.")
        self.grown += _characters(segments) - _characters(old)
        if self.grown > 0 and self.before + self.grown > LONGEST:
            raise BadInput(f"The transcript would have more than {LONGEST:,} characters. Shorten the new texts.")
        for one in old:
            self.made.pop(id(one), None)
        self.made.update({id(one): one for one in segments if one.words})
        self.segments[first:stop] = segments

    def label(self, name: str | None) -> str | None:
        """Return the label of a speaker, a new one for a new name."""
        if name is None:
            return None
        name = speaker_name(name)
        known = next((label for label, shown in self.names.items() if shown == name), None)
        label, number = name, 2
        while known is None and label in self.names:  # a label that is displayed with another name
            label, number = f"{name[:110]} {number}", number + 1
        if known is None:
            self.names[label] = name
        return known or label


# Words


def _replace(work: _Work, edit: Edit) -> None:
    number, first, last = edit["segment"], edit["from"], edit["to"]
    words, texts = work.words(number), _texts(edit["text"])
    segment = work.segments[number]
    if not words:  # it has no word times: its text is replaced as a whole
        _check_range(first, last, words)
        return work.put(number, shared(texts, segment.start, segment.end, segment.speaker))
    _check_range(first, last, words)
    if first == last and not texts:
        raise BadInput("There is nothing to insert. Send a text, or the words to remove.")
    before, old, after = words[:first], words[first:last], words[last:]
    made = _accepted(texts, old) if old else []
    if not made and texts:
        start, end = (old[0].start, old[-1].end) if old else _gap(work, number, first, words, len(texts))
        made = shared(texts, start, max(start, end), segment.speaker)
    if made:
        spaced = bool(old) and old[0].text[:1].isspace()
        bare = replace(made[0], text=made[0].text.lstrip())
        made[0] = made[0] if spaced else _after(before[-1:], bare, apart=not old)
    if after:
        after = (_after([*before, *made][-1:], after[0], apart=not before and not old), *after[1:])
    return work.put(number, [*before, *made, *after])


def _texts(text: str) -> list[str]:
    if len(text) > LONGEST_TEXT:
        raise BadInput(f"The text has {len(text):,} characters; the limit is {LONGEST_TEXT:,}. Send several edits.")
    texts = written(text)
    if text.strip() and not texts:
        raise BadInput(f'The text "{text[:SHOWN]}" has no word. Send it with the word beside it, or an empty text.')
    return texts


def _check_range(first: int, last: int, words: Sequence[Word]) -> None:
    if not 0 <= first <= last <= len(words):
        raise BadInput(
            f"The words {first} to {last} do not exist. Use 0 <= from <= to <= {len(words)}, the segment's words."
        )


def _accepted(texts: Sequence[str], old: Sequence[Word]) -> list[Word]:
    """Return the words with their times where the texts name the same words, perhaps with other punctuation."""
    made = [replace(word, text=text, confidence=None, corrected=True) for word, text in zip(old, texts, strict=False)]
    same = len(texts) == len(old) and [word.plain for word in made] == [word.plain for word in old]
    return made if same else []


def _gap(work: _Work, number: int, at: int, words: Sequence[Word], count: int) -> tuple[float, float]:
    """Return the time that inserted words share: the gap between their neighbours.

    At the edge of a segment the gap may be a long silence; there they take EDGE_S each at most, beside the segment.
    """
    if 0 < at < len(words):
        return words[at - 1].end, max(words[at - 1].end, words[at].start)
    most = EDGE_S * count
    if at:
        start = words[-1].end
        latest = work.segments[number + 1].start if number + 1 < len(work.segments) else work.duration
        return start, min(max(start, latest), start + most)
    end = words[0].start
    earliest = work.segments[number - 1].end if number else 0.0
    return max(min(end, earliest), end - most), end


def _after(before: Sequence[Word], word: Word, *, apart: bool = False) -> Word:
    """Return a word as it stands behind another one, if there is one."""
    text = following(before[-1].text, word.text, apart=apart) if before else word.text
    return word if text == word.text else replace(word, text=text)


def _retime(work: _Work, edit: Edit) -> None:
    number, at = edit["segment"], edit["word"]
    words = _words(work, number)
    _check_word(at, 0, words)
    word, start, end = words[at], float(edit["start"]), float(edit["end"])
    earliest, latest = _room(work, number, at, words)
    if not earliest - ROUNDED_S <= start <= end <= latest + ROUNDED_S:
        raise BadInput(
            f"The times {start:.3f} to {end:.3f} are out of range. The word may begin "
            f"at {earliest:.3f} s and end at {latest:.3f} s; retime its neighbours first if it needs more."
        )
    start = min(max(start, earliest), latest)
    moved = replace(word, start=start, end=min(max(start, end), latest), confidence=None, corrected=True)
    work.put(number, [*words[:at], moved, *words[at + 1 :]])


def _room(work: _Work, number: int, at: int, words: Sequence[Word]) -> tuple[float, float]:
    """Return how early a word may begin and how late it may end: between its neighbours, or where it is now."""
    before, after = work.segments[:number], work.segments[number + 1 :]
    earliest = words[at - 1].end if at else before[-1].end if before else 0.0
    latest = words[at + 1].start if at + 1 < len(words) else after[0].start if after else work.duration
    return min(earliest, words[at].start), max(latest, words[at].end)


def _words(work: _Work, number: int) -> tuple[Word, ...]:
    words = work.words(number)
    if not words:
        raise BadInput("The words of this segment have no times. Replace its text first: from 0 to 0.")
    return words


def _check_word(at: int, first: int, words: Sequence[Word]) -> None:
    if not first <= at < len(words):
        known = f"Use {first} to {len(words) - 1}" if len(words) > first else "The segment has too few words"
        raise BadInput(f"The word {at} cannot be named here. {known}.")


# Segments


def _split(work: _Work, edit: Edit) -> None:
    number, at = edit["segment"], edit["word"]
    words = _words(work, number)
    _check_word(at, 1, words)
    speaker = work.segments[number].speaker
    work.exchange(number, number + 1, [spanning(part, speaker) for part in (words[:at], words[at:])])


def _merge(work: _Work, edit: Edit) -> None:
    number = edit["segment"]
    first = work.segment(number)
    if number + 1 == len(work.segments):
        raise BadInput(f"The segment {number} is the last one. Merge one that has a segment after it.")
    second = work.segments[number + 1]
    if not work.words(number) and not work.words(number + 1):  # no word times at all
        text = (first.text + following(first.text, second.text.strip(), apart=True)).strip()
        merged = Segment(first.start, max(first.end, second.end), text, (), first.speaker)
    else:
        head, tail = _timed(work, number), _timed(work, number + 1)
        tail = [_after(head[-1:], tail[0], apart=True), *tail[1:]] if tail else []
        merged = spanning([_said_by(first.speaker, word) for word in (*head, *tail)], first.speaker)
    work.exchange(number, number + 2, [merged])


def _said_by(speaker: str | None, word: Word) -> Word:
    return word if word.speaker == speaker else replace(word, speaker=speaker)


def _timed(work: _Work, number: int) -> list[Word]:
    """Return the words of a segment; where they have no times, its words share its time."""
    segment, found = work.segments[number], list(work.words(number))
    return found or shared(written(segment.text), segment.start, segment.end, segment.speaker, corrected=False)


def _delete(work: _Work, edit: Edit) -> None:
    work.segment(edit["segment"])
    work.exchange(edit["segment"], edit["segment"] + 1, [])


# Speakers


def _speaker(work: _Work, edit: Edit) -> None:
    number, first, last = edit["segment"], edit["from"], edit["to"]
    words = work.words(number)
    segment = work.segments[number]
    _check_range(first, last, words)
    if words and first == last:
        raise BadInput(f"No words are named. Send 'from' and 'to', 0 and {len(words)} for the whole segment.")
    label = work.label(edit["speaker"])
    if last - first == len(words):
        own = tuple(_said_by(label, word) for word in segment.words)
        work.segments[number] = replace(segment, speaker=label, words=own)
        return
    said = [_said_by(label, word) for word in words[first:last]]
    parts = [(words[:first], segment.speaker), (said, label), (words[last:], segment.speaker)]
    work.exchange(number, number + 1, [spanning(part, who) for part, who in parts if part])


def _merge_speakers(work: _Work, edit: Edit) -> None:
    known = list(dict.fromkeys(work.names.values()))
    for name in (edit["from"], edit["into"]):
        if name not in known:
            choice = f"Use one of {', '.join(known[:SHOWN])}." if known else "This transcript has no speakers."
            raise BadInput(f'The speaker "{name[:SHOWN]}" was not found. {choice}')
    if edit["from"] == edit["into"]:
        raise BadInput("Both are the same speaker. Name two in 'from' and 'into'.")
    for label, shown in work.names.items():
        if shown == edit["from"]:
            work.names[label] = edit["into"]


_OPS: dict[str, Callable[[_Work, Edit], None]] = {
    "replace": _replace,
    "split": _split,
    "merge": _merge,
    "retime": _retime,
    "delete": _delete,
    "speaker": _speaker,
    "merge_speakers": _merge_speakers,
}
