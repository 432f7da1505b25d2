"""The composition root: settings, runtime, access, HTTP and page become one application, and are served."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from filelock import FileLock, Timeout
from starlette.datastructures import State
from starlette.responses import HTMLResponse

from stt_lab import __version__, reference
from stt_lab.access import Access
from stt_lab.engines import catalog
from stt_lab.errors import BadInput, Busy
from stt_lab.http import add_routes
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings, get_settings

GRACE_S = 5  # for requests that are in flight when the server is told to end; workers are killed after it
HOST, PORT = "127.0.0.1", 7860


def create_app(settings: Settings) -> FastAPI:
    """The whole application over one data directory, with `state.runtime` and `state.access`.

    Ends its children when its lifespan ends. Raises Busy when another server has the directory.
    """
    lock = _prepare(settings)
    runtime, access = Runtime(settings), Access(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        runtime.close()
        lock.release()

    app = FastAPI(title="stt_lab", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_api_route("/docs", _reference, include_in_schema=False)
    add_routes(app, runtime, access)
    app.state.runtime, app.state.access = runtime, access
    from stt_lab import ui  # after the settings are known: Gradio reads its environment when it is imported

    return ui.mount(app, runtime, access)


async def _reference() -> HTMLResponse:
    return HTMLResponse(reference.html())  # FastAPI's own page loads its program from another host


def _prepare(settings: Settings) -> FileLock:
    """Folders of the data directory, readable by their owner only; what an earlier run left behind is removed."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(settings.data_dir / "server.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise Busy("Another server has this data directory: end it, or set STT_LAB_DATA_DIR to another one.") from None
    for folder in (settings.uploads_dir, settings.work_dir, settings.data_dir / "gradio"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    return lock


def serve(host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = get_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    listening = _listen(host or os.environ.get("GRADIO_SERVER_NAME", HOST), _port() if port is None else port)
    config = uvicorn.Config(
        create_app(settings),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    _Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything slow begins: the port may be taken."""
    try:
        if not 0 <= port < 65536:
            raise OSError(errno.EINVAL, "ports go up to 65535")
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        why = problem.strerror
        raise BadInput(f"Port {port} of {host} cannot be used ({why}): choose another with --port.") from None


def _port() -> int:
    try:
        return int(os.environ.get("GRADIO_SERVER_PORT", PORT))
    except ValueError:
        raise BadInput("GRADIO_SERVER_PORT is not a number: set it to a port such as 7860.") from None


class _Server(uvicorn.Server):
    """Says where it is once it listens, and stops the engines as soon as it is told to end."""

    @property
    def _state(self) -> State:
        app = self.config.app
        assert isinstance(app, FastAPI)
        return app.state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        await super().startup(sockets)
        if self.started:
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            print(_welcome(self._state.runtime.settings, self._state.access, address), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        threading.Thread(target=self._state.runtime.close, daemon=True).start()  # requests in flight end with an error
        super().handle_exit(sig, frame)


def _welcome(settings: Settings, access: Access, address: str) -> str:
    lines = [f"stt_lab {__version__} is ready at {address}"]
    if access.made_key:
        lines.append(f"Sign in as administrator: {access.sign_in_address(address)}")
    model = catalog.best("transcribe", settings)
    lines.append(
        f"Transcribes with {model.name}." if model else "No model is here yet: run `stt-lab models pull base`."
    )
    return "\n".join(lines)
