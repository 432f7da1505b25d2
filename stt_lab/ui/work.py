"""Run a call in a thread while a page or client waits: progress, result, cancellation; and handle uploads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shutil
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

from stt_lab.errors import BadInput, Cancelled, MissingFile, SttError
from stt_lab.ui.gradio_private import client_listens

log = logging.getLogger(__name__)

T = TypeVar("T")
ReportProgress = Callable[[Any], None]  # takes a progress value; raises Cancelled if the client has gone

POLL_S = 0.25  # between looks at the progress
LENT_BYTES = 256 * 1024 * 1024
DIGEST = re.compile("[0-9a-f]{64}")  # folder name of an upload


class BackgroundCall(Generic[T]):
    """Runs `job(report)` in a thread. Leaving the block makes `report` raise Cancelled."""

    def __init__(self, job: Callable[[ReportProgress], T]) -> None:
        self._job = job
        self._gone = threading.Event()
        self._outcome: Future[T] = Future()
        self._reported: deque[Any] = deque()

    async def __aenter__(self) -> BackgroundCall[T]:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        threading.Thread(target=self._run, daemon=True).start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._gone.set()

    def cancel(self) -> None:
        """Cancel the job and stop waiting for it. Callable from any thread."""
        self._gone.set()
        self._loop.call_soon_threadsafe(self._ended.set)

    def _report(self, progress: Any) -> None:
        if self._gone.is_set():
            raise Cancelled("The request was cancelled.")
        self._reported.append(progress)

    def _run(self) -> None:
        try:
            self._outcome.set_result(self._job(self._report))
        except BaseException as problem:
            self._outcome.set_exception(problem)
        with contextlib.suppress(RuntimeError):  # the event loop ended before the job
            self._loop.call_soon_threadsafe(self._ended.set)

    async def updates(self) -> AsyncIterator[list[Any]]:
        """Yield the new progress values every POLL_S until the job ends."""
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._ended.wait()
            if self._gone.is_set() or not client_listens():
                raise Cancelled("The request was cancelled.")
            yield [self._reported.popleft() for _ in range(len(self._reported))]

    def result(self) -> T:
        """Return the result of the job, or raise its exception."""
        return self._outcome.result()


def sentence(problem: Exception) -> str:
    """Return the message of an error for the page; stack traces and paths go only to the log."""
    if isinstance(problem, SttError):
        return str(problem)
    log.error("an operation failed", exc_info=problem)
    return "The request failed unexpectedly. Try again, or see the server's log."


# Uploads


def upload_folder() -> Path:
    """Return the folder of all uploads; each has a subfolder with a random name."""
    return Path(os.environ["GRADIO_TEMP_DIR"])


def is_upload(path: Path) -> bool:
    """Return whether a resolved path is that of an upload."""
    return path.parent.parent == upload_folder() and bool(DIGEST.fullmatch(path.parent.name))


def received(value: object) -> Path:
    """Return the upload that a Gradio value names. Raises BadInput for any other path or address."""
    given = value.get("path") if isinstance(value, dict) else None
    if not given:
        raise MissingFile("No recording was sent. Choose a file, or record one.")
    try:
        path = Path(str(given)).resolve()
        known = is_upload(path)
        there = known and path.is_file()
    except (OSError, ValueError):  # path too long, or with a null byte
        known = there = False
    if not known:
        raise BadInput("Only uploaded files are accepted. Send the file itself, not an address or a path.")
    if not there:
        raise MissingFile("The uploaded file no longer exists. Upload it again.")
    return path


def named(value: object) -> str:
    """Return the client's name of an upload, for display only."""
    name = str(value.get("orig_name") or "") if isinstance(value, dict) else ""
    return "".join(char for char in name if char.isprintable())[:255]


def handed_out(name: str, chunks: Iterable[bytes]) -> dict[str, Any]:
    """Store a file for a client among the uploads, under an unguessable address; it is swept like them."""
    folder = upload_folder() / secrets.token_hex(32)
    folder.mkdir(mode=0o700)
    path = folder / re.sub(r"[^\w.-]+", "_", name)[-100:]
    with path.open("xb") as file:
        file.writelines(chunks)
    return {"path": str(path), "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def lent(source: Path) -> Path | None:
    """Make a recording of this machine playable on the page: a hard link among the uploads, or a copy.

    Returns None if the recording is missing, or too large to copy.
    """
    folder = upload_folder() / secrets.token_hex(32)
    try:
        real = source.resolve(strict=True)
        if not real.is_file():
            return None
        folder.mkdir(mode=0o700)
        path = folder / re.sub(r"[^\w.-]+", "_", source.name)[-100:]
        try:
            os.link(real, path)
        except OSError:  # another disk
            if real.stat().st_size > LENT_BYTES:
                raise
            shutil.copyfile(real, path)
    except OSError:
        discard(folder / "none")
        return None
    return path


def discard(path: Path) -> None:
    """Delete an upload and its folder. Harmless when repeated."""
    with contextlib.suppress(OSError):
        path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()


@contextlib.contextmanager
def taken(values: dict[str, Any], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Replace uploads among the values with paths; delete the uploads after the block."""
    paths: dict[str, Path] = {}
    try:
        paths.update((name, received(values[name])) for name in names if values.get(name))
        yield values | paths
    finally:
        for path in paths.values():
            discard(path)
