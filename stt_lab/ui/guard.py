"""Guard Gradio: an allow-list of its routes, limits on request bodies, and security headers.

Gradio serves more than this page needs (a proxy, monitoring, audio trimming by ffmpeg, links to saved states), and new
releases add routes. Only what the page and gradio_client use is allowed; everything else is 404.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt_lab.accounts.access import Access
from stt_lab.errors import NotFound, SttError, TooLarge
from stt_lab.input_check import checked_json
from stt_lab.settings import MB
from stt_lab.ui.gradio_private import upload_files
from stt_lab.ui.work import is_upload

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
READS = re.compile(
    r"/((config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|(assets|static)/.+)?"
    rf"|{API}/(info/?|app_id/?|startup-events|theme\.css|queue/data|upload_progress|heartbeat/\w+|call/(v2/)?\w+/\w+)"
)
WRITES = re.compile(rf"{API}/(queue/join|cancel|reset/?|upload|call/(v2/)?\w+/?)")
BODY_LIMIT = MB  # bytes of a body, except uploads
FORM_SLACK = 64 * 1024  # bytes of a form besides its files
PART_SLACK = 1024  # bytes of a form per file
DATASET_FILES = 1000  # files per upload of an administrator; Gradio's page sends at most this many

HEADERS = {
    # Gradio's page needs inline and evaluated scripts, but must not contact other hosts.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'self' https://huggingface.co"
    ),
}
FILE_HEADERS = HEADERS | {
    "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
    "Cache-Control": "private, no-store",
}


class Guard:
    """ASGI middleware around the mounted Gradio application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if not _open(scope["method"], path):
            problem = NotFound(f"{scope['method']} {path[:80]} was not found. See /docs for the API.")
            return await _refuse(problem, scope, receive, send)
        limit, request = BODY_LIMIT, Request(scope)
        try:
            self.access.check_origin(request)
            if path != UPLOAD and scope["method"] == "POST":
                receive = await checked_json(receive, limit)
            elif path == UPLOAD:
                limit, files = await asyncio.to_thread(self._upload_limits, request)
                upload_files.set(files)  # only for this request, which is a task with its own context
        except SttError as problem:
            return await _refuse(problem, scope, receive, send)
        headers = FILE_HEADERS if path.startswith(FILE) else HEADERS
        await _Exchange(self.app, limit, headers).run(scope, receive, send)

    def _upload_limits(self, request: Request) -> tuple[int, int]:
        """Return the limits of an upload: bytes by the caller's tier, and files: 1, or more for an administrator."""
        caller = self.access.identify(request)
        files = DATASET_FILES if caller.admin else 1
        return self.access.upload_limit(caller) + FORM_SLACK + files * PART_SLACK, files


def _open(method: str, path: str) -> bool:
    """Return whether Gradio may answer. Only uploads are served as files; their names cannot be guessed."""
    if path.startswith(FILE):
        return method in ("GET", "HEAD") and _is_upload(path.removeprefix(FILE))
    reads = method in ("GET", "HEAD", "OPTIONS") and READS.fullmatch(path)
    writes = method in ("POST", "OPTIONS") and WRITES.fullmatch(path)
    return bool(reads or writes)


def _is_upload(given: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return is_upload(Path(given).resolve())
    return False


async def _refuse(problem: SttError, scope: Scope, receive: Receive, send: Send) -> None:
    retry = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    await JSONResponse(problem.as_dict(), problem.status, HEADERS | retry)(scope, receive, send)


class _Overflow(Exception):
    """The body exceeds the limit."""


class _Exchange:
    """One request and its answer: counts the body, adds headers."""

    def __init__(self, app: ASGIApp, limit: int, headers: dict[str, str]) -> None:
        self.app, self.limit, self.headers = app, limit, headers
        self.received = 0
        self.started = False

    @property
    def over(self) -> bool:
        return self.received > self.limit

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        self.received = int(length) if length.isdecimal() and int(length) > self.limit else 0
        if not self.over:
            await self._pass(scope, receive, send)
        if self.over and not self.started:
            size = self.limit // MB
            problem = TooLarge(f"The request is larger than {size} MB. Send a shorter recording, or split the text.")
            await _refuse(problem, scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            self.received += len(message.get("body", b""))
            if self.over:
                raise _Overflow
            return message

        async def answered(message: Message) -> None:
            if message.get("status") == 413:  # Gradio's own file limit came first, whose answer is not JSON
                self.received = self.limit + 1
            if self.over:
                return  # drop Gradio's own answer to the overflow
            if message["type"] == "http.response.start":
                self.started = True
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        with contextlib.suppress(_Overflow, ClientDisconnect):
            await self.app(scope, counted, answered)
