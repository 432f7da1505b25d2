"""What a question asks for, and whether a place of a text has such an answer."""

from __future__ import annotations

import pytest

from stt_lab.types import Entity
from stt_lab.writing.answer_types import answer_type

NAMES = (Entity(0, 0, "Lagos", "GPE"), Entity(0, 0, "Friday", "DATE"), Entity(0, 0, "Ines Duarte", "PERSON"))

CASES = [  # question, a place that may answer, one that cannot
    ("How old is the ferry?", "It is forty years old.", "It is green and runs on diesel."),
    ("How many sailors were hurt?", "Three sailors went to hospital.", "The sailors sang."),
    ("How many sailors were hurt?", "Two of the sailors.", "Two lighthouses."),
    ("How much did the paint cost?", "Sixty pounds, all in.", "It took four hours."),
    ("How many euros did she lend?", "She lent us 40 euros.", "She lent us a saw."),
    ("How long did the crossing take?", "Nine hours, with the tide.", "Nine of us were sick."),
    ("How deep is the harbour?", "Twelve metres at low water.", "Deep enough for us."),
    ("In which year was the pier built?", "They built it in 1911.", "They built it on a Monday."),
    ("In which year was the pier built?", "In nineteen eleven, no, nineteen twelve.", "Last May."),
    ("What is the number of the permit?", "It says 40718 at the top.", "It hangs by the door."),
]
NAMED = [  # question, label that answers
    ("When does the ferry leave?", "DATE"),
    ("Where was the mast made?", "GPE"),
    ("What is the name of the pilot?", "PERSON"),
]


@pytest.mark.parametrize(("question", "good", "bad"), CASES)
def test_a_place_is_tested_for_the_kind_of_answer(question: str, good: str, bad: str) -> None:
    kind = answer_type(question)
    assert kind is not None
    assert not kind.by_names
    assert kind.test(good, ())
    assert not kind.test(bad, ())


@pytest.mark.parametrize(("question", "label"), NAMED)
def test_names_of_the_right_kind_answer(question: str, label: str) -> None:
    kind = answer_type(question)
    assert kind is not None
    assert kind.by_names
    assert kind.test("", NAMES)
    assert not kind.test("", tuple(one for one in NAMES if one.label != label))


def test_a_name_of_the_question_is_no_answer() -> None:
    kind = answer_type("When does the Friday ferry leave?")
    assert kind is not None
    assert not kind.test("", NAMES)


@pytest.mark.parametrize("question", ["Why did they leave?", "Who steered?", "Which book did she read?", ""])
def test_other_questions_have_no_kind(question: str) -> None:
    assert answer_type(question) is None
