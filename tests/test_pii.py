"""Personal data in texts: the rules by themselves, and the whole engine with the real pipeline."""

from __future__ import annotations

import logging
import pickle
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_lab.engines import pii, pool
from stt_lab.engines.hosts import EngineCall, InProcessHost
from stt_lab.engines.pii import patterns
from stt_lab.engines.pii.casing import cased
from stt_lab.engines.pii.hits import CHECKED, PiiHit, settle
from stt_lab.engines.pii.numbers import MOST_DIGITS, cards, ibans, luhn, mod97, phones
from stt_lab.engines.pii.people import given_names, spread
from stt_lab.engines.pii.spoken import in_speech, written
from stt_lab.engines.protocols import BY_FORM, PII, EngineSpec, PiiFinder
from stt_lab.errors import Cancelled, EngineCrashed, ModelMissing
from stt_lab.settings import Settings, get_settings
from stt_lab.types import Entity, Event, silent
from stt_lab.weights import catalog

Find = Callable[[str], Any]


def found(find: Find, text: str) -> list[str]:
    return [text[hit.start : hit.end] for hit in find(text)]


# Checked numbers


@pytest.mark.parametrize("digits", ["4111111111111111", "378282246310005", "5555555555554444", "30569309025904"])
def test_luhn(digits: str) -> None:
    assert luhn(digits)
    assert not any(luhn(digits[:i] + str((int(digits[i]) + 1) % 10) + digits[i + 1 :]) for i in range(len(digits)))


@pytest.mark.parametrize("code", ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947"])
def test_mod97(code: str) -> None:
    assert mod97(code)
    assert not any(mod97(code[:i] + str((int(code[i]) + 1) % 10) + code[i + 1 :]) for i in (2, 3, len(code) - 1))


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("it's 4111 1111 1111 1111, 12 27, 123.", "4111 1111 1111 1111"),
        ("it's 4111-1111-1111-1111", "4111-1111-1111-1111"),
        ("Amex 3714 496353 98431 please", "3714 496353 98431"),
        ("2223 0031 2200 3222", "2223 0031 2200 3222"),
        ("4 1 1 1, 1 1 1 1, 1 1 1 1, 1 1 1 1", "4 1 1 1, 1 1 1 1, 1 1 1 1, 1 1 1 1"),
        ("four one double one, triple one one, 1111, 1111", "four one double one, triple one one, 1111, 1111"),
        ("three seven eight two, eight two two four six three, one zero zero zero five.",
         "three seven eight two, eight two two four six three, one zero zero zero five"),
    ],
)  # fmt: skip
def test_cards(text: str, card: str) -> None:
    assert card in found(in_speech(cards), text)


@pytest.mark.parametrize("text", ["4111 1111 1111 1112", "8800 4411 2299 0076", "0000 0000 0000 0000", "1 2 3 4 5 6 7"])
def test_no_cards(text: str) -> None:
    assert found(in_speech(cards), text) == []


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("to DE89 3704 0044 0532 0130 00, please", "DE89 3704 0044 0532 0130 00"),
        ("to DE 89 37 04 00 44 05 32 01 30 00 2 days ago", "DE 89 37 04 00 44 05 32 01 30 00"),
        ("NL91-ABNA-0417-1643-00", "NL91-ABNA-0417-1643-00"),
        ("it's de89370400440532013000", "de89370400440532013000"),
        ("N O, 93, 8601, 1117, 947", "N O, 93, 8601, 1117, 947"),
        ("D E eight nine 3704 0044 0532 0130 double zero", "D E eight nine 3704 0044 0532 0130 double zero"),
    ],
)
def test_ibans(text: str, iban: str) -> None:
    assert iban in found(in_speech(ibans), text)


@pytest.mark.parametrize("text", ["NO93 8601 1171 947", "CSQU3054383", "DE89 3704 0044 0532 0130", "at 15, in 2020"])
def test_no_ibans(text: str) -> None:
    assert found(in_speech(ibans), text) == []


# Telephones


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("ring 0113 496 0127 tonight", "0113 496 0127"),
        ("or (415) 555-0132, or", "(415) 555-0132"),
        ("+49 30 23125 118.", "+49 30 23125 118"),
        ("212.555.0163", "212.555.0163"),
        ("01 99 00 45 12", "01 99 00 45 12"),
        ("call 07700, 900, 588", "07700, 900, 588"),
        ("oh seven seven oh oh, nine oh oh, five eight eight", "oh seven seven oh oh, nine oh oh, five eight eight"),
        ("plus four four, seven seven double oh, nine hundred, five eight eight",
         "plus four four, seven seven double oh, nine hundred, five eight eight"),
        ("my phone is 555 0132", "555 0132"),
    ],
)  # fmt: skip
def test_phones(text: str, phone: str) -> None:
    assert phone in found(in_speech(phones), text)


@pytest.mark.parametrize(
    "text",
    [
        "It's 978-0-5550-1234-9, if anyone wants to find it.",
        "the order number is 7712 0048 193",
        "from 1914 to 1918, and 1939 to 1945",
        "it grew by 0.123456789",
        "in 2023, 12,500 people came",
        "3.14159265",
    ],
)
def test_no_phones(text: str) -> None:
    assert found(in_speech(phones), text) == []


def test_more_digits_than_anybody_says_are_hidden_whole() -> None:
    text = "1 2 3 " * MOST_DIGITS
    assert [hit[:2] for hit in phones(text)] == [(0, len(text) - 1)]


# As it is said


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("oh seven double four", "0744"),
        ("forty one eleven", "4111"),
        ("one nine two dot 0 dot two dot forty four", "192.0.2.44"),
        ("plus four four", "+44"),
        ("second of the second, two thousand and one", "2th of the 2th, 2001"),
        ("nineteen eighty-four", "1984"),
        ("Oh no, we two said so.", "Oh no, we 2 said so."),
        ("the dot com", "the dot com"),
        ("nine hundred", "900"),
    ],
)
def test_written(said: str, form: str) -> None:
    assert written(said).text == form


@given(st.lists(st.sampled_from(["one ", "double ", "oh ", "dot ", "12 ", "é, ", "twenty-", "first ", "x"])))
def test_written_keeps_its_places(parts: list[str]) -> None:
    text = "".join(parts)
    form = written(text)
    assert len(form.text) == len(form.starts) == len(form.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(form.starts, form.ends, strict=True))
    assert list(form.starts) == sorted(form.starts)


# Addresses of mail, machines and houses; dates of birth


@pytest.mark.parametrize(
    ("text", "mail"),
    [
        ("to a.b+c@mail.example, or", "a.b+c@mail.example"),
        ("it's ada@server.intranet.", "ada@server.intranet"),
        ("write to council at alderfalls dot example.", "council at alderfalls dot example"),
        ("it is ada dot lovelace at example dot co dot uk", "ada dot lovelace at example dot co dot uk"),
    ],
)
def test_mails(text: str, mail: str) -> None:
    assert found(patterns.mails, text) == [mail]


@pytest.mark.parametrize("text", ["find us as @hands", "look at the dot", "at 5 dot 30", "a@b", "we met at noon."])
def test_no_mails(text: str) -> None:
    assert found(patterns.mails, text) == []


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("the server at 192.0.2.16 is down", "192.0.2.16"),
        ("2001:db8:40::17, I think", "2001:db8:40::17"),
        ("from 198.51.100.7.", "198.51.100.7"),
        ("after the update, the server has 192.0.2.16", "192.0.2.16"),
        ("it says 192 dot 0 dot 2 dot 44", "192 dot 0 dot 2 dot 44"),
    ],
)
def test_machines(text: str, ip: str) -> None:
    assert ip in found(in_speech(patterns.machines), text)


@pytest.mark.parametrize("text", ["version 4.18.2.9", "at 10.4.2", "999.1.1.1", "3.14", "at 12:30:15", "::", "a.b.c.d"])
def test_no_machines(text: str) -> None:
    assert found(in_speech(patterns.machines), text) == []


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("And your date of birth? The third of November 1984.", "The third of November 1984"),
        ("He's born January 30th, 1949.", "January 30th, 1949"),
        ("DOB 19/10/1966", "19/10/1966"),
        ("born on the second of the second, two thousand and one", "the second of the second, two thousand and one"),
        ("born in March 1984", "March 1984"),
        ("4 May, that's my birthday", "4 May"),
        ("date of birth nineteen eighty-four? No: 1984-05-06", "1984-05-06"),
    ],
)
def test_births(text: str, date: str) -> None:
    assert found(patterns.births, text) == [date]


def test_births_of_several_people() -> None:
    text = "When they were born, please. 7 June 1958 for her, and, let me see, his, it's here, is 19/10/1966, in May."
    assert found(patterns.births, text) == ["7 June 1958", "19/10/1966"]


@pytest.mark.parametrize(
    "text",
    [
        "The policy started 1 July 2019.",
        "a charge from 19 November",
        "He dies in 1869",
        "born in a barn on Main Street",
    ],
)
def test_no_births(text: str) -> None:
    assert found(patterns.births, text) == []


@pytest.mark.parametrize(
    "address",
    [
        "62 Lantern Street",
        "9 Saltmarket Row, flat 2, Westfold",
        "118 Pocket Hill, Birmingham B99 7XR",
        "6600 County Road 9",
        "340 Second Avenue",
        "twenty-two Mill Street",
        "Fabriksvej 12, 8000 Aarhus",
        "Via dei Lupini 14, 06049 Spoleto, Italy",
        "5 impasse des Tilleuls, 99130 Vauclair",
        "Hauptstraße 7a, 10115 Berlin",
        "PO Box 1234",
        "M99 2ZZ",
        "12 Elm St, Apt 4, Springfield, IL 62704",
        "the Old Tannery, Sluice Road, Brackenford",
    ],
)
def test_houses(address: str) -> None:
    text = f"So she lives at {address}. And then?"
    start, end = text.index(address), text.index(address) + len(address)
    assert any(hit.start <= start and hit.end >= end for hit in patterns.houses(text)), found(patterns.houses, text)


@pytest.mark.parametrize("text", ["It's room 114.", "Page 212.", "5 minutes down the road", "the 3 of us"])
def test_no_houses(text: str) -> None:
    assert found(patterns.houses, text) == []


# Names


def test_given_names() -> None:
    assert {"elena", "kwame", "ingrid", "ranjit", "mei"} - given_names() <= {"ranjit"}
    assert all(name == name.lower() and name.isalpha() for name in given_names())


def test_known_names_are_found_wherever_they_stand() -> None:
    text = "Elena's bread, Marchetti said; elena, The Marchetti-Osei, ElenaX."
    assert found(lambda text: spread(text, ["Dr. Elena Marchetti"], 0.9), text) == ["Elena", "Marchetti", "Marchetti"]


def test_capitals_for_texts_without() -> None:
    words = frozenset(["is", "here", "at", "will", "street", "mill", "and"])
    assert cased("elena fashola is here at 12 mill street, and will be.", words) == (
        "Elena Fashola is here at 12 Mill Street, and will be."
    )
    assert cased("ELENA IS HERE AT WILL", words) == "Elena is here at will"
    assert cased("Elena is here", words) == "Elena is here"


@given(st.text())
def test_capitals_change_no_length(text: str) -> None:
    assert len(cased(text, frozenset())) == len(text)


# What overlaps


HITS = st.builds(
    lambda start, length, score: PiiHit(start, min(start + length, 40), score),
    st.integers(0, 39), st.integers(1, 20), st.sampled_from([0.4, 0.6, 0.9, 1.0]),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["PERSON", "CREDIT_CARD", "ADDRESS"]), HITS)), st.text("ab1 ,.", min_size=40))
def test_what_overlaps_is_settled_without_a_gap(hits: list[tuple[str, PiiHit]], text: str) -> None:
    made = settle(text, hits)
    assert all(first.end <= second.start for first, second in pairwise(made))
    assert all(one.text == one.of(text) and one.text for one in made)
    covered = {place for one in made for place in range(one.start, one.end)}
    assert all(place in covered for _, hit in hits for place in range(hit.start, hit.end) if text[place].isalnum())
    sure = {place for label, hit in hits if label in CHECKED for place in range(hit.start, hit.end)}
    kept = {place for one in made if one.label in CHECKED for place in range(one.start, one.end)}
    assert {place for place in sure if text[place].isalnum()} <= kept


def test_the_surer_and_then_the_longer_wins() -> None:
    text = "Ferry Landing 12 Elm"
    low, high = PiiHit(0, 13, 0.5), PiiHit(6, 20, 0.9)
    assert [(one.label, one.text) for one in settle(text, [("PERSON", low), ("ADDRESS", high)])] == [
        ("PERSON", "Ferry"),
        ("ADDRESS", "Landing 12 Elm"),
    ]


# The engine


TEXT = (
    "Hi, this is Mirel. Dr. Osei asked me to call about Elena Marchetti, born 12 February 2013. She lives at 9 "
    "Saltmarket Row, Westfold. Her card is 4111 1111 1111 1111, her account DE89 3704 0044 0532 0130 00. Ring 0113 496 "
    "0127, or write to elena@bread.example. The machine is 192.0.2.16, on version 4.18.2.9. Thanks, Elena."
)
KINDS = ["PERSON"] * 3 + ["DATE_OF_BIRTH", "ADDRESS", "CREDIT_CARD", "IBAN_CODE", "PHONE_NUMBER", "EMAIL_ADDRESS"]


@pytest.fixture(scope="module")
def finder() -> Iterator[Any]:
    model, settings = catalog.get("presidio-en"), get_settings()
    folder = catalog.locate(model, settings)
    assert folder is not None, "fetch the weights first: stt-lab models pull presidio-en"
    host = InProcessHost()
    yield host.engine(EngineCall(pool.ENGINES[model.engine], EngineSpec(folder, model.id, threads=2), ""), silent)
    host.close()


def find(finder: Any, text: str, language: str | None = "en", kinds: Any = PII, names: tuple[str, ...] = ()) -> Any:
    return finder.find_pii(text, language, kinds, names, silent)


truth = pytest.mark.truth


@truth
def test_found(finder: Any) -> None:
    events: list[Event] = []
    made = finder.find_pii(TEXT, "en", PII, (), events.append)
    assert isinstance(finder, PiiFinder)
    assert [one.label for one in made] == [*KINDS, "IP_ADDRESS", "PERSON"]
    assert all(isinstance(one, Entity) and one.of(TEXT) == one.text for one in made)
    assert made[1].text == "Osei"
    assert all(first.end <= second.start for first, second in pairwise(made))
    assert pickle.loads(pickle.dumps(made)) == made == find(finder, TEXT)
    assert [event.fraction for event in events] == [0, 1]
    only = find(finder, TEXT, kinds=("CREDIT_CARD", "PERSON"))
    assert {one.label for one in only} == {"CREDIT_CARD", "PERSON"}
    assert {one.text for one in only} >= {"Mirel", "4111 1111 1111 1111"}


@truth
def test_nothing_found(finder: Any) -> None:
    for text in ("", " \n", "😀", "...", "We bake bread on Monday, in London.", "a" * 500):
        assert find(finder, text) == ()


@truth
def test_known_names_count(finder: Any) -> None:
    text = "Then zebulon came. Zebulon laughed."
    assert [one.text for one in find(finder, text, names=("Zebulon Quist",))] == ["Zebulon"]


@truth
def test_what_lies_between_blocks_is_found(finder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    whole = [one.text for one in find(finder, TEXT)]
    monkeypatch.setattr(pii, "BLOCK", 150)
    made = finder.find_pii(TEXT, "en", PII, (), events.append)
    assert [one.text for one in made] == whole
    assert all(one.of(TEXT) == one.text for one in made)
    assert len(events) > 3
    unbroken = "bread " * 300 + "4111 1111 1111 1111"
    assert [one.text for one in find(finder, unbroken)] == ["4111 1111 1111 1111"]


@truth
def test_cancel_and_unload(finder: Any) -> None:
    def give_up(event: Event) -> None:
        raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        finder.find_pii(TEXT, "en", PII, (), give_up)
    finder.unload()
    assert len(find(finder, TEXT)) == len(KINDS) + 2


# Nothing passes unread


@truth
@pytest.mark.parametrize(
    ("text", "language"),
    [("Ich heiße Anna und wohne in Ulm.", "de"), ("My name is Анна.", "en"), ("اسمي ليلى", "ar"), ("I am 李明.", "en")],
)
def test_names_that_nobody_here_can_read(finder: Any, text: str, language: str) -> None:
    with pytest.raises(ModelMissing, match="Choose only kinds"):
        find(finder, text, language)
    card = f"{text} 4111 1111 1111 1111"
    assert [one.label for one in find(finder, card, language, BY_FORM)] == ["CREDIT_CARD"]


@truth
def test_a_recogniser_that_takes_too_long_is_an_error(finder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """presidio would log that and go on."""
    from presidio_analyzer import pattern_recognizer

    monkeypatch.setattr(pattern_recognizer, "REGEX_TIMEOUT_SECONDS", 1e-9)
    with pytest.raises(EngineCrashed, match="nothing was returned"):
        find(finder, TEXT * 50)


@truth
def test_a_recogniser_that_fails_is_an_error(finder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = finder._analyzer._engine.registry
    rule = next(one for one in registry.recognizers if one.supported_entities == ["ADDRESS"])

    def broken(text: str) -> Iterator[PiiHit]:
        raise RuntimeError(text)

    with monkeypatch.context() as patch:
        patch.setattr(rule, "_find", broken)
        with pytest.raises(EngineCrashed, match="RuntimeError") as caught:
            find(finder, TEXT)
        assert "Mirel" not in str(caught.value)
    registry.recognizers.remove(rule)
    try:
        with pytest.raises(EngineCrashed, match="nothing was returned"):  # it is missing
            find(finder, TEXT)
    finally:
        registry.recognizers.append(rule)
    logging.disable(logging.CRITICAL)
    try:
        with pytest.raises(EngineCrashed, match="Logging is disabled"):
            find(finder, TEXT)
    finally:
        logging.disable(logging.NOTSET)


@truth
def test_no_network(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """From the loading on: the pipeline is not downloaded, nor the list of top-level domains."""

    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model = catalog.get("presidio-en")
    folder = catalog.locate(model, get_settings())
    assert folder is not None
    host = InProcessHost()
    engine = host.engine(EngineCall(pool.ENGINES[model.engine], EngineSpec(folder, model.id), ""), silent)
    assert len(find(engine, TEXT)) == len(KINDS) + 2
    host.close()
    assert "Mirel" not in caplog.text


def test_the_model_lies_where_its_pipeline_does(tmp_path: Any) -> None:
    model, settings = catalog.get("presidio-en"), Settings(models_dir=tmp_path, device="cpu")
    assert (catalog.find(model, settings), catalog.available(model, settings)) == (None, False)
    pipeline = catalog.get("en_core_web_sm")
    for name in pipeline.files:
        (tmp_path / pipeline.id / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / pipeline.id / name).touch()
    assert catalog.find(model, settings) == catalog.find(pipeline, settings)
    assert catalog.available(model, settings)
    assert catalog.best("pii", settings) == model
