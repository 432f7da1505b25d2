"""Our own engines, through the same pool and host as every request: this process, a worker, or a Ray cluster."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from stt_lab.errors import BadInput
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.protocol import Bench, Heard, told_language, told_speakers
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.transcription.join import join, name_turns
from stt_lab.types import Audio, Report
from stt_lab.weights import catalog

NEVER_S = 30 * 86400.0  # an engine that unloads while others take their turns would load again within a measurement


@dataclass(frozen=True)
class Ours:
    """`engine = "stt_lab"`."""

    model: str  # of the catalog
    language: str = "auto"  # auto, known, or a code
    diarize: bool = False
    diarizer: str = ""  # of the catalog; the best one that is here
    speakers: int | Literal["known"] = 0

    def make(self, bench: Bench) -> OurSystem:
        return OurSystem(self, bench)


class OurSystem:
    remote = False

    def __init__(self, wish: Ours, bench: Bench) -> None:
        self.name = bench.name
        self._wish = wish
        # a run is about the model that was named, never about the best one that is here
        more = {"strict_models": True, "idle_unload_s": NEVER_S}
        self._settings = bench.settings.model_copy(update=more)
        self._model = catalog.get(wish.model)
        self._diarizer: catalog.Model | None = None

    def start(self, report: Report) -> None:
        wish, pool = self._wish, self._runtime.pool
        pool.resolve("transcribe", wish.model)  # strict: raises where it is not here
        if wish.diarize:
            self._diarizer = pool.resolve("diarize", wish.diarizer)[0] if wish.diarizer else pool.best("diarize")

    @cached_property
    def _runtime(self) -> Runtime:
        return private_runtime(self._settings)

    @property
    def capacity(self) -> int:
        return self._runtime.pool.devices

    def transcribe(self, item: Item, audio: Audio, report: Report) -> Heard:
        wish, pool = self._wish, self._runtime.pool
        language = told_language(wish.language, item)
        if language not in (None, "en") and self._model.languages == 1:
            raise BadInput(f"The model '{self._model.id}' knows English only: give the system languages = [\"en\"].")
        with pool.slot(report):
            recognition = pool.transcribe(self._model, audio, language, report)
            found = None
            if self._diarizer and recognition.segments:
                found = pool.diarize(self._diarizer, audio, told_speakers(wish.speakers, item), report)
        segments, _ = join(recognition, found, audio.duration)
        turns = name_turns(recognition, found, audio.duration) if found else ()
        text = " ".join(segment.text for segment in segments)
        return Heard(text, recognition.language, segments, turns if self._diarizer else None)

    def processes(self) -> tuple[int, ...]:
        if self._settings.engine_host == "ray":
            return ()
        worker = self._runtime.pool.process
        return (worker or os.getpid(),)

    def provenance(self) -> dict[str, Any]:
        used = [model for model in (self._model, self._diarizer) if model is not None]
        needed = [catalog.get(need) for model in used for need in model.needs]
        weights = {model.id: self._hashes(model) for model in (*used, *needed)}
        return {"engine": "stt_lab", "settings": asdict(self._wish), "weights": weights}

    def _hashes(self, model: catalog.Model) -> dict[str, str]:
        folder = catalog.locate(model, self._settings)
        assert folder is not None, model.id
        return weights_of(model, folder)

    def close(self) -> None:
        self._runtime.close()


def weights_of(model: catalog.Model, folder: Any) -> dict[str, str]:
    """sha256 of the files of a model, by name."""
    paths = sorted({path for pattern in model.files for path in folder.glob(pattern)})
    return {path.relative_to(folder).as_posix(): catalog.sha256(path) for path in paths}
