"""Put a second diarization, or a second transcription of a part, into a transcript that people have corrected. Pure.

What they corrected stays: segments with corrected words, or with another speaker than was heard, keep words and speaker
when speakers are found again, and corrected words stay when the words around them are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from stt_lab.transcription.edit import Draft
from stt_lab.transcription.join import SILENCE, join, name_turns
from stt_lab.transcription.wording import counted, following, spanning
from stt_lab.types import Diarization, Recognition, Segment, Span, Turn, Unrecognized, Word

WordKey = tuple[float, float, str]  # start and end in seconds, and text

NEAR_S = 0.5  # seconds within which the same word is the corrected one, heard again


@dataclass(frozen=True)
class Talk(Draft):
    """A draft with what was heard of speakers; speakers are labels."""

    turns: tuple[Turn, ...] = ()
    unrecognized: tuple[Unrecognized, ...] = ()
    heard: Mapping[WordKey, str | None] = field(default_factory=dict)  # who says each word, before people changed it


# Speakers


def with_speakers(talk: Talk, diarization: Diarization) -> Talk:
    """Return a talk with the speakers of a diarization, which keep label and name where they said most of the same."""
    kept = [segment for segment in talk.segments if _is_corrected(segment, talk.heard)]
    free = tuple(segment for segment in talk.segments if not _is_corrected(segment, talk.heard))
    recognition = Recognition(None, free, diarization.provenance)
    segments, _ = join(recognition, diarization, talk.duration)
    turns = name_turns(recognition, diarization, talk.duration)
    labels = _labels(talk, segments, turns, kept)
    names = {**talk.names, **{label: label for label in labels.values() if label not in talk.names}}
    said = sorted([*kept, *(_relabelled(segment, labels) for segment in segments)], key=lambda one: one.start)
    heard = tuple(replace(turn, speaker=labels[turn.speaker]) for turn in turns)
    missed = tuple(replace(one, speaker=_most(one, heard)) for one in talk.unrecognized)
    used = {segment.speaker for segment in said} | {turn.speaker for turn in heard}
    used |= {word.speaker for segment in kept for word in segment.words}
    shown = {label: name for label, name in names.items() if label in used}
    return Talk(tuple(said), shown, talk.duration, heard, missed)


def said_by(segments: Iterable[Segment]) -> dict[WordKey, str | None]:
    """Return who says each word, or segment without words."""
    return {_key(part): part.speaker for segment in segments for part in _parts(segment)}


def _is_corrected(segment: Segment, heard: Mapping[WordKey, str | None]) -> bool:
    if any(word.corrected for word in segment.words):
        return True
    return any(heard.get(_key(part), part.speaker) != part.speaker for part in _parts(segment))


def _relabelled(segment: Segment, labels: dict[str, str]) -> Segment:
    label = labels[segment.speaker or ""]
    return replace(segment, speaker=label, words=tuple(replace(word, speaker=label) for word in segment.words))


def _labels(talk: Talk, segments: Sequence[Segment], turns: Sequence[Turn], kept: Sequence[Segment]) -> dict[str, str]:
    """Return a label of the talk for each new one: that of whom it said most with, otherwise another free one."""
    before = said_by(talk.segments)
    shared: defaultdict[tuple[str, str], float] = defaultdict(float)  # seconds
    for part in (part for segment in segments for part in _parts(segment)):
        if part.speaker and (old := before.get(_key(part))):
            shared[part.speaker, old] += part.duration + 0.001  # a word without length counts too
    for segment in kept:
        for turn in turns:
            if segment.speaker and turn.overlap(segment):
                shared[turn.speaker, segment.speaker] += turn.overlap(segment)
    made: dict[str, str] = {}
    for new, old in sorted(shared, key=lambda pair: -shared[pair]):
        if new not in made and old not in made.values():
            made[new] = old
    taken = {*talk.names, *talk.names.values()}
    fresh = (name for name in (f"Speaker {number}" for number in range(1, 10_000)) if name not in taken)
    for one in [*(segment.speaker for segment in segments), *(turn.speaker for turn in turns)]:
        if one and one not in made:
            made[one] = next(fresh)
    return made


def _parts(segment: Segment) -> tuple[Word | Segment, ...]:
    return segment.words or (segment,)


def _key(part: Word | Segment) -> WordKey:
    return part.start, part.end, part.text


def _most(span: Span, turns: Sequence[Turn]) -> str | None:
    """Return the speaker whose turn covers most of a span, if any does."""
    most = max(turns, key=span.overlap, default=None)
    return most.speaker if most is not None and span.overlap(most) else None


# Words


def with_words(talk: Talk, found: Sequence[Segment], part: Span) -> Talk:
    """Return a talk whose words within a part, by their middle, are those that were found; corrected ones stay."""
    outside: list[Segment] = []
    old: list[Word] = []
    for segment in talk.segments:
        for inside, words in _runs(segment, part):
            if not words:
                outside += [] if inside else [segment]
            elif inside:
                old += words
            else:
                outside.append(segment if len(words) == len(counted(segment)) else spanning(words, segment.speaker))
    fixed = [word for word in old if word.corrected]
    heard = [[word for word in counted(one) if _within(word, part) and not _known(word, fixed)] for one in found]
    room = Span(*_room(outside, part, talk.duration))
    said = _in_room(
        [*((word, -1) for word in fixed), *((word, n) for n, one in enumerate(heard) for word in one)], room
    )
    inner = list(_segments(_labelled(said, old, talk, outside)))
    new = [word for word, number in said if number >= 0]
    missed = tuple(one for one in talk.unrecognized if not any(one.overlap(word) for word in new))
    segments = tuple(sorted([*outside, *inner], key=lambda one: one.start))
    return replace(talk, segments=segments, unrecognized=missed)


def _within(one: Span, part: Span) -> bool:
    return part.start <= (one.start + one.end) / 2 < part.end


def _runs(segment: Segment, part: Span) -> Iterator[tuple[bool, list[Word]]]:
    """Yield the runs of a segment's words inside and outside of a part; () for a segment without word times."""
    words = counted(segment)
    if not words:
        yield _within(segment, part), []
    for inside, run in groupby(words, lambda word: _within(word, part)):
        yield inside, list(run)


def _known(word: Word, fixed: Iterable[Word]) -> bool:
    """Return whether a word was heard where a corrected one stands."""
    said = word.plain.casefold()
    return any(
        word.overlap(one) > word.duration / 2 or (abs(word.start - one.start) < NEAR_S and one.plain.casefold() == said)
        for one in fixed
    )


def _room(outside: Sequence[Segment], part: Span, duration: float) -> tuple[float, float]:
    """Return the time between what stands before and after a part."""
    middle = (part.start + part.end) / 2
    start = max((one.end for one in outside if one.start < middle), default=0.0)
    end = min((one.start for one in outside if one.start >= middle), default=duration)
    return min(start, end), max(start, end)


def _in_room(said: list[tuple[Word, int]], room: Span) -> list[tuple[Word, int]]:
    """Return words in order, without overlaps: those that were found give way."""
    made: list[tuple[Word, int]] = []
    ordered = sorted(said, key=lambda pair: pair[0].start)
    for at, (word, number) in enumerate(ordered):
        if number >= 0:
            corrected = (one.start for one, other in ordered[at + 1 :] if other < 0)
            latest = min(room.end, next(corrected, room.end))
            start = min(max([word.start, room.start, *(one.end for one, _ in made[-1:])]), latest)
            word = replace(word, start=start, end=max(start, min(word.end, latest)))
        made.append((word, number))
    return made


Labelled = tuple[Word, int]  # with its label as speaker, and the segment that it was found in


def _labelled(
    said: Sequence[tuple[Word, int]], old: Sequence[Word], talk: Talk, outside: Sequence[Segment]
) -> list[Labelled]:
    """Give each word that was found the speaker of the words that stood there, of the turn there, or of the word
    before; otherwise that of the nearest one."""
    made: list[Labelled] = []
    label = _nearest(said[0][0], [*old, *outside]) if said else None
    for word, number in said:
        if number >= 0:
            most = max(old, key=word.overlap, default=None)
            there = most.speaker if most is not None and most.overlap(word) else _most(word, talk.turns)
            label = there or label
        else:
            label = word.speaker
        made.append((replace(word, speaker=label), number))
    return made


def _nearest(word: Word, others: Sequence[Word | Segment]) -> str | None:
    """Return the speaker of the nearest words."""
    nearest = min(others, key=lambda one: max(one.start - word.end, word.start - one.end), default=None)
    return nearest.speaker if nearest is not None else None


def _segments(said: Sequence[Labelled]) -> Iterator[Segment]:
    """Join words to segments: cut where another one was found, where the speaker changes, and in silences."""
    group: list[Word] = []
    found = -1
    for word, number in said:
        other = number >= 0 and found >= 0 and number != found
        if group and (other or word.speaker != group[-1].speaker or word.start - group[-1].end > SILENCE):
            yield spanning(group, group[0].speaker)
            group = []
        text = following(group[-1].text, word.text) if group else word.text
        group.append(replace(word, text=text))
        found = number if number >= 0 else found
    if group:
        yield spanning(group, group[0].speaker)
