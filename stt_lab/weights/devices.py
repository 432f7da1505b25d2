"""Find the device for engines: the CPU, or the first GPU that NVIDIA's driver reports. Imports no CUDA library."""

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
    """The first CUDA device."""

    name: str
    memory_mb: int


def device(settings: Settings) -> Literal["cpu", "cuda"]:
    """Return the device for engines, with "auto" resolved. Raises Unavailable if CUDA is set but missing."""
    if settings.device == "cpu":
        return "cpu"
    if settings.engine_host == "ray" and settings.device == "cuda":
        return "cuda"  # devices of the nodes; this machine may have no GPU
    if gpu() is not None:
        return "cuda"
    if settings.device == "cuda":
        raise Unavailable(
            "STT_LAB_DEVICE is cuda, but no NVIDIA GPU was found. Install its driver, or set auto or cpu."
        )
    return "cpu"


@lru_cache
def gpu() -> Gpu | None:
    """Ask NVIDIA's driver for the first CUDA device. Return None without a driver or a device.

    CUDA does not survive a fork once it is initialised, so processes that use it must be spawned.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return first_gpu(driver)


def first_gpu(driver: Any) -> Gpu | None:
    """Read name and memory of device 0 from the CUDA driver API."""
    count, handle = ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(128), ctypes.c_size_t()
    calls: tuple[Callable[[], int], ...] = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGetCount(ctypes.byref(count)),
        lambda: driver.cuDeviceGet(ctypes.byref(handle), 0),  # fails if there are none
        lambda: driver.cuDeviceGetName(name, len(name), handle),
        lambda: driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle),
    )
    if any(call() != 0 for call in calls) or count.value == 0:  # 0 is CUDA_SUCCESS
        return None
    return Gpu(os.fsdecode(name.value), memory.value // MB)
