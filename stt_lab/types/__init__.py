"""The values of the product: frozen dataclasses with times in seconds.

Audio -> Segments and Turns -> Transcript -> Rendering. A change returns a new value. Constructors check invariants, and
their errors contain the wrong numbers.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.cached import cached
from stt_lab.types.files import CHUNK_BYTES as CHUNK_BYTES
from stt_lab.types.files import File
from stt_lab.types.files import Headers as Headers
from stt_lab.types.progress import Event, JobInfo
from stt_lab.types.progress import Report as Report
from stt_lab.types.progress import silent as silent

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
    "Unrecognized",
    "Word",
]

SAMPLE_RATE = 16_000  # Hz, default rate of decoded sound
SAMPLE_BYTES = 2  # signed 16-bit little-endian, mono


@dataclass(frozen=True)
class Track:
    """A sound track of a media file."""

    number: int  # from 1, in the file's order
    language: str  # as the file writes it, usually ISO 639-2; "" if it does not say
    title: str
    default: bool  # flagged as the one that players choose
    used: bool = False

    @property
    def label(self) -> str:
        more = ", ".join(part for part in (self.language, self.title) if part)
        return f"{self.number} ({more})" if more else str(self.number)


@dataclass(frozen=True)
class Audio:
    """Decoded sound: a file of raw 16-bit mono PCM, read in windows.

    A file keeps memory bounded: eight hours take 0.9 GB on disk. Whisper's own decoder also yields 16 bits.
    """

    path: Path
    samples: int
    container: str = ""  # the demuxer's name: "mp3", "matroska,webm"
    codec: str = ""
    channels: int = 1  # channels of the source, before the downmix
    source_rate: int = SAMPLE_RATE  # Hz
    warnings: tuple[str, ...] = ()
    sample_rate: int = SAMPLE_RATE  # Hz, of the file; recognisers need the default
    tracks: tuple[Track, ...] = ()  # of the source

    @property
    def duration(self) -> float:  # seconds
        return self.samples / self.sample_rate

    def read(self, start: int = 0, stop: int | None = None) -> Samples:
        """Read samples `start` to `stop` as float32 in [-1, 1), shape (stop - start,); clipped to the sound."""
        import numpy as np

        start, stop = max(0, start), self.samples if stop is None else min(stop, self.samples)
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
        """Return the seconds that both cover."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


def is_inner(char: str) -> bool:
    """Return whether a character is part of a word: letters, marks, numbers and symbols such as % or $."""
    return unicodedata.category(char)[0] in "LMNS"


@dataclass(frozen=True)
class Word(Span):
    """A word as written: `text` keeps its leading space and punctuation, so that texts join without loss."""

    text: str
    confidence: float | None = None  # probability, 0 to 1
    speaker: str | None = None
    corrected: bool = False  # written or accepted by a person; then it has no confidence

    @property
    def plain(self) -> str:
        """Return the word without spaces and outer punctuation; "" for punctuation alone."""
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
        """Return the mean probability of the words; None if no word has one."""
        known = [word.confidence for word in self.words if word.confidence is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Turn(Span):
    """A stretch of time in which a speaker speaks. Turns of different speakers may overlap."""

    speaker: str


@dataclass(frozen=True)
class Suppressed(Span):
    """Text that the recogniser wrote and a check dropped, with the reason."""

    text: str
    reason: str


@dataclass(frozen=True)
class Unrecognized(Span):
    """A stretch of speech whose words were not recognised."""

    speaker: str | None = None


@dataclass(frozen=True)
class Provenance:
    """The engine that made a value: model, version, device, options and seconds."""

    engine: str
    model: str
    device: str
    version: str
    options: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0  # seconds


@dataclass(frozen=True)
class Recognition:
    """The result of a recogniser. `language` is None without speech."""

    language: str | None
    segments: tuple[Segment, ...]
    provenance: Provenance
    suppressed: tuple[Suppressed, ...] = ()
    speech: tuple[Span, ...] = ()  # where a voice is heard, whether words were recognised or not


@dataclass(frozen=True)
class Diarization:
    """The result of a diarizer. `turns` may overlap (for display); `exclusive` turns never do (for joining words)."""

    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    provenance: Provenance


@dataclass(frozen=True)
class Transcript:
    """The words of a recording, with times and speakers."""

    language: str | None
    duration: float  # seconds of the uploaded file
    segments: tuple[Segment, ...] = ()
    speakers: tuple[str, ...] = ()  # in order of appearance
    model: str = ""
    warnings: tuple[str, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    unrecognized: tuple[Unrecognized, ...] = ()
    turns: tuple[Turn, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    tracks: tuple[Track, ...] = ()  # sound tracks of the file, of which one was used
    id: int | None = field(default=None, compare=False)  # id in the library, if stored

    @cached
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
    """A word or punctuation mark with its grammar: Universal Dependencies, and `tag` of the Penn Treebank."""

    lemma: str
    pos: str
    tag: str
    dep: str  # relation to its head
    head: int  # index of the token that it depends on; a root has its own index
    stop: bool  # whether it is too common to characterise a text


@dataclass(frozen=True)
class Entity(TextSpan):
    """A name, a date or an amount in a text, or personal data, with its label."""

    text: str
    label: str
    score: float = 1.0  # confidence, 0 to 1


@dataclass(frozen=True)
class Parsed:
    """A text with its sentences, tokens and entities. Without a parser for its language, the last two are ()."""

    language: str | None
    sentences: tuple[TextSpan, ...]
    tokens: tuple[Token, ...] = ()
    entities: tuple[Entity, ...] = ()  # labels of OntoNotes: PERSON, ORG, GPE, DATE, MONEY ...


@dataclass(frozen=True)
class Rendering:
    """A transcript in a format other than JSON."""

    text: str
    format: str
    media_type: str
    transcript: Transcript
