"""Stored transcripts are summarised, asked and searched over HTTP; their index survives a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav

from stt_lab.client import Client
from stt_lab.library import Library

LINES = ("The zebra swims in the sea.", "Do the quizzes pay? They do not.", "A fox jumps over lazy dogs.")
WHO = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recall")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serve(settings_for(folder)) as running:
        Toy.lines = LINES
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers=WHO, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def talk(client: httpx.Client, folder: Path) -> int:
    files = {"file": ("talk.wav", wav(folder / "talk.wav").read_bytes())}
    answer = client.post("/v1/transcribe", files=files, data={"model": "base", "diarize": "false"})
    number: int = answer.json()["id"]
    return number


def library(served: Served) -> Library:
    found: Library = served.app.state.installation.runtime.library
    return found


def test_a_transcript_is_indexed_in_the_background(served: Served, talk: int) -> None:
    until(lambda: library(served).passages.get(talk) is not None, 10)


def test_summaries_are_kept(client: httpx.Client, talk: int) -> None:
    path = f"/api/v1/transcripts/{talk}/summarize/"
    made = client.post(path, json={"style": "bullets"}).json()
    assert made["style"] == "bullet_points"
    assert all(statement["sources"] for statement in made["statements"])
    for body in ({"style": "bullet_points"}, {"style": "bullet_points", "force": True}):
        assert client.post(path, json=body).json() == made


def test_analyses_are_kept_and_say_where(client: httpx.Client, talk: int) -> None:
    path = f"/api/v1/transcripts/{talk}/analyze/"
    made = client.post(path, json={"type": "topics"}).json()
    assert made["type"] == "topics"
    text = " ".join(LINES)
    for topic in made["result"]:
        assert all(text[span["start"] : span["end"]].lower() == topic["topic"].lower() for span in topic["spans"])
        assert topic["sources"] == sorted(set(topic["sources"])) != []
        assert topic["start_time"] >= 0
    assert client.post(path, json={"type": "topics"}).json() == made


def test_a_transcript_without_personal_data_says_when(
    client: httpx.Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "lines", ("So this is Ada.", "Hello Ada."))  # whom the toy finds
    files = {"file": ("ada.wav", wav(folder / "ada.wav").read_bytes())}
    fields = {"model": "base", "diarize": "false"}
    stored = client.post("/v1/transcribe", files=files, data=fields).json()
    made = client.post(f"/api/v1/transcripts/{stored['id']}/analyze/", json={"type": "pii"}).json()
    assert (made["type"], made["model"]) == ("pii_redact", "presidio-en")
    assert made["result"]["text"] == "So this is [PERSON]. Hello [PERSON]."
    found = made["result"]["entities"]
    assert [one["sources"] for one in found] == [[0], [1]]
    said = [segment["words"][-1] for segment in stored["segments"]]
    assert [one["start_time"] for one in found] == pytest.approx([word["start"] for word in said])
    assert [one["end_time"] for one in found] == pytest.approx([word["end"] for word in said])
    client.delete(f"/api/v1/transcripts/{stored['id']}/")


def test_documents_are_kept_and_say_when(client: httpx.Client, talk: int) -> None:
    path = f"/api/v1/transcripts/{talk}/generate/"
    made = client.post(path, json={"type": "key_quotes"}).json()
    assert {item["quote"] for item in made["items"]} <= {*LINES, "Do the quizzes pay?", "They do not."}
    assert all(item["sources"] and item["start_time"] >= 0 for item in made["items"])
    assert client.post(path, json={"type": "key_quotes"}).json() == made
    (chapter,) = client.post(path, json={"type": "chapter_markers"}).json()["items"]
    assert (chapter["start"], chapter["start_time"], chapter["sources"]) == (0.0, 0.0, [0, 1, 2])


def test_the_client(served: Served, talk: int) -> None:
    with Client(served.url, KEY, timeout=30) as client:
        analysis = client.transcripts.analyze(talk, "topics", force=True)
        assert analysis == client.transcripts.analyze(talk, "topics")
        document = client.transcripts.generate(talk, "key_quotes", "animals")
        assert (document.type, document.model) == ("key_quotes", "extractive")


def test_chat(client: httpx.Client, talk: int) -> None:
    path = f"/api/v1/transcripts/{talk}/chat/"
    made = client.post(path, json={"message": "Does the zebra swim?"}).json()
    assert made["found"]
    source = made["sources"][0]
    assert (source["segment_order"], source["text"], source["start_time"]) == (0, LINES[0], 0.0)
    assert isinstance(source["segment_id"], int)
    assert 0 < source["score"] <= 1
    again = client.post(path, json={"question": "In the sea?", "session_id": made["session_id"]}).json()
    assert again["session_id"] == made["session_id"]
    assert again["sources"][0]["segment_order"] == 0


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("chat", {}, 400, "question"),
    ("chat", {"question": ""}, 400, "no words"),
    ("chat", {"question": "  "}, 400, "no words"),
    ("chat", {"question": "😀😀"}, 400, "no words"),
    ("chat", {"question": None}, 400, "question"),
    ("chat", {"question": ["a", None]}, 400, "question"),
    ("chat", {"question": "a" * 2001}, 400, "question"),
    ("chat", {"question": "what? " * 400_000}, 400, "question"),
    ("chat", {"question": "What?", "message": "What?"}, 400, "message"),
    ("chat", {"question": "What?", "session_id": "chat_x"}, 404, "chat was not found"),
    ("chat", {"question": "What?", "session_id": "c" * 61}, 400, "session_id"),
    ("chat", {"question": "What?", "model": "gpt-99"}, 400, "gpt-99"),
    ("summarize", {"style": "rude"}, 400, "style"),
    ("summarize", {"style": None}, 400, "style"),
    ("summarize", {"force": "perhaps"}, 400, "force"),
    ("summarize", {"model": "gpt-99"}, 400, "gpt-99"),
    ("summarize", {"text": "of mine"}, 400, "text"),
    ("analyze", {}, 400, "type"),
    ("analyze", {"type": "feelings"}, 400, "'sentiment', 'topics'"),
    ("analyze", {"type": "pii_redact", "mode": "blur"}, 400, "'mark', 'mask' or 'hash'"),
    ("generate", {"type": "poem"}, 400, "Use one of blog_post, "),
    ("generate", {"type": "quiz", "prompt": "a" * 2001}, 400, "prompt"),
]


@pytest.mark.parametrize(("what", "body", "status", "said"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input(client: httpx.Client, talk: int, what: str, body: dict[str, Any], status: int, said: str) -> None:
    answer = client.post(f"/api/v1/transcripts/{talk}/{what}/", json=body)
    assert (answer.status_code, set(answer.json())) == (status, {"error", "code"}), answer.text
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "question", ["זברה בים?", "会议在哪里？", "Ist da ein Zebra? أين؟", "<script>alert(1)</script>"]
)
def test_any_script_is_asked(client: httpx.Client, talk: int, question: str) -> None:
    answer = client.post(f"/api/v1/transcripts/{talk}/chat/", json={"question": question})
    assert answer.status_code == 200, answer.text
    assert "<script>" not in answer.json()["answer"]


def test_what_is_not_done_is_not_asked(client: httpx.Client, folder: Path, served: Served) -> None:
    with served.app.state.installation.runtime.database.write() as session:
        number = library(served).open(session, 1, "Talk")
    for what, body in (("chat", {"question": "What?"}), ("summarize", {})):
        answer = client.post(f"/api/v1/transcripts/{number}/{what}/", json=body)
        assert (answer.status_code, "queued" in answer.text) == (400, True)
        assert client.post(f"/api/v1/transcripts/999/{what}/", json=body).status_code == 404


def test_search_by_meaning(client: httpx.Client, talk: int) -> None:
    page = client.get("/api/v1/search/", params={"query": "zebras swimming", "mode": "meaning"}).json()
    assert (page["count"], page["warnings"]) == (1, [])
    found = page["results"][0]
    assert (found["id"], found["segment_order"], found["start_time"]) == (talk, 0, 0.0)
    assert "⟦zebra⟧" in found["snippet"]
    assert found["score"] > 0
    assert client.get("/api/v1/search/", params={"query": "zebra"}).json()["results"][0]["score"] is None
    assert client.get("/api/v1/search/", params={"query": "zebra", "mode": "mood"}).status_code == 400


def test_the_index_is_made_after_a_restart(folder: Path) -> None:
    """A server that ended before its index was made makes it when it is back."""
    settings = settings_for(folder / "again")
    with serve(settings) as first:
        parts = first.app.state.installation
        parts.indexer.close()
        files = {"file": ("talk.wav", wav(folder / "again.wav").read_bytes())}
        fields = {"model": "base", "diarize": "false"}
        number = httpx.post(f"{first.url}/v1/transcribe", files=files, data=fields, headers=WHO, timeout=30).json()[
            "id"
        ]
        assert library(first).passages.claim() is not None  # and nobody makes it
        assert library(first).passages.get(number) is None
    with serve(settings) as second:
        until(lambda: library(second).passages.get(number) is not None, 10)
