"""What a library is asked: its transcripts indexed by meaning and found again, on SQLite and on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from databases import database_fixture, database_url_fixture, empty_url_fixture  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from recall_toys import (  # noqa: F401
    OTHER,
    OWNER,
    TOPICS,
    ToyPool,
    library_fixture,
    pool_fixture,
    spoken,
    store_fixture,
    tools_fixture,
    until,
    work_off,
)
from sqlalchemy import select, text, update

from stt_lab.errors import BadInput, Busy
from stt_lab.library import Library
from stt_lab.recall.indexing import Indexer, indexed
from stt_lab.recall.search import by_meaning
from stt_lab.store import database as database_module
from stt_lab.store import passages as store_passages
from stt_lab.store.database import Database
from stt_lab.store.models import PassagesRow, now
from stt_lab.text.words import beginning, stem, telling, words
from stt_lab.writing.passages import SIZE, Passage, apart, by_words, fused, passages, ranked, said
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools

# Passages


@given(st.lists(st.integers(0, 150), max_size=60))
def test_passages_cover_every_segment_with_words(sizes: list[int]) -> None:
    script = SourceText.of(spoken([" ".join(["word"] * size) for size in sizes]))
    found = passages(script)
    covered = {order for one in found for order in range(one.first, one.last + 1)}
    assert {order for order, size in enumerate(sizes) if size} <= covered
    for one in found:
        assert one.first == one.last or sum(sizes[one.first : one.last + 1]) <= SIZE
    assert [one.first for one in found] == sorted({one.first for one in found})
    assert len(found) <= 1 + sum(map(bool, sizes))


def test_passages_overlap_by_about_a_half() -> None:
    found = passages(SourceText.of(spoken(["ten words are in this line, or so we think"] * 40)))
    assert len({one.last - one.first for one in found[:-1]}) == 1
    assert all(0.3 <= first.shares(second) <= 0.7 for first, second in pairwise(found[:-1]))


def test_a_passage_names_who_begins_to_speak() -> None:
    script = SourceText.of(spoken(["One.", "Two.", "Three."], ("Ada", "Ada", "Ben")))
    assert said(script, Passage(0, 2)) == "Ada: One. Two. Ben: Three."
    assert said(SourceText.of(spoken(["One."], ("",))), Passage(0, 0)) == "One."


def test_words_that_tell() -> None:
    assert telling("What did the leaders say about baking?") == ["leader", "bake"]
    assert stem("ring") == "ring"
    assert telling("会议 CRÈME brûlée") == ["会", "议", "creme", "brule"]
    scores = by_words("Who baked the bread?", ["We talk of ships.", "She bakes bread.", "Bread and ships and more."])
    assert ranked(scores) == [1, 2]
    assert by_words("the of", ["anything"]) == [0.0]
    assert by_words("bread", []) == []


def test_fusion() -> None:
    assert [*fused((1.0, "abc"), (1.0, "cab"))] == ["a", "c", "b"]
    assert [*fused((1.0, "ab"), (0.5, "b"))] == ["b", "a"]
    assert fused() == {}
    chosen = apart([0, 1, 2], [Passage(0, 4), Passage(1, 5), Passage(4, 9)], 2)
    assert chosen == [0, 2]


# The index


def test_what_is_done_waits_for_its_vectors(library: Library, store: Callable[..., int], pool: ToyPool) -> None:
    number = store(["The cat sleeps.", "Bread is baked."])
    assert library.passages.get(number) is None
    assert work_off(library, pool) == 1
    found = library.passages.get(number)
    assert found is not None
    assert found.places == ((0, 1),)
    assert found.vectors.shape == (1, 1 + len(TOPICS))
    assert pool.calls == [("Speaker 1: The cat sleeps. Speaker 2: Bread is baked.",)]
    assert work_off(library, pool) == 0  # once


def test_another_text_and_other_names_are_indexed_again(
    database: Database, library: Library, store: Callable[..., int], pool: ToyPool
) -> None:
    number = store(["The cat sleeps."])
    work_off(library, pool)
    library.rename_speakers(OWNER, number, {"Speaker 1": "Ada"})
    question = np.array([0, 1, 0, 0, 0], np.float32)
    assert [near.transcript_id for near in library.passages.nearest(OWNER, question, 0.5, 9)] == [number]  # as before
    assert library.passages.get(number) is None
    assert work_off(library, pool) == 1
    assert pool.calls[-1] == ("Ada: The cat sleeps.",)
    with database.write() as session:
        library.complete(session, number, spoken(["A ship."]))
    assert library.passages.nearest(OWNER, question, 0.5, 9) == []
    assert work_off(library, pool) == 1
    library.retitle(OWNER, number, "Ships")  # is no part of it
    assert work_off(library, pool) == 0


def test_vectors_of_a_text_that_has_changed_meanwhile_are_not_kept(
    database: Database, library: Library, store: Callable[..., int], pool: ToyPool, tools: Tools
) -> None:
    number = store(["The cat sleeps."])
    waiting = library.passages.claim()
    assert waiting is not None
    _, made = indexed(library, tools, OWNER, number)
    with database.write() as session:
        library.complete(session, number, spoken(["A ship."]))
    library.passages.put(waiting, "toy", made)
    assert library.passages.get(number) is None
    assert work_off(library, pool) == 1
    library.delete(OWNER, number)
    library.passages.put(waiting, "toy", made)
    assert library.passages.counts(OWNER) == (0, 0)


def test_a_claim_is_one_workers(database: Database, library: Library, store: Callable[..., int]) -> None:
    number = store(["The cat sleeps."])
    waiting = library.passages.claim()
    assert waiting is not None
    assert waiting.transcript_id == number
    assert library.passages.claim() is None
    library.passages.recover()  # a server that starts, and has the database for itself
    assert (library.passages.claim() is not None) == (database.dialect == "sqlite")
    with database.write() as session:
        session.execute(update(PassagesRow).values(due=now() - timedelta(seconds=1)))  # the lease has ended
    assert library.passages.claim() == waiting


def test_what_cannot_be_made_pauses_longer_each_time(
    database: Database, library: Library, store: Callable[..., int]
) -> None:
    store(["The cat sleeps."])
    pauses = []
    for _ in range(6):
        waiting = library.passages.claim()
        assert waiting is not None
        library.passages.postpone(waiting)
        assert library.passages.claim() is None
        with database.write() as session:
            pauses.append(session.scalars(select(PassagesRow.due)).one() - now())
            session.execute(update(PassagesRow).values(due=now()))
    assert [round(pause / timedelta(minutes=1)) for pause in pauses] == [1, 10, 60, 600, 600, 600]


def test_one_without_words(library: Library, store: Callable[..., int], pool: ToyPool, tools: Tools) -> None:
    number = store([])
    work_off(library, pool)
    found = library.passages.get(number)
    assert found is not None
    assert (found.places, len(found.vectors), pool.calls) == ((), 0, [])
    assert by_meaning(library, tools, OWNER, "cat").count == 0


def test_who_asks_first_makes_the_index(
    library: Library, store: Callable[..., int], pool: ToyPool, tools: Tools
) -> None:
    number = store(["The cat sleeps."])
    script, made = indexed(library, tools, OWNER, number)
    assert script.text == "The cat sleeps."
    assert made.places == ((0, 0),)
    assert work_off(library, pool) == 0
    again, same = indexed(library, tools, OWNER, number)
    assert (again, same.places) == (script, made.places)
    assert np.allclose(same.vectors, made.vectors, atol=1e-3)
    assert len(pool.calls) == 1


def test_the_thread_works_off_what_waits(
    library: Library,
    store: Callable[..., int],
    pool: ToyPool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("stt_lab.recall.indexing.REST_S", 0.02)
    monkeypatch.setattr("stt_lab.recall.indexing.LOOK_S", 0.02)
    monkeypatch.setattr(store_passages, "PAUSES", (timedelta(0),))
    store(["The cat sleeps."])
    pool.broken = Busy("This machine is busy.")
    indexer = Indexer(library, pool)  # type: ignore[arg-type]
    indexer.start()
    until(lambda: "busy" in caplog.text)
    pool.broken = None
    until(lambda: library.passages.counts(OWNER) == (1, 1))
    store(["A ship."])
    until(lambda: library.passages.counts(OWNER) == (2, 2))
    indexer.close()
    store(["Money."])
    time.sleep(0.1)
    assert library.passages.counts(OWNER) == (3, 2)
    assert caplog.text.count("busy") == 1  # told once
    again = Indexer(library, pool)  # type: ignore[arg-type]
    again.start()
    until(lambda: library.passages.counts(OWNER) == (3, 3))
    again.close()


# Search by meaning


def test_search_by_meaning(library: Library, store: Callable[..., int], pool: ToyPool, tools: Tools) -> None:
    cats = store(["Good morning.", "The cat sleeps, the cat eats."])
    bread = store(["Bread is baked, and the cat watches.", "More bread."])
    store(["Nothing of it."])
    store(["The cat of somebody else."], account=OTHER)
    work_off(library, pool)
    page = by_meaning(library, tools, OWNER, "my cat")
    assert (page.count, page.warnings) == (2, ())
    (first, high), (second, low) = page.results
    assert (first.id, first.position, first.start) == (cats, 1, 1.0)
    assert first.snippet == "The ⟦cat⟧ sleeps, the ⟦cat⟧ eats."
    assert (second.id, second.position) == (bread, 0)
    assert high > low
    assert [hit.id for hit, _ in by_meaning(library, tools, OWNER, "my cat", 1, 1).results] == [bread]
    assert by_meaning(library, tools, OWNER, "my cat", 1, 2).results == ()
    assert by_meaning(library, tools, OTHER, "cat").count == 1


def test_search_by_meaning_falls_back_to_words(
    library: Library, store: Callable[..., int], pool: ToyPool, tools: Tools
) -> None:
    number = store(["He baked a cake.", "They sail ships."])
    page = by_meaning(library, tools, OWNER, "Who sails?")
    assert page.warnings == ("1 of 1 transcripts were searched by words only. Their index is not ready yet.",)
    assert [(hit.id, hit.position, hit.snippet) for hit, _ in page.results] == [(number, 1, "They ⟦sail⟧ ships.")]
    pool.here = False
    page = by_meaning(library, tools, OWNER, "Who sails?")
    assert page.count == 1
    assert "models pull" in page.warnings[0]
    assert by_meaning(library, tools, OWNER, "zebra").count == 0


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"offset": -1}, {"query": "a" * 501}])
def test_a_bad_search_by_meaning_is_refused(library: Library, tools: Tools, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        by_meaning(library, tools, OWNER, **{"query": "hello", **wrong})


@pytest.mark.parametrize("query", ["", "?!", "😀", "\0", '"', "NOT (", "好" * 500, "a " * 250, "' OR 1=1 --"])
def test_no_query_by_meaning_is_syntax(library: Library, store: Callable[..., int], tools: Tools, query: str) -> None:
    store(["nothing of it"])
    assert by_meaning(library, tools, OWNER, query).count == 0


# Migrations


def test_transcripts_from_before_are_indexed(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the first versions, with data, gets the new tables, and what is done waits for its vectors."""
    database = Database(empty_url)
    with monkeypatch.context() as patch:
        upgrade = database_module.command.upgrade
        patch.setattr(database_module.command, "upgrade", lambda config, to: upgrade(config, "0002"))
        database.migrate()
    columns = "account_id, slug, title, status, duration, model, words, speakers, names, created, details"
    row = "1, :slug, 'Talk', :status, 1, 'base', 1, '[]', '{}', '2026-01-01', '{}'"
    with database.write() as session:
        for status in ("done", "failed"):
            statement = text(f"INSERT INTO transcripts ({columns}) VALUES ({row})")
            session.execute(statement, {"slug": status, "status": status})
        number = session.scalar(text("SELECT id FROM transcripts WHERE status = 'done'"))
    database.migrate()
    library = Library(database, tmp_path)
    waiting = library.passages.claim()
    assert waiting is not None
    assert (waiting.transcript_id, waiting.account_id) == (number, OWNER)
    assert library.passages.claim() is None
    database.close()


@given(st.text())
def test_stems_begin_words(said: str) -> None:
    assert all(stem(word) and beginning(word) and word.startswith(beginning(word)) for word in words(said))
