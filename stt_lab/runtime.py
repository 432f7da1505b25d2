"""The resources of operations: settings, decoder, engines and store of this process."""

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
from stt_lab.audio.peaks import Outlines
from stt_lab.door.shared_files import SharedFiles
from stt_lab.door.uploads import UploadRoom
from stt_lab.engines.pool import Pool
from stt_lab.errors import Unavailable
from stt_lab.settings import Settings, get_settings
from stt_lab.slots import Slot, Waiting

EXPORTS_AT_ONCE = 2  # documents that are made at the same time: each needs a process, and up to 1 GB
EXPORTS = Waiting("export", each=4, all=16)
DRAWINGS = Waiting("waveform", each=4, all=16)

if TYPE_CHECKING:
    from stt_lab.accounts.accounts import Accounts
    from stt_lab.library import Library
    from stt_lab.store.database import Database
    from stt_lab.store.probe import Probe
    from stt_lab.voice.speech import VoiceMatches


class Runtime:
    """The resources of a process. They start on first use; nothing starts after `close`."""

    def __init__(self, settings: Settings, scratch: Path | None = None) -> None:
        self.settings = settings
        self.scratch = scratch or settings.data_dir  # folder that only this process uses
        limits = DecodeLimits(settings.max_samples, settings.decode_timeout_s)
        self.decoder = Decoder(self.work_dir, limits)
        self.pool = Pool(settings, self.chosen_model)
        self._chosen = ""
        self.exports = Slot(lambda: EXPORTS_AT_ONCE, EXPORTS)
        self.outlines, self.drawing = Outlines(), Slot(waiting=DRAWINGS)
        self._opening = threading.Lock()

    @property
    def uploads_dir(self) -> Path:
        """Return the folder of uploads while they are received and read."""
        return self.scratch / "uploads"

    @cached_property
    def uploads(self) -> UploadRoom:
        """Return the limits of uploads."""
        return UploadRoom(self.scratch, self.settings)

    @cached_property
    def shared_files(self) -> SharedFiles:
        """Return the files of the page and of Gradio's clients."""
        return SharedFiles(self.gradio_dir, self.uploads, lambda ids: self.library.existing(list(ids)))

    @property
    def work_dir(self) -> Path:
        """Decoded sound."""
        return self.scratch / "work"

    @property
    def gradio_dir(self) -> Path:
        """Return the folder of the page's uploads."""
        return self.scratch / "gradio"

    @property
    def database(self) -> Database:
        with self._opening:
            return self._database

    @property
    def existing_database(self) -> Database | None:
        """Return the database if there is one; asking makes none."""
        from stt_lab.store.database import exists

        return self.database if "_database" in vars(self) or exists(self.settings) else None

    def chosen_model(self) -> str:
        """Return the speech model that the administrator chose as the default; "" if none was chosen.

        While the database is away, the last known one. A process that does not use it, such as plain Python, reads it
        as it is.
        """
        from stt_lab.store import choices

        if "_database" not in vars(self):
            return choices.peek(self.settings, choices.SPEECH_MODEL)
        try:
            with self.database.read() as session:
                self._chosen = choices.chosen(session, choices.SPEECH_MODEL)
        except Unavailable:
            pass
        return self._chosen

    def choose_model(self, model: str) -> None:
        """Make a speech model the default of this installation; "" for an automatic choice."""
        from stt_lab.store import choices

        with self.database.write() as session:
            choices.choose(session, choices.SPEECH_MODEL, model)

    @cached_property
    def _database(self) -> Database:
        from stt_lab.store.database import open_database

        return open_database(self.settings)

    def database_problem(self) -> str:
        """Return what is wrong with the database, if this process uses it; "" if nothing is. Takes less than 1 s."""
        return self._probe.problem() if "_database" in vars(self) else ""

    @cached_property
    def _probe(self) -> Probe:
        from stt_lab.store.probe import Probe

        return Probe(self._database.check)

    @cached_property
    def accounts(self) -> Accounts:
        from stt_lab.accounts.accounts import Accounts

        return Accounts(self.database)

    @cached_property
    def library(self) -> Library:
        from stt_lab.library import Library

        return Library(self.database, self.settings.data_dir)

    @cached_property
    def voice_matches(self) -> VoiceMatches:
        """Return the voices of references that were matched before."""
        from stt_lab.voice.speech import VoiceMatches

        return VoiceMatches()

    def close(self) -> None:
        """End every child process and worker, even during a task."""
        self.decoder.close()
        self.pool.close()
        if "_database" in vars(self):
            self.database.close()


@lru_cache
def local_runtime() -> Runtime:
    """Return the runtime of plain Python calls and notebooks. Its engines run on the same host as a server's."""
    return private_runtime(get_settings())


if hasattr(os, "register_at_fork"):  # a forked child lacks the threads and the worker of its parent
    os.register_at_fork(after_in_child=local_runtime.cache_clear)


def private_runtime(settings: Settings) -> Runtime:
    """Make a runtime with its own temporary folder, so that it does not disturb a server on the data directory."""
    scratch = Path(tempfile.mkdtemp(prefix="stt_lab-"))
    runtime = Runtime(settings, scratch)
    atexit.register(_end, runtime, os.getpid())
    return runtime


def _end(runtime: Runtime, process: int) -> None:
    """Close a runtime and delete its folder. Does nothing in a forked process, whose parent owns them."""
    if os.getpid() == process:
        runtime.close()
        shutil.rmtree(runtime.scratch, ignore_errors=True)
