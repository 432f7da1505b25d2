"""Editing a stored transcript over a real port: edits, revisions, lists by tag, bad input, and who may."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import KEY, Service, client_fixture, fakes_fixture, service_fixture, tone  # noqa: F401

from stt_lab import client as clients
from stt_lab.errors import OldRevision


@pytest.fixture
def talk(client: httpx.Client, tmp_path: Path) -> str:
    """The path of a stored transcript."""
    with tone(tmp_path / "talk.wav").open("rb") as file:
        made = client.post("/v1/transcribe", files={"file": file}, data={"diarize": "true"}).json()
    return f"/api/v1/transcripts/{made['id']}/"


def replaced(first: int, last: int, text: str, segment: int = 0) -> dict[str, Any]:
    return {"op": "replace", "segment": segment, "from": first, "to": last, "text": text}


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_edit_and_the_way_back(client: httpx.Client, talk: str) -> None:
    before = ok(client.get(talk))
    assert (before["revision"], before["tags"], before["unrecognized"]) == (1, [], [])
    edits = [replaced(0, 1, "zebrafish")]
    after = ok(client.patch(talk, json={"revision": 1, "edits": edits, "tags": ["a"], "title": "New"}))
    assert (after["revision"], after["tags"], after["title"]) == (2, ["a"], "New")
    words = after["segments"][0]["words"]
    assert words[0] == before["segments"][0]["words"][0] | {"word": "zebrafish", "corrected": True}
    assert words[1:] == before["segments"][0]["words"][1:]
    assert ok(client.get(talk)) == after
    assert ok(client.get("/api/v1/search/", params={"query": "zebrafish"}))["count"] == 1
    assert "zebrafish" in client.get(f"{talk}export/srt/").text
    page = ok(client.get(f"{talk}revisions/"))
    assert [(one["revision"], one["author"], one["edits"]) for one in page["results"]] == [
        (2, "administrator", 3),
        (1, "", 0),
    ]
    assert page["count"] == 2
    assert ok(client.get(f"{talk}revisions/1/")) == before
    back = ok(client.post(f"{talk}revisions/1/restore/"))
    assert back == before | {"revision": 3}
    assert ok(client.get(f"{talk}revisions/2")) == after
    verbose = ok(client.get(talk, params={"verbose": "true"}))
    assert verbose["segments"][0]["words"][0]["confidence"] == 0.9


def test_lists_show_tags_and_filter(client: httpx.Client, talk: str) -> None:
    ok(client.patch(talk, json={"tags": ["work", "müsli"]}))
    page = ok(client.get("/api/v1/transcripts/", params={"tag": "müsli", "sort": "-duration"}))
    assert [(one["tags"], one["revision"]) for one in page["results"]] == [(["work", "müsli"], 2)]
    assert ok(client.get("/api/v1/transcripts/", params={"tag": "play"}))["count"] == 0
    assert client.get("/api/v1/transcripts/", params={"sort": "color"}).status_code == 400


def test_an_old_revision_is_refused(client: httpx.Client, talk: str) -> None:
    ok(client.patch(talk, json={"title": "New", "revision": 1}))
    for answer in (
        client.patch(talk, json={"revision": 1, "edits": [replaced(0, 1, "x")]}),
        client.patch(talk, json={"revision": 1, "title": "Newer"}),
        client.post(f"{talk}revisions/1/restore/", json={"revision": 1}),
    ):
        assert answer.status_code == 409
        assert answer.json()["revision"] == 2
        assert "repeat your change" in answer.json()["error"]
    assert ok(client.get(talk))["title"] == "New"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"edits": [{"op": "explode"}]}, "edits[0] (explode)"),
    ({"edits": [replaced(0, 1, "x"), replaced(0, 99, "x")]}, "edits[1] (replace)"),
    ({"edits": [{"op": "retime", "segment": 0, "word": 0, "start": 0, "end": 99}]}, "edits[0] (retime)"),
    ({"edits": [{"op": "retime", "segment": 0, "word": 0, "start": -1, "end": 0}]}, "edits[0] (retime)"),
    ({"edits": [{"op": "retime", "segment": 0, "word": 0, "start": 0, "end": 10**400}]}, "64 bits"),
    ({"edits": [{"op": "delete", "segment": [[[["x"]]]]}]}, "whole number"),
    ({"edits": [replaced(0, 1, "x")] * 10_000}, "10,000 edits"),
    ({"edits": [replaced(0, 1, "x" * 2**20)]}, "1,048,576 characters"),
    ({"edits": [replaced(0, 1, "a\0b")]}, "NUL"),
    ({"edits": "explode"}, "'edits'"),
    ({"edits": ["explode"]}, "'edits'"),
    ({"edits": {"op": "delete"}}, "'edits'"),
    ({"edits": [replaced(0, 1, "x")], "revision": None}, "'revision'"),
    ({"edits": [], "revision": 1}, "nothing to change"),
    ({"revision": 0, "title": "x"}, "'revision'"),
    ({"tags": ["x" * 41]}, "40 printable"),
    ({"tags": [f"{i}" for i in range(21)]}, "limit is 20"),
    ({"tags": [""]}, "40 printable"),
    ({"tags": [7]}, "'tags"),
    ({"title": "New", "speakers": {"Nobody": "Ada"}}, "Nobody"),
]


@pytest.mark.parametrize(("sent", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_changes_nothing(client: httpx.Client, talk: str, sent: dict[str, Any], words: str) -> None:
    before = ok(client.get(talk))
    answer = client.patch(talk, json={"revision": 1} | sent if "edits" in sent else sent)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["error"]
    assert answer.json()["error"].endswith(".")
    assert ok(client.get(talk)) == before


def test_half_a_character_is_refused(client: httpx.Client, talk: str) -> None:
    sent = json.dumps({"revision": 1, "edits": [replaced(0, 1, "\ud800")]})
    answer = client.patch(talk, content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "U+D800" in answer.json()["error"]


def test_another_accounts_transcript_is_unknown(service: Service, client: httpx.Client, talk: str) -> None:
    ok(client.patch(talk, json={"title": "Secret"}))
    account = service.accounts.create("Eve", tier="unlimited").id
    raw = service.accounts.create_key(account, "a key", ["library"])[1]
    headers = {"Authorization": f"Bearer {raw}"}
    for answer in (
        client.patch(talk, json={"revision": 2, "edits": [replaced(0, 1, "x")]}, headers=headers),
        client.get(f"{talk}revisions/", headers=headers),
        client.get(f"{talk}revisions/1/", headers=headers),
        client.post(f"{talk}revisions/1/restore/", headers=headers),
    ):
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"] == "The transcript was not found."
    for path in ("revisions/9/", "revisions/0/", "revisions/x/"):
        assert client.get(talk + path).status_code in (400, 404)
    assert ok(client.get(talk))["revision"] == 2


def test_two_clients_at_once_lose_nothing(client: httpx.Client, talk: str) -> None:
    """100 edits; each is stored, or refused with the revision to repeat it on."""
    made: list[str] = []
    refused: list[int] = []

    def edit(me: int) -> None:
        revision = 1
        for i in range(50):
            said = f"client{me}edit{i}"
            answer = client.patch(talk, json={"revision": revision, "edits": [replaced(0, 0, said)]})
            assert answer.status_code in (200, 409), answer.text
            revision = answer.json()["revision"]
            if answer.status_code == 200:
                made.append(said)
            else:
                refused.append(revision)

    threads = [threading.Thread(target=edit, args=(me,)) for me in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = ok(client.get(talk))
    assert len(made) + len(refused) == 100
    assert after["revision"] == 1 + len(made)
    words = [word["word"] for word in after["segments"][0]["words"]]
    assert sorted(words[: len(made)]) == sorted(made)
    assert made


def test_the_client_edits(service: Service, client: httpx.Client, talk: str) -> None:
    number = int(talk.split("/")[-2])
    with clients.Client(f"http://127.0.0.1:{service.port}", KEY) as ours:
        library = ours.transcripts
        detail = library.update(number, edits=[replaced(0, 1, "zebrafish")], tags=["a"], revision=1)
        assert (detail.revision, detail.tags) == (2, ("a",))
        assert library.read(number).segments[0].words[0].corrected
        assert [one.revision for one in library.revisions(number)] == [2, 1]
        assert library.revision(number, 1).text == ok(client.get(f"{talk}revisions/1/"))["text"]
        with pytest.raises(OldRevision, match="changed") as caught:
            library.update(number, title="x", revision=1)
        assert caught.value.revision == 2
        assert library.restore(number, 1, revision=2).tags == ()
        assert ours.jobs.wait(library.diarize(number, revision=3).id).status == "done"
        job = ours.jobs.wait(library.transcribe(number, 0, 1).id)
        assert ours.jobs.result(job.id) == library.read(number)
        assert library.get(number).revision == 3  # the same speakers and words: nothing has changed
        assert [one.id for one in library.list(sort="title")] == [number]
        assert list(library.list(tag="a")) == []
