"""Make conversations from single utterances, with seeds and exact turns, to choose settings of the diarizer by.

    python eval/conversations.py FOLDER [--count 48]

Readers are those of the development set in STT_LAB_SPEECH_DIR that have a name, and one of FLEURS for each language,
in GROUPS groups. Each conversation has 2 to 6 readers of one group, turns of 0.6 s to whole utterances, pauses and
overlaps, and every second one a room and noise. Settings that were chosen on other groups never heard its readers.
Writes WAV and RTTM; conversation n belongs to group n % GROUPS.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from service import recordings

from stt_lab.audio import Decoder
from stt_lab.lab.noise.effects import noise, room
from stt_lab.lab.noise.sound import own_decoder, write_wav
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, Turn

if TYPE_CHECKING:
    from stt_lab.types import Samples

GROUPS = 3
NAMED = (
    "librispeech",
    "ljspeech",
    "librivox",
    "jfk",
    "asterisk",
    "misc_languages",
    "vctk_noisy",
)  # beginnings of folders
LEAST_S = 8.0  # speech of a reader
LONGEST_S = 12.0  # of a turn
FRAME = SAMPLE_RATE // 100  # samples whose level is measured
QUIET = 0.03  # share of the loudest level below which nobody speaks
ROOMS, NOISES = (0.2, 0.4, 0.6), (10, 15, 20, 25)  # seconds of reverberation; decibels


@dataclass(frozen=True)
class Clip:
    """An utterance of one reader, cut where it begins and ends."""

    reader: str
    sound: Samples


@dataclass(frozen=True)
class Conversation:
    """A made recording and who speaks when."""

    name: str
    sound: Samples
    turns: tuple[Turn, ...]
    readers: frozenset[str]


def clips(decoder: Decoder, speech: Path) -> list[Clip]:
    made = []
    for path, reader in _read_by_one(recordings(get_settings())):
        with decoder.decode(speech / path) as audio:
            made += [Clip(reader, part) for part in _parts(audio.read())]
    return made


def _read_by_one(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield paths with their readers."""
    languages = set()
    for row in rows:
        names, path, language = row.get("speakers") or [], row["path"], row.get("language")
        if len(names) == 1 and path.startswith(NAMED) and "noisy_" not in path:
            yield path, names[0]
        elif path.startswith("fleurs_") and row["duration_s"] > LEAST_S and language not in languages:
            languages.add(language)
            yield path, f"FLEURS {language}"


def _parts(sound: Samples) -> Iterator[Samples]:
    """Cut at silences of 0.3 s and more; yield what is longer than 0.6 s."""
    levels = np.abs(sound[: len(sound) // FRAME * FRAME]).reshape(-1, FRAME).max(axis=1)
    loud = levels > QUIET * levels.max()
    joined = np.convolve(loud, np.ones(31), "same") > 0  # a pause of less than 0.3 s belongs to the speech
    edges = np.flatnonzero(np.diff(np.concatenate(([0], joined.astype(int), [0])))).reshape(-1, 2)
    for first, after in edges:
        spoken = np.flatnonzero(loud[first:after])
        start, stop = (first + spoken[0]) * FRAME, (first + spoken[-1] + 1) * FRAME
        if stop - start > 0.6 * SAMPLE_RATE:
            yield sound[start:stop]


def conversation(name: str, clips: list[Clip], readers: list[str], chance: random.Random) -> Conversation:
    by_reader = {reader: [clip.sound for clip in clips if clip.reader == reader] for reader in readers}
    length = chance.uniform(40, 40 + 20 * len(readers))
    parts: list[tuple[float, str, Samples]] = []
    time, speaker, shares = 0.5, chance.choice(readers), {reader: chance.uniform(0.4, 1.0) for reader in readers}
    while time < length or len({one for _, one, _ in parts}) < len(readers):
        missing = [one for one in readers if time > length and one not in {two for _, two, _ in parts}]
        others = missing or [one for one in readers if one != speaker]
        speaker = chance.choices(others, [shares[one] for one in others])[0]
        longest = chance.choice((1.5, 3.0, 6.0, LONGEST_S))
        sound = chance.choice(by_reader[speaker])[: int(longest * SAMPLE_RATE)]
        time = max(0.0, time + (-chance.uniform(0.2, 1.5) if chance.random() < 0.2 else chance.uniform(0.05, 1.2)))
        parts.append((time, speaker, sound * np.float32(0.5 / max(0.01, np.abs(sound).max()))))
        time += len(sound) / SAMPLE_RATE
    mixed = np.zeros(int((time + 1) * SAMPLE_RATE), np.float32)
    turns = []
    for start, reader, sound in parts:
        first = int(start * SAMPLE_RATE)
        mixed[first : first + len(sound)] += sound
        turns.append(Turn(first / SAMPLE_RATE, (first + len(sound)) / SAMPLE_RATE, reader))
    return Conversation(name, mixed, tuple(turns), frozenset(readers))


def made(decoder: Decoder, speech: Path, count: int, seed: int = 0) -> Iterator[Conversation]:
    """Yield conversations of 2, 3, 4, 5, 6, 2 ... speakers; every second one in a room with noise."""
    found = clips(decoder, speech)
    heard = {clip.reader: sum(len(one.sound) for one in found if one.reader == clip.reader) for clip in found}
    known = sorted(reader for reader, samples in heard.items() if samples > LEAST_S * SAMPLE_RATE)
    for number in range(count):
        chance = random.Random(seed + number)
        group = known[number % GROUPS :: GROUPS]
        readers = chance.sample(group, min(len(group), 2 + number % 5))
        one = conversation(f"made_{number:02}_{len(readers)}", found, readers, chance)
        if number % 2:
            worse = room(chance.choice(ROOMS))(one.sound, seed + number)[: len(one.sound)]
            worse = noise(chance.choice(NOISES))(worse, seed + number)
            one = Conversation(one.name, np.asarray(worse, np.float32), one.turns, one.readers)
        yield one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=48)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = get_settings()
    with own_decoder(settings) as decoder:
        for one in made(decoder, settings.speech_dir, options.count):
            path = options.folder / f"{one.name}.wav"
            write_wav(path, np.clip(one.sound, -1, 1))
            path.with_suffix(".rttm").write_text("".join(map(_line, one.turns)), "utf-8")


def _line(turn: Turn) -> str:
    name = turn.speaker.replace(" ", "_")
    return f"SPEAKER made 1 {turn.start:.3f} {turn.duration:.3f} <NA> <NA> {name} <NA> <NA>\n"


if __name__ == "__main__":
    main()
