"""What a language model writes about a text, with a model that is told what to say: well, badly, and with intent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from toy_llm import Reply, Toy, toy_writer

from stt_lab.errors import BadInput, Cancelled, ModelMissing, Unavailable
from stt_lab.types import Event, Segment, TextSpan, Transcript, silent
from stt_lab.weights import catalog
from stt_lab.writing.answers import REFUSED
from stt_lab.writing.generative import INSTEAD, NOT_SAID, LlmWriter
from stt_lab.writing.prompts import ASKED, SYSTEM
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.templates import template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Question
from stt_lab.writing.writer import writer

MEETING = (
    ("Ada", "The invoice from Acme is due on Friday, and it is four thousand euros."),
    ("Ben", "I will pay it on Thursday."),
    ("Ada", "Who writes the report about the new office in Lisbon?"),
    ("Ben", "Maria does, until the end of May."),
    ("Ada", "Then I am very happy with how this project goes."),
)


def script(lines: tuple[tuple[str, str], ...] = MEETING) -> SourceText:
    segments = tuple(Segment(5.0 * i, 5.0 * i + 4, text, (), who) for i, (who, text) in enumerate(lines))
    return SourceText.of(Transcript("en", 5.0 * len(lines), segments))


@pytest.fixture(scope="module", name="toys")
def toys_fixture() -> Iterator[Toy]:
    with toy_writer() as made:
        yield made


@pytest.fixture(name="toy")
def toy_fixture(toys: Toy) -> Toy:
    toys.asked.clear()
    return toys


def saying(*items: tuple[str, list[int]]) -> Reply:
    return always({"items": [{"text": text, "lines": numbers} for text, numbers in items]})


def always(said: Any) -> Reply:
    return lambda prompt, lines: said


# Summaries

GOOD = ("Acme's invoice of 4,000 euros is due on Friday.", [1])


@pytest.mark.truth
def test_a_summary_rests_on_the_lines_that_it_cites(toy: Toy) -> None:
    reply = saying(GOOD, ("Ben will pay the invoice on Thursday.", [2, 1]))
    made = toy.writes(reply).summarize(script(), "brief")
    assert (made.model, made.style, made.warnings) == ("toy", "brief", ())
    assert made.summary == "Acme's invoice of 4,000 euros is due on Friday. Ben will pay the invoice on Thursday."
    assert [statement.sources for statement in made.statements] == [(0,), (0, 1)]
    for statement in made.statements:
        assert [span.of(script().text) for span in statement.spans] == [MEETING[i][1] for i in statement.sources]
    (prompt,) = toy.asked
    assert "\n[2] Ben: I will pay it on Thursday.\n" in prompt
    assert prompt.count("Report the most important things") == 2  # before the transcript and behind it


@pytest.mark.truth
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("The invoice of 5,000 euros is due on Friday.", [1]),  # another number
        ("The invoice from Apex is due on Friday.", [1]),  # another name
        ("Carla will pay the invoice on Thursday.", [2]),  # another person
        ("The office in Lisbon has a beautiful garden with trees.", [2]),  # nothing of it there
        ("The invoice from Acme is due on Friday, see acme.example/pay", [1]),  # an address
        ("The invoice from Acme is due on Friday. ![](x.png)", [1]),  # markup
        ("...", [1]),  # no words
        ("The invoice is due on Friday is due on Friday is due on Friday.", [1]),  # round and round
        (GOOD[0], [1]),  # what is said already
        (SYSTEM[:120], [1, 2, 3, 4]),  # the instructions
    ],
)
def test_what_the_lines_do_not_say_is_left_out(toy: Toy, text: str, lines: list[int]) -> None:
    made = toy.writes(saying((text, lines), GOOD)).summarize(script(), "bullet_points")
    assert made.summary == f"- {GOOD[0]}"
    (warning,) = made.warnings
    assert warning.startswith("1 of 2 statements of the language model were dropped")


@pytest.mark.truth
def test_when_nothing_is_left_the_text_speaks_for_itself(toy: Toy) -> None:
    made = toy.writes(saying(("Elephants live in Africa.", [1]))).summarize(script(), "brief")
    assert made.model == EXTRACTIVE
    assert INSTEAD in made.warnings
    assert made.statements[0].text in made.summary


@pytest.mark.truth
@pytest.mark.parametrize(
    "said", ["", "Sorry.", '{"items": 3}', '{"items": [{"text": "x", "lines": [99]}]}', "[" * 9999]
)
def test_answers_that_are_none(toy: Toy, said: str) -> None:
    made = toy.writes(always(said)).summarize(script(), "detailed")
    assert made.model == EXTRACTIVE
    assert made.warnings == (INSTEAD, "The language model gave no answer for one part of the text.")


def long(sentences: int = 130) -> SourceText:
    things = ("invoice", "garden", "server", "holiday", "contract", "museum", "recipe", "train")
    spoken = [f"The {things[i // 16 % 8]} number {i} costs {i + 100} euros in the shop." for i in range(sentences)]
    return script(tuple(("Ada", text) for text in spoken))


def first_line(prompt: str, lines: list[str]) -> Any:
    """A good model: it repeats the first line of each sheet."""
    said = re.sub(r"^\[1\] (?:Ada: )?", "", lines[0])
    return {"items": [{"text": said, "lines": [1]}]}


@pytest.mark.truth
def test_long_texts_are_read_by_sections(toy: Toy) -> None:
    events: list[Event] = []
    made = toy.writes(first_line, events.append).summarize(long(), "detailed")
    assert len(made.statements) == made.summary.count("\n\n") + 1 == len(toy.asked) >= 4
    assert made.model == "toy"
    for statement in made.statements:
        assert statement.text == statement.spans[0].of(long().text)
    most = 2048 * 3  # characters that so many tokens are, about
    assert all(len(prompt) < most for prompt in toy.asked)
    told = [event.fraction for event in events if event.stage == "writing"]
    assert told == sorted(told)
    assert 0.5 < told[-1] <= 1


@pytest.mark.truth
def test_reports_about_parts_are_put_together(toy: Toy) -> None:
    def reply(prompt: str, lines: list[str]) -> Any:
        if "report on a longer transcript" in prompt:
            return {"items": [{"text": lines[i - 1].partition("] ")[2], "lines": [i]} for i in (1, len(lines))]}
        said = [{"text": re.sub(r"^\[\d+\] Ada: ", "", line), "lines": [i + 1]} for i, line in enumerate(lines[:3])]
        return {"items": said}

    made = toy.writes(reply).summarize(long(), "brief")
    assert (made.model, len(made.statements)) == ("toy", 2)
    for statement in made.statements:
        assert statement.text == statement.spans[0].of(long().text)


@pytest.mark.truth
def test_a_cancel_ends_a_summary(toy: Toy) -> None:
    def stop(event: Event) -> None:
        if event.stage == "writing" and event.fraction > 0.3:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        toy.writes(first_line, stop).summarize(long(), "detailed")
    assert len(toy.asked) < 4


@pytest.mark.truth
def test_a_server_that_fails_is_told(toy: Toy) -> None:
    with pytest.raises(Unavailable, match="status 500"):
        toy.writes(always((500, {}))).summarize(script(), "brief")


# Analyses

ACTIONS = [
    {"task": "Pay the invoice", "owner": "Ben", "due": "on thursday", "lines": [2, 1]},
    {"task": "Write the report about the office", "owner": "Maria", "due": "tomorrow", "lines": [3, 4]},
    {"task": "Buy a boat", "owner": "Zed", "due": None, "lines": [1]},
]


@pytest.mark.truth
def test_actions_have_owners_and_times_that_are_said(toy: Toy) -> None:
    writer = toy.writes(always({"items": ACTIONS}))
    made = writer.analyze(script(), "action_items")
    assert made.model == "toy"
    assert [(row["text"], row["owner"], row["due"]) for row in made.result] == [
        ("Pay the invoice", "Ben", "on Thursday"),
        ("Write the report about the office", "Maria", None),
    ]
    span = made.result[0]["span"]
    assert script().text[span["start"] : span["end"]] == f"{MEETING[0][1]} {MEETING[1][1]}"
    assert made.result[0]["sources"] == [0, 1]
    listed = writer.summarize(script(), "action_items")
    assert listed.summary == "- Ben: Pay the invoice\n- Maria: Write the report about the office"
    assert listed.model == "toy"


@pytest.mark.truth
def test_that_there_is_nothing_is_an_answer(toy: Toy) -> None:
    made = toy.writes(always({"items": []})).analyze(script(), "action_items")
    assert (made.model, made.result, made.warnings) == ("toy", [], ())


@pytest.mark.truth
def test_questions_are_those_that_are_asked(toy: Toy) -> None:
    items = [{"question": 3, "answer": 4}, {"question": 2, "answer": None}, {"question": 3, "answer": None}]
    made = toy.writes(always({"items": items})).analyze(script(), "questions")
    assert [(row["text"], row["answered"], row["sources"]) for row in made.result] == [(MEETING[2][1], True, [2])]


@pytest.mark.truth
def test_topics_are_what_is_spoken_of(toy: Toy) -> None:
    items = [
        {"topic": "invoice", "lines": [1, 2]},
        {"topic": "office in Lisbon", "lines": [3]},
        {"topic": "quantum physics", "lines": [3]},
    ]
    made = toy.writes(always({"items": items})).analyze(script(), "topics")
    assert [(row["topic"], row["score"], row["sources"]) for row in made.result] == [
        ("invoice", 1.0, [0, 1]),
        ("office in Lisbon", 0.5, [2]),
    ]


GERMAN = "Anna fährt am Montag nach Köln. Sie trifft dort Herrn Öztürk von der Firma Süß. Das wird schön!"


@pytest.mark.truth
def test_feelings_and_names_where_there_is_no_parser(toy: Toy) -> None:
    made = toy.writes(always({"positive": [3], "negative": []})).analyze(SourceText(GERMAN, "de"), "sentiment")
    assert (made.model, made.result["label"], made.result["score"]) == ("toy", "positive", 0.3333)
    assert [row["label"] for row in made.result["sentences"]] == ["neutral", "neutral", "positive"]
    items = [
        {"text": "köln", "label": "GPE", "lines": [1]},
        {"text": "Herrn Öztürk", "label": "PERSON", "lines": [2, 1]},
        {"text": "Paris", "label": "GPE", "lines": [1]},
    ]
    found = toy.writes(always({"items": items})).analyze(SourceText(GERMAN, "de"), "entities")
    assert [(row["text"], GERMAN[row["start"] : row["end"]]) for row in found.result] == [
        ("Köln", "Köln"),
        ("Herrn Öztürk", "Herrn Öztürk"),
    ]
    assert toy.writes(always(None)).analyze(script(), "entities").model == EXTRACTIVE


@pytest.mark.truth
def test_without_grammar_nothing_stands_in_for_a_model(toy: Toy) -> None:
    made = toy.writes(always("")).analyze(SourceText(GERMAN, "de"), "action_items")
    assert (made.model, made.result) == ("toy", [])
    assert made.warnings == ("The language model gave no answer for one part of the text.",)


# Documents


def by_task(**more: Any) -> Reply:
    """What a model says to each task, told apart by its first word."""
    said = {"Report": saying((GOOD[0], [1]), ("Maria writes the report about the office in Lisbon.", [3, 4]))("", [])}
    return lambda prompt, lines: (said | more)[prompt.split()[0]]


@pytest.mark.truth
def test_documents_say_what_is_borne_out(toy: Toy) -> None:
    made = toy.writes(by_task(List={"items": ACTIONS})).generate(script(), template("meeting_notes"), "what it costs")
    assert made.model == "toy"
    assert "## Summary\n\nAcme's invoice of 4,000 euros is due on Friday. Maria writes" in made.content
    assert "- [ ] Ben: Pay the invoice" in made.content
    assert "boat" not in made.content
    assert all("Whoever reads it wishes: what it costs" in prompt for prompt in toy.asked)
    (summary, *_) = [item for item in made.items if item["block"] == "summary"][1:]
    assert [script().text[span["start"] : span["end"]] for span in summary["spans"]] == [MEETING[2][1], MEETING[3][1]]
    assert summary["sources"] == [2, 3]


@pytest.mark.truth
def test_cards_have_answers_that_were_said(toy: Toy) -> None:
    items = [
        {"question": "Where is the new office?", "answer": "lisbon", "lines": [3]},
        {"question": "Who writes the report about the new office?", "answer": "Zed", "lines": [3, 4]},
    ]
    made = toy.writes(by_task(Write={"items": items})).generate(script(), template("flashcards"), "")
    assert made.model == "toy"
    assert ("Where is the new office?", "Lisbon") in [(item["question"], item["answer"]) for item in made.items]
    assert not [item for item in made.items if item["answer"] == "Zed"]


@pytest.mark.truth
def test_documents_without_a_word_of_the_model(toy: Toy) -> None:
    quotes = toy.writes(always("")).generate(script(), template("key_quotes"), "")
    assert (quotes.model, quotes.warnings, toy.asked) == (EXTRACTIVE, (), [])  # it was not asked
    post = toy.writes(always("")).generate(script(), template("social_linkedin"), "")
    assert (post.model, post.warnings[0]) == (EXTRACTIVE, INSTEAD)
    assert all(item["text"] in script().text for item in post.items)


# Answers


def question(asked: str, *history: tuple[str, str]) -> Question:
    """With the first two segments as the passage that was found."""
    end = script().segments[1].end
    return Question(asked, asked, (TextSpan(0, end),), (0.8,), history)


@pytest.mark.truth
def test_an_answer_comes_from_the_passages(toy: Toy) -> None:
    asked = question("When is it paid?", ("Who pays [INST]?", "Ben."))
    made = toy.writes(always("Ben will pay it on Thursday.")).answer(script(), asked)
    assert (made.answer, made.found, made.model, made.warnings) == ("Ben will pay it on Thursday.", True, "toy", ())
    assert [span.of(script().text) for span in made.spans] == [MEETING[1][1]]
    (prompt,) = toy.asked
    assert "\nBen: I will" in prompt
    assert "Lisbon" not in prompt
    assert "Before, it was asked: Who pays (INST)? - Ben." in prompt


@pytest.mark.truth
@pytest.mark.parametrize(
    ("said", "cited"),
    [
        ("Four thousand euros, and Ben pays.", [0, 1]),  # as many lines as it takes
        ("Friday", [0]),
        ("Yes.", [0]),  # what the question is about, where the answer has no word of its own
    ],
)
def test_lines_are_found_by_the_words_of_an_answer(toy: Toy, said: str, cited: list[int]) -> None:
    made = toy.writes(always(said)).answer(script(), question("Is the invoice due?"))
    assert [script().text.index(MEETING[place][1]) for place in cited] == [span.start for span in made.spans]


@pytest.mark.truth
@pytest.mark.parametrize("said", ["unknown", "Unknown.", "The mayor is unknown."])
def test_what_is_not_there_is_not_answered(toy: Toy, said: str) -> None:
    made = toy.writes(always(said)).answer(script(), question("Who is the mayor?"))
    assert (made.answer, made.found, made.model, made.spans) == (NOT_SAID, False, "toy", ())


@pytest.mark.truth
@pytest.mark.parametrize(
    ("asked", "yes", "found"),
    [
        ("When is the invoice due?", 0.6, True),
        ("When is the invoice due?", 0.2, False),
        ("How much did the boat cost?", 0.4, False),  # a sign: no amount is named
        ("How much did the boat cost?", 0.9, True),
    ],
)
def test_a_model_that_hardly_believes_in_an_answer_refuses(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, asked: str, yes: float, found: bool
) -> None:
    text = script((("Ada", "The invoice is due on Friday."), ("Ben", "I have seen the boat.")))
    toy.reply = always("Friday.")
    model = next(one for one in toy.pool.available("write") if one.id == "toy")
    by = LlmWriter(Tools(toy.pool, silent), replace(model, yes_least=(0.29, 0.59)))
    monkeypatch.setattr(Tools, "likelihoods", lambda *given: (yes / 2, (1 - yes) / 2, 0.0))
    made = by.answer(text, Question(asked, asked, (TextSpan(0, len(text.text)),), (0.8,)))
    assert (made.found, len(toy.asked)) == (found, int(found))


@pytest.mark.truth
def test_what_somebody_calls_unknown_is_an_answer(toy: Toy) -> None:
    text = script((("Ada", "The sender of the letter is unknown."), ("Ben", "I see.")))
    made = toy.writes(always("It is unknown.")).answer(
        text, Question("Who?", "Who sent it?", (TextSpan(0, 36),), (0.8,))
    )
    assert (made.answer, made.found) == ("It is unknown.", True)


@pytest.mark.truth
def test_who_does_not_speak_says_nothing(toy: Toy) -> None:
    made = toy.writes(always("The report is due in May.")).answer(script(), question("What does Carla say about May?"))
    assert (made.answer, made.found, made.model) == (REFUSED, False, EXTRACTIVE)
    assert not toy.asked


@pytest.mark.truth
@pytest.mark.parametrize("said", ["Carla paid 70 euros.", ASKED])
def test_what_the_text_does_not_bear_out_is_no_answer(toy: Toy, said: str) -> None:
    made = toy.writes(always(said)).answer(script(), question("When will Ben pay it?"))
    assert (made.model, made.warnings[0]) == (EXTRACTIVE, INSTEAD)
    assert said not in made.answer


# Who writes


ANSWERS_ONLY = "qwen2.5-coder-1.5b-instruct-q4"


class Here:
    """A pool with these models."""

    def __init__(self, *models: str) -> None:
        self._models = [catalog.get(model) for model in models]

    def available(self, task: str) -> list[catalog.Model]:
        return self._models


@pytest.mark.parametrize(
    ("here", "wanted", "writes"),
    [
        ((), "auto", EXTRACTIVE),
        (("smollm2-135m",), "auto", EXTRACTIVE),  # never for people
        (("smollm2-135m",), "smollm2-135m", "smollm2-135m"),
        (("qwen2.5-1.5b-instruct", "smollm2-135m"), "auto", "qwen2.5-1.5b-instruct"),
        (("qwen2.5-1.5b-instruct",), "extractive", EXTRACTIVE),
        ((ANSWERS_ONLY,), "auto", EXTRACTIVE),
        ((ANSWERS_ONLY,), ANSWERS_ONLY, ANSWERS_ONLY),
        ((ANSWERS_ONLY, "qwen2.5-1.5b-instruct-q4"), "auto", "qwen2.5-1.5b-instruct-q4"),
    ],
)
def test_who_writes(here: tuple[str, ...], wanted: str, writes: str) -> None:
    assert writer(Tools(Here(*here), lambda event: None), wanted).model == writes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("here", "answers"),
    [((ANSWERS_ONLY,), ANSWERS_ONLY), (("smollm2-135m",), EXTRACTIVE), ((), EXTRACTIVE)],
)
def test_who_answers(here: tuple[str, ...], answers: str) -> None:
    """A model that writes worse than none may still answer better."""
    made = writer(Tools(Here(*here), lambda event: None), "auto", answers=True)  # type: ignore[arg-type]
    assert made.model == answers


@pytest.mark.parametrize(
    ("wanted", "kind", "says"),
    [
        ("qwen2.5-1.5b-instruct", ModelMissing, "`stt-lab models pull qwen2.5-1.5b-instruct`"),
        ("gpt-9", BadInput, "Use one of auto, extractive, qwen2.5-1.5b-instruct, qwen2.5-1.5b-instruct-q4, "),
    ],
)
def test_writers_that_there_are_not(wanted: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        writer(Tools(Here("smollm2-135m"), lambda event: None), wanted)  # type: ignore[arg-type]
