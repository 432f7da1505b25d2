"""Steps that HTTP routes share: identify the caller, read the body, run an operation in a thread, answer errors."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse

from stt_lab.accounts.access import Access
from stt_lab.caller import Caller
from stt_lab.door.input_check import parse_json
from stt_lab.door.uploads import Upload
from stt_lab.errors import BadInput, Busy, Disconnected, RateLimited, SttError, TooLarge, Unauthorized
from stt_lab.installation import Installation
from stt_lab.registry import Context, Operation, Permit
from stt_lab.settings import MB
from stt_lab.slots import Waiting
from stt_lab.types import Event
from stt_lab.web.uploads import Form, receive

log = logging.getLogger(__name__)
CRASHED = "Something went wrong in the server. Send the request again; the server's log has the details."
JSON_LIMIT = 8 * MB  # largest JSON body, which is held in memory
DEVICES = 64  # most devices of a cluster; each may have a request that waits. Threads start when needed
TEXTS = 48  # threads for other work, mostly on texts
QUICK = 16  # threads for reads, and as many for short writes
LIVE = 72  # threads of live streams, one each; more than engines.admission admits
SHARE = 0.5  # of the threads for work, for one caller

RETRY_S = 10

T = TypeVar("T")
Owner = tuple[int, str]  # account, and client of an anonymous caller


class Threads:
    """The threads that serve requests: for reads, short writes, and work, so that none waits for another kind.

    The threads for work have no queue: further requests are refused, and so are those of a caller who has half of them.
    """

    def __init__(self, work: int) -> None:
        self._pools = {kind: ThreadPoolExecutor(QUICK, f"web-{kind}") for kind in ("read", "write")}
        self._pools["work"] = ThreadPoolExecutor(work, "web-work")
        self._pools["health"] = ThreadPoolExecutor(2, "web-health")
        self._pools["live"] = ThreadPoolExecutor(LIVE, "web-live")
        self._places, self._busy = work, Counter[Owner]()  # used in the event loop only
        self._texts = Counter[Owner]()  # of these, the ones on texts

    async def run(self, kind: str, work: Callable[..., T], *arguments: Any) -> T:
        """Run blocking work in a thread and return its result. Unforeseen errors go to the log."""
        return await asyncio.get_running_loop().run_in_executor(self._pools[kind], _logged, work, *arguments)

    def live(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Run a live stream in a thread of its own."""
        return self._pools["live"].submit(_logged, work, *arguments)

    async def work(self, caller: Caller, texts: Waiting | None, work: Callable[..., T], *arguments: Any) -> T:
        """Run work that takes long; `texts` limits how much of a kind is in progress.

        Raises Busy or RateLimited if no thread is left for it.
        """
        owner = caller.account_id, caller.client if caller.anonymous else ""
        if texts and (self._texts[owner] >= texts.each or self._texts.total() >= texts.all):
            raise texts.refusal(self._texts[owner], self._texts.total())
        if self._busy.total() >= self._places:
            raise Busy("This server is busy with other requests. Try again later.", retry_after=RETRY_S)
        if self._busy[owner] >= self._places * SHARE:
            raise RateLimited(
                "Too many of your requests are in progress. Retry when some have ended.", retry_after=RETRY_S
            )
        self._busy[owner] += 1
        self._texts[owner] += texts is not None
        loop, future = asyncio.get_running_loop(), self._pools["work"].submit(_logged, work, *arguments)
        ended = partial(loop.call_soon_threadsafe, self._ended, owner, texts is not None)
        future.add_done_callback(lambda _: ended())  # also where nobody waits now
        return await asyncio.wrap_future(future)

    def _ended(self, owner: Owner, text: bool) -> None:
        self._busy[owner] -= 1
        self._texts[owner] -= text
        self._busy, self._texts = +self._busy, +self._texts  # forgets callers without work


@dataclass(frozen=True)
class Service:
    """An installation as HTTP serves it."""

    installation: Installation
    threads: Threads  # the event loop's default pool is small: waiting recordings would block /health
    quick: str = "read"  # kind of the threads for all but operations

    @property
    def access(self) -> Access:
        return self.installation.access

    async def thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run short blocking work in a thread and return its result. Unforeseen errors go to the log."""
        return await self.threads.run(self.quick, work, *arguments)

    async def caller(self, request: HTTPConnection) -> Caller:
        """Identify the caller. Raises Unauthorized for a wrong key, Forbidden if another site uses the session."""
        return await self.thread(self.access.identify, request)

    @asynccontextmanager
    async def upload(self, request: Request, caller: Caller, op: Operation) -> AsyncIterator[Form]:
        """Receive the form of an operation, its files on disk, within the limit of the caller's tier.

        Optional fields that are empty count as not sent. The files are deleted after the block.
        """
        limit = await self.thread(self.access.upload_limit, caller)
        kind = request.headers.get("content-type", "")
        runtime = self.installation.runtime
        upload = await self.thread(runtime.uploads.enter, caller, limit)
        try:
            chunks = _counted(body(request, limit), upload)
            async with receive(chunks, kind, runtime.uploads_dir, op.file_params, op.list_params) as form:
                upload.end()  # from here on, the places of the queue are the limit
                for name in [name for name, value in form.items() if value in ("", []) and op.is_optional(name)]:
                    del form[name]
                yield form
        finally:
            upload.end()

    async def run(
        self,
        permit: Permit,
        values: dict[str, Any],
        request: Request,
        filename: str = "",
        make: Callable[[Any, Mapping[str, Any]], Any] | None = None,
    ) -> Any:
        """Run an operation in a thread. `make` presents its result instead of the operation's own presentation.

        When the client disconnects, `report` raises Disconnected; the gate decides whether the work goes on.
        """
        gone = threading.Event()

        def report(event: Event) -> None:
            if gone.is_set():
                raise Disconnected("The client disconnected. The work was stopped.")

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
            kind = permit.op.threads
            if kind == "work":
                texts = self.installation.runtime.pool.texts_at_once if permit.op.scope == "text" else None
                return await self.threads.work(permit.caller, texts, permit.call, values, context, make)
            return await self.threads.run(kind if kind == "write" else self.quick, permit.call, values, context, make)
        except asyncio.CancelledError:
            gone.set()
            raise
        finally:
            watcher.cancel()

    async def limits(self, caller: Caller) -> dict[str, str]:
        """Return the headers with the caller's quota; none without a quota."""
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
    """Set `gone` when the client closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key of a POST; the gate checks it."""
    return request.headers.get("idempotency-key") if request.method == "POST" else None


async def body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the body as it arrives. Raises TooLarge beyond `limit` bytes, at once if Content-Length exceeds it."""
    declared = request.headers.get("content-length", "")
    received = 0
    too_large = TooLarge(f"The request is larger than {limit // MB} MB. Send a shorter recording, or split the text.")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise too_large
        yield chunk


async def _counted(chunks: AsyncIterator[bytes], upload: Upload) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        upload.grow(len(chunk))
        yield chunk


async def json_body(request: Request, optional: bool = False) -> dict[str, Any]:
    """Return the JSON object of a body; {} for an empty one if it is `optional`."""
    sent = b"".join([chunk async for chunk in body(request, JSON_LIMIT)])
    if not sent and optional:
        return {}
    values = parse_json(sent)
    if not isinstance(values, dict):
        raise BadInput("The body is not a JSON object. Send one with the content type application/json.")
    return values


def error_response(problem: SttError, headers: dict[str, str] | None = None) -> JSONResponse:
    """Answer an error in the format that all errors share."""
    made = dict(headers or {})
    if problem.retry_after is not None:
        made["Retry-After"] = str(problem.retry_after)
    if isinstance(problem, Unauthorized):
        made["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.as_dict(), problem.status, made)
