"""Open networks in ONNX format on the CPU."""

from __future__ import annotations

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
