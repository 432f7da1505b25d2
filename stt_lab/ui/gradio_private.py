"""Use Gradio's undocumented interfaces, all in this file: check it when Gradio is upgraded.

`tests/test_gradio_private.py` names the version that this was checked with, and looks for every attribute used here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio import processing_utils, queueing, route_utils, routes
from gradio.context import Context, LocalContext
from gradio.data_classes import FileData
from gradio.processing_utils import client_utils
from gradio.state_holder import SessionState, StateHolder
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from stt_lab.door.shared_files import ADDRESS, ONLY_UPLOADS, link

log = logging.getLogger("stt_lab.ui")

CHECKED_WITH = "6.31.0"  # release of Gradio
ENTROPY = 32  # bytes in the name of an upload's folder
FIELD_BYTES = 64 * 1024  # of a form's field that is no file
UNREAD_S = 60.0  # until messages that no client fetches are dropped
MOST_UNREAD = 200  # sessions with such messages; then the oldest are dropped
MOST_TRACKED = 200  # uploads whose progress is tracked


@dataclass(frozen=True)
class UploadRequest:
    """What the guard allows the current request to upload."""

    files: int = 1  # how many
    received: Callable[[Path], str] = str  # takes a file that was written, and returns its address


upload_request: ContextVar[UploadRequest] = ContextVar("upload_request", default=UploadRequest())  # noqa: B039  frozen


def root_blocks() -> Any:
    """Return the Blocks that is being built."""
    return Context.root_block


def set_queue_poll(blocks: gr.Blocks, seconds: float) -> None:
    """Set how long an idle queue sleeps before it looks for events again."""
    blocks._queue.sleep_when_free = seconds


def mark_as_launched(blocks: gr.Blocks) -> None:
    """Mark a mounted Blocks as running, as `launch()` would.

    Otherwise clients may name any file of this machine, and uploaded SVG is served as if it were part of the page.
    """
    blocks.has_launched = True
    blocks.is_running = True


def client_listens() -> bool:
    """Return whether the client of the running event still waits for its answer; True outside of an event."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(event_id) if blocks and event_id else None
    return event is None or event.alive


def harden() -> None:
    """Replace parts of Gradio in this process that are unsafe on a public server. Harmless when repeated."""
    processing_utils.async_ssrf_protected_get = refuse_address
    processing_utils.async_ssrf_protected_download = refuse_address
    processing_utils.async_move_files_to_cache = addressed
    route_utils.GradioUploadFile = UnguessableFile
    route_utils.GradioMultiPartParser = TidyParser
    route_utils.get_fn = known_function
    routes.upload_fn = upload
    queueing.traceback = routes.traceback = SimpleNamespace(print_exc=log_briefly)


def log_briefly() -> None:
    """Log the current exception in one line; Gradio would print several kilobytes for each malformed request."""
    problem = sys.exception()
    frame = problem.__traceback__ if problem else None
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
    log.warning("an event failed at %s: %s", where, repr(problem)[:120])


def known_function(blocks: gr.Blocks, api_name: str | None, body: Any) -> Any:
    """Return the function that a request names. Raises HTTPException 404 if there is none."""
    wanted = body.fn_index
    found = (fn for id, fn in blocks.fns.items() if (fn.api_name == api_name if wanted is None else id == wanted))
    if (api_name is None and wanted is None) or (fn := next(found, None)) is None:
        raise HTTPException(404, "There is no such function.")
    return fn


# Sessions, which Gradio would keep with a copy of the page and all inputs and outputs, 10,000 of them


class EventState(SessionState):  # type: ignore[misc]
    """The state of one event, which ends with it: the page that all share, and the components that it changed.

    The page has no `gr.State`, and no event depends on values of an earlier one.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = blocks.default_config
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._changed: dict[int, Any] = {}

    def __getitem__(self, key: int) -> Any:
        return self._changed[key] if key in self._changed else self.blocks_config.blocks[key]

    def __setitem__(self, key: int, value: Any) -> None:
        self._changed[key] = value

    def __contains__(self, key: int) -> bool:
        return key in self._changed or key in self.blocks_config.blocks

    def _update_config(self, key: int) -> None: ...

    def _update_value_in_config(self, key: int, value: Any) -> None: ...


class NoSessions(StateHolder):  # type: ignore[misc]
    """Keeps no session."""

    def __getitem__(self, session_id: str) -> EventState:
        return EventState(self.blocks)


# What the queue and the routes keep


class Recent(OrderedDict[str, Any]):
    """A mapping that keeps its newest members; with `make`, it makes those that are missing."""

    def __init__(self, most: int, make: Callable[[], Any] | None = None) -> None:
        super().__init__()
        self._most, self._make = most, make

    def __missing__(self, key: str) -> Any:
        if self._make is None:
            raise KeyError(key)
        self[key] = self._make()
        return self[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > self._most:
            self.popitem(last=False)


class Forgetful(set[str]):
    """A set that stays empty: Gradio lists files, which stt_lab.door.shared_files deletes."""

    def add(self, one: str) -> None: ...

    def update(self, *others: Any) -> None: ...


class Mail:
    """The messages of events that wait for their clients. Those that nobody fetches are dropped.

    Not at once: a page opens a stream for an event whose messages came by an earlier stream. Use it in the event loop
    of the application.
    """

    def __init__(self, app: Any, blocks: gr.Blocks) -> None:
        self._app, self._queue = app, blocks._queue
        self._readers: Counter[str] = Counter()  # open streams by session
        self._since: dict[str, float] = {}  # when a session was first seen without events and readers

    @property
    def kept(self) -> set[str]:
        """Return the sessions of which something is kept."""
        return {*self._queue.pending_messages_per_session, *self._queue.pending_event_ids_session}

    @property
    def events(self) -> int:
        """Return how many events wait or work."""
        return len(self._queue.event_ids_to_events)

    @property
    def readers(self) -> int:
        """Return how many streams are open."""
        return self._readers.total()

    def session(self, event_id: str) -> str | None:
        """Return the session of an event whose messages are kept."""
        if event := self._queue.event_ids_to_events.get(event_id):
            return str(event.session_hash)
        waiting = self._queue.pending_event_ids_session.items()
        return next((session for session, ids in waiting if event_id in ids), None)

    def has(self, session: str | None) -> bool:
        """Return whether messages of a session are kept."""
        return session in self._queue.pending_messages_per_session

    @contextlib.contextmanager
    def reading(self, session: str) -> Iterator[None]:
        """Keep the messages of a session within the block, in which a client reads them."""
        self._readers[session] += 1
        try:
            yield
        finally:
            self._readers[session] -= 1
            if not self._readers[session]:
                del self._readers[session]

    def sweep(self, now: float | None = None) -> None:
        """Drop what was not fetched for UNREAD_S, and the oldest beyond MOST_UNREAD."""
        now, busy = time.monotonic() if now is None else now, self._busy()
        unread = [session for session in self.kept if session not in busy and session not in self._readers]
        self._since = {session: self._since.get(session, now) for session in unread}
        self._app.iterators_to_reset.intersection_update(self._queue.event_ids_to_events)
        for number, session in enumerate(sorted(unread, key=lambda one: -self._since[one])):
            if number >= MOST_UNREAD or now - self._since[session] >= UNREAD_S:
                self._forget(session)

    def _busy(self) -> set[str]:
        return {str(event.session_hash) for event in self._queue.event_ids_to_events.values()}

    def _forget(self, session: str) -> None:
        self._since.pop(session, None)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)


def bound(app: Any, blocks: gr.Blocks) -> Mail:
    """Bound what a mounted application keeps of its callers, and remove its own rules of other origins."""
    app.user_middleware = [one for one in app.user_middleware if one.cls is not route_utils.CustomCORSMiddleware]
    app.state_holder = NoSessions()
    app.state_holder.set_blocks(blocks)
    blocks.upload_file_set, blocks.temp_file_sets = Forgetful(), []
    routes.file_upload_statuses._statuses = Recent(MOST_TRACKED)
    routes.file_upload_statuses._signals = Recent(MOST_TRACKED, asyncio.Event)
    return Mail(app, blocks)


def tracked_uploads() -> int:
    """Return of how many uploads the progress is kept."""
    return max(len(routes.file_upload_statuses._statuses), len(routes.file_upload_statuses._signals))


# Files


async def upload(*args: Any, **kwargs: Any) -> tuple[list[str], list[str], list[str]]:
    """Receive an upload, and answer with addresses instead of paths."""
    written, strays, _ = await route_utils.upload_fn(*args, **kwargs)
    for path in map(Path, strays):  # Gradio could not rename it, such as to a name without a usable character
        path.unlink(missing_ok=True)
    files = [path for path in map(Path, written) if path.is_file()]
    if len(files) < len(written):
        for path in map(Path, written):
            with contextlib.suppress(OSError):
                path.unlink() if path.is_file() else path.rmdir()
        raise HTTPException(400, "A file has a name that cannot be used.")
    received = upload_request.get().received
    return [received(path) for path in files], [], []


async def addressed(data: Any, block: Any, postprocess: bool = False, **more: Any) -> Any:
    """Complete the files in the data of an event. They stay where they are; Gradio would copy them.

    Raises gr.Error for a file that is not named by its address.
    """

    def named(value: dict[str, Any]) -> dict[str, Any]:
        if not ADDRESS.fullmatch(value["path"]):
            raise gr.Error(ONLY_UPLOADS, print_exception=False)
        file = FileData(**value)
        file.url = f"/{link(file.path)}"
        return dict(file.model_dump())

    plain = data.model_dump() if hasattr(data, "model_dump") else data
    return client_utils.traverse(plain, named, client_utils.is_file_obj_with_meta)


async def refuse_address(*args: Any, **kwargs: Any) -> Any:
    """Refuse to fetch a URL. A FileData with a URL would make this server request other servers."""
    raise gr.Error("Addresses are not fetched. Send the file itself.", print_exception=False)


class UnguessableFile(route_utils.GradioUploadFile):  # type: ignore[misc]
    """An upload whose folder has a random name.

    Gradio names the folder by content: equal uploads of two people would share one file, and the first to finish would
    remove it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(ENTROPY))


class TidyParser(route_utils.GradioMultiPartParser):  # type: ignore[misc]
    """A parser of uploads that takes as many files as the guard allows and removes what it wrote when it ends early."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(kwargs | {"max_files": upload_request.get().files}))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is not None:
            super().on_part_data(data, start, end)
        elif len(part.data) + end - start > FIELD_BYTES:
            raise MultiPartException(f"A field of the form is longer than {FIELD_BYTES} bytes.")
        else:
            part.data += data[start:end]

    async def parse(self) -> Any:
        try:
            return await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                file.close()
                Path(file.name).unlink(missing_ok=True)
            raise
