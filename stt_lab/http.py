"""HTTP printed from the operations: routes, authorisation, uploads to disk, one shape of error, OpenAPI."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, get_args

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

import stt_lab.operations  # noqa: F401  declares the operations
from stt_lab.access import COOKIE, COOKIE_AGE_S, SIGN_IN_PATH, Access
from stt_lab.errors import BadInput, Cancelled, NotFound, SttError, TooLarge, Unauthorized
from stt_lab.registry import OPERATIONS, Caller, Context, Operation, call
from stt_lab.render import to_json
from stt_lab.runtime import Runtime
from stt_lab.settings import MB
from stt_lab.types import Event, Rendering, Transcript
from stt_lab.uploads import receive

log = logging.getLogger(__name__)
CRASHED = "Something went wrong here: send the request again; the server's log says what it was."
SDK = "stt-ai-python/"  # the official SDK parses every answer as JSON
JSON_LIMIT = 8 * MB  # of a body that is held in memory
SPARE_THREADS = 16  # beside those that wait for the device: for what answers at once
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def add_routes(app: FastAPI, runtime: Runtime, access: Access) -> None:
    """Put every operation, the sign-in address and the error handlers on an application."""
    router = APIRouter()
    service = _Service(
        runtime, access, ThreadPoolExecutor(1 + runtime.settings.queue_size + SPARE_THREADS, "operation")
    )
    for op in OPERATIONS.values():
        router.add_api_route(
            op.path,
            _endpoint(op, service),
            methods=[op.method],
            operation_id=op.name,
            summary=op.summary,
            description=op.fn.__doc__,
            response_model=None,
            openapi_extra=_openapi(op),
        )
    router.add_api_route(SIGN_IN_PATH, _sign_in(access), methods=["GET"], include_in_schema=False)
    for path in (*dict.fromkeys(op.path for op in OPERATIONS.values()), "/v1/{rest:path}", "/api/v1/{rest:path}"):
        router.add_api_route(path, _unknown, methods=METHODS, include_in_schema=False)  # else the page at "/" answers
    app.include_router(router)
    app.add_exception_handler(SttError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_crash)


@dataclass(frozen=True)
class _Service:
    """What answers requests."""

    runtime: Runtime
    access: Access
    threads: ThreadPoolExecutor  # of our own: with the event loop's few, recordings that wait would block /health


def _endpoint(op: Operation, service: _Service) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        caller = service.access.identify(request.headers.get("authorization"))
        if op.method == "GET":
            return await _answer(op, dict(request.query_params), request, caller, service)
        if not op.media:
            return await _answer(op, await _json(request), request, caller, service)
        settings = service.runtime.settings
        body, kind = _body(request, settings.max_upload_mb * MB), request.headers.get("content-type", "")
        async with receive(body, kind, settings.uploads_dir, op.media) as form:
            return await _answer(op, form, request, caller, service)

    endpoint.__name__ = op.name
    return endpoint


async def _body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TooLarge beyond `limit` bytes, at once when the header announces them."""
    declared = request.headers.get("content-length", "")
    received = 0
    too_large = TooLarge(f"The request is larger than {limit // MB} MB: send a shorter or a compressed recording.")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise too_large
        yield chunk


async def _json(request: Request) -> dict[str, Any]:
    raw = b"".join([chunk async for chunk in _body(request, JSON_LIMIT)])
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BadInput("Send a JSON object as the body, with the content type application/json.")
    return body


async def _answer(
    op: Operation, values: dict[str, Any], request: Request, caller: Caller, service: _Service
) -> Response:
    """Run an operation in a thread; a client that goes away cancels it."""
    gone = threading.Event()

    def report(event: Event) -> None:
        if gone.is_set():
            raise Cancelled("The client has gone; the work was stopped.")

    watcher = asyncio.create_task(_watch(request, gone))
    context = Context(caller, service.runtime, report)
    try:
        result = await asyncio.get_running_loop().run_in_executor(service.threads, _run, op, values, context)
    except asyncio.CancelledError:
        gone.set()
        raise
    finally:
        watcher.cancel()
    return _response(result, request)


def _run(op: Operation, values: dict[str, Any], context: Context) -> Any:
    """The result of an operation; what it did not foresee goes to the log."""
    try:
        return call(op, values, context)
    except SttError:
        raise
    except Exception:
        log.exception("%s failed", op.name)
        raise SttError(CRASHED) from None


async def _watch(request: Request, gone: threading.Event) -> None:
    """Set `gone` when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def wire(result: Any) -> Any:
    """A result as JSON."""
    return to_json(result) if isinstance(result, Transcript) else jsonable_encoder(result)


def _response(result: Any, request: Request) -> Response:
    if not isinstance(result, Rendering):
        return JSONResponse(wire(result))
    if result.media_type == "application/json":
        return Response(result.text, media_type=result.media_type)
    wants_json = "application/json" in request.headers.get("accept", "")
    if wants_json or request.headers.get("user-agent", "").startswith(SDK):
        source = to_json(result.transcript)
        return JSONResponse(
            {"text": result.text, "format": result.format, **{k: source[k] for k in ("language", "duration")}}
        )
    return Response(result.text, media_type=f"{result.media_type}; charset=utf-8")


def _sign_in(access: Access) -> Callable[[Request], Awaitable[Response]]:
    async def sign_in(request: Request) -> Response:
        if not access.signs_in(request.query_params.get("token", "")):
            raise Unauthorized(
                "This sign-in address is not valid: copy the one that the server printed when it started."
            )
        answer = RedirectResponse("/", status_code=303)  # takes the token out of the address bar
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, access.session, COOKIE_AGE_S, httponly=True, samesite="strict", secure=secure)
        return answer

    return sign_in


async def _unknown(request: Request) -> Response:
    if allowed := ", ".join(op.method for op in OPERATIONS.values() if op.path == request.url.path):
        raise HTTPException(405, f"{request.method} is not possible here: send {allowed}", {"Allow": allowed})
    raise NotFound(f"There is no {request.method} {request.url.path[:80]} here: /docs lists what there is.")


def error_response(problem: SttError) -> JSONResponse:
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after is not None else {}
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.as_dict(), problem.status, headers)


async def _on_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, SttError)
    return error_response(problem)


async def _on_http_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    advice = "" if ":" in problem.detail else ": /docs lists what there is"  # Starlette's own are bare phrases
    return JSONResponse({"error": f"{problem.detail}{advice}.", "code": "http"}, problem.status_code, problem.headers)


async def _on_disconnect(request: Request, problem: Exception) -> Response:
    return error_response(Cancelled("The client has gone."))  # nobody reads it


async def _on_crash(request: Request, problem: Exception) -> Response:
    """The answer only: Starlette raises the problem again, and uvicorn logs it."""
    return error_response(SttError(CRASHED))


def _openapi(op: Operation) -> dict[str, Any]:
    """The request and the answer of an operation, as OpenAPI has them."""
    schema = op.params.model_json_schema()
    answers: dict[str, Any] = {
        "200": {"description": "the result", "content": {"application/json": {"schema": _result_schema(op)}}}
    }
    answers |= {
        code: {"description": "an error", "content": {"application/json": {"schema": ERROR}}}
        for code in ("400", "401", "503")
    }
    if op.method == "GET":
        fields = schema["properties"].items()
        needed = schema.get("required", ())
        queries = [{"name": name, "in": "query", "required": name in needed, "schema": kind} for name, kind in fields]
        return {"parameters": queries, "responses": answers}
    for name in op.media:
        schema["properties"][name] = {"type": "string", "format": "binary", "description": op.fields[name].description}
    kind = "multipart/form-data" if op.media else "application/json"
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}, "responses": answers}


ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
}


def _result_schema(op: Operation) -> dict[str, Any]:
    result = op.signature.return_annotation
    kinds = [kind for kind in get_args(result) or (result,) if kind is not Rendering]
    if kinds == [Transcript]:
        return {"type": "object", "required": ["text", "language", "duration", "segments", "speakers"]}
    return TypeAdapter(kinds[0]).json_schema()
