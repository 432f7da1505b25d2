"""What is made of a text by its own sentences: the parts without engines, and the whole with real weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_tools import tools

from stt_lab.errors import BadInput
from stt_lab.operations import summarize
from stt_lab.types import Segment, TextSpan, Transcript
from stt_lab.writing.annotated_text import AnnotatedText, pieces
from stt_lab.writing.fillers import cleaned, substance, words
from stt_lab.writing.ranking import centrality, varied
from stt_lab.writing.sections import sections
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.writer import Writer, writer


def unit(*rows: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    made = np.array(rows, np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


# Ranking


def test_the_middle_is_central() -> None:
    scores = centrality(unit([1, 0], [1, 1], [0, 1], [1, 0.9]))
    assert scores.max() == scores[1] == 1
    assert scores[0] < scores[3]
    assert centrality(unit([1, 0], [0, 1])).tolist() == [0, 0]
    assert centrality(np.zeros((0, 2), np.float32)).tolist() == []


def test_what_was_said_is_not_chosen_again() -> None:
    vectors = unit([1, 0], [1, 0.01], [0, 1])
    assert varied(np.array([1, 0.99, 0.8], np.float32), vectors, 2) == [0, 2]
    assert varied(np.array([1, 0.99, 0.8], np.float32), vectors, 2, balance=1.0) == [0, 1]
    assert varied(np.array([0, 0, 0.1], np.float32), vectors, 3) == [2]


# Sections


def test_sections_begin_where_the_subject_changes() -> None:
    vectors = unit(*[[1, 0.1]] * 12, *[[0.1, 1]] * 12, *[[-1, 0.2]] * 12)
    assert sections(vectors, [20] * 36) == (range(12), range(12, 24), range(24, 36))
    assert len(sections(vectors, [20] * 36, most=2)) == 2
    assert sections(vectors[:2], [20] * 2) == (range(2),)
    assert sections(vectors[:0], []) == ()


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(0, 99))
def test_every_sentence_is_in_one_section(counts: list[int], seed: int) -> None:
    vectors = unit(*np.random.default_rng(seed).normal(size=(len(counts), 4)).tolist()) if counts else np.zeros((0, 4))
    found = sections(vectors.astype(np.float32), counts)
    assert [place for part in found for place in part] == list(range(len(counts)))
    assert all(len(part) for part in found)


# Spoken language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So, um, we pay the invoice.", "We pay the invoice."),
        ("And I mean, the price is right.", "The price is right."),
        ("Well, yes.", "Well, yes."),
        ("Umbrellas are\nsold out.", "Umbrellas are sold out."),
        ("Now we know more.", "Now we know more."),
        ("um", "um"),
    ],
)
def test_cleaned(text: str, expected: str) -> None:
    assert cleaned(text, "en") == expected


def test_other_languages_keep_their_words() -> None:
    assert cleaned("So, das ist gut so.", "de") == "So, das ist gut so."


def test_substance() -> None:
    good = substance("The council approved the new budget for the library.")
    assert good > substance("Will the council approve the new budget for the library?")
    assert good > substance("Um, the council, uh, approved the, the new, um, budget.")
    assert good > substance("The council, the council approved the new--")
    assert substance("Okay, sure.") == 0
    assert words("今日は良い天気ですね") == 6


# Reading


def reading(script: SourceText) -> AnnotatedText:
    return AnnotatedText(script, tools())


def test_sentences_belong_to_speakers() -> None:
    segments = (Segment(0, 1, "We could", speaker="Ada"), Segment(1, 2, "go there. Or not.", speaker="Ben"))
    found = reading(SourceText.of(Transcript("en", 2.0, segments))).sentences
    assert [(one.text, one.speaker) for one in found] == [("We could", "Ada"), ("go there.", "Ben"), ("Or not.", "Ben")]
    written = reading(SourceText("Ada: Hello.\nHow are you?\nBen: Fine, thanks. And you?\nAda: So am I."))
    assert [one.speaker for one in written.sentences] == ["Ada", "Ada", "Ben", "Ben", "Ada"]
    assert written.sentences[2].text == "Fine, thanks."
    assert written.speakers == ("Ada", "Ben")
    assert reading(SourceText("Just a text.")).speakers == ()


def test_what_has_no_marks_is_cut_at_segments() -> None:
    segments = tuple(Segment(i, i + 1, "we walk along the road and talk", speaker="Ada") for i in range(12))
    assert len(reading(SourceText.of(Transcript("en", 12.0, segments))).sentences) == 12


@given(st.text(alphabet="ab .", max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=4))
def test_pieces_leave_out_nothing_but_the_cuts(text: str, raw: list[tuple[int, int]]) -> None:
    cuts = [TextSpan(start, min(start + length, len(text))) for start, length in sorted(raw) if start < len(text)]
    cuts = [cut for before, cut in zip([TextSpan(0, 0), *cuts], cuts, strict=False) if before.end <= cut.start]
    if any(first.end > second.start for first, second in pairwise(cuts)):
        return
    found = [piece.of(text) for piece in pieces(text, TextSpan(0, len(text)), cuts)]
    dropped = {place for cut in cuts for place in range(cut.start, cut.end)}
    kept = "".join(char for place, char in enumerate(text) if place not in dropped)
    assert "".join("".join(found).split()) == "".join(kept.split())


# Writers


def test_writers_by_name() -> None:
    assert writer(tools(), "auto").model == "extractive"
    made: Writer = writer(tools(), "extractive")
    assert made.model == "extractive"
    with pytest.raises(BadInput, match="Use one of auto, extractive"):
        writer(tools(), "tiny.en")


MEETING = " ".join(
    [
        "Good morning everybody, um, let's begin.",
        "The library needs a new roof, because the old one leaks whenever it rains.",
        "Um, yes.",
        "The builder asks for forty thousand euros for the roof of the library.",
        "We have only thirty thousand euros in the budget for the roof.",
        "So, the council will ask the county for the other ten thousand euros.",
        "Okay, great.",
        "Swimming lessons begin in June, and the pool needs two more teachers.",
        "The teachers of the swimming pool are paid by the school.",
        "Somebody has to ask the school whether it pays for two more teachers at the pool.",
        "Thank you all, goodbye.",
    ]
)


@pytest.mark.truth
@pytest.mark.parametrize("style", ["brief", "detailed", "bullet_points"])
def test_summaries(style: str) -> None:
    made = summarize(MEETING, style)
    assert (made.style, made.model, made.warnings) == (style, "extractive", ())
    assert 10 < words(made.summary) < words(MEETING) / 2
    for statement in made.statements:
        (span,) = statement.spans
        assert statement.text == cleaned(span.of(MEETING), "en")
        assert statement.text in made.summary
        assert statement.sources == ()
    assert "roof" in made.summary
    assert "Okay" not in made.summary
    assert summarize(MEETING, style) == made


@pytest.mark.truth
def test_bullets_are_bullet_points() -> None:
    made = summarize(MEETING, "bullets")
    assert made == summarize(MEETING, "bullet_points")
    assert all(line.startswith("- ") for line in made.summary.splitlines())


@pytest.mark.truth
@settings(max_examples=25, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab um. ?!,\n😀你好。שלום:- "), max_size=200))
def test_summaries_of_anything(text: str) -> None:
    script = SourceText(text)
    made = writer(tools(), "extractive").summarize(script, "detailed")
    assert all(span.of(text) for statement in made.statements for span in statement.spans)
    assert bool(made.summary.strip()) == bool(made.statements) == bool(text.split())
