"""Run pyannote.audio's pipeline: community-1 as published, or segmentation-3.0 with CAM++ at pyannote's settings.

CAM++ is not part of pyannote: the second one needs a Python with stt_lab installed.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

LINKAGE = {"method": "centroid", "threshold": 0.7, "min_cluster_size": 3}  # of pyannote's speaker-diarization-3.1
BATCH = 32


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    import torch

    torch.set_num_threads(hello["threads"])
    with warnings.catch_warnings(action="ignore"):
        pipeline = _community(hello) if hello["model"] == "community-1" else _embedded(hello)
    pipeline.to(torch.device(hello["device"]))

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        sound = {"waveform": torch.from_numpy(samples)[None], "sample_rate": 16000}
        with warnings.catch_warnings(action="ignore"):
            found = pipeline(sound, num_speakers=speakers or None, **hello["options"])
        tracks = found.speaker_diarization.itertracks(yield_label=True)
        length = len(samples) / 16000
        turns = [(max(0.0, part.start), min(length, part.end), str(speaker)) for part, _, speaker in tracks]
        return {"turns": [{"start": start, "end": end, "speaker": who} for start, end, who in turns if start < end]}

    return ("pyannote.audio", "torch"), hear


def _community(hello: dict[str, Any]) -> Any:
    from pyannote.audio import Pipeline

    return Pipeline.from_pretrained(hello["weights"])


def _embedded(hello: dict[str, Any]) -> Any:
    from pathlib import Path

    from pyannote.audio import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization

    from stt_lab.engines.campplus import load_campplus

    pipeline = SpeakerDiarization(
        segmentation=Model.from_pretrained(str(Path(hello["weights"]) / "pytorch_model.bin")),
        embedding=load_campplus(Path(hello["extra"]["campplus"])),
        embedding_exclude_overlap=True,
        clustering="AgglomerativeClustering",
        plda=PLDA.__new__(PLDA),  # else it asks the hub for one, and then never uses it
        segmentation_batch_size=BATCH,
        embedding_batch_size=BATCH,
    )
    return pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": LINKAGE})
