"""Comparisons of systems, and tables of one's own: against scipy, by hand, and on data of which the truth is known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stt_lab.errors import BadInput
from stt_lab.metrics import TermErrors, WordErrors, bootstrap, compare, speed, wer
from stt_lab.text import Table, find_normaliser, normalise, normaliser_name, read_table

counts = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(20, 60)), min_size=2, max_size=6)


def words(errors: list[int], total: int = 100) -> list[WordErrors]:
    return [WordErrors(one, 0, 0, total) for one in errors]


def noisy(mean: float, recordings: int, seed: int) -> list[WordErrors]:
    return words(np.random.default_rng(seed).binomial(100, mean, recordings).tolist())


# Comparisons


@settings(max_examples=25, deadline=None)
@given(counts)
def test_the_permutation_is_scipys(found: list[tuple[int, int, int]]) -> None:
    """All exchanges of few recordings, as scipy's exact test of paired samples has them."""
    ours, theirs = (np.array([row[side] for row in found]) for side in (0, 1))
    total = sum(row[2] for row in found)

    def apart(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.abs(a.sum(axis) - b.sum(axis)) / total

    expected = stats.permutation_test((ours, theirs), apart, permutation_type="samples", alternative="greater")
    first, second = ([WordErrors(row[side], 0, 0, row[2]) for row in found] for side in (0, 1))
    made = compare(first, second, seed=0, n=50)
    assert made.p_permutation == pytest.approx(expected.pvalue, abs=1e-9)
    assert made.difference == pytest.approx((ours.sum() - theirs.sum()) / total, abs=1e-9)


def test_the_interval_is_that_of_paired_differences() -> None:
    """Over equal totals the difference of rates is a mean, so scipy's bootstrap of a mean finds nearly the same."""
    first, second = noisy(0.2, 40, 1), noisy(0.15, 40, 2)
    made = compare(first, second, seed=0)
    apart = np.array([(a.errors - b.errors) / 100 for a, b in zip(first, second, strict=True)])
    drawn = stats.bootstrap((apart,), np.mean, n_resamples=2000, method="percentile", rng=0).confidence_interval
    assert (made.low, made.high) == pytest.approx((drawn.low, drawn.high), abs=0.003)
    assert made == compare(first, second, seed=0) != compare(first, second, seed=1)


def test_a_clear_difference_is_told() -> None:
    first, second = noisy(0.2, 30, 1), noisy(0.1, 30, 2)
    made = compare(first, second, seed=0)
    assert made.significant
    assert 0.05 < made.low < made.difference < made.high < 0.15
    assert made.p_bootstrap < 0.01 > made.p_permutation
    said = made.verdict("tiny", "base")
    assert said.startswith("base is better than tiny by ")
    assert " points (95 % interval " in said
    assert said.endswith("p < 0.001, 30 recordings).")
    assert compare(second, first, seed=0).verdict("base", "tiny").startswith("base is better than tiny by ")


def test_noise_is_called_so() -> None:
    same = compare(words([5, 9, 7, 30]), words([5, 9, 7, 30]), seed=0)
    assert (same.difference, same.low, same.high, same.p_bootstrap, same.p_permutation) == (0, 0, 0, 1, 1)
    few = compare(words([20] * 4), words([10] * 4), seed=0)
    assert not few.significant
    assert few.verdict("a", "b").endswith("is within noise (10.00 points, 95 % interval 10.00 to 10.00, "
                                          "p = 0.125, 4 recordings); at least 6 recordings are needed.")  # fmt: skip


def test_equal_systems_differ_as_rarely_as_promised() -> None:
    """Of 100 pairs of systems that are equally good, about 5 seem to differ."""
    wrong = sum(compare(noisy(0.2, 20, s), noisy(0.2, 20, s + 999), s, 200).significant for s in range(100))
    assert wrong <= 12


def test_other_rates_and_their_direction() -> None:
    first, second = [TermErrors(9, 1, 0)] * 8, [TermErrors(5, 5, 3)] * 8
    made = compare(first, second, seed=0, rate="recall")
    assert (made.first, made.second, made.higher_is_better) == (0.9, 0.5, True)
    assert made.verdict("a", "b").startswith("a is better than b by 40.00 points")
    fast = compare([speed(1, 10)] * 8, [speed(2, 10)] * 8, seed=0, rate="rtfx")
    assert fast.verdict("a", "b").startswith("a is better than b by 5 seconds per second")
    assert bootstrap(first, seed=0, rate="recall") == pytest.approx((0.9, 0.9))
    values = [wer([r], [h], "none") for r, h in (("a b c", "a c"), ("a b", "a b d"), ("a", "b"))]
    low, high = bootstrap(values, seed=0, rate="wil")
    assert 0 <= low < sum(values, WordErrors()).wil < high <= 1


def test_what_cannot_be_compared() -> None:
    with pytest.raises(BadInput, match="2 and 1"):
        compare(words([1, 2]), words([1]), seed=0)
    with pytest.raises(BadInput, match="nothing to pool"):
        compare([], [], seed=0)
    with pytest.raises(BadInput, match="cannot be compared"):
        compare([WordErrors()], [WordErrors(insertions=1)], seed=0)


def test_draws_without_a_rate_are_left_out() -> None:
    rare = [TermErrors(1, 1, 0), TermErrors(0, 0, 1), TermErrors(0, 0, 0)]
    assert bootstrap(rare, seed=0, rate="recall") == (0.5, 0.5)
    assert compare(rare, rare, seed=0, rate="recall").difference == 0


# Tables


def test_a_table_replaces_whole_words_before_the_normaliser() -> None:
    table = Table((("cant", "can not"), ("New  York", "NY"), ("new", "old"), ("uh", ""), ("東京", "Tokyo")), "basic")
    assert normalise("Uh, CANT we? cantor, new\nyork; a new one", table) == "can not we cantor ny a old one"
    assert normalise("私は東京へ", table) == "私はtokyoへ"
    assert wer(["I cant"], ["i can not"], table).errors == 0


def test_replacements_are_not_replaced_again() -> None:
    assert normalise("a b", Table((("a", "b"), ("b", "a")), "none")) == "b a"


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(min_size=1).filter(str.strip), st.text(), min_size=1, max_size=5), st.text())
def test_any_table_reads_any_text(pairs: dict[str, str], text: str) -> None:
    plain = normalise(text, Table(tuple(pairs.items()), "none"))
    assert plain == " ".join(plain.split())


def test_a_table_from_a_file(tmp_path: Path) -> None:
    lines, listed = tmp_path / "own.tsv", tmp_path / "own.json"
    lines.write_text("\ufeffb\tB b\n\nuh\t\n", "utf-8")
    listed.write_text(json.dumps([["uh", ""], ["b", "B b"]]), "utf-8")
    table = read_table(lines, "whisper_en")
    assert table.pairs == (("b", "B b"), ("uh", ""))
    digest = hashlib.sha256(b'[["b", "B b"], ["uh", ""]]').hexdigest()[:8]
    assert table.name == normaliser_name(table) == f"table-{digest}+whisper_en"
    assert read_table(listed, "whisper_en").name == table.name != read_table(listed).name
    assert find_normaliser("own.tsv+whisper_en", tmp_path) == table
    assert find_normaliser("basic", tmp_path) == normaliser_name("basic") == "basic"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.tsv", "a\tb\nc d", "Line 2"),
        ("t.tsv", "a\tb\tc", "Line 1"),
        ("t.tsv", " \tb", "nothing to replace"),
        ("t.tsv", "a\tb\nA\tc", "Line 2 of t.tsv replaces"),
        ("t.tsv", "\n", "is empty"),
        ("t.json", "{", "is not valid JSON"),
        ("t.json", "3", "an object of replacements"),
        ("t.json", '{"a": 1}', "Entry 1"),
        ("t.json", '[["a", "b", "c"]]', "Entry 1"),
    ],
)
def test_a_table_that_is_none(name: str, content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(BadInput, match=told):
        read_table(tmp_path / name)


def test_a_table_that_cannot_be_had(tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    folder.mkdir()
    (tmp_path / "out.tsv").write_text("a\tb", "utf-8")
    (folder / "binary.tsv").write_bytes(b"\xff\xfe\x00")
    told = {
        "fancy": "does not exist",
        "binary.tsv+fancy": "does not exist",
        "binary.tsv+basic": "UTF-8",
        "none.tsv+basic": "cannot be read",
        "../out.tsv+basic": "outside the folder",
    }
    for spec, sentence in told.items():
        with pytest.raises(BadInput, match=sentence):
            find_normaliser(spec, folder)
