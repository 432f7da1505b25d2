"""For all tests: settings of their own, and recordings with references."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import platformdirs
import pytest

from stt_lab.settings import PREFIX, Settings, get_settings
from stt_lab.types import Segment, Turn
from stt_lab.weights import catalog

ROOT = Path(__file__).parents[1]
KEPT = {f"{PREFIX}MODELS_DIR", f"{PREFIX}SPEECH_DIR"}  # all other settings of whoever runs the tests stay outside
MOST = 8  # processes of tests; each may hold 2 GB of models


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX) and name not in KEPT]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job: children would too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault(f"{PREFIX}SPEECH_DIR", str(ROOT / "data" / "speech"))
    os.environ[f"{PREFIX}THREADS"] = "1"  # several processes of tests share the processors
    folder = Path(tempfile.mkdtemp(prefix="stt_lab-tests-"))  # of each process of tests
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    (folder / "data").mkdir()
    os.environ[f"{PREFIX}MODELS_DIR"] = str(link_models(folder / "models", Settings().models_dir))
    os.environ[f"{PREFIX}DATA_DIR"] = str(folder / "data")
    os.environ["HF_HUB_CACHE"] = str(folder / "hub")
    hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine fails nobody
    hypothesis.settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """As many processes as this one may use processors; `auto` itself would count cores without their threads."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, MOST)


def link_models(folder: Path, here: Path) -> Path:
    """A folder with links to the weights that `make test` has pulled, and to nothing else that lies beside them."""
    folder.mkdir()
    for model in catalog.models():
        if model.packages and not model.by_name and (here / model.id).exists():
            (folder / model.id).symlink_to((here / model.id).resolve())
    return folder


@dataclass(frozen=True)
class Recording:
    """A line of a manifest. Without a `text` there is no reference that can be trusted."""

    id: str
    path: Path
    kind: str
    duration: float
    language: str | None
    text: str | None
    rttm: Path | None
    parts: Path | None  # JSON: start, end, speaker and text of what is said

    @property
    def source(self) -> str:
        return self.id.split("__")[0]

    def turns(self) -> list[Turn]:
        assert self.rttm is not None, self.id
        rows = [line.split() for line in self.rttm.read_text("utf-8").splitlines() if line.startswith("SPEAKER")]
        return [Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]

    def segments(self) -> list[Segment]:
        assert self.parts is not None, self.id
        rows = json.loads(self.parts.read_text("utf-8"))
        return [Segment(row["start"], row["end"], row["text"], speaker=row["speaker"]) for row in rows]


Choose = Callable[..., list[Recording]]


def read_manifest(folder: Path) -> list[Recording]:
    manifest = folder / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()] if manifest.exists() else []
    return [
        Recording(
            id=row["id"],
            path=folder / row["path"],
            kind=row["kind"],
            duration=row["duration_s"],
            language=row.get("language"),
            text=row.get("text"),
            rttm=folder / row["rttm"] if "rttm" in row else None,
            parts=folder / row["segments"] if "segments" in row else None,
        )
        for row in rows
    ]


def choose_from(recordings: list[Recording], **wanted: str | None) -> list[Recording]:
    """Recordings whose fields have the wanted values, in the manifest's order."""
    return [one for one in recordings if all(getattr(one, field) == value for field, value in wanted.items())]


@pytest.fixture(scope="session")
def made_data() -> Choose:
    """What `make data` makes: of this checkout, else kept in the user's cache. Tests on it never skip."""
    here = ROOT / "data" / "speech"
    folder = here if (here / "manifest.jsonl").exists() else Path(platformdirs.user_cache_dir("stt_lab")) / "speech"
    subprocess.run([sys.executable, ROOT / "data" / "make.py", folder], check=True)
    recordings = read_manifest(folder)

    def choose(**wanted: str | None) -> list[Recording]:
        chosen = choose_from(recordings, **wanted)
        assert chosen, f"make data made nothing with {wanted}"
        return chosen

    return choose


@pytest.fixture(scope="session")
def recordings() -> Choose:
    """A richer set, where the setting speech_dir names one; a test that wants what is not in it skips."""
    everything = read_manifest(get_settings().speech_dir)

    def choose(**wanted: str | None) -> list[Recording]:
        chosen = choose_from(everything, **wanted)
        if not chosen:
            pytest.skip(f"STT_LAB_SPEECH_DIR has no recordings with {wanted}")
        return chosen

    return choose


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where the embedded weights are: `make test` fetches them first."""
    return get_settings().models_dir
