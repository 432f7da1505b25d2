"""The stock voices by name: their languages, and what OpenAI's names of voices mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stt_lab.engines.pool import AUTO, Pool
from stt_lab.errors import BadInput, ModelMissing
from stt_lab.settings import Settings
from stt_lab.voice.speech import COPIES
from stt_lab.weights import catalog

DEFAULT_VOICE = "af_heart"
LANGUAGE_LETTERS = {  # first letter of a pack -> language; those of j (Japanese) and z (Chinese) have no phonemes here
    **{"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt"},
}
OPENAI_VOICES = {  # by gender and character; those that Kokoro imitates have the same name
    "alloy": "af_alloy",  # neutral
    "ash": "am_michael",  # a clear man
    "ballad": "bm_george",  # a warm British man
    "cedar": "am_fenrir",  # a deep man
    "coral": "af_bella",  # a lively woman
    "echo": "am_echo",
    "fable": "bm_fable",  # British
    "marin": "af_heart",  # a warm woman
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",  # a calm woman
    "shimmer": "af_sky",  # a light woman
    "verse": "am_puck",  # an expressive man
}


@dataclass(frozen=True)
class StockVoice:
    """A voice that a model brings."""

    id: str  # such as af_heart
    language: str  # ISO 639-1
    gender: Literal["female", "male"]
    openai: tuple[str, ...] = ()  # OpenAI's names that mean it


def stock_speaker(pool: Pool, wanted: str) -> catalog.Model:
    """Return the model that speaks in stock voices: the requested one or, for `auto`, the best one that is installed.

    Raises BadInput for a model that has none, and ModelMissing if none is installed.
    """
    able = [model for model in pool.speakers(wanted) if model.engine not in COPIES]
    if able:
        return able[0]
    named = [model for model in catalog.models("speak") if model.engine not in COPIES]
    if wanted != AUTO:
        raise BadInput(f"The model {wanted[:40]!r} has no stock voices. Choose from {', '.join(catalog.names(named))}.")
    raise ModelMissing(
        f"No model with stock voices is installed. Run `stt-lab models pull {named[0].id}` on the server."
    )


def stock_voices(model: catalog.Model, settings: Settings) -> tuple[StockVoice, ...]:
    """Return the installed voices of a model that can be spoken, by name."""
    folders = [folder for _, folder in catalog.extra(model, settings)]
    names = sorted(path.stem for folder in folders for path in folder.glob("voices/*.bin"))
    return tuple(_voice(name) for name in names if name[0] in LANGUAGE_LETTERS)


def _voice(name: str) -> StockVoice:
    known = tuple(theirs for theirs, ours in OPENAI_VOICES.items() if ours == name)
    return StockVoice(name, LANGUAGE_LETTERS[name[0]], "female" if name[1:2] == "f" else "male", known)


def chosen_voice(wanted: str, voices: Iterable[StockVoice]) -> StockVoice:
    """Return a stock voice by its name or OpenAI's. Raises BadInput for others, with a list."""
    known = {voice.id: voice for voice in voices}
    name = wanted.strip().lower()
    voice = known.get(OPENAI_VOICES.get(name, name))
    if voice is None:
        raise BadInput(
            f"The voice '{wanted[:40]}' is unknown, or its language cannot be spoken. "
            f"Choose from {', '.join(known)}, or by OpenAI's names: {', '.join(OPENAI_VOICES)}."
        )
    return voice
