"""What is said and by whom, drawn at random for the tests of metrics, and what the reference libraries take."""

from __future__ import annotations

from hypothesis import strategies as st
from pyannote.core import Annotation
from pyannote.core import Segment as Stretch

from stt_lab.types import Segment, Turn

sentences = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)
pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=5)


def distance(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein's distance by the textbook's table."""
    row = list(range(len(hypothesis) + 1))
    for i, mine in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, theirs in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (mine != theirs))
    return row[-1]


def annotation(turns: list[Turn]) -> Annotation:
    made = Annotation()
    for track, turn in enumerate(turns):
        made[Stretch(turn.start, turn.end), track] = turn.speaker
    return made


@st.composite
def diarizations(draw: st.DrawFn) -> list[Turn]:
    """Turns that overlap between speakers; those of one speaker are at least a second apart."""
    turns: list[Turn] = []
    for speaker in draw(st.sampled_from(["", "a", "ab", "abc"])):
        now = 0.0
        for gap, length in draw(st.lists(st.tuples(st.integers(10, 40), st.integers(1, 50)), max_size=3)):
            turns.append(Turn(now + gap / 10, now + gap / 10 + length / 10, speaker))
            now = turns[-1].end
    return turns


def segments_of(said: list[tuple[str, str]]) -> list[Segment]:
    return [Segment(i, i + 1, text, (), speaker) for i, (speaker, text) in enumerate(said)]


talks = st.lists(st.tuples(st.sampled_from("xyz"), sentences), max_size=6)
