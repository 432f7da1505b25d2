"""stt_lab.lab: suites, systems, runs and their scores."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Choose
from fakes import TESTS, fakes_fixture, pcm, tone, until

from stt_lab.cli import lab as cli_lab
from stt_lab.cli import main
from stt_lab.errors import BadInput, Cancelled, Conflict, EngineCrashed, ModelMissing, SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs import meter, predictions, runner, suite
from stt_lab.lab.runs.predictions import Prediction
from stt_lab.lab.runs.suite import Suite, read_dict, read_suites
from stt_lab.lab.runs.systems import child
from stt_lab.lab.runs.systems.protocol import SystemContext
from stt_lab.lab.runs.systems.web import OpenAiService, SttService
from stt_lab.lab.scoring import scores
from stt_lab.settings import Settings
from stt_lab.types import Event, Segment, Turn, Word, silent

assert fakes_fixture
slow = pytest.mark.slow

SUITES = """
[suites.small]
dataset = "speech"
systems = ["one", "two"]

[systems.one]
engine = "stt_lab"
model = "echo"
diarize = true

[systems.two]
engine = "stt_lab"
model = "mute"
languages = ["en"]
"""
WORDS = [{"word": "word", "start": 0.1, "end": 1}]
SAID = [{"start": 0, "end": 1, "text": "word", "speaker": "A"}, {"start": 1, "end": 2, "text": "word", "speaker": "B"}]
ROWS: list[dict[str, Any]] = [
    {"id": "a", "audio": "a.wav", "language": "en", "text": "Word word.", "words": WORDS},
    {"id": "b", "audio": "b.wav", "language": "pt", "text": "word word word", "source": "there"},
    {"id": "broken", "audio": "broken.wav", "language": "en", "text": "never heard"},
    {"id": "nobody", "audio": "c.wav", "text": "", "kind": "non-speech"},
    {
        "id": "talk", "audio": "d.wav", "language": "en", "text": "word word", "kind": "conversation",
        "segments": SAID,
        "turns": [{"start": 0, "end": 1, "speaker": "A"}, {"start": 1, "end": 2, "speaker": "B"}],
    },
]  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with suites.toml and a dataset: two recordings, one that cannot be decoded, noise, and a talk."""
    speech = tmp_path / "lab" / "speech"
    speech.mkdir(parents=True)
    for name, seconds in (("a", 2.0), ("b", 3.0), ("c", 1.0), ("d", 2.0)):
        tone(speech / f"{name}.wav", seconds)
    (speech / "broken.wav").write_bytes(b"RIFF and no more")
    (speech / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    (speech.parent / "suites.toml").write_text(SUITES, "utf-8")
    return speech.parent


@pytest.fixture
def settings(fakes: Callable[..., Settings]) -> Settings:
    return fakes()


def small(lab: Path) -> Suite:
    return read_suites(lab / "suites.toml")["small"]


def begin(lab: Path, settings: Settings, name: str = "run") -> runner.Run:
    return runner.create(small(lab), lab / "runs", settings, lab, name)


def without_cost(found: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when, where and in how many parts a run was made."""
    systems = {name: {key: one[key] for key in one if key != "cost"} for name, one in found["systems"].items()}
    compared = [one for one in found["comparisons"] if one["measure"] not in ("speed", "cpu")]
    return found | {"systems": systems, "comparisons": compared}


# Suites


def read(lab: Path, old: str, new: str) -> dict[str, Suite]:
    path = lab / "suites.toml"
    path.write_text(SUITES.replace(old, new), "utf-8")
    return read_suites(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('dataset = "speech"', 'datset = "speech"', "suite 'small' has an unknown field 'datset'.*'dataset'"),
        ('model = "echo"', 'modl = "echo"', "system 'one' has an unknown field 'modl'. Did you mean 'model'"),
        (
            'engine = "stt_lab"',
            'engine = "stt-lab"',
            "system 'one' has an unknown engine.*Did you mean 'stt_lab'",
        ),
        ('model = "echo"', "", "system 'one' lacks the field 'model'"),
        ("diarize = true", 'diarize = "yes"', "system 'one' cannot have diarize = 'yes'"),
        ("diarize = true", "speakers = -1.5", "system 'one' cannot have speakers"),
        ('["one", "two"]', '["one", "too"]', "suite 'small' has an unknown system 'too'.*'two'"),
        ('["one", "two"]', "[]", "has no systems"),
        ('dataset = "speech"', 'dataset = "speech"\nlimit = -1', "negative limit"),
        ('languages = ["en"]', 'languages = "en"', "system 'two' has languages that are not a list"),
        ("[suites.small]", "[suits.small]", "has an unknown field 'suits'. Did you mean 'suites'"),
        ("[suites.small]", "[suites.small", "is not TOML"),
    ],
)
def test_a_wrong_suite_is_refused_with_its_place(lab: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read(lab, old, new)


def test_shipped_suites_are_read_and_written(lab: Path) -> None:
    shipped = read_suites(ROOT / "eval" / "suites.toml")
    assert {"quick", "dev", "compare"} <= set(shipped)
    engines = {entry.engine for entry in shipped["compare"].systems}
    assert engines == {"stt_lab", "faster-whisper", "openai-whisper", "whisper.cpp", "whisperx"}
    for one in (*shipped.values(), small(lab)):
        assert read_dict(json.loads(json.dumps(one.as_dict()))) == one


def test_which_recordings(lab: Path, settings: Settings) -> None:
    plan = small(lab)
    dataset = suite.open_dataset(plan, lab, settings)

    def ids(**changes: Any) -> list[str]:
        return [item.id for item in replace(plan, **changes).items(dataset)]

    assert ids() == ["a", "b", "broken", "nobody", "talk"]
    assert ids(kinds=("conversation", "non-speech")) == ["nobody", "talk"]
    assert ids(sources=("there",)) == ids(languages=("pt",)) == ids(ids=("b",)) == ["b"]
    drawn = [set(ids(limit=limit)) for limit in range(1, 6)]
    assert [len(one) for one in drawn] == [1, 2, 3, 4, 5]
    assert all(less < more for less, more in pairwise(drawn))  # a larger limit only adds some
    assert any(ids(limit=2, seed=seed) != ids(limit=2) for seed in range(1, 9))
    with pytest.raises(BadInput, match="exclude every recording"):
        ids(languages=("xx",))
    assert suite.own_dataset(replace(plan, kinds=("x",)), lab).kinds == ()


# Runs


def test_a_run(lab: Path, settings: Settings) -> None:
    run = begin(lab, settings)
    seen: list[runner.RunProgress] = []
    assert runner.predict(run, settings, seen.append) == 9  # "two" is not asked for Portuguese
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (9, 9, 2)
    rows = predictions.read(run.predictions)
    order = [(row.item, row.system) for row in rows]
    assert order[:3] == [("a", "one"), ("a", "two"), ("b", "one")]
    assert order[-4:] == [("nobody", "two"), ("nobody", "one"), ("talk", "one"), ("talk", "two")]  # they take turns
    first = rows[0]
    assert (first.text, first.language, first.duration) == ("word. word.", "en", 2.0)
    assert first.segments[0].words[0].text == " word."
    assert first.turns is not None
    assert rows[1].turns is None
    assert first.seconds is not None
    assert first.cpu is not None
    assert first.memory_mb is not None
    assert first.memory_mb > 20
    made = scores.score(run)
    assert json.loads((run.folder / "scores.json").read_text("utf-8")) == made
    one, two = made["systems"]["one"], made["systems"]["two"]
    assert (one["recordings"], one["failures"], list(one["failed"])) == (5, 1, ["broken"])
    assert one["quality"]["all"]["wer"] | {"wer": 0, "mer": 0, "wil": 0} == {
        "recordings": 2, "errors": 0, "total": 5, "unit": "points", "substitutions": 0, "deletions": 0, "insertions": 0,
        "words": 5, "wer": 0, "mer": 0, "wil": 0, "normaliser": "whisper, whisper_en",
    }  # fmt: skip
    assert one["quality"]["language"]["pt"]["wer"]["normaliser"] == "whisper"
    assert set(one["quality"]["kind"]) == {"speech", "non-speech", "conversation"}
    assert one["quality"]["source"]["there"]["wer"]["recordings"] == 1
    assert one["quality"]["all"]["non_speech"]["words_per_minute"]["value"] == 60
    assert one["quality"]["all"]["word_starts"]["recordings"] == 1
    assert {"der", "jer", "speakers", "cpwer", "tcpwer", "orcwer", "wder"} <= set(
        one["quality"]["kind"]["conversation"]
    )
    assert "wer" not in one["quality"]["kind"]["conversation"]  # the words of several have no order
    assert two["quality"]["all"]["wer"]["wer"]["value"] == 1  # of "a" alone: what failed is not scored as nothing
    assert two["quality"]["all"]["wer"]["recordings"] == 1
    assert "der" not in two["quality"]["all"]
    assert "nothing" not in json.dumps(made)
    noise = next(row for row in made["comparisons"] if row["measure"] == "speed")
    assert (noise["first"], noise["second"], noise["recordings"]) == ("one", "two", 3)


def test_where_it_comes_from(lab: Path, settings: Settings) -> None:
    run = begin(lab, settings)
    runner.predict(run, settings)
    told = (run.folder / "provenance.json").read_text("utf-8")
    made = json.loads(told)
    assert made["systems"]["one"]["weights"].keys() == {"echo", "halves"}
    assert made["systems"]["one"]["weights"]["echo"]["weights"].startswith("e3b0c44298fc1c14")  # sha256 of nothing
    assert {"commit", "processor", "threads", "versions", "seed", "python"} <= made.keys()
    written = told + (run.folder / "suite.json").read_text("utf-8")
    assert str(lab) not in written
    assert os.uname().nodename not in written
    assert str(Path.home()) not in written


def test_a_broken_run_goes_on(lab: Path, settings: Settings) -> None:
    whole = begin(lab, settings, "whole")
    runner.predict(whole, settings)
    wanted = without_cost(scores.score(whole))
    broken = begin(lab, settings, "broken")

    def stop(progress: runner.RunProgress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.predict(broken, settings, stop)
    with broken.predictions.open("ab") as file:  # as a power cut leaves it
        file.write(b'{"system":"one","item":"talk","text":"hal')
    assert len(predictions.read(broken.predictions)) == 3
    again = runner.resume(broken.folder, settings)
    assert runner.predict(again, settings) == 6
    assert runner.predict(again, settings) == 0
    rows = predictions.read(broken.predictions)
    assert len({row.key for row in rows}) == len(broken.predictions.read_bytes().splitlines()) == 9
    assert without_cost(scores.score(again)) == wanted
    assert "earlier" not in json.loads((broken.folder / "provenance.json").read_text("utf-8"))


def test_other_circumstances_are_told(lab: Path, settings: Settings) -> None:
    run = begin(lab, settings)
    runner.predict(run, settings)
    rows = run.predictions.read_bytes().splitlines(keepends=True)
    run.predictions.write_bytes(b"".join(rows[:-1]))
    runner.predict(run, settings.model_copy(update={"threads": 2}))
    made = json.loads((run.folder / "provenance.json").read_text("utf-8"))
    assert (made["threads"], [one["threads"] for one in made["earlier"]]) == (2, [1])
    assert set(made["systems"]) == {"one", "two"}


def test_rows_that_are_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    row = Prediction(
        "one", "a", 1.0, " Text ", "en", (Segment(0.1, 0.7000000000000001, "x", (Word(0.1, 0.2, " x", 0.3),), "A"),),
        turns=(Turn(0, 1, "A"),), seconds=0.1,
    )  # fmt: skip
    predictions.append(path, row)
    assert predictions.read(path) == (row,)
    whole = path.read_bytes()
    for cut in (1, 20, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert predictions.repair(path) == cut
        assert path.read_bytes() == whole
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(BadInput, match="line 1"):
        predictions.read(path)
    assert predictions.read(tmp_path / "none") == ()


def test_what_is_no_longer_the_same_is_refused(lab: Path, settings: Settings) -> None:
    run = begin(lab, settings)
    with pytest.raises(BadInput, match="A run already exists at"):
        begin(lab, settings)
    with runner.FileLock(run.folder / ".lock"), pytest.raises(Conflict, match="Another process"):
        runner.predict(run, settings)
    tone(lab / "speech" / "a.wav", 2.5)
    with pytest.raises(BadInput, match="changed since the run"):
        runner.resume(run.folder, settings)
    with pytest.raises(BadInput, match="No run was found at"):
        runner.resume(lab, settings)


def test_a_model_that_is_not_here_is_never_replaced(lab: Path, settings: Settings) -> None:
    plan = read(lab, 'model = "echo"', 'model = "absent"')["small"]
    run = runner.create(plan, lab / "runs", settings, lab, "run")
    with pytest.raises(ModelMissing, match="models pull absent"):
        runner.predict(run, settings)
    assert not run.predictions.exists()


def test_engines_that_fail(lab: Path, settings: Settings) -> None:
    plan = read(lab, 'model = "echo"\ndiarize = true', 'model = "broken"')["small"]
    run = runner.create(plan, lab / "runs", settings, lab, "run")
    runner.predict(run, settings)
    made = scores.score(run)["systems"]
    assert made["one"]["failures"] == 5
    assert made["one"]["quality"]["all"] == {}
    assert made["two"]["failures"] == 1
    assert "secret" not in run.predictions.read_text("utf-8")


def test_a_cancel_ends_a_run(lab: Path, settings: Settings) -> None:
    def cancel(progress: runner.RunProgress) -> None:
        if progress.done:
            raise Cancelled("Enough.")

    run = begin(lab, settings)
    with pytest.raises(Cancelled):
        runner.predict(run, settings, cancel)
    assert len(predictions.read(run.predictions)) == 1


def test_a_table_of_replacements_goes_with_the_run(lab: Path, settings: Settings) -> None:
    (lab / "table.tsv").write_text("word\tterm\n", "utf-8")
    plan = replace(small(lab), normaliser="table.tsv+basic")
    run = runner.create(plan, lab / "runs", settings, lab, "run")
    (lab / "table.tsv").unlink()
    runner.predict(run, settings)
    assert scores.score(run)["normaliser"].endswith("+basic")
    with pytest.raises(BadInput, match="bassic"):
        runner.create(replace(plan, normaliser="bassic"), lab / "runs", settings, lab, "other")
    assert not (lab / "runs" / "other").exists()


# Costs


def test_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "intel-rapl:0"
    (package / "intel-rapl:0:0").mkdir(parents=True)
    (package / "max_energy_range_uj").write_text("10000000")
    (package / "energy_uj").write_text("9000000")
    monkeypatch.setattr(meter, "POWERCAP", tmp_path)
    code = "import time\nwhile time.process_time() < 0.3: pass"
    with meter.measured(lambda: (os.getpid(),)) as cost:
        (package / "energy_uj").write_text("1000000")  # it began anew
        subprocess.run([sys.executable, "-c", code], check=True)
    assert cost.cpu is not None
    assert 0.28 <= cost.cpu < 3  # counted in ticks of 10 ms
    assert cost.seconds >= 0.3
    assert cost.joules == pytest.approx(2)
    with meter.measured(lambda: ()) as cost:
        pass
    assert (cost.cpu, cost.memory_mb, cost.joules, cost.busy) == (None, None, None, False)


def test_a_busy_machine_is_noticed() -> None:
    def reading(wall: float, own: float, machine: float) -> meter.MeterReading:
        return meter.MeterReading(wall, own, machine)

    cores = os.cpu_count() or 1
    for others, busy in ((0.05, False), (0.2, True)):
        cost = meter.Cost(seconds=2.0)
        meter.fill(cost, reading(0, 10, 100), reading(2, 12, 102 + 2 * others * cores), here=True)
        assert (cost.cpu, cost.busy) == (2, busy)


# Programs of others


@pytest.fixture
def foreign(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., child.ChildSystem]]:
    monkeypatch.setattr(child, "PROGRAMS", {"whisperx": child.Program("bare_fake", "whisperx>=3")})
    drivers = tmp_path / "drivers"
    drivers.mkdir()
    for path in (child.DRIVERS / "loop.py", TESTS / "drivers" / "bare_fake.py"):
        (drivers / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(child, "DRIVERS", drivers)
    made: list[child.ChildSystem] = []

    def make(timeout_s: float = 20.0, **options: Any) -> child.ChildSystem:
        wish = child.WhisperX("echo", language="known", options=options)
        made.append(wish.make(SystemContext("x", settings, tmp_path / "envs", timeout_s)))
        return made[-1]

    yield make
    for system in made:
        system.close()


def test_a_program_in_a_process(foreign: Callable[..., child.ChildSystem], tmp_path: Path) -> None:
    system = foreign(timeout_s=2.0)
    assert system.processes() == ()
    system.start(silent)
    (pid,) = system.processes()
    item = Item("a", tmp_path / "a.wav", language="pt")

    def hear(seconds: float) -> Any:
        return system.transcribe(item, pcm(tmp_path / "a.pcm", seconds), silent)

    heard = hear(2)
    assert (heard.text, heard.language, heard.turns) == ("pt 2", "pt", None)
    assert heard.segments == (Segment(0.0, 0.0, "one", (Word(0, 1, " one"),)),)
    with pytest.raises(SttError, match=r"ValueError: three seconds$"):
        hear(3)
    assert system.processes() == (pid,)
    with pytest.raises(EngineCrashed, match="status 7"):
        hear(4)
    assert hear(2).text == "pt 2"
    with pytest.raises(Unavailable, match="timeout_s"):
        hear(5)
    assert system.processes() == ()
    assert system.provenance()["versions"].keys() == {"pytest"}
    assert system.provenance()["weights"] == {"echo": {"weights": system.provenance()["weights"]["echo"]["weights"]}}


def test_a_program_that_is_not_installed(foreign: Callable[..., child.ChildSystem]) -> None:
    with pytest.raises(Unavailable, match=r"'x' cannot start.*whisperx.*pip install 'whisperx>=3'.*--systems"):
        foreign(absent=True).start(silent)


def test_a_program_is_cancelled(foreign: Callable[..., child.ChildSystem], tmp_path: Path) -> None:
    def cancel(event: Event) -> None:
        if event.stage == "transcribing":
            raise Cancelled("Enough.")

    system = foreign()
    with pytest.raises(Cancelled):
        system.transcribe(Item("a", tmp_path), pcm(tmp_path / "a.pcm", 5), cancel)
    assert system.processes() == ()


def test_a_program_ends_with_who_asked(foreign: Callable[..., child.ChildSystem], tmp_path: Path) -> None:
    """As when an evaluation is killed amid a recording."""
    system = foreign()
    system.start(silent)
    (pid,) = system.processes()
    assert system._child is not None
    process = system._child.process
    assert process.stdin is not None
    system._child.send({"sound": str(pcm(tmp_path / "a.pcm", 5).path)})
    process.stdin.close()
    assert (process.pid, process.wait(timeout=5)) == (pid, 0)


def test_weights_for_other_programs_are_converted_first(settings: Settings, tmp_path: Path) -> None:
    system = child.WhisperCpp("echo").make(SystemContext("x", settings, tmp_path, 1.0))
    with pytest.raises(ModelMissing, match=r"convert_ggml\.py echo"):
        system.start(silent)
    with pytest.raises(BadInput, match="cannot transcribe"):
        child.WhisperX("halves").make(SystemContext("x", settings, tmp_path, 1.0))


# Services


@contextmanager
def service(answer: dict[str, Any], status: int = 200) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    got: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers.get("Authorization", ""), body))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *unused: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(wish: OpenAiService | SttService, item: Item, settings: Settings) -> Any:
    with closing(wish.make(SystemContext("x", settings, Path(), 10.0))) as system:
        assert "url" not in system.provenance()["settings"]
        return system.transcribe(item, pcm(item.audio.with_suffix(".pcm"), 1), silent)


def test_services(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item("a", tone(tmp_path / "a.wav", 1), language="en")
    monkeypatch.setenv("A_KEY", "s3cret")
    openai = {"text": "Hi you", "language": "english", "words": [{"word": "Hi", "start": 0.1, "end": 0.4}]}
    with service(openai) as (url, got):
        heard = ask(OpenAiService(f"{url}/v1", "whisper-1", "known", "A_KEY", word_times=True), item, settings)
        assert (heard.text, heard.language, heard.turns) == ("Hi you", "en", None)
        assert heard.segments[0].words == (Word(0.1, 0.4, "Hi"),)
        path, key, body = got[0]
        assert (path, key) == ("/v1/audio/transcriptions", "Bearer s3cret")
        assert b"verbose_json" in body
        assert b"timestamp_granularities[]" in body
    part = {"start": 0, "end": 1, "text": "Hi", "speaker": "Speaker 1", "words": []}
    ours = {
        "text": "Hi",
        "language": "en",
        "segments": [part],
        "turns": [{"start": 0, "end": 2, "speaker": "Speaker 1"}],
    }
    with service(ours) as (url, got):
        heard = ask(SttService(url, "base", diarize=True, key_env="NOT_SET"), item, settings)
        assert heard.turns == (Turn(0, 2, "Speaker 1"),)
        assert (got[0][0], got[0][1]) == ("/v1/transcribe", "")
    with service({"error": "no such model"}, 400) as (url, _), pytest.raises(SttError, match="400: no such model"):
        ask(SttService(url, "nope"), item, settings)
    with pytest.raises(Unavailable, match="did not answer"):
        ask(SttService("http://127.0.0.1:9", "base"), item, settings)
    with pytest.raises(BadInput, match="has an invalid url"):
        ask(SttService("ftp://x", "base"), item, settings)


# The command


def test_the_command(
    lab: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_lab, "get_settings", lambda: settings)
    place = ["--suites", str(lab / "suites.toml"), "--runs", str(lab / "runs")]
    assert main(["eval", "small", *place, "--no-report", "--name", "r", "--systems", "one", "--limit", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(lab / "runs" / "r")
    assert "WER" in out
    assert "2 of 2" in err
    assert main(["eval", "--score-only", str(lab / "runs" / "r")]) == 0
    assert main(["eval", "--no-report", "--resume", str(lab / "runs" / "r")]) == 0
    assert main(["eval", "small", *place, "--no-report", "--name", "own", "--dataset", str(lab / "speech")]) == 0
    capsys.readouterr()
    assert main(["eval", "smal", *place]) == 1
    assert "Choose from small" in capsys.readouterr().err
    assert main(["eval", "small", "--resume", "x"]) == 1
    assert main(["eval", "small", *place, "--systems", "three"]) == 1
    assert "has no system 'three'" in capsys.readouterr().err


# Real models

REAL = """
[suites.small]
dataset = "speech"
systems = ["tiny"]

[systems.tiny]
engine = "stt_lab"
model = "tiny.en"
"""


@pytest.fixture
def real(made_data: Choose, tmp_path: Path) -> Path:
    """A folder with suites.toml over the shortest English recordings, for tiny.en."""
    clips = sorted(made_data(language="en"), key=lambda one: one.duration)[:6]
    rows = [{"id": one.id, "audio": str(one.path), "language": "en", "text": one.text} for one in clips]
    speech = tmp_path / "speech"
    speech.mkdir()
    (speech / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "suites.toml").write_text(REAL, "utf-8")
    return tmp_path


def real_settings(**more: Any) -> Settings:
    from stt_lab.settings import get_settings

    return get_settings().model_copy(update={"threads": 1, "device": "cpu", **more})


def _has_rows(run: runner.Run, count: int) -> bool:
    return len(predictions.read(run.predictions)) >= count


@slow
@pytest.mark.truth
def test_kill_9_at_a_random_moment(real: Path) -> None:
    settings = real_settings()
    whole = runner.create(small(real), real / "runs", settings, real, "whole")
    runner.predict(whole, settings)
    wanted = without_cost(scores.score(whole))
    assert wanted["systems"]["tiny"]["quality"]["all"]["wer"]["recordings"] == 6
    killed = runner.create(small(real), real / "runs", settings, real, "killed")
    command = [sys.executable, "-m", "stt_lab", "eval", "--no-report", "--resume", str(killed.folder)]
    environ = {**os.environ, "STT_LAB_THREADS": "1", "STT_LAB_DEVICE": "cpu"}
    for rows, within in ((0, 4.0), (1, 1.0), (3, 1.0)):  # while it starts, and between or within recordings
        with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until(partial(_has_rows, killed, rows), 120)
            time.sleep(random.uniform(0, within))
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((killed.folder / "scores.json").read_text("utf-8"))
    assert without_cost(found) == wanted
    texts = [{row.item: row.segments for row in predictions.read(run.predictions)} for run in (whole, killed)]
    assert texts[0] == texts[1]


@slow
@pytest.mark.truth
def test_two_nodes_of_a_cluster_score_the_same(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nodes import Nodes  # skips where there is no Ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    here = real_settings()
    alone = runner.create(small(real), real / "runs", here, real, "alone")
    runner.predict(alone, here)
    with closing(Nodes()) as nodes:
        nodes.complete()
        far = real_settings(engine_host="ray", ray_address=nodes.address)
        spread = runner.create(small(real), real / "runs", far, real, "spread")
        runner.predict(spread, far)
    assert without_cost(scores.score(spread)) == without_cost(scores.score(alone))
    rows = predictions.read(spread.predictions)
    assert len(rows) == 6
    assert all(row.cpu is None and row.error is None for row in rows)
