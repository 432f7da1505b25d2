"""The laboratory's tab: who may, what it does over raw HTTP, and its HTML."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT
from fakes import PATHS
from outline import NASTY, TAGS, Outline
from serving import gone, serving
from toy_server import (
    API,
    KEY,
    Served,
    Toy,
    file_data,
    file_inputs,
    functions,
    join,
    serve,
    settings_for,
    until,
    upload,
    wav,
)

from stt_lab.lab.data.items import Item
from stt_lab.lab.report.pictures import Picture
from stt_lab.lab.runs.choices import DatasetFacts, SystemChoice
from stt_lab.lab.runs.evaluations import EvaluationStatus
from stt_lab.lab.runs.runner import RunProgress
from stt_lab.lab.runs.suite import read_system
from stt_lab.lab.scoring import leaderboard
from stt_lab.lab.scoring.mistakes import LEGEND, Mistakes
from stt_lab.ui.lab import gate, html

ADMIN = {"authorization": f"Bearer {KEY}"}
SECRET = "name-of-a-secret-dataset"


def dataset(place: Path) -> None:
    """Two recordings of a second."""
    place.mkdir(parents=True)
    lines = []
    for number, words in enumerate(("Good morning. Hello there, friend.", "Good evening, friend.")):
        wav(place / f"{number}.wav", 1.0)
        row = {"id": f"r{number}", "audio": f"{number}.wav", "language": "en", "text": words, "duration": 1}
        lines.append(json.dumps(row) + "\n")
    (place / "manifest.jsonl").write_text("".join(lines), "utf-8")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("lab")
    with serve(settings_for(folder, speech_dir=folder / "none")) as running:
        dataset(running.settings.data_dir / "lab" / "datasets" / SECRET)
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


class Handlers:
    """The functions of the tab: all of them, and by name. Gradio counts those of one name: run, run_1."""

    def __init__(self, client: httpx.Client) -> None:
        config = client.get("/config").json()
        mine = {part["id"] for part in config["components"] if str(part["props"].get("elem_id")).startswith("lab")}
        found = [fn for fn in config["dependencies"] if mine & {*fn["outputs"], *fn["inputs"]}]
        self.every = [fn["id"] for fn in found]
        self.counts = {fn["id"]: len(fn["inputs"]) for fn in found}
        self.index = {re.sub(r"_\d+$", "", fn["api_name"]): fn["id"] for fn in reversed(found)}

    def call(self, client: httpx.Client, name: str, *values: Any) -> str:
        return join(client, self.index[name], list(values), **ADMIN)


@pytest.fixture
def handlers(client: httpx.Client) -> Handlers:
    return Handlers(client)


# Who may


def test_no_handler_answers_strangers(served: Served, client: httpx.Client, handlers: Handlers) -> None:
    """Over raw HTTP, in every way that somebody could try; nothing is told, and nothing happens."""
    account = served.accounts.create("Eve")
    _, key = served.accounts.create_key(account.id, "a", ["speech", "library", "account"])
    ways: list[dict[str, str]] = [
        {}, {"authorization": "Bearer wrong"}, {"authorization": f"Bearer {key}"}, {"cookie": "stt_lab_session=wrong"},
        {"cookie": f"stt_lab_session={served.access.begin_session(served.access.identify_key(key))}"},
    ]  # fmt: skip
    assert len(handlers.every) >= 14
    files = file_inputs(client)
    for index in handlers.every:
        values = [None if slot in files.get(index, ()) else SECRET for slot in range(handlers.counts[index])]
        for way in ways:
            told = join(client, index, values, **way)
            assert "sign in" in told or "not valid" in told, (index, way, told[:300])
            assert SECRET not in told
    lab = served.settings.data_dir / "lab"
    assert not (lab / "runs").exists()
    assert [path.name for path in (lab / "datasets").iterdir()] == [SECRET]


def test_nothing_is_told_before(client: httpx.Client) -> None:
    """The page's own configuration is everybody's."""
    assert SECRET not in client.get("/config").text
    assert SECRET not in client.get("/").text


def test_everybody_is_told_how_to_get_in(client: httpx.Client, handlers: Handlers) -> None:
    (greet,) = [fn["id"] for fn in functions(client) if fn["id"] in handlers.every and fn["targets"][0][1] == "load"]
    assert "sign in" in join(client, greet, [])
    mine = join(client, greet, [], **ADMIN)
    assert "sign in" not in mine
    assert '"visible":true' in mine


def test_without_the_extra_it_says_what_to_do(
    client: httpx.Client, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PACKAGES", ("pandas", "no_such_package"))
    said = gate.missing_extra()
    assert said.startswith("The laboratory needs no_such_package. Run `")
    assert "[lab]" in said
    assert "no_such_package" in handlers.call(client, "run", SECRET, [], ["base"], "auto", False, 0, "none", "x")


def test_the_extra_is_not_imported_before_it_is_needed() -> None:
    """What the page imports of the laboratory when the server starts is light."""
    sources = [path.read_text("utf-8") for path in (ROOT / "stt_lab" / "ui").rglob("*.py")]
    lines = [found for text in sources for found in re.findall(r"^from (stt_lab\.lab[\w.]*) import (.+)$", text, re.M)]
    named = {module for module, _ in lines}
    named |= {f"{module}.{name.strip()}" for module, names in lines for name in names.split(",")}
    modules = {name for name in named if (ROOT / f"{name.replace('.', '/')}.py").is_file()}
    assert {
        "stt_lab.lab.runs.evaluations",
        "stt_lab.lab.scoring.leaderboard",
        "stt_lab.lab.report.report_process",
    } <= modules
    heavy = ("numpy", "pandas", "matplotlib", "jiwer", "meeteval", "papermill", "psutil", "IPython", "torch")
    code = f"import sys, {', '.join(sorted(modules))}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


# What it does


def test_a_run_is_begun_cancelled_resumed_and_shown(
    served: Served, client: httpx.Client, handlers: Handlers, tmp_path: Path
) -> None:
    lab = served.app.state.installation.lab
    assert SECRET in handlers.call(client, "refresh", None, None)
    assert "2 recordings" in handlers.call(client, "describe", SECRET)
    Toy.seconds = 30.0
    try:
        with httpx.Client(base_url=served.url, timeout=60) as other:
            session = "watching"
            data = [SECRET, [], ["base"], "auto", False, 0, "by language", "First run"]
            body = {"data": data, "fn_index": handlers.index["run"], "session_hash": session}
            assert other.post(f"{API}/queue/join", json=body, headers=ADMIN).status_code == 200
            until(lambda: lab.busy, 20)
            assert "is running" in handlers.call(client, "run", *data[:-1], "Second")
            assert "is in progress" in handlers.call(client, "show", "First run")
            handlers.call(client, "cancel")
            until(lambda: not lab.busy, 10)
    finally:
        Toy.seconds = 0.0
    assert lab.last.status.phase == "cancelled"
    told = handlers.call(client, "show", "First run")
    assert "has no predictions yet" in told
    assert "First run is done" in handlers.call(client, "go_on", "First run")
    told = handlers.call(client, "show", "First run")
    for wanted in ("WER (%)", "base, auto", "data:image/png;base64", "lab-mistake", "<audio", "evening", ".json"):
        assert wanted in told, wanted
    assert str(served.settings.data_dir / "lab") not in told
    (first, *_) = re.findall(r"gradio_api/file=[^\\\"]+\.wav", told)
    assert client.get(f"/{first}").content[:4] == b"RIFF"
    scores = re.search(r"gradio_api/file=[^\\\"]+\.json", told)
    assert scores
    assert client.get(f"/{scores[0]}").json()["systems"]["base, auto"]["recordings"] == 2
    assert "lab-mistake" in handlers.call(client, "look", "First run", "base, auto", 1)
    board = handlers.call(client, "compare", "", "")
    assert "First run" in board
    assert "by language" in board


def test_a_server_path_is_no_upload(client: httpx.Client, handlers: Handlers) -> None:
    told = handlers.call(client, "take", [file_data("/etc/passwd")], "x", "")
    assert '"success":false' in told
    told = handlers.call(client, "take", [file_data("/etc/passwd", meta=False)], "x", "")
    assert "Only uploaded files are accepted" in told or '"success":false' in told
    assert "root:" not in told


def test_a_mistake_in_a_file_of_suites_keeps_nobody_out(
    served: Served, client: httpx.Client, handlers: Handlers
) -> None:
    path = served.settings.data_dir / "lab" / "suites.toml"
    path.write_text("[systems", "utf-8")
    told = handlers.call(client, "refresh", None, None)
    path.unlink()
    assert "suites.toml is not TOML" in told
    assert SECRET in told
    assert "faster-whisper base" in handlers.call(client, "refresh", None, None)


@pytest.mark.slow
def test_a_server_ends_with_its_evaluation(tmp_path: Path) -> None:
    """Within ten seconds, although the engine is deaf; no process is left, and no failure was written down."""
    dataset(tmp_path / "data" / "lab" / "datasets" / "talks")
    mine = {"STT_LAB_ADMIN_KEY": KEY, "PYTHONPATH": PATHS}
    with serving(tmp_path, **mine) as server:
        handlers = Handlers(server.client)
        data = ["talks", [], ["deaf"], "auto", False, 0, "basic", "one"]
        body = {"data": data, "fn_index": handlers.index["run"], "session_hash": "s"}
        assert server.client.post(f"{API}/queue/join", json=body, headers=ADMIN).status_code == 200
        until(lambda: any("stt_lab.engines.hosts.worker" in child.cmdline() for child in server.children()), 60)
        children = server.children()
        assert server.end() < 10
        assert gone(children)
        assert not [line for line in server.errors if "Traceback" in line]
    with serving(tmp_path, **mine) as server:
        told = Handlers(server.client).call(server.client, "show", "one")
        assert "has no predictions yet. Press Resume" in told


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("run", [SECRET, [], [], "auto", False, 0, "none", "x"], "No system is selected"),
        ("run", [SECRET, ["nope"], [], "auto", False, 0, "none", "x"], "Unknown system"),
        ("run", [SECRET, [], ["nope"], "auto", False, 0, "none", "x"], "nope"),
        ("run", [SECRET, [], ["base"], "klingon", False, 0, "none", "x"], "klingon"),
        ("run", [SECRET, [], ["base"], "auto", False, "many", "none", "x"], "whole number"),
        ("run", [SECRET, [], ["base"], "auto", False, -1, "none", "x"], "cannot be -1"),
        ("run", [SECRET, [], ["base"], "auto", False, 0, "nope", "x"], "nope"),
        ("run", [SECRET, [], ["base"], "auto", False, 0, "none", "../x"], "is not a valid name for the run"),
        ("run", ["../datasets", [], ["base"], "auto", False, 0, "none", "x"], "was not found"),
        ("run", [{"a": 1}, 7, 7, None, None, None, None, None], "No system is selected"),
        ("go_on", ["../datasets"], "was not found"),
        ("show", ["../datasets"], "was not found"),
        ("look", ["..", "base", 1], "was not found"),
        ("make_report", ["/etc"], "was not found"),
        ("describe", ["../runs"], "was not found"),
        ("take", [None, "x", ""], "No recording was sent"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    served: Served, client: httpx.Client, handlers: Handlers, name: str, values: list[Any], said: str
) -> None:
    told = handlers.call(client, name, *values)
    assert said in told
    assert "stt-notice error" in told
    assert "Traceback" not in told
    assert str(served.settings.data_dir) not in told


def test_an_upload_becomes_a_dataset(served: Served, client: httpx.Client, handlers: Handlers, tmp_path: Path) -> None:
    path = tmp_path / "talks.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(wav(tmp_path / "a.wav"), "a.wav")
        archive.writestr("a.txt", "Good morning.")
    given = file_data(upload(client, path.read_bytes(), "talks.zip")) | {"orig_name": "talks.zip"}
    told = handlers.call(client, "take", [given], "From a <b>", "")
    assert "is not a valid name for the dataset" in told
    told = handlers.call(client, "take", [given], "Talks", "en")
    assert "Added Talks with 1 recording" in told
    assert "English" in told
    assert not Path(given["path"]).exists()
    again = file_data(upload(client, path.read_bytes(), "talks.zip")) | {"orig_name": "talks.zip"}
    assert "already" in handlers.call(client, "take", [again], "Talks", "en")
    assert {path.name for path in (served.settings.data_dir / "lab" / "datasets").iterdir()} == {SECRET, "Talks"}


def test_many_files_are_the_administrators(served: Served, client: httpx.Client) -> None:
    many = [("files", (f"{number}.txt", b"x")) for number in range(30)]
    before = served.uploads
    for headers in ({}, {"authorization": "Bearer wrong"}):
        assert client.post(f"{API}/upload", files=many, headers=headers).status_code in (400, 401)
    assert served.uploads == before
    mine = client.post(f"{API}/upload", files=many, headers=ADMIN)
    assert len(set(mine.json())) == 30
    assert client.post(f"{API}/upload", files=many).status_code == 400  # the one before changed nothing
    for path in mine.json():
        served.app.state.installation.runtime.shared_files.discard(path)


# HTML


BOARD = leaderboard.Board("a" * 64, "wer", NASTY, None, NASTY, 3)
ROW = leaderboard.LeaderboardRow(
    BOARD, NASTY, 0.1, None, None, 3, 3, 0, None, None, 0, NASTY, "2026-11-24", {"processor": NASTY}, "x"
)
STATUS = EvaluationStatus(NASTY, "running", RunProgress(1, 4, 1, NASTY, NASTY), left_s=61.0)
ITEM = Item(NASTY, Path("a.wav"), text="x")
LAB_TAGS = TAGS | {"caption", "figure", "a", "ol", "del", "ins"}


@pytest.mark.parametrize(
    "made",
    [
        html.GATE,
        html.facts(DatasetFacts(3, 61.0, {NASTY: 2, "": 1}, 1, 1, 1)),
        html.lacking([SystemChoice(read_system(NASTY, {"engine": "stt_lab", "model": "base"}), NASTY)]),
        html.progress(STATUS),
        html.ended(EvaluationStatus(NASTY, "done", STATUS.progress)),
        html.ended(EvaluationStatus(NASTY, "cancelled", STATUS.progress)),
        html.ended(EvaluationStatus(NASTY, "failed", STATUS.progress, problem=NASTY)),
        html.table(NASTY, (NASTY, NASTY), [(NASTY, NASTY)]),
        html.failures([(NASTY, NASTY, NASTY)]),
        html.figures([Picture(b"png", NASTY, 900)]),
        html.links([(NASTY, NASTY, NASTY)]),
        html.mistakes([(Mistakes(ITEM, 1, 50.0, 1.0, "<del>x</del>"), NASTY)], LEGEND),
        html.board(BOARD, (ROW,)),
    ],
)
def test_nothing_hostile_becomes_markup(made: str) -> None:
    outline = Outline(made.replace("<img", "<br"))  # neither has an end
    assert set(outline.tags) <= LAB_TAGS
    assert outline.open == []
    assert not any(name.startswith("on") for name in outline.attributes)


def test_progress_says_what_and_how_long() -> None:
    shown = " ".join(
        Outline(
            html.progress(EvaluationStatus("r", "running", RunProgress(12, 75, 2, "base", "a/1"), left_s=200))
        ).texts
    )
    for wanted in ("12 of 75", "2 failed", "base: a/1", "about 3:20 left"):
        assert wanted in shown
    waiting = EvaluationStatus("r", "running", RunProgress(0, 2, 0, "base", "a"), waiting=True)
    assert "Waiting for the device" in html.progress(waiting)
    assert "Cancelling" in html.progress(
        EvaluationStatus("r", "stopping", RunProgress(0, 2, 0, "base", "a"), waiting=True)
    )


def test_one_is_not_many() -> None:
    assert "1 recording<" in html.facts(DatasetFacts(1, None, {"en": 1}, 1, 0, 0))
    assert "only speed can be measured" in html.facts(DatasetFacts(1, None, {"en": 1}, 0, 0, 0))
