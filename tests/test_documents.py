"""Files for people: every format opens again and holds the words, whatever was said."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import docx
import pypdfium2
import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from stt_lab.documents import ExportFormat, export, pdf, typesetter
from stt_lab.documents.content import clock, lay_out, right_to_left
from stt_lab.errors import BadInput, SttError
from stt_lab.text import clean
from stt_lab.transcription.render import render, to_json
from stt_lab.types import Segment, Transcript, Unrecognized, Word

WHEN = datetime(2026, 11, 23, 14, 5, 9, 123456, tzinfo=UTC)
FORMATS: tuple[ExportFormat, ...] = ("txt", "srt", "vtt", "json", "csv", "docx", "pdf", "tsv", "md")


def saying(*texts: str, speaker: str | None = None, language: str = "en") -> Transcript:
    segments = tuple(Segment(10.0 * i, 10.0 * i + 5, text, (), speaker) for i, text in enumerate(texts))
    return Transcript(language, 10.0 * len(texts), segments, (speaker,) if speaker else (), "base")


def meeting(segments: int = 40, words: int = 8) -> Transcript:
    said = tuple(
        Segment(
            i * 3.7,
            i * 3.7 + 3.6,
            " ".join(f"word{(i * words + k) % 977}" for k in range(words)) + ".",
            tuple(Word(i * 3.7 + k * 0.4, i * 3.7 + k * 0.4 + 0.4, f" w{k}", 0.9) for k in range(words)),
            f"Speaker {i // 3 % 4 + 1}",
        )
        for i in range(segments)
    )
    return Transcript("en", segments * 3.7, said, tuple(f"Speaker {i}" for i in range(1, 5)), "base")


def made(transcript: Transcript, format: str, title: str = "Budget meeting") -> bytes:
    return b"".join(export(transcript, format, title, WHEN).chunks)


def word_text(content: bytes) -> str:
    return "\n".join(paragraph.text for paragraph in docx.Document(io.BytesIO(content)).paragraphs)


def pages(content: bytes) -> list[str]:
    with pypdfium2.PdfDocument(content) as opened:
        return [page.get_textpage().get_text_bounded() for page in opened]


def details(content: bytes) -> dict[str, str]:
    with pypdfium2.PdfDocument(content) as opened:
        return opened.get_metadata_dict()


def squeezed(text: str) -> str:
    """Without spaces, and the places to break that the pdf adds."""
    return "".join(char for char in text if not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc"))


# All formats


def test_media_types_and_suffixes() -> None:
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    made = {format: export(saying("Hello."), format, "", WHEN) for format in FORMATS}
    assert {format: each.media_type for format, each in made.items()} == {
        "txt": "text/plain",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
        "json": "application/json",
        "csv": "text/csv",
        "docx": word,
        "pdf": "application/pdf",
        "tsv": "text/tab-separated-values",
        "md": "text/markdown",
    }
    assert all(each.suffix == f".{format}" for format, each in made.items())


@pytest.mark.parametrize("format", ["", "odt", "verbose_json", "../etc", "x" * 500])
def test_an_unknown_format_is_refused(format: str) -> None:
    with pytest.raises(BadInput, match="txt, srt, vtt, json, csv, docx, pdf, tsv, md") as refused:
        export(saying("Hello."), format, "", WHEN)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("format", ["txt", "srt", "vtt"])
def test_text_formats_are_the_renderings(format: str) -> None:
    said = meeting()
    assert made(said, format).decode() == render(said, format).text


def test_json_also_has_speech_without_words() -> None:
    heard = (Unrecognized(1.0, 2.5, "Speaker 1"), Unrecognized(3.0, 4.0))
    said = replace(meeting(), unrecognized=heard)
    found = json.loads(made(said, "json"))
    assert found.pop("unrecognized") == [
        {"start": 1.0, "end": 2.5, "speaker": "Speaker 1"},
        {"start": 3.0, "end": 4.0, "speaker": None},
    ]
    assert found == to_json(said)


def talk() -> Transcript:
    segments = (Segment(3, 4, "1. Hello *there*.", (), "Ada"), Segment(9, 10, "- <b>me</b>"), Segment(70, 71, "Yes."))
    return Transcript("en", 80, segments, ("Ada",), "base")


def test_times_in_texts_for_reading() -> None:
    timed = {format: b"".join(export(talk(), format, "A", WHEN, times=True).chunks).decode() for format in FORMATS[:1]}
    assert timed["txt"] == "[0:03] Ada: 1. Hello *there*.\n\n[0:09] - <b>me</b>\n\n[1:10] Yes.\n"
    marked = b"".join(export(talk(), "md", "A *b*", WHEN, times=True).chunks).decode()
    assert marked == (
        "# A \\*b\\*\n\n\\[0:03\\] **Ada:** 1. Hello \\*there\\*.\n\n"
        "\\[0:09\\] - \\<b\\>me\\</b\\>\n\n\\[1:10\\] Yes.\n"
    )
    for format in ("srt", "vtt", "json", "csv", "tsv"):
        assert b"".join(export(talk(), format, "A", WHEN, times=True).chunks) == made(talk(), format, "A")


def test_markdown_of_a_conversation() -> None:
    assert made(talk(), "md", "").decode() == (
        "# Transcript\n\n**Ada:** 1. Hello \\*there\\*.\n\n\\- \\<b\\>me\\</b\\>\n\nYes.\n"
    )


def test_tsv_has_the_cells_of_csv() -> None:
    rows = [line.split("\t") for line in made(meeting(), "tsv").decode().splitlines()]
    assert rows == list(csv.reader(io.StringIO(made(meeting(), "csv").decode("utf-8-sig"))))


def test_streams_come_in_chunks() -> None:
    chunks = list(export(meeting(3000), "csv", "", WHEN).chunks)
    assert len(chunks) > 2
    assert max(map(len, chunks)) < 70_000
    assert len(list(csv.reader(io.StringIO(b"".join(chunks).decode("utf-8-sig"))))) == 3001


@pytest.mark.parametrize("format", FORMATS)
def test_nobody_speaks(format: str) -> None:
    silence = Transcript(None, 3.0)
    content = made(silence, format)
    if format == "docx":
        assert "No speech was found" in word_text(content)
    if format == "pdf":
        assert "No speech was found" in pages(content)[0]


HOSTILE = [
    "-->", "\n\n", "\r", "\x00", "\x0b", "\x1b[31m", "\x85", "\u2028", "\ud800", "\udfff", "\ufffe", "\uffff", "\ufdd0",
    "\u202e", "\u2066", "\u200f", "<w:p>", "]]>", "&amp;", "&", "#let x", "$x$", "*a*", "_b_", "\\", "@ref", "<label>",
    "//", "/*", "```", "=1+1", '"', "'", ",", ";", "é", "e\u0301", "\u0301" * 40, "语音", "한국어", "नमस्ते", "ไทย", "བོད",
    "שלום", "مرحبا", "👩‍💻", "\ue000", "\U000f0000", "x" * 300, " ", "\t", "\u200b", "\xad", "\u2060",
]  # fmt: skip
texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=8).map("".join)


def hostile(said: list[tuple[str, str | None]]) -> Transcript:
    segments = tuple(Segment(5.0 * i, 5.0 * i + 2.5, text, (), name) for i, (text, name) in enumerate(said))
    return Transcript("en", 60.0, segments, tuple(dict.fromkeys(name for _, name in said if name)), "base")


transcripts = st.builds(hostile, st.lists(st.tuples(texts, st.none() | texts), max_size=6))


@given(transcript=transcripts, title=texts)
def test_markdown_shows_what_was_said(transcript: Transcript, title: str) -> None:
    """A reader of Markdown finds one heading, paragraphs and bold names: no other element, and the same text."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    content = made(transcript, "md", title).decode()
    tokens = reader.parse(content)
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds <= {"heading", "paragraph", "inline"}
    inner = [one for token in tokens for one in token.children or ()]
    assert {one.type for one in inner} <= {"text", "text_special", "strong_open", "strong_close"}
    shown = squeezed("".join(one.content for one in inner))
    for segment in transcript.segments:
        assert squeezed(clean(segment.text)) in shown


@given(transcript=transcripts, title=texts)
def test_text_formats_hold_any_words(transcript: Transcript, title: str) -> None:
    assert json.loads(made(transcript, "json", title)) == to_json(transcript) | {"unrecognized": []}
    rows = list(csv.reader(io.StringIO(made(transcript, "csv", title).decode("utf-8-sig"), newline=""), strict=True))
    assert len(rows) == 1 + len(transcript.segments)
    for format in ("txt", "srt", "vtt"):
        made(transcript, format, title).decode()


@settings(max_examples=25, deadline=None)
@given(transcript=transcripts, title=texts)
def test_docx_holds_any_words(transcript: Transcript, title: str) -> None:
    shown = word_text(made(transcript, "docx", title))
    assert (clean(title)[:250].strip() or "Transcript") in shown
    for segment in transcript.segments:
        assert clean(segment.text) in shown


@settings(max_examples=30, deadline=None)
@given(transcript=transcripts, title=texts)
def test_pdf_holds_any_words(transcript: Transcript, title: str) -> None:
    content, _ = typesetter.typeset(pdf.typst_data(lay_out(transcript, title, WHEN)))  # without a process for each
    shown = squeezed("".join(pages(content)))
    for segment in transcript.segments:  # those that fonts and pdf readers agree on
        for word in re.findall("[0-9A-Za-z]{4,}", clean(segment.text)):
            assert word in shown


# docx


def test_docx_is_a_document() -> None:
    opened = docx.Document(io.BytesIO(made(meeting(), "docx")))
    known = opened.core_properties
    assert (known.title, known.author, known.language) == ("Budget meeting", "stt_lab", "en")
    assert known.created == datetime(2026, 11, 23, 14, 5, 9, tzinfo=UTC)
    lines = [paragraph.text for paragraph in opened.paragraphs]
    assert lines[:7] == [
        "Budget meeting",
        "Date\t23 November 2026, 14:05 UTC",
        "Duration\t0:02:28",
        "Language\tEnglish",
        "Model\tbase",
        "Speakers\tSpeaker 1, Speaker 2, Speaker 3, Speaker 4",
        "Speaker 1",
    ]
    assert lines[7].startswith("0:00:00\tword0 word1")
    headings = [paragraph for paragraph in opened.paragraphs if paragraph.style.name == "Heading 1"]
    assert [paragraph.text for paragraph in headings[:3]] == ["Speaker 1", "Speaker 2", "Speaker 3"]
    colours = {paragraph.text: str(paragraph.runs[0].font.color.rgb) for paragraph in headings}
    assert len(set(colours.values())) == 4


def test_docx_numbers_its_pages() -> None:
    section = docx.Document(io.BytesIO(made(meeting(), "docx"))).sections[0]
    for footer in (section.footer, section.first_page_footer):
        assert re.findall('instr="([A-Z]+)"', footer._element.xml) == ["PAGE", "NUMPAGES"]
    assert section.header.paragraphs[0].text == "Budget meeting"
    assert section.first_page_header.paragraphs[0].text == ""


def test_docx_runs_from_right_to_left_where_the_text_does() -> None:
    opened = docx.Document(io.BytesIO(made(saying("שלום לכולם, Ada", "Hello"), "docx")))
    hebrew, english = opened.paragraphs[-2:]
    assert "<w:bidi/>" in hebrew._p.xml
    assert "<w:rtl/>" in hebrew._p.xml
    assert "<w:bidi/>" not in english._p.xml


# pdf


def test_pdf_is_a_document() -> None:
    content = made(meeting(160), "pdf")
    shown = pages(content)
    assert len(shown) > 2
    assert all(f"{number} / {len(shown)}" in page for number, page in enumerate(shown, 1))
    assert "Budget meeting" in shown[1]  # the running title
    for line in ("23 November 2026, 14:05 UTC", "0:09:52", "English", "Speaker 1, Speaker 2", "0:00:00", "word0 word1"):
        assert line in shown[0]
    known = details(content)
    assert (known["Title"], known["Author"]) == ("Budget meeting", "stt_lab")
    assert known["CreationDate"].startswith("D:20261123140509")
    assert re.search(rb"/Lang\s*\(en\)", content)
    assert b"pdfaid" in content  # PDF/A
    with pypdfium2.PdfDocument(content) as opened:
        assert [mark.get_title() for mark in opened.get_toc()][:2] == ["Speaker 1", "Speaker 2"]


def test_pdf_is_the_same_for_the_same_transcript() -> None:
    assert made(meeting(), "pdf") == made(meeting(), "pdf")


@pytest.mark.parametrize("text", ["Grüße, Łódź, señor", "Καλημέρα σας", "Доброе утро, їжак"])
def test_pdf_always_shows_latin_greek_and_cyrillic(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no font but those that the typesetter brings."""
    monkeypatch.setattr(typesetter, "all_fonts", lambda: typst.Fonts(include_system_fonts=False))
    content, warnings = typesetter.typeset(pdf.typst_data(lay_out(saying(text), "Title", WHEN)))
    assert warnings == []
    assert text in pages(content)[0]


SCRIPTS = {
    "ar": "مرحبا بكم في الاجتماع",
    "he": "שלום לכולם",
    "hi": "नमस्ते दुनिया",
    "bn": "ওহে বিশ্ব",
    "ta": "வணக்கம் உலகம்",
    "th": "สวัสดีชาวโลก",
    "bo": "བཀྲ་ཤིས་བདེ་ལེགས",
    "ka": "გამარჯობა მსოფლიო",
    "zh": "大家好，欢迎参加会议。",
    "ja": "皆さん、こんにちは。",
    "ko": "안녕하세요, 여러분.",
}


@pytest.mark.parametrize("language", SCRIPTS)
def test_pdf_of_a_script(language: str) -> None:
    made = export(saying(SCRIPTS[language], language=language), "pdf", SCRIPTS[language], WHEN)
    if made.warnings:
        pytest.skip(made.warnings[0])
    shown = squeezed("".join(pages(b"".join(made.chunks))))
    first = SCRIPTS[language].split()[0]  # readers of pdf differ in the order of joined and reversed letters
    assert set(squeezed(first)) & set(unicodedata.normalize("NFKC", shown))


def test_pdf_shows_boxes_where_no_font_is() -> None:
    """Visible ones, and a sentence that says what to do, in the answer and in the document."""
    made = export(saying("Private \U000f0000\U000f0001 use"), "pdf", "x", WHEN)
    (warning,) = made.warnings
    assert "(symbols)" in warning
    shown = pages(b"".join(made.chunks))[0]
    assert "Boxes replace characters" in shown
    assert "Private" in shown


def test_advice_names_the_package_of_a_script() -> None:
    assert "fonts-noto-cjk" in typesetter.advise(["会", r"\u{304b}"])[0]
    (sentence,) = typesetter.advise(["\u0f56", r"\u{5d0}"])
    assert "Hebrew, Tibetan" in sentence
    assert "Debian's fonts-noto-core, and" in sentence
    assert typesetter.advise([]) == []


def test_fonts_follow_the_language() -> None:
    there = {"Noto Sans", "Noto Sans Arabic", "Noto Sans CJK SC", "Noto Sans CJK JP", "Libertinus Serif"}
    families = typesetter.font_families(there, "aب会", "ja")
    assert families == ["Noto Sans", "Noto Sans Arabic", "Noto Sans CJK JP", "Libertinus Serif"]
    assert "Noto Sans CJK SC" in typesetter.font_families(there, "会", "zh")
    assert "Noto Sans CJK JP" in typesetter.font_families(there, "会か", "en")


def test_long_words_stay_on_the_page() -> None:
    content = made(saying("x" * 1000 + " " + "\u0301" * 5000 + " end"), "pdf")
    with pypdfium2.PdfDocument(content) as opened:
        page = opened[0]
        text = page.get_textpage()
        rights = [text.get_charbox(i)[2] for i in range(text.count_chars()) if text.get_text_range(i, 1) == "x"]
        assert len(rights) == 1000
        assert max(rights) < page.get_width() - 40


def typeset_by(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have a program of these lines in the place of the typesetter."""
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: popen([sys.executable, "-c", code], **how))


def test_a_failure_of_the_typesetter_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pdf, "LIMIT", 0.01)
    with pytest.raises(SttError, match="as docx"):
        made(saying("Hello."), "pdf")
    monkeypatch.undo()
    typeset_by(monkeypatch, "import sys; sys.exit('/secret/path')")
    with pytest.raises(SttError, match="as docx") as problem:
        made(saying("Hello."), "pdf")
    assert "secret" not in str(problem.value)
    assert "exited with 1: /secret/path" in caplog.text


def test_the_typesetter_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_LAB_ADMIN_KEY", "stt_secret")
    typeset_by(
        monkeypatch,
        """
import base64, json, os
content = base64.b64encode(json.dumps(dict(os.environ)).encode()).decode()
print(json.dumps({"warnings": [], "content": content}), flush=True)
""",
    )
    seen = made(saying("Hello."), "pdf").decode()
    assert "PATH" in seen
    assert "stt_secret" not in seen


# What documents show


def test_paragraphs_of_turns_and_long_speech() -> None:
    sentence = "This is said without any pause at all. " * 3
    segments = tuple(Segment(i, i + 1.0, sentence.strip(), (), "Ada") for i in range(30))
    document = lay_out(Transcript("en", 30, segments, ("Ada",)), "x", WHEN)
    assert [paragraph.name is not None for paragraph in document.paragraphs][:2] == [True, False]
    assert all(len(paragraph.text) < 2000 for paragraph in document.paragraphs)
    assert " ".join(paragraph.text for paragraph in document.paragraphs) == " ".join(s.text for s in segments)


def test_times_are_rounded_and_dates_are_utc() -> None:
    assert [clock(seconds) for seconds in (0.4, 59.6, 3599.5, 36_000)] == ["0:00:00", "0:01:00", "1:00:00", "10:00:00"]
    east = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    assert lay_out(saying("x"), "x", east).facts[0] == ("Date", "31 December 2025, 20:30 UTC")


def test_names_and_titles_have_bounds() -> None:
    document = lay_out(saying("Hello.", speaker="n\n" * 500), "t" * 1000, WHEN)
    assert len(document.title) == 250
    assert len(document.running) < 90
    assert len(document.names[0].text) <= 120
    assert lay_out(saying("Hello.", speaker="\x00"), " \n", WHEN).names[0].text == "?"


def test_direction_is_that_of_most_letters() -> None:
    assert right_to_left("OK, שלום לכולם 123")
    assert not right_to_left("Hello שלום everybody")
    assert not right_to_left("123 ...")


def test_documents_are_imported_when_they_are_asked_for() -> None:
    code = "import sys, stt_lab.documents; sys.exit(any(name in sys.modules for name in ('docx', 'lxml', 'typst')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("format", ["docx", "pdf"])
def test_two_hours(format: str) -> None:
    """20,000 words: some seconds each on two cores; the bound leaves room for a busy machine."""
    said = meeting(2500)
    started = datetime.now()
    content = made(said, format)
    assert (datetime.now() - started).total_seconds() < 30
    assert len(content) < 4_000_000
