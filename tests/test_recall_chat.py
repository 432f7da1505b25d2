"""Questions about a transcript, and what is made of it and kept: on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from recall_toys import (  # noqa: F401
    OTHER,
    OWNER,
    ToyPool,
    library_fixture,
    pool_fixture,
    spoken,
    store_fixture,
    tools_fixture,
)
from sqlalchemy import text

from stt_lab.errors import BadInput, NotFound
from stt_lab.library import Library
from stt_lab.library import chats as chats_module
from stt_lab.recall import results
from stt_lab.recall.chat import ask, standalone
from stt_lab.recall.results import located, made
from stt_lab.recall.values import ChatAnswer
from stt_lab.store.database import Database
from stt_lab.text.sentences import sentences
from stt_lab.types import Parsed, TextSpan
from stt_lab.writing.answers import REFUSED, SAID_SO
from stt_lab.writing.passages import SIZE
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Statement, Summary

LINES = [
    "Good morning, who is here?",
    "Ada and Ben are here.",
    "How much did the ship cost?",
    "Two hundred euros.",
    "The cat sleeps on the ship.",
    "Bread is baked on Monday.",
]
Ask = Callable[..., ChatAnswer]


@pytest.fixture(autouse=True)
def parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences without grammar."""
    monkeypatch.setattr(Tools, "parse", lambda self, said, language: Parsed(language, sentences(said)))
    monkeypatch.setattr(Tools, "parser", lambda self, language: None)


@pytest.fixture
def talk(store: Callable[..., int]) -> int:
    return store(LINES)


@pytest.fixture
def question(library: Library, tools: Tools, talk: int) -> Ask:
    def put(said: str, session_id: str = "", account: int = OWNER, number: int = talk) -> ChatAnswer:
        return ask(library, tools, account, number, said, session_id, "auto")

    return put


def rows(database: Database) -> tuple[int, int, int]:
    with database.read() as session:
        counts = [session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in TABLES]
    return tuple(counts)  # type: ignore[return-value]


TABLES = ("chats", "chat_messages", "kept_results")


def test_an_answer_is_the_nearest_places_word_for_word(
    database: Database,
    library: Library,
    question: Ask,
    talk: int,
) -> None:
    made = question("Where does the cat sleep?")
    assert made.found
    assert made.model == "extractive"
    assert made.answer.startswith(f"{SAID_SO}\n\n“The cat sleeps on the ship.” (Speaker 1, 0:04)")
    first = made.sources[0]
    assert (first.segment_order, first.text, first.start_time) == (4, LINES[4], 4.0)
    assert 0 < first.score <= 1
    with database.read() as session:
        wanted = text("SELECT id FROM segments WHERE transcript_id = :number AND position = 4")
        assert session.scalar(wanted, {"number": talk}) == first.segment_id
    library.rename_speakers(OWNER, talk, {"Speaker 1": "Ada"})
    assert "(Ada, 0:04)" in question("Where does the cat sleep?").answer


def test_a_question_in_the_transcript_comes_with_its_reply(question: Ask) -> None:
    made = question("How much did the ship cost?")
    assert "“How much did the ship cost? Two hundred euros.” (Speaker 1 and Speaker 2, 0:02)" in made.answer
    assert [source.segment_order for source in made.sources[:2]] == [2, 3]


@pytest.mark.parametrize("said", ["How much did the bread cost?", "How many cats sleep there?", "Wer backt Kuchen?"])
def test_what_is_not_said_is_not_answered(question: Ask, said: str) -> None:
    made = question(said)
    assert (made.found, made.answer, made.sources) == (False, REFUSED, ())
    assert all(0 <= source.segment_order < len(LINES) for source in made.nearest)


@pytest.mark.parametrize(("reply", "found"), [("I don't know, I was asleep.", False), ("A gannet did it.", True)])
def test_what_nobody_in_the_transcript_knows_is_not_answered(
    library: Library, tools: Tools, store: Callable[..., int], reply: str, found: bool
) -> None:
    number = store(["Who sank the green ferry?", reply, "We had soup afterwards."])
    assert ask(library, tools, OWNER, number, "Who sank the green ferry?", "", "auto").found == found


def test_a_question_refers_to_the_one_before(question: Ask) -> None:
    first = question("Where does the cat sleep?")
    again = question("And the bread?", first.session_id)
    assert again.session_id == first.session_id
    assert "Bread" in again.answer
    there = question("Who sleeps there?", first.session_id)
    assert there.sources[0].segment_order == 4


def test_standalone() -> None:
    assert standalone("And when?", ["Who sails the ship to Norway?"]) == "Who sails the ship to Norway? And when?"
    assert standalone("When did he buy bread and butter and salt?", ["Who?"]).startswith("Who? ")
    assert standalone("Which company repairs roofs downtown?", ["Who?"]) == "Which company repairs roofs downtown?"
    assert standalone("Why?", ["Who sails the ship?", "And when?"]) == "Who sails the ship? And when? Why?"
    assert standalone("Why?", []) == "Why?"


def test_a_chat_is_of_one_account_and_one_transcript(
    question: Ask,
    store: Callable[..., int],
) -> None:
    mine = question("Where does the cat sleep?").session_id
    other, foreign = store(LINES), store(LINES, account=OTHER)
    for wrong in ("chat_" + "0" * 32, "x", "' OR 1=1 --", "chat_" + "F" * 32):
        with pytest.raises(NotFound, match="chat was not found"):
            question("And now?", wrong)
    with pytest.raises(NotFound, match="chat was not found"):
        question("And now?", mine, number=other)
    with pytest.raises(NotFound, match="chat was not found"):
        question("And now?", mine, account=OTHER, number=foreign)
    with pytest.raises(NotFound):
        question("And now?", account=OTHER)


def test_without_an_embedder_words_decide(pool: ToyPool, question: Ask) -> None:
    pool.here = False
    made = question("Where does the cat sleep?")
    assert made.sources[0].segment_order == 4
    assert "models pull" in made.warnings[0]


def test_nothing_is_said(question: Ask, store: Callable[..., int]) -> None:
    with pytest.raises(BadInput, match="contains no speech"):
        question("What?", number=store([]))


def test_a_long_transcript_is_asked(question: Ask, store: Callable[..., int]) -> None:
    number = store([f"Nothing of it, number {i}, {'really ' * 20}" for i in range(SIZE)] + ["The cat sleeps at last."])
    assert question("Where does the cat sleep?", number=number).sources[0].segment_order == SIZE


def test_the_oldest_is_forgotten(database: Database, question: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chats_module, "MOST_MESSAGES", 3)
    monkeypatch.setattr(chats_module, "MOST_CHATS", 2)
    first = question("Where does the cat sleep?").session_id
    for _ in range(4):
        question("Where does the cat sleep?", first)
    assert rows(database)[:2] == (1, 3)
    for _ in range(3):
        question("Where does the cat sleep?")
    assert rows(database)[:2] == (2, 2)
    with pytest.raises(NotFound):
        question("And now?", first)


# What is kept


@pytest.fixture
def summary(library: Library, tools: Tools, talk: int, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """Of the transcript, by a writer that counts."""
    count = 0

    class Counting:
        model = "counting"

        def summarize(self, script: SourceText, style: Any) -> Summary:
            nonlocal count
            count += 1
            return Summary(f"{count}", style, "counting", (Statement("So.", (TextSpan(0, 4),), (0,)),))

    monkeypatch.setattr(results, "writer", lambda tools, model: Counting())

    def put(style: str = "brief", model: str = "auto", force: bool = False, number: int = talk) -> Summary:
        wanted = {"operation": "summarize", "style": style, "model": model}
        return made(library, tools, OWNER, number, wanted, Summary, lambda who, one: who.summarize(one, style), force)  # type: ignore[arg-type]

    return put


def test_what_is_made_is_given_again_until_forced(summary: Callable[..., Summary]) -> None:
    first = summary()
    assert summary() == first
    assert summary(model="counting") == first  # who writes is the same
    assert [summary("detailed").summary, summary().summary] == ["2", "1"]
    assert [summary(force=True).summary, summary().summary, summary("detailed").summary] == ["3", "3", "2"]


def test_another_text_and_other_names_make_it_anew(
    database: Database,
    library: Library,
    summary: Callable[..., Summary],
    talk: int,
) -> None:
    summary()
    library.rename_speakers(OWNER, talk, {"Speaker 1": "Ada"})
    assert summary().summary == "2"
    with database.write() as session:
        library.complete(session, talk, spoken([*LINES, "And more."]))
    assert summary().summary == "3"
    assert rows(database)[2] == 1
    library.retitle(OWNER, talk, "Another")
    assert summary().summary == "3"


def test_all_goes_with_the_transcript(
    database: Database,
    library: Library,
    question: Ask,
    summary: Callable[..., Summary],
    talk: int,
) -> None:
    question("Where does the cat sleep?")
    summary()
    assert rows(database) == (1, 1, 1)
    library.delete(OWNER, talk)
    assert rows(database) == (0, 0, 0)
    with pytest.raises(NotFound):
        summary()


def test_what_is_deleted_meanwhile_stays_deleted(
    database: Database,
    library: Library,
    summary: Callable[..., Summary],
    talk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = library.results.put

    def late(*arguments: Any) -> None:
        library.delete(OWNER, talk)
        put(*arguments)

    monkeypatch.setattr(library.results, "put", late)
    assert summary().summary == "1"
    assert rows(database) == (0, 0, 0)
    with pytest.raises(NotFound):
        library.chats.add(OWNER, talk, "chat_" + "0" * 32, question="", answer="", sources=[], model="")


def test_results_are_located() -> None:
    script = SourceText.of(replace(spoken(["One two.", "Three."]), language="en"))
    found = located(
        {
            "label": "neutral",
            "sentences": [{"start": 9, "end": 15, "label": "neutral"}],
            "items": [{"text": "One", "span": {"start": 0, "end": 3}}, {"spans": [{"start": 0, "end": 15}]}],
        },
        script,
    )
    assert found["sentences"][0] == {"start": 9, "end": 15, "label": "neutral", "sources": [1], "start_time": 1.0}
    assert found["items"][0] == {"text": "One", "span": {"start": 0, "end": 3}, "sources": [0], "start_time": 0.0}
    assert (found["items"][1]["sources"], found["label"]) == ([0, 1], "neutral")
    assert located([], script) == []
