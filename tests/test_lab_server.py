"""The laboratory of a server: uploads become datasets, systems are offered, runs share the device and end on demand."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_engines import Endless, Gated
from fakes import fakes_fixture, started, tone, until
from hypothesis import given
from hypothesis import strategies as st

from stt_lab.engines.pool import Pool
from stt_lab.errors import BadInput, Conflict, NotFound, SttError, TooLarge, Unavailable
from stt_lab.lab.data import uploaded
from stt_lab.lab.data.importers import ImportOptions
from stt_lab.lab.data.uploaded import UploadLimits, add_dataset
from stt_lab.lab.runs import choices, predictions
from stt_lab.lab.runs.choices import RunRequest
from stt_lab.lab.runs.evaluations import Evaluation, Evaluations, EvaluationStatus
from stt_lab.lab.runs.runner import RunProgress
from stt_lab.settings import Settings
from stt_lab.types import silent

assert fakes_fixture
LIMITS = UploadLimits(bytes=1_000_000, files=20)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tone(tmp_path_factory.mktemp("sound") / "a.wav", 1.0).read_bytes()


# Uploads


def packed(path: Path, members: dict[str, bytes | zipfile.ZipInfo], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **({"compression": zipfile.ZIP_DEFLATED} | options)) as archive:
        for name, content in members.items():
            if isinstance(content, zipfile.ZipInfo):
                archive.writestr(content, b"/etc/passwd")
            else:
                archive.writestr(name, content)
    return path


def add(folder: Path, *paths: Path, limits: UploadLimits = LIMITS, name: str = "mine", **options: Any) -> Any:
    return add_dataset(folder, name, [(path.name, path) for path in paths], ImportOptions(**options), limits)


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.exists() else []


def test_an_archive_becomes_a_dataset(tmp_path: Path, sound: bytes) -> None:
    members = {
        "talks/a.wav": sound, "talks/a.txt": b"Good morning.", "talks/b/c.WAV": sound, "talks/b/c.txt": b"",
        "talks/._a.wav": b"of a Mac", "__MACOSX/x.wav": b"", "talks/read me.pdf": b"%PDF", "talks/b/": b"",
    }  # fmt: skip
    made = add(tmp_path / "sets", packed(tmp_path / "x.zip", members), language="en")
    assert made.name == "mine"
    assert [(item.id, item.text, item.language, item.kind) for item in made.items] == [
        ("a", "Good morning.", "en", "speech"),
        ("b/c", "", "en", "non-speech"),
    ]
    assert all(item.audio.read_bytes() == sound for item in made.items)
    assert everything(tmp_path / "sets") == [
        "mine", "mine/a.txt", "mine/a.wav", "mine/b", "mine/b/c.WAV", "mine/b/c.txt", "mine/manifest.jsonl",
    ]  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "sets" / "mine" / "manifest.jsonl").read_text("utf-8")


def test_files_of_one_name_become_a_recording(tmp_path: Path, sound: bytes) -> None:
    (tmp_path / "talk.wav").write_bytes(sound)
    (tmp_path / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello.\n", "utf-8")
    (tmp_path / "talk.rttm").write_text("SPEAKER talk 1 0.0 1.0 <NA> <NA> Ada <NA> <NA>\n", "utf-8")
    (item,) = add(tmp_path / "sets", *(tmp_path / f"talk.{kind}" for kind in ("wav", "srt", "rttm"))).items
    assert (item.text, [turn.speaker for turn in item.turns or ()]) == ("Hello.", ["Ada"])


def test_a_manifest_that_comes_along_is_taken(tmp_path: Path, sound: bytes) -> None:
    def archive(audio: str) -> Path:
        row = {"id": "one", "audio": audio, "text": "hi", "kind": "odd", "language": "de"}
        members = {"set/manifest.jsonl": json.dumps(row).encode(), "set/x/a.wav": sound}
        return packed(tmp_path / "x.zip", members)  # type: ignore[arg-type]

    (item,) = add(tmp_path / "sets", archive("x/a.wav")).items
    assert (item.id, item.kind, item.language) == ("one", "odd", "de")
    for audio, said in (
        ("../../mine/x/a.wav", "outside the dataset"),
        ("/etc/passwd", "outside"),
        ("b.wav", "was not uploaded"),
    ):
        with pytest.raises(BadInput, match=said):
            add(tmp_path / "sets", archive(audio), name="other")
    assert everything(tmp_path / "sets") == ["mine", "mine/manifest.jsonl", "mine/x", "mine/x/a.wav"]


def link(kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link.wav")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


def lying(path: Path, content: bytes) -> Path:
    """An archive whose directory says that a member is small."""
    packed(path, {"a.wav": bytes(5_000_000)})
    raw = bytearray(path.read_bytes())
    place = raw.rindex(b"PK\x01\x02")
    raw[place + 24 : place + 28] = (10).to_bytes(4, "little")
    path.write_bytes(raw)
    return path


BAD_NAMES = ["../a.wav", "x/../../a.wav", "/etc/a.wav", "..\\a.wav", "\\a.wav", "C:\\a.wav", "a\nb.wav", "x/..", ".."]


@pytest.mark.parametrize(
    "members",
    [
        *({name: b"x"} for name in BAD_NAMES),
        {"link.wav": link(stat.S_IFLNK)},
        {"link.wav": link(stat.S_IFIFO)},
        {"a.txt": b"text without a recording"},
        {"a.wav": b"x", "a.txt": b"\xff not UTF-8"},
        {"a.wav": b"x", "a.rttm": b"SPEAKER a 1 zero"},
        {"a.wav": b"x", "a.wav/b.wav": b"y"},
        {"a.wav": b"x", "x" * 300 + ".wav": b"y"},
        {},
    ],
)
def test_what_is_wrong_with_an_archive_leaves_nothing(tmp_path: Path, sound: bytes, members: dict[str, Any]) -> None:
    outside = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    path = packed(tmp_path / "x.zip", {"good.wav": sound, **members} if members and "a.txt" not in members else members)
    with pytest.raises(BadInput) as problem:
        add(tmp_path / "sets", path)
    assert str(tmp_path) not in str(problem.value)
    assert everything(tmp_path / "sets") == []
    assert set(tmp_path.iterdir()) == {*outside, path, tmp_path / "sets"}


def test_archives_are_limited(tmp_path: Path, sound: bytes) -> None:
    bomb = packed(tmp_path / "bomb.zip", {"a.wav": bytes(2_000_000)})
    assert bomb.stat().st_size < 10_000
    many = packed(tmp_path / "many.zip", {f"{n}.wav": b"x" for n in range(21)})
    skipped = packed(tmp_path / "skipped.zip", {f"{n}.pdf": b"x" for n in range(21)})
    for path, said in ((bomb, "exceed 0 MB"), (many, "limit of 20 files"), (skipped, "limit of 20 files")):
        with pytest.raises(TooLarge, match=said):
            add(tmp_path / "sets", path)
    with pytest.raises(SttError):
        add(tmp_path / "sets", lying(tmp_path / "lying.zip", sound))
    assert everything(tmp_path / "sets") == []


@pytest.mark.parametrize("kind", ["torn", "text", "encrypted", "rare", "empty"])
def test_what_is_no_plain_archive(tmp_path: Path, sound: bytes, kind: str) -> None:
    path = packed(
        tmp_path / "x.zip", {"a.wav": sound}, compression=zipfile.ZIP_LZMA if kind == "rare" else zipfile.ZIP_STORED
    )
    raw = bytearray(path.read_bytes())
    if kind == "encrypted":
        raw[6] |= 1
        raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    contents = {"torn": bytes(raw[: len(raw) // 2]), "text": b"text", "empty": b""}
    path.write_bytes(contents.get(kind, bytes(raw)))
    with pytest.raises(BadInput):
        add(tmp_path / "sets", path)
    assert everything(tmp_path / "sets") == []


@given(st.text(max_size=40))
def test_no_name_leads_outside(name: str) -> None:
    root = Path("/x/y")
    try:
        place = uploaded.safe_path(name, name)
    except BadInput:
        return
    if place is not None:
        assert Path(os.path.normpath(root / place)).is_relative_to(root)
        assert Path(os.path.normpath(root / place)) != root


def test_names_of_datasets_are_theirs_alone(tmp_path: Path, sound: bytes) -> None:
    path = packed(tmp_path / "x.zip", {"a.wav": sound})
    add(tmp_path / "sets", path)
    with pytest.raises(Conflict, match="already"):
        add(tmp_path / "sets", path)
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    with pytest.raises(BadInput, match="Upload audio, or one of"):
        add(tmp_path / "sets", path, tmp_path / "notes.pdf", name="other")
    (tmp_path / "a.wav").write_bytes(sound)
    with pytest.raises(BadInput, match="uploaded twice"):
        add(tmp_path / "sets", path, tmp_path / "a.wav", name="other")
    left = tmp_path / "sets" / ".new-left"
    left.mkdir()
    os.utime(left, (0, 0))  # of a program that died
    add(tmp_path / "sets", path, name="third")
    assert {one.name for one in (tmp_path / "sets").iterdir()} == {"mine", "third"}


@pytest.mark.parametrize("name", ["", " ", "..", ".x", "a/b", "a\\b", "-x", "a" * 61, "a\0b", "a\nb", "<b>"])
def test_names_that_are_no_folders(name: str) -> None:
    with pytest.raises(BadInput, match="not a valid name for the run"):
        choices.checked_name(name, "the run")
    assert choices.checked_name(" Größe 2.1_x-y. ", "it") == "Größe 2.1_x-y"


# What is offered


@pytest.fixture
def lab(fakes: Callable[..., Settings], tmp_path: Path) -> Iterator[Evaluations]:
    settings = fakes(speech_dir=tmp_path / "speech")
    made = Evaluations(settings, Pool(settings))
    with closing(made):
        yield made


@pytest.fixture
def dataset(lab: Evaluations, tmp_path: Path) -> str:
    """Four recordings of a second with their words, one of which is Portuguese."""
    folder = lab.datasets / "talks"
    folder.mkdir(parents=True)
    rows = []
    for number, language in enumerate(("en", "en", "pt", "en")):
        tone(folder / f"{number}.wav", 1.0)
        rows.append({"id": f"r{number}", "audio": f"{number}.wav", "language": language, "text": "word", "duration": 1})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return "talks"


def test_datasets(lab: Evaluations, dataset: str, tmp_path: Path) -> None:
    (lab.datasets / ".new-x").mkdir()
    (lab.datasets / ".new-x" / "manifest.jsonl").touch()
    assert choices.datasets(lab) == {"talks": "talks"}
    found = choices.facts(choices.dataset_of(lab, "talks"))
    assert (found.recordings, found.seconds, found.languages, found.words) == (4, 4, {"en": 3, "pt": 1}, 4)
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "manifest.jsonl").write_text('{"audio": "a.wav", "text": ""}\n', "utf-8")
    assert list(choices.datasets(lab)) == ["speech_dir", "talks"]
    found = choices.facts(choices.dataset_of(lab, "speech_dir"))
    assert (found.recordings, found.seconds, found.silent, found.words) == (1, None, 1, 0)
    for name in ("..", "../datasets/talks", "", ".new-x", "nope"):
        with pytest.raises(NotFound):
            choices.dataset_of(lab, name)


def test_systems_say_what_they_lack(lab: Evaluations, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(choices.systems(lab)) >= 7  # of the suites that come along
    monkeypatch.setattr(choices, "SUITES", (tmp_path / "none.toml",))
    lab.folder.mkdir(parents=True)
    systems = {
        "here": 'engine = "stt_lab"\nmodel = "echo"\ndiarize = true',
        "away": 'engine = "stt_lab"\nmodel = "absent"',
        "no program": 'engine = "whisperx"\nmodel = "echo"',
        "no weights": 'engine = "whisper.cpp"\nmodel = "echo"',
        "nonsense": 'engine = "stt_lab"\nmodel = "nope"',
        "far": 'engine = "stt-api"\nmodel = "base"\nurl = "http://x"',
    }
    text = "".join(f'[systems."{name}"]\n{table}\n' for name, table in systems.items())
    (lab.folder / "suites.toml").write_text(text, "utf-8")
    monkeypatch.setattr("stt_lab.lab.runs.systems.ready.installed", lambda module: module != "whisperx")
    told = {choice.entry.name: choice.lacks for choice in choices.systems(lab)}
    assert (told["here"], told["far"]) == ("", "")
    assert "models pull absent" in told["away"]
    assert "not installed" in told["no program"]
    assert "pip install 'whisperx" in told["no program"]
    assert "convert_ggml.py echo" in told["no weights"]
    assert "Model 'nope'" in told["nonsense"]
    assert [entry.name for entry in choices.chosen(lab, ["here"], [choices.our_system("mute", "auto", False)])] == [
        "here",
        "mute, auto",
    ]
    for names, said in (
        (["away"], "away cannot run here"),
        ([], "No system is selected"),
        (["x"], "Unknown system 'x'"),
    ):
        with pytest.raises(BadInput, match=said):
            choices.chosen(lab, names, [])
    with pytest.raises(BadInput, match="absent, de, speakers cannot run"):
        choices.chosen(lab, [], [choices.our_system("absent", "de", True)])
    assert "echo" in {model.id for model in choices.models(lab.settings)}
    assert "absent" not in {model.id for model in choices.models(lab.settings)}


def test_an_english_model_is_not_asked_for_others(lab: Evaluations) -> None:
    assert choices.our_system("english", "known", False).languages == ("en",)
    assert choices.our_system("echo", "german", True).name == "echo, de, speakers"
    with pytest.raises(BadInput):
        choices.our_system("echo", "klingon", False)


# Runs


def request_for(dataset: str, *models: str, name: str = "run", **more: Any) -> RunRequest:
    return RunRequest(dataset, tuple(choices.our_system(model, "auto", False) for model in models), name, **more)


def run(lab: Evaluations, wanted: RunRequest) -> EvaluationStatus:
    evaluation = lab.start(lambda: choices.begin(lab, wanted))
    assert evaluation.ended.wait(60)
    return evaluation.status


def rows(lab: Evaluations, name: str = "run") -> list[tuple[str, str]]:
    return [(row.system, row.item) for row in predictions.read(lab.runs / name / "predictions.jsonl")]


def test_a_run_from_begin_to_end(lab: Evaluations, dataset: str) -> None:
    status = run(lab, request_for(dataset, "echo", "english"))
    assert (status.phase, status.run, status.problem) == ("done", "run", "")
    assert (status.progress.done, status.progress.total, status.progress.failed) == (7, 7, 0)
    assert len(rows(lab)) == 7  # the English model is not asked for Portuguese
    assert json.loads((lab.runs / "run" / "scores.json").read_text("utf-8"))["dataset"]["recordings"] == 4
    assert str(lab.folder) not in (lab.runs / "run" / "suite.json").read_text("utf-8")
    with pytest.raises(BadInput, match="A run called 'run' already exists"):
        run(lab, request_for(dataset, "echo"))
    assert run(lab, request_for(dataset, "echo", name="two", limit=2)).progress.total == 2
    assert lab.names() == ("two", "run")
    for name in ("nope", "..", "../datasets", ""):
        with pytest.raises(NotFound):
            lab.stored(name)


def test_cancel_and_go_on(lab: Evaluations, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Evaluation.update

    def cancelling(self: Evaluation, progress: RunProgress) -> None:
        if progress.done == 3:
            self.cancel()
        update(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "update", cancelling)
        status = run(lab, request_for(dataset, "echo", "mute"))
    assert (status.phase, status.progress.done, status.left_s) == ("cancelled", 3, None)
    kept = rows(lab)
    assert len(kept) == 3
    again = lab.start(lambda: lab.resume("run"))
    assert again.ended.wait(60)
    assert (again.status.phase, again.status.progress.done) == ("done", 8)
    assert rows(lab)[:3] == kept
    assert len(set(rows(lab))) == len(rows(lab)) == 8


def test_one_at_a_time_and_a_cancel_reaches_the_engine(lab: Evaluations, dataset: str) -> None:
    evaluation = lab.start(lambda: choices.begin(lab, request_for(dataset, "endless")))
    assert Endless.began.wait(10)
    with pytest.raises(Conflict, match="is running"):
        lab.start(lambda: choices.begin(lab, request_for(dataset, "echo", name="second")))
    assert lab.names() == ("run",)
    began = time.monotonic()
    evaluation.cancel()
    assert evaluation.ended.wait(5)
    assert time.monotonic() - began < 2
    assert Endless.ended.is_set()
    assert (evaluation.status.phase, rows(lab)) == ("cancelled", [])


def test_what_fails_is_told(lab: Evaluations, dataset: str) -> None:
    def gone() -> Any:
        made = choices.begin(lab, request_for(dataset, "echo"))
        (lab.settings.models_dir / "echo" / "weights").unlink()
        return made

    evaluation = lab.start(gone)
    assert evaluation.ended.wait(10)
    assert evaluation.status.phase == "failed"
    assert "models pull echo" in evaluation.status.problem


def test_the_device_has_one_user_at_a_time(lab: Evaluations, dataset: str) -> None:
    """A recording of a user waits for one of the evaluation, and the evaluation for those who came before it."""
    pool, order = lab.pool, []
    Gated.gate.clear()
    evaluation = lab.start(lambda: choices.begin(lab, request_for(dataset, "gated")))
    assert Gated.began.acquire(timeout=10)  # it warms up, and has the device
    held, leave = threading.Event(), threading.Event()

    def user() -> None:
        with pool.slot(silent):
            order.append(len(rows(lab)))
            held.set()
            leave.wait(10)

    with started(user):
        time.sleep(0.1)
        assert not held.is_set()
        Gated.gate.set()
        assert held.wait(5)  # before the evaluation has ended
        until(lambda: evaluation.status.waiting)
        assert Gated.now == 0
        time.sleep(0.1)
        assert len(rows(lab)) == order[0]
        leave.set()
    assert evaluation.ended.wait(10)
    assert (order, evaluation.status.phase, len(rows(lab))) == ([0], "done", 4)


def test_a_wait_for_the_device_can_be_cancelled_and_is_not_measured(lab: Evaluations, dataset: str) -> None:
    with lab.pool.slot(silent):
        evaluation = lab.start(lambda: choices.begin(lab, request_for(dataset, "echo")))
        until(lambda: evaluation.status.waiting)
        evaluation.cancel()
        assert evaluation.ended.wait(5)
    assert evaluation.status.phase == "cancelled"
    with lab.pool.slot(silent):
        again = lab.start(lambda: lab.resume("run"))
        until(lambda: again.status.waiting)
        time.sleep(1.0)
    assert again.ended.wait(10)
    longest = max(row.seconds or 0 for row in predictions.read(lab.runs / "run" / "predictions.jsonl"))
    assert longest < 0.9


def test_the_end_of_the_server_ends_a_run(lab: Evaluations, dataset: str) -> None:
    evaluation = lab.start(lambda: choices.begin(lab, request_for(dataset, "endless")))
    assert Endless.began.wait(10)
    lab.close()
    assert evaluation.ended.is_set()
    assert rows(lab) == []  # no failure was written down for what the end broke off
    with pytest.raises(Unavailable, match="shutting down"):
        lab.start(lambda: lab.resume("run"))
    lab.close()


def test_time_left(lab: Evaluations, dataset: str) -> None:
    evaluation = Evaluation(choices.begin(lab, request_for(dataset, "echo")), lab.settings, lab.pool)
    assert evaluation.status.left_s is None
    evaluation.update(RunProgress(2, 10, 0, "echo", ""))  # warms up
    assert evaluation.status.left_s is None
    evaluation.update(RunProgress(2, 10, 0, "echo", "r0"))
    time.sleep(0.2)
    evaluation.update(RunProgress(4, 10, 0, "echo", "r2"))
    left = evaluation.status.left_s
    assert left is not None
    assert 0.6 <= left < 5  # two of the eight took 0.2 s or a little more
