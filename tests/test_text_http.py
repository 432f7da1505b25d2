"""Operations on texts over HTTP: what is refused and how, and what must pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from toy_server import KEY, Served, ToyPii, serve, settings_for

from stt_lab.engines.pool import Pool

LATIN = "The roof leaks. We need a new roof by Friday, please ask the builder. Who pays for the roof?"
PATHS: dict[str, dict[str, Any]] = {
    "/v1/summarize": {},
    "/v1/analyze": {"type": "topics"},
    "/v1/generate": {"type": "key_quotes"},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "templates").mkdir()
    (folder / "templates" / "minutes.toml").write_text('description = "ours"\nblocks = [{ kind = "points" }]')
    with serve(settings_for(folder, templates_dir=folder / "templates")) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=60) as made:
        yield made


def ask(client: httpx.Client, path: str, **body: Any) -> tuple[int, str]:
    answer = client.post(path, json={**PATHS[path], **body})
    told = answer.json()
    return answer.status_code, told.get("error", "")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("", 400, "contains no words"),
        (" \n\t ", 400, "contains no words"),
        ("😀😀 ?!", 400, "contains no words"),
        ("word " * 400_000, 413, "the limit is 1,000,000"),
        (None, 400, "text"),
        (7, 400, "text"),
        (["a"], 400, "text"),
        (LATIN, 200, ""),
        ("Крыша течёт. 屋根が漏れる。 The roof leaks.", 200, ""),
        ("السقف يسرب الماء. من يدفع؟ نحتاج إلى سقف جديد.", 200, ""),
        ("\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace") + " a roof", 200, ""),
        ("\u0000 a roof", 400, "NUL"),
    ],
)
def test_texts(client: httpx.Client, path: str, text: Any, status: int, says: str) -> None:
    got, sentence = ask(client, path, text=text)
    assert got == status, sentence
    assert says in sentence
    assert sentence == "" or sentence.endswith(".")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/summarize", {"style": "haiku"}, "'brief', 'detailed', 'action_items', 'bullet_points' or 'bullets'"),
        ("/v1/analyze", {"type": "feelings"}, "'sentiment', 'topics'"),
        ("/v1/analyze", {"type": None}, "type"),
        ("/v1/analyze", {"type": "pii_redact", "mode": "blur"}, "'mark', 'mask' or 'hash'"),
        ("/v1/generate", {"type": "poem"}, "Use one of blog_post, "),
        ("/v1/generate", {"type": "../minutes"}, "Use one of blog_post, "),
        ("/v1/generate", {"prompt": "x" * 2001}, "prompt"),
        ("/v1/summarize", {"model": "large-v3"}, "Use one of auto, extractive"),
        ("/v1/summarize", {"texts": ["a"]}, "Unknown parameter 'texts'"),
    ],
)
def test_parameters(client: httpx.Client, path: str, body: dict[str, Any], says: str) -> None:
    status, sentence = ask(client, path, text=LATIN, **body)
    assert status == 400
    assert says in sentence


def test_a_text_is_needed(client: httpx.Client) -> None:
    for path in PATHS:
        answer = client.post(path, json=PATHS[path])
        assert answer.status_code == 400
        assert "'text'" in answer.json()["error"]


def test_answers_have_the_form_of_the_contract(client: httpx.Client) -> None:
    told = client.post("/v1/summarize", json={"text": LATIN, "style": "bullets"}).json()
    assert told.keys() == {"summary", "style", "model", "statements", "warnings"}
    assert (told["style"], told["model"]) == ("bullet_points", "extractive")
    for statement in told["statements"]:
        (span,) = statement["spans"]
        assert LATIN[span["start"] : span["end"]] == statement["text"]
    told = client.post("/v1/analyze", json={"text": LATIN, "type": "sentiment"}).json()
    assert told.keys() == {"type", "model", "result", "warnings"}
    assert told["result"].keys() == {"label", "score", "sentences"}
    told = client.post("/v1/generate", json={"text": LATIN, "type": "minutes"}).json()
    assert told.keys() == {"type", "title", "model", "content", "items", "warnings"}
    assert told["type"] == "minutes"


@pytest.mark.parametrize(
    ("mode", "written"),
    [("mark", r"\[PERSON\] waits, says Ben, for \[PERSON\]"), ("mask", "███ waits, says Ben, for ███")],
)
def test_personal_data(client: httpx.Client, mode: str, written: str) -> None:
    text = "Ada waits, says Ben, for Ada"  # the toy finds everything that is called Ada
    for kind in ("pii_redact", "pii"):
        told = client.post("/v1/analyze", json={"text": text, "type": kind, "mode": mode}).json()
        assert (told["type"], told["model"], told["warnings"]) == ("pii_redact", "presidio-en", [])
        assert re.fullmatch(written, told["result"]["text"])
        assert [text[one["start"] : one["end"]] for one in told["result"]["entities"]] == ["Ada", "Ada"]
        assert [one.keys() for one in told["result"]["entities"]] == [{"label", "start", "end", "score"}] * 2


def test_personal_data_that_cannot_be_looked_for_is_an_error(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **more: Any) -> Any:
        raise RuntimeError("a recogniser of /somewhere")

    monkeypatch.setattr(ToyPii, "find_pii", broken)
    answer = client.post("/v1/analyze", json={"text": "Ada", "type": "pii_redact"})
    assert answer.status_code == 500
    assert answer.json().keys() == {"error", "code"}
    assert "somewhere" not in answer.text
    monkeypatch.setattr(Pool, "available", lambda pool, task: iter(()))
    answer = client.post("/v1/analyze", json={"text": "Ada", "type": "pii_redact"})
    assert answer.status_code == 503
    assert "stt-lab models pull en_core_web_sm" in answer.json()["error"]


@pytest.mark.parametrize("kind", ["sentiment", "entities", "action_items", "questions"])
def test_a_language_without_a_parser_is_a_503(client: httpx.Client, kind: str) -> None:
    german = "Der Bürgermeister wird am Montag mit den Leuten über das neue Dach sprechen."
    answer = client.post("/v1/analyze", json={"text": german, "type": kind})
    assert answer.status_code == 503
    assert "can be found only in en" in answer.json()["error"]
    assert answer.headers["Retry-After"].isdigit()


@pytest.mark.parametrize("path", PATHS)
def test_a_language_model_that_is_not_here_is_a_503(
    client: httpx.Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "available", lambda pool, task: iter(()))
    status, sentence = ask(client, path, text=LATIN, model="qwen2.5-1.5b-instruct")
    assert status == 503
    assert "`stt-lab models pull qwen2.5-1.5b-instruct`" in sentence
