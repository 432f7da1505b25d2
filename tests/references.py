"""Sounds that could be the reference of a voice, without a person."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from stt_lab.types import SAMPLE_RATE, Audio


def audio(path: Path, sound: np.ndarray) -> Audio:
    path.write_bytes(np.clip(np.rint(sound * 32767), -32768, 32767).astype("<i2").tobytes())
    return Audio(path, len(sound))


def buzz(seconds: float, hertz: float = 140.0) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 20))
    return 0.3 * sound / np.abs(sound).max() * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))


def wav_of(sound: np.ndarray) -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            writer.writeframes((sound * 32767).astype("<i2").tobytes())
        return file.getvalue()
