"""The composition root: settings, runtime, access, HTTP and page become one application, and are served."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from stt_lab import __version__
from stt_lab.access import Access
from stt_lab.engines import catalog
from stt_lab.http import add_routes
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings, get_settings

log = logging.getLogger("stt_lab")
GRACE_S = 5  # for requests that are in flight when the server is told to end; workers are killed after it
HOST, PORT = "127.0.0.1", 7860


def create_app(settings: Settings, access: Access | None = None) -> FastAPI:
    """The whole application over one data directory. Ends its children when its lifespan ends."""
    _prepare(settings)
    runtime = Runtime(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        runtime.close()

    app = FastAPI(title="stt_lab", version=__version__, lifespan=lifespan, docs_url="/docs", redoc_url=None)
    access = access or Access(settings)
    add_routes(app, runtime, access)
    app.state.runtime = runtime
    from stt_lab import ui  # after the settings are known: Gradio reads its environment when it is imported

    return ui.mount(app, runtime, access)


def _prepare(settings: Settings) -> None:
    """Folders of the data directory, readable by their owner only; what an earlier run left behind is removed."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (settings.uploads_dir, settings.work_dir, settings.data_dir / "gradio"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)


def serve(host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = get_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    host = host or os.environ.get("GRADIO_SERVER_NAME", HOST)
    port = port or int(os.environ.get("GRADIO_SERVER_PORT", PORT))
    access = Access(settings)
    app = create_app(settings, access)
    config = uvicorn.Config(
        app, host, port, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    server = _Server(config, app.state.runtime, _welcome(settings, access, f"http://{host}:{port}"))
    server.run()


class _Server(uvicorn.Server):
    """Says where it is once it listens, and stops the engines as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime, welcome: str) -> None:
        super().__init__(config)
        self._runtime, self._welcome = runtime, welcome

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            print(self._welcome, flush=True)

    def handle_exit(self, sig: int, frame: object) -> None:  # type: ignore[override]
        threading.Thread(target=self._runtime.close, daemon=True).start()  # requests in flight end with an error
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def _welcome(settings: Settings, access: Access, address: str) -> str:
    lines = [f"stt_lab {__version__} is ready at {address}"]
    if access.made_key:
        lines.append(f"Sign in as administrator: {access.sign_in_address(address)}")
    model = catalog.best("transcribe", settings)
    lines.append(
        f"Transcribes with {model.name}." if model else "No model is here yet: run `stt-lab models pull base`."
    )
    return "\n".join(lines)
