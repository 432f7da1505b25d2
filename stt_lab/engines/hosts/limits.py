"""How long a call of an engine may work, by the length of what it works on.

The limits are some ten times what the slowest supported machine needs. They end calls that a text or a sound has made
endless; what is only slow ends by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stt_lab.types import Audio

LOADING_S = 300.0  # of a model, which is part of the first call


@dataclass(frozen=True)
class TimeLimit:
    """Seconds for 1,000 characters of text, and for a second of sound."""

    text: float = 0.0
    sound: float = 0.0


LIMITS = {
    "embed": TimeLimit(text=2.0),
    "embed_counted": TimeLimit(text=2.0),
    "answerable": TimeLimit(text=10.0),
    "parse": TimeLimit(text=2.0),
    "find_pii": TimeLimit(text=2.0),
    "translate": TimeLimit(text=600.0),  # by a model of 3 billion parameters
    "transcribe": TimeLimit(sound=20.0),
    "diarize": TimeLimit(sound=10.0),
    "match": TimeLimit(sound=30.0),
    "speak": TimeLimit(text=1200.0),  # by F5-TTS, a tenth of that by Kokoro
}
OTHERS = TimeLimit(text=120.0, sound=20.0)  # language models, whose answers have a length of their own
ANSWER_S = 600.0  # for such an answer


def seconds_for(method: str, arguments: Mapping[str, Any]) -> float:
    """Return the seconds that a call may work."""
    limit = LIMITS.get(method, OTHERS)
    plain = LOADING_S + (0.0 if method in LIMITS else ANSWER_S)
    sound = sum(value.duration for value in arguments.values() if isinstance(value, Audio))
    return plain + limit.text * sum(map(_characters, arguments.values())) / 1000 + limit.sound * sound


def _characters(value: Any) -> int:
    """Count the characters in an argument."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(_characters, value))
    return sum(map(_characters, vars(value).values())) if hasattr(value, "__dataclass_fields__") else 0
