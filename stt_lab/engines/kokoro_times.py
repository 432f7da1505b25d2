"""Kokoro with the times of its words: the network says how long it makes each phoneme, and that is read out, too.

The network rounds each phoneme to frames of 25 ms and makes sound of exactly so many, so the times are those that the
sound was made by, not estimates from it. The sound runs a little before them, by about LAG (eval/LOG.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_lab.engines.kokoro import LONGEST, MODEL, TOKENS, KokoroSpeaker
from stt_lab.engines.onnx import open_network, run_and_shrink
from stt_lab.engines.phonemes import KEPT, phonemes
from stt_lab.errors import BadInput

if TYPE_CHECKING:
    from stt_lab.engines.protocols import VoiceMix
    from stt_lab.types import Samples

DURATIONS = "/encoder/Clip_output_0"  # the network's own name of the frames of each phoneme
FRAME = 600  # samples: 25 ms
LAG = 2 * FRAME  # samples by which words are audible before the network's own times
STRESS = "ˈˌ"


@dataclass(frozen=True)
class TimedWord:
    """A word as it is written, and the samples between which it is spoken."""

    text: str
    start: int
    end: int


class TimedKokoro(KokoroSpeaker):
    """Speaks sentences that are short enough to be spoken at once, and tells when each word is."""

    def load(self) -> None:
        network = (self.spec.folder / MODEL).read_bytes() + also_returns(DURATIONS)
        self._session = open_network(network, self.spec.threads, keep=True)

    def timed(self, text: str, language: str, voice: VoiceMix, speed: float) -> tuple[Samples, tuple[TimedWord, ...]]:
        """Return the sound of a sentence, not cut, and its words. Raises BadInput for one that has no exact times."""
        if self._session is None:
            self.load()
        words = text.split()
        spoken = " ".join(per_word(words, language))
        heard = [char for char in spoken if char in TOKENS]
        if not 0 < len(heard) <= LONGEST:
            raise BadInput(f"The sentence {text[:40]!r} has {len(heard)} sounds. Write sentences of 1 to {LONGEST}.")
        sound, frames = run_and_shrink(self._session, self.inputs(heard, voice, speed))
        bounds = np.maximum(np.cumsum(np.rint(frames.ravel()).astype(int)) * FRAME - LAG, 0)
        starts, ends = bounds[:-2], bounds[1:-1]  # of the tokens, without both edges
        spans = _spans("".join(heard))
        found = zip(words, spans, strict=True)
        timed = tuple(TimedWord(word, int(starts[first]), int(ends[last])) for word, (first, last) in found)
        return np.asarray(sound, np.float32).ravel(), timed


def also_returns(name: str) -> bytes:
    """Return what, behind a network in ONNX format, makes one of its inner values an output.

    The format is a protocol buffer: of a field that comes twice, such as the graph, both parts are joined.
    """
    output = _field(1, name.encode())  # ValueInfoProto.name
    return _field(7, _field(12, output))  # ModelProto.graph, GraphProto.output


def _field(number: int, content: bytes) -> bytes:
    size, rest = b"", len(content)
    while rest > 127:
        size, rest = size + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + size + bytes([rest]) + content


def per_word(words: list[str], language: str) -> list[str]:
    """Return the phonemes of each word, in their sentence, with the marks after it.

    espeak-ng writes some words as one ("on the"), which is cut where one of the two sounds as it does alone. Raises
    BadInput for words that cannot be separated.
    """
    found: list[str] = []
    parts = phonemes(" ".join(words), language).split(" ")
    for number, word in enumerate(words):
        alone = _letters(phonemes(word, language))
        left, later = len(words) - number, words[number + 1 :]
        if not parts:
            raise BadInput(f"The word {word!r} makes no sound of its own. Leave it out, or write it otherwise.")
        part = parts.pop(0)
        if len(parts) + 1 < left and later and (cut := _cut(part, alone, _letters(phonemes(later[0], language)))):
            parts.insert(0, part[cut:])
            part = part[:cut]
        found.append(part)
    if parts or not all(_letters(part) for part in found):
        raise BadInput(f"The words of {' '.join(words)[:60]!r} and their sounds do not match. Write it otherwise.")
    return found


def _cut(joined: str, first: str, second: str) -> int:
    """Return where the phonemes of two words part; 0 if they are not those of both."""
    letters = _letters(joined)
    for size in (len(first), len(letters) - len(second)):
        if 0 < size < len(letters) and (letters[:size] == first or letters[size:] == second):
            places = [at for at, char in enumerate(joined) if char not in STRESS + KEPT]
            cut = places[size]
            return cut - 1 if joined[cut - 1] in STRESS else cut
    return 0


def _letters(spoken: str) -> str:
    return re.sub(f"[{re.escape(STRESS + KEPT)}]", "", spoken)


def _spans(heard: str) -> Iterator[tuple[int, int]]:
    """Yield the first and the last token of each word, without the marks around it."""
    for found in re.finditer(r"[^ ]+", heard):
        inside = [found.start() + at for at, char in enumerate(found[0]) if char not in KEPT]
        if inside:
            yield inside[0], inside[-1]
