"""What models are worth: figures of the project and of evaluations made here, and the speed of this server."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT
from databases import database_fixture, database_url_fixture  # noqa: F401
from fakes import Service, client_fixture, fakes_fixture, service_fixture, tone  # noqa: F401
from lab_toys import made_results, said

from stt_lab.caller import LOCAL
from stt_lab.lab.runs.provenance import provenance
from stt_lab.lab.runs.runner import PROVENANCE, SUITE
from stt_lab.lab.runs.suite import Suite, read_system
from stt_lab.lab.scoring.scores import SCORES
from stt_lab.library import Library
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID, ANONYMOUS_ID
from stt_lab.store.speeds import EACH, RecognitionSpeed, speeds
from stt_lab.types import Provenance, Segment, Transcript
from stt_lab.weights import catalog, figures
from stt_lab.weights.figures import WerFigure

RESULTS = ROOT / "eval" / "results"
FIGURE = WerFigure("base", 0.1, 0.08, 0.12, 500, 20, ("en",), "set", "a" * 64, "by language", "2026-11-01", "dev", True)


# The project's


def test_the_table_is_what_was_measured() -> None:
    """Each row is what eval/results has, and none is left out."""
    rows = figures.shipped()
    files = {row.run for row in rows}
    assert files == {"suite-dev.json"}
    found: list[WerFigure] = []
    for name in sorted(files):
        scores = json.loads((RESULTS / name).read_text("utf-8"))
        made = {"run": name, "here": False, "made": scores["provenance"]["made"]}
        for system, details in scores["provenance"]["systems"].items():
            assert details["engine"] == "stt_lab"
            quality = scores["systems"][system]["quality"]
            languages = {code: one for code, one in quality.items() if code != "all"}
            quality = {"all": quality["all"], "language": languages}
            found += figures.of_system(details["settings"]["model"], scores, quality, made)
    assert rows == tuple(found)
    assert {row.model for row in rows} <= {model.id for model in catalog.models("transcribe")}


# Those of evaluations made here


def rate(value: float, total: int = 1000) -> dict[str, Any]:
    about = {"recordings": 40, "errors": round(value * total), "total": total, "unit": "points"}
    return about | {"wer": {"value": value, "low": value - 0.01, "high": value + 0.01}}


def a_run(settings: Settings, name: str, made: str, **wer: dict[str, float]) -> Path:
    """The files of a run as the laboratory writes them: the WER of each model by language."""
    folder = settings.data_dir / figures.RUNS / name
    folder.mkdir(parents=True)
    entries = [read_system(f"{model} here", {"engine": "stt_lab", "model": model}) for model in wer]
    entries.append(read_system("other", {"engine": "faster-whisper", "model": "base"}))
    suite = Suite(name=name, dataset="speech_dir", systems=tuple(entries))
    systems: dict[str, Any] = {"other": {"quality": {"all": {"wer": rate(0.01)}, "language": {}}}}
    for model, values in wer.items():
        quality = {"all": {"wer": rate(sum(values.values()) / len(values))}}
        systems[f"{model} here"] = {
            "quality": quality | {"language": {code: {"wer": rate(values[code])} for code in values}}
        }
    scores = {"dataset": {"name": "mine", "digest": "d" * 64}, "normaliser": "by language", "systems": systems}
    (folder / SUITE).write_text(json.dumps({"suite": suite.as_dict()}), "utf-8")
    (folder / SCORES).write_text(json.dumps(scores), "utf-8")
    (folder / PROVENANCE).write_text(json.dumps(provenance(settings, ()) | {"made": made}), "utf-8")
    return folder


def test_runs_of_this_installation_come_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert figures.figures(settings) == figures.shipped()
    a_run(settings, "newer", "2026-11-20T00:00:00+00:00", base={"en": 0.1, "de": 0.2})
    a_run(settings, "older", "2026-11-10T00:00:00+00:00", base={"en": 0.5}, small={"de": 0.05})
    known = figures.figures(settings)
    whole, english = figures.newest("base", known)
    assert (whole.run, whole.wer, whole.low, whole.high) == ("newer", 0.15, 0.14, 0.16)
    assert (whole.words, whole.recordings, whole.languages, whole.here) == (1000, 40, ("de", "en"), True)
    assert (english.languages, english.wer) == (("en",), 0.1)
    (small,) = figures.newest("small", known)
    assert (small.run, small.languages) == ("older", ("de",))
    assert {row.here for row in figures.newest("tiny.en", known)} == {False}
    assert figures.newest("large-v3", known) == ()


def test_a_run_of_the_laboratory_is_read(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "Good morning, dear friends.", "language": "en"},
        {"id": "b", "text": "Ja.", "language": "de"},
    ]
    made_results(
        tmp_path / "lab", rows, [said("s", "a", "Good morning, friends."), said("s", "b", "Ja.", language="de")]
    )
    whole, english = figures.newest("echo", figures.figures(Settings(data_dir=tmp_path)))
    assert (whole.wer, whole.words, whole.recordings, whole.languages) == (0.2, 5, 2, ("de", "en"))
    assert (whole.low, whole.high) == (0.0, 0.25)
    assert (english.wer, english.words, english.recordings, english.languages) == (0.25, 4, 1, ("en",))
    assert (english.low, english.high) == (None, None)
    assert whole.run == "toy"
    assert datetime.fromisoformat(whole.made)


@pytest.mark.parametrize("wrong", ["not JSON", "{}", '{"systems": [1]}', "[]", '"x"', "null"])
@pytest.mark.parametrize("file", [SCORES, SUITE])
def test_a_run_that_cannot_be_read_hides_no_other(file: str, wrong: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    a_run(settings, "good", "2026-11-10", base={"en": 0.1})
    (a_run(settings, "bad", "2026-11-11", base={"en": 0.2}) / file).write_text(wrong, "utf-8")
    assert [row.run for row in figures.figures(settings) if row.here] == ["good"]


def test_a_run_that_is_scored_again_is_read_again(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    path = a_run(settings, "one", "2026-11-10", base={"en": 0.1}) / SCORES
    assert figures.figures(settings)[0].wer == 0.1
    path.write_text(path.read_text("utf-8").replace("0.1,", "0.3,"), "utf-8")
    os.utime(path, (1, 1))
    assert figures.figures(settings)[0].wer == 0.3


# Which of two makes fewer errors


@pytest.mark.parametrize(
    ("other", "fewer"),
    [
        ({"wer": 0.3, "low": 0.25, "high": 0.35}, True),
        ({"wer": 0.05, "low": 0.04, "high": 0.06}, False),
        ({"wer": 0.13, "low": 0.11, "high": 0.15}, None),  # within noise
        ({"wer": 0.3, "low": None, "high": None}, None),
        ({"wer": 0.3, "low": 0.25, "high": 0.35, "digest": "b" * 64}, None),  # other recordings
        ({"wer": 0.3, "low": 0.25, "high": 0.35, "recordings": 19}, None),
        ({"wer": 0.3, "low": 0.25, "high": 0.35, "normaliser": "none"}, None),
        ({"wer": 0.3, "low": 0.25, "high": 0.35, "languages": ("de", "en")}, None),
    ],
)
def test_who_makes_fewer_errors(other: dict[str, Any], fewer: bool | None) -> None:
    known = (FIGURE, replace(FIGURE, model="tiny.en", **other))
    assert figures.makes_fewer("base", "tiny.en", known) is fewer
    assert figures.makes_fewer("tiny.en", "base", known) is (None if fewer is None else not fewer)
    assert figures.makes_fewer("base", "small", known) is None


def test_the_project_does_not_tell_base_and_tiny_apart() -> None:
    assert figures.makes_fewer("base", "tiny.en", figures.shipped()) is None


# Speed


def put(database: Database, library: Library, rtf: float | None, **how: Any) -> int:
    """Store a transcript that took `rtf` times its duration to recognise."""
    account, duration = how.pop("account", ADMINISTRATOR_ID), how.pop("duration", 60.0)
    model, device, extra = how.pop("model", "base"), how.pop("device", "cpu"), how.pop("extra", ())
    made = () if rtf is None else (Provenance("faster-whisper", model, device, "1", {}, rtf * duration),)
    transcript = Transcript("en", duration, (Segment(0, 1, "Hello."),), model=model, provenance=(*made, *extra))
    with database.write() as session:
        number = library.open(session, account, "Secret title")
        library.complete(session, number, transcript)
    return number


def measured(database: Database) -> dict[str, RecognitionSpeed]:
    with database.read() as session:
        return speeds(session, "cpu")


def test_speed_is_the_median_of_what_was_transcribed(database: Database, tmp_path: Path) -> None:
    library = Library(database, tmp_path)
    assert measured(database) == {}
    for rtf, account in ((0.2, ADMINISTRATOR_ID), (0.4, ANONYMOUS_ID), (9.0, ADMINISTRATOR_ID)):
        put(database, library, rtf, account=account, extra=(Provenance("pyannote", "d", "cpu", "1", {}, 1e4),))
    put(database, library, 0.1, model="tiny.en")
    assert measured(database) == {"base": RecognitionSpeed(0.4, 3), "tiny.en": RecognitionSpeed(0.1, 1)}
    for _ in range(EACH):
        put(database, library, 0.3)
    assert measured(database)["base"] == RecognitionSpeed(0.3, EACH)  # the newest ones


def test_what_says_nothing_about_speed_does_not_count(database: Database, tmp_path: Path) -> None:
    library = Library(database, tmp_path)
    put(database, library, 5.0, duration=9.9)  # most of it is loading and padding
    put(database, library, 5.0, device="cuda")
    put(database, library, None)  # a live stream
    put(database, library, 0.0)
    with database.write() as session:
        library.open(session, ADMINISTRATOR_ID, "queued")
    renamed = put(database, library, 5.0)
    library.retitle(ADMINISTRATOR_ID, renamed, "Changed")  # perhaps a part was heard again
    assert measured(database) == {}


NO_NUMBER = '{"provenance": [{"model": "echo", "device": "cpu", "elapsed": "x"}]}'


@pytest.mark.parametrize(
    ("column", "value"),
    [("details", "{"), ("details", "7"), ("details", '{"provenance": [3]}'), ("details", NO_NUMBER),
     ("duration", "long"), ("created", "x")],
)  # fmt: skip
def test_damaged_rows_are_left_out(
    service: Service, client: httpx.Client, tmp_path: Path, column: str, value: str
) -> None:
    for _ in range(2):
        put(service.runtime.database, service.library, 0.5, model="echo")
    raw = sqlite3.connect(service.settings.data_dir / "stt_lab.db")
    with raw:
        raw.execute(f"UPDATE transcripts SET {column} = ? WHERE id = 2", (value,))
    raw.close()
    answer = client.get("/api/v1/models/")
    assert answer.status_code == 200, answer.text
    (echo,) = (one for one in answer.json()["results"] if one["id"] == "echo")
    assert (echo["rtf"], echo["rtf_recordings"]) == (0.5, 2 if column == "created" else 1)


# On the surface


def test_models_are_listed_with_what_they_are_worth(service: Service, client: httpx.Client, tmp_path: Path) -> None:
    a_run(service.settings, "mine", "2026-11-20T00:00:00+00:00", clockwork={"en": 0.25})
    sound = tone(tmp_path / "a.wav", 11.0)
    with sound.open("rb") as file:
        assert client.post("/v1/transcribe", files={"file": file}, data={"model": "clockwork"}).status_code == 200
    listed = {one["id"]: one for one in client.get("/api/v1/models/").json()["results"]}
    clockwork = listed["clockwork"]
    (figure,) = clockwork["measured"]
    assert (figure["wer"], figure["low"], figure["high"], figure["words"]) == (0.25, 0.24, 0.26, 1000)
    assert (figure["run"], figure["here"], figure["languages"]) == ("mine", True, ["en"])
    assert clockwork["rtf"] > 0
    assert clockwork["rtf_recordings"] == 1
    mute = listed["mute"]
    assert (mute["measured"], mute["rtf"], mute["rtf_recordings"]) == ([], None, 0)


def test_plain_python_lists_models_without_making_a_database(tmp_path: Path, fakes: Any) -> None:
    runtime = Runtime(fakes())
    try:
        listed = call(OPERATIONS["list_models"], {}, Context(LOCAL, runtime))
    finally:
        runtime.close()
    assert {one.rtf for one in listed.results} == {None}
    assert not (tmp_path / "data" / "stt_lab.db").exists()
