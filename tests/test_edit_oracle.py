"""500 random edits of a stored transcript in six scripts, against what each edit may change: nothing else does."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import docx
import pypdfium2
import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from sqlalchemy import text

from stt_lab.documents import export
from stt_lab.library import Library
from stt_lab.library.history import Change
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID
from stt_lab.store.undo import Replaced, SegmentValues, Undo, compare, pack, undone, unpack
from stt_lab.transcription.render import to_json
from stt_lab.types import Segment, Transcript, Turn, Unrecognized, Word

OWNER = ADMINISTRATOR_ID
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
EDITS, CHECKED = 500, 100  # edits; between two looks at search and files
KINDS = ("replace", "insert", "append", "remove", "accept", "split", "merge", "retime", "speaker", "names", "delete")
LINES: tuple[tuple[str, ...], ...] = (  # words with their spaces and punctuation
    (" Hello,", " who", " is", " there?"),
    (" It's", " a", " 10", "-year", " plan", " –", " really", "."),
    ("我", "喜", "欢", "喝", "茶。"),
    (*tuple("これはペンで"), "す。"),
    ("ที่", "นี่", " ที่", "โน่น"),
    (" नमस्ते", " दुनिया।"),
    (" (", "شكرا", ")", " جزيلا!"),
    ("…",),  # punctuation alone
    (),  # a text without word times
)
TEXTS = ("yes", "no,", "(so)", '"end."', "你好，世界", "ที่นี่", "50%", "Ünï-code", "¿qué?", "- one two", "السلام")

Said = tuple[str, float, float]  # word, start, end


def start() -> Transcript:
    """33 segments of 8 s, half a second apart, of two speakers; they come in turn."""
    segments = tuple(_segment(n, LINES[n % len(LINES)], f"Speaker {n % 2 + 1}") for n in range(33))
    turns = tuple(Turn(one.start, one.end, str(one.speaker)) for one in segments)
    names = ("Speaker 1", "Speaker 2")
    heard = (Unrecognized(1.0, 2.0, "Speaker 2"),)
    return Transcript("en", 33 * 8.5, segments, names, "base", turns=turns, unrecognized=heard)


def _segment(number: int, line: Sequence[str], who: str) -> Segment:
    begin = number * 8.5
    words = tuple(Word(begin + i / 3, begin + i / 3 + 0.3, word, 0.5, who) for i, word in enumerate(line))
    said = "".join(line).strip() or "without times, so far"
    return Segment(begin, words[-1].end if words else begin + 8, said, words, who)


def shown(segment: Segment) -> list[Said]:
    """The words of a segment as the wire numbers them, with exact times."""
    return [(word.plain, word.start, word.end) for word in segment.words if word.plain]


def an_edit(rng: random.Random, now: Transcript) -> dict[str, Any]:
    at = rng.randrange(len(now.segments))
    segment, words = now.segments[at], shown(now.segments[at])
    size, kind = len(words), rng.choice(KINDS)
    first = rng.randint(0, size)
    last = rng.randint(first, min(size, first + 3))
    said = " ".join(rng.choice(TEXTS) for _ in range(rng.randint(1, 4)))
    if kind == "split" and size > 1:
        return {"op": "split", "segment": at, "word": rng.randrange(1, size)}
    if kind == "merge" and at + 1 < len(now.segments) and len(segment.text) < 200:
        return {"op": "merge", "segment": at}
    if kind == "retime" and size:
        word = rng.randrange(size)
        begin, end = sorted(rng.uniform(words[word][1], words[word][2]) for _ in range(2))
        return {"op": "retime", "segment": at, "word": word, "start": begin, "end": end}
    if kind == "speaker" and (first < last or not size):
        who = rng.choice([*now.speakers, "Cleo", None])
        return {"op": "speaker", "segment": at, "from": first, "to": last, "speaker": who}
    if kind == "names" and len(now.speakers) > 1 and rng.random() < 0.2:
        one, other = rng.sample(now.speakers, 2)
        return {"op": "merge_speakers", "from": one, "into": other}
    if kind == "delete" and len(now.segments) > 20:
        return {"op": "delete", "segment": at}
    if kind == "append":
        first = last = size
    if kind == "remove" and first < last:
        said = ""
    if kind == "accept" and first < last:
        said = " ".join(word for word, _, _ in words[first:last])
    return {"op": "replace", "segment": at, "from": first, "to": first if kind == "insert" else last, "text": said}


def check(edit: dict[str, Any], before: Transcript, after: Transcript) -> None:
    """Raise unless the words are those of before, with the same times, but for what the edit names."""
    lists = [shown(one) for one in before.segments]
    old = [word for one in lists for word in one]
    new = [word for one in after.segments for word in shown(one)]
    if edit["op"] == "merge_speakers":
        assert new == old
        return
    at = edit["segment"]
    skipped, here = sum(map(len, lists[:at])), len(lists[at])
    first, last = skipped + edit.get("from", 0), skipped + edit.get("to", 0)
    if edit["op"] == "delete":
        first, last = skipped, skipped + here
    elif edit["op"] == "retime":
        first = skipped + edit["word"]
        last = first + 1
        assert new[first] == (old[first][0], edit["start"], edit["end"])
    elif edit["op"] == "merge" and not (here and lists[at + 1]):  # words of a text without times appear
        first, last = (skipped, skipped) if not here else (skipped + here, skipped + here)
    elif edit["op"] != "replace":
        first = last = 0
        assert new == old
    stop = len(new) - len(old[last:])
    assert (new[:first], new[stop:]) == (old[:first], old[last:])
    if edit["op"] == "replace":
        assert (stop > first) == bool(edit["text"])
        if edit["text"] and last > first:  # the new words take exactly the time of the old ones
            assert (new[first][1], new[stop - 1][2]) == (old[first][1], old[last - 1][2])
    elif edit["op"] != "merge":
        assert stop - first == (edit["op"] == "retime")
    untouched = [one for n, one in enumerate(before.segments) if n not in (at, at + (edit["op"] == "merge"))]
    rest = iter(after.segments)
    assert all(any(one == other for other in rest) for one in untouched)  # in their order


def check_form(now: Transcript) -> None:
    """Times never decrease and lie in the recording; texts are spelled by their words."""
    words = [word for one in now.segments for word in one.words]
    assert all(one.start <= one.end <= other.start for one, other in pairwise(words))
    assert all(0 <= one.start <= one.end <= now.duration for one in (*words, *now.segments))
    assert all(one.start <= other.start for one, other in pairwise(now.segments))
    for one in now.segments:
        assert one.text
        assert not one.words or one.text.split() == "".join(word.text for word in one.words).split()
        assert not one.words or {word.speaker for word in one.words} == {one.speaker}
    assert list(now.speakers) == list(dict.fromkeys(one.speaker for one in now.segments if one.speaker))


def rows(database: Database, number: int) -> list[tuple[Any, ...]]:
    wanted = 'SELECT position, start, "end", speaker, text, words FROM segments WHERE transcript_id = :id ORDER BY 1'
    with database.read() as session:
        return [tuple(map(str, row)) for row in session.execute(text(wanted), {"id": number})]


def check_files(now: Transcript) -> None:
    """Raise unless every format of an export can be read and has what is said."""
    made = {
        format: b"".join(export(now, format, "Talk", WHEN).chunks)
        for format in ("txt", "srt", "vtt", "json", "csv", "tsv", "md", "docx", "pdf")
    }
    said = [one.text for one in now.segments]
    assert json.loads(made["json"])["segments"] == to_json(now)["segments"]
    table = list(csv.DictReader(io.StringIO(made["csv"].decode("utf-8-sig"), newline=""), strict=True))
    lines = [line.split("\t") for line in made["tsv"].decode().splitlines()]
    assert [[*row.values()] for row in table] == lines[1:]
    assert [row["text"].lstrip("'") for row in table] == [one.lstrip("'") for one in said]
    letters = re.sub(r"\W", "", "".join(said))
    for format in ("txt", "md", "srt", "vtt"):
        assert set(letters) <= set(made[format].decode())
    check_cues(made["srt"].decode(), ",")
    check_cues(made["vtt"].decode().removeprefix("WEBVTT\n\n"), ".")
    assert docx.Document(io.BytesIO(made["docx"])).paragraphs
    with pypdfium2.PdfDocument(made["pdf"]) as opened:
        assert len(opened) > 0


def check_cues(file: str, mark: str) -> None:
    time = rf"(\d\d):(\d\d):(\d\d)\{mark}(\d{{3}})"
    before = 0
    for cue in file.strip().split("\n\n"):
        found = re.search(rf"^{time} --> {time}", cue, re.MULTILINE)
        assert found, cue
        begin, end = _millis(found.groups()[:4]), _millis(found.groups()[4:])
        assert before <= begin < end
        before = end


def _millis(parts: Sequence[str]) -> int:
    hours, minutes, seconds, millis = map(int, parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis


def talks(library: Library, number: int) -> Iterator[tuple[dict[str, Any], Transcript, Transcript]]:
    """Make edits one by one; yield each with the transcript before and after it."""
    rng = random.Random(number)
    stored, now = library.read(OWNER, number)
    for _ in range(EDITS):
        edit = an_edit(rng, now)
        library.history.change(OWNER, number, Change(edits=[edit]), "", stored.revision)
        before, (stored, now) = now, library.read(OWNER, number)
        yield edit, before, now


@pytest.mark.slow
def test_500_edits_change_what_they_name_and_come_back(database: Database, tmp_path: Path) -> None:
    library = Library(database, tmp_path)
    with database.write() as session:
        number = library.open(session, OWNER, "Talk")
        library.complete(session, number, start())
    states = {1: (library.read(OWNER, number), rows(database, number))}
    done: dict[str, int] = {}
    for count, (edit, before, after) in enumerate(talks(library, number), 1):
        check(edit, before, after)
        check_form(after)
        done[edit["op"]] = done.get(edit["op"], 0) + 1
        stored = library.get(OWNER, number)
        states.setdefault(stored.revision, (library.read(OWNER, number), rows(database, number)))
        if count % CHECKED == 0:
            check_files(after)
    assert len(done) == 7  # each kind of edit was made
    assert min(done.values()) >= 2
    assert len(states) > 0.9 * EDITS
    for revision in random.Random(0).sample(sorted(states), 20):
        (stored, whole), kept = states[revision]
        assert library.history.get(OWNER, number, revision) == (stored, whole)
        back = library.history.restore(OWNER, number, revision)
        assert replace(back, revision=revision) == stored
        assert rows(database, number) == kept
        words = max(whole.segments[0].text.split(), key=len)
        assert [hit.id for hit in library.search(OWNER, f'"{words}"', 10).results] == [number]


@pytest.mark.parametrize("seed", range(20))
def test_rows_in_another_order_are_undone_too(seed: int) -> None:
    """As when segments that overlap are sorted again."""
    rng = random.Random(seed)
    rows: list[SegmentValues] = [
        {"start": float(n), "end": n + 1.0, "speaker": "A", "text": str(n), "words": []} for n in range(8)
    ]
    new = [*rng.sample(rows, 6), {**rows[0], "text": "new"}]
    replaced = tuple(Replaced(j, b, tuple(rows[i:a])) for i, a, j, b in compare(rows, new))
    assert undone(new, unpack(pack(Undo({}, replaced)))) == rows
