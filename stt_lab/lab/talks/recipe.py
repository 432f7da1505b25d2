"""Recipes of conversations: TOML files with speakers, their turns, a room and noise."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stt_lab.errors import BadInput
from stt_lab.text.sentences import sentences

LONGEST_S = 60.0  # of a conversation


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Number = Annotated[float, Field(strict=False)]  # TOML writes 2 for 2.0


class TalkSpeaker(_Part):
    """A person of a conversation."""

    voice: str = Field(description="One of Kokoro's stock voices")
    speed: Annotated[Number, Field(ge=0.5, le=2)] = 1.0
    level_db: Annotated[Number, Field(ge=-30, le=10)] = 0.0  # beside the others


class TalkTurn(_Part):
    """What one person says at a stretch."""

    speaker: str
    text: str = Field(min_length=1, max_length=1000)
    gap: Annotated[Number, Field(ge=-10, le=10)] = 0.4  # seconds after the end of the turn before; less than 0: overlap


class Noise(_Part):
    """Stationary noise below the level of the speech."""

    snr_db: Annotated[Number, Field(ge=-10, le=60)]
    colour: Literal["white", "pink", "brown"] = "pink"


class Recipe(_Part):
    """A conversation to be made."""

    title: str
    language: Literal["en"] = "en"  # whose words and phonemes were compared
    seed: int = Field(1, ge=0)  # of the noise
    room_s: Annotated[Number, Field(ge=0.15, le=1.2)] | None = None  # time in which sound falls by 60 dB; None: no room
    noise: Noise | None = None
    speakers: Mapping[str, TalkSpeaker] = Field(min_length=1, max_length=8)
    turns: tuple[TalkTurn, ...] = Field(min_length=1, max_length=60, strict=False)


def read_recipe(path: Path, voices: tuple[str, ...]) -> Recipe:
    """Read a recipe. Raises BadInput, which names the file, the place and what to do."""
    try:
        made = Recipe.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path.name} is not TOML: {problem}.") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        raise BadInput(f"{path.name}, {where}: {first['msg']}.") from None
    for name, speaker in made.speakers.items():
        if not name.isidentifier():
            raise BadInput(f"{path.name}: the name {name!r} does not fit into RTTM. Use letters, digits and _.")
        if speaker.voice not in voices:
            raise BadInput(
                f"{path.name}: {name}'s voice {speaker.voice!r} is not known. Choose from {', '.join(voices)}."
            )
    for number, turn in enumerate(made.turns, 1):
        if turn.speaker not in made.speakers:
            known = ", ".join(made.speakers)
            raise BadInput(f"{path.name}, turn {number}: nobody is called {turn.speaker!r}. Choose from {known}.")
        if not sentences(turn.text, made.language):
            raise BadInput(f"{path.name}, turn {number}: the text is empty. Write a sentence.")
    return made
