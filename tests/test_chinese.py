"""Simplified and traditional Chinese in transcripts."""

from __future__ import annotations

import pytest

from stt_lab.text.chinese import chinese_script, in_script, segments_in_script
from stt_lab.types import Segment, Word


@pytest.mark.parametrize(
    ("language", "script"),
    [
        ("zh-Hant", "Hant"),
        ("zh_TW", "Hant"),
        ("zho-Hans", "Hans"),
        ("zh-CN", "Hans"),
        ("zh-Hant-HK", "Hant"),
        ("繁體中文", "Hant"),
        ("简体中文", "Hans"),
        ("zh", None),
        ("chinese", None),
        ("de-CN", None),
        ("auto", None),
    ],
)
def test_a_language_may_name_a_script(language: str, script: str | None) -> None:
    assert chinese_script(language) == script


def test_words_decide_between_characters() -> None:
    assert in_script("头发", "Hant") == "頭髮"  # hair
    assert in_script("发财", "Hant") == "發財"  # to get rich
    assert in_script("皇后", "Hant") == "皇后"  # an empress, not what comes after
    assert in_script("頭髮", "Hans") == "头发"
    assert in_script("Hello 123", "Hant") == "Hello 123"


def test_words_keep_their_times() -> None:
    words = (Word(0.0, 0.4, "头"), Word(0.4, 0.9, "发", 0.7), Word(0.9, 1.2, "好"))
    (made,) = segments_in_script((Segment(0.0, 1.2, "头发好", words, "Ada"),), "Hant")
    assert (made.text, made.speaker) == ("頭髮好", "Ada")
    assert made.words == (Word(0.0, 0.4, "頭"), Word(0.4, 0.9, "髮", 0.7), Word(0.9, 1.2, "好"))
