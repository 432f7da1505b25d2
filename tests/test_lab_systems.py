"""Systems under test: what they are asked for, what their answers become, and what they lack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from stt_lab.errors import BadInput, ModelMissing, RateLimited, SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.suite import read_system
from stt_lab.lab.runs.systems import child, ready, web
from stt_lab.lab.runs.systems.child import ExternalConfig, FasterWhisper, Pyannote, WhisperCpp, WhisperX
from stt_lab.lab.runs.systems.drivers import loop
from stt_lab.lab.runs.systems.ours import weights_of
from stt_lab.lab.runs.systems.protocol import KNOWN, SystemContext, language_setting, speaker_setting
from stt_lab.lab.runs.systems.web import OpenAiService, SttService
from stt_lab.settings import Settings, get_settings
from stt_lab.types import Event, Segment, Turn, Word, silent
from stt_lab.weights import catalog

A, B = Turn(0, 1, "A"), Turn(1, 2, "B")


def item(**more: Any) -> Item:
    return Item("i", Path("/i.wav"), **more)


# What a system is asked for


def test_a_language_is_given_known_or_detected() -> None:
    assert [language_setting(name, item(language="pt")) for name in ("auto", KNOWN, "de", "German")] == [
        None, "pt", "de", "de",
    ]  # fmt: skip
    assert language_setting(KNOWN, item()) is None
    with pytest.raises(BadInput, match="klingon"):
        language_setting("klingon", item())


def test_a_number_of_speakers_is_given_known_or_detected() -> None:
    assert [speaker_setting(wanted, item(turns=(A, B, A))) for wanted in (0, 3, KNOWN)] == [0, 3, 2]
    assert speaker_setting(KNOWN, item(segments=(Segment(0, 1, "a", speaker="A"),))) == 1
    for unknown in (item(), item(turns=())):
        with pytest.raises(BadInput, match=r"The number of speakers of 'i' is unknown\. Add turns"):
            speaker_setting(KNOWN, unknown)


def test_fields_of_services() -> None:
    openai = OpenAiService("http://x/v1", "m", KNOWN, word_times=True)
    assert openai._fields(item(language="pt")) == {
        "model": "m", "response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"],
        "language": "pt",
    }  # fmt: skip
    assert "language" not in OpenAiService("http://x/v1", "m")._fields(item(language="pt"))
    ours = SttService("http://x", "m", diarize=True, speakers=KNOWN)
    assert ours._fields(item(turns=(A, B))) == {
        "model": "m", "language": "auto", "diarize": "true", "response_format": "verbose_json", "speakers": "2",
    }  # fmt: skip
    assert "speakers" not in SttService("http://x", "m")._fields(item())


# What answers become


def test_words_beside_segments_become_a_segment() -> None:
    body = {"text": "Hi you.", "language": "english", "words": [
        {"word": "Hi", "start": 0.5, "end": 0.25}, {"word": "you", "start": -1.0, "end": 2.0, "confidence": 0.5},
    ]}  # fmt: skip
    found = web._output_of(body, diarized=False)
    words = (Word(0.5, 0.5, "Hi"), Word(0.0, 2.0, "you", 0.5))  # times that a Span can have
    assert found.segments == (Segment(0.5, 2.0, "Hi you.", words),)
    assert (found.text, found.language, found.turns) == ("Hi you.", "en", None)


def test_words_in_segments_stay_there() -> None:
    rows = [{"start": 0, "end": 1, "text": " a ", "speaker": "A", "words": [{"text": "a", "start": 0, "end": 1}]}]
    found = web._output_of({"segments": rows, "words": rows[0]["words"], "language": "tlh"}, diarized=True)
    assert found.segments == (Segment(0, 1, "a", (Word(0, 1, "a"),), "A"),)
    assert (found.text, found.language, found.turns) == ("a", "tlh", (Turn(0, 1, "A"),))


def test_turns_of_a_service_may_overlap() -> None:
    turns = [{"start": 0, "end": 2, "speaker": "A"}, {"start": 1, "end": 2, "speaker": "B"}]
    body = {"text": "", "segments": [], "turns": turns}
    assert web._output_of(body, diarized=True).turns == (Turn(0, 2, "A"), Turn(1, 2, "B"))
    assert web._output_of(body, diarized=False).turns is None
    assert web._output_of({}, diarized=True) == web.SystemOutput("", None, (), ())


@pytest.mark.parametrize(
    ("status", "content", "sentence"),
    [
        (500, b'{"error": {"message": "It broke."}}', "The service answered 500: It broke."),
        (400, b'{"error": "Too short."}', "The service answered 400: Too short."),
        (418, b'{"detail": 5}', "The service answered 418: {'detail': 5}"),
        (502, b"<html>", "The service answered 502: no message"),
        (503, b"[]", "The service answered 503: no message"),
        (500, b'{"error": "' + b"x" * 999 + b'"}', "The service answered 500: " + "x" * 300),
    ],
)
def test_a_refusal_is_a_sentence(status: int, content: bytes, sentence: str) -> None:
    made = web._refusal(httpx.Response(status, content=content))
    assert (type(made), str(made)) == (SttError, sentence)


def test_a_busy_service_is_one_that_limits() -> None:
    assert isinstance(web._refusal(httpx.Response(429, json={"error": "later"})), RateLimited)


def test_answers_of_programs() -> None:
    found = child._output_of({"text": " a ", "language": "en", "segments": [
        {"start": -0.5, "end": -1, "text": " a ", "words": [
            {"word": " a", "start": 1, "end": 0.5, "probability": 0.25},
        ]},
        {"start": 1, "end": 2, "text": "b", "words": None},
    ]})  # fmt: skip
    assert (found.text, found.language, found.turns) == ("a", "en", None)
    assert found.segments == (Segment(0, 0, "a", (Word(1, 1, " a", 0.25),)), Segment(1, 2, "b"))
    turns = child._output_of({"turns": [{"start": 0, "end": 1, "speaker": "X"}]})
    assert (turns.text, turns.turns) == (None, (Turn(0, 1, "X"),))
    assert child._output_of({"turns": []}).turns == ()


# What is written down


def test_provenance_has_no_address_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    context = SystemContext("x", get_settings(), Path(), 1.0)
    system = OpenAiService("http://secret.example/v1", "m", key_env="A_KEY").make(context)
    try:
        made = system.provenance()
        assert system._http.headers["authorization"] == "Bearer secret"
    finally:
        system.close()
    assert made == {"engine": "openai-api", "settings": {"model": "m", "language": "auto", "word_times": False}}


def test_weights_are_named_by_their_hash(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("model.bin", "deep/config.json", "other.txt"):
        (tmp_path / name).write_text("x")
    model: Any = SimpleNamespace(files=("*.bin", "deep/*.json", "model.bin"))
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of x
    assert weights_of(model, tmp_path) == {"deep/config.json": digest, "model.bin": digest}


# Programs


def context(tmp_path: Path, settings: Settings | None = None) -> SystemContext:
    return SystemContext("x", settings or get_settings(), tmp_path / "envs", 5.0)


def test_an_environment_of_the_engine_comes_first(tmp_path: Path) -> None:
    assert child.interpreter(WhisperX("base"), context(tmp_path)) == Path(sys.executable)
    own = tmp_path / "envs/whisperx/bin/python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    assert child.interpreter(WhisperX("base"), context(tmp_path)) == own  # the link itself
    assert child.interpreter(FasterWhisper("base"), context(tmp_path)) == Path(sys.executable)
    named = WhisperX("base", python=str(own))
    assert child.interpreter(named, context(tmp_path)) == own
    with pytest.raises(BadInput, match="No Python was found at 'none/python'"):
        child.interpreter(WhisperX("base", python="none/python"), context(tmp_path))


def test_how_to_install_a_program() -> None:
    assert child.install(WhisperCpp("base"), Path("eval/envs")) == (
        "Install it with `python -m venv eval/envs/whisper.cpp && "
        "eval/envs/whisper.cpp/bin/pip install 'pywhispercpp>=1.5'`"
    )


@pytest.mark.parametrize("config", [FasterWhisper("community-1"), Pyannote("base"), WhisperX("community-1")])
def test_a_model_of_another_task_is_refused(config: ExternalConfig, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"The model '.*' cannot (transcribe|diarize)\. Choose another one for 'x'"):
        config.make(context(tmp_path))


@pytest.mark.parametrize("reason", ["The program cannot start: KeyError: 'x'", "The model is gone. Fetch it."])
def test_why_a_program_does_not_start_is_in_sentences(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(report: Any) -> None:
        raise SttError(reason)

    monkeypatch.setattr(child, "weights_for", lambda *arguments: tmp_path)
    system = WhisperX("base").make(context(tmp_path))
    monkeypatch.setattr(system, "_ready", refuse)
    with pytest.raises(Unavailable) as raised:
        system.start(silent)
    assert str(raised.value).startswith(
        f"The system 'x' cannot start. {reason.rstrip('.')}. Install it with `python -m"
    )
    assert str(raised.value).endswith("`, or exclude it with --systems.")


def test_weights_in_the_format_of_a_program(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"models_dir": tmp_path})
    model, program = catalog.get("base"), child.PROGRAMS["whisper.cpp"]
    with pytest.raises(ModelMissing, match=r"in the format ggml do not exist\. Convert .* eval/convert_ggml.py base"):
        child.weights_for(model, program, settings)
    (tmp_path / "converted").mkdir()
    (tmp_path / "converted/base.ggml").touch()
    assert child.weights_for(model, program, settings) == tmp_path / "converted/base.ggml"
    with pytest.raises(ModelMissing, match="models pull base"):
        child.weights_for(model, child.PROGRAMS["faster-whisper"], settings)


def test_a_program_that_is_missing_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = get_settings().model_copy(update={"models_dir": tmp_path})
    monkeypatch.setattr(ready, "ENVS", tmp_path / "envs")
    monkeypatch.setattr(ready, "installed", lambda module: False)
    entry = read_system("x", {"engine": "whisperx", "model": "base"})
    assert ready.lacks(entry, settings).startswith("Its program is not installed. Install it with `python -m venv ")
    monkeypatch.setattr(ready, "installed", lambda module: True)
    assert "models pull base" in ready.lacks(entry, settings)


def test_our_engine_lacks_its_models(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"models_dir": tmp_path})
    row = {"engine": "stt_lab", "model": "base", "diarize": True}
    assert ready.lacks(read_system("x", row | {"diarizer": "community-1"}), settings) == (
        "Its model is not installed. Fetch it with `stt-lab models pull base community-1`."
    )
    assert "Model 'nope'" in ready.lacks(read_system("x", row | {"model": "nope"}), settings)
    assert ready.lacks(read_system("x", {"engine": "openai-api", "url": "http://x/v1", "model": "m"}), settings) == ""


@pytest.mark.parametrize(
    ("module", "there"), [("json", True), ("json.tool", True), ("none_such", False), ("none_such.deep", False)]
)
def test_whether_a_module_is_installed(module: str, there: bool) -> None:
    assert ready.installed(module) is there


# The loop around a driver


def test_what_a_program_says_of_an_error() -> None:
    assert loop._sentence(ValueError("one\ntwo")) == "ValueError: one"
    assert loop._sentence(KeyError()) == "KeyError: no message"
    assert loop._sentence(ValueError("x" * 999)) == "ValueError: " + "x" * 300
    assert set(loop.installed("pytest", "no-such-package")) == {"pytest"}


def test_a_driver_that_prints_does_not_mix_with_answers(tmp_path: Path) -> None:
    driver = (
        "def load(hello):\n"
        "    print('loading')\n"
        "    def hear(samples, language, speakers):\n"
        "        print('noise')\n"
        "        if language == 'xx':\n"
        "            raise ValueError('no such language')\n"
        "        return {'text': f'{len(samples)} {language} {speakers} {samples.max():.2f}'}\n"
        "    return ('pytest',), hear\n"
    )
    (tmp_path / "talker.py").write_text(driver)
    (tmp_path / "sound").write_bytes(b"\x00\x40" * 8)  # eight samples of one half
    sound = str(tmp_path / "sound")
    requests = [{"sound": sound, "language": "pt", "speakers": 2}, {"sound": sound, "language": "xx"}, {"sound": sound}]
    command = [sys.executable, str(child.DRIVERS / "loop.py"), "talker"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for message in [{"model": "m"}, *requests]:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(20) == 0  # it ends with who asks
    assert set(answers[0]["versions"]) == {"pytest"}
    assert answers[1:] == [
        {"text": "8 pt 2 0.50"},
        {"error": "The program failed on this file: ValueError: no such language"},
        {"text": "8 None 0 0.50"},
    ]


def test_a_driver_that_does_not_load_says_why(tmp_path: Path) -> None:
    command = [sys.executable, str(child.DRIVERS / "loop.py"), "none_such"]
    done = subprocess.run(command, input="{}\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "error": "The program cannot start: ModuleNotFoundError: No module named 'none_such'"
    }
    assert "Traceback" in done.stderr


# Turns of systems


def test_who_begins_changes() -> None:
    assert [runner._rotated("abc", turn) for turn in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]
    assert runner._rotated([], 5) == []


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
    seen: list[Event] = []
    report = runner._patience(5.0, seen.append)
    report(Event("transcribing"))
    now[0] = 5.1
    with pytest.raises(Unavailable, match=r"The recording took longer than 5 s\. Raise timeout_s"):
        report(Event("transcribing"))
    assert seen == [Event("transcribing")]
