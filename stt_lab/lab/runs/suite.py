"""Read suites from TOML: which systems run over which recordings (eval/suites.toml explains the format)."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.data.dataset import Dataset, Item, read_manifest
from stt_lab.lab.data.importers import read_recordings
from stt_lab.lab.runs.systems import KINDS
from stt_lab.lab.runs.systems.protocol import SystemConfig
from stt_lab.settings import Settings

SPEECH_DIR = "speech_dir"  # as a dataset: the folder of the setting with that name
BY_LANGUAGE = "by language"  # whisper_en for English, whisper for all other languages
SHOWN = 40  # characters of a wrong value that an error quotes
Made = TypeVar("Made")


@dataclass(frozen=True)
class SystemEntry:
    """A system of a suite. `config` is an instance of the engine's class in KINDS."""

    name: str
    engine: str
    config: SystemConfig
    languages: tuple[str, ...] = ()  # it skips recordings in other languages; () = no filter

    def covers(self, item: Item) -> bool:
        return not self.languages or item.language is None or item.language in self.languages


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """The settings of a suite besides its systems. Empty filters keep every recording."""

    dataset: str  # a manifest or its folder, or "speech_dir"
    about: str = ""
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    limit: int = 0  # recordings, sampled with `seed`; 0 = all
    longest_s: float = 0.0  # skips longer recordings; 0 = no limit
    normaliser: str = BY_LANGUAGE
    collar_s: float = 0.0  # on each side of a boundary, for DER and JER
    seed: int = 0
    timeout_s: float = 3600.0  # per recording


@dataclass(frozen=True, kw_only=True)
class Suite(SuiteOptions):
    """The systems, dataset and settings of a run."""

    name: str
    systems: tuple[SystemEntry, ...]

    def with_systems(self, names: Sequence[str]) -> Suite:
        known = {entry.name: entry for entry in self.systems}
        for name in names:
            _known(name, known, f"The suite {self.name!r} has no system")
        return replace(self, systems=tuple(known[name] for name in dict.fromkeys(names)))

    def items(self, dataset: Dataset) -> tuple[Item, ...]:
        """Select the recordings of a run, in the order of the dataset."""
        chosen = [item for item in dataset.items if self._wants(item)]
        if self.limit:
            kept = sorted(chosen, key=lambda item: _draw(self.seed, item.id))[: self.limit]
            ids = {item.id for item in kept}
            chosen = [item for item in chosen if item.id in ids]
        if not chosen:
            raise BadInput(
                f"The filters of the suite {self.name!r} exclude every recording of {dataset.name}. Change them."
            )
        return tuple(chosen)

    def _wants(self, item: Item) -> bool:
        wanted = ((self.kinds, item.kind), (self.sources, item.source), (self.ids, item.id))
        language = not self.languages or item.language in self.languages
        short = not self.longest_s or item.duration is None or item.duration <= self.longest_s
        return language and short and all(not values or value in values for values, value in wanted)

    def as_dict(self) -> dict[str, Any]:
        """Return the suite as JSON values, the inverse of `read_dict`."""
        plain = asdict(replace(self, systems=()))
        plain["systems"] = [_entry_dict(entry) for entry in self.systems]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _draw(seed: int, id: str) -> bytes:
    """Return a sort key for sampling that depends on the id alone, so that a larger limit only adds recordings."""
    return hashlib.sha256(f"{seed} {id}".encode()).digest()


def _entry_dict(entry: SystemEntry) -> dict[str, Any]:
    config: dict[str, Any] = asdict(entry.config)  # type: ignore[call-overload]  # every Kind is a dataclass
    return {"name": entry.name, "engine": entry.engine, "languages": list(entry.languages), **config}


# Reading


@dataclass(frozen=True)
class _File:
    """The top-level tables of a suites file."""

    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Table(SuiteOptions):
    """One table of `suites`."""

    systems: tuple[str, ...]


def read_suites(path: Path) -> dict[str, Suite]:
    """Read the suites of a TOML file by name. Raises BadInput with the table and the field."""
    file, systems = _read(path)
    return {name: _suite(name, row, systems) for name, row in file.suites.items()}


def read_systems(path: Path) -> dict[str, SystemEntry]:
    """Read all systems of a suites file, including those that no suite uses."""
    return _read(path)[1]


def _read(path: Path) -> tuple[_File, dict[str, SystemEntry]]:
    if not path.is_file():
        raise MissingFile(f"No suites file was found at {path}. Pass one with --suites.")
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path.name} is not TOML: {problem}.") from None
    file = _made(_File, table, path.name)
    return file, {name: read_system(name, row) for name, row in file.systems.items()}


def read_dict(row: Mapping[str, Any]) -> Suite:
    """Build a suite from the values of `Suite.as_dict`."""
    rest = dict(row)
    rows = [dict(one) for one in rest.pop("systems", ())]
    systems = {(name := one.pop("name", "")): read_system(name, one) for one in rows}
    return _suite(rest.pop("name", ""), rest | {"systems": list(systems)}, systems)


def _suite(name: str, row: Mapping[str, Any], systems: Mapping[str, SystemEntry]) -> Suite:
    where = f"The suite {name!r}"
    made = _made(_Table, row, where)
    if not made.systems:
        raise BadInput(f"{where} has no systems. List some of {', '.join(systems) or 'your own'}.")
    for system in made.systems:
        _known(system, systems, f"{where} has an unknown system")
    if min(made.limit, made.longest_s, made.collar_s) < 0 or made.timeout_s <= 0:
        raise BadInput(f"{where} has a negative limit, longest_s, collar_s or timeout_s. Use positive numbers.")
    plain = {field.name: getattr(made, field.name) for field in fields(SuiteOptions)}
    return Suite(name=name, systems=tuple(systems[one] for one in dict.fromkeys(made.systems)), **plain)


def read_system(name: str, row: Mapping[str, Any]) -> SystemEntry:
    """Read one table of `systems`: `engine`, `languages`, and the fields of that engine."""
    where, rest = f"The system {name!r}", dict(row)
    engine = _known(str(rest.pop("engine", "")), KINDS, f"{where} has an unknown engine")
    languages = rest.pop("languages", [])
    if not isinstance(languages, list) or not all(isinstance(one, str) for one in languages):
        raise BadInput(f'{where} has languages that are not a list of codes. Write languages = ["en"].')
    return SystemEntry(name, engine, _made(KINDS[engine], rest, where), tuple(languages))


def _known(name: str, known: Iterable[str], sentence: str) -> str:
    names = list(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(names) or 'none'}."
    raise BadInput(f"{sentence} {name[:SHOWN]!r}. {hint}")


def _made(kind: type[Made], row: Mapping[str, Any], where: str) -> Made:
    """Build a dataclass from a table. Unknown fields are refused, because a misspelt one would go unnoticed."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in row:
        _known(name, known, f"{where} has an unknown field")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(row, default=str), strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        if first["type"].startswith("missing"):
            raise BadInput(f"{where} lacks the field {place!r}. Add it.") from None
        shown = repr(first["input"])[:SHOWN]
        raise BadInput(f"{where} cannot have {place} = {shown}. {first['msg']}.") from None


# Datasets


def open_dataset(suite: Suite, base: Path, settings: Settings) -> Dataset:
    """Open the dataset of a suite; its path is relative to `base`."""
    if suite.dataset == SPEECH_DIR:
        if not settings.speech_dir.is_dir():
            raise MissingFile("The folder of recordings does not exist. Set STT_LAB_SPEECH_DIR, or run `make data`.")
        return read_recordings(settings.speech_dir)
    return read_manifest(base / Path(suite.dataset).expanduser())


def own_dataset(suite: Suite, path: Path) -> Suite:
    """Replace the dataset of a suite and clear its filters, which are about its own dataset."""
    none: dict[str, Any] = {"kinds": (), "sources": (), "languages": (), "ids": (), "longest_s": 0.0}
    return replace(suite, dataset=str(path.absolute()), **none)


def moved(suite: Suite, base: Path, folder: Path) -> Suite:
    """Return the suite with its dataset's path relative to `folder`, where it will be stored."""
    if suite.dataset == SPEECH_DIR:
        return suite
    return replace(suite, dataset=os.path.relpath(base / Path(suite.dataset).expanduser(), folder))


def normaliser_of(language: str | None) -> str:
    """Return the normaliser of a language, for BY_LANGUAGE."""
    return "whisper_en" if language in (None, "en") else "whisper"
