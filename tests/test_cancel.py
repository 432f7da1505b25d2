"""Cancel on the page and by Gradio's clients: the job ends, nothing is stored, nothing is charged."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Choose
from gradio_client import Client, handle_file
from toy_server import (
    API,
    KEY,
    MINE,
    Served,
    Toy,
    button,
    file_data,
    handler,
    serve,
    settings_for,
    until,
    upload,
    wav,
)

from stt_lab.settings import Settings

END_S = 5.0  # what is promised


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("cancel"))) as running:
        yield running


@pytest.fixture
def slow() -> Iterator[None]:
    Toy.seconds, Toy.stopped = 30.0, 0
    yield
    Toy.seconds = 0.0


class Visit:
    """A signed-in visitor of the page, who transcribes a recording and can cancel."""

    def __init__(self, served: Served, session: str) -> None:
        self.client = httpx.Client(base_url=served.url, timeout=120, headers=MINE)
        self.session, self.said, self.job = session, "", ""
        self.reader: threading.Thread | None = None

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *problem: object) -> None:
        self.client.close()

    def join(self, fn_index: int, data: list[Any]) -> None:
        body = {"data": data, "fn_index": fn_index, "session_hash": self.session}
        assert self.client.post(f"{API}/queue/join", json=body).status_code == 200

    def begin(self, recording: Path, diarize: bool = True) -> None:
        self.said = ""
        path = upload(self.client, recording.read_bytes(), recording.name)
        self.join(button(self.client, "Transcribe"), [file_data(path), None, "base", "auto", diarize, 0])
        self._read()
        (self.job,) = set(re.findall(r"job_[0-9a-f]{32}", self.said))
        self.join(handler(self.client, "follow"), [self.job])
        self.reader = threading.Thread(target=self._read)
        self.reader.start()  # the page can cancel

    def _read(self) -> None:
        with self.client.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                self.said += line
                if "close_stream" in line:
                    return

    def cancel(self) -> float:
        """Press Cancel; how long the page takes to say that the job has ended."""
        assert self.reader is not None
        began = time.monotonic()
        self.join(handler(self.client, "cancel"), [self.job])
        self.reader.join(60)
        assert not self.reader.is_alive()
        return time.monotonic() - began

    @property
    def stored(self) -> int:
        return int(self.client.get("/api/v1/transcripts/", params={"status": "done"}).json()["count"])

    @property
    def minutes(self) -> float:
        return float(self.client.get("/api/v1/usage/").json()["minutes"])

    @property
    def active(self) -> int:
        states = ("queued", "running")
        counts = [self.client.get("/api/v1/transcripts/", params={"status": one}).json()["count"] for one in states]
        return sum(counts)


def test_cancel_on_the_page_ends_the_job_of_an_account(served: Served, slow: None, tmp_path: Path) -> None:
    with Visit(served, "one") as visit:
        before = visit.stored, visit.minutes
        visit.begin(wav(tmp_path / "a.wav"))
        until(lambda: "Transcribing" in visit.said)
        assert visit.cancel() < END_S
        assert Toy.stopped == 1  # before the page said so
        assert "Cancelled." in visit.said
        assert (visit.stored, visit.minutes, visit.active) == (*before, 0)
    until(lambda: not (served.settings.data_dir / "jobs").exists() or not list(served.settings.data_dir.glob("jobs/*")))


def test_cancel_takes_a_waiting_job_out(served: Served, slow: None, tmp_path: Path) -> None:
    with Visit(served, "works") as first, Visit(served, "waits") as second:
        before = first.stored, first.minutes
        first.begin(wav(tmp_path / "a.wav"))
        until(lambda: "Transcribing" in first.said)
        second.begin(wav(tmp_path / "b.wav"))
        until(lambda: second.active == 2)
        assert second.cancel() < END_S
        assert "Cancelled." in second.said
        assert second.active == 1
        assert first.cancel() < END_S
        assert (first.stored, first.minutes, first.active) == (*before, 0)


def test_a_gradio_client_cancels(served: Served, slow: None, tmp_path: Path) -> None:
    client = Client(served.url, verbose=False, headers=MINE)
    with Visit(served, "watch") as visit:
        before = visit.stored, visit.minutes
        job = client.submit(file=handle_file(str(wav(tmp_path / "a.wav"))), model="base", api_name="/transcribe")
        until(lambda: job.status().progress_data)
        job.cancel()
        assert until(lambda: visit.active == 0) < END_S
        assert Toy.stopped == 1
        assert (visit.stored, visit.minutes) == before
    client.close()


@pytest.mark.parametrize("store", [True, False])
def test_a_closed_page_ends_only_what_nobody_finds_again(
    served: Served, slow: None, tmp_path: Path, store: bool
) -> None:
    Toy.seconds = 2.0 if store else 30.0
    jobs = served.settings.data_dir / "jobs"
    with Visit(served, "watch") as visit:
        before = visit.stored
        path = upload(visit.client, wav(tmp_path / "a.wav").read_bytes())
        values = {"file": file_data(path), "model": "base", "store": store, "diarize": False}
        event = visit.client.post(f"{API}/call/v2/transcribe", json=values).json()["event_id"]
        with visit.client.stream("GET", f"{API}/call/transcribe/{event}"):
            until(lambda: list(jobs.iterdir()))
        if store:
            until(lambda: visit.stored == before + 1, 20)
        else:
            assert until(lambda: not list(jobs.iterdir())) < END_S
            assert visit.stored == before


def test_at_any_moment_the_page_says_the_truth(served: Served, tmp_path: Path) -> None:
    """Cancelled and nothing stored, or the result that came before."""
    Toy.seconds = 0.4
    recording, chance = wav(tmp_path / "a.wav"), random.Random(7)
    try:
        for number in range(10):
            with Visit(served, f"random-{number}") as visit:
                before = visit.stored, visit.minutes
                visit.begin(recording)
                time.sleep(chance.uniform(0, 1.2))
                assert visit.cancel() < END_S
                done = "stt-segment" in visit.said
                assert ("Cancelled." in visit.said) is not done
                assert visit.stored == before[0] + done
                assert (visit.minutes > before[1]) is done
                assert visit.active == 0
    finally:
        Toy.seconds = 0.0


@pytest.mark.slow
@pytest.mark.truth
def test_the_real_engine_stops(made_data: Choose, tmp_path: Path) -> None:
    """In its worker process, on minutes of speech, while it decodes, recognises and looks for speakers."""
    long = made_data(kind="multi-speaker")[0].path
    settings = Settings(admin_key=KEY, data_dir=tmp_path / "data", device="cpu")  # type: ignore[arg-type]
    with serve(settings, real=True) as served, Visit(served, "real") as visit:
        for stage in ("Decoding", "Transcribing", "Identifying speakers"):
            visit.begin(long)
            until(lambda stage=stage: stage in visit.said or "stt-segment" in visit.said, 200)  # type: ignore[misc]
            assert visit.cancel() < END_S, stage
            assert "Cancelled." in visit.said
            assert (visit.stored, visit.minutes, visit.active) == (0, 0, 0)
        short = made_data(kind="utterance", language="en")[0].path
        visit.begin(short, diarize=False)
        assert visit.reader is not None
        visit.reader.join(120)
        assert "stt-segment" in visit.said
        assert visit.stored == 1
    assert [path for path in (tmp_path / "data" / "jobs").iterdir() if os.path.isdir(path)] == []
