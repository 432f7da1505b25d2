"""Gradio's private attributes: they exist, only one module uses them, and their version is named."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio import context, processing_utils, queueing, route_utils, routes, state_holder
from starlette.datastructures import Headers

import stt_lab
from stt_lab.ui import gradio_private

HERE = "gradio_private.py"
ATTRIBUTES = {  # what gradio_private reads or replaces
    context: ("Context.root_block", "LocalContext.blocks", "LocalContext.event_id"),
    processing_utils: (
        *("async_ssrf_protected_get", "async_ssrf_protected_download"),
        *("async_move_files_to_cache", "client_utils.traverse", "client_utils.is_file_obj_with_meta"),
    ),
    queueing: ("traceback.print_exc",),
    route_utils: (
        *("GradioUploadFile", "GradioMultiPartParser", "GradioMultiPartParser.parse", "CustomCORSMiddleware"),
        *("GradioMultiPartParser.on_part_data", "get_fn", "upload_fn"),
    ),
    routes: ("traceback.print_exc", "upload_fn", "file_upload_statuses._statuses", "file_upload_statuses._signals"),
    state_holder: ("StateHolder.set_blocks", "StateHolder.__contains__", "SessionState.get"),
}
BLOCKS = (
    *("_queue.sleep_when_free", "_queue.event_ids_to_events", "has_launched", "is_running", "default_config.blocks"),
    *("_queue.pending_messages_per_session", "_queue.pending_event_ids_session", "upload_file_set", "temp_file_sets"),
)
ONLY_THERE = {
    *("Context", "LocalContext", "_queue", "sleep_when_free", "event_ids_to_events", "has_launched", "is_running"),
    *("async_ssrf_protected_get", "async_ssrf_protected_download", "GradioUploadFile", "GradioMultiPartParser"),
    *("processing_utils", "route_utils", "_files_to_close_on_error", "queueing", "file_upload_statuses"),
    *("pending_messages_per_session", "pending_event_ids_session", "state_holder", "StateHolder", "SessionState"),
}


def blocks() -> gr.Blocks:
    """Blocks made while a loop runs: else Gradio makes one for each of its locks and closes none."""

    async def made() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as demo:
            assert gradio_private.root_blocks() is demo
        return demo

    return asyncio.run(made())


def test_the_version_that_was_checked_is_named() -> None:
    checked, here = (list(map(int, one.split(".")[:2])) for one in (gradio_private.CHECKED_WITH, gr.__version__))
    assert checked[0] == here[0], f"Gradio {gr.__version__}: check each attribute of {HERE}, then raise CHECKED_WITH"
    assert checked <= here


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in ATTRIBUTES.items() for name in names])
def test_attributes_of_modules_exist(module: object, name: str) -> None:
    attrgetter(name)(module)


def test_attributes_of_blocks_exist_and_are_set() -> None:
    demo = blocks()
    for name in BLOCKS:
        attrgetter(name)(demo)
    assert (demo.has_launched, demo.is_running) == (False, False)
    gradio_private.set_queue_poll(demo, 0.5)
    gradio_private.mark_as_launched(demo)
    assert (demo._queue.sleep_when_free, demo.has_launched, demo.is_running) == (0.5, True, True)


def test_whether_the_client_of_an_event_listens() -> None:
    assert gradio_private.client_listens()  # outside of an event
    demo, event = blocks(), SimpleNamespace(alive=True)
    demo._queue.event_ids_to_events["id"] = event
    tokens = context.LocalContext.blocks.set(demo), context.LocalContext.event_id.set("id")
    try:
        assert gradio_private.client_listens()
        event.alive = False
        assert not gradio_private.client_listens()
        context.LocalContext.event_id.set("another")
        assert gradio_private.client_listens()
    finally:
        context.LocalContext.blocks.reset(tokens[0])
        context.LocalContext.event_id.reset(tokens[1])


def test_equal_uploads_have_folders_of_their_own() -> None:
    digests = set()
    for _ in range(2):
        file: Any = gradio_private.UnguessableFile(Headers())
        file.sha.update(b"the same bytes")
        digests.add(file.sha.hexdigest())
    assert len(digests) == 2


def test_addresses_are_not_fetched() -> None:
    with pytest.raises(gr.Error, match="Send the file itself"):
        asyncio.run(gradio_private.refuse_address("http://127.0.0.1/"))


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradio"):
            yield from (one.name for one in node.names)


def test_no_other_module_uses_them() -> None:
    folder = Path(stt_lab.__file__).parent / "ui"
    files = [path for path in sorted(folder.rglob("*.py")) if path.name != HERE]
    found = [(path.name, name) for path in files for name in names(ast.parse(path.read_text("utf-8")))]
    assert len(files) > 20
    assert not [(file, name) for file, name in found if name in ONLY_THERE]
