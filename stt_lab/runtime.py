"""What operations work with: the settings, the decoder and the pool of engines of this process, and the store."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines.pool import Pool
from stt_lab.settings import Settings, get_settings

if TYPE_CHECKING:
    from stt_lab.accounts.accounts import Accounts
    from stt_lab.library import Library
    from stt_lab.store.database import Database


class Runtime:
    """Made once per process. Its parts start and open things on first use, and no child process after `close`."""

    def __init__(self, settings: Settings, scratch: Path | None = None) -> None:
        self.settings = settings
        self.scratch = scratch or settings.data_dir  # folder of this process alone
        limits = DecodeLimits(settings.max_samples, settings.decode_timeout_s)
        self.decoder = Decoder(self.work_dir, limits)
        self.pool = Pool(settings)
        self._opening = threading.Lock()

    @property
    def uploads_dir(self) -> Path:
        """Uploads while they are received and read."""
        return self.scratch / "uploads"

    @property
    def work_dir(self) -> Path:
        """Decoded sound."""
        return self.scratch / "work"

    @property
    def gradio_dir(self) -> Path:
        """Uploads of the page."""
        return self.scratch / "gradio"

    @property
    def database(self) -> Database:
        with self._opening:
            return self._database

    @cached_property
    def _database(self) -> Database:
        from stt_lab.store.database import open_database

        return open_database(self.settings)

    @cached_property
    def accounts(self) -> Accounts:
        from stt_lab.accounts.accounts import Accounts

        return Accounts(self.database)

    @cached_property
    def library(self) -> Library:
        from stt_lab.library import Library

        return Library(self.database, self.settings.data_dir)

    def close(self) -> None:
        """End every child process and worker, also in the middle of a task."""
        self.decoder.close()
        self.pool.close()
        if "_database" in vars(self):
            self.database.close()


@lru_cache
def local_runtime() -> Runtime:
    """The runtime of plain Python calls and notebooks, whose engines run where a server's do."""
    return private_runtime(get_settings())


if hasattr(os, "register_at_fork"):  # a forked child has neither the threads nor the worker of its parent
    os.register_at_fork(after_in_child=local_runtime.cache_clear)


def private_runtime(settings: Settings) -> Runtime:
    """A runtime beside whatever server runs on the data directory: its decoded sound lies in a temporary folder."""
    scratch = Path(tempfile.mkdtemp(prefix="stt_lab-"))
    runtime = Runtime(settings, scratch)
    atexit.register(_end, runtime, os.getpid())
    return runtime


def _end(runtime: Runtime, process: int) -> None:
    """Leave nothing of a runtime behind. A forked process that ends leaves it to its parent."""
    if os.getpid() == process:
        runtime.close()
        shutil.rmtree(runtime.scratch, ignore_errors=True)
