"""Make the environment of the processes that run engines."""

from __future__ import annotations

from stt_lab.child import clean_environ

LIBRARIES = ("HOME", "USERPROFILE", "TMP", "TEMP", "CUDA", "NVIDIA", "CT2_", "OMP_", "MKL_", "KMP_", "MPLCONFIGDIR")
MALLOC_TUNABLES = (  # keep freed memory, because the encoder allocates its buffers again for every window
    "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=9000000000"
)


def worker_environ(device: str, threads: int, profile: str) -> dict[str, str]:
    """Return the environment of a worker: what Python and the engines' libraries need; no secrets."""
    return clean_environ(*LIBRARIES) | tuning(device, threads, profile) | instructions(device, profile)


def tuning(device: str, threads: int, profile: str) -> dict[str, str]:
    """Return variables that the engines' libraries read at start. They also forbid the libraries the network."""
    environ = {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if device == "cpu" and profile != "off":
        environ["GLIBC_TUNABLES"] = MALLOC_TUNABLES
    return environ


def instructions(device: str, profile: str) -> dict[str, str]:
    """Return those of the variables that depend on the machine."""
    if device == "cpu" and profile == "avx512" and has_avx512():
        return {
            "CT2_FORCE_CPU_ISA": "AVX512"
        }  # changes the lowest bits; WER was 0.5 points higher with base (eval/LOG.md)
    return {}


def has_avx512() -> bool:
    """Return whether the processor has the instructions of CTranslate2's AVX512 build."""
    try:
        with open("/proc/cpuinfo") as info:
            flags = next((line for line in info if line.startswith("flags")), "").split()
    except OSError:
        return False
    return {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= set(flags)
