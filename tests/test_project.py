"""The project as a whole: who imports whom, how it starts, and that what is written about it is so."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, link_models, read_manifest
from needs import COMPLETE, needs

from stt_lab import operations, types
from stt_lab.child import SILENT

HEAVY = ("torch", "gradio", "fastapi", "pyannote", "faster_whisper", "ctranslate2", "av", "transformers", "numpy")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def sources() -> list[Path]:
    found = [*sorted((ROOT / "stt_lab").rglob("*.py")), ROOT / "app.py", ROOT / "data" / "make.py"]
    assert len(found) > 25
    return found


def functions() -> Iterator[tuple[str, int]]:
    """Name and lines of every function of the project, tests left out."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.name}: {node.name}", (node.end_lineno or 0) - node.lineno + 1


def tracked() -> list[Path]:
    """Files that git has or would take."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    found = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    assert len(found) > 50
    return found


# Who imports whom


def test_imports_go_downwards() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    contracts = len(PYPROJECT["tool"]["importlinter"]["contracts"])
    assert f"{contracts} kept, 0 broken" in said.stdout


@pytest.mark.parametrize("module", ["stt_lab", "stt_lab.types", "stt_lab.registry", "stt_lab.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert run_python(code) == "[]\n"


def test_import_is_quick() -> None:
    """Processor seconds of the import alone, so that a busy machine fails nobody."""
    code = (
        "from time import process_time as now; begun = now(); import stt_lab; stt_lab.transcribe; print(now() - begun)"
    )
    assert min(float(run_python(code)) for _ in range(3)) < 2  # slow machines among them


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


# Habits


def test_functions_are_short() -> None:
    lengths = dict(functions())
    assert len(lengths) > 200
    assert statistics.median(lengths.values()) <= 12
    assert not [name for name, lines in lengths.items() if lines > 80]


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in sources()}
    assert not {name: lines for name, lines in lengths.items() if lines > 350}


def test_values_are_kept_without_a_lock_of_the_class() -> None:
    """One of functools would let a long text stop all others; a runtime must be made once, whoever asks."""
    used = [path.name for path in sources() if "import cached_property" in path.read_text("utf-8")]
    assert sorted(used) == ["ours.py", "runtime.py"]


SHARED: dict[str, str] = {}  # public class names that may stand in several files of stt_lab, each with its reason


def class_names() -> dict[str, list[str]]:
    """The files of stt_lab that define each public class name, nested classes included."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "stt_lab").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        names = {node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_")}
        for name in names:
            found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


def test_a_class_name_stands_in_one_file() -> None:
    assert len(SHARED) <= 8
    assert all(SHARED.values())
    found = class_names()
    assert len(found) > 200
    assert {name: files for name, files in found.items() if len(files) > 1 and name not in SHARED} == {}
    assert [name for name in SHARED if len(found.get(name, ())) < 2] == []  # reasons that are no longer needed


def test_rooms() -> None:
    """Few modules stand at the top, and no package hides a public function of its name (`stt_lab.jobs`)."""
    top = ROOT / "stt_lab"
    assert len(list(top.glob("*.py"))) <= 16
    packages = {path.parent.name for path in top.glob("*/__init__.py")}
    assert len(packages) > 15
    assert not packages & {*operations.__all__, *types.__all__}


def test_no_machine_paths() -> None:
    places = "|".join(f"/{place}/" for place in ("work", "root", "tmp", "home", "Users", "opt"))
    own = re.compile(rf"""(?<![\w.$}}])(?:{places})\w""")
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {line.strip()[:80]}" for line in text.splitlines() if own.search(line)]
    assert not found, "\n".join(found)


# Tests

# What tests reach into although its name begins with an underscore, and why.
PRIVATE = {
    # of other libraries, which have no other way to it
    "drivers/bare_fake.py": {"_exit"},  # to die at once
    "house.py": {"_mapping"},  # SQLAlchemy's documented name for the columns of a row
    "test_cli.py": {"_actions", "_HelpAction", "_SubParsersAction"},  # argparse does not list what it parses
    "test_clients.py": {"_session"},  # the connections of sttai's client, which has no close()
    "test_documents.py": {"_element", "_p"},  # the XML behind python-docx
    "test_gradio_private.py": {"_queue"},  # that Gradio still has it is what is tested
    "test_models.py": {"_obj"},  # what ctypes.byref points at
    "test_parity.py": {"_actions", "_HelpAction", "_SubParsersAction"},  # as in test_cli.py
    "test_text.py": {"_LANGUAGE_CODES"},  # the list of faster-whisper that ours is compared with
    # of this program: processes and threads that only their owner names
    "test_audio.py": {"_Program"},
    "test_clock.py": {"_lifecycle", "_workers"},
    "test_jobs.py": {"_copy", "_lifecycle", "_workers"},
    "test_lab_runs.py": {"_child"},
    "test_language_models.py": {"_server", "_text"},
    "test_server.py": {"_welcome"},
    "test_speak.py": {"_child", "_lifecycle", "_pieces", "_places"},
    # of this program: steps of an engine that whole recordings and texts do not reach one by one
    "test_pii.py": {"_analyzer", "_engine", "_find"},
    "test_text_engines.py": {"_pooled"},
    "test_translators.py": {"_adds_end", "_read", "_tokens"},
    "test_whisper.py": {
        "_Prompt",
        "_believed",
        "_suppression_reason",
        "_model",
        "_tokenizer",
        "_without_loops",
    },
    # of the laboratory: answers of services and machines that are not here
    "test_lab_importers.py": {"_file", "_fits", "_request", "_split"},
    "test_lab_meter.py": {"_joules", "_note", "_resident"},
    "test_lab_noise.py": {"_Writer", "_envelope", "_jobs"},
    "test_lab_pages.py": {"_drop_paths", "_environ", "_failed", "_sentence", "_sweep", "_turn"},
    "test_lab_systems.py": {
        "_fields",
        "_http",
        "_output_of",
        "_patience",
        "_ready",
        "_refusal",
        "_rotated",
        "_sentence",
    },
}


def test_no_test_imports_another() -> None:
    for name, tree in syntax_of_tests():
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not [one for one in imported if one.startswith("test_")], f"{name}: move what is shared into a helper"


def test_tests_reach_into_few_privates() -> None:
    found = {name: set(privates(tree)) for name, tree in syntax_of_tests()}
    assert {name: reached for name, reached in found.items() if reached} == PRIVATE


def syntax_of_tests() -> Iterator[tuple[str, ast.Module]]:
    """Name and syntax of every file of the tests."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        yield str(path.relative_to(ROOT / "tests")), ast.parse(path.read_text("utf-8"))


def privates(tree: ast.Module) -> Iterator[str]:
    """Names with one underscore in front that are taken of anything but `self` and `cls`, imported, or patched."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "attr" in node.func.attr:
            named = [part.value for part in node.args if isinstance(part, ast.Constant)]
            names = [text.rpartition(".")[2] for text in named if isinstance(text, str)]
        else:
            continue
        yield from (name for name in names if re.fullmatch("_[a-zA-Z].*(?<!_)", name))


def test_what_is_missing_fails_where_nothing_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for name in ("CI", COMPLETE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception, match="chromium"):
        needs("chromium")
    for name in ("CI", COMPLETE):
        monkeypatch.setenv(name, "true")
        with pytest.raises(pytest.fail.Exception, match="chromium"):
            needs("chromium")
        monkeypatch.delenv(name)


def test_models_that_a_person_has_pulled_are_not_seen(tmp_path: Path) -> None:
    for name in ("base", "large-v3", "of-their-own"):
        (tmp_path / "here" / name).mkdir(parents=True)
    assert [path.name for path in link_models(tmp_path / "models", tmp_path / "here").iterdir()] == ["base"]


# Recordings


def make_data(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make data` on a machine that has neither programs, nor a package index, nor weights."""
    alone = {"PATH": "", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "STT_LAB_MODELS_DIR": str(folder / "none")}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | alone
    command = [sys.executable, str(ROOT / "data" / "make.py"), str(folder)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_data_without_a_network(tmp_path: Path) -> None:
    first = make_data(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "prompts is left out: apt-get is not on this machine" in first.stderr
    assert "readings is left out: python" in first.stderr
    for recipe in ("council", "garden", "harbour", "workshop"):
        why = "the weights of kokoro-82m are not installed; run `stt-lab models pull kokoro-82m`"
        assert f"talk-{recipe} is left out: {why}" in first.stderr
    made = read_manifest(tmp_path)
    assert {one.source for one in made} == {"conversation", "nobody"}
    assert len(made) == 7
    assert all(one.path.is_file() for one in made)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    assert "conversation" not in make_data(tmp_path).stderr  # what is there is not made again
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")} == before
    assert {path.name for path in tmp_path.iterdir()} == {"conversation", "nobody", "manifest.jsonl", ".lock"}


def test_data_leaves_other_sets_alone(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text('{"id": "librispeech__1"}\n', "utf-8")
    said = make_data(tmp_path)
    assert said.returncode == 1
    assert "not made here" in said.stderr
    assert list(tmp_path.iterdir()) == [manifest]


# What is written


def test_requirements_are_those_of_the_project() -> None:
    listed = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert listed == PYPROJECT["project"]["dependencies"], "run `make requirements.txt`"
    names = [re.split(r"[<>=!~\[ ]", entry)[0] for entry in listed]
    assert len(names) == len(set(names)) > 10


def test_conda_has_no_second_list() -> None:
    lines = (ROOT / "environment.yml").read_text("utf-8").splitlines()
    wanted = [
        line.strip(" -").split("  #")[0] for line in lines if line.startswith("  - ") or line.startswith("      - ")
    ]
    assert wanted == ["python=3.12", "pip", "pip:", "e .[all,dev]"]


def test_readme_shows_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert re.search(r"^ *(?:\$ )?make run\b", text, re.MULTILINE)
    assert re.search(r"^ *(?:\$ )?make test\b", text, re.MULTILINE)


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")
def test_make_lists_its_targets() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert {"help", "run", "test", "test-all", "check", "data", "models"} <= set(targets())
    assert [line.split()[1] for line in said.splitlines()] == targets()


def test_documents_name_only_targets_that_exist() -> None:
    pages = [path for path in tracked() if path.suffix in (".md", ".py", ".toml", ".yml") and path.name != "Makefile"]
    named = {name for path in pages for name in re.findall(r"`make ([a-z-]+)[`. ]", path.read_text("utf-8"))}
    assert len(named) >= 3
    assert named - set(targets()) <= {"requirements"}


def test_changelog_names_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{PYPROJECT['project']['version']}]" in text


def test_no_library_reports_to_its_maker(tmp_path: Path) -> None:
    """onnxruntime makes a device id and sends events as soon as it is imported, unless a variable forbids it."""
    code = "import stt_lab, onnxruntime; from stt_lab.engines.activity import VoiceActivity; VoiceActivity()"
    environ = {name: value for name, value in os.environ.items() if name not in SILENT} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
    code = "import json, stt_lab; from stt_lab.child import clean_environ; print(json.dumps(clean_environ()))"
    made = subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=120, capture_output=True)
    inherited = json.loads(made.stdout)  # by children, here without what gradio sets in this process
    assert [inherited.get(name) for name in SILENT] == ["1", "0", "1", "disabled", "false"]
