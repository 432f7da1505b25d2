"""Assign speakers to words: words and turns in, segments with speakers out. Pure; times in seconds.

Every word gets one speaker: the one whose turns cover most of it, otherwise the nearest. Where turns overlap, the
recogniser wrote one of the voices, and the exclusive turns only guess which, frame by frame. There both voices are
possible, and the exclusive turns decide what the sentence does not. Recognisers place words 50 to 200 ms off at speaker
changes, so the labels of a whole recording are chosen together: a label costs the seconds by which the word misses that
speaker, a change of speaker costs more within a sentence than at its end or in a pause, and the cheapest labeling wins
(Viterbi 1967). A change therefore moves to the nearest end of a sentence or pause if only words close to it must move,
and a word or two under a very short turn stay with their sentence.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

from stt_lab.text import sentence_end
from stt_lab.types import Diarization, Recognition, Segment, Span, Turn, Word, is_inner

# Chosen on half of the conversations of the development set, where 2 to 5 give the same (eval/LOG.md): a recogniser
# hardly ever puts two voices into one sentence, and short answers are sentences.
CHANGE_COST = 2.0  # seconds that words may miss their turns by, to avoid a change of speaker within a sentence
PAUSE_WORTH = 2.0  # seconds of that cost removed per second of silence: after a pause of 1 s a change is free
SILENCE = 1.0  # seconds: the longest silence inside a segment
EXCLUSIVE = 0.1  # share of a miss that counts against the exclusive turns; the rest counts against all turns

Atom = Word | Segment  # unit that gets one speaker: a word, or a segment without words


def join(
    recognition: Recognition, diarization: Diarization | None, duration: float
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Return segments of one speaker each, and the speakers in the order in which they first speak.

    Times are repaired: within [0, duration], starts and ends never decrease. Without a diarization nothing has a
    speaker; with one every word has, even if it is empty (then there is one speaker).
    """
    segments = repair(recognition.segments, duration)
    if diarization is None:
        return segments, ()
    return _finish(segments, _labels(segments, diarization))


def join_whole(
    recognition: Recognition, diarization: Diarization, duration: float
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Baseline for evaluations: each whole segment goes to the speaker who covers most of it."""
    segments = repair(recognition.segments, duration)
    voices = _voices(_exclusive(diarization))
    labels = [[min(voices, key=lambda voice: voice.rank(segment)).label] * len(_atoms(segment)) for segment in segments]
    return _finish(segments, [label for group in labels for label in group])


def name_turns(recognition: Recognition, diarization: Diarization, duration: float) -> tuple[Turn, ...]:
    """Return all turns, overlapping ones too, under the names that `join` assigns; speakers without a word are numbered
    last."""
    segments = repair(recognition.segments, duration)
    names = _names([*_labels(segments, diarization), *(turn.speaker for turn in diarization.turns)])
    turns = (replace(turn, speaker=names[turn.speaker]) for turn in diarization.turns if turn.start < duration)
    return tuple(replace(turn, end=min(turn.end, duration)) for turn in turns)


def repair(segments: Iterable[Segment], duration: float) -> tuple[Segment, ...]:
    """Return segments with text, by start, with times that never decrease and lie in [0, duration].

    A segment with words spans its words and has their text; it is cut in two where they are more than SILENCE apart.
    """
    made: list[Segment] = []
    start = end = 0.0
    spoken = [segment for segment in segments if any(atom.text.strip() for atom in _atoms(segment))]
    for segment in sorted(spoken, key=lambda segment: segment.start):
        atoms: list[Atom] = []
        for atom in _atoms(segment):
            start = min(max(start, atom.start), duration)
            end = min(max(end, start, atom.end), duration)
            atoms.append(replace(atom, start=start, end=end, speaker=None))
        made += [_segment(segment, group) for group in _without_silence(atoms)]
    return tuple(made)


def _without_silence(atoms: Sequence[Atom]) -> Iterator[list[Atom]]:
    """Cut a segment where nobody speaks for longer than SILENCE, so that none spans a silence."""
    group = [atoms[0]]
    for before, after in pairwise(atoms):
        if after.start - before.end > SILENCE:
            yield group
            group = []
        group.append(after)
    yield group


def _atoms(segment: Segment) -> tuple[Atom, ...]:
    """Return the words with text, or the segment itself if it has none."""
    return tuple(word for word in segment.words if word.text.strip()) or (segment,)


def _segment(source: Segment, atoms: Sequence[Atom]) -> Segment:
    """Make a segment of some atoms of the source."""
    words = tuple(atom for atom in atoms if isinstance(atom, Word))
    text = "".join(atom.text for atom in atoms).strip()
    first, last = atoms[0], atoms[-1]
    return replace(source, start=first.start, end=last.end, text=text, words=words, speaker=first.speaker)


# Coverage


@dataclass(frozen=True)
class _Voice:
    """The turns of one speaker by time, with their starts and running maxima of their ends."""

    label: str
    turns: tuple[Turn, ...]
    starts: tuple[float, ...]
    ends: tuple[float, ...]

    def overlap(self, span: Span) -> float:
        """Return the seconds of the span within the turns."""
        near = self.turns[bisect_right(self.ends, span.start) : bisect_left(self.starts, span.end)]
        return sum(turn.overlap(span) for turn in near)

    def distance(self, span: Span) -> float:
        """Return the seconds between the span and the nearest turn; 0 if they touch."""
        after = bisect_right(self.starts, span.end)
        later = self.starts[after] - span.end if after < len(self.starts) else math.inf
        earlier = max(0.0, span.start - self.ends[after - 1]) if after else math.inf
        return min(earlier, later)

    def rank(self, span: Span) -> tuple[float, float]:
        """Return a sort key, lowest for the speaker of the span: most overlap, then nearest."""
        return -self.overlap(span), self.distance(span)


def _exclusive(diarization: Diarization) -> tuple[Turn, ...]:
    """Return the turns to join with; one speaker's turn at 0 if the diarizer found nobody."""
    return diarization.exclusive or diarization.turns or (Turn(0, 0, "one speaker"),)


def _voices(turns: Iterable[Turn]) -> list[_Voice]:
    """Return one voice per speaker, in order of their first turns."""
    grouped: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: turn.start):
        grouped.setdefault(turn.speaker, []).append(turn)
    return [
        _Voice(label, tuple(own), tuple(turn.start for turn in own), tuple(accumulate((turn.end for turn in own), max)))
        for label, own in grouped.items()
    ]


def _misses(atom: Atom, voices: Sequence[_Voice]) -> list[float]:
    """Return per voice the seconds by which the atom misses its turns: overlap lost to the best voice, plus the
    distance."""
    overlaps = [voice.overlap(atom) for voice in voices]
    most = max(overlaps)
    return [most - overlap + voice.distance(atom) for overlap, voice in zip(overlaps, voices, strict=True)]


# Cheapest labeling


def _labels(segments: Sequence[Segment], diarization: Diarization) -> list[str]:
    """Return the label of each atom of the segments, in order."""
    exclusive = _voices(_exclusive(diarization))
    full = {voice.label: voice for voice in _voices(diarization.turns)}
    overlapping = [full.get(voice.label, voice) for voice in exclusive]
    atoms = [atom for segment in segments for atom in _atoms(segment)]
    changes = [0.0, *(_change_cost(before, after) for before, after in pairwise(atoms))]
    costs = [
        [EXCLUSIVE * one + (1 - EXCLUSIVE) * other for one, other in zip(*misses, strict=True)]
        for misses in ((_misses(atom, exclusive), _misses(atom, overlapping)) for atom in atoms)
    ]
    return [exclusive[state].label for state in cheapest_path(costs, changes[: len(atoms)])]


def _change_cost(before: Atom, after: Atom) -> float:
    """Return the cost in seconds of a change of speaker between two atoms. Punctuation alone never begins a turn."""
    if not any(map(is_inner, after.text)):
        return math.inf
    if sentence_end(before.text):
        return 0.0
    return max(0.0, CHANGE_COST - PAUSE_WORTH * max(0.0, after.start - before.end))


def cheapest_path(costs: Sequence[Sequence[float]], changes: Sequence[float]) -> list[int]:
    """Return the path of least cost. costs: (steps, states); changes: (steps,), for any change of state into that
    step."""
    if not costs:
        return []
    totals = list(costs[0])
    origins: list[list[int]] = []  # (steps - 1, states): the previous state
    for step, change in zip(costs[1:], changes[1:], strict=True):
        cheapest = min(range(len(totals)), key=totals.__getitem__)
        moved = totals[cheapest] + change
        origins.append([state if total <= moved else cheapest for state, total in enumerate(totals)])
        totals = [min(total, moved) + cost for total, cost in zip(totals, step, strict=True)]
    path = [min(range(len(totals)), key=totals.__getitem__)]
    for origin in reversed(origins):
        path.append(origin[path[-1]])
    return path[::-1]


# Labels to segments


def _finish(segments: Sequence[Segment], labels: Sequence[str]) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    names = _names(labels)
    left = iter(labels)
    pieces: list[Segment] = []
    for segment in segments:
        spoken = [replace(atom, speaker=names[next(left)]) for atom in _atoms(segment)]
        pieces += [_segment(segment, list(group)) for _, group in groupby(spoken, key=lambda atom: atom.speaker)]
    return tuple(pieces), tuple(names.values())


def _names(labels: Iterable[str]) -> dict[str, str]:
    """Map the engine's labels to "Speaker 1", "Speaker 2", ... by first appearance."""
    return {label: f"Speaker {number}" for number, label in enumerate(Counter(labels), 1)}
