"""The Text tab: its HTML, where citations lead, and whose texts its functions show."""

from __future__ import annotations

import html as stdlib_html
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import httpx
import pytest
from outline import NASTY, TAGS, Outline
from toy_server import API, Served, Toy, button, functions, join, serve, settings_for, until, wav

from stt_lab.documents import export
from stt_lab.operations.library import TranscriptDetail
from stt_lab.operations.translation import Translation
from stt_lab.recall import values as recall
from stt_lab.recall.values import ChatAnswer
from stt_lab.translation import translated_transcript
from stt_lab.types import File, Segment, TextSpan, Transcript, Word
from stt_lab.ui.text import analysis, documents, html, results
from stt_lab.ui.text.prose import CitationNotes, document, paragraphs
from stt_lab.ui.text.source import ParagraphRange, TextSource
from stt_lab.ui.text.tasks import OF_LIBRARY
from stt_lab.ui.text.wire import plain
from stt_lab.weights import catalog
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.values import Analysis, Generated, Statement, Summary

TAGS = TAGS | {"article", "h3", "h4", "h5", "h6", "thead", "meter", "blockquote", "ol", "strong", "pre", "del"}
MARK = "zebrafish"


def stored(
    *lines: str, title: str = "Weekly talk.mp3", speakers: tuple[str, ...] = ("Ada",), has_audio: bool = True
) -> TextSource:
    """A transcript whose words take a second each; a line is a segment, of the next speaker."""
    segments, now = [], 0.0
    for line, speaker in zip(lines, cycle(speakers), strict=False):
        words = tuple(Word(now + i, now + i + 1, f" {word}") for i, word in enumerate(line.split()))
        segments.append(Segment(now, now + len(words), line, words, speaker))
        now += len(words)
    speakers = tuple(dict.fromkeys(speakers))
    transcript = Transcript("en", now, tuple(segments), speakers)
    info = {"id": 7, "slug": "x", "title": title, "status": "done", "error": None, "language": "en", "duration": now}
    info |= {"model": "base", "words": 1, "speakers": speakers, "has_audio": has_audio, "created": datetime.now(UTC)}
    detail = TranscriptDetail(
        **info, finished=None, revision=1, tags=(), text=transcript.text, segments=(), warnings=()
    )  # type: ignore[arg-type]
    return TextSource(SourceText.of(transcript), detail, transcript)


def buttons(made: str) -> list[dict[str, str]]:
    """The citations in it: their attributes, and their label."""
    found = re.findall(r'<button type="button" class="stt-cite" ([^>]*)>([^<]*)</button>', made)
    assert len(found) == made.count('class="stt-cite"')
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', attributes)) | {"label": label} for attributes, label in found]


# Where citations lead


def test_a_citation_of_a_transcript_leads_to_its_words() -> None:
    source = stored("Good morning to all.", "We begin now. Ana takes notes.")
    text = source.content.text
    start = text.index("Ana takes")
    made = source.cite(TextSpan(start, start + 9))
    assert (made.said, made.seconds, made.speaker) == ("Ana takes", 7.0, "Ada")
    assert made.places == (ParagraphRange(1, 14, 23),)
    across = source.cite(TextSpan(text.index("all."), text.index("now.")))
    assert across.places == (ParagraphRange(0, 16, 20), ParagraphRange(1, 0, 9))
    assert across.seconds == 3.0
    second = source.segment(1)
    assert second is not None
    assert source.cite(second).said == "We begin now. Ana takes notes."
    assert source.cite(second).seconds == 4.0
    assert source.segment(2) is None


def test_every_word_has_its_own_second() -> None:
    source = stored("One two, three!", "Four: five six.")
    text = source.content.text
    offsets = [match.start() for match in re.finditer(r"\S+", text)]
    assert [source.seconds(at) for at in offsets] == [0, 1, 2, 3, 4, 5]
    assert [source.seconds(at + 2) for at in offsets] == [0, 1, 2, 3, 4, 5]


def test_a_segment_without_words_has_times_by_its_length() -> None:
    transcript = Transcript("en", 10.0, (Segment(0, 10, "0123456789"),))
    source = TextSource(SourceText.of(transcript), None, transcript)
    assert source.seconds(5) == 5.0


def test_places_are_counted_as_browsers_count() -> None:
    source = TextSource.pasted("a 🙂 b\r\n🙂🙂 the end")
    text = source.content.text
    assert text == "a 🙂 b\n🙂🙂 the end"
    place = source.cite(TextSpan(text.index("the"), len(text))).places[0]
    units = text.encode("utf-16-le")
    assert units[2 * place.start : 2 * place.end].decode("utf-16-le") == "the end"


def test_a_citation_tells_time_and_speaker_or_its_number() -> None:
    source = stored("Good morning.", title="a.wav", speakers=("Ada <b>",))
    (one,) = buttons(html.Cited(source).marks([TextSpan(0, 4)]))
    assert one["label"] == "0:00 Ada &lt;b&gt;"
    assert (one["data-seek"], one["data-marks"]) == ("0.000", "0:0-4")
    assert one["aria-label"] == "Play from 0:00 Ada &lt;b&gt;: Good"
    cited = html.Cited(TextSource.pasted("one two one"))
    made = cited.marks([TextSpan(0, 3)]) + cited.marks([TextSpan(4, 7), TextSpan(0, 3), TextSpan(0, 3)])
    assert [each["label"] for each in buttons(made)] == ["1", "2", "1"]
    assert "data-seek" not in made


def test_how_many_more_citations_there_are_is_told() -> None:
    source = TextSource.pasted("one " * 40)
    made = html.Cited(source).marks([TextSpan(4 * i, 4 * i + 3) for i in range(15)] * 2)
    assert len(buttons(made)) == html.MOST
    assert f"and {15 - html.MOST} more" in made


def test_without_spans_segments_are_cited() -> None:
    (one,) = buttons(html.Cited(stored("One.", "Two.")).marks([], [1, 9]))
    assert (one["data-marks"], one["data-seek"]) == ("1:0-4", "1.000")
    assert html.Cited(stored("One.")).marks([]) == ""


# Prose


def test_notes_stand_behind_what_they_cite() -> None:
    notes = CitationNotes(
        [("One thing.", "<i>1</i>"), ("Another\nthing", "<i>2</i>"), ("not there", "<i>3</i>"), ("", "<i>4</i>")]
    )
    made = paragraphs("One thing. Another thing, too.\n\n- One thing. <b>\n- x", notes)
    assert "<p>One thing.<i>1</i> Another thing<i>2</i>, too.</p>" in made
    assert "<ul><li>One thing. &lt;b&gt;</li><li>x</li></ul>" in made
    assert made.endswith('<ul class="stt-rest" dir="auto"><li>not there<i>3</i></li></ul>')


def test_what_is_said_twice_has_two_notes() -> None:
    said = "Yes. No. Yes.\n\nYes."
    notes = CitationNotes([("Yes.", "<i>1</i>"), ("No.", "<i>2</i>"), ("Yes.", "<i>3</i>"), ("Yes.", "<i>4</i>")])
    made = paragraphs(said, notes)
    assert re.findall(r"(\w+\.)<i>(\d)</i>", made) == [("Yes.", "1"), ("No.", "2"), ("Yes.", "3"), ("Yes.", "4")]


def test_notes_come_in_the_order_of_the_document() -> None:
    said = "We call Ana, and then Bob.\n\n- We call Ana\n- Bob: call Eve"
    notes = CitationNotes(
        [("We call Ana, and then Bob.", "<i>1</i>"), ("we call Ana", "<i>2</i>"), ("Call Eve", "<i>3</i>")]
    )
    made = paragraphs(said, notes)
    assert "Ana, and then Bob.<i>1</i></p><ul><li>We call Ana<i>2</i></li><li>Bob: call Eve<i>3</i></li>" in made
    assert "stt-rest" not in made


def test_notes_stand_in_documents() -> None:
    notes = CitationNotes(
        {"Hello there": "<i>1</i>", "very bold": "<i>2</i>", "to do": "<i>3</i>", "a cell": "<i>4</i>"}.items()
    )
    source = "# Head\n\nHello\nthere, this is very **bold** and so on\n\n- [ ] to do\n\n|a|\n|-|\n|a cell|\n"
    made = document(source, notes)
    assert "<h3>Head</h3>" in made
    assert "Hello\nthere<i>1</i>, this is very <strong>bold<i>2</i></strong> and" in made
    assert "<li>☐ to do<i>3</i></li>" in made
    assert "<td>a cell<i>4</i></td>" in made
    assert "stt-rest" not in made


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "[click](javascript:alert(1)) [me](https://evil.example) <https://evil.example>",
        "![x](https://evil.example/a.png) ![y](data:image/svg+xml;base64,AAAA)",
        "[a][b]\n\n[b]: https://evil.example",
        "<img src=x onerror=alert(1)>\n\n<iframe src='//evil'></iframe>",
        '```<b>" onclick=x\ncode </code><script>\n```',
        "# <b onmouseover=alert(1)>x</b>\n\n> <a href='x'>y</a>\n\n1. `<i>`",
    ],
)
def test_documents_have_no_links_pictures_or_scripts(markdown: str) -> None:
    outline = Outline(document(markdown, CitationNotes([])))
    assert set(outline.tags) <= TAGS
    assert not outline.attributes & {"href", "src", "srcset", "style"}
    assert not any(name.startswith("on") for name in outline.attributes)
    assert outline.open == []


# Results


def summary(source: TextSource, text: str) -> Summary:
    span = TextSpan(0, min(4, len(source.content.text)))
    return Summary(text, "brief", NASTY, (Statement(text, (span,), (0,)),), (NASTY,))


ANALYSES: dict[str, Any] = {
    "action_items": [{"text": NASTY, "owner": NASTY, "due": NASTY, "span": {"start": 0, "end": 4}}],
    "questions": [{"text": NASTY, "span": {"start": 0, "end": 4}, "answered": False}],
    "topics": [{"topic": NASTY, "score": 0.5, "spans": [{"start": 0, "end": 3}]}],
    "entities": [{"text": NASTY, "label": NASTY, "start": 0, "end": 3}],
    "pii_redact": {"text": NASTY, "entities": [{"text": NASTY, "label": "PERSON", "start": 0, "end": 3}]},
    "sentiment": {
        "label": "neutral",
        "score": 0.1,
        "sentences": [{"text": NASTY, "label": "negative", "score": -0.6, "span": {"start": 0, "end": 9}}],
    },
}


@pytest.mark.parametrize(
    "source", [stored(NASTY, title=NASTY, speakers=(NASTY,)), TextSource.pasted(NASTY)], ids=["stored", "pasted"]
)
def test_nothing_hostile_becomes_markup(source: TextSource) -> None:
    made = [results.summary(summary(source, NASTY), source)]
    made += [analysis.analysis(Analysis(type, NASTY, result, (NASTY,)), source) for type, result in ANALYSES.items()]  # type: ignore[arg-type]
    for each in made:
        outline = Outline(html.made(each) + html.panel(source))
        assert set(outline.tags) <= TAGS
        assert outline.open == []
        assert not any(name.startswith("on") for name in outline.attributes)
        assert buttons(each)


SPANS = {"spans": [{"start": 0, "end": 4}]}
ITEMS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "meeting_notes": (f"# A\n\n- [ ] {NASTY}", [{"text": NASTY, "owner": None, "due": None} | SPANS]),
    "key_quotes": (f"> “{NASTY}”", [{"quote": NASTY, "speaker": NASTY} | SPANS]),
    "chapter_markers": ("- A", [{"block": "chapters", "start": 0, "title": NASTY} | SPANS]),
    "flashcards": ("**Q:** a", [{"block": "cards", "question": NASTY, "answer": NASTY} | SPANS]),
    "quiz": ("1. a", [{"block": "quiz", "question": NASTY, "options": [NASTY, "b"], "answer": NASTY} | SPANS]),
    "a_template": (NASTY, [{"name": NASTY} | SPANS]),
}


@pytest.mark.parametrize("type", ITEMS)
@pytest.mark.parametrize("source", [stored(NASTY), TextSource.pasted(NASTY)], ids=["stored", "pasted"])
def test_documents_are_no_markup_and_have_citations(type: str, source: TextSource) -> None:
    content, items = ITEMS[type]
    made = documents.generated(Generated(type, NASTY, content, tuple(items), (NASTY,)), source)
    outline = Outline(made)
    assert set(outline.tags) <= TAGS
    assert outline.open == []
    assert not any(name.startswith("on") for name in outline.attributes)
    assert [one["data-marks"] for one in buttons(made)] == ["0:0-4"]
    assert documents.title("a_template") == "A template"


def test_answers_of_cards_are_asked_for() -> None:
    items = [
        {"block": "quiz", "question": "What is a puck?", "options": ["a sensor", "a lamp"], "answer": "a sensor"}
        | SPANS
    ]
    made = documents.generated(
        Generated("quiz", "m", "1. What is a puck?", tuple(items)), TextSource.pasted("A puck is.")
    )
    assert "<p>What is a puck?</p><ol><li>a sensor</li><li>a lamp</li></ol><details><summary>Answer</summary>" in made


def answered(text: str, orders: tuple[int, ...], found: bool = True) -> ChatAnswer:
    sources = tuple(recall.ChatSource(order, 1, NASTY, 0.5, 0.0) for order in orders)
    return ChatAnswer(text, sources if found else (), "s", NASTY, found, () if found else sources, (NASTY,))


def test_a_conversation_has_the_last_question_first() -> None:
    source = stored("One two.", "Three.")
    turns = [("first?", plain(answered("It is one.", (0,)))), (NASTY, plain(answered(NASTY, (1,), found=False)))]
    made = results.talk(turns, source)
    outline = Outline(made)
    assert set(outline.tags) <= TAGS
    assert outline.open == []
    assert [one["data-marks"] for one in buttons(made)] == ["1:0-6", "0:0-8"]
    shown = made.partition("stt-talk")[2]
    assert shown.index("Closest passages") < shown.index("first?") < shown.index("Sources:")


def translation(source: TextSource, *said: tuple[str, str], between: str = " ") -> str:
    """Of the source's sentences, each with its translation."""
    text, statements = source.content.text, []
    for sentence, written in said:
        start = text.index(sentence)
        statements.append(Statement(written, (TextSpan(start, start + len(sentence)),)))
    written = between.join(one for _, one in said)
    return results.translation(Translation(written, "en", "pt", "m", (NASTY,), tuple(statements)), source)


def test_a_translation_is_text_whose_sentences_are_cited() -> None:
    made = translation(TextSource.pasted(f"a text\n {NASTY}"), ("a text", NASTY), (NASTY, "Olá."), between="\n ")
    outline = Outline(made)
    assert set(outline.tags) <= TAGS
    assert outline.open == []
    assert "<h3>Portuguese</h3>" in made
    assert 'data-save="Pasted text pt.txt"' in made
    assert re.search(r"</span>\n Olá\. <span", made), "spaces and lines stay"
    assert [one["label"] for one in buttons(made)] == ["1", "2"]


def test_a_translated_transcript_has_its_places_and_subtitles() -> None:
    source = stored("Hi all.", "Hello.", title="a.mp3", speakers=("Ada", "Bob"))
    assert source.transcript
    told = translated_transcript(source.transcript, ["Olá.", NASTY], "pt")
    file = export(told, "json", "a", datetime.now(UTC))
    made = results.translation(File("a.json", file.media_type, file.chunks, (NASTY,)), source)
    outline = Outline(made)
    assert set(outline.tags) <= TAGS
    assert outline.open == []
    places = [(one["label"], one["data-marks"]) for one in buttons(made)]
    assert places == [("0:00 Ada", "0:0-7"), ("0:02 Bob", "1:0-6")]
    assert re.findall(r'data-save="([^"]*)"', made) == [f"a pt.{suffix}" for suffix in ("txt", "srt", "vtt", "json")]
    assert "00:00:02,000 --> " in stdlib_html.unescape(made)


def test_findings_are_also_plain_text() -> None:
    source = stored("Ana calls Bob.", "Who pays? It is fine.", title="talk.mp3")
    at = {"start": 15, "end": 24}
    results: dict[str, Any] = {
        "action_items": [{"text": "calls\nBob", "owner": "Ana", "due": None, "span": {"start": 0, "end": 14}}],
        "questions": [{"text": "Who pays?", "span": at, "answered": False}],
        "topics": [{"topic": "pay", "score": 0.5, "spans": [at]}],
        "entities": [{"label": "PERSON", "start": at, "end": at + 3} for at in (0, 10, 0)],
        "pii_redact": {"text": "[PERSON] calls.", "entities": []},
        "sentiment": {"label": "neutral", "score": 0.1, "sentences": [{"text": "Fine.", "score": 0.4, **at}]},
    }
    texts = {type: "\n".join(analysis.KINDS[type].write(result, source)) for type, result in results.items()}
    assert texts == {
        "action_items": "- Ana: calls Bob (0:00)",
        "questions": "- Who pays? (open) (0:03)",
        "topics": "- pay",
        "entities": "- People: Ana\n- People: Bob",
        "pii_redact": "[PERSON] calls.",
        "sentiment": "neutral, +0.10 on a scale from −1 to 1\n\n- +0.40 Fine. (0:03)",
    }


@pytest.mark.parametrize("type", ANALYSES)
def test_an_analysis_says_when_there_is_nothing(type: str) -> None:
    full = ANALYSES[type]
    nothing: Any = [] if isinstance(full, list) else full | {"sentences": [], "entities": []}
    made = analysis.analysis(Analysis(type, "extractive", nothing), TextSource.pasted("a text"))  # type: ignore[arg-type]
    assert ("were found" in made) == (type != "sentiment")
    assert buttons(made) == []


def test_moods_are_drawn_along_the_time() -> None:
    source = stored("It is bad here.", "All is well now.")
    sentences = [
        {"text": "It is bad here.", "label": "negative", "score": -0.5, "span": {"start": 0, "end": 15}},
        {"text": "All is well now.", "label": "positive", "score": 0.8, "span": {"start": 16, "end": 32}},
    ]
    made = analysis.analysis(
        Analysis("sentiment", "m", {"label": "positive", "score": 0.2, "sentences": sentences}), source
    )
    bars = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', made)
    assert bars == [("bad", "0.00", "0.500", "4.00", "0.250"), ("good", "4.00", "0.100", "4.00", "0.400")]
    assert 'aria-label="Sentiment over time: 1 positive, 1 negative, 0 neutral sentences"' in made


def test_a_result_carries_its_files() -> None:
    source = stored("Good morning.", title="My talk.mp3")
    made = results.summary(summary(source, "- Good"), source)
    held = dict(re.findall(r'data-save="([^"]*)"[^>]*>[A-Z]+<span hidden>(.*?)</span>', made, re.DOTALL))
    assert set(held) == {"My talk summary.md", "My talk summary.json"}
    assert held["My talk summary.md"] == "- Good"
    assert json.loads(stdlib_html.unescape(held["My talk summary.json"]))["statements"][0]["spans"] == [
        {"start": 0, "end": 4}
    ]


def test_the_panel_plays_the_recording_and_shows_the_text() -> None:
    made = html.panel(stored("One two.", "Three."))
    assert '<audio controls playsinline preload="metadata" src="api/v1/transcripts/7/audio/"' in made
    assert re.findall(r'<p data-from="([\d.]+)">([^<]*)</p>', made) == [("0.000", "One two."), ("2.000", "Three.")]
    assert "<video" in html.panel(stored("One.", title="a.mp4"))
    assert "<audio" not in html.panel(stored("One.", has_audio=False))


# Whose texts are shown


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("texts")
    with serve(settings_for(folder, templates_dir=folder / "templates")) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def keys(served: Served) -> dict[str, dict[str, str]]:
    """Headers of Ada, who has a transcript, of somebody else, and of keys that lack a scope."""
    ada, bob = (served.accounts.create(name, tier="unlimited").id for name in ("Ada", "Bob"))
    scopes = {"ada": (ada, ["speech", "text", "library"]), "bob": (bob, ["speech", "text", "library"])}
    scopes |= {"speech": (ada, ["speech"]), "text": (ada, ["text"]), "library": (ada, ["library"])}
    raw = {name: served.accounts.create_key(id, name, allowed)[1] for name, (id, allowed) in scopes.items()}
    made = {name: {"authorization": f"Bearer {key}"} for name, key in raw.items()}
    return made | {"nobody": {}, "wrong": {"authorization": "Bearer x"}}


@pytest.fixture(scope="module")
def transcript(served: Served, keys: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The number of Ada's transcript."""
    path = wav(tmp_path_factory.mktemp("talk") / f"{MARK} talk.wav", 6)
    Toy.lines = (f"The {MARK} swims in the morning.", "It was seen by Bob and by Eve.", "Nobody knows where it sleeps.")
    address, fields = f"{served.url}/v1/transcribe", {"model": "base"}
    with path.open("rb") as file:
        answer = httpx.post(address, files={"file": file}, data=fields, headers=keys["ada"], timeout=30)
    return str(answer.json()["id"])


def handler(client: httpx.Client, name: str) -> int:
    return next(int(fn["id"]) for fn in functions(client) if fn["api_name"] == name)


STRANGERS = ("bob", "nobody", "wrong", "speech")


def test_a_list_has_the_visitors_own_transcripts(client: httpx.Client, keys: dict[str, Any], transcript: str) -> None:
    offer = handler(client, "offer")
    for query in ("", MARK, f"{MARK}*"):
        assert f"{MARK} talk.wav" in join(client, offer, [query, None], **keys["ada"])
        for stranger in STRANGERS:
            assert f"{MARK} talk" not in join(client, offer, [query, transcript], **keys[stranger])
    assert "sign in" in join(client, offer, ["", None])
    assert "scope" in join(client, offer, ["", None], **keys["speech"])
    assert "the closest matches" in join(client, offer, ["unheard", None], **keys["ada"])
    assert "No transcript was found" in join(client, offer, [MARK, None], **keys["bob"])
    assert "Transcribe a recording first" in join(client, offer, ["", None], **keys["bob"])


def test_a_transcript_is_opened_by_its_owner(client: httpx.Client, keys: dict[str, Any], transcript: str) -> None:
    shown = join(client, handler(client, "open"), [transcript], **keys["ada"])
    assert f"The {MARK} swims" in shown
    assert f"api/v1/transcripts/{transcript}/audio/" in shown
    for stranger in STRANGERS:
        assert MARK not in join(client, handler(client, "open"), [transcript], **keys[stranger])
    assert "The transcript was not found" in join(client, handler(client, "open"), [transcript], **keys["bob"])


CONTROLS: dict[str, list[Any]] = {
    "Summarise": ["brief"],
    "Analyse": ["topics"],
    "Write": ["key_quotes", ""],
    "Translate": ["pt"],
    "Ask": ["Where does it swim?", True],
    "Redact": ["txt", "mark", "silence", []],
}


def test_every_button_is_tested(client: httpx.Client) -> None:
    works = [fn for fn in functions(client) if str(fn["api_name"]).rstrip("_0123456789") == "work"]
    assert {int(fn["id"]) for fn in works} == {button(client, verb) for verb in CONTROLS}


@pytest.mark.parametrize("verb", CONTROLS)
def test_what_is_made_is_for_the_owner(verb: str, client: httpx.Client, keys: dict[str, Any], transcript: str) -> None:
    pressed, asked = button(client, verb), ["library", transcript, "", "auto", *CONTROLS[verb]]
    told = join(client, pressed, asked, **keys["ada"])
    assert "stt-made" in told, told[-500:]
    assert MARK in told
    for stranger in (*STRANGERS, "text"):
        told = join(client, pressed, asked, **keys[stranger])
        assert "stt-made" not in told, stranger
        assert MARK not in told.lower(), stranger


@pytest.mark.parametrize("verb", [verb for verb in CONTROLS if verb != "Ask"])
def test_a_key_is_for_the_library_or_for_texts(
    verb: str, client: httpx.Client, keys: dict[str, Any], transcript: str
) -> None:
    asked = [transcript, f"Ada sees the {MARK} swim.", "auto", *CONTROLS[verb]]
    assert "data-seek" in join(client, button(client, verb), ["library", *asked], **keys["library"]) or verb == "Redact"
    assert "This key may not use" in join(client, button(client, verb), ["pasted", *asked], **keys["library"])
    assert 'data-marks=\\"0:' in join(client, button(client, verb), ["pasted", *asked], **keys["text"])


def test_a_pasted_text_is_summarised_for_who_signed_in(client: httpx.Client, keys: dict[str, Any]) -> None:
    summarise, asked = button(client, "Summarise"), ["pasted", None, "One 🙂 sentence. Another one.", "auto", "brief"]
    assert 'data-marks=\\"0:0-16\\"' in join(client, summarise, asked, **keys["text"])
    assert "sign in" in join(client, summarise, asked)
    assert "sign in" in join(client, summarise, asked, **keys["wrong"])
    assert "Another one" not in join(client, summarise, asked)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["library", None, "", "auto", "brief"], "No transcript is selected"),
        (["library", "999", "", "auto", "brief"], "The transcript was not found"),
        (["library", {"a": 1}, "", "auto", "brief"], "The transcript was not found"),
        (["pasted", None, "", "auto", "brief"], "contains no words"),
        (["pasted", None, "🙂", "auto", "brief"], "contains no words"),
        (["pasted", None, "a text", "gigantic", "brief"], "Use one of"),
        (["pasted", None, "a text", "auto", "poem"], "'style'"),
        (["pasted", None, ["a", 1], None, {}], "'style'"),
    ],
)
def test_an_error_is_a_sentence(client: httpx.Client, keys: dict[str, Any], values: list[Any], said: str) -> None:
    told = stdlib_html.unescape(join(client, button(client, "Summarise"), values, **keys["ada"]))
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("verb", "controls", "said"),
    [
        ("Translate", [None], "No target language is selected"),
        ("Translate", ["xx"], "cannot be translated"),
        ("Write", ["sonnet", ""], "does not exist. Use one of"),
        ("Ask", ["Who swims?", True], OF_LIBRARY),
        ("Redact", ["wav", "mark", "silence", []], "Choose Text and no kinds"),
        ("Redact", ["txt", "mark", "silence", ["PERSON"]], "Choose Text and no kinds"),
    ],
)
def test_what_cannot_be_done_is_said(
    verb: str, controls: list[Any], said: str, client: httpx.Client, keys: dict[str, Any]
) -> None:
    told = join(client, button(client, verb), ["pasted", None, "Ada swims.", "auto", *controls], **keys["ada"])
    assert said in stdlib_html.unescape(told)
    assert "stt-made" not in told


def test_lists_have_what_is_here_now(client: httpx.Client, served: Served, keys: dict[str, Any]) -> None:
    assert served.settings.templates_dir
    served.settings.templates_dir.mkdir()
    (served.settings.templates_dir / "minutes_of_ours.toml").touch()
    model = catalog.get("qwen2.5-1.5b-instruct")
    weights = served.settings.models_dir / model.id
    assert model.name not in join(client, handler(client, "renew"), [])
    weights.mkdir()
    try:
        for name in model.files:
            (weights / name.replace("*", "json")).touch()
        told = join(client, handler(client, "renew"), [], **keys["ada"])
    finally:
        shutil.rmtree(weights)
    assert model.name in told
    assert "Minutes of ours" in told
    assert "Portuguese" in told


def test_cancel_stops_the_work(client: httpx.Client, keys: dict[str, Any]) -> None:
    Toy.seconds, Toy.stopped = 30.0, 0
    asked = ["pasted", None, " ".join(f"This is sentence number {i}." for i in range(20)), "auto", "brief"]
    body = {"data": asked, "fn_index": button(client, "Summarise"), "session_hash": "mine"}
    stop = {"data": [], "fn_index": handler(client, "stopped"), "session_hash": "mine"}
    try:
        client.post(f"{API}/queue/join", json=body, headers=keys["ada"])
        with client.stream("GET", f"{API}/queue/data", params={"session_hash": "mine"}) as stream:
            lines = stream.iter_lines()
            assert any("Analysing the text" in line for line in lines)
            client.post(f"{API}/queue/join", json=stop | {"session_hash": "another"})
            client.post(f"{API}/queue/join", json=stop)
            assert any("Cancelled." in line for line in lines)
        until(lambda: Toy.stopped)
    finally:
        Toy.seconds = 0.0


# What is remembered of a visitor


def test_a_conversation_is_one_visitors(client: httpx.Client, keys: dict[str, Any], transcript: str) -> None:
    """Also for somebody who has found out how another visitor's page is called."""
    ask = button(client, "Ask")

    def said(who: str, question: str, goes_on: bool = True) -> str:
        return join(client, ask, ["library", transcript, "", "auto", question, goes_on], "mine", **keys[who])

    assert "swim" in said("ada", "Where does it swim?")
    both = said("ada", "Who has seen it?")
    assert both.count("stt-asked") == 2 * said("ada", "Where?", goes_on=False).count("stt-asked")
    for stranger in STRANGERS:
        assert "stt-asked" not in said(stranger, "What did she ask?")
    assert "Where?" in said("ada", "And then?")


def test_a_redacted_recording_goes_with_the_visitor(
    client: httpx.Client, served: Served, keys: dict[str, Any], transcript: str
) -> None:
    before = set(served.uploads)
    redact = button(client, "Redact")
    told = join(
        client, redact, ["library", transcript, "", "auto", "pdf", "mark", "silence", []], "mine", **keys["ada"]
    )
    (made,) = set(served.uploads) - before
    address = f"{made.parent.name}/{made.name}"
    assert f"gradio_api/file={address}" in told
    assert client.get(f"{API}/file={address}").content.startswith(b"%PDF")
    join(client, handler(client, "end"), [], "mine")
    assert set(served.uploads) == before
