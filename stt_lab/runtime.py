"""What operations work with: the settings, the decoder and the pool of engines of this process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from functools import cached_property, lru_cache
from pathlib import Path

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines.pool import Pool
from stt_lab.errors import Unavailable
from stt_lab.settings import Settings, get_settings


class Runtime:
    """Made once per process; each part is started on first use and ended by `close`, after which none starts again."""

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self.settings = settings
        self._work_dir = work_dir or settings.work_dir
        self._closed = threading.Event()

    @cached_property
    def decoder(self) -> Decoder:
        self._refuse_when_closed()
        limits = DecodeLimits(self.settings.max_samples, self.settings.decode_timeout_s)
        return Decoder(self._work_dir, limits)

    @cached_property
    def pool(self) -> Pool:
        self._refuse_when_closed()
        return Pool(self.settings)

    def _refuse_when_closed(self) -> None:
        if self._closed.is_set():
            raise Unavailable("This server is ending: send the request again in a minute.")

    def close(self) -> None:
        """End every child process and worker; what was never started stays so."""
        self._closed.set()
        for part in ("decoder", "pool"):
            if part in self.__dict__:
                self.__dict__[part].close()


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
