"""Compose settings, store, engines, jobs, HTTP and page into one application, and serve it."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.responses import HTMLResponse

from stt_lab import __version__
from stt_lab.accounts.access import Access
from stt_lab.errors import BadInput
from stt_lab.installation import Installation
from stt_lab.jobs import JobQueue
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.pipeline import usual_model
from stt_lab.recall.indexing import Indexer
from stt_lab.runtime import Runtime
from stt_lab.scratch import prepare
from stt_lab.settings import MB, Settings, get_settings
from stt_lab.web import reference
from stt_lab.web.connections import (
    ACCEPT_BATCH,
    LimitedProtocol,
    Listener,
    LiveProtocol,
    limited,
    limits_for,
    raise_descriptor_limit,
)
from stt_lab.web.routes import add_routes

UMASK = 0o077  # everything that a server writes is private to its user
GRACE_S = 5  # for requests in progress when the server stops; then workers are killed
HOST, PORT = "127.0.0.1", 7860
OPTIONS: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,
    "timeout_graceful_shutdown": GRACE_S,
    "server_header": False,
    "proxy_headers": False,  # stt_lab.accounts.access reads these headers, from trusted proxies only
    "http": LimitedProtocol,
    "ws": LiveProtocol,
    "ws_max_size": 2 * MB,  # above the route's own limit, which has a sentence
    "ws_per_message_deflate": False,  # sound does not compress, and a small message may become a large one
    "loop": "asyncio",
    "backlog": ACCEPT_BATCH,
    "timeout_keep_alive": LimitedProtocol.limits.keep_alive_s,
}


def create_app(installation: Installation) -> FastAPI:
    """Create the application of an installation, which is its `state.installation`.

    During its lifespan the application works on jobs; then it closes the installation.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        installation.start()
        yield
        installation.close()

    app = FastAPI(title="stt_lab", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_api_route("/docs", _reference, include_in_schema=False)
    add_routes(app, installation)
    app.state.installation = installation
    from stt_lab import (
        ui,
    )  # imported only now: Gradio reads its environment on import, and that depends on the settings

    return ui.mount(app, installation)


def compose(settings: Settings, address: str = "") -> Installation:
    """Compose the installation that serves a data directory. `address` is the IP address that the server listens on.

    Raises Busy if another server uses the directory, unless they share a database.
    """
    scratch = prepare(settings)
    try:
        runtime = Runtime(settings, scratch.folder)
        access = Access(settings, runtime.accounts, address)
        jobs = JobQueue(runtime, runtime.database, runtime.accounts, runtime.library, settings)
        indexer, lab = Indexer(runtime.library, runtime.pool), Evaluations(settings, runtime.pool)
        return Installation(settings, scratch, runtime, access, jobs, indexer, lab)
    except BaseException:
        scratch.release()
        raise


async def _reference() -> HTMLResponse:
    return HTMLResponse(reference.html())  # FastAPI's own page loads scripts from another host


def serve(host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = get_settings()
    os.umask(UMASK)
    limits = limits_for(raise_descriptor_limit())
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel("WARNING")  # every new installation would log a page of migrations
    listening = _listen(host or os.environ.get("GRADIO_SERVER_NAME", HOST), _port() if port is None else port)
    app = create_app(compose(settings, listening.getsockname()[0]))
    _Server(uvicorn.Config(app, **OPTIONS | {"http": limited(limits)})).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    """Open the listening socket before anything slow begins, because the port may be taken."""
    try:
        if not 0 <= port < 65536:
            raise OSError(errno.EINVAL, "ports go up to 65535")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family)
        return Listener(family, made.type, made.proto, made.detach())
    except OSError as problem:
        why = problem.strerror
        raise BadInput(f"Port {port} of {host} cannot be used ({why}). Choose another one with --port.") from None


def _port() -> int:
    try:
        return int(os.environ.get("GRADIO_SERVER_PORT", PORT))
    except ValueError:
        raise BadInput("GRADIO_SERVER_PORT is not a number. Set it to a port such as 7860.") from None


class _Server(uvicorn.Server):
    """Prints its address once it listens, and stops the engines as soon as it is asked to stop."""

    @property
    def _installation(self) -> Installation:
        app = self.config.app
        assert isinstance(app, FastAPI)
        installation: Installation = app.state.installation
        return installation

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        await super().startup(sockets)
        if self.started:
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self._installation.scratch.announce(address)
            print(_welcome(self._installation, address), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        threading.Thread(target=self._installation.stop, daemon=True).start()  # requests in progress end with an error
        super().handle_exit(sig, frame)


def _welcome(installation: Installation, address: str) -> str:
    lines = [f"stt_lab {__version__} is ready at {address}"]
    if installation.access.made_key:
        lines.append(
            f"Sign in as administrator, once, within 15 minutes: {installation.access.sign_in_address(address)}\n"
            "(`stt-lab sign-in` prints a new address.)"
        )
    lines.append(_where(installation.settings.data_dir))
    model = usual_model(installation.runtime.pool)
    lines.append(
        f"Transcribes with {model.name}." if model else "No model is installed yet. Run `stt-lab models pull base`."
    )
    return "\n".join(lines)


def _where(data_dir: Path) -> str:
    """Say where the data lies. The default is a folder per user on purpose: whoever has two clones has one library."""
    is_default = data_dir == Settings.model_fields["data_dir"].default
    shared = ", for all clones and servers of this user" if is_default else ""
    return f"Keeps its data in {data_dir}{shared} (STT_LAB_DATA_DIR)."
