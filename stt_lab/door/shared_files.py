"""Files that the page and Gradio's clients exchange with this server: uploads, exports, and recordings to play.

Each lies in a folder with a random name. Its address, `<folder>/<name>`, is all that clients know: where the folder
lies is never sent. A file is deleted

* when the call that it was sent for has ended, or the page session that works with it has,
* UNUSED_S after its last use, unless its page is open,
* with the transcript that it belongs to, whoever deletes that; from then on it is not served either.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stt_lab.caller import Caller
from stt_lab.door.uploads import Upload, UploadRoom
from stt_lab.errors import BadInput, MissingFile, NotFound
from stt_lab.types import File

UNUSED_S = 600.0
LENT_BYTES = 256 * 1024 * 1024  # most bytes of a recording that is copied, where it cannot be linked
ADDRESS = re.compile(r"[0-9a-f]{64}/[^/\\\0]{1,255}")
ROUTE = "gradio_api/file="
ONLY_UPLOADS = "Only uploaded files are accepted. Send the file itself, not an address or a path."

Existing = Callable[[Collection[int]], set[int]]  # which of these transcripts exist


@dataclass(frozen=True)
class SharedFile:
    """A file and why it is kept."""

    path: Path
    upload: Upload | None = None  # its bytes in the limits of its caller; None for a link
    used: float = field(default_factory=time.monotonic)
    session: str = ""  # page session that works with it
    place: str = ""  # where on the page
    transcript: int | None = None  # transcript that it shows or was made of


class SharedFiles:
    """All files of the page. Thread-safe."""

    def __init__(self, folder: Path, room: UploadRoom, existing: Existing) -> None:
        self._folder, self._room, self._existing = folder.resolve(), room, existing
        self._files: dict[str, SharedFile] = {}  # by address
        self._open: Counter[str] = Counter()  # connections of open pages, by session
        self._lock = threading.Lock()

    # Files that arrive and that are handed out

    def admit(self, caller: Caller, largest: int) -> Upload:
        """Admit an upload. Raises RateLimited or Unavailable."""
        return self._room.enter(caller, largest)

    def received(self, path: Path, upload: Upload) -> str:
        """Take an upload that was written to a folder of its own; return its address."""
        return self._add(SharedFile(path, upload))

    def hand_out(self, file: File, caller: Caller, largest: int, transcript: int | None = None) -> str:
        """Offer a file to a client; return its address. A file on disk is linked, another one written."""
        path = self._place(file.name)
        try:
            upload = None if file.path and _link(file.path, path) else self._write(file.chunks, path, caller, largest)
        except BaseException:
            _remove(path)
            raise
        return self._add(SharedFile(path, upload, transcript=transcript))

    def _write(self, chunks: Iterable[bytes], path: Path, caller: Caller, largest: int) -> Upload:
        upload = self._room.enter(caller, largest)
        try:
            with path.open("xb") as target:
                for chunk in chunks:
                    upload.grow(len(chunk))
                    target.write(chunk)
        except BaseException:
            upload.end()
            raise
        return upload

    def lend(self, source: Path) -> str | None:
        """Offer a recording of this machine to the page; return its address.

        Returns None if it is missing, or too large to copy to another disk.
        """
        try:
            real = source.resolve(strict=True)
            if not real.is_file():
                return None
            path = self._place(source.name)
            if not _link(real, path):
                if real.stat().st_size > LENT_BYTES:
                    _remove(path)
                    return None
                shutil.copyfile(real, path)
        except OSError:
            return None
        return self._add(SharedFile(path))

    def _place(self, name: str) -> Path:
        folder = self._folder / secrets.token_hex(32)
        folder.mkdir(mode=0o700)
        return folder / (re.sub(r"[^\w.-]+", "_", name)[-100:].strip(".") or "file")

    def _add(self, file: SharedFile) -> str:
        address = f"{file.path.parent.name}/{file.path.name}"
        with self._lock:
            self._files[address] = file
        return address

    # Uses of a file

    def sent(self, value: object) -> str:
        """Return the address of the upload that a Gradio value names. Raises BadInput for anything else."""
        given = value.get("path") if isinstance(value, dict) else None
        if not given:
            raise MissingFile("No recording was sent. Choose a file, or record one.")
        if not ADDRESS.fullmatch(str(given)):
            raise BadInput(ONLY_UPLOADS)
        self.path(str(given))
        return str(given)

    def path(self, address: str) -> Path:
        """Return where a file lies, and note that it is used. Raises MissingFile."""
        file = self._change(address, used=time.monotonic())
        if file is None or not file.path.is_file():
            raise MissingFile("The uploaded file no longer exists. Upload it again.")
        return file.path

    def served(self, address: str) -> Path:
        """Return where a file lies that a client fetches. Raises NotFound, also after its transcript was deleted."""
        file = self._change(address, used=time.monotonic())
        if file is not None and file.transcript is not None and not self._existing([file.transcript]):
            self.discard(address)
            file = None
        if file is None or not file.path.is_file():
            raise NotFound("This file no longer exists. Make it again.")
        return file.path

    def keep(self, address: str, session: str, place: str = "", *, alone: bool = False) -> None:
        """Keep a file as long as its page is open. With `alone`, delete all others of this place on the page."""
        self._change(address, session=session, place=place, used=time.monotonic())
        for other, file in self._all() if alone else ():
            if (file.session, file.place) == (session, place) and other != address:
                self.discard(other)

    def belongs(self, address: str, transcript: int | None) -> None:
        """Note that a file shows a transcript, with which it goes."""
        if transcript is not None:
            self._change(address, transcript=transcript)

    def _change(self, address: str, **values: Any) -> SharedFile | None:
        with self._lock:
            if file := self._files.get(address):
                file = self._files[address] = replace(file, **values)
            return file

    # Their end

    def discard(self, address: str) -> None:
        """Delete a file. Harmless when repeated."""
        with self._lock:
            file = self._files.pop(address, None)
        if file is not None:
            _remove(file.path)
            if file.upload is not None:
                file.upload.end()

    def end(self, session: str) -> None:
        """Delete the files of a page session."""
        for address, file in self._all():
            if file.session == session:
                self.discard(address)

    @contextlib.contextmanager
    def visit(self, session: str) -> Iterator[None]:
        """Note that a page is open within the block."""
        with self._lock:
            self._open[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[session] -= 1
                if not self._open[session]:
                    del self._open[session]

    def sweep(self) -> None:
        """Delete unused files, and those whose transcript no longer exists."""
        with self._lock:
            pages = set(self._open)
        files, latest = self._all(), time.monotonic() - UNUSED_S
        linked = {file.transcript for _, file in files if file.transcript is not None}
        kept = self._existing(sorted(linked)) if linked else set()
        for address, file in files:
            gone = file.transcript is not None and file.transcript not in kept
            if gone or (file.used < latest and file.session not in pages):
                self.discard(address)

    def clear(self) -> None:
        """Delete all files, when the server ends."""
        for address, _ in self._all():
            self.discard(address)

    def _all(self) -> list[tuple[str, SharedFile]]:
        with self._lock:
            return list(self._files.items())

    @contextlib.contextmanager
    def taken(self, values: dict[str, Any], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Replace uploads among the values with their paths; delete the uploads after the block."""
        addresses: dict[str, str] = {}
        try:
            addresses.update((name, self.sent(values[name])) for name in names if values.get(name))
            yield values | {name: self.path(address) for name, address in addresses.items()}
        finally:
            for address in addresses.values():
                self.discard(address)


def link(address: str) -> str:
    """Return the URL of a file, relative to the page."""
    return f"{ROUTE}{quote(address)}"


def _link(source: Path, target: Path) -> bool:
    """Make a hard link; return whether that is possible."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()
