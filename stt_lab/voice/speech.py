"""Speak texts: sentence by sentence, with pauses by their punctuation."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from stt_lab.audio.wav import to_pcm
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import Voice, VoiceCopy, VoiceMatch
from stt_lab.errors import BadInput
from stt_lab.text.sentences import language_of, sentences
from stt_lab.types import Audio, Event, Report
from stt_lab.voice.reading import has_letters, readable
from stt_lab.weights.catalog import Model, models

NAMES = {"en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "it": "Italian", "pt": "Portuguese"} | {
    "zh": "Chinese"
}  # fmt: skip
SPOKEN = {"kokoro": ("en", "es", "fr", "hi", "it", "pt"), "f5-tts": ("en", "zh")}  # by engine: languages
COPIES = ("f5-tts",)  # engines that need the reference's sound and words
COPY_RATE = 24_000  # Hz, of that sound
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
KEPT_MATCHES = 64  # a copied voice takes 1 MB
SHORT_START = 24  # characters of the first piece of a long text: 1.5 s of speech
SHORTEST_START = 8  # characters, below which a piece sounds cut off
PER_SECOND = 13.0  # characters spoken in a second at speed 1, as a low estimate
PER_CHINESE = 4.0  # of those, that a Chinese one takes as long as
_CLAUSE_END, _WORD_END = re.compile(r"[,;:—–](?=\s)"), re.compile(r"\w(?=\s)")


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
    listener: Model | None = None  # what recognises the words of the reference


def choose_speaker(pool: Pool, wanted: str, language: str, text: str) -> tuple[Model, str]:
    """Return the model that speaks a text, and the text's language. Raises BadInput and ModelMissing."""
    able = pool.speakers(wanted)
    code = spoken_language(language, text, _languages(able))
    return next(model for model in able if code in SPOKEN[model.engine]), code


def languages_here(pool: Pool) -> dict[str, str]:
    """Return the names of the languages that the installed models speak, by code; of all models if there are none."""
    return _languages(tuple(pool.available("speak")) or models("speak"))


def _languages(able: Iterable[Model]) -> dict[str, str]:
    return {code: NAMES[code] for model in able for code in SPOKEN[model.engine]}


def choose_listener(pool: Pool, speaker: Model) -> Model | None:
    """Return what recognises the words of a reference: for a copy the best model, which must be there.

    For how fast somebody speaks, the smallest one is good enough.
    """
    if speaker.engine in COPIES:
        return pool.best("transcribe")
    able = (model for model in pool.available("transcribe") if model.languages != 1 and not model.for_tests)
    return min(able, key=lambda model: model.size_mb, default=None)


def spoken_language(wanted: str, text: str, spoken: Mapping[str, str]) -> str:
    """Return the code of the language to speak, one of `spoken`. Raises BadInput for another one."""
    listed = ", ".join(f"{code} ({name})" for code, name in spoken.items())
    code = wanted.strip().lower()
    if code != "auto":
        by_name = {name.lower(): known for known, name in spoken.items()}
        found = by_name.get(code, code.replace("_", "-").partition("-")[0])
        if found not in spoken:
            raise BadInput(f"The language '{wanted[:40]}' cannot be spoken. Choose from {listed}.")
        return found
    detected = language_of(text)
    if detected in spoken:
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
        [end for end in (found.end() for found in pattern.finditer(first.text)) if end >= SHORTEST_START]
        for pattern in (_CLAUSE_END, _WORD_END)
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
    said = readable(text, "en")  # written out, numbers are longer
    chinese = sum("\u3400" <= char <= "\u9fff" for char in said)
    return (len(said) + (PER_CHINESE - 1) * chinese) / PER_SECOND / speed


def spoken(pool: Pool, plan: SpeechPlan, voice: Voice, speed: float, report: Report) -> Iterator[tuple[bytes, int]]:
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


def heard(pool: Pool, plan: SpeechPlan, audio: Audio, fine: Audio, report: Report) -> VoiceCopy | None:
    """Return what is known of a reference: the `fine` sound, and its words as they are recognised here.

    None if nothing recognises them. Raises BadInput if a copy needs words and there are none.
    """
    if plan.listener is None:
        return None
    found = pool.transcribe(plan.listener, audio, None, lambda event: report(Event("checking", 0.0)))
    words = " ".join(segment.text.strip() for segment in found.segments)
    if plan.model.engine in COPIES and not has_letters(words):
        raise BadInput("No words were recognised in the reference. Send 3 to 10 s of one person speaking clearly.")
    return VoiceCopy(fine.read(), fine.sample_rate, words, found.language)


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
