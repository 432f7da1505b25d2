"""Parse one manifest line into an item: column aliases, and values in the line or in a file that it names."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pydantic_core
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stt_lab.errors import BadInput
from stt_lab.lab.data.annotations import READERS, read_annotation, read_text
from stt_lab.lab.data.annotations.files import on_disk
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.text import language_code
from stt_lab.types import Segment, Span, Turn, Word

__all__ = ["OWNERS", "ManifestRow", "columns", "parse"]

NAMES = {  # column: its aliases, such as NeMo's audio_filepath
    "audio": ("path", "audio_filepath"),
    "duration": ("duration_s",),
    "turns": ("rttm",),
    "words": ("word_times",),
    "licence": ("license",),
}
SHOWN = 60  # characters of a wrong value that an error quotes
Part = TypeVar("Part", bound=BaseModel)
Made = TypeVar("Made", bound=Span)
Value = str | list[Any] | None  # a file name, or the list itself
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
    """An item and the manifest columns that it was parsed from."""

    item: Item
    columns: dict[str, Any]
    repeats: int = 0  # line of the first row with the same id; 0 if there is none


def parse(columns: dict[str, Any], folder: Path, inside: Path | None) -> ManifestRow:
    """Parse the columns of one line. Raises Flaw, which names files as the line does.

    With `inside`, audio and annotations must be in that folder, links resolved.
    """
    try:
        row = _Columns.model_validate(columns)
    except ValidationError as problem:
        raise _refused(problem, "") from None
    audio = locate(row.audio, folder, inside)
    id = row.id or os.path.splitext(row.audio)[0]
    read = _Reader(folder, inside, (id, audio.stem, audio.name))
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
    """Parse the JSON object of a line. Raises Flaw for bad UTF-8, infinite numbers and duplicate aliases."""
    try:
        found = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as problem:
        raise Flaw(f"the line is not JSON: {problem}", "write one JSON object per line, in UTF-8") from None
    if not isinstance(found, dict):
        raise Flaw(f"the line is a JSON {type(found).__name__}", "write one JSON object per line (JSONL)")
    _refuse_twice(raw, "")
    for column, others in NAMES.items():
        if len(given := [name for name in (column, *others) if name in found]) > 1:
            raise Flaw(f"{' and '.join(given)} are aliases of one column", "keep one of them")
    try:
        json.dumps(found, allow_nan=False)
    except ValueError:
        raise Flaw("a number is too large", "write numbers below 1e308") from None
    return found


def _refuse_twice(raw: str | bytes, where: str) -> None:
    """Raise Flaw if an object has a key twice: JSON's readers keep the last one."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise Flaw(f"{where}{key[:SHOWN]} is written twice", "keep one of them")

    json.loads(raw, object_pairs_hook=once)


def _refused(problem: ValidationError, where: str) -> Flaw:
    """Turn the first error of pydantic into a Flaw."""
    first = problem.errors(include_url=False)[0]
    place = where + "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    if first["type"] == "missing":
        return Flaw(f"{place.lstrip('.')} is missing", "add it")
    shown = json.dumps(first["input"], ensure_ascii=False, default=str)[:SHOWN]
    return Flaw(f"{_column(place)} cannot be {shown}", first["msg"])


def _column(place: str) -> str:
    """Drop the branch of a union from pydantic's location."""
    return place.removesuffix(".str").removesuffix(".list[any]").lstrip(".")


def _language(value: str | None) -> str | None:
    """Return the language code; keep an unknown language as written, for `check` to report."""
    try:
        return language_code(value or "")
    except BadInput:
        return value


def locate(name: str, folder: Path, inside: Path | None) -> Path:
    """Return the absolute path of a file that a row names. Raises Flaw if it is outside `inside`."""
    if "\0" in name:
        raise Flaw("a path contains a null character", "write a file name")
    path = on_disk(Path(os.path.abspath(folder / name)))
    if inside is None:
        return path
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # links that point to each other
        raise Flaw(f"{name[:SHOWN]} cannot be opened", "name a file in the dataset's folder") from None
    if not real.is_relative_to(inside.resolve()):
        raise Flaw(
            f"{name[:SHOWN]} is outside the dataset", "move the file into the dataset's folder and use a relative path"
        )
    return real


@dataclass(frozen=True)
class _Reader:
    """Reads columns that contain a list, or name a file that does."""

    folder: Path
    inside: Path | None
    names: tuple[str, ...]  # of the recording, in files that describe several

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
            raise Flaw(f"{name} has no {column}", f"name a file with {column}")
        return spans


def _listed(text: str, name: str) -> list[Any]:
    try:
        found = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as problem:
        raise Flaw(f"{name} is not JSON: {problem}", "write a JSON list") from None
    _refuse_twice(text, f"{name}: ")
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
