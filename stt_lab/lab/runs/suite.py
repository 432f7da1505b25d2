"""Suites: which systems are run over which recordings, as a table in TOML (eval/suites.toml says how)."""

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
from stt_lab.lab.runs.systems import KINDS
from stt_lab.lab.runs.systems.protocol import SystemConfig
from stt_lab.settings import Settings

SPEECH_DIR = "speech_dir"  # as a dataset: what the setting of that name says
BY_LANGUAGE = "by language"  # whisper_en for English, whisper for all others
SHOWN = 40  # characters of a wrong value that an error repeats
Made = TypeVar("Made")


@dataclass(frozen=True)
class SystemEntry:
    """A system of a suite. `config` is of the class that belongs to the engine."""

    name: str
    engine: str
    config: SystemConfig
    languages: tuple[str, ...] = ()  # recordings in other languages are left out for it; () keeps all

    def covers(self, item: Item) -> bool:
        return not self.languages or item.language is None or item.language in self.languages


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """What a suite says besides its systems. Filters that are empty keep everything."""

    dataset: str  # a manifest or its folder, or "speech_dir"
    about: str = ""
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    limit: int = 0  # recordings, drawn by `seed`; 0 keeps all
    longest_s: float = 0.0  # leaves out longer recordings; 0 keeps all
    normaliser: str = BY_LANGUAGE
    collar_s: float = 0.0  # on each side of a boundary of DER and JER
    seed: int = 0
    timeout_s: float = 3600.0  # for one recording


@dataclass(frozen=True, kw_only=True)
class Suite(SuiteOptions):
    """What a run does."""

    name: str
    systems: tuple[SystemEntry, ...]

    def with_systems(self, names: Sequence[str]) -> Suite:
        known = {entry.name: entry for entry in self.systems}
        for name in names:
            _known(name, known, f"The suite {self.name!r} has no system")
        return replace(self, systems=tuple(known[name] for name in dict.fromkeys(names)))

    def items(self, dataset: Dataset) -> tuple[Item, ...]:
        """The recordings that a run is about, in the order of the dataset."""
        chosen = [item for item in dataset.items if self._wants(item)]
        if self.limit:
            kept = sorted(chosen, key=lambda item: _draw(self.seed, item.id))[: self.limit]
            ids = {item.id for item in kept}
            chosen = [item for item in chosen if item.id in ids]
        if not chosen:
            raise BadInput(f"The suite {self.name!r} leaves no recording of {dataset.name}: change its filters.")
        return tuple(chosen)

    def _wants(self, item: Item) -> bool:
        wanted = ((self.kinds, item.kind), (self.sources, item.source), (self.ids, item.id))
        language = not self.languages or item.language in self.languages
        short = not self.longest_s or item.duration is None or item.duration <= self.longest_s
        return language and short and all(not values or value in values for values, value in wanted)

    def as_dict(self) -> dict[str, Any]:
        """The suite as `read_dict` takes it."""
        plain = asdict(replace(self, systems=()))
        plain["systems"] = [_entry_dict(entry) for entry in self.systems]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _draw(seed: int, id: str) -> bytes:
    """A place in a shuffle that does not depend on the other recordings, so a larger limit only adds some."""
    return hashlib.sha256(f"{seed} {id}".encode()).digest()


def _entry_dict(entry: SystemEntry) -> dict[str, Any]:
    config: dict[str, Any] = asdict(entry.config)  # type: ignore[call-overload]  # every Kind is a dataclass
    return {"name": entry.name, "engine": entry.engine, "languages": list(entry.languages), **config}


# Reading


@dataclass(frozen=True)
class _File:
    """The tables of a file of suites."""

    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Table(SuiteOptions):
    """A table of `suites`."""

    systems: tuple[str, ...]


def read_suites(path: Path) -> dict[str, Suite]:
    """The suites of a TOML file, by name. Raises BadInput, which names the table and the field."""
    file, systems = _read(path)
    return {name: _suite(name, row, systems) for name, row in file.suites.items()}


def read_systems(path: Path) -> dict[str, SystemEntry]:
    """The systems of such a file, also those that no suite names."""
    return _read(path)[1]


def _read(path: Path) -> tuple[_File, dict[str, SystemEntry]]:
    if not path.is_file():
        raise MissingFile(f"There is no file of suites at {path}: name one with --suites.")
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path.name} is not TOML: {problem}.") from None
    file = _made(_File, table, path.name)
    return file, {name: read_system(name, row) for name, row in file.systems.items()}


def read_dict(row: Mapping[str, Any]) -> Suite:
    """The inverse of `Suite.as_dict`."""
    rest = dict(row)
    rows = [dict(one) for one in rest.pop("systems", ())]
    systems = {(name := one.pop("name", "")): read_system(name, one) for one in rows}
    return _suite(rest.pop("name", ""), rest | {"systems": list(systems)}, systems)


def _suite(name: str, row: Mapping[str, Any], systems: Mapping[str, SystemEntry]) -> Suite:
    where = f"The suite {name!r}"
    made = _made(_Table, row, where)
    if not made.systems:
        raise BadInput(f"{where} names no system: list some of {', '.join(systems) or 'your own'}.")
    for system in made.systems:
        _known(system, systems, f"{where} names a system that is not there,")
    if min(made.limit, made.longest_s, made.collar_s) < 0 or made.timeout_s <= 0:
        raise BadInput(f"{where} has a negative limit, longest_s, collar_s or timeout_s: give positive numbers.")
    plain = {field.name: getattr(made, field.name) for field in fields(SuiteOptions)}
    return Suite(name=name, systems=tuple(systems[one] for one in dict.fromkeys(made.systems)), **plain)


def read_system(name: str, row: Mapping[str, Any]) -> SystemEntry:
    """A table of `systems`: `engine`, `languages`, and the fields of that engine."""
    where, rest = f"The system {name!r}", dict(row)
    engine = _known(str(rest.pop("engine", "")), KINDS, f"{where} needs an engine that is known; there is no")
    languages = rest.pop("languages", [])
    if not isinstance(languages, list) or not all(isinstance(one, str) for one in languages):
        raise BadInput(f'{where} has languages that are no list of codes: write languages = ["en"].')
    return SystemEntry(name, engine, _made(KINDS[engine], rest, where), tuple(languages))


def _known(name: str, known: Iterable[str], sentence: str) -> str:
    names = list(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names) or 'none'}."
    raise BadInput(f"{sentence} {name[:SHOWN]!r}: {hint}")


def _made(kind: type[Made], row: Mapping[str, Any], where: str) -> Made:
    """A dataclass from a table. Unknown fields are refused: a misspelt one would go unnoticed."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in row:
        _known(name, known, f"{where} has a field that is not known,")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(row, default=str), strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        if first["type"].startswith("missing"):
            raise BadInput(f"{where} lacks the field {place!r}: add it.") from None
        shown = repr(first["input"])[:SHOWN]
        raise BadInput(f"{where} cannot have {place} = {shown}: {first['msg'].lower()}.") from None


# Datasets


def open_dataset(suite: Suite, base: Path, settings: Settings) -> Dataset:
    """The dataset of a suite; a path of it is relative to `base`."""
    if suite.dataset == SPEECH_DIR:
        if not settings.speech_dir.is_dir():
            raise MissingFile(
                "There are no recordings: set STT_LAB_SPEECH_DIR to a folder of them, or run `make data`."
            )
        return read_manifest(settings.speech_dir)
    return read_manifest(base / Path(suite.dataset).expanduser())


def own_dataset(suite: Suite, path: Path) -> Suite:
    """The suite over other recordings: its filters were about its own."""
    none: dict[str, Any] = {"kinds": (), "sources": (), "languages": (), "ids": (), "longest_s": 0.0}
    return replace(suite, dataset=str(path.absolute()), **none)


def moved(suite: Suite, base: Path, folder: Path) -> Suite:
    """The suite with its dataset named from `folder`, where it is written down."""
    if suite.dataset == SPEECH_DIR:
        return suite
    return replace(suite, dataset=os.path.relpath(base / Path(suite.dataset).expanduser(), folder))


def normaliser_of(language: str | None) -> str:
    """The normaliser for a recording, BY_LANGUAGE."""
    return "whisper_en" if language in (None, "en") else "whisper"
