"""Operations for administrators on what is installed, and where data lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stt_lab.errors import BadInput, Conflict
from stt_lab.pipeline import usual_model
from stt_lab.registry import JobSpec, current, operation
from stt_lab.settings import MB
from stt_lab.types import Event
from stt_lab.weights import catalog, figures
from stt_lab.weights.catalog import Model
from stt_lab.weights.figures import WerFigure

if TYPE_CHECKING:
    from stt_lab.store.speeds import RecognitionSpeed

PATH = "/api/v1/models"
DATA = "STT_LAB_DATA_DIR"
FILES_COUNTED = 1_000_000  # of a folder; more are not counted


@dataclass(frozen=True)
class CatalogModel:
    """A model that this program knows, installed or not."""

    id: str
    task: str
    name: str
    languages: int
    license: str
    size_mb: int  # of its download
    speed: str
    installed: bool
    source: str | None  # where its weights are: own path, installed package, models dir or hub cache
    removable: bool  # whether `delete_model` can delete its weights
    default: bool  # whether it does its task if a request names no model
    chosen: bool  # whether an administrator made it the default
    problem: str  # why it is off, such as a licence that was not accepted; "" if it is not
    measured: tuple[WerFigure, ...] = ()  # word errors in its newest evaluation run; () if it was not measured
    rtf: float | None = None  # seconds of recognition per second of sound on this server, the median; None: unknown
    rtf_recordings: int = 0  # its newest recordings here, of which that is the median


@dataclass(frozen=True)
class CatalogList:
    count: int
    results: tuple[CatalogModel, ...]


@dataclass(frozen=True)
class DeletedModel:
    id: str
    freed_mb: int


@dataclass(frozen=True)
class StoredData:
    """A kind of data on the server's disk."""

    kind: str
    setting: str  # environment variable of its folder
    mb: float
    files: int


@dataclass(frozen=True)
class Storage:
    """Where data lies, and how much."""

    places: tuple[StoredData, ...]
    free_mb: int
    retention_days: int  # after which transcripts are deleted with their recordings (STT_LAB_RETENTION_DAYS); 0: never
    keep_audio: bool  # whether recordings of stored transcripts are kept (STT_LAB_KEEP_AUDIO)


Id = Annotated[str, Field(description="Id of the model, as `list_models` shows it")]


@operation("GET", f"{PATH}/", scope="admin")
def list_models() -> CatalogList:
    """List the models for all tasks, installed or not, with size and licence (administrators only).

    Speech models also have their word errors, measured by the laboratory here or else by the project, and their speed,
    measured over recordings of this server.
    """
    known = _worth()
    shown = tuple(_shown(model, known) for model in catalog.models() if not model.for_tests)
    return CatalogList(len(shown), shown)


def _pull_stages(**unused: object) -> dict[str, float]:
    return {"downloading": 1.0}


@operation("POST", f"{PATH}/{{id}}/", scope="admin", job=JobSpec(_pull_stages))
def pull_model(id: Id) -> CatalogModel:
    """Download a model and the models that it requires (administrators only).

    One that is installed and intact is not downloaded again. With `background`, the job shows the progress.
    """
    from stt_lab.weights.pull import pull  # slow to import

    context = current()

    def progress(what: str, done: int, total: int) -> None:
        context.report(Event("downloading", min(1.0, done / total) if total else 0.0, what))

    model = catalog.get(id)
    pull(model.id, context.runtime.settings, progress)
    return _shown(model, _worth())


@operation("DELETE", f"{PATH}/{{id}}/", scope="admin")
def delete_model(id: Id) -> DeletedModel:
    """Delete the weights of a model that was downloaded (administrators only).

    Weights in installed packages, in the hub's cache or in a folder of your own stay. Work that has begun goes on.
    """
    from stt_lab.weights.pull import remove  # slow to import

    model, settings = catalog.get(id), current().runtime.settings
    folder = settings.models_dir / model.id
    if not _removable(model):
        raise Conflict(
            f"The weights of '{model.id}' are not in STT_LAB_MODELS_DIR, so they cannot be deleted here. Remove their "
            "package, their entry in STT_LAB_MODEL_PATHS, or their folder in the hub's cache."
        )
    freed = _size(folder)[0]
    remove(model, settings)
    return DeletedModel(model.id, round(freed / MB))


@operation("PATCH", f"{PATH}/{{id}}/", scope="admin")
def choose_model(
    id: Id,
    default: Annotated[
        bool, Field(description="Whether it answers where a request names no speech model; false: choose automatically")
    ] = True,
) -> CatalogModel:
    """Make an installed speech model the default, or no longer (administrators only).

    It holds at once and after a restart. While the chosen model is not installed, or cannot do what a request asks for,
    another one answers with a warning.
    """
    runtime, model = current().runtime, catalog.get(id, catalog.models("transcribe"))
    if model.task != "transcribe":
        able = ", ".join(catalog.names(catalog.models("transcribe")))
        raise BadInput(f"The model '{model.id}' does not recognise speech. Choose from {able}.")
    if default and not catalog.available(model, runtime.settings):
        raise Conflict(
            f"The model '{model.id}' is not installed. Download it first, with `stt-lab models pull {model.id}`."
        )
    if default or runtime.chosen_model() == model.id:
        runtime.choose_model(model.id if default else "")
    return _shown(model, _worth())


@operation("GET", "/api/v1/storage/", scope="admin", heavy=True)
def storage() -> Storage:
    """Show where the server keeps data, how much there is, and how long it is kept (administrators only)."""
    settings, library = current().runtime.settings, current().runtime.library
    folders = {
        "recordings": (library.audio_dir, DATA),
        "uploads and results of jobs": (settings.uploads_dir, DATA),
        "work in progress": (settings.work_dir, DATA),
        "models": (settings.models_dir, "STT_LAB_MODELS_DIR"),
        "everything in the data directory": (settings.data_dir, DATA),
    }
    places = []
    for kind, (folder, setting) in folders.items():
        size, files = _size(folder)
        places.append(StoredData(kind, setting, round(size / MB, 1), files))
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data_dir).free // MB
    return Storage(tuple(places), free, settings.retention_days, settings.keep_audio)


@dataclass(frozen=True)
class _Worth:
    """What is known of the speech models: which one answers by default, and their errors and speed."""

    usual: str  # id; "" if none is installed
    chosen: str  # id of the one that the administrator chose; "" if none was
    figures: tuple[WerFigure, ...]
    speeds: Mapping[str, RecognitionSpeed]


def _worth() -> _Worth:
    from stt_lab.store.speeds import speeds  # slow to import

    runtime, measured = current().runtime, figures.figures(current().runtime.settings)
    answers = usual_model(runtime.pool)
    usual, chosen = answers.id if answers else "", runtime.chosen_model()
    database = runtime.existing_database
    if database is None:  # plain Python, before anything was stored
        return _Worth(usual, chosen, measured, {})
    with database.read() as session:
        return _Worth(usual, chosen, measured, speeds(session, runtime.pool.device))


def _shown(model: Model, known: _Worth) -> CatalogModel:
    settings, speed = current().runtime.settings, known.speeds.get(model.id)
    found, best = catalog.find(model, settings), catalog.best(model.task, settings)
    usual = known.usual if model.task == "transcribe" else best and best.id
    return CatalogModel(
        id=model.id,
        task=model.task,
        name=model.name,
        languages=model.languages,
        license=model.license,
        size_mb=model.size_mb,
        speed=model.speed,
        installed=catalog.available(model, settings),
        source=found.source if found else None,
        removable=_removable(model),
        default=usual == model.id,
        chosen=known.chosen == model.id,
        problem=catalog.unaccepted(model, settings),
        measured=figures.newest(model.id, known.figures),
        rtf=speed.rtf if speed else None,
        rtf_recordings=speed.recordings if speed else 0,
    )


def _removable(model: Model) -> bool:
    settings = current().runtime.settings
    found = catalog.find(model, settings) if model.files else None
    return found is not None and found.source == "models dir" and not found.path.is_symlink()


def _size(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of the files in a folder."""
    size = count = 0
    for path in _files(folder):
        try:
            size += path.lstat().st_size
            count += 1
        except OSError:  # deleted meanwhile
            continue
        if count >= FILES_COUNTED:
            break
    return size, count


def _files(folder: Path) -> Iterator[Path]:
    return (Path(base) / name for base, _, names in os.walk(folder) for name in names)
