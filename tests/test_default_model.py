"""The speech model that answers where a request names none: what is chosen, and what stands in for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from databases import database_url_fixture  # noqa: F401
from fakes import KEY, Service, client_fixture, fakes_fixture, served, service_fixture, tone, until  # noqa: F401

from stt_lab.caller import ADMINISTRATOR_ID, LOCAL
from stt_lab.errors import ModelMissing, Unavailable
from stt_lab.pipeline import choose_models, default_model
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.store.database import Database
from stt_lab.weights import advice, catalog
from stt_lab.weights.figures import WerFigure

HEADERS = {"Authorization": f"Bearer {KEY}"}
FIGURE = WerFigure("echo", 0.1, 0.08, 0.12, 500, 20, ("en",), "set", "a" * 64, "by language", "2026-11-01", "dev", True)


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    return tone(tmp_path / "a.wav").read_bytes()


def sent(client: httpx.Client, sound: bytes, path: str = "/v1/transcribe", **fields: str) -> dict[str, Any]:
    answer = client.post(path, files={"file": ("a.wav", sound)}, data=fields)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text.splitlines()[-1])  # type: ignore[no-any-return]


def choose(client: httpx.Client, model: str, default: bool = True) -> dict[str, Any]:
    answer = client.patch(f"/api/v1/models/{model}/", json={"default": default})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def listed(client: httpx.Client) -> dict[str, tuple[bool, bool]]:
    """Whether each speech model is the default, and is chosen; those for which neither holds are left out."""
    found = {one["id"]: (one["default"], one["chosen"]) for one in client.get("/api/v1/models/").json()["results"]
             if one["task"] == "transcribe"}  # fmt: skip
    return {id: how for id, how in found.items() if any(how)}


# What is chosen answers


def test_the_chosen_model_answers_at_once_on_every_way(service: Service, client: httpx.Client, sound: bytes) -> None:
    assert sent(client, sound)["model"] == "large-v3-turbo"
    made = choose(client, "mute")
    assert (made["id"], made["default"], made["chosen"]) == ("mute", True, True)
    assert listed(client) == {"mute": (True, True)}
    assert client.get("/v1/models").json()["default"] == "mute"
    for fields in ({}, {"model": "auto"}, {"model": ""}):
        whole = sent(client, sound, **fields)
        assert (whole["model"], whole.get("warnings", [])) == ("mute", [])
    named = sent(client, sound, model="large-v3-turbo")
    assert named["model"] == "large-v3-turbo"
    theirs = [sent(client, sound, "/v1/audio/transcriptions", **{"model": name}) for name in ("whisper-1", "echo")]
    assert [one["text"] for one in theirs] == ["", "word. word."]
    part = client.post(f"/api/v1/transcripts/{named['id']}/transcribe/", json={"start": 0, "end": 1}).json()
    until(lambda: client.get(part["url"]).json()["status"] == "done")
    assert service.library.transcript(ADMINISTRATOR_ID, named["id"]).provenance[-1].model == "mute"
    assert choose(client, "mute", default=False)["chosen"] is False
    assert listed(client) == {"large-v3-turbo": (True, False)}
    assert sent(client, sound)["model"] == "large-v3-turbo"


def test_live_speech_has_the_same_default(service: Service, client: httpx.Client, sound: bytes) -> None:
    choose(client, "clockwork")
    last = sent(client, sound, "/v1/stream", speed="max", store="true")
    assert client.get(f"/api/v1/transcripts/{last['id']}/").json()["model"] == "clockwork"


def test_another_model_is_not_touched_by_what_is_taken_back(client: httpx.Client) -> None:
    choose(client, "mute")
    choose(client, "large-v3-turbo", default=False)
    assert listed(client) == {"mute": (True, True)}
    choose(client, "echo" if "echo" in listed(client) else "deaf")
    assert listed(client) == {"deaf": (True, True)}


def test_a_restart_keeps_the_choice(fakes: Callable[..., Settings], sound: bytes) -> None:
    settings = fakes()
    for chosen in (False, True):
        with served(settings) as service, httpx.Client(
            base_url=f"http://127.0.0.1:{service.port}", headers=HEADERS, timeout=20
        ) as client:  # fmt: skip
            assert sent(client, sound)["model"] == ("mute" if chosen else "large-v3-turbo")
            choose(client, "mute")


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [("absent", 409, "not installed"), ("halves", 400, "does not recognise speech"), ("nothing", 400, "not found")],
)
def test_what_cannot_be_chosen(client: httpx.Client, model: str, status: int, said: str) -> None:
    answer = client.patch(f"/api/v1/models/{model}/", json={"default": True})
    assert (answer.status_code, said in answer.json()["error"]) == (status, True)
    assert listed(client) == {"large-v3-turbo": (True, False)}


# What stands in


def test_a_chosen_model_that_is_gone_is_said(service: Service, client: httpx.Client, sound: bytes) -> None:
    choose(client, "mute")
    shutil.rmtree(service.settings.models_dir / "mute")
    whole = sent(client, sound)
    assert whole["model"] == "large-v3-turbo"
    assert whole["warnings"] == ["The default model 'mute' is not installed; 'large-v3-turbo' was used instead."]
    assert listed(client) == {"large-v3-turbo": (True, False), "mute": (False, True)}
    about = client.get("/v1/models").json()
    assert about["default"] == "large-v3-turbo"
    assert about["note"].startswith(
        "Fake large-v3-turbo answers here, because the default model 'mute' is not installed."
    )
    assert choose(client, "mute", default=False)["chosen"] is False  # it can be taken back
    assert "warnings" not in sent(client, sound) or sent(client, sound)["warnings"] == []


def test_an_english_default_gives_way_to_other_languages(client: httpx.Client, sound: bytes) -> None:
    choose(client, "english")
    assert sent(client, sound)["model"] == sent(client, sound, language="en")["model"] == "english"
    whole = sent(client, sound, language="pt")
    assert whole["model"] == "large-v3-turbo"
    assert whole["warnings"] == [
        "The default model 'english' recognises English only; 'large-v3-turbo' was used instead."
    ]
    answer = client.post(
        "/v1/transcribe", files={"file": ("a.wav", sound)}, data={"model": "english", "language": "pt"}
    )
    assert answer.status_code == 400  # it was named


def test_without_a_choice_the_best_that_knows_the_language(fakes: Callable[..., Settings]) -> None:
    settings = fakes()
    shutil.rmtree(settings.models_dir / "large-v3-turbo")
    path = catalog.CATALOG
    rows = path.read_text("utf-8").split("[[model]]")
    english = next(row for row in rows if '"english"' in row)
    rows.remove(english)
    path.write_text("[[model]]".join([rows[0], english, *rows[1:]]), "utf-8")  # the best of all
    catalog.read.cache_clear()
    pool = Runtime(settings).pool
    try:
        model, warnings = default_model(pool)
        assert (model.id, warnings) == (
            "english",
            ("The model 'large-v3-turbo' is not installed; 'english' was used instead.",),
        )
        model, warnings = default_model(pool, "pt")
        assert (model.id, warnings) == (
            "echo",
            ("The model 'english' recognises English only; 'echo' was used instead.",),
        )
        for folder in settings.models_dir.iterdir():
            if folder.name != "english":
                shutil.rmtree(folder)
        with pytest.raises(ModelMissing, match=r"No installed model recognises Portuguese\. Install one with"):
            choose_models(pool, "auto", "pt", diarize=False)
        assert choose_models(pool, "auto", "en", diarize=False).transcriber.id == "english"
    finally:
        pool.close()


def test_a_default_that_cannot_translate(fakes: Callable[..., Settings]) -> None:
    settings = fakes()
    path = catalog.CATALOG
    path.write_text(path.read_text("utf-8").replace('id = "mute"', 'id = "mute"\ntranslates = false'), "utf-8")
    catalog.read.cache_clear()
    runtime = Runtime(settings)
    try:
        runtime.choose_model("mute")
        assert default_model(runtime.pool)[0].id == "mute"
        model, (warning,) = default_model(runtime.pool, goal="translate")
        assert model.id == "large-v3-turbo"
        assert warning.startswith("The default model 'mute' cannot translate;")
    finally:
        runtime.close()


def test_strict_servers_use_the_choice_and_nothing_else(fakes: Callable[..., Settings]) -> None:
    settings = fakes(strict_models=True)
    runtime = Runtime(settings)
    try:
        runtime.choose_model("mute")
        shutil.rmtree(settings.models_dir / "large-v3-turbo")
        assert default_model(runtime.pool)[0].id == "mute"
        shutil.rmtree(settings.models_dir / "mute")
        with pytest.raises(ModelMissing, match="large-v3-turbo"):
            default_model(runtime.pool)
    finally:
        runtime.close()


# Processes that do not use the database, and databases that are away


def test_plain_python_reads_the_choice_without_making_a_database(fakes: Callable[..., Settings]) -> None:
    settings = fakes()
    plain, server = Runtime(settings), Runtime(settings)
    try:
        assert plain.chosen_model() == ""
        assert not (settings.data_dir / "stt_lab.db").exists()
        call(OPERATIONS["choose_model"], {"id": "mute"}, Context(LOCAL, server))
        assert plain.chosen_model() == "mute"
        assert default_model(plain.pool)[0].id == "mute"
        assert "_database" not in vars(plain)
    finally:
        plain.close()
        server.close()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as one" * 100])
def test_a_database_that_says_nothing_means_automatic(fakes: Callable[..., Settings], content: bytes) -> None:
    settings = fakes()
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / "stt_lab.db").write_bytes(content)
    runtime = Runtime(settings)
    try:
        assert runtime.chosen_model() == ""
    finally:
        runtime.close()


def test_servers_of_one_database_share_the_choice(fakes: Callable[..., Settings], database_url: str) -> None:
    settings = fakes(database_url=database_url)
    one, other = Runtime(settings), Runtime(settings)
    try:
        assert one.database is not other.database
        for model in ("mute", "deaf", ""):
            one.choose_model(model)
            assert other.chosen_model() == model
    finally:
        one.close()
        other.close()


def test_while_the_database_is_away_the_last_choice_holds(
    fakes: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(fakes())
    try:
        runtime.choose_model("mute")
        assert runtime.chosen_model() == "mute"

        def away(self: Database, **how: object) -> Iterator[None]:
            raise Unavailable("The database is not available.")

        monkeypatch.setattr(Database, "read", away)
        assert runtime.chosen_model() == "mute"
    finally:
        monkeypatch.undo()
        runtime.close()


# What would be better


def advised(settings: Settings, model: str) -> str:
    return advice.note(catalog.get(model), "", settings, "cpu")


def test_the_note_says_which_model_would_be_better(
    fakes: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = fakes()
    monkeypatch.setattr(advice, "figures", lambda settings: ())
    assert advised(settings, "large-v3-turbo") == "Fake large-v3-turbo answers here."
    assert advised(settings, "mute") == (
        "Fake mute answers here. Fake large-v3-turbo should make fewer errors (not measured here), and is installed: "
        "choose it from the list."
    )
    shutil.rmtree(settings.models_dir / "large-v3-turbo")
    assert advised(settings, "mute").endswith("; it is not installed (1\u00a0MB): Account → Models.")
    assert advice.note(None, "", settings, "cpu") == advice.NOTHING


def test_what_was_measured_counts_more_than_the_order(
    fakes: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = fakes()
    worse = replace(FIGURE, model="large-v3-turbo", wer=0.3, low=0.25, high=0.35)
    monkeypatch.setattr(advice, "figures", lambda settings: (FIGURE, worse))
    assert advised(settings, "echo") == "Fake echo answers here."
    assert "Fake echo makes fewer errors (measured)" in advised(settings, "large-v3-turbo")


def test_what_does_not_fit_or_knows_less_is_not_advised(
    fakes: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = fakes()
    monkeypatch.setattr(advice, "memory_mb", lambda: 1)  # the weights have 1 MB
    assert advised(settings, "mute") == "Fake mute answers here."


def test_large_models_are_advised_in_place_of_base(tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path, data_dir=tmp_path)
    base, turbo = catalog.get("base"), catalog.get("large-v3-turbo")
    assert advice.better(base, settings, "cpu", ()) == turbo
    assert advice.better(turbo, settings, "cpu", ()) is None
    bad = replace(FIGURE, model="base", wer=0.5, low=0.4, high=0.6)
    best = advice.better(base, settings, "cpu", (bad, replace(FIGURE, model="tiny.en")))
    assert best == turbo  # tiny.en knows English only
