"""Send files over HTTP: streamed while they are made, or in the byte ranges that the client requested."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any
from urllib.parse import quote

from starlette.concurrency import iterate_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from stt_lab.errors import BadInput, SttError
from stt_lab.types import File

log = logging.getLogger(__name__)

TEXTS = ("text/plain", "text/vtt", "text/csv", "application/x-subrip")


def download(file: File) -> Response:
    """Answer with a file to save or play."""
    headers = _headers(file)
    if file.path is not None:
        return _RangeResponse(file.path, headers=headers, media_type=file.media_type)
    return _streamed(file, headers)


def _headers(file: File) -> dict[str, str]:
    """Return the headers of a file. They keep browsers from showing it as a page of this server."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in " ._-") else "_" for char in file.name)
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        **file.headers,
    }
    if file.warnings:
        headers["X-STT-Warning"] = " ".join(" ".join(file.warnings).split()).encode("ascii", "replace").decode()
    return headers


def _streamed(file: File, headers: dict[str, str]) -> Response:
    """Stream a file while it is made. Making its first bytes here turns an early error into an error answer."""
    chunks = iter(file.chunks)
    first = next(chunks, b"")
    kind = f"{file.media_type}; charset=utf-8" if file.media_type in TEXTS else file.media_type
    return StreamingResponse(iterate_in_threadpool(chain([first], chunks)), 200, headers, kind)


class MadeWhileSent(StreamingResponse):
    """Sends a file while it is made, each piece computed in a thread of `run`.

    After an error the answer has no end: uvicorn closes the connection, so that the client notices.
    """

    def __init__(self, file: File, run: Callable[..., Awaitable[Any]]) -> None:
        self._name, self._run = file.name, run
        self._chunks: Any = file.chunks  # a Delivery
        super().__init__(iter(()), 200, _headers(file) | {"X-Accel-Buffering": "no"}, file.media_type)

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            while (piece := await self._run("work", next, self._chunks, None)) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except SttError as problem:
            log.warning("%s was not sent to its end: %s", self._name, problem)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._chunks.leave()  # the client may have gone


class _RangeResponse(FileResponse):
    """Answers `Range` requests. Refuses invalid ranges in JSON; Starlette would refuse them in plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def send_or_refuse(message: Message) -> None:
            nonlocal refused
            if message.get("status", 200) >= 400:
                refused = True
                await _refusal(message)(scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, send_or_refuse)


def _refusal(message: Message) -> Response:
    problem = BadInput("This range is outside of the file. Request bytes that it has, such as 'Range: bytes=0-'.")
    size = Headers(raw=message["headers"]).get("content-range")
    return JSONResponse(problem.as_dict(), message["status"], {"Content-Range": size} if size else None)
