"""Values that pass through the program: frozen, with times in seconds.

Audio -> Segments and Turns -> Transcript -> Rendering. A change returns a new value; invariants are
checked where a value is made, and the message carries the numbers that broke them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = [
    "Audio",
    "Diarization",
    "Entity",
    "Event",
    "File",
    "JobInfo",
    "Parsed",
    "Provenance",
    "Recognition",
    "Rendering",
    "Segment",
    "Span",
    "Suppressed",
    "TextSpan",
    "Token",
    "Transcript",
    "Turn",
    "Word",
]

SAMPLE_RATE = 16_000  # Hz, of decoded sound unless another rate is asked for
CHUNK_BYTES = 1024 * 1024  # of a file that are in memory at once
SAMPLE_BYTES = 2  # signed 16-bit little-endian, mono


@dataclass(frozen=True)
class Audio:
    """Decoded sound: a file of raw 16-bit mono PCM that is read in windows.

    16 bits are what recognisers of this family decode to, and a file keeps memory bounded:
    eight hours are 0.9 GB on disk and one window in memory.
    """

    path: Path
    samples: int
    container: str = ""  # as the demuxer names it: "mp3", "matroska,webm"
    codec: str = ""
    channels: int = 1  # of the source, before the downmix
    source_rate: int = SAMPLE_RATE  # Hz
    warnings: tuple[str, ...] = ()
    sample_rate: int = SAMPLE_RATE  # Hz, of the file; recognisers want the default

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.sample_rate

    def read(self, start: int = 0, stop: int | None = None) -> Samples:
        """Samples `start` to `stop` as float32 in [-1, 1), shape (stop - start,); clipped to the sound."""
        import numpy as np

        start = max(0, start)
        stop = self.samples if stop is None else min(stop, self.samples)
        raw = np.fromfile(self.path, "<i2", max(0, stop - start), offset=start * SAMPLE_BYTES)
        return raw.astype(np.float32) / np.float32(32768)


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"{type(self).__name__} must satisfy 0 <= start <= end: {self.start} .. {self.end}")

    @property
    def duration(self) -> float:
        return self.end - self.start

    def overlap(self, other: Span) -> float:
        """Seconds that both cover."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


def is_inner(char: str) -> bool:
    """True for what belongs to a word itself: letters, marks, numbers and symbols such as % or $."""
    return unicodedata.category(char)[0] in "LMNS"


@dataclass(frozen=True)
class Word(Span):
    """A word as written: `text` keeps its leading space and punctuation, so that texts join without loss."""

    text: str
    confidence: float | None = None  # probability, 0 to 1
    speaker: str | None = None

    @property
    def plain(self) -> str:
        """The word without spaces and outer punctuation; "" for punctuation alone."""
        inner = [i for i, char in enumerate(self.text) if is_inner(char)]
        return self.text[inner[0] : inner[-1] + 1].replace(" ", "") if inner else ""


@dataclass(frozen=True)
class Segment(Span):
    """A stretch of text said by one speaker."""

    text: str
    words: tuple[Word, ...] = ()
    speaker: str | None = None

    @property
    def confidence(self) -> float | None:
        """Mean probability of the words; None where no word has one."""
        known = [word.confidence for word in self.words if word.confidence is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Turn(Span):
    """A stretch of time in which a speaker speaks. Turns of different speakers may overlap."""

    speaker: str


@dataclass(frozen=True)
class Suppressed(Span):
    """What a recogniser produced and a check threw away, with the reason."""

    text: str
    reason: str


@dataclass(frozen=True)
class Provenance:
    """Which engine made a value, from which weights, with which options, in how many seconds."""

    engine: str
    model: str
    device: str
    version: str
    options: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0  # seconds


@dataclass(frozen=True)
class Recognition:
    """What a transcriber returns. `language` is None where nobody speaks."""

    language: str | None
    segments: tuple[Segment, ...]
    provenance: Provenance
    suppressed: tuple[Suppressed, ...] = ()


@dataclass(frozen=True)
class Diarization:
    """What a diarizer returns: `turns` may overlap (to show), `exclusive` never do (to join words with)."""

    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    provenance: Provenance


@dataclass(frozen=True)
class Transcript:
    """The words of a recording, with times and speakers."""

    language: str | None
    duration: float  # seconds of the uploaded file
    segments: tuple[Segment, ...] = ()
    speakers: tuple[str, ...] = ()  # in the order in which they first speak
    model: str = ""
    warnings: tuple[str, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    turns: tuple[Turn, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    id: int | None = field(default=None, compare=False)  # of one that is kept in the library

    @cached_property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


@dataclass(frozen=True)
class TextSpan:
    """A stretch of a text, in characters: text[start:end]."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"{type(self).__name__} must satisfy 0 <= start <= end: {self.start} .. {self.end}")

    def of(self, text: str) -> str:
        return text[self.start : self.end]


@dataclass(frozen=True)
class Token(TextSpan):
    """A word or a mark, as a parser sees it; tags are those of Universal Dependencies, `tag` of the Penn Treebank."""

    lemma: str
    pos: str
    tag: str
    dep: str  # relation to its head
    head: int  # index of the token that it depends on; its own for a root
    stop: bool  # whether it is too common to say what a text is about


@dataclass(frozen=True)
class Entity(TextSpan):
    """A name, a date, an amount ... in a text; or personal data of a kind."""

    text: str
    label: str
    score: float = 1.0  # confidence, 0 to 1


@dataclass(frozen=True)
class Parsed:
    """A text taken apart. Without a parser for its language, `tokens` and `entities` are ()."""

    language: str | None
    sentences: tuple[TextSpan, ...]
    tokens: tuple[Token, ...] = ()
    entities: tuple[Entity, ...] = ()  # labels of OntoNotes: PERSON, ORG, GPE, DATE, MONEY ...


@dataclass(frozen=True)
class Rendering:
    """A transcript in a format that is not JSON."""

    text: str
    format: str
    media_type: str
    transcript: Transcript


@dataclass(frozen=True)
class File:
    """A file that is made while it is read, once; or one that lies on the disk."""

    name: str
    media_type: str
    chunks: Iterator[bytes]
    warnings: tuple[str, ...] = ()
    path: Path | None = None  # on the disk; then HTTP also gives parts of it
    headers: Mapping[str, str] = field(default_factory=dict)  # of its answer on HTTP, such as X-Duration

    @classmethod
    def on_disk(
        cls,
        path: Path,
        name: str,
        media_type: str,
        warnings: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> File:
        """A file whose bytes are read from a path."""
        return cls(name, media_type, _chunks(path), tuple(warnings), path, headers or {})

    def save(self, folder: Path) -> Path:
        """Write it into a folder, under its name."""
        path = folder / self.name
        with path.open("wb") as file:
            file.writelines(self.chunks)
        return path


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@dataclass(frozen=True)
class Event:
    """Progress of long work: which stage, and how much of that stage is done."""

    STAGES: ClassVar[tuple[str, ...]] = (
        *("queued", "decoding", "loading", "transcribing", "diarizing", "joining"),
        *("reading", "writing", "translating"),  # of texts
    )

    stage: str
    fraction: float = 0.0  # of the stage, 0 to 1


Report = Callable[[Event], None]  # takes progress; raises Cancelled when nobody waits for the result any more


def silent(event: Event) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class JobInfo:
    """How far a job is."""

    id: str
    status: str  # queued, running, done, failed or cancelled
    stage: str
    percent: float  # of the whole job
    eta_s: float | None  # seconds that the rest is expected to take
    created: datetime
    started: datetime | None
    finished: datetime | None
    transcript_id: int | None  # in the library of its account
    error: dict[str, Any] | None  # {"error", "code", "status"} of one that did not succeed
    url: str  # where to ask again
