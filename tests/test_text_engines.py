"""What the engines of texts promise, asked of real weights; and `embed`, which is one of them as an operation."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_lab.engines import minilm, pool
from stt_lab.engines.hosts import EngineCall, InProcessHost
from stt_lab.engines.protocols import Embedder, EngineSpec, Parser
from stt_lab.errors import BadInput, Cancelled, TooLarge
from stt_lab.operations import embed
from stt_lab.operations.text import MAX_CHARACTERS, MAX_TEXTS
from stt_lab.settings import Settings, get_settings
from stt_lab.types import Event, Parsed, Report, silent
from stt_lab.weights import catalog
from stt_lab.writing.tools import Tools

pytestmark = pytest.mark.truth

EXACT, FAST, ENGLISH = "all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8", "en_core_web_sm"
TEXT = (
    "Dr. Maria Lopez called from Lisbon on Monday. She wants 4,000 euros by Friday, and Ben agreed. "
    "I'll send Acme Corporation the contract. Who else will come?"
)
TEXTS = (
    "The invoice is due on Friday.",
    "We must pay by the end of the week.",
    "Cats sleep all day.",
    "x" * 9000,
    "é 你好",
)


def made(model_id: str) -> tuple[InProcessHost, Any]:
    model, settings = catalog.get(model_id), get_settings()
    folder = catalog.locate(model, settings)
    assert folder is not None, f"fetch the weights first: stt-lab models pull {model_id}"
    host = InProcessHost()
    return host, host.engine(
        EngineCall(pool.ENGINES[model.engine], EngineSpec(folder, model_id, threads=2), ""), silent
    )


@pytest.fixture(scope="module", params=[EXACT, FAST])
def embedder(request: pytest.FixtureRequest) -> Iterator[Any]:
    host, engine = made(request.param)
    yield engine
    host.close()


@pytest.fixture(scope="module")
def parser() -> Iterator[Any]:
    host, engine = made(ENGLISH)
    yield engine
    host.close()


class Stop:
    """A report that gives up at the second event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == 2:
            raise Cancelled("Enough.")


def cancelled(work: Any, **arguments: Any) -> int:
    stop: Report = Stop()
    with pytest.raises(Cancelled):
        work(**arguments, report=stop)
    assert isinstance(stop, Stop)
    return len(stop.events)


# Vectors


def test_vectors(embedder: Any) -> None:
    events: list[Event] = []
    found = embedder.embed(TEXTS, events.append)
    assert isinstance(embedder, Embedder)
    assert found.shape == (len(TEXTS), embedder.dimensions)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found[0] @ found[1] > 0.4 > found[0] @ found[2]
    assert [event.fraction for event in events] == sorted(event.fraction for event in events)
    assert events[-1].fraction == 1
    assert np.array_equal(embedder.embed(TEXTS, silent), found)
    embedder.unload()
    embedder.unload()
    assert np.array_equal(embedder.embed(TEXTS, silent), found)
    assert embedder.embed((), silent).shape == (0, embedder.dimensions)
    assert cancelled(embedder.embed, texts=TEXTS) == 2


def test_who_gives_up_does_not_wait_for_the_rest(embedder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    pooled = minilm._pooled
    monkeypatch.setattr(minilm, "_pooled", lambda forward, ids: begun.append(len(ids)) or pooled(forward, ids))
    texts = (TEXT * 5,) * 200
    assert cancelled(embedder.embed, texts=texts) == 2
    assert sum(begun) < len(texts) / 2


def test_vectors_are_those_of_sentence_transformers(embedder: Any, tmp_path: Path) -> None:
    """The reference reads the same weights, with the settings that its authors published beside them."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    folder = catalog.locate(catalog.get(EXACT), get_settings())
    words = Transformer(str(folder), max_seq_length=256)
    reference = SentenceTransformer(modules=[words, Pooling(384, "mean"), Normalize()], device="cpu")
    texts = [*TEXTS, TEXT * 20, *(f"{word} {TEXT[:n]}" for n, word in enumerate(TEXT.split()))]
    theirs = reference.encode(texts)
    cosine = (embedder.embed(tuple(texts), silent) * theirs).sum(axis=1)
    assert cosine.min() > (0.9999 if embedder.spec.model == EXACT else 0.99)


# Grammar


def test_parsed(parser: Any) -> None:
    events: list[Event] = []
    found = parser.parse(TEXT, events.append)
    assert isinstance(parser, Parser)
    assert isinstance(found, Parsed)
    assert (found.language, parser.languages) == ("en", ("en",))
    assert [span.of(TEXT)[:3] for span in found.sentences] == ["Dr.", "She", "I'l", "Who"]
    assert all(entity.of(TEXT) == entity.text for entity in found.entities)
    labels = {entity.text: entity.label for entity in found.entities}
    assert labels["Maria Lopez"] == "PERSON"
    assert labels["Friday"] == "DATE"
    assert all(first.end <= second.start for first, second in pairwise(found.tokens))
    assert {token.of(TEXT): token.lemma for token in found.tokens}["agreed"] == "agree"
    assert all(0 <= token.head < len(found.tokens) for token in found.tokens)
    assert pickle.loads(pickle.dumps(found)) == found
    assert parser.parse(TEXT, silent) == found
    assert events[-1].fraction == 1
    assert cancelled(parser.parse, text=TEXT) == 2


@pytest.mark.parametrize("text", ["", "  \n", "😀", "...", "مرحبا بالعالم", "a" * 5000])
def test_parsing_what_is_no_english(parser: Any, text: str) -> None:
    found = parser.parse(text, silent)
    assert all(0 <= span.start < span.end <= len(text) for span in (*found.sentences, *found.tokens, *found.entities))


def test_long_texts_are_parsed_in_blocks(parser: Any) -> None:
    text = " ".join([TEXT] * 300)
    found = parser.parse(text, silent)
    assert len(found.sentences) == 4 * 300
    assert all(entity.of(text) == entity.text for entity in found.entities)
    assert text[found.tokens[-1].end :] == ""


@pytest.mark.parametrize(
    "text", ["(" * 40_000, "A-" * 20_000, "Ada met " + "x" * 700 + " (at  home) " + ")" * 301 + "\n"]
)
def test_words_without_an_end(parser: Any, text: str) -> None:
    """spaCy's tokenizer took 270 s for the first one, whose time grew with the square of its length."""
    began = time.process_time()
    tokens = parser.parse(text, silent).tokens
    assert time.process_time() - began < 10
    assert "".join(token.of(text) for token in tokens).replace(" ", "") == "".join(text.split())


def test_without_marks_the_parser_finds_sentences(parser: Any) -> None:
    text = " ".join(["I went to the store yesterday and then she called me because we had a meeting"] * 6)
    assert len(parser.parse(text, silent).sentences) > 1


def test_languages_without_a_parser_have_sentences(tmp_path: Path) -> None:
    reading = Tools(pool.Pool(Settings(data_dir=tmp_path, engine_host="inprocess", device="cpu")), silent)
    found = reading.parse("Guten Tag. Wie geht es?", "de")
    assert (len(found.sentences), found.tokens, found.entities) == (2, (), ())
    assert reading.parser("de") is None
    assert reading.parse(TEXT, "en").entities
    vectors = reading.embed(["one", "two"])
    assert vectors.shape == (2, 384)


# The operation


def test_embed() -> None:
    answer = embed(["The invoice is due.", "Payment is due."])
    assert (answer.dimensions, answer.model) == (384, EXACT)
    assert len(answer.embeddings) == 2
    assert sum(value * value for value in answer.embeddings[0]) == pytest.approx(1, abs=1e-5)
    assert embed(["x"], model=FAST).model == FAST


@pytest.mark.parametrize(
    ("texts", "error", "says"),
    [
        ([], BadInput, "at least one"),
        (["a", " "], BadInput, "Text 1 is empty"),
        (["a", None], BadInput, "texts"),
        ([1], BadInput, "texts"),
        (["a"] * (MAX_TEXTS + 1), TooLarge, "the limit is 2,048"),
        (["a" * MAX_CHARACTERS, "b"], TooLarge, "parts"),
    ],
)
def test_embed_refuses(texts: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        embed(texts)


def test_embed_refuses_other_models() -> None:
    with pytest.raises(BadInput, match="cannot embed"):
        embed(["a"], model="tiny.en")
    with pytest.raises(BadInput, match="was not found"):
        embed(["a"], model="../../etc")
