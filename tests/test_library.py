"""The library on SQLite and on PostgreSQL: what is stored comes back, is found, and is its account's alone."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from stt_lab.errors import BadInput, NotFound
from stt_lab.library import Library
from stt_lab.library.parameters import NUMBER, SLUG
from stt_lab.store import search
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID, ANONYMOUS_ID, Job, SegmentRow, now
from stt_lab.transcription.render import FORMATS, render
from stt_lab.types import Provenance, Segment, Suppressed, Transcript, Turn, Unrecognized, Word

OWNER, OTHER = ADMINISTRATOR_ID, ANONYMOUS_ID
ON_BOTH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SAID = "The transcript was not found."
Store = Callable[..., int]


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    made = Library(database, tmp_path)
    made.audio_dir.mkdir()
    return made


@pytest.fixture
def store(database: Database, library: Library) -> Store:
    """Put a transcript, or lines of one, into the library; its number."""

    def put(
        what: Transcript | Sequence[str] = ("Hello.",),
        title: str = "Talk",
        account: int = OWNER,
        created: datetime | None = None,
        audio: str | None = None,
    ) -> int:
        made = what if isinstance(what, Transcript) else spoken(what)
        with database.write() as session:
            number = library.open(session, account, title, created)
            library.complete(session, number, made, audio)
        return number

    return put


def spoken(lines: Sequence[str], speakers: Sequence[str | None] = (None,)) -> Transcript:
    """A second for each line; the speakers take turns."""
    named = [(i, line, speakers[i % len(speakers)]) for i, line in enumerate(lines)]
    segments = tuple(Segment(i, i + 1, line, (Word(i, i + 1, f" {line}", 0.5, who),), who) for i, line, who in named)
    names = tuple(dict.fromkeys(who for _, _, who in named if who))
    turns = tuple(Turn(i, i + 1, who) for i, _, who in named if who)
    return Transcript("en", float(len(lines)), segments, names, "base", turns=turns)


def rows(database: Database) -> dict[str, int]:
    """How many there are of everything that a transcript leaves in the database."""
    tables = ("transcripts", "segments", "passages", search.TABLE)
    with database.read() as session:
        return {table: session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in tables}


def found(library: Library, query: str, account: int = OWNER) -> list[int]:
    return [hit.id for hit in library.search(account, query, 100).results]


# What is stored comes back

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
NAME = st.sampled_from(["Speaker 1", "Speaker 2", "Ada", "", "名"])
SPEAKER = st.none() | NAME
TIMES = st.lists(st.floats(0, 1e5), min_size=2, max_size=2).map(sorted)
WORD = st.builds(lambda times, *rest: Word(*times, *rest), TIMES, TEXT, st.none() | st.floats(0, 1), SPEAKER)
WORDS = st.lists(WORD, max_size=4).map(tuple)
JSON = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(0, 1e9) | TEXT)
TRANSCRIPT = st.builds(
    Transcript,
    language=st.none() | st.sampled_from(["en", "haw"]),
    duration=st.floats(0, 1e5),
    segments=st.lists(
        st.builds(lambda times, *rest: Segment(*times, *rest), TIMES, TEXT, WORDS, SPEAKER), max_size=4
    ).map(tuple),
    speakers=st.lists(NAME, unique=True).map(tuple),
    model=st.sampled_from(["", "base"]),
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    suppressed=st.lists(st.builds(lambda times, *rest: Suppressed(*times, *rest), TIMES, TEXT, TEXT), max_size=2).map(
        tuple
    ),
    unrecognized=st.lists(st.builds(lambda times: Unrecognized(*times), TIMES), max_size=2).map(tuple),
    turns=st.lists(st.builds(lambda times, name: Turn(*times, name), TIMES, NAME), max_size=2).map(tuple),
    provenance=st.lists(st.builds(Provenance, TEXT, TEXT, TEXT, TEXT, JSON, st.floats(0, 1e5)), max_size=2).map(tuple),
)


@ON_BOTH
@given(TRANSCRIPT)
def test_what_is_stored_comes_back_equal(library: Library, store: Store, made: Transcript) -> None:
    number = store(made)
    assert library.transcript(OWNER, number) == made
    assert tuple(library.segments(OWNER, number)) == made.segments
    assert library.get(OWNER, number).speakers == made.speakers


@pytest.mark.parametrize("format", FORMATS)
def test_renderings_of_a_stored_transcript_are_those_of_the_fresh_one(
    library: Library, store: Store, format: str
) -> None:
    made = spoken(
        ["Hello, who is there?", "It is --> me & you.", "会议记录。", "1/3 = 0.3333333333"], ["Speaker 1", "Speaker 2"]
    )
    made = replace(made, duration=1 / 3 + 4, warnings=("Careful.",), suppressed=(Suppressed(1, 2, "la", "music"),))
    assert render(library.transcript(OWNER, store(made)), format).text == render(made, format).text


def test_speech_without_words_is_stored_with_its_speaker(library: Library, store: Store) -> None:
    made = spoken(["Hello.", "Yes."], ["Speaker 1", "Speaker 2"])
    number = store(replace(made, unrecognized=(Unrecognized(1.5, 2.0, "Speaker 2"), Unrecognized(3.0, 4.0))))
    library.rename_speakers(OWNER, number, {"Speaker 2": "Grace"})
    assert library.transcript(OWNER, number).unrecognized == (Unrecognized(1.5, 2.0, "Grace"), Unrecognized(3.0, 4.0))


def test_text_that_a_database_refuses_costs_only_those_characters(library: Library, store: Store) -> None:
    number = store(["one\0two \ud800 three"], title="a\0b\ud800\n c")
    assert library.get(OWNER, number).title == "ab c"
    assert library.transcript(OWNER, number).text == "onetwo ? three"
    assert found(library, "three") == [number]


def test_segments_come_in_batches(library: Library, store: Store) -> None:
    lines = [f"line {i}" for i in range(1201)]
    assert [segment.text for segment in library.segments(OWNER, store(lines))] == lines


def test_a_result_takes_the_place_of_an_earlier_one(database: Database, library: Library, store: Store) -> None:
    number = store(["old words", "and more"])
    with database.write() as session:
        library.complete(session, number, spoken(["new"]))
    assert library.transcript(OWNER, number) == spoken(["new"])
    assert (found(library, "old"), found(library, "new")) == ([], [number])
    assert rows(database) == {"transcripts": 1, "segments": 1, "passages": 1, search.TABLE: 1}


def test_a_transaction_that_fails_leaves_nothing(database: Database, library: Library) -> None:
    def store_and_fail() -> None:
        with database.write() as session:
            library.complete(session, library.open(session, OWNER, "Talk"), spoken(["hello"]), "kept")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        store_and_fail()
    assert set(rows(database).values()) == {0}


def test_one_without_a_result_says_why(database: Database, library: Library) -> None:
    with database.write() as session:
        number = library.open(session, OWNER, "")
    shown = library.get(OWNER, number)
    assert (shown.status, shown.title, shown.finished, shown.has_audio) == ("queued", "Untitled", None, False)
    with pytest.raises(BadInput, match="queued"):
        library.transcript(OWNER, number)
    with database.write() as session:
        library.fail(session, number, "failed", "The file has\0 no sound.")
    shown = library.get(OWNER, number)
    assert (shown.status, shown.error) == ("failed", "The file has no sound.")
    assert shown.finished is not None
    assert list(library.segments(OWNER, number)) == []


def test_one_that_was_deleted_meanwhile_stays_deleted(database: Database, library: Library) -> None:
    with database.write() as session:
        number = library.open(session, OWNER, "Talk")
    library.delete(OWNER, number)
    with database.write() as session:
        library.fail(session, number, "failed", "late")
    with pytest.raises(NotFound), database.write() as session:
        library.complete(session, number, spoken(["late"]))
    assert set(rows(database).values()) == {0}


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", "", "a\0", "a\\b"])
def test_a_recording_has_the_name_of_a_file(library: Library, store: Store, name: str) -> None:
    with pytest.raises(BadInput, match="without a folder"):
        store(audio=name)


# Whose it is


def test_a_foreign_transcript_is_unknown(library: Library, store: Store) -> None:
    number = store(["secret"], audio="kept")
    slug = library.get(OWNER, number).slug
    asks: list[Callable[[int | str], Any]] = [
        lambda key: library.get(OTHER, key),
        lambda key: library.transcript(OTHER, key),
        lambda key: library.segments(OTHER, key),
        lambda key: library.audio(OTHER, key),
        lambda key: library.delete(OTHER, key),
        lambda key: library.retitle(OTHER, key, "Mine"),
        lambda key: library.rename_speakers(OTHER, key, {"Speaker 1": "Ada"}),
    ]
    for ask in asks:
        for key in (number, str(number), slug, 999, "no-such-slug"):
            with pytest.raises(NotFound) as problem:
                ask(key)
            assert str(problem.value) == SAID
    assert library.list(OTHER).count == library.search(OTHER, "secret").count == 0
    assert library.get(OWNER, str(number)) == library.get(OWNER, slug)


@pytest.mark.parametrize("key", [0, -1, 10**30, "9" * 30, "", " 1", "1 ", "١", "a\0b", "A", "' OR 1=1 --", "x" * 5000])
def test_a_strange_key_is_unknown(library: Library, store: Store, key: int | str) -> None:
    store()
    with pytest.raises(NotFound, match=SAID):
        library.get(OWNER, key)


def test_slugs_are_words_of_the_title_and_chance(library: Library, store: Store) -> None:
    titles = ("Über den Wölken!.mp3", "会议", "x" * 300, "2024")
    slugs = [library.get(OWNER, store(title=title)).slug for title in titles * 2]
    assert [slug.rpartition("-")[0] for slug in slugs[:4]] == ["uber-den-wolken-mp3", "transcript", "x" * 50, "2024"]
    assert len(set(slugs)) == 8
    assert all(SLUG.fullmatch(slug) and not NUMBER.fullmatch(slug) for slug in slugs)


# Lists


def test_a_list_is_newest_first_and_numbers_break_ties(library: Library, store: Store) -> None:
    day = datetime(2026, 3, 1, tzinfo=UTC)
    made = [store(created=day + timedelta(hours=hour)) for hour in (2, 0, 3, 0, 1)]
    expected = [made[i] for i in (2, 0, 4, 3, 1)]
    assert [one.id for one in library.list(OWNER).results] == expected
    pages = [library.list(OWNER, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[one.id for one in page.results] for page in pages] == [expected[:2], expected[2:4], expected[4:], []]
    assert {page.count for page in pages} == {5}


def test_filters(database: Database, library: Library, store: Store) -> None:
    german = store(replace(spoken(["Hallo"]), language="de"), created=datetime(2026, 3, 1, tzinfo=UTC))
    late = store(created=datetime(2026, 3, 2, 23, 59, 59, 999999, tzinfo=UTC))
    with database.write() as session:
        queued = library.open(session, OWNER, "Talk", datetime(2026, 3, 3, tzinfo=UTC))

    def chosen(**filters: Any) -> list[int]:
        page = library.list(OWNER, **filters)
        assert page.count == len(page.results)
        return [one.id for one in page.results]

    assert chosen(status="done") == [late, german]
    assert chosen(status="queued") == [queued]
    assert chosen(status="", language="") == [queued, late, german]
    assert chosen(language="de") == chosen(language="German") == [german]
    assert chosen(date_from="2026-03-02") == [queued, late]
    assert chosen(date_to="2026-03-02") == [late, german]
    assert chosen(date_from=date(2026, 3, 2), date_to=date(2026, 3, 2)) == [late]
    assert chosen(date_from="2026-03-03", date_to="2026-03-01") == []
    assert chosen(status="done", language="en", date_from="0001-01-01", date_to="9999-12-31") == [late]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 101},
        {"offset": -1},
        {"offset": 10**20},
        {"status": "lost"},
        {"language": "klingon"},
        {"language": "auto"},
        {"date_from": "yesterday"},
        {"date_to": "2026-02-30"},
        {"date_to": "2026-03-01T10:00\0"},
    ],
    ids=str,
)
def test_a_bad_filter_is_refused(library: Library, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        library.list(OWNER, **wrong)


def test_lists_walk_over_one_index(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("of SQLite's planner")
    statement = (
        "EXPLAIN QUERY PLAN SELECT id FROM transcripts WHERE account_id = 1 AND status = 'done' AND language = 'en'"
        " AND created >= '2026' ORDER BY created DESC, id DESC LIMIT 20 OFFSET 99900"
    )
    with database.read() as session:
        plan = [row.detail for row in session.execute(text(statement))]
    assert len(plan) == 1
    assert "COVERING INDEX transcripts_newest" in plan[0]


# Names


def test_renamed_speakers_are_shown_everywhere(library: Library, store: Store) -> None:
    made = spoken(["One.", "Two.", "Three."], ["Speaker 1", "Speaker 2"])
    made = replace(made, turns=(*made.turns, Turn(2, 3, "Speaker 3")))  # who speaks no word
    number = store(made)
    shown = library.rename_speakers(OWNER, number, {"Speaker 1": " Ada ", "Speaker 3": "Grace"})
    assert shown.speakers == ("Ada", "Speaker 2") == library.transcript(OWNER, number).speakers
    after = library.transcript(OWNER, number)
    assert [segment.speaker for segment in after.segments] == ["Ada", "Speaker 2", "Ada"]
    assert [segment.words[0].speaker for segment in after.segments] == ["Ada", "Speaker 2", "Ada"]
    assert [turn.speaker for turn in after.turns] == ["Ada", "Speaker 2", "Ada", "Grace"]
    assert [segment.speaker for segment in library.segments(OWNER, number)] == ["Ada", "Speaker 2", "Ada"]
    assert "Ada: One." in render(after, "txt").text
    assert after == replace(library.transcript(OWNER, number), segments=after.segments)  # reading changes nothing


def test_names_can_be_swapped_and_merged(library: Library, store: Store) -> None:
    number = store(spoken(["One.", "Two."], ["Speaker 1", "Speaker 2"]))
    swapped = library.rename_speakers(OWNER, number, {"Speaker 1": "Speaker 2", "Speaker 2": "Speaker 1"})
    assert swapped.speakers == ("Speaker 2", "Speaker 1")
    assert library.rename_speakers(OWNER, number, {"Speaker 2": "Ada", "Speaker 1": "Ada"}).speakers == ("Ada",)
    assert [one.speaker for one in library.transcript(OWNER, number).segments] == ["Ada", "Ada"]
    assert library.rename_speakers(OWNER, number, {"Ada": "Grace"}).speakers == ("Grace",)


def test_an_unknown_speaker_is_told_who_is_known(library: Library, store: Store) -> None:
    number = store(spoken(["One.", "Two."], ["Speaker 1", "Speaker 2"]))
    with pytest.raises(BadInput, match=r'"Bob" was not found. Use one of Speaker 1, Speaker 2\.'):
        library.rename_speakers(OWNER, number, {"Speaker 1": "Ada", "Bob": "Eve"})
    assert library.get(OWNER, number).speakers == ("Speaker 1", "Speaker 2")
    with pytest.raises(BadInput, match="has no speakers"):
        library.rename_speakers(OWNER, store(), {"Bob": "Eve"})


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "a\nb", "a\0", "\u202eabc", "\ud800"])
def test_a_name_is_printable(library: Library, store: Store, name: str) -> None:
    number = store(spoken(["One."], ["Speaker 1"]))
    with pytest.raises(BadInput, match="1 to 120 printable"):
        library.rename_speakers(OWNER, number, {"Speaker 1": name})


def test_the_index_follows_names_and_titles(library: Library, store: Store) -> None:
    number = store(spoken(["One.", "Two."], ["Speaker 1", "Speaker 2"]), title="Monday")
    assert found(library, "speaker") == []  # a name that nobody gave
    library.rename_speakers(OWNER, number, {"Speaker 2": "Ada Lovelace"})
    library.retitle(OWNER, number, "Tuesday")
    assert (found(library, "monday"), found(library, "tuesday one")) == ([], [number])
    hit = library.search(OWNER, "lovelace").results[0]
    assert (hit.position, hit.start, hit.snippet) == (1, 1.0, "Ada ⟦Lovelace⟧: Two.")
    library.rename_speakers(OWNER, number, {"Ada Lovelace": "Grace"})
    assert (found(library, "lovelace"), found(library, "grace")) == ([], [number])


# The end of it


def test_delete_leaves_nothing(database: Database, library: Library, store: Store) -> None:
    (library.audio_dir / "kept").write_bytes(b"sound")
    number, other = store(["secret words"], audio="kept"), store(["other words"])
    with database.write() as session:
        job = {"id": "job_1", "account_id": OWNER, "operation": "transcribe", "parameters": {}, "state": "done"}
        session.add(Job(**job, transcript_id=number))
    assert library.audio(OWNER, number).read_bytes() == b"sound"
    library.delete(OWNER, number)
    assert list(library.audio_dir.iterdir()) == []
    assert rows(database) == {"transcripts": 1, "segments": 1, "passages": 1, search.TABLE: 1}
    assert found(library, "words") == [other]
    with database.read() as session:
        assert session.scalar(select(Job.transcript_id)) is None
    with pytest.raises(NotFound, match=SAID):
        library.delete(OWNER, number)
    assert store() > other  # its number is never given again


def test_delete_never_leaves_the_folder(database: Database, library: Library, store: Store) -> None:
    outside, inside = library.audio_dir.parent / "outside", library.audio_dir / "link"
    outside.write_bytes(b"keep me")
    inside.symlink_to(outside)
    number, link = store(), store(audio="link")
    with database.write() as session:
        session.execute(text("UPDATE transcripts SET audio = '../outside' WHERE id = :id"), {"id": number})
    with pytest.raises(NotFound, match="not kept"):
        library.audio(OWNER, number)
    library.delete(OWNER, number)
    library.delete(OWNER, link)
    assert outside.read_bytes() == b"keep me"
    assert not inside.is_symlink()


def test_a_crash_between_rows_and_file_is_swept(
    library: Library, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept", "left"):
        (library.audio_dir / name).write_bytes(b"sound")
    (library.audio_dir / "folder").mkdir()
    store(audio="kept")
    number = store(audio="left")
    monkeypatch.setattr(Path, "unlink", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        library.delete(OWNER, number)
    monkeypatch.undo()
    with pytest.raises(NotFound):
        library.get(OWNER, number)
    assert library.sweep() == 0  # it may be of a transcript that is just being stored
    assert library.sweep(0) == 1
    assert sorted(os.listdir(library.audio_dir)) == ["folder", "kept"]


def test_expire_takes_what_is_old_and_has_ended(database: Database, library: Library, store: Store) -> None:
    old = now() - timedelta(days=31)
    (library.audio_dir / "kept").write_bytes(b"sound")
    for account in (OWNER, OTHER):
        store(["old"], account=account, created=old, audio="kept")
    young = store(["young"])
    with database.write() as session:
        waiting = library.open(session, OWNER, "Talk", old)
    assert library.expire(now() - timedelta(days=30)) == 2
    assert [one.id for one in library.list(OWNER).results] == [young, waiting]
    assert rows(database) == {"transcripts": 2, "segments": 1, "passages": 1, search.TABLE: 1}
    assert list(library.audio_dir.iterdir()) == []
    assert library.expire(now() - timedelta(days=30)) == 0


# Search: one contract for FTS5 and tsvector

SPOKEN = {
    "french": ["La crème brûlée était délicieuse."],
    "german": ["Die STRASSE heißt Straße, sagt Jürgen."],
    "english": ["Don't send an e-mail", "to the state-of-the-art team.", "It costs 3.50 dollars, for C++."],
    "chinese": ["今天的会议记录在这里。", "我们讨论abc预算。"],
    "japanese": ["東京タワーへ行きましょう。"],
    "korean": ["오늘 회의에서 이야기했습니다."],
    "thai": ["ภาษาไทยไม่มีช่องว่าง"],
    "hindi": ["नमस्ते दुनिया, यह हिन्दी है।"],
    "arabic": ["مَرْحَبًا بالعالم"],
    "greek": ["Ο Σίσυφος έσπρωχνε τον βράχο."],
    "tibetan": ["བཀྲ་ཤིས་བདེ་ལེགས།"],
    "russian": ["Ёлка и ещё один йогурт."],
}
QUERIES = {
    "creme brulee": "french",
    "CRÈME": "french",
    "cre\u0300me": "french",
    "strasse jurgen": "german",
    "Straße": "german",
    "don't": "english",
    "don’t": "english",
    "email": "",
    "e-mail": "english",
    '"send an e mail to the state"': "english",
    '"an send"': "",
    "send team": "english",
    "send hello": "",
    "art": "english",
    "sta*": "english",
    "tat*": "",
    "3.50": "english",
    "3.5": "",
    "3.5*": "english",
    "c++": "english",
    '"state of the a"*': "english",
    '"state of the a"': "",
    "会议": "chinese",
    "议记": "chinese",
    "议会": "",
    "会": "chinese",
    "记录在这里": "chinese",
    "ABC": "chinese",
    "讨论abc预算": "chinese",
    "タワー": "japanese",
    "東京": "japanese",
    "회의": "korean",
    "오늘 회의에서": "korean",
    "ไม่มี": "thai",
    "नमस्ते": "hindi",
    "नमस": "",
    "हिन्दी है": "hindi",
    "مرحبا": "arabic",
    "ΣΊΣΥΦΟΣ": "greek",
    "ཤིས་བདེ": "tibetan",
    "елка еще": "russian",
    "йогурт": "russian",
}


def test_search_finds_in_any_script(library: Library, store: Store) -> None:
    numbers = {name: store(lines) for name, lines in SPOKEN.items()}
    expected = {query: [numbers[name]] if name else [] for query, name in QUERIES.items()}
    assert {query: found(library, query) for query in QUERIES} == expected


HOSTILE = [
    '"',
    '""',
    '"unclosed',
    "hello AND",
    "NOT hello",
    "hello OR world",
    "NEAR(hello world)",
    "body:hello",
    "-hello",
    "^hello",
    "hello + world",
    "(hello",
    "{a b}: c",
    "hello:*",
    "*",
    "* *",
    "hello & | ! <->",
    "'hello'",
    "hello\\",
    "'; DROP TABLE transcripts; --",
    "%",
    "_",
    ":query",
    ":phrase0 'x y'",
    "\0",
    "hello\0world",
    "\ud800 hello",
    f"{search.OWNER}1",
    f"hello {search.OWNER}2",
    "[a-z]+ (?i)x \\s",
    "⟦⟧",
    "a " * 250,
    "好" * 500,
    '"a ' * 160,
]


@pytest.mark.parametrize("query", HOSTILE, ids=lambda query: ascii(query)[:20])
def test_no_query_is_syntax(library: Library, store: Store, query: str) -> None:
    store(["hello"], account=OTHER)
    number = store(["nothing of it"])
    if search.words(query):
        assert library.search(OWNER, query).count == 0
    else:
        with pytest.raises(BadInput, match="no word"):
            library.search(OWNER, query)
    assert found(library, "nothing") == [number]


def test_words_that_look_like_operators_are_words(library: Library, store: Store) -> None:
    number = store(["hello and not or near near"])
    assert found(library, "hello AND NOT OR NEAR(near)") == [number]
    assert found(library, "-hello") == [number]
    store(["hello"])
    assert found(library, "hello OR") == [number]


@ON_BOTH
@given(st.text(max_size=60), st.data())
def test_every_part_of_a_text_finds_it(library: Library, store: Store, said: str, data: st.DataObject) -> None:
    number = store([said], title="-")
    words = search.words(said.replace("\0", "").replace('"', " "))
    if words:
        start = data.draw(st.integers(0, len(words) - 1))
        stop = data.draw(st.integers(start + 1, len(words)))
        quoted = f'"{" ".join(words[start:stop])}"'
        hit = next(hit for hit in library.search(OWNER, quoted, 100).results if hit.id == number)
        assert (hit.position, hit.start) == (0, 0.0)
        assert search.OPEN in hit.snippet
    library.delete(OWNER, number)


def test_what_is_searched_is_what_is_stored(library: Library, store: Store) -> None:
    number = store(["no\0where"], title="-")  # no database takes a NUL
    assert found(library, "nowhere") == [number]
    assert found(library, "no") == []


@given(st.text())
def test_folding_twice_is_folding_once(said: str) -> None:
    assert search.words(" ".join(search.words(said))) == search.words(said)


def test_a_hit_says_where(library: Library, store: Store) -> None:
    number = store(["A budget.", "Then silence.", "The budget of the Crème [⟦x⟧].", "A budget of it"], title="Budget 1")
    page = library.search(OWNER, "budget creme")
    assert page.count == 1
    hit = page.results[0]
    assert (hit.id, hit.title, hit.slug) == (number, "Budget 1", library.get(OWNER, number).slug)
    assert (hit.position, hit.start) == (2, 2.0)  # the first that has most of the words
    assert hit.snippet == "The ⟦budget⟧ of the ⟦Crème⟧ [[x]]."
    assert hit.created == library.get(OWNER, number).created
    titled = library.search(OWNER, '"budget 1"').results[0]
    assert (titled.position, titled.start, titled.snippet) == (None, None, "⟦Budget⟧ ⟦1⟧" if False else "⟦Budget 1⟧")
    across = library.search(OWNER, '"silence the budget"').results[0]
    assert (across.position, across.snippet) == (1, "Then ⟦silence. The budget⟧ of the Crème [[x]].")
    assert found(library, '"1 a budget"') == []  # from the title to the text is no phrase


def test_a_long_segment_is_cut_around_the_match(library: Library, store: Store) -> None:
    store(["before " * 100 + "needle " + "after " * 100, "草" * 300 + "针" + "木" * 300])
    snippet = library.search(OWNER, "needle").results[0].snippet
    assert len(snippet) < search.SNIPPET + 10
    assert snippet.startswith("…before before ")
    assert "⟦needle⟧ after" in snippet
    assert snippet.endswith("after…")
    snippet = library.search(OWNER, "针").results[0].snippet
    assert len(snippet) < search.SNIPPET + 10
    assert "草⟦针⟧木" in snippet


def test_pages_of_a_search(library: Library, store: Store) -> None:
    made = [store([f"common {i}"]) for i in range(5)]
    store(["common"], account=OTHER)
    pages = [library.search(OWNER, "common", 2, offset) for offset in (0, 2, 4, 6)]
    assert [[hit.id for hit in page.results] for page in pages] == [made[:2:-1], made[2:0:-1], made[:1], []]
    assert {page.count for page in pages} == {5}


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"query": ""}, {"query": "a" * 501}])
def test_a_bad_search_is_refused(library: Library, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        library.search(OWNER, **{"query": "hello", **wrong})


def test_a_day_of_talk_is_searched_to_its_end(library: Library, store: Store) -> None:
    rng = random.Random(1)  # more words, and more different ones, than a tsvector has positions and room for
    said = [" ".join(f"{rng.getrandbits(64):x}" for _ in range(20)) for _ in range(4000)]
    number = store([*said, "the very last words"])
    hit = library.search(OWNER, '"very last"').results[0] if database_has_room(library) else None
    assert hit is None or (hit.id, hit.position) == (number, 4000)


def database_has_room(library: Library) -> bool:
    return library.search(OWNER, "the").count > 0


def test_the_index_of_an_account_goes_with_it(database: Database, library: Library, store: Store) -> None:
    store(["words"], account=OTHER)
    with database.write() as session:
        session.execute(text("DELETE FROM accounts WHERE id = :id"), {"id": OTHER})
    assert set(rows(database).values()) == {0}
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(SegmentRow)) == 0


def test_two_writers_do_not_wait_for_a_slow_reader(library: Library, store: Store) -> None:
    number = store([f"line {i}" for i in range(1200)])
    reading = library.segments(OWNER, number)
    next(reading)
    started = time.monotonic()
    store(["another"])
    assert time.monotonic() - started < 5
    assert sum(1 for _ in reading) == 1199
