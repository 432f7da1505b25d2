"""References that are easily read wrong: each is read right, or is a flaw that names file, line and remedy."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from lab_toys import add, imported, put, read

from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.data.annotations import Annotation
from stt_lab.lab.data.checks import Audios
from stt_lab.lab.data.dataset import check, read_manifest
from stt_lab.lab.data.importers import has_recordings, options, read_recordings
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.types import Segment, Turn, Word

SRT = "1\n00:00:00,000 --> 00:00:01,000\n{}\n"


def refused(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    with pytest.raises(Flaw) as raised:
        read(tmp_path, name, text)
    assert str(raised.value).startswith(says)
    assert raised.value.fix


# RTTM


@pytest.mark.parametrize(
    ("line", "turn"),
    [
        ("SPEAKER my long call 1 0.5 3.0 <NA> <NA> Ada <NA> <NA>", Turn(0.5, 3.5, "Ada")),
        ("SPEAKER call 1 0.5 3.0 <NA> <NA> Ada Lovelace <NA> <NA>", Turn(0.5, 3.5, "Ada Lovelace")),
        ("SPEAKER call 1 0.5 3.0 <NA> <NA> Speaker 1 <NA> <NA>", Turn(0.5, 3.5, "Speaker 1")),
        ("SPEAKER call 2 1 0.5 3.0 - - Ada - -", Turn(0.5, 3.5, "Ada")),
        ("SPEAKER call 1 0.5 3.0 <NA> <NA> Ada Lovelace", Turn(0.5, 3.5, "Ada Lovelace")),
        ("SPEAKER call 1 0.5 3.0 <NA> <NA> Ada 0.93 <NA>", Turn(0.5, 3.5, "Ada")),
        ("SPEAKER\tcall\t1\t0.1\t0.2\t<NA>\t<NA>\tAda\u2028B\t<NA>\t<NA>", Turn(0.1, 0.3, "Ada\u2028B")),
    ],
)
def test_blanks_in_names_of_turns(tmp_path: Path, line: str, turn: Turn) -> None:
    assert read(tmp_path, "call.rttm", f"{line}\r{line}\r").turns == (turn, turn)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("SPEAKER call 1 0.5 3.0 <NA> <NA> Speaker 1 <NA>", "c.rttm line 2: '1' is the end of a name or a confidence."),
        ("SPEAKER call 1 0.5 3.0 <NA> <NA> <NA> <NA> <NA>", "c.rttm line 2 names no speaker. "),
        ("SPEAKER call 1 0,500 3,000 <NA> <NA> Ada <NA> <NA>", "c.rttm line 2: '0,500' is not a number. Write seconds"),
        ("SPEAKER call 1 1.0 -0.5 <NA> <NA> Ada <NA> <NA>", "c.rttm line 2: 1 .. 0.5 are not valid times. "),
        ("SPEAKER call 1 -1.0 0.5 <NA> <NA> Ada <NA> <NA>", "c.rttm line 2: -1 .. -0.5 are not valid times. "),
        ("SPEAKER call 1 0.5 3.0 x y Ada <NA> <NA>", "c.rttm line 2 cannot be read as SPEAKER file channel"),
        ("SPEAKERS call 1 0.5 3.0 <NA> <NA> Ada <NA> <NA>", "c.rttm line 2 begins with 'SPEAKERS'. Expected: SPEAKER"),
        ("SPEAKER call 1 1_0 3.0 <NA> <NA> Ada <NA> <NA>", "c.rttm line 2: '1_0' is not a number. "),
    ],
)
def test_turns_that_cannot_be_read(tmp_path: Path, line: str, says: str) -> None:
    refused(tmp_path, "c.rttm", f";; turns\r\n{line}\r\n", says)


def test_recordings_of_one_file_are_told_apart_by_name(tmp_path: Path) -> None:
    lines = "".join(f"SPEAKER {name} 1 0 1 <NA> <NA> {name[0]} <NA> <NA>\n" for name in ("my call", "Zoë", "her_call"))
    assert read(tmp_path, "x.rttm", lines, "my call").turns == (Turn(0, 1, "m"),)
    assert read(tmp_path, "x.rttm", lines, "my_call").turns == (Turn(0, 1, "m"),)
    assert read(tmp_path, "x.rttm", lines, "her call").turns == (Turn(0, 1, "h"),)
    assert read(tmp_path, "x.rttm", lines, unicodedata.normalize("NFD", "Zoë")).turns == (Turn(0, 1, "Z"),)


# STM


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<o,f0,male> and so", "and so"),
        ("<o, f0, male> and so", "and so"),
        ("<NA> and so", "and so"),
        ("my { fellow / fellows } americans", "my fellow americans"),
        ("my {fellow/fellows} americans", "my fellow americans"),
        ("my { { a / b } c / d } e", "my a c e"),
        ("my { fellow americans / @ } ask", "my fellow americans ask"),
        ("my { @ / uh } ask", "my ask"),
        ("country(2) can", "country can"),
        ("(uh) (%um) {UH} <um> ask", "uh um UH um ask"),
        ("ask {BREATH} not [noise] <sil> what <eps>", "ask not what"),
        ("and / or 50% b(2)b w-", "and / or 50% b(2)b w-"),
        ("and so\u2028my\u0085fellow\x1camericans", "and so my fellow americans"),
        ('"and so', '"and so'),
    ],
)
def test_words_of_a_segment(tmp_path: Path, text: str, said: str) -> None:
    found = read(tmp_path, "talk.stm", f";; x\ntalk 1 ada 0.5 2 {text}\n")
    assert found.segments == (Segment(0.5, 2, said, speaker="ada"),)


def test_a_segment_of_noise_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, "talk.stm", "talk 1 ada 0 1 <o,,> {NOISE}\ntalk 1 ada 1 2 {LAUGH} [noise]").text == ""


@pytest.mark.parametrize(
    ("line", "segment"),
    [
        ("my call 1 ada 0 4 and so", Segment(0, 4, "and so", speaker="ada")),
        ("my call 1 2 4 8 9 lives", Segment(4, 8, "9 lives", speaker="2")),  # could be speaker 1 at 2
        ("other 1 ada lovelace 0 4 and so", Segment(0, 4, "and so", speaker="ada lovelace")),
        ("other mix ada 0 4 and so", Segment(0, 4, "and so", speaker="ada")),
        ("other A 1 0 4 5 6 7", Segment(0, 4, "5 6 7", speaker="1")),
    ],
)
def test_blanks_in_names_of_segments(tmp_path: Path, line: str, segment: Segment) -> None:
    assert read(tmp_path, "x.stm", line, "my call").segments == (segment,)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("talk 1 ada 0 1 so { my / ", "t.stm line 2: the alternatives do not end. "),
        ("talk 1 ada 0 1 so (( )) my", "t.stm line 2: (()) stands for words that are not known. "),
        ("talk 1 ada 0 1 so } my", "t.stm line 2: a brace stands in the wrong place. "),
        ("talk 1 ada 0 1 so <unk> my", "t.stm line 2: '<unk>' stands for a word that is not known. Write the word"),
        ("talk 1 ada 0 1 so <foo> my", "t.stm line 2: '<foo>' is neither a word nor a known label. "),
        ("talk 1 ada 0 1 " + "{ " * 5000, "t.stm line 2: a brace stands in the wrong place. "),
        ("talk 1 ada 5 4 hi", "t.stm line 2: 5 .. 4 are not valid times. "),
        ("talk 1 ada 0,5 4 hi", "t.stm line 2: '0,5' is not a number. "),
        ("my talk x y 1 2 3 4", "t.stm line 2 cannot be read as file channel"),
    ],
)
def test_segments_that_cannot_be_read(tmp_path: Path, line: str, says: str) -> None:
    refused(tmp_path, "t.stm", f"\n{line}\n", says)


# CTM

ALTERNATIVES = """talk 1 0.0 0.5 and
talk 1 * * <ALT_BEGIN>
talk 1 0.5 0.5 gonna
talk 1 * * <ALT>
talk 1 0.5 0.2 going
talk 1 0.7 0.3 to
talk 1 * * <ALT_END>
talk 1 1.0 0.5 so
"""


def test_of_alternatives_the_first_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "talk.ctm", ALTERNATIVES)
    assert found.text == "and gonna so"
    assert found.words == (Word(0, 0.5, "and"), Word(0.5, 1, "gonna"), Word(1, 1.5, "so"))
    assert read(tmp_path, "talk.ctm", ALTERNATIVES.replace("gonna", "@")).text == "and so"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("my call 1 0.5 0.2 word", Word(0.5, 0.7, "word")),
        ("my call 1 0.5 0.2 7", Word(0.5, 0.7, "7")),  # could be the word 0.2 with a confidence
        ("talk 1 0.5 0.2 5 0.9", Word(0.5, 0.7, "5", 0.9)),
        ("talk mix 0.5 0.2 a(2) NA lex ada", Word(0.5, 0.7, "a", None, "ada")),
        ("talk 1 0.5 0.2 %uh 1 fp unknown", Word(0.5, 0.7, "uh", 1.0)),
        ("talk 1 0.5 0.2 a\u2028b", Word(0.5, 0.7, "a\u2028b")),
        ("talk 1 0.5 0.2 <eps>", None),
        ("talk 1 0.5 0.2 [laughter] 1", None),
        ("talk 1 0.5 0.2 cough 1 non-lex", None),
        ("talk 1 0.5 0.2 (%hesitation)", None),
    ],
)
def test_words_with_times(tmp_path: Path, line: str, word: Word | None) -> None:
    assert read(tmp_path, "talk.ctm", f"{line}\n").words == ((word,) if word else ())


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("talk 1 * * <ALT_BEGIN>\ntalk 1 0 1 a\n", "t.ctm line 1: the alternatives do not end. "),
        ("talk 1 0 1 a\ntalk 1 * * <ALT>\n", "t.ctm line 2: <ALT> stands in the wrong place. "),
        ("talk 1 * * <ALT_BEGIN>\ntalk 1 * * <ALT_BEGIN>\n", "t.ctm line 2: <ALT_BEGIN> stands in the wrong place. "),
        ("talk 1 0 1 a\ntalk 1 * * b\n", "t.ctm line 2: '*' is not a number. "),
        ("talk 1 0 1 a 7\n", "t.ctm line 1 cannot be read as file channel start duration word"),
        ("talk 1 0 1 <unk>\n", "t.ctm line 1: '<unk>' stands for a word that is not known. "),
        ("talk 1 0 1\n", "t.ctm line 1 has 4 fields. "),
    ],
)
def test_words_that_cannot_be_read(tmp_path: Path, lines: str, says: str) -> None:
    refused(tmp_path, "t.ctm", lines, says)


# Subtitles


def test_cues_without_empty_lines(tmp_path: Path) -> None:
    cues = ((1, 2, "Hi\nthere"), (2, 3, "42"), (3, 4, "7"))
    dense = "".join(
        f"{n}\n00:00:0{start},000 --> 00:00:0{end},000\n{text}\n" for n, (start, end, text) in enumerate(cues, 1)
    )
    expected = (Segment(1, 2, "Hi there"), Segment(2, 3, "42"), Segment(3, 4, "7"))
    for newline in ("\n", "\r\n", "\r"):
        assert read(tmp_path, "a.srt", dense.replace("\n", newline)).segments == expected
    bare = "WEBVTT\nKind: captions\nLanguage: en\n00:01.000 --> 00:02.000\nHi\n00:02.000 --> 00:03.000\n42\n"
    assert read(tmp_path, "a.vtt", bare).segments == (Segment(1, 2, "Hi"), Segment(2, 3, "42"))


def test_markup_and_signs_of_subtitles(tmp_path: Path) -> None:
    srt = (
        '\ufeff1\n00:00:01,000 --> 00:00:05,000\n{\\an8}<font color="#fff"><i>♪ [Music] ♪</i></font>\n\n'
        '2\n00:00:02,000 --> 00:00:03,000\n<b>(laughs)</b> So A --> B\u2028she "said\n\n'
    )
    assert read(tmp_path, "a.srt", srt).segments == (Segment(2, 3, 'So A --> B she "said'),)
    vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\n<ruby>漢<rt>kan</rt></ruby>&nbsp;<c.x>a</c>\n \nb\n"
    assert read(tmp_path, "a.vtt", vtt).segments == (Segment(1, 2, "漢 a b"),)


def test_cues_may_overlap(tmp_path: Path) -> None:
    srt = "1\n00:00:03,000 --> 00:00:05,000\nb\n\n2\n00:00:01,000 --> 00:00:04,000\na\n"
    assert read(tmp_path, "a.srt", srt.encode("utf-16")).segments == (Segment(1, 4, "a"), Segment(3, 5, "b"))


CUE = "00:00:01,000 --> 00:00:02,000\n"
ROLL = "".join(f"00:00:0{n}.000 --> 00:00:0{n + 1}.000\nline {n}\nline {n + 1}\n\n" for n in range(1, 6))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"1\n{CUE}Hi\n7\n00:00:02,000 --> 00:00:03,000\nyou\n",
            "s.srt line 4: '7' is text, or the number of a cue. Put",
        ),
        (
            f"1\n{CUE}Hi\n2\n00:00:02,000 -> 00:00:03,000\nyou\n",
            "s.srt line 5: '00:00:02,000 -> 00:00:03,000' is not a",
        ),
        (f"1\n{CUE}Hi\n2\n00:00:02 --> 00:00:03\nyou\n", "s.srt line 5: '00:00:02 --> 00:00:03' is not a time range"),
        ("1\n-00:00:01,000 --> 00:00:02,000\nHi\n", "s.srt line 2: '-00:00:01,000 --> 00:00:02,000' is not a time"),
        ("1\n00:75:01,000 --> 00:76:02,000\nHi\n", "s.srt line 2: '00:75:01,000 --> 00:76:02,000' is not a time"),
        ("1\n00:00:05,000 --> 00:00:02,000\nHi\n", "s.srt line 2: 5 .. 2 are not valid times"),
        (f"1\n{CUE}I [inaudible] it\n", "s.srt line 2: '[inaudible]' stands for words that are not known"),
        (ROLL, "s.srt line 13: cues repeat the line before them. Save the captions without rolling lines"),
        (f"1\n{CUE}Hi\0\n", "s.srt line 3 has null characters. Save the file as UTF-8"),
        (f"1\n{CUE}Hi".encode("utf-16-le"), "s.srt line 1 has null characters. Save the file as UTF-8"),
    ],
)
def test_subtitles_that_cannot_be_read(tmp_path: Path, text: str | bytes, says: str) -> None:
    refused(tmp_path, "s.srt", text, says)


# TextGrids


def grid(*tiers: tuple[str, list[tuple[float, float, str]]]) -> str:
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n9\n<exists>\n{len(tiers)}\n'
    for name, entries in tiers:
        head += f'"IntervalTier"\n"{name}"\n0\n9\n{len(entries)}\n'
        head += "".join(f'{start}\n{end}\n"{label}"\n' for start, end, label in entries)
    return head


def test_silences_and_noises_are_no_words(tmp_path: Path) -> None:
    labels = ["sil", "and", "sp", "SPN", "<p:>", "<eps>", "so", "{SL}", "[noise]", "<usb>", "!SIL", "", "'cause"]
    rows = [(n, n + 1, label) for n, label in enumerate(labels)]
    assert read(tmp_path, "a.TextGrid", grid(("words", rows))).text == "and so 'cause"
    found = read(tmp_path, "a.TextGrid", grid(("Ada", [(0, 1, "sil"), (1, 2, "[laughs] oh (music) yes")])))
    assert found.segments == (Segment(1, 2, "oh yes", speaker="Ada"),)


def test_tiers_that_are_no_speech(tmp_path: Path) -> None:
    others = ["phones", "Ada - phones", "MAU", "KAN-MAU", "comments", "Notes", "silences", "translation"]
    found = read(tmp_path, "a.TextGrid", grid(("ORT-MAU", [(0, 1, "hi")]), *((name, [(0, 1, "x")]) for name in others)))
    assert (found.text, found.segments, found.words) == ("hi", None, (Word(0, 1, "hi"),))


def test_labels_that_look_like_the_file(tmp_path: Path) -> None:
    label = 'item [1]: ""xmin = 3"" text\u2028= intervals [2]:\n0.5 ! no'
    found = read(tmp_path, "a.TextGrid", grid(("Ada", [(0, 1, label), (1, 2, "b")])))
    assert found.text == 'item [1]: "xmin = 3" text = intervals [2]: 0.5 ! no b'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (grid(("Ada", [(0, 1, 'he said "yes" now')])), "t.TextGrid line 15: there is more than the sizes say"),
        (grid(("Ada", [(0, 1, 'a " b'), (1, 2, "c")])), "t.TextGrid line 15: '\"\\n1\\n2\\n\"' stands where a number"),
        (grid(("Ada", [(1, 0, "a")])), "t.TextGrid line 14: 1 .. 0 are not valid times"),
        (grid(("Ada", [(0, 2, "a"), (1, 3, "b")])), "t.TextGrid line 17: the interval begins before the one above it"),
        (grid(("words", [(0, 1, "<unk>")])), "t.TextGrid line 14: '<unk>' stands for a word that is not known"),
        (grid(("Ada", [(0, 1, "a")])).replace("9\n1\n0\n1", "9\n2\n0\n1"), "t.TextGrid line 15: '' stands where"),
        (
            grid(("Ada", [(0, 1, "a"), (1, 2, "b")])).replace("9\n2\n", "9\n1\n"),
            "t.TextGrid line 16: there is more than",
        ),
        (grid(("Ada", [(0, 1, "a")])).replace("0\n1\n", "0,5\n1\n"), "t.TextGrid line 13: '0,5' stands where a number"),
        ("ooBinaryFile", "t.TextGrid is not a TextGrid. Save it from Praat as a text file"),
    ],
)
def test_textgrids_that_cannot_be_read(tmp_path: Path, text: str, says: str) -> None:
    refused(tmp_path, "t.TextGrid", text, says)


# Tables


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("t.tsv", 'audio\ttext\na.flac\t"Yes, he said\nb.flac\tNo.\n', ['"Yes, he said', "No."]),
        ("t.tsv", 'audio\ttext\na.flac\t"Yes," he said\nb.flac\tNo.\n', ['"Yes," he said', "No."]),
        ("t.tsv", 'audio\ttext\na.flac\t"He said ""yes"""\nb.flac\tNo.\n', ['He said "yes"', "No."]),
        ("t.tsv", 'audio\ttext\na.flac\tfive" nails\nb.flac\tsix" nails\n', ['five" nails', 'six" nails']),
        ("t.csv", 'audio;text\na.flac;"Yes\nb.flac;No.\n', ['"Yes', "No."]),
        ("t.csv", 'audio,text\na.flac,"one\ntwo, three"\nb.flac,No.\n', ["one\ntwo, three", "No."]),
        ("t.csv", "audio,text\na.flac,one\u2028two\x85three\nb.flac,No.\n", ["one\u2028two\x85three", "No."]),
        ("t.csv", '"audio";"a, b, c";"text"\ra.flac;;one\rb.flac;;No.\r', ["one", "No."]),
    ],
)
def test_quotation_marks_swallow_no_rows(tmp_path: Path, name: str, text: str, found: list[str]) -> None:
    for encoding in ("utf-8", "utf-16"):
        path = put(tmp_path / encoding / name, text.encode(encoding))
        assert [item.text for item in imported("table", path, tmp_path / f"made-{encoding}")] == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'audio,text\na.flac,"Yes\nb.flac,No."\n',
            "t.csv line 2: a quotation mark opens a cell that runs over several",
        ),
        (
            'audio,text\nx.flac,"a, b"\na.flac,"Yes\nb.flac,No."\nc.flac,z\n',
            "t.csv line 3: a quotation mark opens a cell",
        ),
        ('audio,text\nx.flac,"a, b"\na.flac,"Yes\nb.flac,No.\n', "t.csv line 3: unexpected end of data. Double the"),
        ("audio,text\na.flac,x\na.flac,y\n", "t.csv line 3: two recordings are called a, also t.csv line 2. Give each"),
        ("audio,text\na.flac,x\nb.flac,y,z\n", "t.csv line 3 does not have 2 cells like the header. Correct the row"),
        ("audio,text\na.flac,x\0\n", "t.csv line 2 has null characters. Save the file as UTF-8"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput) as raised:
        imported("table", put(tmp_path / "t.csv", text), tmp_path / "made")
    assert str(raised.value).startswith(says)
    assert not (tmp_path / "made").exists()


# Texts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SRT.format("hi"), "t.txt line 2 has more than what is said. Rename the file by its format, or leave only"),
        ("WEBVTT\n\nNOTE x\n", "t.txt line 1 has more than what is said. "),
        ("[00:00.000 --> 00:02.000] Hi\n", "t.txt line 1 has more than what is said. "),
        ("Talk\n[00:12] Ada: Hi\n[01:02:03] Bob: You\n", "t.txt line 2 has more than what is said. "),
        ("{\\rtf1 Hi}", "t.txt line 1 has more than what is said. "),
        (b"one\r\n\xfftwo", "t.txt line 2 is not UTF-8. Save the file as UTF-8."),
    ],
)
def test_texts_that_are_more_than_a_text(tmp_path: Path, text: str | bytes, says: str) -> None:
    refused(tmp_path, "t.txt", text, says)
    kept = "12:30 is late.\u2028A -> B, 3.5 <x>"
    assert read(tmp_path, "u.txt", kept.encode("utf-16")).text == kept


# Names of files


def composed(name: str, form: Any) -> str:
    return unicodedata.normalize(form, name)


@pytest.mark.parametrize(("audio", "text"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_decomposed_names(tmp_path: Path, audio: Any, text: Any) -> None:
    folder = tmp_path / "source"
    put(folder / composed("Gespräch é.wav", audio), "sound")
    put(folder / composed("Gespräch é.txt", text), "hallo")
    (made,) = imported("folder", folder, tmp_path / "made")
    assert (made.id, made.text) == (composed("Gespräch é", "NFC"), "hallo")
    row = json.dumps({"audio": composed("Gespräch é.wav", text), "words": composed("é.ctm", audio)})
    put(folder / composed("é.ctm", text), "x 1 0 1 hallo")
    put(folder / "manifest.jsonl", row)
    (item,) = read_manifest(folder).items
    assert item.audio.is_file()
    assert item.words == (Word(0, 1, "hallo"),)
    assert check(folder) == ()
    (listed,) = imported("table", put(folder / "t.csv", f"audio\n{composed('Gespräch é.wav', text)}"), tmp_path / "t")
    assert listed.audio.is_file()


def in_folder(tmp_path: Path, files: dict[str, str], **more: Any) -> list[Item]:
    for name, text in files.items():
        put(tmp_path / "source" / name, text)
    return imported("folder", tmp_path / "source", tmp_path / "made", **more)


@pytest.mark.parametrize(
    ("files", "more", "text", "language"),
    [
        ({"talk.en.srt": SRT.format("hi")}, {}, "hi", "en"),
        ({"talk.en-US.srt": SRT.format("hi")}, {}, "hi", "en"),
        ({"talk.german.txt": "hallo"}, {}, "hallo", "de"),
        ({"talk.flac.srt": SRT.format("hi")}, {}, "hi", None),
        ({"talk.flac.en.srt": SRT.format("hi")}, {}, "hi", "en"),
        ({"talk.TXT": "hi", "talk.en.srt": SRT.format("not this")}, {}, "hi", "en"),
        ({"talk.de.srt": SRT.format("hallo"), "talk.en.srt": SRT.format("hi")}, {"language": "de"}, "hallo", "de"),
        ({"talk.txt": "what?", "talk.en.txt": "hi"}, {"language": "en"}, "hi", "en"),
        ({"README.txt": "nothing", "other.srt": "nothing", "talk.txt": "hi"}, {}, "hi", None),
    ],
)
def test_annotations_are_found_by_name(
    tmp_path: Path, files: dict[str, str], more: dict[str, str], text: str, language: str | None
) -> None:
    (made,) = in_folder(tmp_path, {"talk.flac": "", **files}, **more)
    assert (made.id, made.text, made.language) == ("talk", text, language)


@pytest.mark.parametrize(
    ("files", "more", "says"),
    [
        (["talk.de.srt", "talk.en.srt"], {}, "talk has texts in de and en. Choose one with --language, or remove"),
        (["talk.de.srt", "talk.fr.txt"], {}, "talk has texts in de and fr. "),
        (["talk.srt", "talk.en.srt"], {}, "talk.en.srt and talk.srt are both about talk.flac. Keep one of them."),
        (["talk.txt", "talk.TXT"], {}, "talk.TXT and talk.txt are both about talk.flac. "),
        (["talk.de.srt"], {"language": "en"}, "talk.de.srt is in de. Add a text in en, or change --language."),
        (["Talk.srt"], {}, "Talk.srt is not called like its recording. Rename it"),
        (["talk.final.srt"], {}, "talk.final.srt is not called like its recording. "),
    ],
)
def test_annotations_that_contradict(tmp_path: Path, files: list[str], more: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput) as raised:
        in_folder(tmp_path, {"talk.flac": "", **dict.fromkeys(files, SRT.format("x"))}, **more)
    assert str(raised.value).replace("talk.flac has", "talk has").startswith(says)
    assert not (tmp_path / "made").exists()


def test_recordings_in_formats_that_are_not_decoded(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^in/talk\.sph is in a format that is not decoded\. Convert it to WAV or FLAC"):
        in_folder(tmp_path, {"a.wav": "", "in/talk.sph": "", "in/talk.txt": "hi"})
    (one, two) = in_folder(tmp_path, {"in/talk.wav": ""})
    assert (one.id, two.id, two.text) == ("a", "in/talk", "hi")
    with pytest.raises(BadInput, match=r"^talk\.aiff is in a format that is not decoded\. "):
        add(tmp_path, ("talk.aiff", "x"), ("talk.txt", "hi"))
    assert not (options.AUDIO_SUFFIXES & options.UNDECODED)


MUXERS = {
    "aac": "adts", "m4a": "ipod", "m4b": "ipod", "m4v": "mp4", "mka": "matroska", "mkv": "matroska", "mpg": "mpeg",
    "oga": "ogg", "ts": "mpegts", "wma": "asf", "wmv": "asf",
}  # fmt: skip
CODECS = {
    "avi": "pcm_s16le", "asf": "wmav2", "flac": "flac", "mka": "flac", "mp3": "libmp3lame", "mpeg": "mp2", "mpg": "mp2",
    "mkv": "libopus", "oga": "libopus", "ogg": "libopus", "opus": "libopus", "ts": "mp2", "w64": "pcm_s16le",
    "wav": "pcm_s16le", "webm": "libopus", "wma": "wmav2", "wmv": "wmav2",
}  # fmt: skip


def encoded(path: Path) -> Path:
    """A second of sound in the format of the suffix."""
    import av
    import numpy as np

    name = path.suffix[1:]
    with av.open(str(path), "w", format=MUXERS.get(name, name)) as target:
        stream = target.add_stream(CODECS.get(name, "aac"), rate=48_000, layout="mono", bit_rate=96_000)
        samples = (np.sin(np.arange(48_000) / 10) * 9000).astype("<i2")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            target.mux(packet)
    return path


def test_every_format_that_is_imported_is_decoded(tmp_path: Path) -> None:
    with Audios(decode=True) as audios:
        for suffix in sorted(options.AUDIO_SUFFIXES):
            assert audios.duration(encoded(tmp_path / f"a{suffix}")) == pytest.approx(1, abs=0.1), suffix


def test_blanks_of_macos_in_uploads(tmp_path: Path) -> None:
    name = "Recording 9.41\u202fAM"
    assert [(item.id, item.text) for item in add(tmp_path, (f"{name}.mov", "x"), (f"{name}.txt", "hi")).items] == [
        (name, "hi")
    ]


def test_keys_that_repeat(tmp_path: Path) -> None:
    put(tmp_path / "manifest.jsonl", '{"audio": "a.wav", "text": "hi"}\n{"audio": "b.wav", "text": "a", "text": "b"}\n')
    with pytest.raises(BadInput, match=r"^manifest\.jsonl line 2: text is written twice\. Keep one of them"):
        read_manifest(tmp_path)
    put(tmp_path / "w.json", '[{"start": 0, "end": 1, "end": 2, "text": "a"}]')
    put(tmp_path / "manifest.jsonl", '{"audio": "a.wav", "words": "w.json"}')
    with pytest.raises(BadInput, match=r"line 1: w\.json: end is written twice\. Keep one of them"):
        read_manifest(tmp_path)


# Folders without a manifest


def test_recordings_without_a_manifest(tmp_path: Path) -> None:
    put(tmp_path / "in/a.wav")
    put(tmp_path / "in/a.txt", "hi")
    found = read_recordings(tmp_path)
    assert (found.name, found.folder) == (tmp_path.name, tmp_path)
    assert found.items == (Item("in/a", tmp_path / "in/a.wav", text="hi"),)
    assert has_recordings(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]  # nothing is written
    put(tmp_path / "manifest.jsonl", '{"audio": "in/a.wav", "text": "you"}')
    assert [item.text for item in read_recordings(tmp_path).items] == ["you"]
    (tmp_path / "empty").mkdir()
    assert not has_recordings(tmp_path / "empty")
    with pytest.raises(MissingFile, match=r"`stt-lab data import` makes one"):
        read_recordings(tmp_path / "empty")


def test_annotations_merge() -> None:
    assert Annotation(text="a") | Annotation(turns=()) == Annotation(text="a", turns=())
