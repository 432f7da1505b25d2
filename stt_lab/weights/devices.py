"""Which device engines run on: the CPU, or the first GPU that NVIDIA's driver reports. Imports no library of CUDA."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from stt_lab.errors import Unavailable
from stt_lab.settings import MB, Settings


@dataclass(frozen=True)
class Gpu:
    """The first device of CUDA."""

    name: str
    memory_mb: int


def device(settings: Settings) -> Literal["cpu", "cuda"]:
    """Where engines run, with "auto" resolved. Raises Unavailable when CUDA is asked for and not there."""
    if settings.device == "cpu":
        return "cpu"
    if settings.engine_host == "ray" and settings.device == "cuda":
        return "cuda"  # of the nodes; this machine may have none
    if gpu() is not None:
        return "cuda"
    if settings.device == "cuda":
        raise Unavailable("STT_LAB_DEVICE is cuda, but no NVIDIA GPU answers; install its driver, or set auto or cpu.")
    return "cpu"


@lru_cache
def gpu() -> Gpu | None:
    """The first CUDA device, asked of NVIDIA's driver itself; None without a driver or a device.

    CUDA does not survive a fork after it was initialised: processes that use it must be spawned.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return first_gpu(driver)


def first_gpu(driver: Any) -> Gpu | None:
    """What the CUDA driver API tells of device 0. Tested against a double only: the real answer needs a GPU."""
    count, handle = ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(128), ctypes.c_size_t()
    calls: tuple[Callable[[], int], ...] = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGetCount(ctypes.byref(count)),
        lambda: driver.cuDeviceGet(ctypes.byref(handle), 0),  # refused when there are none
        lambda: driver.cuDeviceGetName(name, len(name), handle),
        lambda: driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle),
    )
    if any(call() != 0 for call in calls) or count.value == 0:  # 0 is CUDA_SUCCESS
        return None
    return Gpu(os.fsdecode(name.value), memory.value // MB)
