"""Diarize with pyannote.audio's own pipeline: community-1, or segmentation-3.0 with CAM++."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import ModelMissing
from stt_lab.types import SAMPLE_RATE, Audio, Diarization, Event, Provenance, Report, Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation

    from stt_lab.engines.diarization import WindowedDiarization

Turns = tuple[Turn, ...]

STEP = 0.25  # step as a fraction of a window of 10 s; smaller ones cost more and find the same (eval/diarization.py)
SHARES = {
    "segmentation": (0.0, 0.2),
    "embeddings": (0.2, 0.8),
    "stretches": (0.8, 0.98),
}  # shares of the time, measured with CAM++
ENVIRONMENT = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",  # read at the first convolution; 1024 hold 5 MB for each length of voice
}
SHORTEST = SAMPLE_RATE // 50  # samples (20 ms); shorter sound has no frame


class PyannoteDiarizer:
    """A Diarizer for the models "community-1" and "segmentation-3.0" (with the folder of "campplus" in `extra`)."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._pipeline: WindowedDiarization | None = None

    def load(self) -> None:
        """Read the weights. Raises ModelMissing if files are missing or invalid."""
        if self._pipeline is None:
            for name, value in ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            with _quiet():
                try:
                    self._pipeline = self._build()
                except (OSError, RuntimeError, ValueError, KeyError) as problem:
                    raise ModelMissing(
                        f"The weights of {self.spec.model} are missing or damaged. Pull the model again."
                    ) from problem

    def unload(self) -> None:
        self._pipeline = None

    def diarize(self, audio: Audio, speakers: int, report: Report) -> Diarization:
        """Return the turns of `speakers` speakers, 0 to detect their number; fewer if fewer can be distinguished."""
        began = time.monotonic()
        if audio.samples < SHORTEST:
            return Diarization((), (), self._provenance(speakers, began))
        if self._pipeline is None:
            report(Event("loading"))
            self.load()
        assert self._pipeline is not None
        report(Event("diarizing"))
        with _quiet():
            hook = _progress(report)
            file = {"uri": "sound", "sound": audio, "hook": hook}
            found = self._pipeline.apply(file, speakers or None, hook=hook)
        report(Event("diarizing", 1.0))
        turns = _turns(found.speaker_diarization, audio.duration)
        exclusive = _turns(found.exclusive_speaker_diarization, audio.duration)
        return Diarization(turns, exclusive, self._provenance(speakers, began))

    def _build(self) -> WindowedDiarization:
        import torch

        torch.set_num_threads(self.spec.threads)
        pipeline = self._community() if self.spec.model == "community-1" else self._embedded()
        pipeline.threads = self.spec.threads if self.spec.device == "cpu" else 1
        pipeline.to(torch.device(self.spec.device))
        return pipeline

    def _community(self) -> WindowedDiarization:
        from pyannote.audio import Pipeline

        from stt_lab.engines.clustering import BoundedVBxClustering
        from stt_lab.engines.diarization import WindowedDiarization

        _present(self.spec.folder / "config.yaml")
        pipeline: Any = Pipeline.from_pretrained(str(self.spec.folder))
        pipeline.__class__ = WindowedDiarization  # the configuration names pyannote's class; our subclass adds no state
        pipeline.clustering.__class__ = BoundedVBxClustering
        if self.spec.device == "cpu":
            pipeline._segmentation.step = STEP * pipeline._segmentation.duration
        return pipeline  # type: ignore[no-any-return]

    def _embedded(self) -> WindowedDiarization:
        from pyannote.audio import Model
        from pyannote.audio.core.plda import PLDA

        from stt_lab.engines.campplus import load_campplus
        from stt_lab.engines.diarization import CampplusDiarization

        segmentation = Model.from_pretrained(str(_present(self.spec.folder / "pytorch_model.bin")))
        embedding = load_campplus(dict(self.spec.extra)["campplus"])
        no_plda = PLDA.__new__(PLDA)  # without it the pipeline asks the hub, although it never uses it
        return CampplusDiarization(segmentation, embedding, no_plda, STEP)

    def _provenance(self, speakers: int, began: float) -> Provenance:
        from importlib.metadata import version

        options = {"step": STEP, "speakers": speakers}
        place = self.spec
        elapsed = time.monotonic() - began
        return Provenance("pyannote.audio", place.model, place.device, version("pyannote.audio"), options, elapsed)


def _present(path: Path) -> Path:
    """Return the path of an existing file. pyannote would treat any other as a name on the hub and use the network."""
    if not path.is_file():
        raise FileNotFoundError(path.name)
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of pyannote.audio about decoders that we do not use and files too short to count."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pyannote|lightning|numpy|torch|torchaudio|speechbrain)\b.*")
        yield


def _progress(report: Report) -> Any:
    """Make pyannote's hook, which is called at every batch. An exception that `report` raises ends the pipeline."""

    def hook(step: str, _: Any, *, completed: int = 0, total: int = 0, **others: Any) -> None:
        if total and step in SHARES:
            low, high = SHARES[step]
            report(Event("diarizing", low + (high - low) * min(1.0, completed / total)))

    return hook


def _turns(annotation: Annotation, duration: float) -> Turns:
    """Return turns in order of time, cut at the end of the sound because the last window extends beyond it."""
    found = []
    for stretch, _, speaker in annotation.itertracks(yield_label=True):
        start, end = max(0.0, stretch.start), min(duration, stretch.end)
        if start < end:
            found.append(Turn(round(start, 3), min(duration, round(end, 3)), str(speaker)))
    return tuple(sorted(found, key=lambda turn: (turn.start, turn.end, turn.speaker)))
