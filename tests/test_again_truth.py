"""Real models listen again to a real conversation of two speakers, of which the words and turns are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Choose, Recording
from fakes import KEY, Service, served, until

from stt_lab.metrics import wer
from stt_lab.settings import Settings

pytestmark = pytest.mark.truth
PART = {"start": 20.0, "end": 45.0}


@pytest.fixture
def talk(recordings: Choose) -> Recording:
    (one,) = recordings(id="assembled__conv_dev_2spk")
    return one


@pytest.fixture
def service(models_dir: Path, tmp_path: Path) -> Iterator[Service]:
    settings: dict[str, Any] = {"data_dir": tmp_path / "data", "models_dir": models_dir, "device": "cpu"}
    with served(Settings(**settings, admin_key=KEY, threads=2)) as running:
        yield running


def done(client: httpx.Client, answer: httpx.Response) -> Any:
    assert answer.status_code == 202, answer.text
    job = answer.json()["url"]
    until(lambda: client.get(job).json()["status"] not in ("queued", "running"), 300)
    result = client.get(f"{job}/result")
    assert result.status_code == 200, result.text
    return result.json()


def words(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [word | {"speaker": one.get("speaker")} for one in made["segments"] for word in one["words"]]


def test_speakers_and_words_are_heard_again(service: Service, talk: Recording) -> None:
    url, headers = f"http://127.0.0.1:{service.port}", {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=300) as client:
        with talk.path.open("rb") as file:
            sent = {"model": "tiny.en", "diarize": "false"}
            number = client.post("/v1/transcribe", files={"file": file}, data=sent).json()["id"]
        path = f"/api/v1/transcripts/{number}/"
        first = client.get(path).json()
        at, word = next(
            (n, m)
            for n, one in enumerate(first["segments"])
            for m, word in enumerate(one["words"])
            if word["start"] > 30 and len(word["word"]) > 5
        )
        edits = [{"op": "replace", "segment": at, "from": word, "to": word + 1, "text": "zebrafish"}]
        fixed = client.patch(path, json={"revision": 1, "edits": edits}).json()
        check_words(
            done(client, client.post(f"{path}transcribe/", json=PART | {"model": "base", "revision": 2})), fixed
        )
        spoken = done(client, client.post(f"{path}diarize/", json={"revision": 3, "speakers": 2}))
        check_speakers(spoken, talk)
        assert client.post(f"{path}revisions/1/restore/").json() == first | {"revision": 5}


def check_words(made: dict[str, Any], before: dict[str, Any]) -> None:
    """Outside of the part nothing differs; in it the corrected word stays, and the rest is as right as it was."""

    def parts(one: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        inside = [word for word in words(one) if PART["start"] <= (word["start"] + word["end"]) / 2 < PART["end"]]
        return inside, [word for word in words(one) if word not in inside]

    (new, kept), (old, same) = parts(made), parts(before)
    assert kept == same
    assert [word for word in new if word.get("corrected")] == [word for word in old if word.get("corrected")]
    assert new != old
    said = [" ".join(word["word"] for word in some) for some in (old, new)]
    assert wer([said[0]], [said[1]], "whisper_en").rate < 0.3, said
    times = [time for word in words(made) for time in (word["start"], word["end"])]
    assert times == sorted(times)


def check_speakers(made: dict[str, Any], talk: Recording) -> None:
    """Who said a word is right for nine of ten."""
    assert len(made["speakers"]) == 2
    turns, pairs = talk.turns(), {}
    for word in words(made):
        middle = (word["start"] + word["end"]) / 2
        who = next((turn.speaker for turn in turns if turn.start <= middle < turn.end), None)
        if who and word["speaker"]:
            pairs[word["speaker"], who] = pairs.get((word["speaker"], who), 0) + 1
    right = sum(max(count for (one, _), count in pairs.items() if one == name) for name in made["speakers"])
    assert right > 0.9 * sum(pairs.values()), pairs
    assert sum(pairs.values()) > 100
