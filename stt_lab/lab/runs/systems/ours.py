"""Our own engines, run by the same pool and host as a request: this process, a worker, or a Ray cluster."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from stt_lab.engines.pool import Pool
from stt_lab.errors import BadInput
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.protocol import SystemContext, SystemOutput, language_setting, speaker_setting
from stt_lab.pipeline import Models, listen
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.types import Audio, Report
from stt_lab.weights import catalog

NEVER_S = 30 * 86400.0  # an engine that unloads while other systems run would reload within a measurement


@dataclass(frozen=True)
class OwnConfig:
    """`engine = "stt_lab"`."""

    model: str  # of the catalog
    language: str = "auto"  # auto, known, or a code
    diarize: bool = False
    diarizer: str = ""  # of the catalog; "" = the best installed one
    speakers: int | Literal["known"] = 0

    def make(self, context: SystemContext) -> OwnSystem:
        return OwnSystem(self, context)


class OwnSystem:
    remote = False

    def __init__(self, config: OwnConfig, context: SystemContext) -> None:
        self.name = context.name
        self._config = config
        # a run uses exactly the named model, never a substitute
        more = {"strict_models": True, "idle_unload_s": NEVER_S}
        self._settings = context.settings.model_copy(update=more)
        self.model = catalog.get(config.model, catalog.models("transcribe"))
        self._diarizer: catalog.Model | None = None

    def start(self, report: Report) -> None:
        config, pool = self._config, self.pool
        pool.resolve("transcribe", config.model)  # strict: raises if it is not installed
        if config.diarize:
            self._diarizer = pool.resolve("diarize", config.diarizer)[0] if config.diarizer else pool.best("diarize")

    @cached_property
    def _runtime(self) -> Runtime:
        return private_runtime(self._settings)

    @property
    def pool(self) -> Pool:
        return self._runtime.pool

    @property
    def capacity(self) -> int:
        return self.pool.devices

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput:
        config, pool = self._config, self.pool
        language = language_setting(config.language, item)
        self.check_language(language)
        models = Models(self.model, self._diarizer, language)
        transcript = listen(pool, audio, models, speaker_setting(config.speakers, item), report)
        turns = transcript.turns if self._diarizer else None
        return SystemOutput(transcript.text, transcript.language, transcript.segments, turns)

    def check_language(self, language: str | None) -> None:
        """Raise BadInput if the model does not know a language."""
        if language not in (None, "en") and self.model.languages == 1:
            raise BadInput(
                f"The model '{self.model.id}' supports English only. Set languages = [\"en\"] for the system."
            )

    def processes(self) -> tuple[int, ...]:
        if self._settings.engine_host == "ray":
            return ()
        worker = self.pool.process
        return (worker or os.getpid(),)

    def provenance(self) -> dict[str, Any]:
        used = [model for model in (self.model, self._diarizer) if model is not None]
        needed = [catalog.get(need) for model in used for need in model.needs]
        weights = {model.id: self._hashes(model) for model in (*used, *needed)}
        return {"engine": "stt_lab", "settings": asdict(self._config), "weights": weights}

    def _hashes(self, model: catalog.Model) -> dict[str, str]:
        folder = catalog.locate(model, self._settings)
        assert folder is not None, model.id
        return weights_of(model, folder)

    def close(self) -> None:
        self._runtime.close()


def weights_of(model: catalog.Model, folder: Any) -> dict[str, str]:
    """Return the SHA-256 of each file of a model by name."""
    paths = sorted({path for pattern in model.files for path in folder.glob(pattern)})
    return {path.relative_to(folder).as_posix(): catalog.sha256(path) for path in paths}
