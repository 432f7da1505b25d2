"""eval/text: labels are where they say, numbers are what they say, and the files are what the sources make."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT

from stt_lab.types import Segment, Transcript

FOLDER = ROOT / "eval" / "text"
Files = dict[str, list[dict[str, Any]]]


def load_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("text_set_check", FOLDER / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECK = load_check()
FILES: Files = {
    path.name: [json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in FOLDER.glob("*.jsonl")
}
SENTENCES = (FOLDER / "translate_en.txt").read_text("utf-8").splitlines()


def test_files_are_what_the_sources_make() -> None:
    command = [sys.executable, str(FOLDER / "build.py"), "--check"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("row", FILES["transcripts.jsonl"], ids=lambda row: row["id"])
def test_labels_lie_in_the_text_of_a_transcript(row: dict[str, Any]) -> None:
    segments = tuple(Segment(one["start"], one["end"], one["text"], speaker=one["speaker"]) for one in row["segments"])
    text = Transcript(segments=segments, language="en", duration=segments[-1].end).text
    labels = [label for name in CHECK.LABELS for label in row[name]]
    assert len(labels) > 30
    assert [text[label["start"] : label["end"]] for label in labels] == [label["text"] for label in labels]


def test_nothing_is_wrong() -> None:
    assert CHECK.faults(FILES, SENTENCES) == []


def test_the_readme_counts_right() -> None:
    words = [len(CHECK.joined(row).split()) for row in FILES["transcripts.jsonl"]]
    genres = len({row["genre"] for row in FILES["transcripts.jsonl"]})
    have = CHECK.counts(FILES, SENTENCES)
    told = (FOLDER / "README.md").read_text("utf-8")
    assert f"{len(words)} conversations, {min(words)} to {max(words)} words each, {genres} genres" in told
    assert f"{round(sum(words), -3):,} words" in told
    assert f"{len(FILES['questions.jsonl'])} questions about them, {have['unanswerable']} of which" in told
    assert f"{have['injections']} fragments" in told


def spoil_offset(files: Files) -> None:
    files["transcripts.jsonl"][0]["entities"][3]["start"] += 1


def spoil_card(files: Files) -> None:
    row = next(row for row in files["transcripts.jsonl"] if row["id"] == "stand-up")
    card = next(item for item in row["pii"] if item["type"] == "CREDIT_CARD")
    card["text"] = card["text"][:-1] + "3"


def spoil_owner(files: Files) -> None:
    files["transcripts.jsonl"][0]["actions"][0]["owner"] = "Zebedee"


def spoil_times(files: Files) -> None:
    files["transcripts.jsonl"][0]["segments"][5]["start"] = 0.0


def spoil_question(files: Files) -> None:
    files["transcripts.jsonl"][0]["questions"].pop()


def spoil_paraphrase(files: Files) -> None:
    row = next(row for row in files["questions.jsonl"] if row["kind"] == "paraphrase")
    row["question"] = row["evidence"][0] + "?"


def spoil_evidence(files: Files) -> None:
    row = next(row for row in files["questions.jsonl"] if row["answerable"])
    row["segments"] = [0]


def spoil_counts(files: Files) -> None:
    del files["injections.jsonl"][30:]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (spoil_offset, "is not at"),
        (spoil_card, "is no CREDIT_CARD"),
        (spoil_owner, "nobody is called Zebedee"),
        (spoil_times, "the one before ends at"),
        (spoil_question, "neither a question, an action nor a decoy"),
        (spoil_paraphrase, "a paraphrase shares"),
        (spoil_evidence, "the evidence is not in its segments"),
        (spoil_counts, "30 injections, not 40"),
    ],
)
def test_a_fault_is_named(spoil: Callable[[Files], None], fault: str) -> None:
    files = copy.deepcopy(FILES)
    spoil(files)
    assert any(fault in sentence for sentence in CHECK.faults(files, SENTENCES))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("CREDIT_CARD", "4242 4242 4242 4242", "4242 4242 4242 4241"),
        (
            "CREDIT_CARD",
            "three seven eight two, eight two two four six three, one zero zero zero five",
            "3782 822463 10006",
        ),
        ("CREDIT_CARD", "4222222222222", "4242"),
        ("IBAN", "DE89 3704 0044 0532 0130 00", "DE98 3704 0044 0532 0130 00"),
        ("IBAN", "NL91-ABNA-0417-1643-00", "NL91 ABNA 0417 1634 00"),
        ("PHONE_NUMBER", "oh seven seven oh oh, nine oh oh, five eight eight", "07700 901 588"),
        ("PHONE_NUMBER", "+1 212-555-0119", "+1 212-555-2119"),
        ("IP_ADDRESS", "192 dot 0 dot 2 dot 44", "10.4.2"),
        ("EMAIL_ADDRESS", "council at alderfalls dot example", "council@alderfalls.com"),
    ],
)
def test_numbers_are_told_from_others(kind: str, good: str, bad: str) -> None:
    assert CHECK.VALID[kind](good)
    assert not CHECK.VALID[kind](bad)
