"""The outline of a recording: measured by blocks, made for any rate, kept within a limit."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fakes import KEY, Service, fakes_fixture, served, tone  # noqa: F401

from stt_lab.audio import peaks
from stt_lab.audio.peaks import Outline, Outlines, outline
from stt_lab.settings import Settings
from stt_lab.types import Audio

RATE = 16_000


def sound(path: Path, samples: np.ndarray) -> Audio:
    (np.asarray(samples) * 32768).clip(-32768, 32767).astype("<i2").tofile(path)
    return Audio(path, len(samples))


def test_peaks_are_where_the_sound_is(tmp_path: Path) -> None:
    samples = np.zeros(int(2.005 * RATE))
    samples[RATE // 2] = -0.5
    samples[-1] = 1.0
    made = outline(sound(tmp_path / "a", samples))
    assert made.duration == 2.005
    assert len(made.levels) == 201
    for rate in (1, 3, 20, 30, 99, 100):
        drawn = made.at(rate)
        assert len(drawn) == -(-201 * rate // 100)
        at, last = (i for i, level in enumerate(drawn) if level)
        assert 0 <= at - rate // 2 <= (rate == 99)  # a rate that does not divide 100 is off by 10 ms at most
        assert last == len(drawn) - 1
        assert drawn[at] == pytest.approx(0.5, abs=0.004)
        assert drawn[-1] == 1.0


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = sound(tmp_path / "a", np.random.default_rng(1).uniform(-1, 1, 5 * RATE + 77))
    whole = outline(audio)
    monkeypatch.setattr(peaks, "BLOCK_S", 1)
    assert outline(audio) == whole


def test_nothing_has_no_peaks() -> None:
    assert Outline(0.0, b"").at(20) == ()


def test_two_hours_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(2 * 3600 * RATE * 2)  # silence, which takes no room on disk
    tracemalloc.start()
    made = outline(Audio(path, 2 * 3600 * RATE))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made.levels) == 720_000
    assert most < 20 * 2**20


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "KEPT_BYTES", 250)
    kept = Outlines()
    for name in "abc":
        kept.put(name, Outline(1.0, bytes(100)))
        kept.get("a")
    assert [name for name in "abc" if kept.get(name)] == ["a", "c"]
    kept.put("d", Outline(1.0, bytes(1000)))
    assert [name for name in "abcd" if kept.get(name)] == ["d"]


@pytest.fixture
def service(fakes: Callable[..., Settings]) -> Iterator[Service]:
    with served(fakes()) as running:
        yield running


def test_peaks_of_a_stored_transcript(service: Service, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=headers, timeout=20) as client:
        with tone(tmp_path / "talk.wav").open("rb") as file:
            number = client.post("/v1/transcribe", files={"file": file}).json()["id"]
        path = f"/api/v1/transcripts/{number}/peaks/"
        made = client.get(path).json()
        assert (made["duration"], made["per_second"], len(made["peaks"])) == (2.0, 20, 40)
        assert all(0.08 < level < 0.11 for level in made["peaks"])
        service.runtime.decoder.close()  # it is not decoded again
        assert len(client.get(path, params={"per_second": 100}).json()["peaks"]) == 200
        for wrong in (0, 101, "x"):
            assert client.get(path, params={"per_second": wrong}).status_code == 400
        service.library.audio(1, number).unlink()
        assert client.get(path).status_code == 404
        assert client.get("/api/v1/transcripts/99/peaks/").status_code == 404
    assert service.leftovers() == []
