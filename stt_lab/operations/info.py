"""Operations that say what this installation has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stt_lab.registry import current, operation
from stt_lab.text import LANGUAGES
from stt_lab.weights import catalog, devices

TASKS = ("transcribe", "diarize", "embed", "parse", "translate")  # without which something does not work at all


@dataclass(frozen=True)
class ModelInfo:
    id: str
    name: str
    languages: int
    speed: str
    available: bool  # on this machine
    license: str
    size_mb: int
    device: str


@dataclass(frozen=True)
class ModelList:
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True)
class LanguageInfo:
    code: str  # ISO 639-1, or what Whisper uses where there is none
    name: str


@dataclass(frozen=True)
class LanguageList:
    languages: tuple[LanguageInfo, ...]


@dataclass(frozen=True)
class Health:
    status: Literal["ok", "degraded"]
    gpu_available: bool
    gpu_name: str | None
    gpu_memory_mb: int
    missing: tuple[str, ...] = ()  # what is down, and what mends it


@operation("GET", "/v1/models")
def models() -> ModelList:
    """List the transcribers, and which of them are on this machine."""
    settings = current().runtime.settings
    device = devices.device(settings)
    return ModelList(
        tuple(
            ModelInfo(m.id, m.name, m.languages, m.speed, catalog.available(m, settings), m.license, m.size_mb, device)
            for m in catalog.models("transcribe")
        )
    )


@operation("GET", "/v1/languages")
def languages() -> LanguageList:
    """List the languages that can be transcribed."""
    return LanguageList(tuple(LanguageInfo(code, name) for code, name in LANGUAGES.items()))


@operation("GET", "/health")
def health() -> Health:
    """Say whether everything is there that transcriptions and texts need."""
    settings = current().runtime.settings
    missing = tuple(
        f"no model that can {task} is here: `stt-lab models pull {surest.id}`"
        for task in TASKS
        if (surest := catalog.easiest_to_install(task)) and catalog.best(task, settings) is None
    )
    gpu = devices.gpu()
    name, memory = (gpu.name, gpu.memory_mb) if gpu else (None, 0)
    return Health("degraded" if missing else "ok", gpu is not None, name, memory, missing)
