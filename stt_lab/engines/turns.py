"""Hear whether somebody who pauses has finished: Smart Turn v3.2, from the last seconds of sound.

The network (Pipecat, BSD-2-Clause) was trained on speech that was cut after 0.2 s of silence. Its input is Whisper's
log-mel of 8 s, with zeros before sound that is shorter; faster-whisper brings the features.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.engines.activity import faster_whisper
from stt_lab.engines.onnx import open_network
from stt_lab.settings import Settings
from stt_lab.types import SAMPLE_RATE
from stt_lab.weights import catalog

if TYPE_CHECKING:
    from stt_lab.types import Samples

TASK = "hear_turn"  # of the catalog
HEARD_S = 8  # seconds of sound before the pause
NETWORK = "smart-turn-v3.2-cpu.onnx"
FEATURES = "feature_extractor.py"  # of faster-whisper; needs numpy alone
LEAST = 1e-7  # variance of silence


class TurnEnd:
    """Hears how likely it is that a turn has ended. One network serves all streams of a process."""

    def __init__(self, folder: Path) -> None:
        self._network, self._features = _network(folder / NETWORK), _extractor()

    def probability(self, samples: Samples) -> float:
        """Return the probability that what somebody said is complete, of float32 samples at SAMPLE_RATE, shape (n,).
        Only the last HEARD_S count.
        """
        import numpy as np

        sound = np.zeros(HEARD_S * SAMPLE_RATE, np.float32)
        last = samples[-len(sound) :]
        sound[len(sound) - len(last) :] = last
        sound = (sound - sound.mean()) / np.sqrt(sound.var() + LEAST)
        features = self._features(sound, padding=0)[None, :, : HEARD_S * 100].astype(np.float32)
        (found,) = self._network.run(None, {"input_features": features})
        return float(np.ravel(found)[0])


def turn_end(settings: Settings) -> TurnEnd | None:
    """Return the network that hears the end of a turn, if it is installed."""
    model = catalog.best(TASK, settings)
    folder = catalog.locate(model, settings) if model else None
    return TurnEnd(folder) if folder else None


@lru_cache(1)
def _extractor() -> Any:
    """Return faster-whisper's features without importing all of it, which takes a second."""
    spec = importlib.util.spec_from_file_location("stt_lab_whisper_features", faster_whisper() / FEATURES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FeatureExtractor()


@lru_cache(1)
def _network(path: Path) -> Any:
    return open_network(path)
