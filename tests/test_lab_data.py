"""Datasets: manifests are read, written and checked; other layouts are imported; bad input is named."""

from __future__ import annotations

import gc
import json
import math
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import files, tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_lab.cli import main
from stt_lab.errors import BadInput, Conflict, MissingFile, NotFound
from stt_lab.lab.data import dataset
from stt_lab.lab.data.annotations import read_annotation
from stt_lab.lab.data.dataset import Dataset, Item, Problem, check, read_manifest, write_manifest
from stt_lab.lab.data.importers import KINDS, ImportOptions, import_dataset
from stt_lab.lab.data.items import Flaw
from stt_lab.settings import get_settings
from stt_lab.text import LANGUAGES
from stt_lab.types import Segment, Turn, Word

Write = Callable[..., Path]


@pytest.fixture
def manifest(tmp_path: Path) -> Write:
    """Writes rows (as dicts, or as they stand) beside a tone.wav of 2 s."""
    tone(tmp_path / "tone.wav")

    def write(*rows: dict[str, Any] | bytes) -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        (tmp_path / "manifest.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        return tmp_path

    return write


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def sound(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tone(path, seconds)


# Reading


def test_a_row_has_values(manifest: Write) -> None:
    words = [{"word": "Hello", "start": 0, "end": 0.4}, {"text": "there", "start": 0.4, "end": 1, "confidence": 0.5}]
    folder = manifest(
        {
            "id": "a",
            "audio": "tone.wav",
            "duration": 2,
            "language": "en-US",
            "text": "Hello there",
            "segments": [{"start": 0, "end": 1, "text": "Hello there", "speaker": "Ada", "words": words}],
            "turns": [{"start": 0, "end": 1, "speaker": "Ada"}],
            "words": words,
            "kind": "read",
            "licence": "CC0-1.0",
            "source": "here",
            "mood": {"loud": [1, None]},
        }
    )
    found = read_manifest(folder)
    assert (found.name, found.folder) == (folder.name, folder)
    said = (Word(0, 0.4, "Hello"), Word(0.4, 1, "there", 0.5))
    assert found.items == (
        Item(
            "a",
            folder / "tone.wav",
            "en",
            "Hello there",
            (Segment(0, 1, "Hello there", said, "Ada"),),
            (Turn(0, 1, "Ada"),),
            said,
            2.0,
            "read",
            "CC0-1.0",
            "here",
            {"mood": {"loud": [1, None]}},
        ),
    )
    assert check(folder) == ()


def test_what_is_left_out_is_unknown(manifest: Write) -> None:
    found = read_manifest(manifest({"audio": "tone.wav"}, {"audio": "./tone.wav", "text": ""}) / "manifest.jsonl")
    first, second = found.items
    assert first == Item("tone", found.folder / "tone.wav")
    assert (first.text, first.segments, first.turns, first.words) == (None, None, None, None)
    assert second.text == ""


def test_columns_have_other_names_and_files(manifest: Write, tmp_path: Path) -> None:
    put(tmp_path / "both.rttm", "SPEAKER tone 1 0.5 1 <NA> <NA> A <NA> <NA>\nSPEAKER other 1 0 9 <NA> <NA> B <NA> <NA>")
    put(tmp_path / "words.json", '[{"word": "a", "start": 0, "end": 1, "speaker": "A"}]')
    put(tmp_path / "a.stm", "tone 1 A 0.5 1.5 hello")
    row = {"path": "tone.wav", "duration_s": 2.0, "rttm": "both.rttm", "word_times": "words.json", "segments": "a.stm"}
    (item,) = read_manifest(manifest(row | {"license": "MIT"})).items
    assert item.turns == (Turn(0.5, 1.5, "A"),)
    assert item.words == (Word(0, 1, "a", speaker="A"),)
    assert item.segments == (Segment(0.5, 1.5, "hello", speaker="A"),)
    assert (item.duration, item.licence, item.extra) == (2.0, "MIT", {})


def test_ids_become_unique(manifest: Write) -> None:
    rows = [{"id": id, "audio": "tone.wav"} for id in ("a", "a", "a#2", "a", "b")]
    folder = manifest(*rows)
    assert [item.id for item in read_manifest(folder).items] == ["a", "a#2", "a#2#2", "a#3", "b"]
    assert [problem.line for problem in check(folder)] == [2, 3, 4]
    assert "line 1 has the same id" in str(check(folder)[0])


DEEP = b'{"audio": "tone.wav", "x": ' + b"[" * 100_000 + b"}"
UNREADABLE = {
    "not JSON": (b"{audio: tone.wav}", "not JSON"),
    "not UTF-8": (b'{"audio": "tone.wav", "text": "caf\xe9"}', "not JSON: invalid unicode"),
    "nested": (DEEP, "recursion limit"),
    "an array": (b'[{"audio": "tone.wav"}]', "JSON list"),
    "not a number": (b'{"audio": "tone.wav", "duration": NaN}', "not JSON"),
    "a huge number": (b'{"audio": "tone.wav", "x": 1e999}', "too large"),
    "half a letter": (b'{"audio": "tone.wav", "text": "\\ud800"}', "not JSON"),
    "no audio": ({"id": "a", "text": "hi"}, "audio is missing"),
    "empty audio": ({"audio": ""}, 'audio cannot be ""'),
    "a null character": ({"audio": "a\0b"}, "null character"),
    "a number as text": ({"audio": "tone.wav", "text": 5}, "text cannot be 5. Input should be a valid string"),
    "text as duration": ({"audio": "tone.wav", "duration": "2"}, 'duration cannot be "2"'),
    "no duration": ({"audio": "tone.wav", "duration": 0}, "duration cannot be 0"),
    "twice the same": ({"audio": "tone.wav", "path": "tone.wav"}, "audio and path are aliases of one column"),
    "turns of nobody": ({"audio": "tone.wav", "turns": [{"start": 0, "end": 1}]}, "turns[1].speaker is missing"),
    "turns backwards": ({"audio": "tone.wav", "turns": [{"start": 2, "end": 1, "speaker": "A"}]}, "turns[1]: Turn"),
    "a word's time": (
        {"audio": "tone.wav", "segments": [{"start": 0, "end": 1, "text": "a", "words": [{"text": "a", "end": 1}]}]},
        "segments[1].words[1].start is missing",
    ),
    "no file": ({"audio": "tone.wav", "rttm": "none.rttm"}, "none.rttm does not exist"),
    "a folder": ({"audio": "tone.wav", "rttm": "/"}, "/ does not exist"),
    "another file": ({"audio": "tone.wav", "words": "text.rttm"}, "text.rttm line 1 has 2 fields"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named(name: str, manifest: Write) -> None:
    row, says = UNREADABLE[name]
    folder = manifest({"id": "fine", "audio": "tone.wav"}, b"", row)
    put(folder / "text.rttm", "some text")
    with pytest.raises(BadInput) as raised:
        read_manifest(folder)
    (problem,) = check(folder)
    assert problem.line == 3
    assert problem.id == (row.get("id", "") if isinstance(row, dict) else "")
    assert str(raised.value) == f"manifest.jsonl {problem}"
    assert says in str(problem)
    assert len(str(problem)) < 300
    assert str(folder) not in str(problem)


def test_huge_lines_end_the_reading(manifest: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "MAX_LINE", 1000)
    folder = manifest({"audio": "tone.wav"}, {"audio": "a" * 5000}, {"audio": "tone.wav"})
    assert [problem.line for problem in check(folder)] == [2]
    with pytest.raises(BadInput, match="line 2: the line is longer"):
        read_manifest(folder)


def test_there_must_be_a_manifest_with_rows(manifest: Write, tmp_path: Path) -> None:
    folder = manifest(b"\xef\xbb\xbf", b"  ")
    with pytest.raises(BadInput, match="has no rows"):
        read_manifest(folder)
    assert [problem.line for problem in check(folder)] == [0]
    with pytest.raises(MissingFile, match="No manifest"):
        read_manifest(tmp_path / "nowhere")


def test_files_of_others_lie_inside(manifest: Write, tmp_path: Path) -> None:
    secret = sound(tmp_path.parent / f"{tmp_path.name}-secret" / "secret.wav")
    put(secret.with_suffix(".rttm"), "")
    (tmp_path / "link.wav").symlink_to(secret)
    (tmp_path / "ring.wav").symlink_to("ring.wav")
    away = f"../{secret.parent.name}/secret"
    for row in (
        {"audio": str(secret)},
        {"audio": f"{away}.wav"},
        {"audio": "link.wav"},
        {"audio": "ring.wav"},
        {"audio": "tone.wav", "rttm": f"{away}.rttm"},
    ):
        folder = manifest(row)
        read_manifest(folder)
        with pytest.raises(BadInput, match=r"line 1.*(outside the dataset|cannot be opened)"):
            read_manifest(folder, inside=folder)
        assert check(folder, inside=folder)[0].line == 1
    assert read_manifest(manifest({"audio": "x/../tone.wav"}), inside=tmp_path).items[0].audio == tmp_path / "tone.wav"


# Writing

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
spans = st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(sorted)
words = st.builds(lambda span, *rest: Word(*span, *rest), spans, names, st.none() | st.floats(0, 1), st.none() | names)
segments = st.builds(
    lambda span, *rest: Segment(*span, *rest), spans, st.text(max_size=9), st.lists(words, max_size=2).map(tuple), names
)
turns = st.builds(lambda span, speaker: Turn(*span, speaker), spans, names)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)


def some(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(parts, max_size=2).map(tuple)


items = st.builds(
    Item,
    id=names,
    audio=st.sampled_from(["/data/set/a.wav", "/data/set/in/ä b.mp3", "/elsewhere/c.flac", "/data/settle/d.wav"]).map(
        Path
    ),
    language=st.none() | st.sampled_from(sorted(LANGUAGES)),
    text=st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
    segments=some(segments),
    turns=some(turns),
    words=some(words),
    duration=st.none() | st.floats(1e-3, 1e6),
    kind=names,
    licence=st.none() | names,
    source=st.just("") | names,
    extra=st.dictionaries(names.map("x_{}".format), plain, max_size=2),
)


@given(st.lists(items, min_size=1, max_size=3, unique_by=lambda item: item.id))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, made: list[Item]) -> None:
    written = Dataset("set", tmp_path, tuple(replace_root(item, tmp_path) for item in made))
    write_manifest(written, tmp_path / "some.jsonl")
    found = read_manifest(tmp_path / "some.jsonl")
    assert found.items == written.items
    assert found.digest() == written.digest()


def replace_root(item: Item, folder: Path) -> Item:
    audio = Path(str(item.audio).replace("/data/set/", f"{folder}/"))
    return Item(**vars(item) | {"audio": audio})


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "set" / "manifest.jsonl"
    good = Dataset("set", tmp_path, (Item("a", tmp_path / "a.wav"),))
    write_manifest(good, target)
    before = target.read_bytes()
    bad = Dataset("set", tmp_path, (*good.items, Item("b", tmp_path / "b.wav", extra={"x": math.nan})))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_manifest(bad, target)
    assert target.read_bytes() == before
    assert files(tmp_path) == [target]


def test_digests_tell_datasets_apart(manifest: Write, tmp_path: Path) -> None:
    rows = [{"id": "a", "audio": "tone.wav", "text": "hi"}, {"id": "b", "audio": "tone.wav"}]
    digest = read_manifest(manifest(*rows)).digest()
    assert read_manifest(manifest(*reversed(rows))).digest() == digest
    assert read_manifest(manifest(rows[0] | {"text": "Hi"}, rows[1])).digest() != digest
    folder = manifest(*rows)
    moved = folder.rename(folder.with_name(f"{folder.name}-moved"))
    assert read_manifest(moved).digest() == digest
    tone(moved / "tone.wav", 1.0)
    assert read_manifest(moved).digest() != digest
    moved.rename(tmp_path)


# Checks

HEARD = {"audio": "tone.wav", "duration": 2.0}
ONE = {"start": 0, "end": 1, "text": "a", "speaker": "A"}
WRONG = {
    "missing": ({"audio": "none.wav"}, "audio file does not exist"),
    "empty": ({"audio": "empty.wav"}, "audio file is empty"),
    "undecodable": ({"audio": "manifest.jsonl"}, "cannot be decoded"),
    "length": (HEARD | {"duration": 20.0}, "the audio lasts 2.00 s, but duration is 20.00"),
    "late turn": (HEARD | {"turns": [ONE, ONE | {"start": 2, "end": 2.8}]}, "turns[2] ends at 2.80 s"),
    "late word, length not told": ({"audio": "tone.wav", "words": [ONE | {"end": 3}]}, "words[1] ends at 3.00 s"),
    "language": (HEARD | {"language": "xx"}, "language 'xx' is not known"),
    "no language": (HEARD | {"language": ""}, "language is empty"),
    "no licence": (HEARD | {"licence": ""}, "licence is empty"),
    "null": (HEARD | {"text": None}, "text is null"),
    "blank": (HEARD | {"text": " "}, "text is blank"),
    "silent with turns": (HEARD | {"text": "", "segments": [ONE]}, "text is empty, but segments"),
    "silent without text": (HEARD | {"kind": "non-speech"}, "text is missing"),
    "silent with text": (HEARD | {"kind": "non-speech", "text": "hi"}, "text is not empty"),
    "empty segment": (HEARD | {"segments": [ONE | {"text": " "}]}, "segments[1] has no text"),
    "empty word": (HEARD | {"words": [ONE | {"text": ""}]}, "words[1] has no text"),
    "empty speaker": (HEARD | {"turns": [ONE | {"speaker": ""}]}, "empty speaker"),
    "unsorted": (HEARD | {"segments": [ONE | {"start": 0.5}, ONE]}, "segments[2] starts before"),
    "unsorted words": (HEARD | {"words": [ONE | {"start": 0.5}, ONE]}, "words[2] starts before"),
    "stray word": (
        HEARD | {"segments": [{"start": 0, "end": 0.2, "text": "a", "words": [ONE | {"start": 0.9}]}]},
        "segments[1].words[1] lies outside",
    ),
    "word of no segment": (
        HEARD | {"segments": [ONE | {"end": 0.2}], "words": [ONE | {"start": 0.9}]},
        "words[1] lies outside all",
    ),
}


def test_every_bad_row_is_named(manifest: Write) -> None:
    rows = [row | {"id": name} for name, (row, _) in WRONG.items()]
    folder = manifest({"id": "good", **HEARD, "text": "a", "segments": [ONE], "words": [ONE]}, *rows)
    put(folder / "empty.wav", "")
    found = check(folder, decode=True)
    assert [problem.id for problem in found] == list(WRONG)
    assert [problem.line for problem in found] == list(range(2, len(WRONG) + 2))
    for problem, (_, says) in zip(found, WRONG.values(), strict=True):
        assert says in problem.what
        assert problem.fix
    quick = {problem.id for problem in check(folder)}
    assert set(WRONG) - quick == {"undecodable", "length", "late word, length not told"}


def test_many_words_are_checked_quickly(manifest: Write) -> None:
    parts = [{"start": n / 5e3, "end": n / 5e3, "text": "a", "speaker": "A"} for n in range(5_000)]
    assert check(manifest(HEARD | {"segments": parts, "words": parts})) == ()


def test_the_development_set_is_read_whole() -> None:
    folder = get_settings().speech_dir
    if not (folder / "manifest.jsonl").is_file():
        pytest.skip("STT_LAB_SPEECH_DIR has no manifest.jsonl: run make data")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    found = read_manifest(folder).items
    assert len(found) == len(rows) > 5
    for column, field in (("text", "text"), ("rttm", "turns"), ("word_times", "words"), ("segments", "segments")):
        told = [row.get(column) is not None for row in rows]
        assert [getattr(item, field) is not None for item in found] == told
    assert all(item.audio.is_file() and item.duration for item in found)
    assert {problem.what.split(" has the same id")[0][:5] for problem in check(folder)} <= {"line "}


# Files of annotations

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hi</i> {\\an8}there &amp;
you < me

2
00:00:03,000 --> 00:00:03,500

""".replace("\n", "\r\n")
VTT = """WEBVTT - a talk

STYLE
::cue { color: red }

NOTE nothing

00:01.000 --> 00:02.000 align:start
<v.loud Ada>A &amp; B</v>

last
01:00:03.000 --> 01:00:04.000
<v Ada>Yes.</v> <v Bob Brown>No.
"""
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
2
<exists>
3
"IntervalTier"
"Ada - words"
0
2
3
0
0.5
"hello"
0.5
1
""
1
2
"you"
"IntervalTier"
"Ada - phones"
0
2
1
0
2
"h"
"IntervalTier"
"Bob"
0
2
1
0.25
2
"oh, yes"
"""


def annotation(tmp_path: Path, name: str, text: str | bytes) -> Any:
    return read_annotation(put(tmp_path / name, text), name, ["talk"])


def test_subtitles(tmp_path: Path) -> None:
    found = annotation(tmp_path, "a.srt", SRT)
    assert found.segments == (Segment(1, 2.5, "Hi there &amp; you < me"),)
    assert (found.text, found.turns, found.words) == ("Hi there &amp; you < me", None, None)
    found = annotation(tmp_path, "a.vtt", VTT)
    assert found.turns == (Turn(1, 2, "Ada"), Turn(3603, 3604, "Ada"), Turn(3603, 3604, "Bob Brown"))
    assert [part.text for part in found.segments] == ["A & B", "Yes.", "No."]


def test_lines_of_nist(tmp_path: Path) -> None:
    stm = ";; comment\ntalk A Bob 1 2.5 <o,f0,male> well <um> yes\ntalk A inter_segment_gap 0 1\ntalk 1 Ada 0.5 1 \n"
    found = annotation(tmp_path, "a.stm", stm)
    assert found.segments == (Segment(0.5, 1, "", speaker="Ada"), Segment(1, 2.5, "well um yes", speaker="Bob"))
    found = annotation(tmp_path, "a.ctm", "talk A 1 0.5 yes 0.9\ntalk A 0 0.5 well NA\nother A 0 1 no\n")
    assert found.words == (Word(0, 0.5, "well"), Word(1, 1.5, "yes", 0.9))
    assert found.text == "well yes"
    found = annotation(
        tmp_path, "a.rttm", "SPKR-INFO x 1 <NA> <NA> <NA> unknown Ada <NA>\nSPEAKER x 1 0 1 <NA> <NA> Ada <NA>"
    )
    assert found.turns == (Turn(0, 1, "Ada"),)
    assert annotation(tmp_path, "b.rttm", "").turns == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_textgrids(tmp_path: Path, encoding: str) -> None:
    found = annotation(tmp_path, "a.TextGrid", TEXTGRID.encode(encoding))
    assert found.words == (Word(0, 0.5, "hello", speaker="Ada"), Word(1, 2, "you", speaker="Ada"))
    assert found.segments == (Segment(0.25, 2, "oh, yes", speaker="Bob"),)


BROKEN = {
    "a.srt": ("1\n00:00:01,000 --> later\nHi\n", "a.srt line 2: '00:00:01,000 --> later' is not a time range"),
    "b.srt": ("1\n00:00:02,000 --> 00:00:01,000\nHi\n", "b.srt line 2: 2 .. 1 are not valid times"),
    "c.srt": ("1\n00:00:01,000 --> 00:00:02,000\nHi\n\nand more\n", "c.srt line 5: 'and more' is not a time range"),
    "a.vtt": (b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\n", "a.vtt line 4 is not UTF-8"),
    "a.rttm": ("SPEAKER talk 1 0 x <NA> <NA> A <NA> <NA>", "a.rttm line 1: 'x' is not a number"),
    "b.rttm": ("SPEAKER talk 1 0 inf <NA> <NA> A <NA> <NA>", "b.rttm line 1: 'inf' is not a number"),
    "c.rttm": ("SPEAKER a 1 0 1 - - A - -\nSPEAKER b 1 0 1 - - A - -", "c.rttm describes 2 recordings"),
    "a.stm": ("talk 1 A 0\n", "a.stm line 1 has 4 fields"),
    "a.ctm": ("\ntalk 1 0 -1 a", "a.ctm line 2: 0 .. -1 are not valid times"),
    "a.TextGrid": ("hello", "a.TextGrid is not a TextGrid"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_annotations_are_named(name: str, tmp_path: Path) -> None:
    text, says = BROKEN[name]
    with pytest.raises(Flaw) as raised:
        annotation(tmp_path, name, text)
    assert says in str(raised.value)
    sound(tmp_path / "talks" / name).rename(tmp_path / "talks" / f"{name.split('.')[0]}.wav")
    put(tmp_path / "talks" / name, text)
    if not name.startswith("c.rttm"):
        with pytest.raises(BadInput, match=r"^\w\.\w+ "):
            import_dataset("folder", tmp_path / "talks", tmp_path / "made")
        assert not (tmp_path / "made").exists()


# Importers. Those of Hugging Face are slow, because to import datasets is


def imported(kind: str, tmp_path: Path, source: Path | str | None = None, **options: Any) -> list[Item]:
    """What an importer makes of tmp_path/source, as the manifest tells it again; nothing in it is bad."""
    target = tmp_path / "made"
    made = import_dataset(kind, source or tmp_path / "source", target, ImportOptions(**options))
    assert read_manifest(target) == made
    assert check(target) == ()
    return list(made.items)


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    for name in ("talk.wav", "talk.mp4", "in/Chat.WAV", "silence.wav", "unknown.wav", ".hidden.wav"):
        sound(folder / name, 2.0)
    put(folder / "talk.txt", "Hi there!\n")
    put(folder / "in/Chat.rttm", "SPEAKER Chat 1 0 1 - - A - -\nSPEAKER Chat 1 1 1 - - B - -")
    put(folder / "in/Chat.stm", "Chat 1 C 0 1 yes")
    put(folder / "in/Chat.ctm", "Chat 1 0 1 yes")
    put(folder / "silence.txt", "")
    chat, silence, mp4, wav, unknown = imported("folder", tmp_path, language="en", licence="MIT")
    assert (chat.id, chat.kind, chat.text, chat.language, chat.licence) == (
        "in/Chat",
        "multi-speaker",
        "yes",
        "en",
        "MIT",
    )
    assert chat.turns == (Turn(0, 1, "A"), Turn(1, 2, "B"))
    assert chat.segments == (Segment(0, 1, "yes", speaker="C"),)
    assert chat.words == (Word(0, 1, "yes"),)
    assert (silence.text, silence.kind) == ("", "non-speech")
    assert [one.id for one in (mp4, wav)] == ["talk.mp4", "talk.wav"]
    assert mp4.text == wav.text == "Hi there!"
    assert unknown == Item("unknown", folder / "unknown.wav", "en", licence="MIT")
    rows = [json.loads(line) for line in (tmp_path / "made/manifest.jsonl").read_text("utf-8").splitlines()]
    assert rows[0]["audio"] == str(folder / "in/Chat.WAV")


def test_audio_is_named_copied_or_linked(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    for name in ("a b.wav", "in/a b.wav", "in/a_b.wav"):
        sound(folder / name)
    made = imported("folder", tmp_path, audio="copy")
    assert [item.audio.name for item in made] == ["a_b.wav", "in_a_b.wav", "in_a_b-2.wav"]
    assert all(item.audio.parent == tmp_path / "made/audio" and not item.audio.is_symlink() for item in made)
    with pytest.raises(Conflict, match="already exists"):
        import_dataset("folder", folder, tmp_path / "made")
    linked = import_dataset("folder", folder, tmp_path / "links", ImportOptions(audio="link"))
    assert linked.items[0].audio.readlink() == folder / "a b.wav"
    beside = import_dataset("folder", folder, folder)
    assert json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])["audio"] == "a b.wav"
    assert len(beside.items) == 3
    assert {path.name for path in folder.iterdir()} == {"a b.wav", "in", "manifest.jsonl"}


def test_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    sound(folder / "wavs/1.wav")
    put(folder / "1.rttm", "SPEAKER 1 1 0 0.5 - - A - -")
    head = "\ufefffile;sentence;path;rttm;duration;kind\r\n"
    text = head + 'wavs/1.wav;"a;\r\nb";x;1.rttm;0.5;\r\nwavs/1.wav;;;;;non-speech\r\n'
    put(folder / "t.csv", text)
    columns = {"audio": "file", "text": "sentence"}
    with pytest.raises(BadInput, match=r"two recordings are called wavs/1"):
        import_dataset("table", folder / "t.csv", tmp_path / "made", ImportOptions(columns=columns))
    put(folder / "t.csv", text.replace("wavs/1.wav;;", "wavs/../wavs/1.wav;;"))
    one, two = imported("table", tmp_path, folder / "t.csv", columns=columns)
    assert (one.text, one.extra, one.duration, one.turns) == ("a;\r\nb", {"path_": "x"}, 0.5, (Turn(0, 0.5, "A"),))
    assert (two.text, two.kind) == ("", "non-speech")


TABLES = {
    "audio,text\na.wav\n": "t.csv line 2 does not have 2 cells",
    "audio,text\na.wav,b,c\n": "t.csv line 2 does not have 2 cells",
    "audio,audio\na.wav,b\n": "line 1 names a column twice",
    "file,text\na.wav,b\n": "line 1 has no column audio",
    "audio,words\na.wav,b\n": "t.csv line 2: b does not exist",
    "audio,duration\na.wav,long\n": "t.csv line 2: duration cannot be 'long'",
    b"audio,text\na.wav,\xff\n": "t.csv is not UTF-8",
    "": "no column audio",
    "audio\n": "has no recordings",
}


@pytest.mark.parametrize("text", TABLES)
def test_bad_tables_are_named(text: str | bytes, tmp_path: Path) -> None:
    put(tmp_path / "t.csv", text)
    with pytest.raises(BadInput) as raised:
        import_dataset("table", tmp_path / "t.csv", tmp_path / "made")
    assert TABLES[text] in str(raised.value)
    with pytest.raises(BadInput, match="no column 'x' for text"):
        import_dataset(
            "table", put(tmp_path / "u.csv", "audio\n"), tmp_path / "made", ImportOptions(columns={"text": "x"})
        )
    assert not (tmp_path / "made").exists()


def test_librispeech(tmp_path: Path) -> None:
    chapter = tmp_path / "source/LibriSpeech/test-clean/84/121123"
    for name in ("84-121123-0000.flac", "84-121123-0001.flac"):
        sound(chapter / name)
    table = put(chapter / "84-121123.trans.txt", "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT IN\n")
    one, two = imported("librispeech", tmp_path, split="test-clean")
    assert (one.id, one.language, one.text, one.licence) == ("84-121123-0000", "en", "GO DO YOU HEAR", "CC BY 4.0")
    assert two.extra == {"speaker": "84", "chapter": "121123"}
    put(table, "84-121123-0000 GO\n84-121123-0009 BUT\n")
    says = r"84-121123.trans.txt line 2: 84-121123-0009.flac is missing"
    with pytest.raises(BadInput, match=says):
        import_dataset("librispeech", tmp_path / "source", tmp_path / "again")
    with pytest.raises(BadInput, match="no recordings in the layout librispeech"):
        import_dataset("librispeech", tmp_path / "source", tmp_path / "again", ImportOptions(split="dev"))


def test_common_voice(tmp_path: Path) -> None:
    folder = tmp_path / "source/sv-SE"
    sound(folder / "clips/cv_1.mp3")
    sound(folder / "clips/cv_2.mp3")
    head = "client_id\tpath\tsentence\tage\tlocale\n"
    put(folder / "test.tsv", f'{head}c1\tcv_1.mp3\t"Hej", sa han.\ttwenties\tsv-SE\nc2\tcv_2\tJa\t\tsv-SE\n')
    one, two = imported("common_voice", tmp_path, folder)
    assert (one.id, one.language, one.text) == ("cv_1", "sv", '"Hej", sa han.')
    assert (two.extra, two.audio) == ({"client_id": "c2"}, folder / "clips/cv_2.mp3")
    with pytest.raises(BadInput, match=r"validated\.tsv does not exist"):
        import_dataset("common_voice", folder, tmp_path / "again", ImportOptions(split="validated"))


def test_fleurs(tmp_path: Path) -> None:
    for place, text in (("cmn_hans_cn", "你好。"), ("ast_es", "Hola")):
        sound(tmp_path / f"source/{place}/audio/test/1.wav")
        put(tmp_path / f"source/{place}/test.tsv", f"7\t1.wav\t{text}\tx\tx |\t8000\tMALE\n")
    put(tmp_path / "source/ast_es/test.tsv", "")
    (one,) = imported("fleurs", tmp_path)
    assert (one.id, one.language, one.text, one.extra["sentence"]) == ("cmn_hans_cn/1", "zh", "你好。", "7")
    put(tmp_path / "source/ast_es/test.tsv", "7\t1.wav\tHola\n")
    with pytest.raises(BadInput, match=r"ast_es/test\.tsv line 1 does not have the fields"):
        import_dataset("fleurs", tmp_path / "source", tmp_path / "again")
    (tmp_path / "source/ast_es/audio/test").rename(tmp_path / "source/ast_es/audio/dev")
    with pytest.raises(BadInput, match=r"Unpack ast_es/audio/test.tar.gz"):
        import_dataset("fleurs", tmp_path / "source", tmp_path / "again")


NXT = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<nite:root xmlns:nite="http://nite.sourceforge.net/">{}</nite:root>'
WORDS = """<w nite:id="w0" starttime="0.1" endtime="0.3">Okay</w>
<w nite:id="w1" starttime="0.3" endtime="0.3" punc="true">.</w>
<vocalsound nite:id="w2" type="laugh"/><w nite:id="w3">Yes</w><w nite:id="w4" starttime="0.5" endtime="0.6">sir</w>"""
UTTERANCES = """<segment nite:id="s1"><nite:child href="ES2002a.A.words.xml#id(w0)..id(w1)"/></segment>
<segment nite:id="s2"><nite:child href="ES2002a.A.words.xml#id(w3)..id(w4)"/></segment>
<segment nite:id="s3"><nite:child href="ES2002a.A.words.xml#id(w2)"/></segment>"""


def test_ami(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    for device in ("Mix-Headset", "Array1-01"):
        sound(folder / f"amicorpus/ES2002a/audio/ES2002a.{device}.wav", 2.0)
    put(folder / "words/ES2002a.A.words.xml", NXT.format(WORDS))
    table = put(folder / "segments/ES2002a.A.segments.xml", NXT.format(UTTERANCES))
    (item,) = imported("ami", tmp_path)
    assert (item.id, item.language, item.text) == ("ES2002a", "en", "Okay. Yes sir")
    assert item.turns == (Turn(0.1, 0.3, "A"), Turn(0.3, 0.6, "A"))
    assert [word.text for word in item.words or ()] == [" Okay", ".", " Yes", " sir"]
    put(folder / "rttms/ES2002a.rttm", "SPEAKER ES2002a 1 0 1 - - FEE005 - -")
    (array,) = import_dataset("ami", folder, tmp_path / "array", ImportOptions(split="Array1-01")).items
    assert array.turns == (Turn(0, 1, "FEE005"),)
    assert array.segments == item.segments
    put(table, NXT.format('<segment nite:id="s1"><nite:child href="x#id(w9)"/></segment>'))
    with pytest.raises(BadInput, match=r"ES2002a.A.segments.xml s1 refers to words that do not exist"):
        import_dataset("ami", folder, tmp_path / "again")
    put(table, "<root>\n<")
    with pytest.raises(BadInput, match=r"ES2002a.A.segments.xml line 2 is not XML"):
        import_dataset("ami", folder, tmp_path / "again")


def test_voxconverse(tmp_path: Path) -> None:
    sound(tmp_path / "source/voxconverse_dev_wav/audio/abjxc.wav", 2.0)
    sound(tmp_path / "source/voxconverse_test_wav/aepyx.wav", 2.0)
    put(tmp_path / "source/repository/dev/abjxc.rttm", "SPEAKER abjxc 1 0.4 1 <NA> <NA> spk00 <NA> <NA>\n")
    (item,) = imported("voxconverse", tmp_path, split="dev")
    assert (item.id, item.turns, item.text) == ("abjxc", (Turn(0.4, 1.4, "spk00"),), None)
    with pytest.raises(BadInput, match=r"voxconverse_test_wav/aepyx.wav has no aepyx.rttm"):
        import_dataset("voxconverse", tmp_path / "source", tmp_path / "again")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails when anything was asked of the network, also when the error was swallowed."""
    asked: list[object] = []
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, lambda *address, **how: asked.append(address) or sys.exit("network"))
    yield
    assert not asked


def rows_with_sound(tmp_path: Path) -> Any:
    import datasets
    import pyarrow

    content = sound(tmp_path / "one.wav").read_bytes()
    table = {
        "id": [7, 7],
        "audio": [{"bytes": content, "path": "x/a.wav"}, {"bytes": None, "path": str(tmp_path / "one.wav")}],
        "sentence": ["hi", None],
        "path": ["p", None],
        "loudness": [float("nan"), 0.5],
    }
    rows = datasets.Dataset(pyarrow.table(table))
    return rows.cast(datasets.Features({**rows.features, "audio": datasets.Audio(decode=False)}))


def check_rows(found: list[Item], tmp_path: Path) -> None:
    one, two = found
    assert (one.id, one.text, one.audio) == ("row-000001", "hi", tmp_path / "made/audio/row-000001.wav")
    assert (one.extra, one.audio.read_bytes()) == ({"id_": 7, "path_": "p"}, (tmp_path / "one.wav").read_bytes())
    assert (two.text, two.extra) == (None, {"id_": 7, "loudness": 0.5})


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_hugging_face_from_disk(tmp_path: Path) -> None:
    import datasets

    rows = rows_with_sound(tmp_path)
    datasets.DatasetDict({"train": rows, "dev": rows}).save_to_disk(tmp_path / "source")
    with pytest.raises(BadInput, match=r"has the splits train, dev\. Choose one with --split"):
        import_dataset("huggingface", tmp_path / "source", tmp_path / "made")
    made = import_dataset("huggingface", tmp_path / "source", tmp_path / "made", ImportOptions(split="dev")).items
    assert [item.id for item in made] == ["dev-000001", "dev-000002"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_hugging_face_from_parquet(tmp_path: Path) -> None:
    rows_with_sound(tmp_path).to_parquet(tmp_path / "source/data/test-00000-of-00001.parquet")
    check_rows(imported("huggingface", tmp_path), tmp_path)
    with pytest.raises(BadInput, match=r"no column 'x' for text\. Choose from"):
        import_dataset("huggingface", tmp_path / "source", tmp_path / "again", ImportOptions(columns={"text": "x"}))
    put(tmp_path / "source/data/test-00000-of-00001.parquet", "no parquet")
    with pytest.raises(BadInput, match="cannot be read as a dataset"):
        import_dataset("huggingface", tmp_path / "source", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # datasets leaves the table open
@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_hugging_face_from_an_audio_folder(tmp_path: Path) -> None:
    sound(tmp_path / "source/a.wav")
    sound(tmp_path / "source/b.wav")
    put(tmp_path / "source/metadata.csv", "file_name,transcription\na.wav,hi\nb.wav,you\n")
    found = imported("huggingface", tmp_path)
    assert [item.text for item in found] == ["hi", "you"]
    assert found[0].audio == tmp_path / "source/a.wav"
    gc.collect()


def test_the_hub_is_left_alone_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_LAB_OFFLINE", "1")
    get_settings.cache_clear()
    with pytest.raises(NotFound, match="STT_LAB_OFFLINE"):
        import_dataset("huggingface", "google/fleurs:en_us", tmp_path / "made")
    monkeypatch.undo()
    get_settings.cache_clear()


def test_each_layout_has_a_module() -> None:
    folder = Path(sys.modules["stt_lab.lab.data.importers"].__file__ or "").parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "options"} == set(KINDS)
    with pytest.raises(BadInput, match="Choose from folder, table"):
        import_dataset("zip", "x", Path(os.devnull).with_name("nowhere"))


# Commands


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound(tmp_path / "source/a.wav")
    put(tmp_path / "source/t.tsv", "file\tsaid\na.wav\thello\n")
    command = [
        "data",
        "import",
        "table",
        str(tmp_path / "source/t.tsv"),
        str(tmp_path / "made"),
        "--language",
        "German",
    ]
    assert main([*command, "--columns", "audio=file,text=said"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'made'}: 1 recordings, 1 with text.\n"
    assert main(["data", "check", str(tmp_path / "made")]) == 0
    (tmp_path / "source/a.wav").unlink()
    assert main(["data", "check", str(tmp_path / "made"), "--quick"]) == 1
    assert "line 1 (a): the audio file does not exist. Correct its name" in capsys.readouterr().out
    assert main([*command, "--columns", "text"]) == 1
    assert "Write pairs such as text=sentence" in capsys.readouterr().err


def test_problems_read_as_sentences() -> None:
    assert str(Problem(3, "a", "text is null", "leave it out")) == "line 3 (a): text is null. Leave it out."
    assert str(Problem(0, "", "there are no rows", "write some")) == "the manifest: there are no rows. Write some."
