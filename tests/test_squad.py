"""Readers that tell whether a passage answers a question, on a model in miniature with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import AnswerReader, EngineSpec
from stt_lab.engines.squad import SquadReader
from stt_lab.settings import Settings
from stt_lab.types import Event, silent
from stt_lab.weights import catalog
from stt_lab.writing.answerability import Signs
from stt_lab.writing.tools import Tools

PASSAGES = ("The ferry sank in May.", "Nobody was hurt, and the captain swam.", "The ferry sank in May.")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa of two narrow layers, never trained, with a tokenizer of single bytes, in the files of the hub."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaConfig, RobertaForQuestionAnswering

    folder = tmp_path_factory.mktemp("models") / "tinyroberta-squad2"
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    folder.mkdir()
    vocabulary = {token: number for number, token in enumerate([*special, *sorted(ByteLevel.alphabet())])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}', "utf-8")
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=514, type_vocab_size=1, **sizes)
    model = RobertaForQuestionAnswering(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)  # unlike scores of unlike passages
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reader(weights: Path) -> SquadReader:
    return SquadReader(EngineSpec(weights, "tinyroberta-squad2", threads=1))


def test_each_passage_has_a_score(reader: SquadReader) -> None:
    assert isinstance(reader, AnswerReader)
    events: list[Event] = []
    found = reader.answerable("When did the ferry sink?", PASSAGES, events.append)
    assert len(found) == len(events) == 3
    assert found[0] == pytest.approx(found[2])
    assert found[0] != pytest.approx(found[1])
    assert reader.answerable("Who swam?", PASSAGES[:1], silent)[0] != pytest.approx(found[0])
    reader.unload()
    assert reader.answerable("When did the ferry sink?", PASSAGES, silent) == pytest.approx(found)
    assert reader.answerable("When?", (), silent) == ()


def test_long_texts_are_read_in_windows(reader: SquadReader) -> None:
    first = "The ferry sank in May. " * 60
    one, longer = reader.answerable("When did it sink?", (first[:200], first), silent)
    assert abs(longer) < 1e6
    assert one != longer
    assert len(reader.answerable("When? " * 400, ("In May.",), silent)) == 1


def test_an_installed_reader_decides(weights: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=weights.parent, engine_host="inprocess", device="cpu")
    assert catalog.available(catalog.get("tinyroberta-squad2"), settings)
    tools = Tools(Pool(settings), silent)
    score = tools.answerable("When did the ferry sink?", PASSAGES)
    assert isinstance(score, float)
    assert tools.answerable("When?", ()) is None
    nothing = Tools(Pool(Settings(data_dir=tmp_path, models_dir=tmp_path)), silent)
    assert nothing.answerable("When?", PASSAGES) is None


@pytest.mark.parametrize(
    ("margin", "lacking", "silent_", "missing"),
    [(1.0, True, False, False), (-1.0, False, False, True), (1.0, False, True, True), (None, True, False, True)],
)
def test_its_margin_goes_before_other_signs(margin: float | None, lacking: bool, silent_: bool, missing: bool) -> None:
    found = Signs(0.5, 0.5, stranger=False, lacking=lacking, silent=silent_, unknown=False, margin=margin)
    assert found.missing == missing
