"""Reserve a scratch folder for a server's uploads and decoded sound, with a lock; it is emptied at start."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from stt_lab.errors import Busy
from stt_lab.settings import Settings

LOCK, SHARED_LOCK = "server.lock", "lock"  # of a data directory, and of the folder of one of several servers on it
ADDRESS = "address"  # file with the address of the server that holds the lock
SCRATCH = ("uploads", "work", "gradio")  # subfolders, as the runtime names them


@dataclass(frozen=True)
class Scratch:
    """A folder for uploads and decoded sound that only this server uses while it holds the lock."""

    folder: Path
    lock: FileLock
    database: FileLock | None = None  # lock of a SQLite file in another folder, which one server may use

    def announce(self, address: str) -> None:
        """Write down where this server can be reached, for `stt-lab sign-in`."""
        (self.folder / ADDRESS).write_text(address, "utf-8")

    def release(self) -> None:
        (self.folder / ADDRESS).unlink(missing_ok=True)
        for lock in filter(None, (self.lock, self.database)):
            lock.release()

    def clear(self) -> None:
        """Delete files of an earlier run."""
        for name in SCRATCH:
            shutil.rmtree(self.folder / name, ignore_errors=True)


def prepare(settings: Settings) -> Scratch:
    """Reserve an empty scratch folder that only its owner can read. Servers that share a database get one each."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = settings.database_url
    shared = url is not None and url.get_secret_value().startswith("postgres")
    scratch = _free(settings.data_dir / "servers") if shared else _locked(settings.data_dir, LOCK)
    if scratch is None:
        raise Busy("Another server uses this data directory. Stop it, or set STT_LAB_DATA_DIR to another folder.")
    try:
        scratch = replace(scratch, database=_database_lock(settings))
    except BaseException:
        scratch.release()
        raise
    scratch.clear()
    for name in SCRATCH:
        (scratch.folder / name).mkdir(mode=0o700)
    return scratch


def running_address(data_dir: Path) -> str | None:
    """Return the address of a server that works on a data directory; None without one."""
    places = [(data_dir, LOCK), *((folder, SHARED_LOCK) for folder in data_dir.glob("servers/[0-9]*"))]
    for folder, lock in places:
        if not (folder / ADDRESS).exists():
            continue
        held = _locked(folder, lock)
        if held is None:
            return (folder / ADDRESS).read_text("utf-8")
        held.lock.release()  # a server that was killed
    return None


def _database_lock(settings: Settings) -> FileLock | None:
    """Lock a SQLite file that is named in the settings, because two data directories could share it."""
    from stt_lab.store.database import sqlite_file

    file = sqlite_file(settings)
    if file is None:
        return None
    held = _locked(file.parent, f".{file.name}.lock")
    if held is None:
        raise Busy("Another server uses this database. Stop it, or set STT_LAB_DATABASE_URL to another one.")
    return held.lock


def _locked(folder: Path, lock: str) -> Scratch | None:
    """Reserve the folder. Return None if another server has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = FileLock(folder / lock, timeout=0, thread_local=False)
    try:
        held.acquire()
    except Timeout:
        return None
    return Scratch(folder, held)


def _free(servers: Path) -> Scratch:
    """Reserve the first free folder. Folders of servers that have ended are emptied."""
    known = [int(folder.name) for folder in servers.glob("[0-9]*")]
    found = (_locked(servers / str(number), SHARED_LOCK) for number in count(1))
    mine = next(scratch for scratch in found if scratch is not None)
    for number in known:
        left = _locked(servers / str(number), SHARED_LOCK) if number != int(mine.folder.name) else None
        if left is not None:
            left.clear()
            left.lock.release()
    return mine
