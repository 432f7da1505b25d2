"""Operations that describe this installation: models, languages and health."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from stt_lab.errors import NotFound
from stt_lab.pipeline import unfit, usual_model
from stt_lab.registry import current, operation
from stt_lab.runtime import Runtime
from stt_lab.settings import MB, Settings
from stt_lab.text import LANGUAGES
from stt_lab.weights import advice, catalog, devices

GB = 1024 * MB
OWNER = "stt_lab"  # of models without a repository on the hub
TASKS = ("transcribe", "diarize", "embed", "parse", "translate")  # each needs an installed model


@dataclass(frozen=True)
class ModelInfo:
    """A speech recognition model."""

    id: str
    name: str
    languages: int
    speed: str
    available: bool  # installed on this machine
    license: str
    size_mb: int
    device: str


@dataclass(frozen=True)
class ModelEntry:
    """A model as OpenAI's API describes it."""

    id: str
    object: Literal["model"]
    created: int  # always 0: unknown
    owned_by: str  # owner of its repository on the hub


@dataclass(frozen=True)
class ModelList:
    """All speech recognition models, and for OpenAI's clients also the models of embeddings."""

    models: tuple[ModelInfo, ...]
    object: Literal["list"]
    data: tuple[ModelEntry, ...]
    default: str | None = None  # id of the speech model that answers if a request names none; None: none is installed
    note: str = ""  # for people: which one answers, and which would be better here


@dataclass(frozen=True)
class LanguageInfo:
    """A language that can be transcribed."""

    code: str  # ISO 639-1; Whisper's own code where there is none
    name: str


@dataclass(frozen=True)
class LanguageList:
    """All languages that can be transcribed."""

    languages: tuple[LanguageInfo, ...]


@dataclass(frozen=True)
class Health:
    """Whether the server can do its work."""

    status: Literal["ok", "degraded"]
    gpu_available: bool
    gpu_name: str | None
    gpu_memory_mb: int
    missing: tuple[str, ...] = ()  # what is missing, and the command that fixes it
    problems: tuple[str, ...] = ()  # what else keeps the server from its work: disk, database, models, crashes


@operation("GET", "/v1/models", anonymous=True)
def models() -> ModelList:
    """List the speech recognition models, which of them are installed, and which one answers if a request names none.

    `object` and `data` are what OpenAI's clients read; `data` also lists the models of embeddings.
    """
    runtime = current().runtime
    settings, device = runtime.settings, runtime.pool.device
    listed = tuple(
        ModelInfo(m.id, m.name, m.languages, m.speed, catalog.available(m, settings), m.license, m.size_mb, device)
        for m in catalog.models("transcribe")
    )
    usual = usual_model(runtime.pool)
    return ModelList(listed, "list", _entries(), usual.id if usual else None, model_note(runtime))


def model_note(runtime: Runtime) -> str:
    """Say which speech model answers if a request names none, and which would be better here."""
    pool = runtime.pool
    chosen = pool.chosen()
    why = unfit(pool, chosen) if chosen else ""
    said = f"the default model '{chosen}' {why}" if why else ""
    return advice.note(usual_model(pool), said, runtime.settings, pool.device)


@operation("GET", "/v1/models/{id}", anonymous=True)
def model(id: Annotated[str, Field(description="Id of a model, as `models` lists it in `data`")]) -> ModelEntry:
    """Describe a speech recognition or embedding model, as OpenAI's API does."""
    for entry in _entries():
        if entry.id == id:
            return entry
    raise NotFound(f"Model {id[:40]!r} was not found. Choose from {', '.join(entry.id for entry in _entries())}.")


def _entries() -> tuple[ModelEntry, ...]:
    able = [*catalog.models("transcribe"), *catalog.models("embed")]
    return tuple(ModelEntry(m.id, "model", 0, m.repo.partition("/")[0] if m.repo else OWNER) for m in able)


@operation("GET", "/v1/languages", anonymous=True)
def languages() -> LanguageList:
    """List the languages that can be transcribed."""
    return LanguageList(tuple(LanguageInfo(code, name) for code, name in LANGUAGES.items()))


@operation("GET", "/health", anonymous=True)
def health() -> Health:
    """Report whether the server can transcribe: models, device, database, free disk, and engines that crash.

    It answers within a second, with HTTP 200, also where `status` is `degraded`.
    """
    runtime = current().runtime
    settings = runtime.settings
    missing = tuple(
        f"No model to {task} is installed. Run `stt-lab models pull {surest.id}`."
        for task in TASKS
        if (surest := catalog.easiest_to_install(task)) and catalog.best(task, settings) is None
    )
    gpu = devices.gpu()
    name, memory = (gpu.name, gpu.memory_mb) if gpu else (None, 0)
    problems = tuple(filter(None, (_disk(settings), runtime.database_problem(), *runtime.pool.troubles())))
    return Health("degraded" if missing or problems else "ok", gpu is not None, name, memory, missing, problems)


def _disk(settings: Settings) -> str:
    """Return what is wrong with the disk of the data directory; "" if it has room."""
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except FileNotFoundError:  # nothing was stored yet
        return ""
    except OSError:
        return "The disk of the data directory cannot be read."
    if free >= settings.disk_reserve_gb * GB:
        return ""
    return (
        f"The disk of the data directory has {free // MB} MB of free space, less than the reserve of "
        f"{settings.disk_reserve_gb:g} GB. Uploads are refused until space is freed."
    )
