"""A line of a manifest becomes an item: columns and their other names, values in the line or in a file beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pydantic_core
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stt_lab.errors import BadInput
from stt_lab.lab.data.annotations import READERS, read_annotation, read_text
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.text import language_code
from stt_lab.types import Segment, Span, Turn, Word

__all__ = ["OWNERS", "ManifestRow", "columns", "parse"]

NAMES = {  # column: what else it is called, here and elsewhere (NeMo: audio_filepath)
    "audio": ("path", "audio_filepath"),
    "duration": ("duration_s",),
    "turns": ("rttm",),
    "words": ("word_times",),
    "licence": ("license",),
}
SHOWN = 60  # characters of a wrong value that an error repeats
Part = TypeVar("Part", bound=BaseModel)
Made = TypeVar("Made", bound=Span)
Value = str | list[Any] | None  # the name of a file, or what it would hold
Spans = tuple[Made, ...] | None


def _names(column: str) -> Any:
    return AliasChoices(column, *NAMES[column])


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Turn(_Strict):
    start: float
    end: float
    speaker: str


class _Word(_Strict):
    start: float
    end: float
    text: str = Field(validation_alias=AliasChoices("text", "word"))
    confidence: float | None = None
    speaker: str | None = None


class _Segment(_Strict):
    start: float
    end: float
    text: str
    words: list[Any] = []
    speaker: str | None = None


class _Columns(_Strict):
    model_config = ConfigDict(extra="allow")

    audio: str = Field(min_length=1, validation_alias=_names("audio"))
    id: str | None = Field(None, min_length=1)
    duration: float | None = Field(None, gt=0, validation_alias=_names("duration"))
    language: str | None = None
    text: str | None = None
    segments: Value = None
    turns: Value = Field(None, validation_alias=_names("turns"))
    words: Value = Field(None, validation_alias=_names("words"))
    kind: str | None = Field(None, min_length=1)
    licence: str | None = Field(None, validation_alias=_names("licence"))
    source: str | None = None


OWNERS = {name: name for name in _Columns.model_fields} | {other: name for name in NAMES for other in NAMES[name]}


@dataclass(frozen=True)
class ManifestRow:
    """An item, and the columns that it was made from."""

    item: Item
    columns: dict[str, Any]
    repeats: int = 0  # line of the first row with the same id


def parse(columns: dict[str, Any], folder: Path, inside: Path | None) -> ManifestRow:
    """The item of one line. Raises Flaw, whose sentences name files as the line does.

    Where `inside` is given, audio and annotations must lie in that folder, links followed.
    """
    try:
        row = _Columns.model_validate(columns)
    except ValidationError as problem:
        raise _refused(problem, "") from None
    audio = locate(row.audio, folder, inside)
    id = row.id or os.path.splitext(row.audio)[0]
    read = _Reader(folder, inside, (id, audio.stem))
    item = Item(
        id=id,
        audio=audio,
        language=_language(row.language),
        text=row.text,
        segments=read.segments(row.segments),
        turns=read.turns(row.turns),
        words=read.words(row.words),
        duration=row.duration,
        kind=row.kind or "speech",
        licence=row.licence or None,
        source=row.source or "",
        extra=row.model_extra or {},
    )
    return ManifestRow(item, columns)


def columns(raw: bytes) -> dict[str, Any]:
    """The JSON object of a line, checked: UTF-8, not too deep, finite numbers, one name for each column."""
    try:
        found = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as problem:
        raise Flaw(f"this is not JSON: {problem}", "write one JSON object a line, in UTF-8") from None
    if not isinstance(found, dict):
        raise Flaw(f"this is a JSON {type(found).__name__}", "write one JSON object a line (JSONL)")
    for column, others in NAMES.items():
        if len(given := [name for name in (column, *others) if name in found]) > 1:
            raise Flaw(f"{' and '.join(given)} are names of the same column", "keep one of them")
    try:
        json.dumps(found, allow_nan=False)
    except ValueError:
        raise Flaw("a number is too large", "write numbers below 1e308") from None
    return found


def _refused(problem: ValidationError, where: str) -> Flaw:
    """The first complaint of pydantic as a sentence of ours."""
    first = problem.errors(include_url=False)[0]
    place = where + "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    if first["type"] == "missing":
        return Flaw(f"{place.lstrip('.')} is missing", "add it")
    shown = json.dumps(first["input"], ensure_ascii=False, default=str)[:SHOWN]
    return Flaw(f"{_column(place)} cannot be {shown}", first["msg"][0].lower() + first["msg"][1:])


def _column(place: str) -> str:
    """Without the branch of a union, which pydantic names too."""
    return place.removesuffix(".str").removesuffix(".list[any]").lstrip(".")


def _language(value: str | None) -> str | None:
    """Its code; a language that no recogniser here knows stays as written, for `check` to name."""
    try:
        return language_code(value or "")
    except BadInput:
        return value


def locate(name: str, folder: Path, inside: Path | None) -> Path:
    """The file that a row names, absolute. Raises Flaw for one outside of `inside`."""
    if "\0" in name:
        raise Flaw("a path has a null character", "write the name of a file")
    path = Path(os.path.abspath(folder / name))
    if inside is None:
        return path
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # a ring of links
        raise Flaw(f"{name[:SHOWN]} cannot be reached", "name a file of the dataset's folder") from None
    if not real.is_relative_to(inside.resolve()):
        raise Flaw(f"{name[:SHOWN]} lies outside of the dataset", "put the file into its folder and name it from there")
    return real


@dataclass(frozen=True)
class _Reader:
    """Reads columns that hold a list, or name a file with one."""

    folder: Path
    inside: Path | None
    names: tuple[str, ...]  # of the recording, in files that tell of several

    def segments(self, value: Value) -> tuple[Segment, ...] | None:
        return self._spans("segments", value, _segments)

    def turns(self, value: Value) -> tuple[Turn, ...] | None:
        return self._spans("turns", value, _turns)

    def words(self, value: Value) -> tuple[Word, ...] | None:
        return self._spans("words", value, _words)

    def _spans(self, column: str, value: Value, make: Callable[[list[Any], str], tuple[Made, ...]]) -> Spans[Made]:
        if not isinstance(value, str):
            return None if value is None else make(value, column)
        path = locate(value, self.folder, self.inside)
        name = value[:SHOWN]
        if path.suffix.lower() not in READERS:
            return make(_listed(read_text(path, name), name), f"{name}: {column}")
        spans: Spans[Made] = getattr(read_annotation(path, name, self.names), column)
        if spans is None:
            raise Flaw(f"{name} has no {column}", f"name a file that has {column}")
        return spans


def _listed(text: str, name: str) -> list[Any]:
    try:
        found = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as problem:
        raise Flaw(f"{name} is not JSON: {problem}", "write a JSON list") from None
    if not isinstance(found, list):
        raise Flaw(f"{name} is a JSON {type(found).__name__}", "write a JSON list")
    return found


@cache
def _adapter(kind: type[Part]) -> TypeAdapter[list[Part]]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


def _valid(found: list[Any], kind: type[Part], where: str) -> list[Part]:
    try:
        return _adapter(kind).validate_python(found)
    except ValidationError as problem:
        raise _refused(problem, where) from None


def _made(kind: type[Made], part: BaseModel, where: str, **other: Any) -> Made:
    try:
        return kind(**dict(part) | other)
    except ValueError as problem:
        raise Flaw(f"{where}: {problem}", "correct its times") from None


def _turns(found: list[Any], where: str) -> tuple[Turn, ...]:
    return tuple(_made(Turn, part, f"{where}[{n}]") for n, part in enumerate(_valid(found, _Turn, where), 1))


def _words(found: list[Any], where: str) -> tuple[Word, ...]:
    return tuple(_made(Word, part, f"{where}[{n}]") for n, part in enumerate(_valid(found, _Word, where), 1))


def _segments(found: list[Any], where: str) -> tuple[Segment, ...]:
    return tuple(_segment(part, f"{where}[{n}]") for n, part in enumerate(_valid(found, _Segment, where), 1))


def _segment(part: _Segment, where: str) -> Segment:
    return _made(Segment, part, where, words=_words(part.words, f"{where}.words"))
