"""Speak the turns of a recipe, each with the times of its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_lab.engines.kokoro_times import TimedKokoro
from stt_lab.engines.pieces import QUIET
from stt_lab.engines.protocols import EngineSpec, VoiceMix
from stt_lab.errors import ModelMissing
from stt_lab.lab.talks.recipe import TalkSpeaker
from stt_lab.settings import Settings
from stt_lab.text.sentences import sentences
from stt_lab.weights import catalog

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

MODEL = "kokoro-82m"
RATE = 24_000  # Hz, of what is spoken here
SENTENCE_PAUSE_S = 0.3


@dataclass(frozen=True, eq=False)
class SpokenTurn:
    """Sound from its first to its last audible sample, and words: text, start and end in seconds."""

    sound: Sound
    words: tuple[tuple[str, float, float], ...]


def open_voices(settings: Settings) -> TimedKokoro:
    """Return what speaks. Raises ModelMissing if the weights are not installed."""
    model = catalog.get(MODEL)
    folder = catalog.locate(model, settings)
    if folder is None or not catalog.available(model, settings):
        raise ModelMissing(f"the weights of {MODEL} are not installed; run `stt-lab models pull {MODEL}`")
    return TimedKokoro(EngineSpec(folder, model.id, threads=1, extra=catalog.extra(model, settings)))


def spoken_turn(speaker: TimedKokoro, who: TalkSpeaker, text: str, language: str) -> SpokenTurn:
    """Speak a turn, sentence by sentence."""
    import numpy as np

    sounds: list[Sound] = []
    words: list[tuple[str, float, float]] = []
    voice, length = VoiceMix(((who.voice, 1.0),)), 0
    for span in sentences(text, language):
        sound, timed = speaker.timed(span.of(text), language, voice, who.speed)
        loud = np.flatnonzero(np.abs(sound) > QUIET)
        first, last = int(loud[0]), int(loud[-1]) + 1
        if sounds:
            sounds.append(np.zeros(round(SENTENCE_PAUSE_S * RATE), np.float32))
            length += len(sounds[-1])
        for word in timed:
            start, end = (min(max(at, first), last) - first + length for at in (word.start, word.end))
            words.append((word.text, start / RATE, end / RATE))
        sounds.append(sound[first:last] * np.float32(10 ** (who.level_db / 20)))
        length += last - first
    return SpokenTurn(np.concatenate(sounds), tuple(words))
