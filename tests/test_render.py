"""Renderings: the API's JSON, readable text, and subtitles that hostile text cannot break."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stt_lab.errors import BadInput
from stt_lab.text import clean
from stt_lab.transcription.render import COLUMNS, FORMATS, from_json, parts, render, to_json, with_marks
from stt_lab.transcription.subtitles import LINE, LINES, LONGEST, SHORTEST_MS
from stt_lab.types import Provenance, Segment, Suppressed, Transcript, Turn, Unrecognized, Word

TIMES = re.compile(r"(\d\d+):(\d\d):(\d\d)[,.](\d{3}) --> (\d\d+):(\d\d):(\d\d)[,.](\d{3})")


@dataclass(frozen=True)
class Cue:
    start: int  # ms
    end: int
    lines: list[str]


def parse(rendered: str, kind: str) -> list[Cue]:
    """A strict reader of what this program may write."""
    blocks = rendered.split("\n\n")
    if kind == "vtt":
        assert blocks.pop(0).strip() == "WEBVTT"
    cues = []
    for number, block in enumerate((block for block in blocks if block), 1):
        lines = block.removesuffix("\n").split("\n")
        if kind == "srt":
            assert lines.pop(0) == str(number)
        times = TIMES.fullmatch(lines[0])
        assert times is not None, lines
        h, m, s, ms, h2, m2, s2, ms2 = map(int, times.groups())
        cues.append(Cue(((h * 60 + m) * 60 + s) * 1000 + ms, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2, lines[1:]))
    return cues


def shown(line: str) -> str:
    """A line of WebVTT as it is displayed; the voice as the prefix that SubRip has."""
    return html.unescape(re.sub(r"^<v ([^>]*)>", r"\1: ", line))


def columns(text: str) -> int:
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # controls of the reading direction


def letters(text: str) -> str:
    return "".join(
        c
        for c in text
        if not c.isspace()
        and unicodedata.category(c) not in ("Cc", "Cs")
        and c not in TURNING
        and ord(c) not in (0xFFFE, 0xFFFF)
        and not 0xFDD0 <= ord(c) <= 0xFDEF
    )


def talk(*said: tuple[float, float, str, str | None], duration: float = 60.0) -> Transcript:
    """A transcript whose words share their segment's time evenly."""
    segments = []
    for start, end, text, speaker in said:
        tokens = text.split()
        step = (end - start) / max(1, len(tokens))
        words = tuple(
            Word(start + i * step, start + (i + 1) * step, f" {token}", 0.5, speaker) for i, token in enumerate(tokens)
        )
        segments.append(Segment(start, end, text, words, speaker))
    speakers = tuple(dict.fromkeys(speaker for *_, speaker in said if speaker))
    return Transcript("en", duration, tuple(segments), speakers, "base")


HELLO = talk((0.0, 1.0, "Hello, there.", "Speaker 1"), (1.5, 2.0, "Hi!", "Speaker 2"))


# Speech that was not understood

DOUBTFUL = replace(HELLO, duration=95.0, unrecognized=(Unrecognized(61.2, 64.8, "Speaker 2"), Unrecognized(1.1, 1.4)))


def test_speech_without_words_is_in_verbose_json() -> None:
    made = to_json(DOUBTFUL, verbose=True)
    assert made["unrecognized"][0] == {"start": 61.2, "end": 64.8, "speaker": "Speaker 2"}
    assert from_json(made).unrecognized == DOUBTFUL.unrecognized
    assert "unrecognized" not in to_json(DOUBTFUL)


@pytest.mark.parametrize("format", ["txt", "srt", "vtt"])
def test_texts_have_marks_when_asked_for(format: str) -> None:
    assert "inaudible" not in render(DOUBTFUL, format).text
    text = render(with_marks(DOUBTFUL), format).text
    assert [text.index(part) for part in ("there", "0:01–0:01]", "Hi", "[inaudible 1:01–1:04]")] == sorted(
        text.index(part) for part in ("there", "0:01–0:01]", "Hi", "[inaudible 1:01–1:04]")
    )


# JSON


def test_json_is_the_contract() -> None:
    assert to_json(HELLO) == {
        "text": "Hello, there. Hi!",
        "language": "en",
        "duration": 60.0,
        "segments": [
            {
                "start": 0.0,
                "end": 1.0,
                "text": "Hello, there.",
                "speaker": "Speaker 1",
                "confidence": 0.5,
                "words": [{"word": "Hello", "start": 0.0, "end": 0.5}, {"word": "there", "start": 0.5, "end": 1.0}],
            },
            {
                "start": 1.5,
                "end": 2.0,
                "text": "Hi!",
                "speaker": "Speaker 2",
                "confidence": 0.5,
                "words": [{"word": "Hi", "start": 1.5, "end": 2.0}],
            },
        ],
        "speakers": ["Speaker 1", "Speaker 2"],
        "model": "base",
    }


def test_json_without_speakers_and_without_speech() -> None:
    alone = to_json(talk((0, 1, "Hello", None)))
    assert "speaker" not in alone["segments"][0]
    assert alone["speakers"] == []
    silence = to_json(Transcript(None, 2.5))
    assert silence == {"text": "", "language": None, "duration": 2.5, "segments": [], "speakers": []}


def test_json_rounds_and_leaves_out_punctuation() -> None:
    words = (Word(0.00049, 1 / 3, " so", 2 / 3), Word(1 / 3, 1 / 3, " -", None))
    made = to_json(Transcript("en", 1 / 3, (Segment(0.00049, 1 / 3, "so -", words),), warnings=("careful",)))
    assert made["segments"][0]["words"] == [{"word": "so", "start": 0.0, "end": 0.333}]
    assert made["segments"][0]["confidence"] == 0.6667
    assert made["duration"] == 0.333
    assert made["warnings"] == ["careful"]


def test_verbose_json_adds() -> None:
    transcript = Transcript(
        "en",
        9.0,
        HELLO.segments,
        HELLO.speakers,
        suppressed=(Suppressed(3, 4, "Thanks for watching", "no speech"),),
        turns=(Turn(0, 1.2, "Speaker 1"),),
        provenance=(Provenance("whisper", "base", "cpu", "1", {"beam": 5}, 0.25),),
    )
    made = to_json(transcript, verbose=True)
    assert [segment["id"] for segment in made["segments"]] == [0, 1]
    first = {"word": "Hello", "start": 0.0, "end": 0.5, "confidence": 0.5, "speaker": "Speaker 1"}
    assert made["segments"][0]["words"][0] == first
    assert made["suppressed"] == [{"start": 3.0, "end": 4.0, "text": "Thanks for watching", "reason": "no speech"}]
    assert made["turns"] == [{"start": 0.0, "end": 1.2, "speaker": "Speaker 1"}]
    assert made["provenance"][0]["elapsed"] == 0.25
    assert json.loads(render(transcript, "verbose_json").text) == made


# Formats


def test_formats_and_media_types() -> None:
    types = {format: render(HELLO, format).media_type for format in FORMATS}
    assert types == {
        "json": "application/json",
        "verbose_json": "application/json",
        "txt": "text/plain",
        "text": "text/plain",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
    }
    assert json.loads(render(HELLO, "json").text) == to_json(HELLO)
    assert render(HELLO, "text").text == render(HELLO, "txt").text


def test_unknown_format() -> None:
    with pytest.raises(BadInput, match="verbose_json"):
        render(HELLO, "docx")


def test_txt_has_a_paragraph_per_turn_and_pause() -> None:
    said = talk((0, 1, "One.", "A"), (1, 2, "Two.", "A"), (2, 3, "Three.", "B"), (9, 10, "Four.", "B"))
    assert render(said, "txt").text == "A: One. Two.\n\nB: Three.\n\nFour.\n"
    assert render(talk((0, 1, "One.", None), (8, 9, "Two.", None)), "txt").text == "One.\n\nTwo.\n"
    assert render(Transcript(None, 1), "txt").text == ""


def test_srt_and_vtt_of_a_conversation() -> None:
    assert render(HELLO, "srt").text == (
        "1\n00:00:00,000 --> 00:00:01,000\nSpeaker 1: Hello, there.\n\n"
        "2\n00:00:01,500 --> 00:00:02,333\nSpeaker 2: Hi!\n"
    )
    assert render(HELLO, "vtt").text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Speaker 1>Hello, there.\n\n"
        "00:00:01.500 --> 00:00:02.333\n<v Speaker 2>Hi!\n"
    )


def test_nobody_speaks() -> None:
    assert render(Transcript(None, 1), "srt").text == ""
    assert render(Transcript(None, 1), "vtt").text == "WEBVTT\n"


def test_milliseconds_are_rounded_once() -> None:
    cue = parse(render(talk((59.9996, 3599.9995, "a", None), duration=4000), "srt").text, "srt")[0]
    assert cue.start == 60_000
    cue = parse(render(talk((1.0015, 2.9996, "a", None)), "srt").text, "srt")[0]
    assert (cue.start, cue.end) == (1002, 3000)


def test_the_prefix_stands_where_the_speaker_changes() -> None:
    said = talk((0, 1, "One.", "A"), (1, 2, "Two.", "A"), (2, 3, "Three.", "B"), (3, 4, "Four.", "A"))
    lines = [cue.lines for cue in parse(render(said, "srt").text, "srt")]
    assert lines == [["A: One."], ["Two."], ["B: Three."], ["A: Four."]]


def test_cues_break_after_punctuation_and_join_broken_sentences() -> None:
    said = talk(
        (0, 4, "It rained for three whole days and nights, and when it ended the river had", None),
        (4, 4.5, "risen.", None),
        (4.5, 6, "Nobody left.", None),
    )
    assert [cue.lines for cue in parse(render(said, "srt").text, "srt")] == [
        ["It rained for three whole days and nights,", "and when it ended the river had risen."],
        ["Nobody left."],
    ]


def test_slow_speech_stays_shown_while_it_is_spoken() -> None:
    cues = parse(render(talk((0, 16, "one two three four five six seven eight", None)), "srt").text, "srt")
    assert (cues[0].start, cues[-1].end) == (0, 16_000)
    assert all(before.end == after.start for before, after in pairwise(cues))


def test_cues_break_in_pauses() -> None:
    text = "when we came back to that house after so many long years nobody knew us and nothing was the same"
    tokens = text.split()
    starts = [i * 0.25 + 1.5 * (i >= 6) for i in range(len(tokens))]  # a pause behind the sixth word
    words = tuple(Word(start, start + 0.25, f" {token}") for start, token in zip(starts, tokens, strict=True))
    segment = Segment(0, words[-1].end, text, words)
    cues = parse(render(Transcript("en", 30, (segment,)), "srt").text, "srt")
    assert " ".join(cues[0].lines) == "when we came back to that"


def test_chinese_counts_two_columns_and_keeps_punctuation() -> None:
    text = "今天我们要讨论的是语音识别系统的评估方法，" * 4
    cues = parse(render(Transcript("zh", 30, (Segment(0, 28, text),)), "srt").text, "srt")
    lines = [line for cue in cues for line in cue.lines]
    assert "".join(lines) == text
    assert max(map(columns, lines)) <= LINE
    assert not any(line.startswith("，") for line in lines)


def test_korean_breaks_between_words() -> None:
    text = "오늘은 음성 인식 시스템을 평가하는 방법에 대해 이야기하려고 합니다 그리고 결과를 봅니다"
    cues = parse(render(Transcript("ko", 6, (Segment(0, 6, text),)), "srt").text, "srt")
    assert " ".join(line for cue in cues for line in cue.lines) == text


def test_text_that_the_words_do_not_spell_wins() -> None:
    edited = Segment(0, 2, "Corrected text", (Word(0, 2, " wrong"),))
    assert parse(render(Transcript("en", 2, (edited,)), "srt").text, "srt")[0].lines == ["Corrected text"]


def test_a_word_longer_than_a_line_and_longer_than_a_cue() -> None:
    long = Segment(0, 30, "a" * 100, (Word(0, 30, " " + "a" * 100),))
    cues = parse(render(Transcript("en", 30, (long,)), "srt").text, "srt")
    assert "".join(line for cue in cues for line in cue.lines) == "a" * 100
    assert all(cue.end - cue.start <= 7000 for cue in cues)


HOSTILE = [
    "-->", "00:00:01,000 --> 00:00:02,000", "\n\n", "1\n", "<v Mallory>", "</v>", "&lt;", "WEBVTT", "NOTE x", "\u2028",
    "\x00", "\x85", "\ud800", "--", ">", "->", "-", "\u200b", "é", "e\u0301", "语音", "。", "「", "한국어", "👩‍💻",
    "word.", "well,", "x" * 50, " ", "\t", "\u202e", "\u2066", "=", "+1", "@", ";=", '"', ",", "\ufffe",
]  # fmt: skip
texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), max_size=6).map("".join)
names = st.sampled_from([None, "Speaker 1", "Speaker 2", "Al\n\n-->", "<v x>&", "z" * 90, "语" * 30])
lengths = st.integers(0, 9000).map(lambda milliseconds: milliseconds / 1000)  # s


def lay_out(start: float, said: list[tuple[float, str]], text: str | None, speaker: str | None) -> Segment:
    """Words one after the other; the segment's own text may be another than they spell."""
    ends = list(accumulate((length for length, _ in said), initial=start))
    words = tuple(Word(*span, word) for span, (_, word) in zip(pairwise(ends), said, strict=True))
    spelt = "".join(word for _, word in said).strip()
    return Segment(start, ends[-1] + 5 * (not said), spelt if text is None else text, words, speaker)


segments = st.builds(
    lay_out, lengths, st.lists(st.tuples(lengths, texts), max_size=6), st.none() | texts, names
)  # they may overlap, and end after the recording
transcripts = st.builds(
    lambda said, duration: Transcript("en", duration, tuple(sorted(said, key=lambda segment: segment.start))),
    st.lists(segments, max_size=5),
    lengths,
)


BROKEN_ARROW = Transcript("en", 1, (Segment(0, 1, "a-->b", (Word(0, 0, " a--"), Word(0, 1, ">b")), "-->\n\nB"),))


@pytest.mark.parametrize("kind", ["srt", "vtt"])
@given(transcript=transcripts)
@example(transcript=BROKEN_ARROW)
def test_any_transcript_makes_readable_cues(kind: str, transcript: Transcript) -> None:
    rendered = render(transcript, kind).text
    rendered.encode()  # no lone surrogate is left
    cues = parse(rendered, kind)
    assert rendered.count("-->") == len(cues)
    for cue in cues:
        assert 1 <= len(cue.lines) <= LINES
        assert all(line.strip() for line in cue.lines)
        assert max(columns(shown(line)) for line in cue.lines) <= LINE
        assert 0 <= cue.start < cue.end <= cue.start + LONGEST * 1000
        assert not any("<" in line.removeprefix("<v " * (kind == "vtt")) for line in cue.lines)
    for before, after in pairwise(cues):
        assert before.end <= after.start
        room = min(after.start, before.start + SHORTEST_MS)
        assert before.end >= room
    if cues and transcript.duration * 1000 >= len(cues):
        assert cues[-1].end <= max(round(transcript.duration * 1000), 1)


def test_names_and_texts_are_no_tags() -> None:
    """Players draw SubRip with <i>, <font ...> and {\\an8} as markup; WebVTT has an escape for them."""
    text = "<i>so</i> {\\an8} <font size=99> 1 < 2"
    made = Transcript("en", 3, (Segment(0, 3, text, speaker="<b>Bob</b>"),), ("<b>Bob</b>",))
    srt, vtt = (render(made, kind).text for kind in ("srt", "vtt"))
    assert "<" not in srt
    assert "{\\" not in srt
    assert "‹b>Bob‹/b>: ‹i>so‹/i>\n(\\an8} ‹font size=99> 1 ‹ 2" in srt
    assert re.findall("<[^>]*>", vtt) == ["<v &lt;b&gt;Bob&lt;/b&gt;>"]


@given(transcript=transcripts)
def test_subtitles_keep_the_text(transcript: Transcript) -> None:
    """Modulo white space, control characters, and what begins a tag or an arrow in SubRip."""
    nameless = Transcript("en", 40, tuple(Segment(s.start, s.end, s.text, s.words) for s in transcript.segments))
    spoken = letters("".join(segment.text for segment in nameless.segments))
    vtt = [shown(line) for cue in parse(render(nameless, "vtt").text, "vtt") for line in cue.lines]
    assert letters("".join(vtt)) == spoken
    srt = [line for cue in parse(render(nameless, "srt").text, "srt") for line in cue.lines]
    squeezed = re.compile("-+>")
    plain = str.maketrans("‹(", "<{")
    assert squeezed.sub(">", letters("".join(srt)).translate(plain)) == squeezed.sub(">", spoken.translate(plain))


@given(transcript=transcripts)
def test_json_keeps_order_and_bounds(transcript: Transcript) -> None:
    made = to_json(transcript, verbose=True)
    starts = [segment["start"] for segment in made["segments"]]
    assert starts == sorted(starts)
    assert made["text"] == " ".join(segment["text"] for segment in made["segments"])
    assert json.loads(json.dumps(made)) == made
    assert all(word["word"] and " " not in word["word"] for s in made["segments"] for word in s["words"])


@given(transcript=transcripts)
def test_txt_paragraphs(transcript: Transcript) -> None:
    rendered = render(transcript, "txt").text
    assert "\n\n\n" not in rendered
    rendered.encode()


# Tables


def table(transcript: Transcript) -> list[list[str]]:
    media_type, texts = parts(transcript, "csv")
    assert media_type == "text/csv"
    written = "".join(texts).encode()
    return list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline=""), strict=True))


def test_csv_of_a_conversation() -> None:
    written = "".join(parts(HELLO, "csv")[1])
    assert written == (
        "\ufeffsegment,start,end,speaker,text,confidence\r\n"
        '0,0.000,1.000,Speaker 1,"Hello, there.",0.5\r\n'
        "1,1.500,2.000,Speaker 2,Hi!,0.5\r\n"
    )
    assert table(Transcript(None, 1)) == [list(COLUMNS)]


def test_csv_rounds_times() -> None:
    assert table(Transcript("en", 5, (Segment(1.0015, 2.9996, "a"),)))[1][1:3] == ["1.002", "3.000"]


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("\t=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("-5 degrees", "'-5 degrees"),
        ("＠SUM(1)", "'＠SUM(1)"),
        ('"=1+1', "'\"=1+1"),
        ("well;=1+1", "well;'=1+1"),  # where lists are parted by semicolons
        ("a + b = c; d", "a + b = c; d"),
        ("it's", "it's"),
    ],
)
def test_csv_runs_nothing_that_was_said(said: str, cell: str) -> None:
    assert table(Transcript("en", 1, (Segment(0, 1, said, (), said),)))[1][3:5] == [cell, cell]


@given(transcript=transcripts)
def test_csv_keeps_the_text(transcript: Transcript) -> None:
    rows = table(transcript)
    assert rows[0] == list(COLUMNS)
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(len(transcript.segments))]
    for row, segment in zip(rows[1:], transcript.segments, strict=True):
        assert row[4].replace("'", "") == clean(segment.text).replace("'", "")
        assert not any(cell.strip(' "')[:1] in tuple("=+-@＝＋－＠") for cell in row[3:5] for cell in cell.split(";"))
        assert len(row) == len(COLUMNS)
