"""Open networks in ONNX format on the CPU."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def open_network(network: Path | bytes, threads: int = 1, keep: bool = False) -> Any:
    """Return an onnxruntime session of a file or its content.

    With `keep` it keeps the memory of its longest run, which saves time; `run_and_shrink` gives it back.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = keep
    source = network if isinstance(network, bytes) else str(network)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run_and_shrink(session: Any, inputs: dict[str, Any]) -> Any:
    """Run a network whose inputs differ much in size, opened with `keep`. Return its outputs.

    Its memory goes back to the system afterwards. A worker keeps what is free (hosts/environment.py), which pays for
    networks whose runs are all alike; one whose runs differ would keep many times what it needs. Without `keep` a run
    needs several times as much, because such a worker's heap has holes (eval/LOG.md).
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    found = session.run(None, inputs, options)
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # of another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
    return found
