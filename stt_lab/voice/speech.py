"""Speak texts: sentence by sentence, with pauses by their punctuation."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from stt_lab.audio.wav import to_pcm
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import VoiceMatch, VoiceMix
from stt_lab.errors import BadInput
from stt_lab.text.sentences import language_of, sentences
from stt_lab.types import Audio, Event, Report
from stt_lab.voice.reading import has_letters, readable
from stt_lab.weights.catalog import Model

LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "it": "Italian", "pt": "Portuguese"}
PAUSES = {
    ".": 0.35,
    "…": 0.4,
    "!": 0.38,
    "?": 0.4,
    ":": 0.25,
    ";": 0.25,
    ",": 0.15,
}  # seconds after a sentence, by its end
PLAIN_PAUSE, PARAGRAPH_PAUSE = 0.3, 0.65  # seconds: after another end, and at a line break
UNSURE = 12  # different words of a text under which its language is uncertain
KEPT_MATCHES = 256
SHORT_START = 24  # characters of the first piece of a long text: 1.5 s of speech
SHORTEST_START = 8  # characters, below which a piece sounds cut off
PER_SECOND = 13.0  # characters spoken in a second at speed 1, as a low estimate


@dataclass(frozen=True)
class SpokenLine:
    """A sentence as it is read out, and the pause after it in seconds."""

    text: str
    pause: float


@dataclass(frozen=True)
class SpeechPlan:
    """What is to be spoken, and by which model."""

    model: Model
    language: str
    lines: tuple[SpokenLine, ...]


def spoken_language(wanted: str, text: str) -> str:
    """Return the code of the language to speak. Raises BadInput for one that the engine does not speak."""
    listed = ", ".join(f"{code} ({name})" for code, name in LANGUAGES.items())
    code = wanted.strip().lower()
    if code != "auto":
        by_name = {name.lower(): known for known, name in LANGUAGES.items()}
        found = by_name.get(code, code.replace("_", "-").partition("-")[0])
        if found not in LANGUAGES:
            raise BadInput(f"The language '{wanted[:40]}' cannot be spoken. Choose from {listed}.")
        return found
    detected = language_of(text)
    if detected in LANGUAGES:
        return str(detected)
    if detected is None or (
        len(set(text.lower().split())) < UNSURE and all(ord(char) < 0x250 for char in text if char.isalpha())
    ):
        return "en"
    raise BadInput(f"The text seems to be in '{detected}', which cannot be spoken. Choose a `language` from {listed}.")


def lines_of(text: str, language: str) -> tuple[SpokenLine, ...]:
    """Return the sentences of a text as they are read out. Raises BadInput if there is nothing to say."""
    made = []
    spans = sentences(text, language)
    for span, follower in zip_longest(spans, spans[1:]):
        said = readable(span.of(text), language)
        if has_letters(said):
            between = text[span.end : follower.start] if follower else ""
            pause = PARAGRAPH_PAUSE if "\n" in between else PAUSES.get(said[-1], PLAIN_PAUSE)
            made.append(SpokenLine(said, pause if follower else 0.0))
    if not made:
        raise BadInput("The text has no letters, so there is nothing to say. Send words.")
    return tuple(made)


def with_short_start(lines: tuple[SpokenLine, ...]) -> tuple[SpokenLine, ...]:
    """Split a long first sentence, so that its sound begins early: after a clause, else between two words."""
    first = lines[0]
    if len(first.text) <= SHORT_START:
        return lines
    clauses, words = (
        [end for end in (found.end() for found in re.finditer(mark, first.text)) if end >= SHORTEST_START]
        for mark in (r"[,;:—–](?=\s)", r"\w(?=\s)")
    )
    near = [end for end in clauses if end <= SHORT_START] or [end for end in words if end <= SHORT_START]
    if not near:
        return lines
    head, rest = first.text[: near[-1]], first.text[near[-1] :].strip()
    if not (has_letters(head) and has_letters(rest)):
        return lines
    return SpokenLine(head, PAUSES.get(head[-1], 0.0)), replace(first, text=rest), *lines[1:]


def expected_seconds(text: str, speed: float) -> float:
    """Return a high estimate of the length of spoken text, for the reservation of credits."""
    return len(readable(text, "en")) / PER_SECOND / speed  # written out, numbers are longer


def spoken(pool: Pool, plan: SpeechPlan, voice: VoiceMix, speed: float, report: Report) -> Iterator[tuple[bytes, int]]:
    """Yield sentences as 16-bit PCM with the pause after each, and the sample rate in Hz."""
    for number, line in enumerate(plan.lines):
        share = number / len(plan.lines)
        report(Event("speaking", share))
        speech = pool.speak(plan.model, line.text, plan.language, voice, speed, _within(report, share, len(plan.lines)))
        pause = bytes(2 * round(line.pause / speed * speech.sample_rate))
        yield to_pcm(speech.samples) + pause, speech.sample_rate


def _within(report: Report, share: float, lines: int) -> Report:
    """Report the progress within a sentence as that of the whole."""
    return lambda event: report(Event("speaking", share + event.fraction / lines))


class VoiceMatches:
    """Remembers the voice of each reference by the hash of its sound. Thread-safe."""

    def __init__(self, kept: int = KEPT_MATCHES) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._known: OrderedDict[str, VoiceMatch] = OrderedDict()

    def find(self, audio: Audio, model: Model, match: Callable[[], VoiceMatch]) -> VoiceMatch:
        """Return the voice of a reference, matched now if it is not known."""
        with audio.path.open("rb") as file:
            key = f"{model.id} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = match()
        with self._lock:
            self._known[key] = found
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return found
