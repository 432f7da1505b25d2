"""Languages, ends of sentences, normalisers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_lab.errors import BadInput
from stt_lab.text import ALIASES, LANGUAGES, NORMALISERS, clause_end, language_code, normalise, sentence_end


def test_languages_are_those_of_whisper() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert sorted(LANGUAGES) == sorted(_LANGUAGE_CODES)
    assert len(LANGUAGES) == 100
    assert all(name == name.lower() for name in LANGUAGES.values())
    assert len(set(LANGUAGES.values())) == 100


def test_aliases_lead_to_languages_and_hide_none() -> None:
    assert set(ALIASES.values()) <= set(LANGUAGES)
    assert not set(ALIASES) & (set(LANGUAGES) | set(LANGUAGES.values()))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("auto", None), ("AUTO", None), ("", None), ("en", "en"), (" EN ", "en"), ("en-US", "en"), ("pt_BR", "pt"),
        ("zh-Hans-CN", "zh"), ("yue", "yue"), ("yue-HK", "yue"), ("English", "en"), ("haitian creole", "ht"),
        ("Mandarin", "zh"), ("jv", "jw"), ("nb-NO", "no"),
    ],
)  # fmt: skip
def test_language_code(value: str, code: str | None) -> None:
    assert language_code(value) == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("deu", "de"), ("ger", "de"), ("spa", "es"), ("zho", "zh"), ("chi", "zh"), ("fre", "fr"), ("nob", "no"),
        ("jav", "jw"), ("tgl", "tl"), ("deu-AT", "de"), ("deutsch", "de"), ("Español", "es"), ("espanol", "es"),
        ("中文", "zh"), ("简体中文", "zh"), ("日本語", "ja"), ("русский", "ru"), ("粵語", "yue"), ("norsk", "no"),
        ("Bahasa Indonesia", "id"), ("espan\u0303ol", "es"),
    ],
)  # fmt: skip
def test_three_letters_and_native_names(value: str, code: str) -> None:
    assert language_code(value) == code


@pytest.mark.parametrize(("value", "near"), [("duetsch", "deutsch"), ("espanhol", "espanol"), ("portugese", "portugu")])
def test_a_near_miss_suggests_what_is_meant(value: str, near: str) -> None:
    with pytest.raises(BadInput, match=f"Did you mean {near}"):
        language_code(value)


@pytest.mark.parametrize("value", ["eux", "xyz", "deuu", "e", "xho", "isiXhosa"])
def test_a_wrong_code_suggests_no_other_language(value: str) -> None:
    with pytest.raises(BadInput, match="Use auto, or a code") as caught:
        language_code(value)
    assert "mean" not in str(caught.value)
    assert ("Xhosa" in str(caught.value)) == (value in ("xho", "isiXhosa"))


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_code_and_name_is_accepted(code: str) -> None:
    assert language_code(code.upper()) == language_code(LANGUAGES[code].title()) == code


@pytest.mark.parametrize(("value", "near"), [("englsh", "english"), ("germn", "german"), ("xx", "auto"), ("-", "auto")])
def test_an_unknown_language_says_what_to_do(value: str, near: str) -> None:
    with pytest.raises(BadInput, match=near) as caught:
        language_code(value)
    assert f'"{value}"' in str(caught.value)


@given(st.text())
def test_any_text_is_a_language_or_bad_input(value: str) -> None:
    sentence = ""
    try:
        assert language_code(value) in {None, *LANGUAGES}
    except BadInput as error:
        sentence = str(error)
    assert len(sentence) < 200


@pytest.mark.parametrize(
    "text",
    [
        "Yes.",
        "Really?",
        " No!",
        'he said "stop."',
        "そうです。",
        "「はい。」",
        "هل؟",
        "ہے۔",
        "है।",
        "(Done.)",
        "well…",
        "end. ",
    ],
)
def test_sentence_ends(text: str) -> None:
    assert sentence_end(text)


@pytest.mark.parametrize("text", ["", " ", "yes", "yes,", "Dr.", "with Mr.", "J.", "George W.", "3.5", "。そ", ")"])
def test_no_sentence_ends(text: str) -> None:
    assert not sentence_end(text)


def test_clause_ends() -> None:
    assert all(map(clause_end, ["well,", "そう、", "first; ", 'so,"', "نعم،"]))
    assert not any(map(clause_end, ["well", "", "end."]))


def test_none_keeps_the_words() -> None:
    assert normalise("  Hello,\n\tWorld! ", "none") == "Hello, World!"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Hello, World!", "hello world"),
        ("Don't stop—he’s well-known.", "dont stop hes well known"),
        ("'quoted' words", "quoted words"),
        ("「はい」、そうです。", "はい そうです"),
        ("ＡＢＣ １２３", "abc 123"),
        ("¿Qué?", "qué"),
        ("50% of $3", "50 of $3"),
    ],
)
def test_basic(text: str, plain: str) -> None:
    assert normalise(text, "basic") == plain


@given(st.text())
def test_basic_leaves_no_punctuation_and_no_spare_space(text: str) -> None:
    plain = normalise(text, "basic")
    assert plain == " ".join(plain.split())
    assert not any(unicodedata.category(char).startswith("P") for char in plain)


def test_whisper_normalisers() -> None:
    assert normalise("Mr. Smith's colour, twenty-five dollars", "whisper_en") == "mister smith is color $25"
    assert normalise("Mr. Smith's [noise] Größe!", "whisper") == "mr smith s größe"


def test_whisper_normalisers_load_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from stt_lab.text import normalise; normalise('a', 'whisper_en'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NORMALISERS)
@given(text=st.text())
def test_normalisers_take_any_text(name: str, text: str) -> None:
    plain = normalise(text, name)
    assert plain == " ".join(plain.split())


def test_unknown_normaliser() -> None:
    with pytest.raises(BadInput, match="whisper_en"):
        normalise("a", "fancy")
