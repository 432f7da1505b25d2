"""stt_lab.cli: as a function, and as the program that people run."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fakes import environ, files, program, tone, until, write_catalog

from stt_lab import __version__
from stt_lab.caller import ADMINISTRATOR_ID
from stt_lab.cli import main, parser
from stt_lab.engines import pool
from stt_lab.runtime import private_runtime
from stt_lab.settings import get_settings
from stt_lab.types import Segment, Transcript
from stt_lab.weights import catalog


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two recordings, and an installation of fakes in this process."""
    from fake_engines import ENGINES
    from fakes import PATHS

    monkeypatch.setattr(catalog, "CATALOG", write_catalog(tmp_path))
    for name, place in ENGINES.items():
        monkeypatch.setitem(pool.ENGINES, name, place)
    monkeypatch.setenv("PYTHONPATH", PATHS)
    for name, value in (("DATA_DIR", "data"), ("MODELS_DIR", "models")):
        monkeypatch.setenv(f"STT_LAB_{name}", str(tmp_path / value))
    monkeypatch.setenv("STT_LAB_ENGINE_HOST", "inprocess")
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    tone(tmp_path / "one.wav", 1)
    tone(tmp_path / "two.wav", 2)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)
    get_settings.cache_clear()


def one_line(error: str) -> str:
    assert error.startswith("stt-lab: ")
    assert error.endswith((".\n", "?\n"))
    assert error.count("\n") == 1
    return error


def test_texts_come_from_files_and_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[object] = []
    monkeypatch.setattr("stt_lab.cli.call", lambda op, values, context: got.append(values["texts"]) or {})
    (tmp_path / "a.txt").write_text("one\ntwo", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("piped"))
    for given in ("as it is", f"@{tmp_path / 'a.txt'}", "-"):
        assert main(["embed", given]) == 0
    assert got == ["as it is", "one\ntwo", "piped"]
    with pytest.raises(SystemExit):
        main(["embed", f"@{tmp_path / 'absent'}"])


def test_json_on_stdout(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "two.wav"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["text"] == "word. word."
    assert err == ""  # no bar where nobody looks


def test_options_and_formats(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "two.wav", "--response-format", "srt", "--no-diarize", "--model", "echo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1\n00:00:00,000 --> ")
    assert "Speaker" not in out
    assert main(["transcribe", "two.wav", "--response-format", "verbose_json", "--language", "pt"]) == 0
    assert json.loads(capsys.readouterr().out)["language"] == "pt"


def test_several_files_and_one_that_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "one.wav", "none.wav", "two.wav", "--response-format", "txt", "--no-diarize"]) == 1
    out, err = capsys.readouterr()
    assert out.split() == ["word."] * 3
    assert one_line(err).startswith("stt-lab: none.wav: ")


def test_results_in_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "one.wav", "two.wav", "-o", "new/results", "--response-format", "text"]) == 0
    made = [Path("new/results/one.txt"), Path("new/results/two.txt")]
    assert [Path(line) for line in capsys.readouterr().out.splitlines()] == made
    assert all("word" in path.read_text() for path in made)
    assert main(["transcribe", "one.wav", "-o", "new/results", "--response-format", "verbose_json"]) == 0
    assert json.loads(Path("new/results/one.json").read_text())["text"] == "word."


def test_equal_names_do_not_overwrite_each_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sub").mkdir()
    tone(here / "sub" / "one.wav", 3)
    tone(here / "one.flac.wav", 1)
    assert main(["transcribe", "one.wav", "sub/one.wav", "one.wav", "-o", "results"]) == 0
    texts = {path.name: json.loads(path.read_text())["text"] for path in Path("results").iterdir()}
    assert texts == {"one.json": "word.", "one-2.json": "word. word. word.", "one-3.json": "word."}
    assert main(["transcribe", "one.wav", "-o", "results"]) == 0  # a second run renews its results
    assert len(files(here / "results")) == 3


def test_a_folder_that_cannot_be_made_is_said_before_the_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "one.wav", "-o", "one.wav", "--model", "endless"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "one.wav" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--model", "gigantic"], "gigantic"),
        (["--language", "xx"], "xx"),
        (["--speakers", "-1"], "'speakers'"),
        (["--speakers", "many"], "'many'"),
        (["--model", "broken"], "/etc/passwd"),
    ],
)
def test_errors_go_to_stderr(
    arguments: list[str], word: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STT_LAB_ENGINE_HOST", "process")
    assert main(["transcribe", "one.wav", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    if word == "/etc/passwd":
        assert "the engine failed on this file" in one_line(err).lower()
        assert word not in err
    else:
        assert word in one_line(err)


@pytest.mark.parametrize("arguments", [[], ["sing"], ["transcribe"], ["transcribe", "a", "--response-format", "pdf"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: stt-lab" in err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["--help"], ["transcribe", "--help"], ["models", "pull", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert __version__ in out
    assert "(default: auto)" in " ".join(out.split())


def test_operations_without_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "large-v3-turbo" in {model["id"] for model in json.loads(capsys.readouterr().out)["models"]}
    assert main(["languages"]) == 0
    assert {"code": "en", "name": "english"} in json.loads(capsys.readouterr().out)["languages"]
    assert main(["health"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ok"


def test_models_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "models dir" in rows["echo"]
    assert "models dir" not in rows["absent"]


def test_models_pull_of_an_unknown_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "gigantic"]) == 1
    assert "gigantic" in one_line(capsys.readouterr().err.splitlines(keepends=True)[-1])


def test_models_doctor_says_what_is_missing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["models", "doctor"])
    out = capsys.readouterr().out
    assert status == (1 if "MISS" in out else 0)
    assert "ok  " in out


def test_a_misspelt_setting(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_LAB_OFLINE", "1")
    assert main(["health"]) == 1
    assert "STT_LAB_OFFLINE" in one_line(capsys.readouterr().err)


def test_a_port_that_is_no_number(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "web")
    assert main(["serve"]) == 1
    assert "GRADIO_SERVER_PORT" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_is_none(port: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", f"--port={port}"]) == 1
    assert port in one_line(capsys.readouterr().err)


def test_a_bar_for_people(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["transcribe", "one.wav"]) == 0
    assert {"decoding", "transcribing", "diarizing", "joining"} <= set(terminal.getvalue().split())
    assert json.loads(capsys.readouterr().out)["text"] == "word."


# Accounts, keys and the library: on the store of the data directory


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert (err == "") == (status == 0)
    return out if status == 0 else one_line(err)


def test_tiers_of_the_machine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "accounts", "tier", "guest", "--per-day", "5", "--max-upload-mb", "50")
    told(capsys, "accounts", "tier", "guest", "--per-day", "none", "--concurrent-jobs", "2", "--takes-credits")
    rows = [line.split() for line in told(capsys, "accounts", "tiers").splitlines()]
    assert rows[0] == ["tier", "per", "day", "min/month", "MB", "jobs", "credits"]
    assert ["guest", "-", "-", "50", "2", "taken"] in rows
    assert ["free", "-", "600", "500", "2", "-"] in rows
    assert "cannot be -1" in told(capsys, "accounts", "tier", "guest", "--per-day", "-1", status=1)


def test_accounts_of_the_machine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Account 3: Ada, free." in told(capsys, "accounts", "create", "Ada", "--email", "ada@example.org")
    assert "disabled" in told(capsys, "accounts", "update", "Ada", "--tier", "paid", "--disabled")
    assert "Ada has 90 credits." in told(capsys, "accounts", "grant", "Ada", "90", "--note", "a gift")
    assert "Ada has 80 credits." in told(capsys, "accounts", "grant", "Ada", "-10")
    rows = [line.split() for line in told(capsys, "accounts", "list").splitlines()]
    assert [row[1] for row in rows[1:]] == ["administrator", "anonymous", "Ada"]
    assert rows[3] == ["3", "Ada", "paid", "80", "ada@example.org", "disabled"]
    assert "Bob" in told(capsys, "accounts", "update", "Bob", "--tier", "free", status=1)
    assert "name, email, tier, disabled" in told(capsys, "accounts", "update", "Ada", status=1)
    assert "taken" in told(capsys, "accounts", "create", "Ada", status=1)


def test_keys_of_the_machine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "accounts", "create", "Ada")
    *_, raw = told(capsys, "keys", "create", "of the lab", "--account", "Ada").split()
    assert raw.startswith("stt_")
    listed = told(capsys, "keys", "list", "--account", "Ada")
    assert "account,library,speech" in listed
    assert raw not in listed
    assert "'admin'" in told(capsys, "keys", "create", "x", "--account", "Ada", "--scopes", "speech,admin", status=1)
    assert "for admin" in told(capsys, "keys", "create", "mine", "--scopes", "admin")
    assert "Key 1" in told(capsys, "keys", "revoke", "1", status=1)  # it is Ada's
    assert "revoked" in told(capsys, "keys", "revoke", "1", "--account", "Ada")
    assert "of the lab" not in told(capsys, "keys", "list", "--account", "Ada")


def test_sessions_of_the_machine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "accounts", "create", "Ada")
    runtime = private_runtime(get_settings())
    for number in range(3):
        runtime.accounts.begin_session(f"of Ada {number}", 3, None)
        runtime.accounts.begin_session(f"of the administrator {number}", ADMINISTRATOR_ID, None)
    assert told(capsys, "accounts", "end-sessions", "--account", "Ada") == "Sessions ended of Ada: 3.\n"
    assert told(capsys, "accounts", "end-sessions") == "Sessions ended: 3.\n"
    assert json.loads(told(capsys, "end-sessions")) == {"ended": 0}
    assert "Bob" in told(capsys, "accounts", "end-sessions", "--account", "Bob", status=1)
    runtime.close()


GROUPED = {
    "accounts": {
        "create": ("create-account", {}),
        "list": ("list-accounts", {}),
        "update": ("change-account", {"id": "account"}),
        "grant": ("grant-credits", {"id": "account"}),
        "end-sessions": ("end-sessions", {}),
    },
    "keys": {
        "list": ("keys", {}),
        "create": ("create-account-key", {"id": "account"}),
        "revoke": ("revoke-key", {}),
    },
}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in GROUPED.items() for name in names])
def test_a_command_of_a_group_has_the_arguments_of_its_operation(group: str, name: str) -> None:
    """What is an account's number for the operation is its name for the command; keys are another account's too."""

    def arguments(*path: str) -> dict[str, tuple[str | None, bool]]:
        found = parser()
        for step in path:
            (choices,) = [a.choices for a in found._actions if isinstance(a, argparse._SubParsersAction)]
            found = choices[step]
        hidden = argparse._HelpAction | argparse._SubParsersAction
        return {a.dest: (a.help, bool(a.option_strings)) for a in found._actions if not isinstance(a, hidden)}

    operation, renamed = GROUPED[group][name]
    plain, grouped = arguments(operation), arguments(group, name)
    for given in (plain, grouped):
        for account in ("account", *renamed):
            given.pop(account, None)
    if operation == "revoke-key":
        assert grouped.keys() == {"id"}  # of the key
    assert grouped == plain


def test_commands_of_the_account_api_are_the_administrators(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(told(capsys, "account"))["name"] == "administrator"
    assert json.loads(told(capsys, "transcripts", "--limit", "3")) == {"count": 0, "results": []}
    assert json.loads(told(capsys, "create-key", "x", "--scopes", "speech,library"))["scopes"] == ["library", "speech"]
    assert json.loads(told(capsys, "create-account", "Ada"))["id"] == 3
    assert json.loads(told(capsys, "grant-credits", "3", "5"))["credits"] == 5
    preferences = json.loads(told(capsys, "update-account", "--preferences", '{"weekly": true}'))["preferences"]
    assert preferences == {"weekly": True}
    assert "JSON object" in told(capsys, "update-account", "--preferences", "{", status=1)
    assert "transcript was not found" in told(capsys, "export-transcript", "7", "srt", status=1)
    assert "not found" in told(capsys, "job", "job_0", status=1)


def test_an_export_goes_to_stdout_or_into_a_folder(here: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    runtime = private_runtime(get_settings())
    with runtime.database.write() as session:
        number = runtime.library.open(session, ADMINISTRATOR_ID, "a talk.mp3")
        made = Transcript("en", 1.0, (Segment(0.0, 1.0, "Hello."),))
        runtime.library.complete(session, number, made)
    runtime.close()
    assert main(["export-transcript", str(number), "srt"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"1\n00:00:00,000 --> ")
    assert main(["export-transcript", str(number), "txt", "-o", "exports"]) == 0
    assert Path("exports/a talk.txt").read_text() == "Hello.\n"


# As a program


def test_python_m() -> None:
    done = subprocess.run([sys.executable, "-m", "stt_lab", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{__version__}\n"


def test_the_program_leaves_nothing(tmp_path: Path) -> None:
    tone(tmp_path / "one.wav", 1)
    (tmp_path / "temporary").mkdir()
    command = program(tmp_path, "transcribe", str(tmp_path / "one.wav"), "--response-format", "txt")
    env = environ(tmp_path, TMPDIR=str(tmp_path / "temporary"))
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "word" in done.stdout
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("model", ["endless", "deaf"])
def test_ctrl_c_and_sigterm_leave_nothing(number: int, status: int, model: str, tmp_path: Path) -> None:
    tone(tmp_path / "one.wav", 1)
    (tmp_path / "temporary").mkdir()
    command = program(tmp_path, "transcribe", str(tmp_path / "one.wav"), "--model", model)
    env = environ(tmp_path, TMPDIR=str(tmp_path / "temporary"))
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        parent = psutil.Process(running.pid)
        until(
            lambda: any("stt_lab.engines.hosts.worker" in c.cmdline() for c in parent.children()) or running.poll(), 20
        )
        children = parent.children()
        assert len(children) == 2  # the decoder and the worker
        os.killpg(running.pid, number)  # as a terminal does
        _, err = running.communicate(timeout=10)
    assert running.returncode == status
    assert err.strip() in ("stt-lab: interrupted", "")
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_reader_that_stops_reading(tmp_path: Path) -> None:
    command = program(tmp_path, "languages")
    with subprocess.Popen(
        command, env=environ(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()  # before anything was written
        assert running.stderr.read() == ""
    assert running.returncode == 1
