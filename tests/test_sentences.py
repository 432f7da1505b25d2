"""Where sentences end: traps in eight languages, hard strings, and texts of which no part is lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import ROOT
from text_tools import tools

from stt_lab.text import sentence_end
from stt_lab.text.abbreviations import LANGUAGES, usage
from stt_lab.text.sentences import sentences
from stt_lab.text.words import beginning, stem
from stt_lab.translation import translate
from stt_lab.translation.cutting import pieces
from stt_lab.types import Segment, TextSpan, Transcript
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.writer import EXTRACTIVE, writer

sys.path.insert(0, str(ROOT / "eval"))
from text_sentences import HARD, ours, right, traps

TALKS = [
    json.loads(line) for line in (ROOT / "eval/text/transcripts.jsonl").read_text("utf-8").splitlines()
]  # English only
SEEN, UNSEEN = traps()


def split(text: str, language: str | None = None) -> list[str]:
    return [span.of(text) for span in sentences(text, language)]


def test_traps() -> None:
    assert len(SEEN) + len(UNSEEN) >= 300
    assert len({language for language, _ in SEEN}) == 8
    assert right(ours, SEEN) >= 0.97
    assert right(ours, UNSEEN) >= 0.97
    assert right(lambda text, language: split(text), [*SEEN, *UNSEEN]) >= 0.95  # the language is detected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Take No. 5. | It is here. | I said no. | Then I left."),
        ("en", "On Jan. 3 it was approx. 40 degrees. | In January it is cold."),
        ("de", "Das gilt z.B. Anfang Mai. | Am 3. Mai kommt er. | Er ist 3. | Sie ist 5."),
        ("es", "El Sr. Paz y la Sra. Ruiz. | Son dos."),
        ("fr", "Mme. Roux est là. | « Oui. » | Elle rit."),
        ("de", "„Ich gehe.“ | Dann ging er. | »Komm!« | Er kam."),
        ("en", '"Yes." | "Are you sure?" | (I was.) | Fine.'),
        ("en", "It was 5 p.m. | They left. | By 6 p.m. Maria was home."),
        ("en", "hello there. how are you. fine"),  # no capitals, so points show nothing
        ("xx", "Dr. Weber kam. | Dann ging er."),
        ("ja", "はい。 | そうです。"),
    ],
)
def test_points(language: str, text: str) -> None:
    wanted = text.replace("\n", " | ").split(" | ") if "\n" in text else text.split(" | ")
    assert split(text.replace(" | ", " "), language) == (
        wanted if "\n" not in text else split(text.replace(" | ", " "))
    )


def test_usages_are_lower_case_and_say_one_thing() -> None:
    for code in LANGUAGES:
        of = usage(code)
        assert all(word == word.casefold() and not word.endswith(".") for part in vars(of).values() for word in part)
        assert not of.names & of.lists, code
    assert usage("de-AT") == usage("de")
    assert usage("xx").names


@pytest.mark.parametrize("kind", HARD)
def test_hard_strings_take_seconds(kind: str) -> None:
    began = time.perf_counter()
    assert len(HARD[kind]) >= 600_000
    sentences(HARD[kind], "en")
    assert time.perf_counter() - began < 60  # quadratic would take hours


def test_ends_of_lines_of_subtitles() -> None:
    assert not any(map(sentence_end, ["approx.", "z.B.", "Mme.", "Sr.", "Nr.", "bijv.", "рис."]))
    assert all(map(sentence_end, ["no.", "etc.", "it.", "es."]))


def test_stems() -> None:
    assert stem("leads") == stem("leading") == "lead"
    assert stem("repaired") == stem("repairs") != stem("repent")
    assert [beginning(word) for word in ("happily", "studies", "led", "café")] == ["happil", "studi", "led", "café"]


# Nothing is lost


def source(row: dict[str, Any]) -> SourceText:
    segments = tuple(Segment(one["start"], one["end"], one["text"], (), one["speaker"]) for one in row["segments"])
    return SourceText.of(Transcript("en", segments[-1].end, segments))


def test_translations_drop_no_part_of_a_sentence() -> None:
    asked: list[str] = []

    def same(texts: Sequence[str], again: bool) -> list[str]:
        asked.extend(texts)
        return list(texts)

    english = (ROOT / "eval/text/translate_en.txt").read_text("utf-8").splitlines()
    texts = [source(row).text for row in TALKS] + [" ".join(english)]
    rows = [("en", text) for text in texts] + [(code, " ".join(parts)) for code, parts in (*SEEN, *UNSEEN)]
    for language, text in rows:
        (made,) = translate([text], same, language)
        assert made.text == text
        spans = pieces(text, language)
        left = text
        for span in reversed(spans):
            left = left[: span.start] + left[span.end :]
        assert not any(map(str.isalpha, left)), left
    for one in english:
        assert one in asked  # each as a whole


@pytest.mark.slow
@pytest.mark.parametrize("row", TALKS, ids=lambda row: row["id"])
def test_summaries_drop_no_part_of_a_sentence(row: dict[str, Any]) -> None:
    """A statement is whole sentences of the text; only fillers at its start may be missing."""
    given = source(row)
    text = given.text
    starts = {part.start for part in given.segments}
    for style in ("brief", "detailed", "bullet_points"):
        found = writer(tools(), EXTRACTIVE).summarize(given, style).statements
        assert found
        for one in found:
            for span in one.spans:
                assert _whole(text, span, starts), span.of(text)
            cited = " ".join(" ".join(span.of(text).split()) for span in one.spans)
            assert cited.casefold().endswith(one.text.casefold().lstrip("- "))
            assert len(cited.split()) - len(one.text.split()) <= 4


def _whole(text: str, span: TextSpan, starts: set[int]) -> bool:
    before, after = text[: span.start].rstrip(), text[span.end :].lstrip()
    begins = not before or span.start in starts or before[-1] in ".?!…\"'”’"
    goes_on = bool(after) and len(text) - len(after) not in starts and after[0].islower()
    return begins and not goes_on and (not before or not before.endswith((" No.", " approx.", " Dr.", " Mr.")))
