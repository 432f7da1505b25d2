"""Open networks in ONNX format on the CPU."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def open_network(network: Path | bytes, threads: int = 1, keep: bool = False) -> Any:
    """Return an onnxruntime session of a file or its content.

    With `keep` it keeps the memory of its longest run, which saves time.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = keep
    source = network if isinstance(network, bytes) else str(network)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def give_memory_back() -> None:
    """Give the memory that is free back to the system. A worker keeps it otherwise (hosts/environment.py), which pays
    for networks whose runs are all alike; one whose runs differ would keep many times what it needs.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # of another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
