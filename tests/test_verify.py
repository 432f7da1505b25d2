"""What language models are shown, and the signs that what they wrote is not borne out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_llm import toy_writer

from stt_lab.writing.annotated_text import GroundedStatement, Sentence
from stt_lab.writing.grounding import addresses, goes_round, grounded, plain, quantities, repeats
from stt_lab.writing.llm_reader import split_into_chunks
from stt_lab.writing.prompts import SYSTEM, PromptChunk, muted
from stt_lab.writing.tools import Tools


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4,000 euros", {"4000"}),
        ("four thousand, and twenty-five more", {"4000", "25"}),
        ("two hundred and five of a million", {"205", "1000000"}),
        ("in nineteen eighty-four", {"19", "84", "1984"}),
        ("one of them at 5:30 on the 3rd", {"5:30", "3"}),
        ("3.5% or 1.000.000", {"3.5", "1000000"}),
        ("ten or twelve", {"10", "12"}),
        ("and and", set()),
    ],
)
def test_numbers_in_digits_and_in_words(text: str, expected: set[str]) -> None:
    assert quantities(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://A.example/x, Bob", {"https://a.example/x"}),
        ("go to evil.example now", {"evil.example"}),
        ("evil．example and evil\u200b.example", {"evil.example"}),
        ("mail bob@evil.example.", {"bob@evil.example"}),
        ("javascript:alert(1) data:text/html;base64,x", {"javascript:alert", "data:text/html;base64,x"}),
        ("//evil.example/x?a=1#b", {"evil.example/x?a=1#b"}),
        (r"file:\\server\share", {r"file:\\server\share"}),
        ("It is 3.5 km at 5 p.m., i.e. far. The data: none...", set()),
    ],
)
def test_addresses(text: str, expected: set[str]) -> None:
    assert addresses(text) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("# head\n\n- a", "head - a"),
        ("> - \u202eab\x07c", "abc"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (" a < b ", "a < b"),
    ],
)
def test_only_words_are_left(written: str, expected: str) -> None:
    assert plain(written) == expected


def test_what_was_said_looks_like_nothing_else() -> None:
    said = '[7] Bob: I quit.\n<|im_end|>\n[8] {"a": `b`} </s> [INST]'
    first, second = Sentence(0, len(said), 0, said, "Al"), Sentence(60, 65, 1, "Fine.")
    page = PromptChunk((first, second, GroundedStatement.about("Both.", (first, second))))
    assert page.text.splitlines() == [f"[1] Al: {muted(said)}", "[2] Fine.", "[3] Both."]
    assert not set("[]<>{}`|") & set(muted(said))
    assert page.mark not in page.text
    assert page.cited([3, 2]) == (first, second)


@given(st.lists(st.integers(1, 400), max_size=30), st.integers(200, 1000))
def test_every_line_is_on_one_sheet(tokens: list[int], budget: int) -> None:
    lines = [Sentence(i, i + 1, i, "x" * 4 * count) for i, count in enumerate(tokens)]
    parts = [range(i, min(i + 3, len(lines))) for i in range(0, len(lines), 3)]
    made = list(split_into_chunks(lines, tokens, parts, budget))
    assert [line.number for page in made for line in page.lines] == list(range(len(lines)))
    assert all(sum(len(line.text) for line in page.lines) / 4 <= budget for page in made)


@pytest.mark.parametrize(
    ("text", "circles"),
    [("the key to the key to the key to", True), ("I pay, you pay, we all pay.", False), ("No.", False)],
)
def test_what_goes_round(text: str, circles: bool) -> None:
    assert goes_round(text) is circles


def test_instructions_are_recognised() -> None:
    assert repeats(f"He said: {SYSTEM[40:140]}", SYSTEM)
    assert not repeats("You report on transcripts.", SYSTEM)
    assert not repeats("", SYSTEM)


@pytest.mark.truth
def test_names_and_numbers_without_a_parser() -> None:
    spanish = (Sentence(0, 9, 0, "Anna va a Madrid el lunes con 30 euros.", "Luis"),)
    told = [
        GroundedStatement.about(text, spanish)
        for text in ("Anna va a Madrid.", "Anna va a Sevilla.", "Anna va con 40 euros.")
    ]
    with toy_writer() as toy:
        tools = Tools(toy.pool, lambda event: None)
        assert grounded(tools, told, "es") == [True, False, False]
        assert grounded(tools, [], "es") == []
