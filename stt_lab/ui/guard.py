"""Guard Gradio: an allow-list of its routes, limits of request bodies, files by their addresses, errors in one shape.

Gradio serves more than this page needs (a proxy, monitoring, audio trimming by ffmpeg, links to saved states), and new
releases add routes. Only what the page and gradio_client use is allowed; everything else is 404.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mimetypes
import re
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt_lab.accounts.access import Access
from stt_lab.door.client_slots import PAGES, ClientSlots
from stt_lab.door.input_check import checked_json
from stt_lab.door.shared_files import ADDRESS, ROUTE, SharedFiles
from stt_lab.door.uploads import Upload
from stt_lab.errors import BadInput, Busy, Forbidden, NotFound, SttError, TooLarge
from stt_lab.settings import MB
from stt_lab.ui.gradio_private import Mail, UploadRequest, upload_request
from stt_lab.ui.kept_pages import KeptPages

log = logging.getLogger(__name__)

API = "/gradio_api"
FILE = f"/{ROUTE}"
UPLOAD = f"{API}/upload"
V2 = f"{API}/call/v2/"  # calls with named parameters
READS = re.compile(
    r"/((config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|(assets|static)/.+)?"
    rf"|{API}/(info/?|app_id/?|startup-events|theme\.css|queue/data|upload_progress|heartbeat/\w+|call/(v2/)?\w+/\w+)"
)
WRITES = re.compile(rf"{API}/(queue/join|cancel|reset/?|upload|call/(v2/)?\w+/?)")
HEARTBEAT = re.compile(rf"{API}/heartbeat/(\w+)")
RESULT = re.compile(rf"{API}/call/(?:v2/)?\w+/(\w+)")
BODY_LIMIT = MB  # bytes of a body, except uploads
FORM_SLACK = 64 * 1024  # bytes of a form besides its files
PART_SLACK = 1024  # bytes of a form per file
DATASET_FILES = 1000  # files per upload of an administrator; Gradio's page sends at most this many
ERROR_BYTES = 64 * 1024  # of Gradio's own error answers
PLAYED = re.compile(r"(audio|video)/[\w.+-]+|image/(jpeg|png|gif|webp)")  # browsers show these and run none
CRASHED = "Something went wrong in the server. Send the request again; the server's log has the details."

HEADERS = {
    # Gradio's page needs inline and evaluated scripts, but must not contact other hosts.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'self' https://huggingface.co"
    ),
}
PRIVATE = {"Cache-Control": "private, no-store"}
FILE_HEADERS = (
    HEADERS
    | PRIVATE
    | {"Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'"}
)


class Guard:
    """ASGI middleware around the mounted Gradio application."""

    def __init__(self, app: ASGIApp, access: Access, files: SharedFiles, mail: Mail) -> None:
        self.app, self.access, self.files, self.mail = KeptPages(app), access, files, mail
        self.pages = ClientSlots(PAGES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        request = Request(scope)
        try:
            self._check(request.method, path)
            self.access.check_origin(request)
            if path.startswith(FILE):
                return await self._serve(path.removeprefix(FILE), scope, receive, send)
            if path == UPLOAD:
                return await self._upload(scope, receive, send)
            if request.method == "POST":
                receive = await checked_json(receive, BODY_LIMIT)
            async with AsyncExitStack() as stack:
                if heartbeat := HEARTBEAT.fullmatch(path):
                    await stack.enter_async_context(self.pages.held(self.access.hashed_address(request)))
                    stack.enter_context(self.files.visit(heartbeat[1]))
                stack.enter_context(self._reading(path, request))
                headers = HEADERS | (PRIVATE if path.startswith(API) else {})
                await Exchange(self.app, BODY_LIMIT, headers).run(scope, receive, send)
        except SttError as problem:
            await refuse(problem, scope, receive, send)

    @staticmethod
    def _check(method: str, path: str) -> None:
        """Check that Gradio may answer. Raises NotFound."""
        reads = method in ("GET", "HEAD") and (path.startswith(FILE) or READS.fullmatch(path))
        writes = method == "POST" and WRITES.fullmatch(path)
        if not (reads or writes):
            raise NotFound(f"{method} {path[:80]} was not found. See /docs for the API.")

    async def _serve(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a shared file. Addresses cannot be guessed."""
        if not ADDRESS.fullmatch(address):
            raise NotFound("There is no file at this address. Use the address that the server sent.")
        path = await asyncio.to_thread(self.files.served, address)
        kind = mimetypes.guess_type(path.name)[0] or ""
        played = PLAYED.fullmatch(kind)
        answer = FileResponse(
            path,
            media_type=kind if played else "application/octet-stream",
            filename=path.name,
            content_disposition_type="inline" if played else "attachment",
        )
        await Exchange(answer, BODY_LIMIT, FILE_HEADERS).run(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio receive a form, within the limits of the caller."""
        limit, files, upload = await asyncio.to_thread(self._admit, Request(scope))
        kept: list[str] = []

        def received(path: Path) -> str:
            size = path.stat().st_size
            kept.append(self.files.received(path, upload.split(size)))
            return kept[-1]

        upload_request.set(UploadRequest(files, received))  # only for this request, whose task has its own context
        exchange = Exchange(self.app, limit, HEADERS | PRIVATE, upload)
        try:
            await exchange.run(scope, receive, send)
        finally:
            upload.end()
            if exchange.failed:
                for address in kept:
                    self.files.discard(address)

    def _admit(self, request: Request) -> tuple[int, int, Upload]:
        """Return the limits of an upload: bytes by the caller's tier, and files: 1, or more for an administrator."""
        caller = self.access.identify(request)
        files, largest = DATASET_FILES if caller.admin else 1, self.access.upload_limit(caller)
        return largest + FORM_SLACK + files * PART_SLACK, files, self.files.admit(caller, largest)

    @contextlib.contextmanager
    def _reading(self, path: str, request: Request) -> Iterator[None]:
        """Keep the messages of a session while its client reads them. Raises NotFound if there are none."""
        result = RESULT.fullmatch(path) if request.method != "POST" else None
        if not result and path != f"{API}/queue/data":
            yield
            return
        session = self.mail.session(result[1]) if result else request.query_params.get("session_hash", "")
        if session is None or not self.mail.has(session):
            raise NotFound("There is no such call, or its answer was fetched before. Send the request again.")
        with self.mail.reading(session):
            yield


async def refuse(
    problem: SttError,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Mapping[str, str] | None = None,
    cause: str = "",
) -> None:
    """Answer an error in the shape that all errors share; log its cause, if Gradio hides one."""
    made = HEADERS | PRIVATE | dict(headers or {})
    if problem.retry_after is not None:
        made["Retry-After"] = str(problem.retry_after)
    if cause and problem.status >= 500:  # each refusal has a line of the whole application (stt_lab.web.security)
        log.warning("%s %r: %d %s", scope["method"], scope["path"][:80], problem.status, cause)
    await JSONResponse(problem.as_dict(), problem.status, made)(scope, receive, send)


class WrongRange(BadInput):
    """The requested range is outside of the file."""

    status = 416


class _Overflow(Exception):
    """The body exceeds a limit."""


class Exchange:
    """One request and its answer: counts the body, adds headers, and puts errors into their shape."""

    def __init__(self, app: ASGIApp, limit: int, headers: dict[str, str], upload: Upload | None = None) -> None:
        self.app, self.limit, self.headers, self.upload = app, limit, headers, upload
        self.received = 0
        self.started = False
        self.problem: SttError | None = None
        self._cause = ""  # of an unforeseen error, for the log
        self._refused: Message | None = None  # start of Gradio's own error answer
        self._body = b""

    @property
    def failed(self) -> bool:
        """Return whether the answer was not that of a success."""
        return self.problem is not None or not self.started

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self.limit:
            self.problem = self._too_large()
        else:
            await self._pass(scope, receive, send)
        if self._refused is not None and self.problem is None:
            status = self._refused["status"]
            self.problem = self._too_large() if status == 413 else _reshaped(status, self._body, scope)
        if self._cause and not self.started:
            self.problem = self.problem or SttError(CRASHED)
        if self.problem is not None and not self.started:
            kept = Headers(raw=self._refused["headers"]) if self._refused else Headers()
            named = {name: kept[name] for name in ("allow", "content-range") if name in kept}
            await refuse(self.problem, scope, receive, send, named, self._cause)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, lambda: self._receive(receive), lambda message: self._send(message, send))
        except (_Overflow, ClientDisconnect):
            pass
        except SttError as problem:
            self.problem = self.problem or problem
        except Exception as problem:
            self._cause = repr(problem)[:120]
            if self.started:
                log.warning("%s %r broke off: %s", scope["method"], scope["path"][:80], self._cause)
            elif scope["path"].startswith(V2) and isinstance(problem, LookupError | TypeError | ValueError):
                self.problem = BadInput("The parameters do not fit the function. See /gradio_api/info for both.")

    async def _receive(self, receive: Receive) -> Message:
        message = await receive()
        count = len(message.get("body", b""))
        self.received += count
        try:
            if self.received > self.limit:
                raise self._too_large()
            if self.upload is not None:
                self.upload.grow(count)
        except SttError as problem:
            self.problem = problem
            raise _Overflow from None
        return message

    async def _send(self, message: Message, send: Send) -> None:
        if self.problem is not None and not self.started:
            return  # drop Gradio's own answer to the overflow
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._refused = message
                return
            self.started = True
            MutableHeaders(scope=message).update(self.headers)
        elif self._refused is not None:
            self._body = (self._body + message.get("body", b""))[:ERROR_BYTES]
            return
        await send(message)

    def _too_large(self) -> TooLarge:
        size = self.limit // MB
        return TooLarge(f"The request is larger than {size} MB. Send a shorter recording, or split the text.")


def _reshaped(status: int, body: bytes, scope: Scope) -> SttError:
    """Return the error for one of Gradio's own error answers, which have several shapes."""
    asked = f"{scope['method']} {scope['path'][:80]}"
    if status in (404, 405):
        return NotFound(f"{asked} was not found. See /docs for the API.")
    if status == 403:
        return Forbidden(f"{asked} is not allowed.")
    if status == 503:
        return Busy("Too many requests are waiting on this server. Try again later.", retry_after=5)
    if status == 416:
        return WrongRange("This range is outside of the file. Request bytes that it has, such as 'Range: bytes=0-'.")
    if status < 500:
        return BadInput(f"The request is not valid{_detail(body)}. See /docs for the API.")
    return SttError(CRASHED)


def _detail(body: bytes) -> str:
    """Return what FastAPI says of the first wrong value; "" if it says nothing."""
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
        first = json.loads(body)["detail"][0]
        return f": {'.'.join(map(str, first['loc']))[:80]}: {first['msg'][:120]}"
    return ""
