"""HTTP printed from the operations: routes, authorisation, uploads to disk, one shape of error, OpenAPI."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, get_args

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from stt_lab.access import COOKIE, COOKIE_AGE_S, SIGN_IN_PATH, Access
from stt_lab.errors import BadInput, Cancelled, NotFound, SttError, Unauthorized
from stt_lab.registry import OPERATIONS, Caller, Context, Operation, call
from stt_lab.render import to_json
from stt_lab.runtime import Runtime
from stt_lab.settings import MB
from stt_lab.types import Event, Rendering, Transcript
from stt_lab.uploads import receive

log = logging.getLogger(__name__)
SDK = "stt-ai-python/"  # the official SDK parses every answer as JSON


def add_routes(app: FastAPI, runtime: Runtime, access: Access) -> None:
    """Put every operation, the sign-in address and the error handlers on an application."""
    router = APIRouter()
    for op in OPERATIONS.values():
        router.add_api_route(
            op.path,
            _endpoint(op, runtime, access),
            methods=[op.method],
            operation_id=op.name,
            summary=op.summary,
            description=op.fn.__doc__,
            response_model=None,
            openapi_extra=_openapi(op),
        )
    router.add_api_route(SIGN_IN_PATH, _sign_in(access), methods=["GET"], include_in_schema=False)
    for prefix in ("/v1", "/api/v1"):  # else the page at "/" would answer these with HTML
        router.add_api_route(
            prefix + "/{rest:path}", _unknown, methods=["GET", "POST", "DELETE"], include_in_schema=False
        )
    app.include_router(router)
    app.add_exception_handler(SttError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_crash)


def _endpoint(op: Operation, runtime: Runtime, access: Access) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        caller = access.identify(request.headers.get("authorization"))
        if op.method == "GET":
            return await _answer(op, dict(request.query_params), request, caller, runtime)
        if op.media:
            folder, limit = runtime.settings.uploads_dir, runtime.settings.max_upload_mb * MB
            kind = request.headers.get("content-type", "")
            async with receive(request.stream(), kind, folder, limit, op.media) as form:
                return await _answer(op, form, request, caller, runtime)
        return await _answer(op, await _json(request), request, caller, runtime)

    endpoint.__name__ = op.name
    return endpoint


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BadInput("Send a JSON object as the body, with the content type application/json.")
    return body


async def _answer(
    op: Operation, values: dict[str, Any], request: Request, caller: Caller, runtime: Runtime
) -> Response:
    """Run an operation in a thread; a client that goes away cancels it."""
    gone = threading.Event()

    def report(event: Event) -> None:
        if gone.is_set():
            raise Cancelled("The client has gone; the work was stopped.")

    watcher = asyncio.create_task(_watch(request, gone))
    try:
        result = await asyncio.to_thread(call, op, values, Context(caller, runtime, report))
    except asyncio.CancelledError:
        gone.set()
        raise
    finally:
        watcher.cancel()
    return _response(result, request)


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
    return PlainTextResponse(result.text, media_type=result.media_type)


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
    message = f"{problem.detail}: /docs lists what there is." if problem.status_code == 404 else str(problem.detail)
    return JSONResponse({"error": message, "code": "http"}, problem.status_code, problem.headers)


async def _on_crash(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, ClientDisconnect):
        log.exception("%s %s failed", request.method, request.url.path, exc_info=problem)
    return error_response(
        SttError("Something went wrong here: send the request again; the server's log says what it was.")
    )


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
        return {"responses": answers}
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
