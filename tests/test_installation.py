"""What an administrator sees and changes of an installation: models, and where data lies."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fakes import KEY, served, until
from toy_models import PACKAGED, Toy, hub, toy

from stt_lab.settings import MB

__all__ = ["hub", "toy"]  # fixtures


@pytest.fixture
def admin(toy: Toy) -> Any:
    settings = toy.settings(admin_key=KEY, engine_host="inprocess", device="cpu")
    with (
        served(settings) as service,
        httpx.Client(
            base_url=f"http://127.0.0.1:{service.port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=60
        ) as client,
    ):
        yield client


def listed(client: httpx.Client, model: str) -> dict[str, Any]:
    (found,) = (one for one in client.get("/api/v1/models/").json()["results"] if one["id"] == model)
    return dict(found)


def test_a_model_is_pulled_as_a_job_and_deleted(admin: httpx.Client, toy: Toy) -> None:
    before = listed(admin, "toy")
    assert (before["installed"], before["source"], before["removable"]) == (False, None, False)
    job = admin.post("/api/v1/models/toy/", json={"background": True}).json()
    assert (job["operation"], job["about"]) == ("pull_model", "toy")
    until(lambda: admin.get(job["url"]).json()["status"] == "done", 30)
    after = listed(admin, "toy")
    assert (after["installed"], after["source"], after["removable"]) == (True, "models dir", True)
    assert {path.name: path.read_bytes() for path in (toy.models / "toy").iterdir()} == PACKAGED
    assert admin.post("/api/v1/models/toy/").json() == after  # nothing to do, and no body to send
    gone = admin.delete("/api/v1/models/toy/")
    assert (gone.status_code, gone.json()["id"]) == (200, "toy")
    assert not (toy.models / "toy").exists()
    assert listed(admin, "toy") == before
    again = admin.delete("/api/v1/models/toy/")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert admin.get("/api/v1/usage/").json()["credits"] == 0


def test_weights_of_others_stay(admin: httpx.Client, toy: Toy) -> None:
    own = toy.put(toy.folder / "elsewhere")
    (toy.models / "toy").symlink_to(own)
    assert listed(admin, "toy")["removable"] is False
    assert admin.delete("/api/v1/models/toy/").status_code == 409
    assert (own / "model.bin").exists()


def test_an_unknown_model_is_neither_pulled_nor_deleted(admin: httpx.Client) -> None:
    for path in ("/api/v1/models/shouting/", "/api/v1/models/..%2f..%2fetc/"):
        for answer in (admin.post(path), admin.delete(path)):
            assert answer.status_code in (400, 404)
            assert answer.json()["error"]


def test_storage_says_where_data_lies_and_how_much(admin: httpx.Client, toy: Toy) -> None:
    (toy.folder / "data" / "audio").mkdir(parents=True, exist_ok=True)
    (toy.folder / "data" / "audio" / "talk.wav").write_bytes(bytes(3 * MB))
    shown = admin.get("/api/v1/storage/").json()
    places = {place["kind"]: place for place in shown["places"]}
    assert (places["recordings"]["mb"], places["recordings"]["files"]) == (3.0, 1)
    assert places["models"]["setting"] == "STT_LAB_MODELS_DIR"
    assert places["everything in the data directory"]["mb"] >= 3.0
    assert shown["free_mb"] > 0
    assert (shown["retention_days"], shown["keep_audio"]) == (0, True)
