"""Pieces of speech: split a sentence into what a network speaks at once, and cut the sounds so that they join."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stt_lab.types import Samples

QUIET = 0.004  # of full scale: what is below it at both ends of a piece is cut off
CLAUSE_PAUSE_S = 0.12  # between two pieces of one sentence
EDGE_S, FADE_S = 0.03, 0.008  # seconds that stay around a piece, and over which it fades in and out
_CLAUSE = re.compile(r"(?<=[.!?…;:,—])\s+|(?<=[。！？；：，、])\s*")


def trimmed(sound: Samples, rate: int) -> Samples:
    """Cut silence off both ends, and fade what stays in and out, so that pieces join without a click."""
    loud = np.flatnonzero(np.abs(sound) > QUIET)
    if not len(loud):
        return np.zeros(0, np.float32)
    edge, fade = round(EDGE_S * rate), round(FADE_S * rate)
    made = sound[max(0, loud[0] - edge) : loud[-1] + edge].copy()
    ramp = np.linspace(0, 1, min(fade, len(made)), dtype=np.float32)
    made[: len(ramp)] *= ramp
    made[len(made) - len(ramp) :] *= ramp[::-1]
    return made


def joined(sounds: Iterable[Samples], rate: int) -> Samples:
    """Join the sounds of the pieces of a sentence, cut and with a pause between two of them."""
    pause = np.zeros(round(CLAUSE_PAUSE_S * rate), np.float32)
    parts = [part for sound in sounds for part in (pause, trimmed(sound, rate))]
    return np.concatenate(parts[1:]) if parts else np.zeros(0, np.float32)


def split(spoken: str, longest: int) -> Iterator[str]:
    """Split a text or its phonemes into pieces that are spoken at once: at clauses, else at words, else anywhere."""
    for clauses in _packed(_CLAUSE.split(spoken), longest):
        for words in _packed(clauses.split(" "), longest) if len(clauses) > longest else (clauses,):
            yield from (words[at : at + longest] for at in range(0, len(words), longest))


def _packed(parts: list[str], longest: int) -> Iterator[str]:
    held = ""
    for part in filter(None, parts):
        if held and len(held) + 1 + len(part) > longest:
            yield held
            held = ""
        held = f"{held} {part}" if held else part
    if held:
        yield held
