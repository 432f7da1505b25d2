"""Record what a run's numbers depend on: weights, versions, processor, threads, commit; no paths or host names."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stt_lab import __version__
from stt_lab.engines.hosts import instructions
from stt_lab.lab.runs.systems.protocol import System
from stt_lab.settings import Settings
from stt_lab.weights import devices

PACKAGES = (
    "faster-whisper", "ctranslate2", "pyannote.audio", "torch", "onnxruntime", "numpy", "av", "ray",
    "jiwer", "meeteval", "pyannote.metrics", "openai-whisper",
)  # fmt: skip
CHECKOUT = Path(__file__).parents[3]


def provenance(settings: Settings, systems: Iterable[System]) -> dict[str, Any]:
    device = devices.device(settings)
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "stt_lab": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": settings.threads,
        "engine_host": settings.engine_host,
        "cpu_profile": settings.cpu_profile,
        "instructions": instructions(device, settings.cpu_profile),
        "versions": versions(PACKAGES),
        "systems": {system.name: system.provenance() for system in systems},
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the name of the CPU model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def commit() -> str | None:
    """Return the commit of this checkout, with "+" if files were changed; None without a checkout."""
    if not (CHECKOUT / ".git").exists():
        return None
    head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return None if head is None else head + ("+" if changed else "")


def _git(*arguments: str) -> str | None:
    try:
        said = subprocess.run(
            ["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() if said.returncode == 0 else None
