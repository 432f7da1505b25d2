"""The protocols of engines: a few attributes and one method each. See docs/architecture.md.

A constructor only stores its arguments; `load()` reads weights; `unload()` frees them and may be called at any time;
the next call loads again. `report` receives progress and raises `Cancelled` when the caller has given up, so an engine
reports at least every few seconds and needs no other way to cancel. Other calls may take their turn during a report:
it returns when this call may go on (hosts/turns.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from stt_lab.types import Audio, Diarization, Entity, Parsed, Recognition, Report, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stt_lab.types import Samples

    Vectors = NDArray[np.float32]  # (texts, dimensions), each of unit length

Goal = Literal["transcribe", "translate"]  # output: the spoken words, or their English translation
Search = Literal[  # how words are found
    "full",  # a beam; what follows the last time stamp of a window is decoded again
    "short",  # the same for a recording of some seconds, in a window of its length
    "greedy",  # of live speech: the likeliest word each time, for text that is replaced a moment later
    "beam",  # of live speech: a beam
    "padded",  # of live speech: a beam over the stretch and silence up to 30 s, which is slow and rarely repeats itself
]


@dataclass(frozen=True)
class EngineSpec:
    """Arguments of an engine's constructor: weights, device and threads."""

    folder: Path  # of the weights
    model: str  # id in the catalog
    device: str = "cpu"  # "cpu" or "cuda"
    threads: int = 1
    extra: tuple[tuple[str, Path], ...] = ()  # further folders by model id, such as an embedding model's


class Engine(Protocol):
    """Methods of all engines."""

    spec: EngineSpec

    def load(self) -> None: ...

    def unload(self) -> None: ...


@runtime_checkable
class Transcriber(Engine, Protocol):
    """Recognises speech."""

    languages: tuple[str, ...]  # ISO 639-1 codes
    supports_words: bool

    def transcribe(
        self,
        audio: Audio,
        language: str | None,
        report: Report,
        goal: Goal = "transcribe",
        stretches: tuple[Span, ...] = (),
        search: Search = "full",
    ) -> Recognition:
        """Return segments with monotonic word times inside the audio. `language` is the spoken one; None detects it.

        With `stretches`, each short, only these are recognised, each on its own, and no voice activity is looked for.
        """
        ...


@runtime_checkable
class Diarizer(Engine, Protocol):
    """Finds who speaks when."""

    def diarize(self, audio: Audio, speakers: int, report: Report) -> Diarization:
        """Return the turns of `speakers` speakers; 0 detects their number."""
        ...


# Speech from text


@dataclass(frozen=True)
class VoiceMix:
    """A voice: stock voices with their weights, whose sum is 1, and the ratios by which pitch and speed are moved."""

    parts: tuple[tuple[str, float], ...]
    pitch: float = 1.0
    rate: float = 1.0


@dataclass(frozen=True, eq=False)
class VoiceCopy:
    """What is known of a reference: its sound (float32, shape (n,)), and the words that are said in it."""

    sound: Samples
    sample_rate: int  # Hz
    words: str
    language: str | None = None  # ISO 639-1 code of the words


Voice = VoiceMix | VoiceCopy


@dataclass(frozen=True)
class VoiceMatch:
    """The voice that comes nearest to a reference, and the mean of its similarities (cosine) to it."""

    voice: Voice
    similarity: float


@dataclass(frozen=True, eq=False)
class SpokenSentence:
    """Spoken sound: float32 in [-1, 1], shape (n,)."""

    samples: Samples
    sample_rate: int  # Hz


@runtime_checkable
class Speaker(Engine, Protocol):
    """Speaks texts in a voice."""

    languages: tuple[str, ...]  # ISO 639-1 codes

    def voices(self) -> tuple[str, ...]:
        """Return the names of the stock voices; () if it has none."""
        ...

    def match(self, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        """Return the voice that comes nearest to a reference of some seconds.

        Engines that copy voices (voice/speech.py lists them) need `copy` and return it; others only learn from its
        words how fast the reference speaks. Raises BadInput, with a sentence of its own for each reason, for a sound
        that is no reference.
        """
        ...

    def speak(self, text: str, language: str, voice: Voice, speed: float, report: Report) -> SpokenSentence:
        """Speak a sentence without silence at its ends. `speed` is 1 for the usual one, 2 for twice as fast."""
        ...


# Text


@runtime_checkable
class Embedder(Engine, Protocol):
    """Turns texts into vectors whose scalar product measures the similarity of their meanings."""

    dimensions: int

    def embed(self, texts: tuple[str, ...], report: Report) -> Vectors:
        """Return a vector of unit length per text, in order; shape (texts, dimensions)."""
        ...

    def embed_counted(self, texts: tuple[str, ...], report: Report) -> tuple[Vectors, int]:
        """Return the vectors of `embed`, and the number of tokens that were read."""
        ...


@runtime_checkable
class Parser(Engine, Protocol):
    """Finds sentences, words with their grammar, and named entities."""

    languages: tuple[str, ...]  # ISO 639-1 codes

    def parse(self, text: str, report: Report) -> Parsed:
        """Parse a text in one of `languages`. Every span lies inside the text, in order."""
        ...


PiiKind = Literal[
    "PERSON", "ADDRESS", "DATE_OF_BIRTH", "PHONE_NUMBER", "EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS",
]  # fmt: skip
PII: tuple[PiiKind, ...] = get_args(PiiKind)
BY_FORM: tuple[PiiKind, ...] = (
    "EMAIL_ADDRESS",
    "CREDIT_CARD",
    "IBAN_CODE",
    "IP_ADDRESS",
)  # kinds with the same form in all languages


@runtime_checkable
class PiiFinder(Engine, Protocol):
    """Finds personal data in a text."""

    languages: tuple[str, ...]  # languages in which names are found

    def find_pii(
        self, text: str, language: str | None, kinds: tuple[PiiKind, ...], names: tuple[str, ...], report: Report
    ) -> tuple[Entity, ...]:
        """Return personal data, in order and without overlap. `names` are known names of people.

        Raises ModelMissing in a language in which only BY_FORM can be found, rather than miss names silently.
        """
        ...


@dataclass(frozen=True)
class Message:
    """A message in a conversation with a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


@runtime_checkable
class LanguageModel(Engine, Protocol):
    """Continues a conversation."""

    context: int  # tokens of conversation and answer together; known once the model is loaded

    def count(self, texts: tuple[str, ...], report: Report) -> tuple[int, ...]:
        """Return the number of tokens of each text."""
        ...

    def complete(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any] | None, most: int, report: Report
    ) -> str:
        """Return the answer, limited in tokens; JSON if a JSON schema is given."""
        ...

    def likelihoods(self, messages: tuple[Message, ...], words: tuple[str, ...], report: Report) -> tuple[float, ...]:
        """Return the probability (0 to 1) that the answer begins with each of some words of one token, in any case; ()
        if that is not known."""
        ...


@runtime_checkable
class AnswerReader(Engine, Protocol):
    """Tells whether passages answer a question."""

    def answerable(self, question: str, passages: tuple[str, ...], report: Report) -> tuple[float, ...]:
        """Return for each passage by how much (in logits) its best answer is likelier than that it has none."""
        ...


@runtime_checkable
class Translator(Engine, Protocol):
    """Translates texts."""

    def translate(
        self, texts: tuple[str, ...], source: str | None, target: str, report: Report, again: bool = False
    ) -> tuple[str, ...]:
        """Translate texts of a few sentences each, in order.

        Languages are BCP-47 codes; a `source` of None is unknown. `again` asks for another decoding method, because the
        first result was wrong.
        """
        ...
