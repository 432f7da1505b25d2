"""Files as answers of HTTP: sent while they are made, or in the parts that were asked for."""

from __future__ import annotations

from itertools import chain
from urllib.parse import quote

from starlette.concurrency import iterate_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from stt_lab.errors import BadInput
from stt_lab.types import File

TEXTS = ("text/plain", "text/vtt", "text/csv", "application/x-subrip")


def download(file: File) -> Response:
    """A file for a client that saves or plays it; no browser shows it as a page of this server."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in " ._-") else "_" for char in file.name)
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    if file.warnings:
        headers["X-STT-Warning"] = " ".join(" ".join(file.warnings).split()).encode("ascii", "replace").decode()
    if file.path is not None:
        return _Parts(file.path, headers=headers, media_type=file.media_type)
    return _made(file, headers)


def _made(file: File, headers: dict[str, str]) -> Response:
    """Sent while it is made; its first bytes are made here, so that an error is still an answer."""
    chunks = iter(file.chunks)
    first = next(chunks, b"")
    kind = f"{file.media_type}; charset=utf-8" if file.media_type in TEXTS else file.media_type
    return StreamingResponse(iterate_in_threadpool(chain([first], chunks)), 200, headers, kind)


class _Parts(FileResponse):
    """Answers `Range`. A part that is not there is refused as everything is: Starlette's own refusals are bare text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def told(message: Message) -> None:
            nonlocal refused
            if message.get("status", 200) >= 400:
                refused = True
                await _refusal(message)(scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, told)


def _refusal(message: Message) -> Response:
    problem = BadInput("This part of the file cannot be given: ask for bytes that it has, such as 'Range: bytes=0-'.")
    size = Headers(raw=message["headers"]).get("content-range")
    return JSONResponse(problem.as_dict(), message["status"], {"Content-Range": size} if size else None)
