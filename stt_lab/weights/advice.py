"""Which speech model would make fewer errors here than the one that answers, as a sentence for people."""

from __future__ import annotations

import os

from stt_lab.settings import MB, Settings
from stt_lab.weights import catalog, devices
from stt_lab.weights.catalog import Model
from stt_lab.weights.figures import WerFigure, figures, makes_fewer

GB_MB = 1000  # catalog's MB are 10^6 bytes
PLACE = "Account → Models"  # of the page
NOTHING = f"No speech model is installed here. An administrator can download one: {PLACE}."


def better(model: Model, settings: Settings, device: str, known: tuple[WerFigure, ...]) -> Model | None:
    """Return the model that should make the fewest errors on this machine, if that is another one.

    Measured figures decide where they tell two models apart, otherwise the catalog's order. Its weights must fit into
    the memory of the device.
    """
    best = model
    for other in catalog.models("transcribe"):
        if other.for_tests or (other.languages == 1 and model.languages != 1) or not _fits(other, device):
            continue
        if not catalog.unaccepted(other, settings) and _beats(other, best, known):
            best = other
    return None if best is model else best


def _beats(one: Model, other: Model, known: tuple[WerFigure, ...]) -> bool:
    fewer = makes_fewer(one.id, other.id, known)
    order = catalog.models("transcribe")
    return order.index(one) < order.index(other) if fewer is None else fewer


def _fits(model: Model, device: str) -> bool:
    """Return whether the weights alone fit into the memory of the device, if that is known."""
    gpu = devices.gpu() if device == "cuda" else None
    memory = gpu.memory_mb if gpu else memory_mb()
    return memory is None or model.size_mb < memory


def memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MB
    except (AttributeError, OSError, ValueError):  # another system
        return None


def note(model: Model | None, why: str, settings: Settings, device: str) -> str:
    """Say which model answers if a request names none, and which would be better. `why`: it is not what was meant."""
    if model is None:
        return NOTHING
    known = figures(settings)
    said = [f"{model.name} answers here{f', because {why}' if why else ''}."]
    if other := better(model, settings, device, known):
        said.append(_advice(other, model, settings, known))
    return " ".join(said)


def _advice(other: Model, model: Model, settings: Settings, known: tuple[WerFigure, ...]) -> str:
    measured = makes_fewer(other.id, model.id, known)
    errors = "makes fewer errors (measured)" if measured else "should make fewer errors (not measured here)"
    if catalog.available(other, settings):
        return f"{other.name} {errors}, and is installed: choose it from the list."
    return f"{other.name} {errors}; it is not installed ({_size(other.size_mb)}): {PLACE}."


def _size(mb: int) -> str:
    return f"{mb / GB_MB:.1f}\u00a0GB" if mb >= GB_MB else f"{mb}\u00a0MB"
