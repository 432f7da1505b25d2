"""What every HTTP route shares: who asks, the body to disk or memory, an operation in a thread, one shape of error."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse

from stt_lab.accounts.access import Access
from stt_lab.caller import Caller
from stt_lab.errors import BadInput, Cancelled, SttError, TooLarge, Unauthorized
from stt_lab.installation import Installation
from stt_lab.registry import Context, Permit
from stt_lab.settings import MB
from stt_lab.types import Event
from stt_lab.web.uploads import Form, receive

log = logging.getLogger(__name__)
CRASHED = "Something went wrong here: send the request again; the server's log says what it was."
JSON_LIMIT = 8 * MB  # of a body that is held in memory
DEVICES = 64  # of a cluster, whose recordings are waited for; threads are made when they are needed
SPARE_THREADS = 16  # beside those that wait for a device: for what answers at once

T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """What answers requests."""

    installation: Installation
    threads: ThreadPoolExecutor  # of our own: with the event loop's few, recordings that wait would block /health

    @property
    def access(self) -> Access:
        return self.installation.access

    async def thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of what may block; what nobody foresaw goes to the log."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, _logged, work, *arguments)

    async def caller(self, request: Request) -> Caller:
        """Identify the caller. Raises Unauthorized for a wrong key, Forbidden for a session used by another site."""
        return await self.thread(self.access.identify, request)

    @asynccontextmanager
    async def upload(self, request: Request, caller: Caller, files: tuple[str, ...]) -> AsyncIterator[Form]:
        """A multipart body on disk, within what the caller's tier allows; gone after the block."""
        limit = await self.thread(self.access.upload_limit, caller)
        kind = request.headers.get("content-type", "")
        async with receive(body(request, limit), kind, self.installation.runtime.uploads_dir, files) as form:
            yield form

    async def run(
        self,
        permit: Permit,
        values: dict[str, Any],
        request: Request,
        filename: str = "",
        make: Callable[[Any, Mapping[str, Any]], Any] | None = None,
    ) -> Any:
        """Run an operation in a thread; `make` presents its result in the place of its own presentation.

        When the client goes away, `report` raises Cancelled: the gate decides what that means for the work.
        """
        gone = threading.Event()

        def report(event: Event) -> None:
            if gone.is_set():
                raise Cancelled("The client has gone; the work was stopped.")

        context = Context(
            permit.caller,
            self.installation.runtime,
            report,
            self.installation.jobs,
            idempotency_key=idempotency_key(request),
            filename=filename,
        )
        watcher = asyncio.create_task(_watch(request, gone))
        try:
            return await self.thread(permit.call, values, context, make)
        except asyncio.CancelledError:
            gone.set()
            raise
        finally:
            watcher.cancel()

    async def limits(self, caller: Caller) -> dict[str, str]:
        """The headers that say what is left of the caller's quota; none where nothing is limited."""
        limits = await self.thread(self.installation.runtime.accounts.limits, caller.account_id, caller.client)
        if limits is None:
            return {}
        known = {"Limit": limits.limit, "Remaining": limits.remaining, "Reset": limits.reset}
        return {f"X-RateLimit-{name}": str(value) for name, value in known.items() if value is not None}


def _logged(work: Callable[..., T], *arguments: Any) -> T:
    try:
        return work(*arguments)
    except SttError:
        raise
    except Exception:
        log.exception("a request failed")
        raise SttError(CRASHED) from None


async def _watch(request: Request, gone: threading.Event) -> None:
    """Set `gone` when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def idempotency_key(request: Request) -> str | None:
    """The header of a POST, which the gate checks."""
    return request.headers.get("idempotency-key") if request.method == "POST" else None


async def body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises TooLarge beyond `limit` bytes, at once when the header announces them."""
    declared = request.headers.get("content-length", "")
    received = 0
    too_large = TooLarge(f"The request is larger than {limit // MB} MB: send a shorter recording, or a text in parts.")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise too_large
        yield chunk


async def json_body(request: Request) -> dict[str, Any]:
    raw = b"".join([chunk async for chunk in body(request, JSON_LIMIT)])
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise BadInput("Send a JSON object as the body, with the content type application/json.")
    return values


def error_response(problem: SttError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one shape of an error."""
    made = dict(headers or {})
    if problem.retry_after is not None:
        made["Retry-After"] = str(problem.retry_after)
    if isinstance(problem, Unauthorized):
        made["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.as_dict(), problem.status, made)
