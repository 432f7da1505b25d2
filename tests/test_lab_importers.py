"""Importers, annotations and manifests: edge cases of layouts, formats and rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lab_toys import add, imported, put, read

from stt_lab.errors import BadInput, Conflict, MissingFile, TooLarge
from stt_lab.lab.data import dataset
from stt_lab.lab.data.annotations import Annotation, read_text, span
from stt_lab.lab.data.annotations import files as annotation_files
from stt_lab.lab.data.checks import Audios, flaws
from stt_lab.lab.data.dataset import check, read_manifest
from stt_lab.lab.data.importers import ImportOptions, ami, common_voice, huggingface, options, table
from stt_lab.lab.data.items import Flaw, Item, Problem
from stt_lab.lab.data.rows import ManifestRow, columns, locate, parse
from stt_lab.types import Segment, Turn, Word

# What importers share


def test_files_are_found_below_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.WAV", "a.wav", "deep/c.Wav", ".hidden.wav", ".git/d.wav", "e.txt", "deep/.x/f.wav"):
        put(tmp_path / name)
    found = options.files(tmp_path, frozenset([".wav"]))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.wav", "b.WAV", "deep/c.Wav"]
    assert options.files(tmp_path / "none", frozenset([".wav"])) == []


def test_lines_have_their_place(tmp_path: Path) -> None:
    path = put(tmp_path / "t.txt", "\ufeffone\n\n  \nfour")
    assert list(options.lines(path, "t.txt")) == [("t.txt line 1", "one"), ("t.txt line 4", "four")]
    put(path, b"one\n\xff\n")
    with pytest.raises(Flaw, match=r"t.txt is not UTF-8 after line \d\. Save the file as UTF-8"):
        list(options.lines(path, "t.txt"))
    with pytest.raises(Flaw, match=r"none\.txt does not exist"):
        list(options.lines(tmp_path / "none.txt", "none.txt"))


def test_tags_of_languages() -> None:
    assert [options.code_of(tag) for tag in ("en_us", "sv-SE", "PT", "xyz-Latn", "Qaa_x")] == [
        "en", "sv", "pt", "xyz", "qaa",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        (Annotation(), "speech"),
        (Annotation(text=""), "non-speech"),
        (Annotation(text="a", turns=(Turn(0, 1, "A"),)), "speech"),
        (Annotation(turns=(Turn(0, 1, "A"), Turn(1, 2, "B"))), "multi-speaker"),
        (Annotation(segments=(Segment(0, 1, "a", speaker="A"), Segment(1, 2, "b"))), "multi-speaker"),
    ],
)
def test_a_kind_follows_from_the_annotation(known: Annotation, kind: str) -> None:
    assert options.annotated("i", Path("/i.wav"), known).kind == kind


def test_options_complete_what_a_layout_does_not_say(tmp_path: Path) -> None:
    put(tmp_path / "source/a.wav")
    (made,) = imported("folder", tmp_path / "source", tmp_path / "made", language="de", licence="CC0", source="mine")
    assert (made.language, made.licence, made.source, made.text) == ("de", "CC0", "mine", None)


def test_nothing_is_left_when_an_import_fails(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(BadInput, match=r"has no recordings in the layout folder\. Expected: audio with"):
        imported("folder", tmp_path / "source", tmp_path / "made")
    assert not (tmp_path / "made").exists()
    put(tmp_path / "kept/notes.txt", "mine")
    with pytest.raises(BadInput, match="is not a folder"):
        imported("folder", tmp_path / "none", tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["notes.txt"]


def test_audio_that_is_copied_must_be_there(tmp_path: Path) -> None:
    put(tmp_path / "t.csv", "audio,text\nnone.wav,hi\n")
    (referred,) = imported("table", tmp_path / "t.csv", tmp_path / "one")
    assert referred.audio == tmp_path / "none.wav"  # `check` will say that it is missing
    with pytest.raises(MissingFile, match="The audio of none does not exist"):
        imported("table", tmp_path / "t.csv", tmp_path / "two", audio="copy")
    assert not (tmp_path / "two").exists()


def test_copies_get_names_of_their_own(tmp_path: Path) -> None:
    rows = [{"audio": f"{n}.wav", "id": id} for n, id in enumerate(["a b", "a/b", "...", "x" * 150])]
    lines = "audio,id\n" + "".join(f"{row['audio']},{row['id']}\n" for row in rows)
    for row in rows:
        put(tmp_path / row["audio"], row["audio"])
    made = imported("table", put(tmp_path / "t.csv", lines), tmp_path / "made", audio="copy")
    assert [item.audio.name for item in made] == ["a_b.wav", "a_b-2.wav", "audio.wav", "x" * 100 + ".wav"]
    assert [item.audio.read_text() for item in made] == ["0.wav", "1.wav", "2.wav", "3.wav"]
    with pytest.raises(Conflict, match=r"made/manifest\.jsonl already exists"):
        imported("table", tmp_path / "t.csv", tmp_path / "made")
    (tmp_path / "made/manifest.jsonl").unlink()
    with pytest.raises(Conflict, match="made/audio already exists"):
        imported("table", tmp_path / "t.csv", tmp_path / "made", audio="link")


def test_links_lead_to_the_recordings(tmp_path: Path) -> None:
    put(tmp_path / "source/a.wav", "sound")
    (made,) = imported("folder", tmp_path / "source", tmp_path / "made", audio="link")
    assert made.audio == tmp_path / "made/audio/a.wav"
    assert made.audio.is_symlink()
    assert made.audio.read_text() == "sound"


# Folders


def test_the_first_annotation_that_says_it_counts(tmp_path: Path) -> None:
    source = tmp_path / "source"
    put(source / "talk.wav")
    put(source / "talk.txt", "from txt")
    put(source / "talk.srt", "1\n00:00:00,000 --> 00:00:01,000\nfrom srt\n")
    put(source / "talk.rttm", "SPEAKER talk 1 0 2 <NA> <NA> A <NA> <NA>\nSPEAKER talk 1 2 1 <NA> <NA> B <NA> <NA>\n")
    (made,) = imported("folder", source, tmp_path / "made")
    assert made.text == "from txt"
    assert made.segments == (Segment(0, 1, "from srt"),)
    assert made.turns == (Turn(0, 2, "A"), Turn(2, 3, "B"))
    assert made.kind == "multi-speaker"


def test_twins_are_named_with_their_suffix(tmp_path: Path) -> None:
    for name in ("talk.wav", "talk.mp3", "other.wav"):
        put(tmp_path / "source" / name)
    put(tmp_path / "source/talk.txt", "both say this")
    made = imported("folder", tmp_path / "source", tmp_path / "made")
    assert [(item.id, item.text) for item in made] == [
        ("other", None), ("talk.mp3", "both say this"), ("talk.wav", "both say this"),
    ]  # fmt: skip


# Tables


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "audio;text\na.wav;hi, you\n"),
        ("t.csv", "audio|text\na.wav|hi, you\n"),
        ("t.csv", 'audio,text\na.wav,"hi, you"\n'),
        ("t.tsv", "audio\ttext\na.wav\thi, you\n"),
        ("t.csv", "\ufeffaudio\ttext\r\na.wav\thi, you\r\n"),
    ],
)
def test_delimiters_are_found(tmp_path: Path, name: str, text: str) -> None:
    (made,) = imported("table", put(tmp_path / name, text), tmp_path / "made")
    assert (made.id, made.text) == ("a", "hi, you")


def test_empty_cells_are_unknown_but_for_silence(tmp_path: Path) -> None:
    text = "audio,text,kind,duration,more\na.wav,,,1.5,x\nb.wav,,non-speech,,\n"
    one, other = imported("table", put(tmp_path / "t.csv", text), tmp_path / "made")
    assert (one.text, one.kind, one.duration, one.extra) == (None, "speech", 1.5, {"more": "x"})
    assert (other.text, other.kind, other.duration, other.extra) == ("", "non-speech", None, {})


def test_columns_are_mapped_and_do_not_collide() -> None:
    row = {"file": "a.wav", "path": "elsewhere", "text": "raw", "written": "Clean."}
    assert table.mapped(row, {"audio": "file", "text": "written"}) == {
        "audio": "a.wav", "text": "Clean.", "path_": "elsewhere", "text_": "raw",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("audio,audio\na,b\n", "t.csv line 1 names a column twice. Give each column a unique name."),
        ("file,text\na,b\n", "t.csv line 1 has no column audio. Name it with --columns audio=NAME,text=NAME."),
        ("audio,duration\na.wav,long\n", "t.csv line 2: duration cannot be 'long'. Write seconds."),
        ("audio,duration\na.wav,-1\n", "t.csv line 2: duration cannot be -1.0. Input should be greater than 0."),
        ("audio,text\n,hi\n", "t.csv line 2: audio is missing. Add it."),
        (b"audio,text\na.wav,\xff\n", "t.csv is not UTF-8 after line 0. Save the file as UTF-8."),
    ],
)
def test_bad_tables_are_sentences(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        imported("table", put(tmp_path / "t.csv", text), tmp_path / "made")
    assert str(raised.value) == sentence
    with pytest.raises(BadInput, match=r"none.csv does not exist\. Pass a .csv or .tsv file"):
        imported("table", tmp_path / "none.csv", tmp_path / "made")


# Corpora


def test_early_releases_of_common_voice(tmp_path: Path) -> None:
    head = "client_id\tpath\tsentence\tage\tlocale\n"
    put(tmp_path / "cv/dev.tsv", f'{head}c1\tclip_1\tSay "yes.\t\tsv-SE\nc2\tclip_2.mp3\tNo.\ttwenties\t\n')
    one, other = common_voice.read(str(tmp_path / "cv"), ImportOptions(split="dev"))
    assert (one.id, one.audio, one.language) == ("clip_1", tmp_path / "cv/clips/clip_1.mp3", "sv")
    assert (one.text, one.extra) == ('Say "yes.', {"client_id": "c1"})  # quotes are words here
    assert (other.id, other.language, other.extra) == ("clip_2", "cv", {"client_id": "c2", "age": "twenties"})
    for bad in ("c\tx\t \t\ten\n", "c\t../x.mp3\tNo.\t\ten\n"):
        put(tmp_path / "cv/test.tsv", head + bad)
        with pytest.raises(Flaw, match=r"test\.tsv line 2 has no clip or no sentence"):
            list(common_voice.read(str(tmp_path / "cv"), ImportOptions()))


NITE = 'xmlns:nite="http://nite.sourceforge.net/"'


def words_xml(*elements: str) -> str:
    return f'<?xml version="1.0"?><nite:root {NITE}>{"".join(elements)}</nite:root>'


def test_words_of_a_meeting_without_times(tmp_path: Path) -> None:
    put(tmp_path / "ES2002a.Mix-Headset.wav")
    put(tmp_path / "words/ES2002a.A.words.xml", words_xml(
        '<w nite:id="w0" starttime="1.0" endtime="1.5">Okay</w>',
        '<w nite:id="w1" starttime="1.5" endtime="1.5" punc="true">,</w>',
        '<vocalsound nite:id="w2" starttime="1.6" endtime="1.9"/>',
        '<w nite:id="w3">so</w>',
    ))  # fmt: skip
    put(tmp_path / "segments/ES2002a.A.segments.xml", words_xml(
        '<segment nite:id="s0"><nite:child href="ES2002a.A.words.xml#id(w0)..id(w3)"/></segment>',
        '<segment nite:id="s1"><nite:child href="ES2002a.A.words.xml#id(w2)"/></segment>',
    ))  # fmt: skip
    (made,) = ami.read(str(tmp_path), ImportOptions())
    assert made.segments is not None
    assert [(part.start, part.end, part.text) for part in made.segments] == [(1.0, 1.5, "Okay, so")]
    assert [(word.start, word.end, word.text) for word in made.words or ()] == [
        (1.0, 1.5, " Okay"), (1.5, 1.5, ","), (1.5, 1.5, " so"),
    ]  # fmt: skip
    assert (made.id, made.text, made.turns) == ("ES2002a", "Okay, so", (Turn(1.0, 1.5, "A"),))
    assert list(ami.read(str(tmp_path), ImportOptions(split="Array1-01"))) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("<root>", r"A.words.xml line 1 is not XML\. Check that the download is complete"),
        (words_xml('<w nite:id="w0" starttime="soon">a</w>'), r"A.words.xml w0 has a starttime that is not a number"),
    ],
)
def test_broken_meetings_are_named(tmp_path: Path, words: str, sentence: str) -> None:
    put(tmp_path / "ES2002a.Mix-Headset.wav")
    with pytest.raises(Flaw, match=r"ES2002a\.Mix-Headset\.wav has no annotations"):
        list(ami.read(str(tmp_path), ImportOptions()))
    put(tmp_path / "ES2002a.A.words.xml", words)
    with pytest.raises(Flaw, match=r"ES2002a.A.words.xml has no ES2002a.A.segments.xml"):
        list(ami.read(str(tmp_path), ImportOptions()))
    put(tmp_path / "ES2002a.A.segments.xml", words_xml())
    with pytest.raises(Flaw, match=sentence):
        list(ami.read(str(tmp_path), ImportOptions()))


def test_which_files_of_parquet_are_a_split(tmp_path: Path) -> None:
    for name in ("data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet", "dev/0000.parquet"):
        put(tmp_path / name)
    assert huggingface._request(str(tmp_path), tmp_path) == {
        "path": "parquet",
        "data_files": {
            "test": [str(tmp_path / f"data/test-0000{n}-of-00002.parquet") for n in (0, 1)],
            "dev": [str(tmp_path / "dev/0000.parquet")],
        },
    }
    single = tmp_path / "dev/0000.parquet"
    assert huggingface._request(str(single), single) == {"path": "parquet", "data_files": str(single)}
    put(tmp_path / "sounds/a.wav")
    assert huggingface._request("x", tmp_path / "sounds") == {
        "path": "audiofolder", "data_dir": str(tmp_path / "sounds"),
    }  # fmt: skip
    assert huggingface._request("google/fleurs:en_us", tmp_path / "none") == {"path": "google/fleurs", "name": "en_us"}
    assert huggingface._request("a/b", tmp_path / "none") == {"path": "a/b", "name": None}


def test_a_split_is_chosen() -> None:
    several = {"train": 1, "test": 2}
    assert huggingface._split(several, ImportOptions(), "x") == 2
    assert huggingface._split(several, ImportOptions(split="train"), "x") == 1
    assert huggingface._split({"only": 3}, ImportOptions(), "x") == 3
    assert huggingface._split(["rows"], ImportOptions(), "x") == ["rows"]
    for found, wanted in (({"a": 1, "b": 2}, ""), (several, "dev")):
        with pytest.raises(Flaw, match=r"x has the splits .*\. Choose one with --split"):
            huggingface._split(found, ImportOptions(split=wanted), "x")


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("x", 1.5, True), ("x", float("nan"), False), ("x", "a", True), ("x", 3, True), ("x", None, False),
        ("x", [1], False), ("turns", [1], True), ("words", [], True), ("x", {"a": 1}, False),
    ],
)  # fmt: skip
def test_values_that_a_manifest_can_hold(name: str, value: Any, fits: bool) -> None:
    assert huggingface._fits(name, value) is fits


def test_sound_of_a_dataset_becomes_a_file(tmp_path: Path) -> None:
    made = huggingface._file({"bytes": b"x", "path": "deep/a.FLAC"}, "one", tmp_path, "row 1")
    assert (made, made.read_bytes()) == (tmp_path / "one.flac", b"x")
    assert huggingface._file({"bytes": b"x", "path": None}, "two", tmp_path, "row 2").name == "two.audio"
    assert huggingface._file({"bytes": None, "path": str(made)}, "three", tmp_path, "row 3") == made
    for sound in (None, {}, {"bytes": b"", "path": ""}):
        with pytest.raises(Flaw, match=r"row 4 has no audio\. Remove it"):
            huggingface._file(sound, "four", tmp_path, "row 4")
    with pytest.raises(Flaw, match=r"row 5: its audio none.wav does not exist\. Embed it"):
        huggingface._file({"path": "none.wav"}, "five", tmp_path, "row 5")


# Annotations


def test_subtitles_with_everything(tmp_path: Path) -> None:
    text = (
        "WEBVTT - a title\n\nNOTE nobody\nreads this\n\nSTYLE\n::cue {}\n\nREGION\nid:x\n\n"
        "first\n00:01.000 --> 00:02.500 align:start\n<v.loud Ada &amp; Co>Hi <i>you</i></v> <v Bob>&lt;no&gt;\n\n"
        "1:00:00.000 --> 1:00:01.000\n<00:59.500>late\n\n00:03.000 --> 00:04.000\n<c.x></c>\n"
    )
    found = read(tmp_path, "a.vtt", text)
    assert found.segments == (
        Segment(1.0, 2.5, "Hi you", speaker="Ada & Co"), Segment(1.0, 2.5, "<no>", speaker="Bob"),
        Segment(3600.0, 3601.0, "late"),
    )  # fmt: skip
    assert found.turns is None  # nobody says who speaks last
    assert found.text == "Hi you <no> late"


def test_entities_are_letters_in_srt(tmp_path: Path) -> None:
    found = read(tmp_path, "a.srt", "1\r\n00:00:00,000 --> 00:00:01,000\r\n{\\an8}a &amp; b\r\nc\r\n\r\n")
    assert found.segments == (Segment(0, 1, "a &amp; b c"),)


def test_nist_files_of_several_recordings(tmp_path: Path) -> None:
    rttm = ";; comment\nSPEAKER a 1 2.0 1.0 <NA> <NA> X <NA>\nSPEAKER b 1 0 1 <NA> <NA> Y <NA>\nSPKR-INFO a 1 <NA> <NA>"
    with pytest.raises(Flaw):
        read(tmp_path, "one.rttm", rttm)
    rttm = rttm.rpartition("\n")[0]
    assert read(tmp_path, "one.rttm", rttm, "a").turns == (Turn(2, 3, "X"),)
    assert read(tmp_path, "b.rttm", rttm).turns == (Turn(0, 1, "Y"),)
    single = "SPEAKER other 1 0 1 <NA> <NA> Y <NA>"
    assert read(tmp_path, "x.rttm", single).turns == (Turn(0, 1, "Y"),)  # only one can be meant
    ctm = "a 1 0.5 0.25 late 0.9\na 1 0 0.25 early NA\n"
    found = read(tmp_path, "a.ctm", ctm)
    assert found.words == (Word(0, 0.25, "early", None), Word(0.5, 0.75, "late", 0.9))
    assert found.text == "early late"
    stm = (
        "a 1 Ada 1 2 <o,f0,female> hello there\na 1 inter_segment_gap 2 3\na 1 Bob 3 4 IGNORE_TIME_SEGMENT_IN_SCORING\n"
    )
    found = read(tmp_path, "a.stm", stm)
    assert found.segments == (Segment(1, 2, "hello there", speaker="Ada"),)


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.5), (-0.1, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_times_that_cannot_be(start: float, end: float) -> None:
    with pytest.raises(Flaw, match=r"x: .* are not valid times\. Write seconds, with the end after the start\."):
        span(Turn, start, end, "x", "A")


def test_texts_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_text(put(tmp_path / "a.txt", "\ufeffhi"), "a.txt") == "hi"
    with pytest.raises(Flaw, match=r"b.txt line 3 is not UTF-8"):
        read_text(put(tmp_path / "b.txt", b"a\nb\n\xff"), "b.txt")
    monkeypatch.setattr(annotation_files, "MAX_BYTES", 4)
    assert read_text(put(tmp_path / "c.txt", "four"), "c.txt") == "four"
    with pytest.raises(Flaw, match=r"c\.txt is larger than 0 MB"):
        read_text(put(tmp_path / "c.txt", "fiver"), "c.txt")


def test_annotations_are_merged_from_the_left() -> None:
    left, right = Annotation(text="left"), Annotation(text="right", turns=())
    assert left | right == Annotation(text="left", turns=())
    assert Annotation(text="") | right == Annotation(text="", turns=())  # "" says something


# Rows


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"[1]", "the line is a JSON list"),
        (b"3", "the line is a JSON int"),
        (b'{"audio": NaN}', "the line is not JSON: "),
        (b'{"x": 1e999}', "a number is too large"),
        (b'{"audio": "a", "rttm": "b", "turns": []}', "turns and rttm are aliases of one column"),
        (b"\xff", "the line is not JSON: "),
        (b"[" * 500, "the line is not JSON: "),
    ],
)
def test_lines_that_are_no_rows(line: bytes, what: str) -> None:
    with pytest.raises(Flaw) as raised:
        columns(line)
    assert raised.value.what.startswith(what)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"audio": ""}, 'audio cannot be "". String should have at least 1 character.'),
        ({"audio": "a", "id": ""}, 'id cannot be "". String should have at least 1 character.'),
        ({"audio": "a", "turns": [{"start": 0, "end": 1}]}, "turns[1].speaker is missing. Add it."),
        ({"audio": "a", "words": [{"start": 0, "end": 1, "text": 5}]}, "words[1].text cannot be 5. "),
        ({"audio": "a", "segments": [{"start": 2, "end": 1, "text": "x"}]}, "segments[1]: "),
        (
            {"audio": "a", "segments": [{"start": 0, "end": 1, "text": "x", "words": [{}]}]},
            "segments[1].words[1].start is",
        ),
        ({"audio": "a\0"}, "a path contains a null character. Write a file name."),
        ({"audio": "a", "turns": "t.json"}, "t.json does not exist. Correct the name, or add the file."),
        ({"audio": "a", "text": "x" * 99, "duration": "y" * 99}, f'duration cannot be "{"y" * 59}. '),
    ],
)
def test_rows_that_cannot_be_parsed(tmp_path: Path, row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Flaw) as raised:
        parse(row, tmp_path, None)
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.json", "{}", "t.json is a JSON dict. Write a JSON list."),
        ("t.json", "[", "t.json is not JSON: "),
        ("t.json", '[{"start": 0}]', "t.json: turns[1].end is missing. Add it."),
        ("t.txt", "words", "t.txt has no turns. Name a file with turns."),
    ],
)
def test_files_of_lists_that_are_none(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    put(tmp_path / name, text)
    with pytest.raises(Flaw) as raised:
        parse({"audio": "a.wav", "turns": name}, tmp_path, None)
    assert str(raised.value).startswith(sentence)


def test_columns_with_other_names(tmp_path: Path) -> None:
    put(tmp_path / "w.json", '[{"start": 0, "end": 1, "word": "hi", "confidence": 0.5}]')
    row = {"audio_filepath": "deep/a.wav", "duration_s": 2.0, "word_times": "w.json", "license": "CC0", "mine": [1]}
    item = parse(row, tmp_path, None).item
    assert (item.id, item.audio, item.duration, item.licence) == ("deep/a", tmp_path / "deep/a.wav", 2.0, "CC0")
    assert item.words == (Word(0, 1, "hi", 0.5),)
    assert item.extra == {"mine": [1]}


def test_paths_of_strangers_stay_inside(tmp_path: Path) -> None:
    inside = tmp_path / "set"
    put(inside / "a.wav")
    put(tmp_path / "secret.wav")
    (inside / "link.wav").symlink_to(tmp_path / "secret.wav")
    (inside / "near.wav").symlink_to(inside / "a.wav")
    assert locate("near.wav", inside, inside) == inside / "a.wav"
    for name in ("../secret.wav", "link.wav", str(tmp_path / "secret.wav"), "deep/../../secret.wav"):
        with pytest.raises(Flaw, match="is outside the dataset"):
            locate(name, inside, inside)
    (inside / "one.wav").symlink_to(inside / "two.wav")
    (inside / "two.wav").symlink_to(inside / "one.wav")
    with pytest.raises(Flaw, match=r"one.wav (cannot be opened|is outside)"):
        locate("one.wav", inside, inside)
    assert locate("../secret.wav", inside, None) == tmp_path / "secret.wav"


# Checks


def row(**more: Any) -> ManifestRow:
    known = {name: more.pop(name) for name in ("columns", "repeats") if name in more}
    return ManifestRow(Item("i", Path("/none.wav"), **more), known.pop("columns", {}), **known)


def wrong(found: ManifestRow) -> list[str]:
    with Audios(decode=False) as audios:
        return [flaw.what for flaw in flaws(found, audios) if flaw.what != "the audio file does not exist"]


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (row(), []),
        (row(text="hi", kind="non-speech"), ["kind is non-speech, but text is not empty"]),
        (row(kind="non-speech"), ["kind is non-speech, but text is missing"]),
        (row(text="  "), ["text is blank"]),
        (
            row(text="", words=(Word(0, 1, "x"),)),
            ["text is empty, but segments, turns or words"],
        ),
        (row(columns={"source": "", "licence": ""}), ["licence is empty", "source is empty"]),
        (row(language="klingon"), [r"klingon"]),
        (row(turns=(Turn(0, 1, ""),)), ["turns[1] has an empty speaker"]),
        (row(segments=(Segment(0, 1, " "),)), ["segments[1] has no text"]),
        (row(words=(Word(0, 1, "a"), Word(1, 2, " "))), ["words[2] has no text"]),
        (row(turns=(Turn(2, 3, "A"), Turn(0, 1, "B"))), ["turns[2] starts before the one above it"]),
        (row(turns=(Turn(0, 9, "A"),), duration=8.6), []),  # within half a second
        (row(turns=(Turn(0, 9, "A"),), duration=8.4), ["turns[1] ends at 9.00 s, but the audio ends at 8.40 s"]),
        (
            row(segments=(Segment(0, 1, "a"),), words=(Word(0, 1, "a"), Word(5, 6, "b"))),
            ["words[2] lies outside all segments"],
        ),
        (
            row(segments=(Segment(3, 4, "a", (Word(0, 1, "a"),)),)),
            ["segments[1].words[1] lies outside its segment"],
        ),
        (row(repeats=7), ["line 7 has the same id, so this row becomes i"]),
    ],
)
def test_rows_that_contradict_themselves(found: ManifestRow, what: list[str]) -> None:
    made = wrong(found)
    assert len(made) == len(what)
    assert all(re.search(re.escape(part), one) for part, one in zip(what, made, strict=True))


def test_words_may_lie_in_segments_that_overlap() -> None:
    segments = (Segment(0, 10, "a"), Segment(2, 3, "b"))
    assert wrong(row(segments=segments, words=(Word(8, 9, "a"), Word(2, 3, "b")))) == [
        "words[2] starts before the one above it"
    ]


def test_audio_is_looked_at_first(tmp_path: Path) -> None:
    empty = put(tmp_path / "empty.wav")
    with Audios(decode=False) as audios:
        assert audios.duration(put(tmp_path / "full.wav", b"x")) is None
        for path, what in (
            (empty, "the audio file is empty"),
            (tmp_path / "none.wav", "the audio file does not exist"),
        ):
            with pytest.raises(Flaw) as raised:
                audios.duration(path)
            assert raised.value.what == what


def test_a_manifest_without_rows_is_one_problem(tmp_path: Path) -> None:
    put(tmp_path / "manifest.jsonl", "\n \n")
    (problem,) = check(tmp_path)
    assert str(problem).startswith("the manifest: there are no rows. Write one JSON object per line")
    with pytest.raises(BadInput, match=r"manifest\.jsonl has no rows"):
        read_manifest(tmp_path)
    assert problem == Problem(0, "", problem.what, problem.fix)


def test_ids_that_repeat_get_numbers_that_are_free(tmp_path: Path) -> None:
    rows = [{"audio": "x.wav", "id": id} for id in ("a", "a#2", "a", "a")]
    put(tmp_path / "manifest.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
    assert [item.id for item in read_manifest(tmp_path).items] == ["a", "a#2", "a#3", "a#4"]
    repeats = [problem.what for problem in check(tmp_path) if "same id" in problem.what]
    assert repeats == [f"line 1 has the same id, so this row becomes a#{n}" for n in (3, 4)]


def test_a_line_that_is_too_long_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "MAX_LINE", 40)
    put(
        tmp_path / "manifest.jsonl", '{"audio": "a.wav"}\n' + json.dumps({"audio": "b" * 60}) + '\n{"audio": "c.wav"}\n'
    )
    (problem,) = [one for one in check(tmp_path) if one.line == 2]
    assert problem.what == "the line is longer than 0 MB"
    assert not [one for one in check(tmp_path) if one.line > 2]


# Uploads


def test_names_of_a_client_are_not_paths(tmp_path: Path) -> None:
    made = add(tmp_path, ("C:\\deep\\a.wav", b"x"), ("dir/a.txt", "hi"))
    assert [(item.id, item.text) for item in made.items] == [("a", "hi")]


@pytest.mark.parametrize(
    ("given", "limits", "kind", "sentence"),
    [
        ([("a.wav", b"x" * 11)], {"size": 10}, TooLarge, "The files exceed 0 MB unpacked. Upload fewer."),
        ([("a.wav", b"x"), ("b.wav", b"x")], {"files": 1}, TooLarge, "'b.wav' exceeds the limit of 1 files. "),
        ([("a.txt", "hi")], {}, BadInput, "The files contain no recording. Upload audio, with .txt"),
        ([("a.exe", b"x")], {}, BadInput, "'a.exe' cannot be used. Upload audio, or one of .ctm, .rttm, "),
        ([(".wav", b"x")], {}, BadInput, "'.wav' cannot be used. "),
        ([("a.wav", b"x"), ("a.wav", b"y")], {}, BadInput, "'a.wav' was uploaded twice. "),
        ([("a\n.wav", b"x")], {}, BadInput, "'a\\n.wav' is not a valid file name. "),
        ([("a.zip", b"PK")], {}, BadInput, "'a.zip' cannot be unpacked. Create a plain .zip."),
        ([("x" * 300 + ".wav", b"x")], {}, BadInput, f"'{'x' * 80}' cannot be stored. Give it a shorter name."),
    ],
)
def test_uploads_that_are_refused_leave_nothing(
    tmp_path: Path, given: list[tuple[str, str | bytes]], limits: dict[str, int], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind) as raised:
        add(tmp_path, *given, **limits)
    assert str(raised.value).startswith(sentence)
    assert list((tmp_path / "sets").iterdir()) == []


def test_limits_are_reached_and_not_passed(tmp_path: Path) -> None:
    assert len(add(tmp_path, ("a.wav", b"x" * 5), ("b.wav", b"x" * 5), files=2, size=10).items) == 2
    with pytest.raises(Conflict, match=r"A dataset called 'mine' already exists\. Choose another name"):
        add(tmp_path, ("a.wav", b"x"))
