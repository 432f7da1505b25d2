"""The web page and Gradio's API. Gradio is imported only in this package, after its environment is set."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stt_lab.errors import SttError
from stt_lab.settings import MB

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

    from stt_lab.door.shared_files import SharedFiles
    from stt_lab.installation import Installation
    from stt_lab.ui.gradio_private import Mail

log = logging.getLogger(__name__)

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
T = TypeVar("T")

__all__ = ["build", "mount"]

HERE = Path(__file__).parent
SWEEP_S = 5.0  # between sweeps for unused files, those of deleted transcripts, and messages that nobody reads
MOST_EVENTS = 100  # events that may wait; further ones get 503
QUEUE_POLL_S = 0.05  # Gradio's default polls 1,000 times a second: 6 to 10 % of a core on an idle server
SPARE_THREADS = 40  # concurrent events besides those that wait for the device, which the pool limits


def build(installation: Installation) -> gr.Blocks:
    """Build the Blocks of the page, with an API endpoint for every operation."""
    _set_environ(installation.runtime.gradio_dir)
    return _in_loop(lambda: _build(installation))


def mount(app: FastAPI, installation: Installation) -> FastAPI:
    """Mount the page at "/", after the existing routes of the application."""
    _set_environ(installation.runtime.gradio_dir)
    _in_loop(lambda: _mount(app, installation))
    return app


def _build(installation: Installation) -> gr.Blocks:
    import gradio as gr

    from stt_lab.ui.api import add_endpoints
    from stt_lab.ui.gradio_private import set_queue_poll
    from stt_lab.ui.page import WebPage

    with gr.Blocks(title="stt_lab", analytics_enabled=False, fill_width=True) as demo:
        add_endpoints(installation)
        WebPage(installation).draw()
    demo.max_threads = SPARE_THREADS + installation.settings.queue_size
    demo.queue(api_open=False, default_concurrency_limit=None, max_size=MOST_EVENTS)
    set_queue_poll(demo, QUEUE_POLL_S)
    return demo


def _mount(app: FastAPI, installation: Installation) -> None:
    demo = _build(installation)
    import gradio as gr

    from stt_lab.ui.gradio_private import bound, harden, mark_as_launched
    from stt_lab.ui.guard import Guard
    from stt_lab.ui.live import files as live
    from stt_lab.ui.theme import theme
    from stt_lab.ui.workbench import files as workbench

    scripts = (HERE / "page.js", HERE / "voice.js", live.SCRIPT)
    options: dict[str, Any] = {
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "footer_links": ["api"],  # needed for Gradio's page about API clients, which ours links to
        "max_file_size": installation.settings.max_upload_mb * MB,
    }
    look: dict[str, Any] = {
        "theme": theme(),
        "css_paths": [HERE / "page.css", HERE / "text.css", HERE / "voice.css", live.STYLE],
        "head": "".join(f"<script>{path.read_text('utf-8')}</script>" for path in scripts) + workbench.HEAD,
        "favicon_path": HERE / "favicon.svg",
    }
    harden()
    app.add_api_route(live.WORKLET_PATH, live.worklet, include_in_schema=False)
    app.add_api_route(workbench.PATH, workbench.file, include_in_schema=False)
    gr.mount_gradio_app(app, demo, path="/", **options, **look)
    mark_as_launched(demo)
    route: Any = app.router.routes[-1]
    mail, files = bound(route.app, demo), installation.runtime.shared_files
    route.app = Guard(route.app, installation.access, files, mail)
    app.router.lifespan_context = _sweeping(app.router.lifespan_context, mail, files)


def _sweeping(lifespan: Lifespan, mail: Mail, files: SharedFiles) -> Lifespan:
    """Sweep while the application runs, and delete all files when it ends."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                mail.sweep()
                await asyncio.to_thread(files.sweep)
            except SttError as problem:  # the database is busy or away
                log.warning("the page's files wait to be swept: %s", problem)
            except Exception:
                log.exception("a sweep of the page failed; it is repeated")

    @asynccontextmanager
    async def around(app: FastAPI) -> AsyncIterator[Any]:
        async with lifespan(app) as state:
            task = asyncio.create_task(sweep())
            try:
                yield state
            finally:
                task.cancel()
                files.clear()

    return around


def _in_loop(make: Callable[[], T]) -> T:
    """Call `make` in an event loop: without one, Gradio creates a loop for each of its locks and never closes it."""

    async def made() -> T:
        return make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(made())
    return make()


def _set_environ(folder: Path) -> None:
    """Set Gradio's environment, which it reads on import; it reads the folder again for every file."""
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder / "examples"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(2**62),  # otherwise a table of past calls is summed after every call
        "GRADIO_ANALYTICS_MAX_EVENTS": "1",
        "GRADIO_MCP_SERVER": "False",
    }
