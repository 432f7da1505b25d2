"""What an engine is: a few attributes and one method. See DESIGN in docs/architecture.md.

A constructor only stores its arguments; `load()` reads weights; `unload()` frees them and may be called
at any time; a call after it loads again. `report` takes progress and raises `Cancelled` when the caller
has given up, so an engine reports at least every few seconds of work and needs no other means of cancel. A report is
also where other calls may take their turn: it returns when this one may go on (hosts/turns.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from stt_lab.types import Audio, Diarization, Entity, Parsed, Recognition, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]  # (texts, dimensions), each of unit length

Goal = Literal["transcribe", "translate"]  # what is written: what was said, or that in English


@dataclass(frozen=True)
class EngineSpec:
    """What an engine is made from: weights, device and threads."""

    folder: Path  # of the weights
    model: str  # id in the catalog
    device: str = "cpu"  # "cpu" or "cuda"
    threads: int = 1
    extra: tuple[tuple[str, Path], ...] = ()  # further folders by model id, such as an embedding model's


class Engine(Protocol):
    """Common to all engines."""

    spec: EngineSpec

    def load(self) -> None: ...

    def unload(self) -> None: ...


@runtime_checkable
class Transcriber(Engine, Protocol):
    """Sound to text."""

    languages: tuple[str, ...]  # ISO 639-1 codes
    supports_words: bool

    def transcribe(self, audio: Audio, language: str | None, report: Report, goal: Goal = "transcribe") -> Recognition:
        """Segments with word times, monotone and inside the audio; `language` is the spoken one, None detects it."""
        ...


@runtime_checkable
class Diarizer(Engine, Protocol):
    """Who speaks when."""

    def diarize(self, audio: Audio, speakers: int, report: Report) -> Diarization:
        """Turns of `speakers` speakers; 0 finds the number out."""
        ...


# Text


@runtime_checkable
class Embedder(Engine, Protocol):
    """Texts to vectors whose scalar product tells how near their meanings are."""

    dimensions: int

    def embed(self, texts: tuple[str, ...], report: Report) -> Vectors:
        """A vector of unit length for each text, in order; shape (texts, dimensions)."""
        ...


@runtime_checkable
class Parser(Engine, Protocol):
    """Sentences, words with their grammar, and named entities."""

    languages: tuple[str, ...]  # ISO 639-1 codes

    def parse(self, text: str, report: Report) -> Parsed:
        """The text, which is in one of `languages`, taken apart; every span lies inside it, in order."""
        ...


PiiKind = Literal[
    "PERSON", "ADDRESS", "DATE_OF_BIRTH", "PHONE_NUMBER", "EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS",
]  # fmt: skip
PII: tuple[PiiKind, ...] = get_args(PiiKind)
BY_FORM: tuple[PiiKind, ...] = ("EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS")  # the same in all languages


@runtime_checkable
class PiiFinder(Engine, Protocol):
    """Personal data in a text."""

    languages: tuple[str, ...]  # in which names are found

    def find_pii(
        self, text: str, language: str | None, kinds: tuple[PiiKind, ...], names: tuple[str, ...], report: Report
    ) -> tuple[Entity, ...]:
        """What identifies a person, in order and without overlap; `names` are known to be of people.

        Raises rather than pass a text unread: ModelMissing in a language that only BY_FORM can be found in.
        """
        ...


@dataclass(frozen=True)
class Message:
    """A turn of a conversation with a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


@runtime_checkable
class LanguageModel(Engine, Protocol):
    """Writes what follows a conversation."""

    context: int  # tokens that conversation and answer may have together, known once it is loaded

    def count(self, texts: tuple[str, ...], report: Report) -> tuple[int, ...]:
        """Tokens of each text."""
        ...

    def complete(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any] | None, most: int, report: Report
    ) -> str:
        """The answer, of at most so many tokens; JSON of that JSON schema where there is one."""
        ...


@runtime_checkable
class Translator(Engine, Protocol):
    """A language into another."""

    def translate(
        self, texts: tuple[str, ...], source: str | None, target: str, report: Report, again: bool = False
    ) -> tuple[str, ...]:
        """A translation for each text of at most a few sentences, in order. Languages by their codes in BCP-47; a
        `source` of None is not known.

        `again`: they came out wrong the first time, so search otherwise if there is another way.
        """
        ...
