"""Use Gradio's undocumented interfaces, all in this file: check it when Gradio is upgraded.

`tests/test_gradio_private.py` names the version that this was checked with, and looks for every attribute used here.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils, route_utils
from gradio.context import Context, LocalContext

CHECKED_WITH = "6.31.0"  # release of Gradio
ENTROPY = 32  # bytes in the name of an upload's folder

upload_files: ContextVar[int] = ContextVar("files that the current upload may have", default=1)


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
    route_utils.GradioUploadFile = UnguessableFile
    route_utils.GradioMultiPartParser = TidyParser


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
    """A parser of uploads that takes `upload_files` files and removes what it wrote when it ends early."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(kwargs | {"max_files": upload_files.get()}))

    async def parse(self) -> Any:
        try:
            return await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                file.close()
                Path(file.name).unlink(missing_ok=True)
            raise
