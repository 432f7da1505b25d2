"""Changes of stored transcripts on SQLite and on PostgreSQL: revisions, restoring, and what follows from a change."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import docx
import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from sqlalchemy import select, text

from stt_lab.documents import export
from stt_lab.errors import BadInput, NotFound, OldRevision
from stt_lab.library import Library
from stt_lab.library import history as module
from stt_lab.library.history import Change
from stt_lab.library.values import StoredTranscript
from stt_lab.store import revisions
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID, ANONYMOUS_ID, RevisionRow, SegmentRow, now
from stt_lab.types import Segment, Transcript, Turn, Unrecognized, Word

OWNER, OTHER = ADMINISTRATOR_ID, ANONYMOUS_ID
TEXTS = ("Hello, who is there?", "It is me.", "Good to see you – really.", "And you!")


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    return Library(database, tmp_path)


@pytest.fixture
def talk(database: Database, library: Library) -> int:
    """A stored talk of two speakers; its number."""
    return put(database, library, spoken(TEXTS))


def put(database: Database, library: Library, made: Transcript, title: str = "Talk") -> int:
    with database.write() as session:
        number = library.open(session, OWNER, title)
        library.complete(session, number, made)
    return number


def spoken(lines: Sequence[str]) -> Transcript:
    segments = []
    for i, line in enumerate(lines):
        who, parts = f"Speaker {i % 2 + 1}", line.split()
        words = (Word(10 * i + j / 3, 10 * i + j / 3 + 0.3, f" {part}", 0.5, who) for j, part in enumerate(parts))
        said = tuple(words)
        segments.append(Segment(said[0].start, said[-1].end, line, said, who))
    turns = (*(Turn(one.start, one.end, str(one.speaker)) for one in segments), Turn(0, 1, "Speaker 3"))
    heard = (Unrecognized(5.0, 6.0, "Speaker 2"), Unrecognized(8.0, 9.0))
    names = ("Speaker 1", "Speaker 2")
    return Transcript("en", 10.0 * len(lines), tuple(segments), names, "base", turns=turns, unrecognized=heard)


def replaced(segment: int, first: int, last: int, said: str) -> dict[str, Any]:
    return {"op": "replace", "segment": segment, "from": first, "to": last, "text": said}


def rows(database: Database, number: int) -> list[tuple[Any, ...]]:
    """Exactly what is stored of the segments, but for their ids."""
    columns = (SegmentRow.position, SegmentRow.start, SegmentRow.end, SegmentRow.speaker, SegmentRow.text)
    wanted = select(*columns, SegmentRow.words).where(SegmentRow.transcript_id == number)
    with database.read() as session:
        return [tuple(row) for row in session.execute(wanted.order_by(SegmentRow.position))]


def found(library: Library, query: str) -> list[int]:
    return [hit.id for hit in library.search(OWNER, query, 100).results]


# Changes


def test_an_edit_is_a_revision(library: Library, talk: int) -> None:
    assert library.get(OWNER, talk).revision == 1
    asked = Change(edits=[replaced(0, 1, 2, "what on earth"), {"op": "split", "segment": 3, "word": 1}])
    after = library.history.change(OWNER, talk, asked, "Ada", 1)
    assert (after.revision, after.words) == (2, sum(len(one.split()) for one in TEXTS) - 1 + 2)  # the dash is no word
    stored, whole = library.read(OWNER, talk)
    assert stored == after
    assert [one.text for one in whole.segments] == ["Hello, what on earth is there?", *TEXTS[1:3], "And", "you!"]
    assert [word.corrected for word in whole.segments[0].words] == [False, True, True, True, False, False]
    assert whole.segments[1:3] == spoken(TEXTS).segments[1:3]
    first, second = library.history.list(OWNER, talk)[::-1]
    assert (first.revision, first.author, first.edits, first.created) == (1, "", 0, stored.finished)
    assert (second.revision, second.author, second.edits) == (2, "Ada", 2)
    assert now() >= second.created > first.created


def test_everything_follows_an_edit(database: Database, library: Library, talk: int) -> None:
    with database.write() as session:
        session.execute(text("UPDATE passages SET due = NULL, vectors = places"))
    library.history.change(OWNER, talk, Change(edits=[replaced(1, 2, 3, "zebrafish.")]), "", 1)
    assert (found(library, "zebrafish"), found(library, "me")) == ([talk], [])
    with database.read() as session:
        due, vectors = session.execute(text("SELECT due, vectors FROM passages")).one()
    assert due is not None
    assert vectors is None
    assert library.transcript(OWNER, talk).text.startswith("Hello, who is there? It is zebrafish.")


def test_all_changes_of_a_request_are_one_revision(library: Library, talk: int) -> None:
    names = {"Speaker 1": "Ada", "Speaker 2": "Bob"}
    edits = [{"op": "speaker", "segment": 3, "from": 0, "to": 2, "speaker": "Cleo"}]
    asked = Change("A title", ["work", " étude ", "work"], names, edits)
    after = library.history.change(OWNER, talk, asked, "Ada")
    assert (after.revision, after.title, after.tags) == (2, "A title", ("work", "étude"))
    assert after.speakers == ("Ada", "Bob", "Cleo")
    assert library.history.list(OWNER, talk)[0].edits == 4
    before, _ = library.history.get(OWNER, talk, 1)
    assert (before.title, before.tags, before.speakers) == ("Talk", (), ("Speaker 1", "Speaker 2"))


def test_what_changes_nothing_is_no_revision(library: Library, talk: int) -> None:
    library.history.change(OWNER, talk, Change(edits=[replaced(0, 0, 1, "Hello,")]), "", 1)
    same = Change("Talk", [], {"Speaker 1": "Speaker 1"}, [replaced(0, 0, 1, "Hello,")])
    assert library.history.change(OWNER, talk, same, "", 2).revision == 2
    assert library.history.restore(OWNER, talk, 2).revision == 2


def test_a_change_that_fails_changes_nothing(database: Database, library: Library, talk: int) -> None:
    before = rows(database, talk)
    wrong: list[tuple[type[Exception], Change, int | None]] = [
        (BadInput, Change("New", edits=[replaced(0, 0, 1, "x"), {"op": "explode"}]), 1),
        (BadInput, Change("New", speakers={"Nobody": "Ada"}), None),
        (BadInput, Change("New", tags=["x" * 41]), None),
        (BadInput, Change("New", tags=["a\nb"]), None),
        (BadInput, Change("New", tags=[str(i) for i in range(21)]), None),
        (OldRevision, Change("New", edits=[replaced(0, 0, 1, "x")]), 2),
    ]
    for kind, asked, revision in wrong:
        with pytest.raises(kind):
            library.history.change(OWNER, talk, asked, "", revision)
    assert rows(database, talk) == before
    assert (library.get(OWNER, talk).title, library.get(OWNER, talk).revision) == ("Talk", 1)
    assert len(library.history.list(OWNER, talk)) == 1


def test_an_old_revision_is_said(library: Library, talk: int) -> None:
    library.history.change(OWNER, talk, Change("New"), "", 1)
    with pytest.raises(OldRevision, match="revision is 2, not 1") as caught:
        library.history.change(OWNER, talk, Change(edits=[replaced(0, 0, 1, "x")]), "", 1)
    assert caught.value.as_dict()["revision"] == 2


def test_a_foreign_transcript_is_unknown(library: Library, talk: int) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: library.history.change(OTHER, talk, Change("Mine")),
        lambda: library.history.list(OTHER, talk),
        lambda: library.history.get(OTHER, talk, 1),
        lambda: library.history.restore(OTHER, talk, 1),
    ]
    for ask in asks:
        with pytest.raises(NotFound, match="transcript was not found"):
            ask()


def test_one_without_a_text_has_a_title_and_tags(database: Database, library: Library) -> None:
    with database.write() as session:
        number = library.open(session, OWNER, "Soon")
    assert library.history.change(OWNER, number, Change("Later", ["work"])).revision == 2
    with pytest.raises(BadInput, match="queued"):
        library.history.change(OWNER, number, Change(edits=[replaced(0, 0, 1, "x")]), "", 2)


def test_speakers_that_nobody_is_any_more_are_forgotten(library: Library, talk: int) -> None:
    for i in range(5):
        edits = [{"op": "speaker", "segment": 3, "from": 0, "to": 2, "speaker": f"New {i}"}]
        library.history.change(OWNER, talk, Change(edits=edits), "", i + 1)
    library.rename_speakers(OWNER, talk, {"Speaker 3": "Who makes noise"})  # it has turns
    with pytest.raises(BadInput, match=r'"New 3" was not found. Use one of .*New 4'):
        library.rename_speakers(OWNER, talk, {"New 3": "x"})


def test_speakers_are_bounded(library: Library, talk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SPEAKERS", 4)
    edits = [{"op": "speaker", "segment": i, "from": 0, "to": 1, "speaker": f"New {i}"} for i in (0, 2)]
    with pytest.raises(BadInput, match="more than 4 speakers"):
        library.history.change(OWNER, talk, Change(edits=edits), "", 1)
    assert library.history.change(OWNER, talk, Change(edits=edits[:1]), "", 1).revision == 2


# Revisions


def test_merged_speakers_come_back(library: Library, talk: int) -> None:
    library.rename_speakers(OWNER, talk, {"Speaker 1": "Ada", "Speaker 2": "Ada"})
    assert library.get(OWNER, talk).speakers == ("Ada",)
    assert library.history.restore(OWNER, talk, 1).speakers == ("Speaker 1", "Speaker 2")
    assert library.transcript(OWNER, talk) == spoken(TEXTS)


def test_restored_tags_are_found(library: Library, talk: int) -> None:
    library.history.change(OWNER, talk, Change(tags=["a", "b"]))
    library.history.change(OWNER, talk, Change(tags=["c"]))
    library.history.restore(OWNER, talk, 2)
    assert library.get(OWNER, talk).tags == ("a", "b")
    assert [library.list(OWNER, tag=tag).count for tag in "abc"] == [1, 1, 0]


def test_unknown_revisions(library: Library, talk: int) -> None:
    library.history.change(OWNER, talk, Change("New"))
    for number in (0, 3, 10**9):
        with pytest.raises(NotFound, match=f"revision {number} is not kept"):
            library.history.get(OWNER, talk, number)
        with pytest.raises(NotFound):
            library.history.restore(OWNER, talk, number)
    with pytest.raises(OldRevision):
        library.history.restore(OWNER, talk, 1, "", 1)


def test_a_new_result_has_no_past(database: Database, library: Library, talk: int) -> None:
    library.history.change(OWNER, talk, Change(edits=[replaced(0, 0, 1, "Hi,")]), "", 1)
    with database.write() as session:
        library.complete(session, talk, spoken(["Something else."]))
    assert library.get(OWNER, talk).revision == 3
    assert [one.revision for one in library.history.list(OWNER, talk)] == [3]
    with pytest.raises(NotFound):
        library.history.get(OWNER, talk, 2)


def test_the_oldest_revisions_are_forgotten(
    database: Database, library: Library, talk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "MOST", 4)
    for i in range(1, 10):
        library.history.change(OWNER, talk, Change(f"Title {i}"))
    assert [one.revision for one in library.history.list(OWNER, talk)] == [10, 9, 8, 7]
    assert library.history.get(OWNER, talk, 7)[0].title == "Title 6"
    with pytest.raises(NotFound):
        library.history.get(OWNER, talk, 6)
    monkeypatch.setattr(revisions, "MOST_BYTES", 0)
    library.history.change(OWNER, talk, Change("Last"))
    assert [one.revision for one in library.history.list(OWNER, talk)] == [11, 10]  # one step back is always possible
    assert library.history.restore(OWNER, talk, 10).title == "Title 9"
    with database.read() as session:
        assert session.scalars(select(RevisionRow.undo).order_by(RevisionRow.revision)).first() is None


def test_bytes_of_revisions_are_bounded(library: Library, talk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = random.Random(1)
    monkeypatch.setattr(revisions, "MOST_BYTES", 20_000)
    for i in range(1, 12):
        said = " ".join(f"{noise.getrandbits(64):x}" for _ in range(300))
        words = library.get(OWNER, talk).words - sum(len(one.split()) for one in TEXTS[1:]) + 1
        library.history.change(OWNER, talk, Change(edits=[replaced(0, 0, words, said)]), "", i)
    kept = [one.revision for one in library.history.list(OWNER, talk)]
    assert 2 <= len(kept) < 8
    assert kept[0] == 12
    assert library.history.get(OWNER, talk, kept[-1])[0].revision == kept[-1]


def test_what_a_transcript_had_goes_with_it(database: Database, library: Library, talk: int) -> None:
    library.history.change(OWNER, talk, Change("New", ["work"], edits=[replaced(0, 0, 1, "x")]), "", 1)
    library.delete(OWNER, talk)
    with database.read() as session:
        for table in ("revisions", "tags", "segments"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 0


# Many changes


def any_change(rng: random.Random, whole: Transcript) -> Change:
    at = rng.randrange(len(whole.segments))
    size = sum(bool(word.plain) for word in whole.segments[at].words)
    said = " ".join(rng.choice(["yes", "no,", "你好", "(so)", "end."]) for _ in range(3))
    choices: list[Change] = [
        Change(edits=[replaced(at, 0, 1, said)]),
        Change(edits=[replaced(at, size, size, said), replaced(0, 0, 1, said)]),
        Change(edits=[{"op": "speaker", "segment": at, "from": 0, "to": 1, "speaker": rng.choice(["Ada", "Bob"])}]),
        Change(speakers={rng.choice(whole.speakers): rng.choice(["Ada", "Bob", "Cleo"])}),
        Change(title=said, tags=said.split()),
    ]
    if size > 2:
        choices.append(Change(edits=[{"op": "split", "segment": at, "word": 1}, replaced(0, 0, 1, said)]))
    if len(whole.segments) > 5:
        choices += [Change(edits=[{"op": "delete", "segment": at}])]
        choices += [Change(edits=[{"op": "merge", "segment": 0}, {"op": "merge", "segment": 2}])]
    return rng.choice(choices)


def test_every_revision_comes_back_exactly(database: Database, library: Library, talk: int) -> None:
    rng = random.Random(7)
    states: list[tuple[Any, ...]] = []
    for _ in range(60):
        stored, whole = library.read(OWNER, talk)
        states.append((stored, whole, rows(database, talk)))
        library.history.change(OWNER, talk, any_change(rng, whole), "Ada", stored.revision)
    for stored, whole, kept in rng.sample(states, 20):
        assert library.history.get(OWNER, talk, stored.revision) == (stored, whole)
        back = library.history.restore(OWNER, talk, stored.revision, "Bob")
        assert replace(back, revision=stored.revision) == stored
        assert library.read(OWNER, talk)[1] == whole
        assert rows(database, talk) == kept
        assert found(library, f'"{whole.segments[0].text.split()[0]}"') == [talk]
        check_exports(stored, whole)


def check_exports(stored: StoredTranscript, whole: Transcript) -> None:
    """Every format of files opens and has what is said, in order of time."""
    made = {
        format: b"".join(export(whole, format, stored.title, stored.created, times=True).chunks)
        for format in ("txt", "md", "srt", "vtt", "json", "csv", "tsv", "docx")
    }
    said = [segment.text for segment in whole.segments]
    assert [segment["text"] for segment in json.loads(made["json"])["segments"]] == said
    rows = list(csv.DictReader(io.StringIO(made["csv"].decode("utf-8-sig"), newline=""), strict=True))
    assert [row["text"] for row in rows] == said
    assert [line.split("\t")[4] for line in made["tsv"].decode().splitlines()[1:]] == said
    starts = [float(row["start"]) for row in rows]
    assert starts == sorted(starts)
    cues = re.findall(r"^(\d\d:\d\d:\d\d),(\d{3}) --> (\d\d:\d\d:\d\d),(\d{3})$", made["srt"].decode(), re.M)
    assert cues == sorted(cues)
    assert all(cue[:2] <= cue[2:] for cue in cues)
    assert len(cues) == made["vtt"].count(b" --> ")
    assert docx.Document(io.BytesIO(made["docx"])).paragraphs


def test_segments_that_do_not_change_keep_their_ids(library: Library, talk: int) -> None:
    before = library.segment_ids(talk, range(4))
    library.history.change(OWNER, talk, Change(edits=[{"op": "split", "segment": 1, "word": 1}]), "", 1)
    after = library.segment_ids(talk, range(5))
    assert (after[0], after[3], after[4]) == (before[0], before[2], before[3])
    assert not {after[1], after[2]} & set(before.values())


@pytest.mark.parametrize("format", ["txt", "srt", "vtt", "json", "csv", "docx"])
def test_exports_follow_edits(library: Library, talk: int, format: str) -> None:
    library.history.change(OWNER, talk, Change(edits=[replaced(0, 1, 2, "zebrafish")]), "", 1)
    stored, whole = library.read(OWNER, talk)
    made = b"".join(export(whole, format, stored.title, stored.created).chunks)
    assert b"zebrafish" in made or format == "docx"
    assert b" who " not in made


def clients(library: Library, talk: int, work: Callable[[int, int], Any], count: int = 2) -> list[Any]:
    """What several threads get at once, each of 50 calls."""
    got: list[Any] = []

    def client(me: int) -> None:
        for i in range(50):
            try:
                got.append(work(me, i))
            except OldRevision as problem:
                got.append(problem)

    threads = [threading.Thread(target=client, args=(me,)) for me in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_edits_of_two_clients_are_stored_or_refused(library: Library, talk: int) -> None:
    made: list[str] = []

    def edit(me: int, i: int) -> None:
        said = f"client{me}edit{i}"
        revision = library.get(OWNER, talk).revision
        library.history.change(OWNER, talk, Change(edits=[replaced(0, 0, 0, said)]), "", revision)
        made.append(said)

    got = clients(library, talk, edit)
    refused = [one for one in got if isinstance(one, OldRevision)]
    assert len(got) == 100
    assert len(made) + len(refused) == 100
    stored, whole = library.read(OWNER, talk)
    assert stored.revision == 1 + len(made)
    words = [word.plain for word in whole.segments[0].words]
    assert sorted(words[: len(made)]) == sorted(made)  # none is lost
    assert words[len(made) :] == ["Hello", "who", "is", "there"]
    assert stored.words == len(made) + sum(len(one.split()) for one in TEXTS) - 1


# Lists


def test_lists_by_tag_and_in_order(database: Database, library: Library) -> None:
    made = {
        title: put(database, library, replace(spoken(TEXTS[:1]), duration=duration), title)
        for title, duration in (("beta", 30.0), ("Alpha", 10.0), ("gamma", 20.0))
    }
    for title, tags in (("beta", ["x", "y"]), ("gamma", ["x"])):
        library.history.change(OWNER, made[title], Change(tags=tags))

    def titles(**asked: Any) -> list[str]:
        page = library.list(OWNER, **asked)
        assert page.count == len(page.results)
        return [one.title for one in page.results]

    assert titles(tag="x") == ["gamma", "beta"]
    assert titles(tag="y") == ["beta"]
    assert titles(tag="z") == []
    assert titles(sort="title") == ["Alpha", "beta", "gamma"]
    assert titles(sort="-title") == ["gamma", "beta", "Alpha"]
    assert titles(sort="duration") == ["Alpha", "gamma", "beta"]
    assert titles(sort="created", tag="x") == ["beta", "gamma"]
    assert titles() == titles(sort="-created") == ["gamma", "Alpha", "beta"]
    assert library.list(OTHER, tag="x").count == 0
    for wrong in ({"sort": "color"}, {"sort": "--title"}, {"tag": "a\nb"}, {"tag": "x" * 41}):
        with pytest.raises(BadInput):
            library.list(OWNER, **wrong)  # type: ignore[arg-type]


HOSTILE = ["<script>alert(1)</script>", "=1+1", "'; DROP TABLE tags; --", "${alert(1)}", "{{7*7}}", "../../x"]


def test_hostile_texts_and_tags_are_stored_as_they_are(library: Library, talk: int) -> None:
    edits = [replaced(1, 0, 1, " ".join(HOSTILE))]
    after = library.history.change(OWNER, talk, Change(tags=HOSTILE, edits=edits), "", 1)
    assert list(after.tags) == HOSTILE
    assert [library.list(OWNER, tag=tag).count for tag in HOSTILE] == [1] * len(HOSTILE)
    assert library.transcript(OWNER, talk).segments[1].text == f"{' '.join(HOSTILE)} is me."
