"""Kokoro-82M: speech of 24 kHz from phonemes, in the style of a voice pack or of a mixture of packs.

Source: hexgrad/Kokoro-82M v1.0 (StyleTTS 2 with an iSTFTNet vocoder). A pack has one style vector of 256 numbers for
each number of tokens. Packs can be mixed linearly, in all languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.engines.onnx import open_network, run_and_shrink
from stt_lab.engines.phonemes import VOICES as LANGUAGES
from stt_lab.engines.phonemes import phonemes
from stt_lab.engines.pieces import joined, split
from stt_lab.engines.protocols import EngineSpec, SpokenSentence, Voice, VoiceCopy, VoiceMatch, VoiceMix
from stt_lab.types import Event

if TYPE_CHECKING:
    from stt_lab.types import Audio, Report, Samples

RATE = 24_000  # Hz
MODEL, PACKS = "model.onnx", "kokoro-voices"
LONGEST = 400  # tokens at once; the network reads 510, and what is long is spoken in a hurry
STYLES = (510, 256)  # of a pack
PITCH_STEPS = 200  # of a ratio between two pitches
RUNS = (  # the network's tokens: first number, and the symbols from there on
    (1, ";:,.!?"), (9, '—…"()“” \u0303ʣʥʦʨᵝꭧAI'), (31, "O"), (33, "Q"), (35, "ST"), (39, "W"), (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"), (75, "βɔɕç"), (80, "ɖðʤə"), (85, "ɚɛɜ"), (90, "ɟ"), (92, "ɡ"), (99, "ɥ"),
    (101, "ɨɪʝ"), (110, "ɯɰŋɳɲɴø"), (118, "ɸθœ"), (123, "ɹ"), (125, "ɾɻ"), (128, "ʁɽʂʃʈʧ"), (135, "ʊʋ"), (138, "ʌɣɤ"),
    (142, "χʎ"), (147, "ʒʔ"), (156, "ˈˌː"), (162, "ʰ"), (164, "ʲ"), (169, "↓"), (171, "→↗↘"), (177, "ᵻ"),
)  # fmt: skip
TOKENS = {char: first + at for first, chars in RUNS for at, char in enumerate(chars)}


class KokoroSpeaker:
    """A `Speaker`."""

    languages = tuple(LANGUAGES)

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._session: Any = None
        self._packs: dict[str, Samples] = {}
        self._matcher: Any = None

    def load(self) -> None:
        self._session = open_network(self.spec.folder / MODEL, self.spec.threads, keep=True)

    def unload(self) -> None:
        self._session, self._packs, self._matcher = None, {}, None

    @property
    def folder(self) -> Path:
        """Return the folder of the voice packs."""
        return dict(self.spec.extra)[PACKS]

    def voices(self) -> tuple[str, ...]:
        """Return the names of the packs: the language's letter, f or m, and a name ("af_heart")."""
        return tuple(sorted(path.stem for path in self.folder.glob("voices/*.bin")))

    def match(self, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        from stt_lab.engines.voice_match import Matcher

        self._matcher = self._matcher or Matcher(self)
        found: VoiceMatch = self._matcher.match(audio, report, copy)
        return found

    def speak(self, text: str, language: str, voice: Voice, speed: float, report: Report) -> SpokenSentence:
        assert isinstance(voice, VoiceMix)
        sounds: list[Samples] = []
        pieces = list(split(phonemes(text, language), LONGEST))
        for number, piece in enumerate(pieces):
            report(Event("speaking", number / len(pieces)))
            sounds.append(self.say(piece, voice, speed))
        return SpokenSentence(joined(sounds, RATE), RATE)

    def say(self, spoken: str, voice: VoiceMix, speed: float) -> Samples:
        """Speak phonemes, at most LONGEST of them."""
        if self._session is None:
            self.load()
        heard = [char for char in spoken if char in TOKENS]
        if not heard:
            return np.zeros(0, np.float32)
        inputs = self.inputs(heard, voice, speed * voice.rate / voice.pitch)
        made = np.asarray(run_and_shrink(self._session, inputs)[0], np.float32).ravel()
        return moved(made, voice.pitch)

    def inputs(self, heard: Sequence[str], voice: VoiceMix, speed: float) -> dict[str, Any]:
        """Return what the network reads for phonemes that it knows."""
        return {
            "tokens": np.array([[0, *(TOKENS[char] for char in heard), 0]], np.int64),
            "style": self.style(voice)[min(len(heard), STYLES[0]) - 1][None],
            "speed": np.array([speed], np.float32),
        }

    def style(self, voice: VoiceMix) -> Samples:
        """Return the styles of a voice, shape (510, 256)."""
        mixed: Samples = np.zeros(STYLES, np.float32)
        for name, weight in voice.parts:
            mixed += np.float32(weight) * self._pack(name)
        return mixed

    def _pack(self, name: str) -> Samples:
        if name not in self._packs:
            raw = np.fromfile(self.folder / "voices" / f"{name}.bin", "<f4")
            self._packs[name] = raw.reshape(STYLES)
        return self._packs[name]


def moved(sound: Samples, pitch: float) -> Samples:
    """Play a sound faster, which raises its pitch; `say` has it spoken slower by as much."""
    from scipy.signal import resample_poly

    if abs(pitch - 1.0) < 0.005 or not len(sound):
        return sound
    made: Samples = resample_poly(sound, PITCH_STEPS, round(PITCH_STEPS * pitch)).astype(np.float32)
    return made
