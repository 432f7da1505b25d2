"""Documents: templates as data, what they are made of, and that all of it can be checked against the text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_tools import tools

from stt_lab.errors import BadInput, Unavailable
from stt_lab.operations import generate
from stt_lab.types import Segment, TextSpan, Transcript
from stt_lab.writing.blocks import escaped
from stt_lab.writing.documents import NOTHING
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.templates import KINDS, Block, Template, names, shipped, template
from stt_lab.writing.values import Generated
from stt_lab.writing.writer import writer

TEN = (
    *("blog_post", "social_media", "newsletter", "key_quotes", "show_notes"),
    *("meeting_notes", "study_guide", "flashcards", "quiz", "chapter_markers"),
)
ALSO = ("social_twitter", "social_linkedin", "podcast_show_notes")

LINES = [
    ("Ada", "Good morning. Today we talk about the new library of Lisbon, which opens on Monday."),
    ("Ben", "The library is a house with ten thousand books, and it cost four million euros."),
    ("Ada", "The old library in Porto burned in 2014. Everybody who loved books cried that night."),
    ("Ben", "The librarians saved three thousand books with their own hands, it was wonderful."),
    ("Ada", "Who paid for the new house?"),
    ("Ben", "The city of Lisbon paid half of it, and Acme Corporation paid the other half."),
    ("Ada", "Let's speak about trains. The night train to Madrid stops at the library now."),
    ("Ben", "The night train is a train with beds, and tickets for the train cost forty euros."),
    ("Ada", "We decided to offer readers a cheaper ticket. The railway of Spain agreed in May."),
    ("Ben", "I'll send the contract to the railway by Friday. When will the first train stop here?"),
]
SEGMENTS = tuple(Segment(10.0 * i + 1, 10.0 * i + 9, text, speaker=who) for i, (who, text) in enumerate(LINES))
SCRIPT = SourceText.of(Transcript("en", 100.0, SEGMENTS))


def made(kind: str, script: SourceText = SCRIPT, prompt: str = "") -> Generated:
    return writer(tools(), "extractive").generate(script, template(kind), prompt)


# Templates


def test_the_documents_that_there_are() -> None:
    assert set(TEN) | set(ALSO) == set(names())
    assert template("podcast_show_notes").name == "show_notes"
    used = {block.kind for known in shipped() for block in known.blocks}
    assert used == set(KINDS)
    assert all(known.description for known in shipped())


@pytest.mark.parametrize("name", ["", "poem", "../templates/quiz", "Quiz", "quiz.toml", "a" * 200])
def test_unknown_kinds_are_named(name: str) -> None:
    with pytest.raises(BadInput, match="Use one of blog_post, "):
        template(name)


def test_templates_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "minutes.toml").write_text(
        'description = "ours"\nblocks = [{ kind = "actions", heading = "To do", most = 1 }]\n'
    )
    own = template("minutes", tmp_path)
    assert names(tmp_path)[-1] == "minutes"
    assert own.blocks[0].heading == "To do"
    with pytest.raises(BadInput, match="minutes"):
        template("poem", tmp_path)
    (tmp_path / "quiz.toml").write_text('description = "ours, of that name"\nblocks = []\n')
    assert template("quiz", tmp_path).blocks == ()
    assert names(tmp_path).count("quiz") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('description = "x"\nblocks = [{ kind = "song" }]', "blocks.0.kind"),
        ('description = "x"\nblocks = [{ kind = "title", size = 3 }]', "size"),
        ("blocks = []", "description"),
        ("blocks = [", r"\(.+\)"),
    ],
)
def test_templates_that_cannot_be_used(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(content)
    with pytest.raises(Unavailable, match=f"own.toml.*{says}") as caught:
        template("own", tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<img src=x> [a](b) `c` *d* _e_", r"\<img src=x\> \[a\](b) \`c\` \*d\* \_e\_"),
        ("# no heading", r"\# no heading"),
        ("- no item", r"\- no item"),
        ("-- no", "-- no"),
        ("---", r"\---"),
        ("&lt;b&gt; of R&D", r"\&lt;b\&gt; of R&D"),
        ("1. no number", r"1\. no number"),
        ("7.50 euros", "7.50 euros"),
        ("two\nlines", "two lines"),
    ],
)
def test_what_was_said_is_no_markdown(text: str, shown: str) -> None:
    assert escaped(text) == shown


# With real weights


@pytest.mark.truth
@pytest.mark.parametrize("kind", [*TEN, *ALSO])
def test_every_item_can_be_checked(kind: str) -> None:
    found = made(kind)
    assert found.type == template(kind).name
    assert found.model == "extractive"
    excerpts = template(kind).excerpts
    assert found.title == (excerpts or template(kind).title)
    assert len(found.warnings) == bool(excerpts)
    assert all("stt-lab models pull" in one and "MB" in one for one in found.warnings)
    assert found.items
    for item in found.items:
        spans = [TextSpan(**span) for span in item["spans"]]
        assert spans
        assert all(span.of(SCRIPT.text).strip() for span in spans)
        assert tuple(item["sources"]) == SCRIPT.segment_orders(spans) != ()
        if "quote" in item:
            assert item["quote"] == spans[0].of(SCRIPT.text)
            assert item["speaker"] == LINES[item["sources"][0]][0]
    assert found == made(kind)


@pytest.mark.truth
def test_chapters_cover_the_recording() -> None:
    segments = (
        Segment(30.0 * i + 1, 30.0 * i + 29, " ".join([text] * 3), speaker=who) for i, (who, text) in enumerate(LINES)
    )
    long = SourceText.of(Transcript("en", 300.0, tuple(segments)))
    items = made("chapter_markers", long).items
    starts = [item["start"] for item in items]
    assert len(items) > 1
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(any(abs(start - (30.0 * i + 1)) < 30 for i in range(len(LINES))) for start in starts[1:])
    spans = [span for item in items for span in item["spans"]]
    assert [spans[0]["start"], spans[-1]["end"]] == [0, len(long.text)]
    assert [span["end"] for span in spans[:-1]] == [span["start"] for span in spans[1:]]
    assert len({item["title"] for item in items}) == len(items)
    plain = made("chapter_markers", SourceText(long.text, "en")).items
    assert [item["start"] for item in plain] == [item["spans"][0]["start"] for item in plain]


@pytest.mark.truth
def test_cards() -> None:
    items = made("flashcards").items
    asked = {item["question"]: item["answer"] for item in items}
    assert asked["What is the night train?"] == "a train with beds, and tickets for the train cost forty euros"
    gaps = [item for item in items if "_____" in item["question"]]
    assert gaps
    assert all(item["answer"] in TextSpan(**item["spans"][0]).of(SCRIPT.text) for item in items)
    assert all(item["answer"] not in item["question"] for item in gaps)


@pytest.mark.truth
def test_a_quiz_has_its_answers_among_others() -> None:
    items = made("quiz").items
    for item in items:
        assert item["answer"] in item["options"]
        assert 3 <= len(set(item["options"])) == len(item["options"]) <= 4
        assert all(option in SCRIPT.text for option in item["options"])


@pytest.mark.truth
def test_meeting_notes() -> None:
    content = made("meeting_notes").content
    assert "- [ ] Ben: I'll send the contract to the railway by Friday" in content
    assert "## Participants\n\n- Ada\n- Ben" in content
    assert "## Decisions\n\n- Ada: We decided to offer readers a cheaper ticket." in content
    assert "## Open questions\n\n- When will the first train stop here?" in content
    assert content.startswith("# Notes: ")


@pytest.mark.truth
def test_short_posts_are_short() -> None:
    items = made("social_twitter").items
    assert items
    assert all(len(item["text"]) <= 280 for item in items)


@pytest.mark.truth
def test_a_prompt_draws_the_choice() -> None:
    few = Template("few", "quotes", (Block("quotes", most=3),))

    def about(prompt: str) -> int:
        quotes = [item["quote"] for item in writer(tools(), "extractive").generate(SCRIPT, few, prompt).items]
        return sum(bool(re.search("train|ticket|railway", quote)) for quote in quotes)

    assert about("tickets for the railway") == 3 > about("")


@pytest.mark.truth
def test_other_languages_say_what_is_left_out() -> None:
    german = SourceText("Der neue Bahnhof kostet viel. Der Bahnhof liegt im Norden, und die Stadt freut sich sehr.")
    found = made("meeting_notes", german)
    warning, _ = found.warnings
    assert "'de'" in warning
    assert warning.endswith(": decisions, actions, open.")
    assert "Bahnhof" in found.content
    assert made("flashcards", german).items


@pytest.mark.truth
def test_too_little_text() -> None:
    found = generate("Okay.", "quiz")
    assert (found.content, found.items) == (NOTHING, ())
    assert generate("Okay.", "blog_post").content


@pytest.mark.truth
@settings(max_examples=10, deadline=None)
@given(st.text(alphabet="ab um. ?!,\n😀你好。שלום:-<*1", min_size=1, max_size=120), st.sampled_from(TEN))
def test_documents_of_anything(text: str, kind: str) -> None:
    found = made(kind, SourceText(text))
    assert found.content
    assert all(span["start"] <= span["end"] <= len(text) for item in found.items for span in item["spans"])
