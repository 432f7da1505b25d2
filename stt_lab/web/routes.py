"""Serve the operations over HTTP: routes, answers, and the progress of jobs as events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp

import stt_lab.operations  # noqa: F401  declares the operations
from stt_lab.caller import Caller
from stt_lab.errors import BadInput, Disconnected, NotFound, SttError
from stt_lab.installation import Installation
from stt_lab.presentation import JSON, body, to_json
from stt_lab.registry import OPERATIONS, Context, Operation, authorize, call
from stt_lab.streaming.updates import Update, message
from stt_lab.types import File, JobInfo
from stt_lab.web import live, openai, openapi, sign_in
from stt_lab.web.downloads import MadeWhileSent, download
from stt_lab.web.security import SecurityMiddleware
from stt_lab.web.service import CRASHED, DEVICES, TEXTS, Service, Threads, error_response, json_body

SDK = "stt-ai-python/"  # the official SDK parses every answer as JSON
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
EVENTS_PATH = "/v1/jobs/{id}/events"
EVENTS_S = 0.5  # seconds between two looks at a job whose events a client follows
QUIET_S = 15.0  # seconds without an event until a comment keeps the connection open
Endpoint = Callable[[Request], Awaitable[Response]]


def add_routes(app: FastAPI, installation: Installation) -> None:
    """Add routes for all operations, OpenAI's API, events and sign-in to an application, and its error handlers."""
    service = Service(installation, Threads(DEVICES + installation.settings.queue_size + TEXTS))
    health = replace(service, quick="health")  # answers whatever else waits
    router = app.router
    for op in OPERATIONS.values():
        endpoint = _lines(op, service) if op.live else _endpoint(op, health if op.name == "health" else service)
        _add(router, op, endpoint, openapi.describe(op))
    for op in openai.ROUTES:
        _add(router, op, _openai(op, service), openapi.describe(op, openai.answers(op)))
    job = OPERATIONS["job"]
    _add(router, job, _events(service), openapi.describe(job, openapi.EVENTS), EVENTS_PATH, "job_events")
    sockets = live.LiveSockets(service)
    router.add_websocket_route(live.PATH, sockets.serve)
    router.add_websocket_route(f"{live.PATH}/", sockets.serve)
    sign_in.add_routes(router, service)
    _add_refusals(router)
    app.openapi = _document(app)  # type: ignore[method-assign]
    app.build_middleware_stack = _secured(app, installation)  # type: ignore[method-assign]
    app.add_exception_handler(SttError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_crash)


def _secured(app: FastAPI, installation: Installation) -> Callable[[], ASGIApp]:
    """Put the security middleware around all others; `add_middleware` would put it inside of the error handler."""
    plain = app.build_middleware_stack
    return lambda: SecurityMiddleware(plain(), installation.access)


def _add(
    router: APIRouter, op: Operation, endpoint: Endpoint, described: dict[str, Any], path: str = "", name: str = ""
) -> None:
    """Add a route that answers with and without a trailing slash."""
    path = path or op.path
    twin = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    names: dict[str, Any] = {"operation_id": name or op.name, "summary": op.summary, "description": op.description}
    plain: dict[str, Any] = {"methods": [op.method], "response_model": None}
    router.add_api_route(path, endpoint, openapi_extra=described, **plain, **names)
    router.add_api_route(twin, endpoint, include_in_schema=False, **plain)


def _add_refusals(router: APIRouter) -> None:
    """Answer unknown paths and methods in JSON; otherwise the page mounted at "/" would answer them."""
    allowed: dict[str, set[str]] = {}
    for route in router.routes:
        if isinstance(route, APIRoute):
            allowed.setdefault(route.path, set()).update(route.methods or ())
    for path, methods in allowed.items():
        router.add_api_route(path, _not_allowed(methods), methods=METHODS, include_in_schema=False)
    for path in ("/v1/{rest:path}", "/api/v1/{rest:path}"):
        router.add_api_route(path, _unknown, methods=METHODS, include_in_schema=False)


# Operations


def _endpoint(op: Operation, service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        caller = await service.caller(request)
        try:
            permit = authorize(op, caller)  # before the body is read
            async with _values(op, request, caller, service) as (values, filename):
                result = await service.run(permit, values, request, filename)
            answer = await _answer(op, result, request, service)
        except SttError as problem:
            answer = error_response(problem)
        if op.charge:
            answer.headers.update(await service.limits(caller))
        return answer

    return endpoint


@asynccontextmanager
async def _values(
    op: Operation, request: Request, caller: Caller, service: Service
) -> AsyncIterator[tuple[dict[str, Any], str]]:
    """Read parameters from the URL and the body, and the client's name of its file."""
    if op.file_params:
        async with service.upload(request, caller, op) as form:
            yield _placed(op, form, request), form.filename
    else:
        loose = op.method in ("GET", "DELETE")
        yield _placed(op, _query(request) if loose else await json_body(request, op.bare), request), ""


def _query(request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise BadInput(f"The parameter '{name[:80]}' was sent twice. Send it once.")
        values[name] = value
    return values


def _placed(op: Operation, values: dict[str, Any], request: Request) -> dict[str, Any]:
    if twice := values.keys() & set(op.path_params):
        raise BadInput(f"The parameter '{twice.pop()}' is part of the URL. Remove it from the query or the body.")
    return values | request.path_params


async def _answer(op: Operation, result: Any, request: Request, service: Service) -> Response:
    if op.streamed:
        return MadeWhileSent(result, service.threads.run)
    return await service.thread(_response, op, result, request)


def _response(op: Operation, result: Any, request: Request) -> Response:
    if isinstance(result, File):
        return download(result)
    made = body(result)
    if made.media_type == JSON:
        return JSONResponse(made.content, 202 if op.job and isinstance(result, JobInfo) else 200)
    wants_json = JSON in request.headers.get("accept", "") or request.headers.get("user-agent", "").startswith(SDK)
    if wants_json and made.in_json is not None:
        return JSONResponse(made.in_json)
    return Response(made.content, media_type=f"{made.media_type}; charset=utf-8")


# Live operations on files


def _lines(op: Operation, service: Service) -> Endpoint:
    """Make the endpoint of a live operation: a line of JSON for each update."""

    async def endpoint(request: Request) -> Response:
        caller = await service.caller(request)
        permit = authorize(op, caller)
        async with AsyncExitStack() as stack:
            values, filename = await stack.enter_async_context(_values(op, request, caller, service))
            updates: Generator[Update] = await service.run(permit, values, request, filename)
            first = await service.threads.run("work", next, updates)  # errors that come before any text
            held = stack.pop_all()
        return StreamingResponse(_written(first, updates, held, service), media_type="application/x-ndjson")

    return endpoint


async def _written(
    first: Update, updates: Generator[Update], held: AsyncExitStack, service: Service
) -> AsyncIterator[str]:
    """Write updates as lines, each computed in a thread; end the stream when the client has gone."""
    update: Update | None = first
    async with held:
        try:
            while update is not None:
                yield json.dumps(message(update), ensure_ascii=False) + "\n"
                update = await service.threads.run("work", next, updates, None)
        except SttError as problem:
            yield json.dumps(problem.as_dict() | {"text": ""}) + "\n"
        finally:
            await asyncio.shield(service.threads.run("work", updates.close))


# OpenAI's API


def _openai(route: Operation, service: Service) -> Endpoint:
    """Make the endpoint of an OpenAI route, which runs the operation of its `openai.worker`."""
    op = openai.worker(route)

    async def endpoint(request: Request) -> Response:
        answer: Response
        headers: dict[str, str] = {}
        try:
            caller = await service.caller(request)
            permit = authorize(op, caller)
            async with _values(route, request, caller, service) as (sent, filename):
                asked = openai.read(route, sent)
                result = await service.run(permit, asked.values, request, filename, asked.present)
            answer = await _answer(op, result, request, service)
            headers = await service.limits(caller) if op.charge else {}
        except SttError as problem:
            answer = _openai_error(problem, request)
        answer.headers.update(headers)
        return answer

    return endpoint


def _openai_error(problem: SttError, request: Request) -> Response:
    answer = error_response(problem)
    if not openai.is_openai_client(request.headers.get("user-agent", "")):
        return answer
    del answer.headers["content-length"]
    return JSONResponse(openai.error_body(problem), problem.status, dict(answer.headers))


# Progress as events


def _events(service: Service) -> Endpoint:
    """Make the endpoint that sends a job as a server-sent event each time it changes, until it ends."""
    op = OPERATIONS["job"]

    async def look(request: Request) -> JobInfo:
        caller = await service.caller(request)  # on each look, so that a revoked key sees nothing further
        context = Context(caller, service.installation.runtime, gate=service.installation.jobs)
        info: JobInfo = await service.thread(call, op, dict(request.path_params), context)
        return info

    async def events(request: Request) -> Response:
        if request.query_params:
            raise BadInput("Events take no parameters. Remove the query string.")
        first = await look(request)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # X-Accel-Buffering is for nginx
        return StreamingResponse(_followed(first, lambda: look(request)), 200, headers, "text/event-stream")

    return events


async def _followed(info: JobInfo, look: Callable[[], Awaitable[JobInfo]]) -> AsyncIterator[str]:
    quiet = 0.0
    yield _event(info)
    while info.status in ("queued", "running"):
        await asyncio.sleep(EVENTS_S)
        before, quiet = info, quiet + EVENTS_S
        try:
            info = await look()
        except SttError as problem:
            yield f"event: error\ndata: {json.dumps(problem.as_dict())}\n\n"
            return
        if info != before or quiet >= QUIET_S:
            quiet = 0.0
            yield _event(info) if info != before else ": still here\n\n"


def _event(info: JobInfo) -> str:
    return f"event: {info.status}\ndata: {json.dumps(to_json(info))}\n\n"


# Errors, and the description


def _not_allowed(methods: set[str]) -> Endpoint:
    async def refuse(request: Request) -> Response:
        allowed = ", ".join(sorted(methods))
        raise HTTPException(405, f"{request.method} is not allowed here. Use {allowed}", {"Allow": allowed})

    return refuse


async def _unknown(request: Request) -> Response:
    raise NotFound(f"{request.method} {request.url.path[:80]} was not found. See /docs for the API.")


async def _on_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, SttError)
    return error_response(problem)


async def _on_http_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    advice = "" if ". " in problem.detail else " See /docs for the API."  # Starlette's own details are bare phrases
    return JSONResponse({"error": f"{problem.detail}.{advice}", "code": "http"}, problem.status_code, problem.headers)


async def _on_disconnect(request: Request, problem: Exception) -> Response:
    return error_response(Disconnected("The client disconnected."))  # never received


async def _on_crash(request: Request, problem: Exception) -> Response:
    """Answer an unforeseen error. Starlette raises it again, and uvicorn logs it."""
    return error_response(SttError(CRASHED))


def _document(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Add the schemas and security schemes that the routes refer to, to FastAPI's document."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        made = plain()
        parts = made.setdefault("components", {})
        parts["schemas"] = openapi.components([*OPERATIONS.values(), *openai.ROUTES])
        parts["securitySchemes"] = openapi.SECURITY
        return made

    return document
