"""List the datasets and systems that the page of the laboratory offers, and begin runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stt_lab.errors import BadInput, NotFound
from stt_lab.lab.data.dataset import MANIFEST, Dataset
from stt_lab.lab.data.importers import has_recordings, read_recordings
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.lab.runs.runner import Run, create
from stt_lab.lab.runs.suite import BY_LANGUAGE, SPEECH_DIR, Suite, SystemEntry, read_system, read_systems
from stt_lab.lab.runs.systems.protocol import KNOWN
from stt_lab.lab.runs.systems.ready import lacks
from stt_lab.lab.scoring.measures import voices
from stt_lab.settings import Settings
from stt_lab.text import language_code
from stt_lab.weights import catalog

PACKAGE = Path(__file__).parents[1]
SUITES = (PACKAGE.parents[1] / "eval" / "suites.toml", PACKAGE / "shipped" / "suites.toml")  # checkout, installation
OWN_SUITES = "suites.toml"  # in the laboratory's folder: systems that the administrator adds
LONGEST_NAME = 60  # characters, of up to four bytes each


@dataclass(frozen=True)
class SystemChoice:
    """A system, and why it cannot run here; "" if it can."""

    entry: SystemEntry
    lacks: str


@dataclass(frozen=True)
class RunRequest:
    """A run as the page requests it."""

    dataset: str  # of `datasets`
    systems: tuple[SystemEntry, ...]
    name: str  # of the run
    limit: int = 0  # recordings; 0 = all
    normaliser: str = BY_LANGUAGE


def checked_name(name: str, what: str) -> str:
    """Check a name that becomes a folder's name. Raises BadInput."""
    name = name.strip().rstrip(" .")
    plain = all(char.isalnum() or char in " ._-" for char in name)
    if not name or not name[0].isalnum() or not plain or len(name) > LONGEST_NAME or name == SPEECH_DIR:
        rule = f"a letter or digit, then letters, digits, spaces, dots, - and _; at most {LONGEST_NAME} characters"
        raise BadInput(f"{name[:LONGEST_NAME]!r} is not a valid name for {what}. Use {rule}.")
    return name


# Datasets


def datasets(lab: Evaluations) -> dict[str, str]:
    """Return the display name of each dataset by its key for `dataset_of`."""
    here = {SPEECH_DIR: "Recordings of this server (speech_dir)"}
    found = here if has_recordings(lab.settings.speech_dir) else {}
    return found | {path.parent.name: path.parent.name for path in sorted(lab.datasets.glob(f"[!.]*/{MANIFEST}"))}


def _place(lab: Evaluations, name: str) -> Path:
    if name not in datasets(lab):
        raise NotFound(f"The dataset {name[:LONGEST_NAME]!r} was not found. Choose one from the list.")
    return lab.settings.speech_dir.absolute() if name == SPEECH_DIR else lab.datasets / name


def dataset_of(lab: Evaluations, name: str) -> Dataset:
    """Read a dataset by its key. Raises NotFound."""
    return read_recordings(_place(lab, name))


@dataclass(frozen=True)
class DatasetFacts:
    """Size of a dataset, and how many recordings have which references."""

    recordings: int
    seconds: float | None  # None: a duration is missing in its manifest
    languages: Mapping[str, int]  # recordings by code; "" = unknown
    words: int  # recordings of one speaker with a text
    speakers: int  # recordings with turns
    silent: int  # recordings without speech


def facts(dataset: Dataset) -> DatasetFacts:
    """Summarise a dataset."""
    items = dataset.items
    lengths = [item.duration for item in items if item.duration is not None]
    return DatasetFacts(
        recordings=len(items),
        seconds=sum(lengths) if len(lengths) == len(items) else None,
        languages=dict(Counter(item.language or "" for item in items).most_common()),
        words=sum(bool(item.text) and voices(item) == 1 for item in items),
        speakers=sum(bool(item.turns) for item in items),
        silent=sum(item.text == "" for item in items),
    )


# Systems


def systems(lab: Evaluations) -> tuple[SystemChoice, ...]:
    """List the systems of the shipped suites and of the administrator's suites.toml."""
    shipped = next((path for path in SUITES if path.is_file()), None)
    files = [path for path in (shipped, lab.folder / OWN_SUITES) if path is not None and path.is_file()]
    entries: dict[str, SystemEntry] = {}
    for path in files:
        entries |= read_systems(path)
    return tuple(SystemChoice(entry, lacks(entry, lab.settings)) for entry in entries.values())


def models(settings: Settings) -> tuple[catalog.Model, ...]:
    """List installed transcription models, best first."""
    return tuple(model for model in catalog.models("transcribe") if catalog.available(model, settings))


def our_system(model: str, language: str, diarize: bool) -> SystemEntry:
    """Return our engine with one model as a system. `language`: auto, known, or a code."""
    spoken = language if language in ("auto", KNOWN) else language_code(language)
    name = f"{model}, {spoken}{', speakers' if diarize else ''}"
    row = {"engine": "stt_lab", "model": model, "language": spoken, "diarize": diarize}
    only = {"languages": ["en"]} if catalog.get(model, catalog.models("transcribe")).languages == 1 else {}
    return read_system(name, row | only)


def chosen(lab: Evaluations, names: Iterable[str], own: Sequence[SystemEntry]) -> tuple[SystemEntry, ...]:
    """Select systems by name, and add our own. Raises BadInput if one is unknown or cannot run, or none is selected."""
    known = {choice.entry.name: choice for choice in systems(lab)}
    wanted = []
    for name in names:
        if name not in known:
            raise BadInput(f"Unknown system {name[:60]!r}. Choose one from the list.")
        wanted.append(known[name])
    wanted += [SystemChoice(entry, lacks(entry, lab.settings)) for entry in own]
    if not wanted:
        raise BadInput("No system is selected. Select a system or an installed model.")
    for choice in wanted:
        if choice.lacks:
            raise BadInput(f"{choice.entry.name} cannot run here. {choice.lacks}")
    return tuple({choice.entry.name: choice.entry for choice in wanted}.values())


def begin(lab: Evaluations, request: RunRequest) -> Run:
    """Create a run that can be started. Raises BadInput if its name is taken."""
    name = checked_name(request.name, "the run")
    if request.limit < 0:
        raise BadInput(f"The number of recordings cannot be {request.limit}. Use 0 for all, or a positive number.")
    if (lab.runs / name).exists():
        raise BadInput(f"A run called {name!r} already exists. Choose another name, or resume it.")
    dataset = SPEECH_DIR if request.dataset == SPEECH_DIR else str(_place(lab, request.dataset))
    suite = Suite(
        name=name, dataset=dataset, systems=request.systems, limit=request.limit, normaliser=request.normaliser
    )
    return create(suite, lab.runs, lab.settings, lab.folder, name)
