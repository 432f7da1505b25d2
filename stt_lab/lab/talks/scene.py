"""Place the turns of a recipe in time, in a room, with noise, and write the recording with its references.

Speakers' times are those at which their sound was put in: a room's delay is taken away, its reverberation does not
count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.engines.kokoro_times import TimedKokoro
from stt_lab.errors import BadInput
from stt_lab.lab.noise import effects
from stt_lab.lab.noise.levels import active_level
from stt_lab.lab.noise.sound import write_wav
from stt_lab.lab.talks.recipe import LONGEST_S, Recipe, read_recipe
from stt_lab.lab.talks.voices import RATE, SpokenTurn, open_voices, spoken_turn
from stt_lab.settings import Settings
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

LEAD_S, TAIL_S = 0.5, 0.5  # seconds before the first and after the last turn
PEAK = 0.7  # of full scale, of the speech before room and noise
SHORTEST_OWN_GAP_S = 0.1  # between two turns of the same person


@dataclass(frozen=True)
class PlacedTurn:
    """A turn in a conversation, in seconds."""

    speaker: str
    text: str
    start: float
    end: float
    words: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """A conversation: speech alone as it was put together, the recording at SAMPLE_RATE, and who says what when."""

    clean: Sound
    sound: Sound
    turns: tuple[PlacedTurn, ...]

    @property
    def overlap(self) -> float:
        """Return the seconds in which two or more people speak."""
        edges = sorted([(one.start, 1) for one in self.turns] + [(one.end, -1) for one in self.turns])
        total, speaking, before = 0.0, 0, 0.0
        for at, step in edges:
            total += at - before if speaking > 1 else 0.0
            speaking, before = speaking + step, at
        return total


def place(name: str, recipe: Recipe, spoken: tuple[SpokenTurn, ...]) -> tuple[PlacedTurn, ...]:
    """Return the turns with their times, on samples of both rates. Raises BadInput for overlaps that cannot be."""
    made: list[PlacedTurn] = []
    for number, (turn, speech) in enumerate(zip(recipe.turns, spoken, strict=True), 1):
        length = len(speech.sound) / RATE
        before = made[-1] if made else None
        overlap = -turn.gap if before else 0.0
        for whose, lasts in ((number - 1, before.end - before.start if before else 0.0), (number, length)):
            if overlap > lasts:
                raise BadInput(
                    f"{name}, turn {number}: an overlap of {overlap:.1f} s is longer than turn {whose}, which lasts "
                    f"{lasts:.1f} s. Write a gap of at least {-lasts:.1f}."
                )
        start = round((before.end + turn.gap if before else LEAD_S) * SAMPLE_RATE / 2) * 2 / SAMPLE_RATE
        own = [one.end for one in made if one.speaker == turn.speaker]
        if own and start < max(own) + SHORTEST_OWN_GAP_S:
            raise BadInput(
                f"{name}, turn {number}: {turn.speaker} still speaks at {start:.1f} s. Write a longer gap, or another "
                "speaker."
            )
        words = tuple((text, start + first, start + last) for text, first, last in speech.words)
        made.append(PlacedTurn(turn.speaker, turn.text, start, start + length, words))
    if made[-1].end + TAIL_S > LONGEST_S:
        raise BadInput(f"{name} lasts {made[-1].end:.0f} s. Leave out turns: at most {LONGEST_S:.0f} s.")
    return tuple(made)


def make_scene(name: str, recipe: Recipe, speaker: TimedKokoro) -> Scene:
    """Make a conversation. The same recipe gives the same samples."""
    import numpy as np
    from scipy.signal import resample_poly

    spoken = tuple(
        spoken_turn(speaker, recipe.speakers[turn.speaker], turn.text, recipe.language) for turn in recipe.turns
    )
    turns = place(name, recipe, spoken)
    mixed = np.zeros(round((max(turn.end for turn in turns) + TAIL_S) * RATE), np.float32)
    for turn, speech in zip(turns, spoken, strict=True):
        at = round(turn.start * RATE)
        mixed[at : at + len(speech.sound)] += speech.sound
    clean = resample_poly(mixed, SAMPLE_RATE, RATE).astype(np.float32)
    clean *= np.float32(PEAK / np.abs(clean).max())
    heard = in_room(clean, recipe.room_s) if recipe.room_s else clean
    if recipe.noise:
        heard = effects.noise(recipe.noise.snr_db, recipe.noise.colour)(heard, recipe.seed)
    return Scene(clean, heard, turns)


def in_room(sound: Sound, t60_s: float) -> Sound:
    """Add a room's reverberation at the same speech level. What comes straight to the microphone keeps its time."""
    import numpy as np
    from scipy.signal import fftconvolve

    response = effects.impulse_response(t60_s)
    straight = int(np.argmax(np.abs(response)))
    made = fftconvolve(sound, response)[straight:][: len(sound)]
    gain = np.sqrt(active_level(sound) / max(active_level(made), 1e-12))
    return np.asarray(gain * made, np.float32)


def make_talk(path: Path, folder: Path, settings: Settings) -> dict[str, Any]:
    """Make the recording of a recipe in a folder; return its row of a manifest, without what its WAV file tells.

    Raises BadInput for a bad recipe, and Unavailable for weights or packages that are not installed.
    """
    speaker = open_voices(settings)
    recipe = read_recipe(path, speaker.voices())
    scene = make_scene(path.name, recipe, speaker)
    name = path.stem
    write_wav(folder / f"{name}.wav", scene.sound)
    lines = [
        f"SPEAKER {name} 1 {one.start:.3f} {one.end - one.start:.3f} <NA> <NA> {one.speaker} <NA> <NA>\n"
        for one in scene.turns
    ]
    (folder / f"{name}.rttm").write_text("".join(lines), "utf-8")
    spans = [_span(one.start, one.end) | {"speaker": one.speaker, "text": one.text} for one in scene.turns]
    (folder / f"{name}.segments.json").write_text(json.dumps(spans, indent=1), "utf-8")
    words = [
        {"word": text, **_span(start, end), "speaker": one.speaker}
        for one in scene.turns
        for text, start, end in one.words
    ]
    words.sort(key=lambda word: (word["start"], word["end"]))
    (folder / f"{name}.words.json").write_text(json.dumps(words, indent=1), "utf-8")
    return {
        "text": " ".join(turn.text for turn in scene.turns),
        "language": recipe.language,
        "kind": "multi-speaker" if len(recipe.speakers) > 1 else "utterance",
        "speakers": sorted(recipe.speakers),
        "rttm": f"{name}.rttm",
        "segments": f"{name}.segments.json",
        "word_times": f"{name}.words.json",
        "word_times_origin": "the durations by which the sound was made (frames of 25 ms)",
        "overlap_share": round(scene.overlap / sum(one.end - one.start for one in scene.turns), 3),
        "style": f"synthetic: {recipe.title}",
    }


def _span(start: float, end: float) -> dict[str, Any]:
    return {"start": round(start, 3), "end": round(end, 3)}
