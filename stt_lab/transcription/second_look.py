"""Find stretches in which somebody speaks but no word stands, and add the words of a second look at them. Pure.

Whisper skips utterances, most often those of a second speaker. A stretch is decoded again on its own, with a little
context; a new word counts if it lies within the stretch and the recogniser believes it. What remains is reported.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stt_lab.types import Recognition, Segment, Span, Suppressed, Turn, Unrecognized, Word

SHORTEST = 0.6  # seconds of speech without a word that are decoded again
MARKED = 0.6  # seconds of speech without a word that are reported
CONTEXT = 0.15  # seconds around such a stretch
EDGE = 0.15  # seconds by which recognisers place words too late or end them too early
LONGEST_STRETCH = 27.0  # seconds that are decoded at once
WORD_S, CHARACTER_S = 0.5, 0.06  # a word's time says where it is said, up to this length and more for each character
DIGIT_LETTERS = 6  # more letters that are spoken for a digit
DOUBLED = 3  # words of a sentence that may have been written twice
FASTEST = 27.0  # characters a second; of 475 segments 3 were faster or had no time, and none of them was speech
BELIEVED = 0.3  # probability of a word


def without_words(speech: Iterable[Span], segments: Iterable[Segment], shortest: float = SHORTEST) -> list[Span]:
    """Return the stretches of speech, `shortest` and longer, that no word covers.

    Recognisers stretch words over what they skipped, so that a word covers only as much as it can take to say it.
    """
    taken = union(_said(word) for segment in segments for word in (segment.words or (segment,)))
    return [left for one in union(speech) for left in minus(one, taken) if left.duration >= shortest]


def _said(word: Word | Segment) -> Span:
    """Return the time in which a word can have been said, with EDGE around it."""
    longest = WORD_S + CHARACTER_S * _letters(word.text) if isinstance(word, Word) else word.duration
    return Span(max(0.0, word.start - EDGE), min(word.end, word.start + longest) + EDGE)


def _letters(text: str) -> int:
    """Return about how many letters are spoken: "1455" is read as fourteen fifty-five."""
    return len(text) + DIGIT_LETTERS * sum(character.isdigit() for character in text)


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same time as spans in order that do not touch."""
    made: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if made and span.start <= made[-1].end:
            made[-1] = Span(made[-1].start, max(made[-1].end, span.end))
        else:
            made.append(Span(span.start, span.end))
    return made


def minus(span: Span, taken: Sequence[Span]) -> list[Span]:
    """Return what is left of a span; `taken` in order and apart."""
    left, start = [], span.start
    for one in taken[bisect_left(taken, span.start, key=lambda other: other.end) :]:
        if one.start >= span.end:
            break
        if one.start > start:
            left.append(Span(start, one.start))
        start = max(start, one.end)
    return [*left, Span(start, span.end)] if start < span.end else left


def in_context(gaps: Iterable[Span], duration: float) -> tuple[Span, ...]:
    """Return the stretches to decode for some gaps: with CONTEXT around them, LONGEST_STRETCH at most."""
    made = []
    for gap in gaps:
        start, end = max(0.0, gap.start - CONTEXT), min(duration, gap.end + CONTEXT)
        parts = int((end - start) / LONGEST_STRETCH) + 1
        made += [
            Span(start + (end - start) * part / parts, start + (end - start) * (part + 1) / parts)
            for part in range(parts)
        ]
    return tuple(made)


def with_found(segments: Sequence[Segment], found: Iterable[Segment], gaps: Sequence[Span]) -> tuple[Segment, ...]:
    """Add the words of a second look that lie in its gaps and are believed, as segments of their own.

    A segment that such words interrupt is cut there. Words that the neighbours have already are left out.
    """
    made = sorted(segments, key=lambda segment: segment.start)
    for segment in found:
        words = [word for word in segment.words if _counts(word, gaps)]
        words = _without_neighbours(words, made)
        if words:
            new = _segment(segment, words)
            made = [part for one in made for part in _cut(one, new.start)]
            made = sorted([*made, new], key=lambda one: one.start)
    return tuple(made)


def _counts(word: Word, gaps: Sequence[Span]) -> bool:
    middle = (word.start + word.end) / 2
    believed = word.confidence is None or word.confidence > BELIEVED
    return believed and any(gap.start - 0.05 <= middle <= gap.end + 0.05 for gap in gaps)


def _without_neighbours(words: list[Word], segments: Sequence[Segment]) -> list[Word]:
    """Leave out words at the ends that repeat the words before and after."""
    if not words:
        return words
    others = [word for segment in segments for word in segment.words if word.plain]
    before = [word.plain.casefold() for word in others if word.start < words[0].start][-3:]
    after = [word.plain.casefold() for word in others if word.start >= words[0].start][:3]
    plain = [word.plain.casefold() for word in words]
    for count in range(min(len(before), len(plain)), 0, -1):
        if before[-count:] == plain[:count]:
            words, plain = words[count:], plain[count:]
            break
    for count in range(min(len(after), len(plain)), 0, -1):
        if after[:count] == plain[-count:]:
            words = words[:-count]
            break
    return words


def _cut(segment: Segment, at: float) -> list[Segment]:
    """Cut a segment before its first word that starts later; words before end there."""
    if not segment.start < at < segment.end or not segment.words:
        return [segment]
    left = [replace(word, end=min(word.end, max(at, word.start))) for word in segment.words if word.start < at]
    right = [word for word in segment.words if word.start >= at]
    return [_segment(segment, words) for words in (left, right) if words]


def _segment(source: Segment, words: Sequence[Word]) -> Segment:
    text = "".join(word.text for word in words).strip()
    return replace(source, start=words[0].start, end=words[-1].end, text=text, words=tuple(words))


def without_doubles(
    segments: Sequence[Segment], speech: Sequence[Span]
) -> tuple[tuple[Segment, ...], tuple[Suppressed, ...]]:
    """Leave out a segment that says the same as the one before it, where voices are heard for one of them only.

    A recogniser that goes back in the sound writes a sentence twice. Somebody who repeats a sentence needs the time.
    """
    kept: list[Segment] = []
    left_out = []
    for segment in segments:
        before = kept[-1] if kept else None
        if before is None or _plain(before) != _plain(segment) or len(segment.words) < DOUBLED:
            kept.append(segment)
            continue
        voiced = {id(one): sum(one.overlap(voice) for voice in speech) for one in (before, segment)}
        doubled = min((segment, before), key=lambda one: voiced[id(one)])
        if voiced[id(doubled)] * FASTEST >= len(doubled.text):
            kept.append(segment)
            continue
        kept[-1] = segment if doubled is before else before
        left_out.append(Suppressed(doubled.start, doubled.end, doubled.text, "said once, and written twice"))
    return tuple(kept), tuple(left_out)


def _plain(segment: Segment) -> list[str]:
    return [word.plain.casefold() for word in segment.words if word.plain]


def unheard(recognition: Recognition, turns: Sequence[Turn]) -> tuple[Unrecognized, ...]:
    """Return the stretches of speech that have no words, with the speaker of the turn that covers most of each."""
    made = []
    for gap in without_words(recognition.speech, recognition.segments, MARKED):
        most = max(turns, key=gap.overlap, default=None)
        speaker = most.speaker if most is not None and gap.overlap(most) else None
        made.append(Unrecognized(gap.start, gap.end, speaker))
    return tuple(made)
