"""Hear whether somebody speaks in sound that is still coming: Silero's voice activity detection, block by block.

The network is the file that faster-whisper brings; faster-whisper itself reads only whole recordings with it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.engines.onnx import open_network
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.types import Samples

BLOCK = 512  # samples (32 ms) that get one probability
BLOCK_S = BLOCK / SAMPLE_RATE
LEAD = 64  # samples before a block that the network sees too
STATE = (1, 1, 128)
NETWORK = "assets/silero_vad_v6.onnx"


class VoiceActivity:
    """Probabilities of voice for one sound. Keeps the network's state and what does not fill a block yet."""

    def __init__(self) -> None:
        import numpy as np

        self._network = _network()
        self._memory = {name: np.zeros(STATE, np.float32) for name in "hc"}
        self._rest = np.zeros(LEAD, np.float32)  # the last samples of the block before, then those of a new one

    def push(self, samples: Samples) -> list[float]:
        """Return the probability that somebody speaks, for each block of BLOCK samples that is now complete."""
        import numpy as np

        sound = np.concatenate([self._rest, samples])
        blocks = (len(sound) - LEAD) // BLOCK
        self._rest = sound[blocks * BLOCK :]
        if not blocks:
            return []
        heard = np.stack([sound[at * BLOCK : at * BLOCK + LEAD + BLOCK] for at in range(blocks)])
        found, self._memory["h"], self._memory["c"] = self._network.run(None, {"input": heard, **self._memory})
        return [float(one) for one in np.ravel(found)]

    def push_silence(self, samples: int) -> list[float]:
        """Do the same with silence."""
        import numpy as np

        return self.push(np.zeros(samples, np.float32))


def _network() -> Any:
    return open_network(faster_whisper() / NETWORK)


def faster_whisper() -> Path:
    """Return the folder of the package without importing it, which takes a second."""
    spec = importlib.util.find_spec("faster_whisper")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))
