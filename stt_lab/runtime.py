"""What operations work with: the settings, the decoder and the pool of engines of this process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines.pool import Pool
from stt_lab.settings import Settings, get_settings


class Runtime:
    """Made once per process. Both parts start their processes on first use, and none after `close`."""

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self.settings = settings
        limits = DecodeLimits(settings.max_samples, settings.decode_timeout_s)
        self.decoder = Decoder(work_dir or settings.work_dir, limits)
        self.pool = Pool(settings)

    def close(self) -> None:
        """End every child process and worker, also in the middle of a task."""
        self.decoder.close()
        self.pool.close()


@lru_cache
def local_runtime() -> Runtime:
    """The runtime of plain Python calls and notebooks: engines run in this process unless a setting says otherwise."""
    settings = get_settings()
    if "engine_host" not in settings.model_fields_set:
        settings = settings.model_copy(update={"engine_host": "inprocess"})
    return private_runtime(settings)


def private_runtime(settings: Settings) -> Runtime:
    """A runtime beside whatever server runs on the data directory: its decoded sound lies in a temporary folder."""
    work_dir = Path(tempfile.mkdtemp(prefix="stt_lab-"))
    runtime = Runtime(settings, work_dir)
    atexit.register(shutil.rmtree, work_dir, ignore_errors=True)
    atexit.register(runtime.close)  # runs first
    return runtime
