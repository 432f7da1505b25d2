"""Sentences, and the language of a text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stt_lab.text.sentences import label_name, labels, language_of, sentences


def split(text: str) -> list[str]:
    return [span.of(text) for span in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith paid 3.5 euros. J. Doe did not.", ["Dr. Smith paid 3.5 euros.", "J. Doe did not."]),
        ("It costs a lot, e.g. this one. Yes.", ["It costs a lot, e.g. this one.", "Yes."]),
        ('He said "go." She went.', ['He said "go."', "She went."]),
        ("Well... maybe. No.", ["Well... maybe.", "No."]),
        ("你好。我是王。", ["你好。", "我是王。"]),
        ("Как дела? Хорошо.", ["Как дела?", "Хорошо."]),
        ("A title\n\nand text without marks", ["A title", "and text without marks"]),
        ("broken\nlines go on. Here too", ["broken\nlines go on.", "Here too"]),
        ("no mark at all", ["no mark at all"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@given(st.text(alphabet="ab A.?!。 \n\"')", max_size=80))
@example("a.\n\n\n.b")
def test_between_sentences_is_white_space_only(text: str) -> None:
    spans = sentences(text)
    assert all(span.of(text).strip() == span.of(text) != "" for span in spans)
    assert all(first.end <= second.start for first, second in pairwise(spans))
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("We should meet on Thursday to talk about the budget.", "en"),
        ("Wir sollten uns am Donnerstag treffen.", "de"),
        ("¿Dónde está la biblioteca de la ciudad?", "es"),
        ("O relatório fica pronto até sexta-feira, não é?", "pt"),
        ("今日は良い天気ですね", "ja"),
        ("Okay", "en"),
        ("😀😀 42", None),
        ("", None),
    ],
)
def test_language(text: str, code: str | None) -> None:
    assert language_of(text) == code


SAID = "Ada: Good morning. How are you?\nBen: Fine\n[00:12] Ada: Then let's begin.\n"


def test_lines_of_a_transcript_are_sentences_of_their_own() -> None:
    assert split(SAID) == [
        "Ada: Good morning.",
        "How are you?",
        "Ben: Fine",
        "[00:12] Ada: Then let's begin.",
    ]
    assert split("We need\n- milk\n- bread\n1. Buy it") == ["We need", "- milk", "- bread", "1. Buy it"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (SAID, ["Ada", "Ben", "Ada"]),
        ("Speaker 1: Hello.\nGoes on here.\nSpeaker 2: Hi.\nSpeaker 1: So.", ["Speaker 1", "Speaker 2", "Speaker 1"]),
        ("Анна: Да.\nИван: Нет.", ["Анна", "Иван"]),
        ("One thing: it works.", []),
        ("The plan.\nOne thing: it works.\nTwo things: it does not.", []),
        ("Subject: lunch\nDate: today\nDear all, it is ready.", []),
        ("", []),
    ],
)
def test_labels(text: str, names: list[str]) -> None:
    assert [label_name(span.of(text)) for span in labels(text)] == names
