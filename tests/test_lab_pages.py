"""Notebooks, own recordings, the leaderboard, choices of the page and evaluations, without engines."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from fakes import until
from lab_toys import made_run, manifest, said

from stt_lab.errors import BadInput, Cancelled, Conflict, MissingFile, NotFound, Unavailable
from stt_lab.lab.data.dataset import read_manifest
from stt_lab.lab.report import notebooks, own_recordings, report_process
from stt_lab.lab.runs import choices, evaluations, runner
from stt_lab.lab.runs.evaluations import Evaluation, Evaluations
from stt_lab.lab.runs.runner import RunProgress
from stt_lab.lab.runs.suite import read_system
from stt_lab.lab.scoring import leaderboard, scores
from stt_lab.lab.scoring.leaderboard import Board, LeaderboardRow, boards, cells, table, value
from stt_lab.settings import get_settings
from stt_lab.types import Event

WER = Board("d" * 64, "wer", "by language", None, "set", 10)


# Parameters of notebooks


def notebook(tmp_path: Path, source: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell("other = 1"), nbformat.v4.new_code_cell(source)]
    made.cells[1].metadata["tags"] = list(tags)
    path = tmp_path / "09-toy.ipynb"
    nbformat.write(made, path)
    return path


PARAMETERS = 'run = ""  # a folder\nmost = 5\nshare = 0.5\nlist_ = [1, 2]\ndeep = True\nprint("no parameter")'


def test_parameters_are_the_assignments_of_their_cell(tmp_path: Path) -> None:
    found = notebooks.parameters_of(notebook(tmp_path, PARAMETERS))
    assert found == {"run": "", "most": 5, "share": 0.5, "list_": [1, 2], "deep": True}
    assert notebooks.parameters_of(notebook(tmp_path, PARAMETERS, tags=())) == {}


def test_parameters_keep_the_type_of_their_default(tmp_path: Path) -> None:
    path = notebook(tmp_path, PARAMETERS)
    good = {"most": 3, "share": 1, "deep": False, "run": "x"}  # a whole number is a share too
    assert notebooks.checked(path, good) == good
    for wrong in ({"most": 3.0}, {"most": True}, {"run": 1}, {"share": "a"}, {"deep": 1}):
        with pytest.raises(BadInput, match=r"of 09-toy cannot be .*\. Use type (int|str|float|bool), such as "):
            notebooks.checked(path, wrong)
    with pytest.raises(BadInput, match=r"09-toy has no parameter 'mots'\. Did you mean 'most'\? Choose from run, most"):
        notebooks.checked(path, {"mots": 1})
    with pytest.raises(BadInput, match=r"09-toy has no parameter 'xyz'\. Choose from run"):
        notebooks.checked(path, {"xyz": 1})


def test_parameters_are_typed_as_text(tmp_path: Path) -> None:
    typed = {"run": "12", "most": "3", "share": "0.25", "list_": "[3]", "deep": "False"}
    assert notebooks.from_text(notebook(tmp_path, PARAMETERS), typed) == {
        "run": "12", "most": 3, "share": 0.25, "list_": [3], "deep": False,
    }  # fmt: skip
    with pytest.raises(BadInput, match="most of 09-toy cannot be 'many'"):
        notebooks.from_text(notebook(tmp_path, PARAMETERS), {"most": "many"})


def test_notebooks_are_found_by_a_prefix() -> None:
    assert notebooks.find("07").stem == notebooks.find("07-error-analysis").stem == "07-error-analysis"
    for name in ("", "0", "99", "error"):
        with pytest.raises(BadInput, match=rf"Unknown notebook '{name}'\. Choose from 00-report, "):
            notebooks.find(name)


def test_notebooks_that_are_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(notebooks, "PLACES", (tmp_path / "none",))
    with pytest.raises(MissingFile, match="Run this in a checkout"):
        notebooks.notebooks()


class Images(HTMLParser):
    """Attributes of the images of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))


def test_a_page_has_no_code_no_script_and_no_path(tmp_path: Path) -> None:
    path = notebook(tmp_path, "secret_code = 1")
    made = nbformat.read(path, as_version=4)
    made.metadata["papermill"] = {"input_path": "/nowhere/x.ipynb"}
    html = nbformat.v4.new_output("display_data", {"text/html": "<p>shown</p><script>alert(1)</script>"})
    picture = nbformat.v4.new_output("display_data", {"image/png": "AAAA\n"})
    picture.metadata = {"image/png": {"alt": 'a "b" <c>', "width": 90}}
    log = nbformat.v4.new_output("stream", name="stderr", text="a library said this")
    made.cells[1].outputs = [html, picture, log]
    nbformat.write(made, path)
    notebooks._drop_paths(path)
    assert "somebody" not in path.read_text("utf-8")
    page = notebooks.to_html(path).read_text("utf-8")
    assert "<p>shown</p>" in page
    found = Images()
    found.feed(page)
    assert found.images == [{"alt": 'a "b" <c>', "width": "90", "src": "data:image/png;base64,AAAA"}]
    for absent in ("secret_code", "<script", "a library said this"):
        assert absent not in page


def test_a_report_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"No run was found at .*\. Pass a folder that `stt-lab eval` made"):
        notebooks.report(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BadInput", "It is wrong. Do this.\nmore", "It is wrong. Do this."),
        ("KeyError", "'x'", "KeyError: 'x'."),
        ("ValueError", "", "ValueError: ."),
    ],
)
def test_errors_of_a_notebook(name: str, value: str, sentence: str) -> None:
    assert notebooks._sentence(SimpleNamespace(ename=name, evalue=value)) == sentence


# The process of a report


def test_an_environment_without_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STT_LAB_ADMIN_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET", "secret")
    monkeypatch.setenv("PATH", "/bin")
    made = report_process._environ(get_settings(), str(tmp_path))
    assert "secret" not in made.values()
    assert made["PATH"] == "/bin"
    assert {made[name] for name in report_process.PLACES} == {str(tmp_path)}
    assert Path(made["STT_LAB_SPEECH_DIR"]).is_absolute()


def test_why_a_report_failed() -> None:
    said_ = "warning: x\nstt-lab: First.\nTraceback\nstt-lab: It is wrong. Do this.\n"
    assert str(report_process._failed(said_)) == "It is wrong. Do this."
    assert "Run `stt-lab eval --report`" in str(report_process._failed("Traceback"))


def test_sockets_of_a_kernel_are_removed(tmp_path: Path) -> None:
    for name in ("kernel-ipc-1", "kernel-ipc-2", "report.ipynb"):
        (tmp_path / name).touch()
    report_process._sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.ipynb"]


# Own recordings


def test_own_recordings_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Set `recordings` to the folder"):
        own_recordings.load("", str(tmp_path))
    with pytest.raises(MissingFile, match=r"The folder none does not exist\. Set `recordings`"):
        own_recordings.load("none", str(tmp_path))


def test_a_manifest_of_own_recordings_is_taken(tmp_path: Path) -> None:
    folder = manifest(tmp_path / "mine", [{"id": "a", "language": "en", "text": "x"}, {"id": "b", "text": ""}])
    made = own_recordings.load(str(folder), str(tmp_path / "out"))
    assert made == read_manifest(folder)
    assert not (tmp_path / "out").exists()
    rows = own_recordings.overview(made).to_numpy().tolist()
    assert rows == [["en", "speech", 1, 0, 1], ["unknown", "speech", 0, 0, 1]]


def test_problems_of_own_recordings_are_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = manifest(tmp_path, [{"id": "a", "text": None}])
    rows = own_recordings.problems(read_manifest(folder))
    assert list(rows.columns) == ["recording", "problem", "how to fix it"]
    assert rows["problem"].to_list() == ["the audio file does not exist", "text is null"]
    monkeypatch.setattr(own_recordings, "check", lambda folder, decode: ())
    assert own_recordings.problems(read_manifest(folder)).to_numpy().tolist() == [["all", "no problems", ""]]


def test_own_recordings_need_a_model(tmp_path: Path) -> None:
    dataset = read_manifest(manifest(tmp_path, [{"id": "a", "text": "x"}]))
    with pytest.raises(BadInput, match="No model is set"):
        own_recordings.evaluate(dataset, " , ", str(tmp_path / "out"))


# The leaderboard


def row(system: str, number: float, made: str = "2026-11-01", board: Board = WER, **more: Any) -> LeaderboardRow:
    known = {"low": None, "high": None, "recordings": 10, "attempted": 10, "failures": 0, "rtfx": None}
    known |= {"memory_mb": None, "busy": 0, "run": f"run-{made}", "provenance": {}, "identity": system}
    return LeaderboardRow(board=board, system=system, value=number, made=made, **{**known, **more})


def ranks(*rows: LeaderboardRow) -> list[tuple[str, int | None]]:
    ((_, found),) = boards(rows).items()
    return [(one.system, one.rank) for one in found]


def test_equal_values_share_a_rank_and_the_next_is_skipped() -> None:
    assert ranks(row("c", 0.2), row("b", 0.1), row("a", 0.2), row("d", 0.3)) == [
        ("b", 1), ("a", 2), ("c", 2), ("d", 4),
    ]  # fmt: skip


def test_of_speaker_counts_the_highest_is_best() -> None:
    board = Board("d" * 64, "speakers", None, None)
    assert ranks(row("low", 0.5, board=board), row("high", 0.9, board=board)) == [("high", 1), ("low", 2)]


def test_fewer_recordings_come_last_whatever_their_value() -> None:
    assert ranks(row("best", 0.0, recordings=9), row("a", 0.5), row("worse", 0.9, recordings=9)) == [
        ("a", 1), ("best", None), ("worse", None),
    ]  # fmt: skip


def test_the_newest_of_the_most_complete_runs_stands() -> None:
    broken_off = row("a", 0.0, "2026-11-03", attempted=4, recordings=4)
    runs = [row("a", 0.3, "2026-11-01"), row("a", 0.2, "2026-11-02"), broken_off]
    ((found,),) = boards(runs).values()
    assert (found.value, found.runs, found.run) == (0.2, 3, "run-2026-11-02")


def test_boards_differ_by_what_must_be_equal() -> None:
    same = Board("d" * 64, "wer", "by language", None, "another name", 3)
    assert same == WER
    others = [Board("e" * 64, "wer", "by language", None), Board("d" * 64, "cer", "by language", None)]
    others += [
        Board("d" * 64, "wer", "none", None),
        Board("d" * 64, "der", None, 0.0),
        Board("d" * 64, "der", None, 0.25),
    ]
    assert len({WER, *others}) == 6
    assert [board.rule for board in (WER, others[3], others[4], Board("d", "speakers", None, None))] == [
        "normaliser by language", "collar 0 s", "collar 0.25 s", "",
    ]  # fmt: skip
    newest = boards([row("a", 0.1, "2026-11-01", WER), row("b", 0.1, "2026-11-02", same)])
    assert [board.dataset for board in newest] == ["another name"]


def test_values_have_their_unit_and_interval() -> None:
    assert value(row("a", 0.1234)) == "12.3"
    assert value(row("a", 0.1234, low=0.1, high=0.15)) == "12.3 (10.0–15.0)"
    assert value(row("a", 0.5, low=0.1, high=None)) == "50.0"
    noise = Board("d" * 64, "non_speech", "none", None)
    assert value(row("a", 1.25, board=noise)) == "1.2"  # words per minute are no share
    full = row("a", 0.1, rtfx=12.34, memory_mb=512.6, failures=2, busy=3)
    assert cells(full) == ("-", "a", "10.0", "10", "2", "12.3", "513", "3", "1", "run-2026-11-01", "2026-11-01")


def test_the_printed_boards() -> None:
    rare = Board("d" * 64, "word_ends", "none", None, "set", 10)
    text = table(boards([row("a", 0.1), row("b", 0.2, recordings=9), row("a", 0.1, board=rare)]))
    title, head, first, second, note = text.splitlines()
    assert title == f"set (10 recordings, {'d' * 12}): WER (%), normaliser by language"
    assert head.split()[:2] == ["#", "system"]
    assert (first.split()[:3], second.split()[:3]) == (["1", "a", "10.0"], ["-", "b", "20.0"])
    assert note == "- : not ranked, scored over fewer recordings"
    assert table({}) == ""


def test_runs_that_cannot_be_read_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"id": "a", "language": "en", "text": "red"}]
    run = made_run(tmp_path, rows, [said("s", "a", "red")])
    scores.score(run)
    for name, text in (("bad", "{"), ("old", '{"systems": {}}'), ("list", "[]")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "scores.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        found = leaderboard.read(tmp_path / "runs")
    assert {one.run for one in found} == {"toy"}
    assert len(caplog.records) == 3
    assert {one.board.measure for one in found} == {"wer", "cer"}
    assert leaderboard.read(tmp_path / "none") == ()


# Choices of the page


@pytest.fixture
def lab(tmp_path: Path) -> Evaluations:
    more = {"data_dir": tmp_path, "speech_dir": tmp_path / "speech", "models_dir": tmp_path / "models"}
    pool: Any = SimpleNamespace(slot=lambda report, **more: nullcontext())
    return Evaluations(get_settings().model_copy(update=more), pool)


@pytest.mark.parametrize(("name", "kept"), [("a", "a"), (" ü-1_2.b. ", "ü-1_2.b"), ("7" * 60, "7" * 60)])
def test_names_that_may_be_folders(name: str, kept: str) -> None:
    assert choices.checked_name(name, "the run") == kept


@pytest.mark.parametrize("name", ["", ".", "-a", "a/b", "a" * 61, "a\tb", "speech_dir", "a:b"])
def test_names_that_may_not(name: str) -> None:
    with pytest.raises(BadInput, match=r"is not a valid name for the run\. Use a letter or digit, then letters"):
        choices.checked_name(name, "the run")


def test_facts_of_a_dataset(tmp_path: Path) -> None:
    turns = [{"start": 0, "end": 1, "speaker": "A"}, {"start": 1, "end": 2, "speaker": "B"}]
    rows = [
        {"id": "a", "language": "en", "text": "x", "duration": 1.5},
        {"id": "b", "language": "de", "text": "x y", "duration": 2.0, "turns": turns},
        {"id": "c", "language": "en", "text": "", "duration": 3.0},
        {"id": "d", "duration": 4.0},
    ]
    found = choices.facts(read_manifest(manifest(tmp_path / "1", rows)))
    assert (found.recordings, found.seconds, found.words, found.speakers, found.silent) == (4, 10.5, 1, 1, 1)
    assert list(found.languages.items()) == [("en", 2), ("de", 1), ("", 1)]
    assert choices.facts(read_manifest(manifest(tmp_path / "2", [*rows, {"id": "e"}]))).seconds is None


def test_datasets_of_a_server(lab: Evaluations) -> None:
    assert choices.datasets(lab) == {}
    for name in ("b", "a", ".new-x"):
        manifest(lab.datasets / name, [{"id": name}])
    (lab.datasets / "empty").mkdir()
    assert choices.datasets(lab) == {"a": "a", "b": "b"}
    assert choices.dataset_of(lab, "a").items[0].id == "a"
    for name in ("speech_dir", "../a", ".new-x", "empty"):
        with pytest.raises(NotFound, match=r"was not found\. Choose one from the list"):
            choices.dataset_of(lab, name)
    manifest(lab.settings.speech_dir, [{"id": "mine"}])
    assert list(choices.datasets(lab)) == ["speech_dir", "a", "b"]


def test_our_engine_is_named_by_what_it_does() -> None:
    asked = (("auto", False), ("known", False), ("German", True))
    names = [choices.our_system("base", language, diarize).name for language, diarize in asked]
    assert names == ["base, auto", "base, known", "base, de, speakers"]
    assert choices.our_system("tiny.en", "known", False).languages == ("en",)
    assert choices.our_system("base", "known", False).languages == ()
    with pytest.raises(BadInput, match="klingon"):
        choices.our_system("base", "klingon", False)


def test_what_is_begun_is_checked(lab: Evaluations) -> None:
    manifest(lab.datasets / "set", [{"id": "a", "text": "x"}])
    systems = (read_system("one", {"engine": "stt_lab", "model": "base"}),)
    run = choices.begin(lab, choices.RunRequest("set", systems, "first", limit=1, normaliser="basic"))
    assert (run.folder, run.suite.limit, run.suite.normaliser) == (lab.runs / "first", 1, "basic")
    assert runner.missing(run) == 1
    with pytest.raises(BadInput, match=r"A run called 'first' already exists\. Choose another name, or resume it"):
        choices.begin(lab, choices.RunRequest("set", systems, "first "))
    with pytest.raises(BadInput, match=r"The number of recordings cannot be -1\. Use 0 for all"):
        choices.begin(lab, choices.RunRequest("set", systems, "next", limit=-1))
    with pytest.raises(NotFound):
        choices.begin(lab, choices.RunRequest("none", systems, "next"))
    assert lab.names() == ("first",)


# Evaluations


@pytest.fixture
def run(lab: Evaluations) -> runner.Run:
    return made_run(lab.folder, [{"id": "a", "text": "x"}], [], names=["one"])


def evaluation(lab: Evaluations, run: runner.Run, predict: Any, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    monkeypatch.setattr(evaluations.runner, "predict", predict)
    return lab.start(lambda: run)


def test_phases_of_an_evaluation(lab: Evaluations, run: runner.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    go, seen = threading.Event(), threading.Event()

    def predict(run: Any, settings: Any, see: Any, turn: Any) -> None:
        see(RunProgress(0, 1, 0, "one", "a"))
        seen.set()
        assert go.wait(20)

    made = evaluation(lab, run, predict, monkeypatch)
    assert seen.wait(20)
    assert (lab.busy, lab.last, made.status.phase, made.status.progress.item) == (True, made, "running", "a")
    with pytest.raises(Conflict, match="Another evaluation is running"):
        lab.start(lambda: run)
    made.cancel()
    assert made.status.phase == "stopping"
    go.set()
    until(lambda: not lab.busy)
    assert made.status.phase == "done"  # it was through when it was cancelled


def test_an_error_of_ours_is_shown_without_paths(
    lab: Evaluations, run: runner.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(*arguments: Any) -> None:
        raise BadInput(f"The run at {run.folder} is wrong.")

    made = evaluation(lab, run, predict, monkeypatch)
    until(made.ended.is_set)
    assert (made.status.phase, made.status.problem) == ("failed", "The run at toy is wrong.")


def test_an_error_that_nobody_foresaw_is_logged(
    lab: Evaluations, run: runner.Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def predict(*arguments: Any) -> None:
        raise KeyError("secret detail")

    made = evaluation(lab, run, predict, monkeypatch)
    until(made.ended.is_set)
    assert (made.status.phase, made.status.problem) == ("failed", evaluations.CRASHED)
    assert "secret detail" in caplog.text


def test_a_system_behind_a_url_takes_no_device(lab: Evaluations, run: runner.Run) -> None:
    taken: list[str] = []
    pool: Any = SimpleNamespace(slot=lambda report, **more: taken.append("slot") or nullcontext())
    made = Evaluation(run, lab.settings, pool)
    remote: Any = SimpleNamespace(remote=True)
    with made._turn(remote):
        assert not taken
    local: Any = SimpleNamespace(remote=False)
    with made._turn(local) as report:
        assert taken == ["slot"]
        made.cancel()
        with pytest.raises(Cancelled):
            report(Event("transcribing"))


def test_what_is_closed_begins_nothing(lab: Evaluations, run: runner.Run) -> None:
    lab.close()
    lab.close()
    with pytest.raises(Unavailable, match="The server is shutting down"):
        lab.start(lambda: run)


def test_stored_runs_by_name(lab: Evaluations, run: runner.Run) -> None:
    assert lab.names() == ("toy",)
    assert lab.stored("toy") == run.folder
    assert lab.resume("toy").digest == run.digest
    for name in ("", "..", "none", "../datasets"):
        with pytest.raises(NotFound, match=r"was not found\. Choose one from the list"):
            lab.stored(name)


def test_a_run_whose_recordings_changed_is_refused(lab: Evaluations, run: runner.Run) -> None:
    assert runner.missing(run) == 1
    path = lab.folder / "speech/manifest.jsonl"
    path.write_text(json.dumps({"id": "a", "audio": "a.wav", "text": "another"}) + "\n", "utf-8")
    with pytest.raises(BadInput, match=r"The recordings of speech have changed since .*\. Start a new run"):
        lab.resume("toy")
    (run.folder / "suite.json").write_text("{}", "utf-8")
    with pytest.raises(BadInput, match=r"No run was found at .*\. Pass a folder with the suite.json"):
        lab.resume("toy")
