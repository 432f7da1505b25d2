"""Jobs over HTTP with engines in their worker process: cancelled in time, crashed clearly, and asked for twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Choose
from fake_engines import Gated
from fakes import KEY, Service, fakes_fixture, served, tone, until  # noqa: F401

from stt_lab.settings import Settings

Make = Callable[..., Settings]
CANCEL_S = 2.0  # what is promised


class Client(httpx.Client):
    """The administrator's."""

    def __init__(self, service: Service) -> None:
        super().__init__(
            base_url=f"http://127.0.0.1:{service.port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=120
        )

    def transcribe(self, talk: Path, key: str | None = None, **fields: str) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else None
        with talk.open("rb") as file:
            return self.post("/v1/transcribe", files={"file": file}, data=fields, headers=headers)

    def begin(self, talk: Path, **fields: str) -> str:
        """Send it into the background; the address of the job."""
        answer = self.transcribe(talk, background="true", **fields)
        assert answer.status_code == 202, answer.text
        url: str = answer.json()["url"]
        return url

    def job(self, url: str) -> Any:
        return self.get(url).json()

    def cancel(self, url: str) -> float:
        """How long it takes until a job is cancelled."""
        began = time.monotonic()
        assert self.delete(url).status_code == 200
        until(lambda: self.job(url)["status"] == "cancelled", 10)
        return time.monotonic() - began


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return tone(tmp_path / "talk.wav")


@pytest.fixture
def client(fakes: Make) -> Iterator[Client]:
    with served(fakes(engine_host="process")) as service, Client(service) as made:
        yield made


def test_an_engine_that_hears_nothing_is_cancelled_in_time(client: Client, talk: Path) -> None:
    url = client.begin(talk, model="deaf")
    until(lambda: client.job(url)["stage"] == "transcribing", 20)
    assert client.cancel(url) < CANCEL_S
    assert client.transcribe(talk).status_code == 200  # the device is free


def test_an_engine_that_crashes_fails_its_job_clearly(client: Client, talk: Path) -> None:
    url = client.begin(talk, model="crash")
    until(lambda: client.job(url)["status"] == "failed", 20)
    assert client.job(url)["error"]["code"] == "engine_crashed"
    assert client.get(f"{url}/result").status_code == client.job(url)["error"]["status"] == 503
    assert client.get("/api/v1/usage/").json()["minutes"] == 0


def test_a_request_that_is_sent_again_too_soon(fakes: Make, talk: Path) -> None:
    with served(fakes()) as service, Client(service) as client:
        url = client.transcribe(talk, "k", background="true", model="gated").json()["url"]
        assert Gated.began.acquire(timeout=10)
        again = client.transcribe(talk, "k", background="true", model="gated")
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        assert url in again.json()["error"]
        assert int(again.headers["retry-after"]) > 0
        assert client.transcribe(talk, "k", model="gated").status_code == 422  # not in the background: another one
        Gated.gate.set()
        until(lambda: client.job(url)["status"] == "done")
        assert client.transcribe(talk, "k", background="true", model="gated").json()["id"] == client.job(url)["id"]
    assert Gated.most == 1


@pytest.mark.slow
@pytest.mark.truth
def test_the_real_engines_are_cancelled_in_time(made_data: Choose, tmp_path: Path) -> None:
    long = made_data(kind="multi-speaker")[0].path
    settings = Settings(admin_key=KEY, data_dir=tmp_path / "data", device="cpu")  # type: ignore[arg-type]
    with served(settings) as service, Client(service) as client:
        for stage in ("transcribing", "diarizing"):
            url = client.begin(long, model="base")
            until(lambda stage=stage, url=url: client.job(url)["stage"] in (stage, "done"), 200)  # type: ignore[misc]
            assert client.cancel(url) < CANCEL_S, stage
        assert client.get("/api/v1/usage/").json()["minutes"] == 0
        short = made_data(kind="utterance", language="en")[0].path
        assert client.transcribe(short, model="base").json()["text"]
        assert service.leftovers() == []
