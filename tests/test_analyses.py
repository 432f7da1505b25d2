"""Actions, questions, names, topics and moods: what is found in a text, with its place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_tools import tools

from stt_lab.errors import BadInput, ModelMissing
from stt_lab.operations import analyze, summarize
from stt_lab.types import Entity, Segment, TextSpan, Token, Transcript
from stt_lab.writing.deadlines import due
from stt_lab.writing.grammar import Grammar
from stt_lab.writing.names import tidied
from stt_lab.writing.questions import asks
from stt_lab.writing.sentiment import label
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.writer import writer

TYPES = ("sentiment", "topics", "entities", "action_items", "questions")


# Times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'll send it by Friday", "by Friday"),
        ("call her on Monday morning, and no later than the end of next week", "no later than the end of next week"),
        ("finish it before the 12th", "before the 12th"),
        ("do it first thing tomorrow", "first thing tomorrow"),
        ("keep a diary until you see the doctor, please", "until you see the doctor"),
        ("do it as soon as possible", "as soon as possible"),
        ("we need it before then", "before then"),
        ("then we call him", None),
        ("write a letter", None),
    ],
)
def test_dues(text: str, expected: str | None) -> None:
    found = due(text, TextSpan(0, len(text)), ())
    assert (found.of(text) if found else None) == expected


def marked(text: str, *names: str, label: str = "DATE") -> list[Entity]:
    return [Entity(text.index(name), text.index(name) + len(name), name, label) for name in names]


@pytest.mark.parametrize(
    ("text", "time", "expected"),
    [
        ("pay it on March 3rd", "March 3rd", "on March 3rd"),
        ("it took two days", "two days", None),
        ("I'll do it in two days", "two days", "in two days"),
        ("I met her last week", "last week", None),
        ("we do it every Monday", "every Monday", None),
        ("move it to May", "May", None),
    ],
)
def test_dues_that_were_recognised(text: str, time: str, expected: str | None) -> None:
    found = due(text, TextSpan(0, len(text)), marked(text, time))
    assert (found.of(text) if found else None) == expected


# Clauses


def tokens(text: str, rows: Sequence[tuple[str, str, str, str, str, int]]) -> tuple[Token, ...]:
    """Each a word with its lemma, part of speech, tag, relation and head."""
    made, at = [], 0
    for word, lemma, pos, tag, dep, head in rows:
        at = text.index(word, at)
        made.append(Token(at, at + len(word), lemma, pos, tag, dep, head, False))
        at += len(word)
    return tuple(made)


def test_a_clause() -> None:
    text = "So I'm going to call Ada and Ben waits"
    found = tokens(
        text,
        [
            ("So", "so", "ADV", "RB", "advmod", 3),
            ("I", "I", "PRON", "PRP", "nsubj", 3),
            ("'m", "be", "AUX", "VBP", "aux", 3),
            ("going", "go", "VERB", "VBG", "ROOT", 3),
            ("to", "to", "PART", "TO", "aux", 5),
            ("call", "call", "VERB", "VB", "xcomp", 3),
            ("Ada", "Ada", "PROPN", "NNP", "dobj", 5),
            ("and", "and", "CCONJ", "CC", "cc", 3),
            ("Ben", "Ben", "PROPN", "NNP", "nsubj", 9),
            ("waits", "wait", "VERB", "VBZ", "conj", 3),
        ],
    )
    grammar = Grammar(text, found)
    first, second = grammar.clauses(0, len(found))
    assert (grammar.lemma(first.verb), first.modal, first.negated, first.passive) == ("call", "go", False, False)
    assert grammar.span(first).of(text) == "I'm going to call Ada"
    assert grammar.span(second).of(text) == "Ben waits"
    assert second.modal == ""


# Names


def test_names_are_tidied() -> None:
    text = "The Acme Corp's Ada Berg met Ben. Ada paid 1,500 euros and forty dollars, umm, call 555 0123."
    found = [
        *marked(text, "The Acme Corp's", label="ORG"),
        *marked(text, "Ada Berg", label="PERSON"),
        *marked(text, "umm", label="ORG"),
        *marked(text, "555 0123", label="DATE"),
    ]
    assert [(one.text, one.label) for one in tidied(text, found, ["Ben", "Speaker 1"])] == [
        ("Acme Corp", "ORG"),
        ("Ada Berg", "PERSON"),
        ("Ben", "PERSON"),
        ("Ada", "PERSON"),
        ("1,500 euros", "MONEY"),
        ("forty dollars", "MONEY"),
    ]


@given(
    st.text(alphabet="The Ada's 12 Ben.", max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from(["PERSON", "DATE", "ORG"])), max_size=6),
)
def test_tidied_names_lie_in_the_text(text: str, raw: list[tuple[int, int, str]]) -> None:
    spans = [(start, min(start + length, len(text)), kind) for start, length, kind in raw if start < len(text)]
    found = tidied(text, [Entity(start, end, text[start:end], kind) for start, end, kind in spans], ["Ben"])
    assert all(one.of(text) == one.text != "" for one in found)
    assert all(first.end <= second.start for first, second in pairwise(found))


# Questions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When does it begin?", True),
        ("And the price?", True),
        ("你好吗？", False),  # a word alone, as far as can be told
        ("It begins on Monday.", False),
        ("It's late, isn't it?", False),
        ("Right?", False),
        ("Ada?", False),
        ("Why?", True),
        ("so what did they say", True),
        ("what they say is true", False),
    ],
)
def test_asks(text: str, expected: bool) -> None:
    assert asks(text) == expected


def test_moods_have_a_neutral_middle() -> None:
    assert [label(score) for score in (0.05, 0.04, 0.0, -0.04, -0.05)] == [
        "positive",
        "neutral",
        "neutral",
        "neutral",
        "negative",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a" + "?" * 50_000 + "x",
        "a " * 25_000,
        "the " * 15_000,
        "111 " * 15_000,
        "one " * 15_000 + "euros",
        "x" * 50_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """Expressions that try again from each character would take minutes."""
    begun = process_time()
    assert isinstance(asks(text), bool)
    tidied(text, [])
    due(text, TextSpan(0, len(text)), ())
    assert process_time() - begun < 3


# With real weights


def actions(text: str) -> list[tuple[str | None, str | None]]:
    return [(one["owner"], one["due"]) for one in analyze(text, "action_items").result]


@pytest.mark.truth
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("John will send the report by Friday.", [("John", "by Friday")]),
        ("Ada, please review the contract today.", [("Ada", "today")]),
        ("Could you call the client back this afternoon?", [(None, "this afternoon")]),
        ("Action item: Priya to draft the contract by next Wednesday.", [("Priya", "by next Wednesday")]),
        ("- [ ] Call the plumber", [(None, None)]),
        ("The budget needs to be approved by Thursday.", [(None, "by Thursday")]),
        ("Let's schedule a follow-up next Tuesday.", [(None, "next Tuesday")]),
        ("The marketing team will launch the campaign on March 3rd.", [("The marketing team", "on March 3rd")]),
        ("Don't forget to water the plants.", [(None, None)]),
        ("Ada: I'll order the tickets tomorrow.\nBen: Great.", [("Ada", "tomorrow")]),
        ("Ada: Can you send me the file by Monday?\nBen: Sure.", [("Ben", "by Monday")]),
        ("I'll be honest with you.", []),
        ("I would say that it went well.", []),
        ("If I had time, I'd call him.", []),
        ("I'll never forget that day.", []),
        ("Yesterday I sent the invoice to Bob.", []),
        ("I was going to send the invoice on Monday.", []),
        ("We'll see what happens.", []),
        ("It will rain tomorrow.", []),
    ],
)
def test_actions(text: str, expected: list[tuple[str | None, str | None]]) -> None:
    assert actions(text) == expected


@pytest.mark.truth
def test_a_request_is_no_question() -> None:
    found = analyze(
        "Ada: Can you send me the file by Monday?\nBen: Sure. When is the fair?\nAda: I don't know.", "questions"
    )
    assert [(one["text"], one["answered"]) for one in found.result] == [("When is the fair?", False)]
    found = analyze("Ada: When is the fair?\nBen: It's on Monday.\nAda: Who pays?", "questions")
    assert [one["answered"] for one in found.result] == [True, False]


@pytest.mark.truth
def test_sentiment() -> None:
    found = analyze(
        "The food was wonderful. We waited an hour, which was awful and sad. It was a Monday.", "sentiment"
    ).result
    assert [one["label"] for one in found["sentences"]] == ["positive", "negative", "neutral"]
    assert -1 <= found["score"] <= 1
    assert analyze("I love this, it is great!", "sentiment").result["label"] == "positive"


@pytest.mark.truth
def test_topics_are_what_a_text_is_about() -> None:
    text = (
        "The city plans a new railway station. The railway station will have two bicycle garages. Cyclists want the "
        "bicycle garages to be free. The mayor, Ada Berg, says that the railway station costs ten million euros."
    )
    found = analyze(text, "topics").result
    assert found[0]["topic"] == "railway station"
    assert all(
        text[span["start"] : span["end"]].lower() == one["topic"].lower() for one in found for span in one["spans"]
    )
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert not any("Ada" in one["topic"] for one in found)
    german = "Der neue Bahnhof kostet viel. Der Bahnhof liegt im Norden der Stadt, und die Stadt freut sich."
    assert analyze(german, "topics").result[0]["topic"] == "Bahnhof"


@pytest.mark.truth
def test_the_summary_of_actions() -> None:
    made = summarize("Ada: I'll order the tickets tomorrow.\nBen: Good. I love trains.", "action_items")
    assert made.summary == "- Ada: I'll order the tickets tomorrow"
    assert [statement.text for statement in made.statements] == ["I'll order the tickets tomorrow"]
    made = summarize("It was a nice day.", "action_items")
    assert (made.summary, made.statements) == ("There are no action items.", ())


@pytest.mark.truth
def test_a_transcript_has_sources() -> None:
    segments = (Segment(0, 2, "Who pays?", speaker="Ada"), Segment(2, 4, "Acme pays by Monday.", speaker="Ben"))
    script = SourceText.of(Transcript("en", 4.0, segments))
    made = {kind: writer(tools(), "auto").analyze(script, kind).result for kind in TYPES}  # type: ignore[arg-type]
    assert [one["sources"] for one in made["questions"]] == [[0]]
    assert {one["text"]: one["sources"] for one in made["entities"]}["Monday"] == [1]
    assert [one["sources"] for one in made["sentiment"]["sentences"]] == [[0], [1]]


@pytest.mark.truth
@pytest.mark.parametrize("kind", ["sentiment", "entities", "action_items", "questions"])
def test_other_languages_need_a_parser(kind: Any) -> None:
    with pytest.raises(ModelMissing, match=r"only in en; this text is in 'de'"):
        analyze("Der Bürgermeister wird am Montag mit den Leuten sprechen.", kind)


def test_unknown_types_are_named() -> None:
    with pytest.raises(BadInput, match="'sentiment', 'topics'"):
        analyze("A text.", "feelings")


def spans(result: Any) -> list[tuple[int, int, str | None]]:
    """Every stretch in a result, and its text where that is given."""
    if isinstance(result, list):
        return [one for item in result for one in spans(item)]
    if not isinstance(result, dict):
        return []
    text = result.get("text")
    mine = [(result["start"], result["end"], text)] if "start" in result else []
    inner = [(one["span"]["start"], one["span"]["end"], text) for one in [result] if "span" in result]
    return mine + inner + [one for value in result.values() if isinstance(value, list) for one in spans(value)]


WORDS = """
    I you we Ada Ben will could please send the report by Friday Monday ? . , um not if who when 40 euros love hate
"""


@pytest.mark.truth
@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([*WORDS.split(), "\n"]), min_size=1, max_size=40).map(" ".join), st.sampled_from(TYPES))
def test_every_stretch_is_verbatim(text: str, kind: Any) -> None:
    script = SourceText(text, "en")
    made = writer(tools(), "extractive").analyze(script, kind)
    for start, end, said in spans(made.result):
        assert 0 <= start < end <= len(text)
        assert said is None or text[start:end] == said
    assert writer(tools(), "extractive").analyze(script, kind) == made
