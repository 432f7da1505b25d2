"""Guard the whole application: refuse requests that no route may see, and add headers to every answer.

Refused are addresses that are not UTF-8, names that are not this server's, pages of other sites with a session, and
uploads beyond the limits. Every refusal, by whatever part of the server, has the one shape of errors and a line in the
log without secrets.
"""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stt_lab.accounts.access import Access
from stt_lab.door.client_slots import UPLOADS, ClientSlots
from stt_lab.door.input_check import check_address
from stt_lab.errors import Forbidden, SttError
from stt_lab.web.service import CRASHED, error_response

log = logging.getLogger(__name__)

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
HSTS = "max-age=31536000"  # a year
PUBLIC = re.compile(r"/(assets|static)/.*|(/gradio_api)?/(theme\.css|favicon\.ico|robots\.txt|manifest\.json)")
LARGE = 64 * 1024  # bytes of a body that counts as an upload whatever its type
LARGEST_ERROR = 64 * 1024  # bytes of an error whose shape is looked at
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Range",
    "Access-Control-Max-Age": "600",
}
EXPOSED = (  # headers of answers that pages of other origins may read
    "Content-Disposition, Content-Range, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    "X-STT-Warning, X-Duration, X-Loudness-Before, X-Loudness-After, X-Clipped, X-Generation-Time, X-Engine, "
    "X-Similarity"
)


class SecurityMiddleware:
    """ASGI middleware around everything else, also around the handler of unforeseen errors."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self.uploads = ClientSlots(UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        connection = HTTPConnection(scope)
        answer = _Answer(connection, send, self.access)
        try:
            self._check(connection)
            if _is_preflight(connection):
                return await self._preflight(answer)(scope, receive, answer.send)
        except SttError as problem:
            return await self._refuse(problem, scope, receive, answer)
        if scope["type"] == "websocket":
            return await self.app(scope, receive, send)
        try:
            if _is_upload(Headers(scope=scope)):
                await self._receive_upload(scope, receive, answer)
            else:
                await self.app(scope, receive, answer.send)
        except Exception:
            if not answer.started:  # the application broke while it refused something
                await self._refuse(SttError(CRASHED), scope, receive, _Answer(connection, send, self.access))
            raise

    def _check(self, connection: HTTPConnection) -> None:
        """Raise an error for a request that no route may see."""
        path = connection.scope.get("raw_path") or connection.scope["path"].encode("utf-8", "surrogatepass")
        check_address(path, connection.scope.get("query_string", b""))
        self.access.check_host(connection)
        self.access.check_origin(connection)

    def _preflight(self, answer: _Answer) -> Response:
        """Answer a browser that asks whether a page of another origin may send a request."""
        if not answer.cors:
            raise Forbidden("Pages of this origin may not use the API. Name the origin in STT_LAB_CORS_ORIGINS.")
        answer.cors |= PREFLIGHT
        return Response(status_code=204)

    async def _refuse(self, problem: SttError, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if scope["type"] == "websocket":
            answer.log_refusal(problem.status)
            await answer.send({"type": "websocket.close", "code": 1008})
        else:
            await error_response(problem)(scope, receive, answer.send)

    async def _receive_upload(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Pass an upload on, which has a place from now until its last byte has arrived."""
        client = self.access.hashed_address(HTTPConnection(scope))
        try:
            await self.uploads.take(client)
        except SttError as problem:
            return await self._refuse(problem, scope, receive, answer)
        holds = True

        def free() -> None:
            nonlocal holds
            if holds:
                holds = False
                self.uploads.free(client)

        async def received() -> Message:
            message = await receive()
            if not message.get("more_body"):
                free()
            return message

        try:
            await self.app(scope, received, answer.send)
        finally:
            free()


def _is_preflight(connection: HTTPConnection) -> bool:
    wanted = {"origin", "access-control-request-method"}
    return connection.scope.get("method") == "OPTIONS" and wanted <= set(connection.headers.keys())


def _is_upload(headers: Headers) -> bool:
    """Return whether a request has a body that may take a while."""
    length = headers.get("content-length", "0")
    large = not length.isdecimal() or int(length) > LARGE
    return large or "transfer-encoding" in headers or headers.get("content-type", "").startswith("multipart/")


class _Answer:
    """Adds headers to an answer. Holds an error until its body is complete, and gives it the shape of all errors."""

    def __init__(self, connection: HTTPConnection, send: Send, access: Access) -> None:
        self._connection, self._send, self._access = connection, send, access
        self.cors = _cors_headers(connection, access)
        self.started = False
        self._held: Message | None = None  # start of an error
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            self._add_headers(MutableHeaders(scope=message))
            if message["status"] >= 400:
                self.log_refusal(message["status"])
                if self._connection.scope["method"] != "HEAD":
                    self._held = message
                    return
        elif message["type"] == "http.response.body" and self._held is not None:
            return await self._hold(message)
        self.started = True
        await self._send(message)

    async def _hold(self, message: Message) -> None:
        assert self._held is not None
        self._body += message.get("body", b"")
        if message.get("more_body") and len(self._body) <= LARGEST_ERROR:
            return
        start, self._held = self._held, None
        headers = MutableHeaders(scope=start)
        body = bytes(self._body)
        if not message.get("more_body") and not _has_shape(headers, body):
            body = json.dumps(_plain_error(start["status"])).encode()
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(body))
        self.started = True
        await self._send(start)
        await self._send({**message, "body": body})

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name in [name for name in headers if name.startswith("access-control-")]:
            del headers[name]  # Gradio admits any origin
        headers.update(self.cors)
        if self.cors:
            headers.add_vary_header("Origin")
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if not PUBLIC.fullmatch(self._connection.scope["path"]):
            headers.setdefault("Cache-Control", "no-store")
        if self._access.is_encrypted(self._connection):
            headers["Strict-Transport-Security"] = HSTS

    def log_refusal(self, status: int) -> None:
        scope = self._connection.scope
        client = self._access.client(self._connection)[:12]
        log.info("%s: %s %a of %s", status, scope.get("method", "WebSocket"), scope["path"][:120], client)


def _cors_headers(connection: HTTPConnection, access: Access) -> dict[str, str]:
    """Return the headers that let a page of an origin in the settings read an answer; without sessions."""
    origin = connection.headers.get("origin", "")
    listed = origin in access.cors_origins
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED} if listed else {}


def _has_shape(headers: Headers, body: bytes) -> bool:
    """Return whether an error has the shape of all errors. A page for people may be HTML instead."""
    if headers.get("content-type", "").startswith("text/html"):
        return True
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and "error" in found


def _plain_error(status: int) -> dict[str, Any]:
    """Return an error of a library, whose own text may name files of this machine."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "The request failed"
    return {"error": f"{phrase}. See /docs for the API.", "code": "http"}
