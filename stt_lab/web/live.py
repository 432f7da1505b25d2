"""Serve /v1/stream: a WebSocket that takes sound and sends text. The messages are described in docs/live.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from stt_lab.caller import Caller
from stt_lab.door.client_slots import ClientSlots, SlotLimits
from stt_lab.door.input_check import parse_json
from stt_lab.engines.admission import Gauge
from stt_lab.errors import (
    BadInput,
    Disconnected,
    SttError,
    TooLarge,
)
from stt_lab.operations.live import live_updates
from stt_lab.registry import OPERATIONS, Context, Request, authorize, prepare, steps
from stt_lab.settings import MB
from stt_lab.streaming.feed import Feed
from stt_lab.streaming.stream import Control
from stt_lab.streaming.updates import LastUpdate, Ready, Update, message
from stt_lab.types import SAMPLE_BYTES
from stt_lab.web.closing import IDLE, LONGEST, SEND_S, Closing, close, close_code, refuse
from stt_lab.web.service import CRASHED, Service

PATH = "/v1/stream"
SOCKETS = SlotLimits("open streams", 32, 256)  # also those that have not begun to stream
CONFIGURATION = ("model", "language", "store", "silence_ms")
ACTIONS = ("stop", "finalize", "keepalive")
HEARTBEAT_S = 5.0  # after the last message
LOADING_S = 1.0  # for which a model may load before the client hears of it
IDLE_S = 60.0  # without sound
FRAME = MB  # bytes of a message
MOST_ERRORS = 20  # messages that are answered with an error until the stream ends
ODD = 3  # messages with half a sample until the stream ends


@dataclass(frozen=True)
class Ended:
    """What the thread of a stream says last."""

    problem: SttError | None = None


class LiveSockets:
    """The endpoint of the WebSocket."""

    def __init__(self, service: Service) -> None:
        self._service, self._slots = service, ClientSlots(SOCKETS)

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        client = self._service.access.hashed_address(socket)
        try:
            await self._slots.take(client)
        except SttError as problem:
            return await refuse(socket, problem, 1013)
        try:
            await LiveConversation(socket, self._service).run()
        except Closing as end:
            await refuse(socket, end.problem, end.code)
        except SttError as problem:
            await refuse(socket, problem, close_code(problem))
        except (WebSocketDisconnect, TimeoutError):
            await close(socket, 1011)
        finally:
            self._slots.free(client)


class LiveConversation:
    """One WebSocket, from its key to its last message."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket, self._service = socket, service
        self._op = OPERATIONS["stream"]
        self._loop = asyncio.get_running_loop()
        self._feed, self._gauge = Feed(self._loop), Gauge()
        self._updates: asyncio.Queue[Update | Ended] = asyncio.Queue()
        self._errors = self._odd = 0
        self._by_query = False
        self._stored = False

    async def run(self) -> None:
        caller = await self._caller()
        request = await self._configured(caller)
        self._stored = bool(request.values["store"])
        context = Context(caller, self._service.installation.runtime, gate=self._service.installation.jobs)
        thread = self._service.threads.live(self._work, request, context)
        try:
            await self._converse()
        finally:
            self._feed.abort()
            await self._quiet(thread)

    # -- before sound

    async def _caller(self) -> Caller:
        caller = await self._service.thread(self._service.access.identify, self._socket)
        authorize(self._op, caller)
        return caller

    async def _configured(self, caller: Caller) -> Request:
        """Return the checked configuration: that of the address, else the first message that is one."""
        asked = {name: self._socket.query_params[name] for name in CONFIGURATION if name in self._socket.query_params}
        self._by_query = bool(asked)
        while True:
            try:
                values = asked or await self._first_message()
                unknown = [name for name in values if name not in CONFIGURATION]
                if unknown:
                    raise BadInput(f"Unknown parameter '{unknown[0][:80]}'. A stream takes {', '.join(CONFIGURATION)}.")
                context = Context(caller, self._service.installation.runtime)
                return await self._service.thread(prepare, self._op, {"file": Path(PATH)} | values, context)
            except BadInput as problem:
                if self._by_query:
                    raise
                await self._complain(problem)

    async def _first_message(self) -> dict[str, Any]:
        while True:
            received = await self._receive(IDLE_S)
            if isinstance(received, bytes):
                raise BadInput('This is sound. First send the configuration, such as {"language": "en"}.')
            values = _object(received)
            action = values.pop("action", None)
            if action == "stop":
                raise Closing(BadInput("The stream was stopped before it began."), 1000)
            if action is None:
                return values

    # -- the thread of the stream

    def _work(self, request: Request, context: Context) -> None:
        """Run the stream, and pass its updates to the event loop."""
        try:
            for update in self._service.installation.jobs.stream(
                request, context, lambda one: self._heard(one, request)
            ):
                self._tell(update)
            self._tell(Ended())
        except SttError as problem:
            self._tell(Ended(problem))
        except BaseException:
            self._tell(Ended(SttError(CRASHED)))
            raise

    def _heard(self, context: Context, request: Request) -> Iterator[Update]:
        context = replace(context, plan=request.plan)
        return steps(context, live_updates(self._feed, request.values["silence_ms"], gauge=self._gauge))

    def _tell(self, update: Update | Ended) -> None:
        with suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(self._updates.put_nowait, update)

    async def _quiet(self, thread: Future[None]) -> None:
        """Wait until the thread has ended, also if this task is cancelled meanwhile."""
        with suppress(Exception):
            await asyncio.shield(asyncio.wrap_future(thread))

    # -- both directions

    async def _converse(self) -> None:
        receiver = asyncio.create_task(self._receive_all())
        sender = asyncio.create_task(self._send_all())
        try:
            await asyncio.wait({receiver, sender}, return_when=asyncio.FIRST_COMPLETED)
            end: Closing | None = None
            if not sender.done():
                end = receiver.result()
                self._feed.end()
            problem = await sender
            if problem is not None:
                raise Closing(problem)
            if end is not None:
                raise end
            await close(self._socket, 1000)
        except (WebSocketDisconnect, TimeoutError):
            if self._stored:
                self._feed.end()  # what was heard becomes final, and goes to the library
                await self._drain()
            raise
        finally:
            for task in (receiver, sender):
                task.cancel()
            await asyncio.gather(receiver, sender, return_exceptions=True)

    async def _drain(self) -> None:
        """Wait for the end of the stream while nobody reads what it says."""
        while not isinstance(await self._updates.get(), Ended):
            pass

    async def _receive_all(self) -> Closing | None:
        """Take messages until the client stops; return why the stream ends if it is another reason."""
        heard = began = self._loop.time()
        longest = self._service.installation.settings.max_stream_hours * 3600
        while True:
            now = self._loop.time()
            left = min(IDLE_S - (now - heard), longest - (now - began))
            if now - began >= longest:
                return Closing(TooLarge(f"A stream may last {longest / 3600:g} hours. Begin a new one."), LONGEST)
            if left <= 0:
                return Closing(
                    BadInput(
                        f"No sound came for {IDLE_S:.0f} s. Begin a new stream, or send "
                        '{"action": "keepalive"} during pauses.'
                    ),
                    IDLE,
                )
            try:
                received = await self._receive(left)
            except TimeoutError:
                continue
            try:
                if isinstance(received, bytes):
                    if not received:
                        return None
                    await self._take(received)
                    heard = self._loop.time()
                elif await self._act(received):
                    return None
                else:
                    heard = self._loop.time()
            except BadInput as problem:
                await self._complain(problem)
            except Closing as end:
                return end

    async def _take(self, sound: bytes) -> None:
        if len(sound) % SAMPLE_BYTES:
            self._odd += 1
            problem = BadInput(
                "This message ends with half a sample. Send 16-bit PCM: 16 kHz, mono, an even number of bytes."
            )
            raise Closing(problem, 1003) if self._odd >= ODD else problem
        await self._feed.put(sound)

    async def _act(self, text: str) -> bool:
        """Do what a message asks for. Return whether it is to stop."""
        action = _object(text).get("action")
        if action not in ACTIONS:
            raise BadInput(f"This message has no known action. Send {_list(ACTIONS)}, or sound as binary messages.")
        if action == "finalize":
            await self._feed.put(Control.FINALIZE)
        return bool(action == "stop")

    async def _receive(self, timeout_s: float) -> bytes | str:
        """Return the next message. Raises WebSocketDisconnect, TimeoutError, or Closing if it is too large."""
        async with asyncio.timeout(timeout_s):
            received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        content: bytes | str = received["bytes"] if received.get("bytes") is not None else received["text"]
        if len(content) > FRAME:
            raise Closing(TooLarge("This message is larger than 1 MiB. Send sound in smaller pieces."))
        return content

    async def _complain(self, problem: BadInput) -> None:
        """Answer a wrong message; the stream goes on."""
        self._errors += 1
        if self._errors > MOST_ERRORS:
            raise Closing(problem, 1003)
        await self._send(problem.as_dict() | {"text": ""})

    async def _send_all(self) -> SttError | None:
        """Send updates until the stream has ended. Return its error."""
        ready, whole = False, LOADING_S
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S if ready else whole):
                    update = await self._updates.get()
            except TimeoutError:
                await self._send(self._alive() if ready else {"status": "loading", "text": ""})
                whole = HEARTBEAT_S
                continue
            if isinstance(update, Ended):
                return update.problem
            ready = ready or isinstance(update, Ready)
            if update.text or update.words or self._updates.empty() or isinstance(update, Ready | LastUpdate):
                await self._send(self._wire(update))

    def _wire(self, update: Update) -> dict[str, Any]:
        made = message(update)
        if isinstance(update, LastUpdate) and self._by_query:
            made["text"] = made.get("transcript", "")  # the SDK's `finish()` returns this message only
        return made

    def _alive(self) -> dict[str, Any]:
        gauge = self._gauge
        rtf = round(gauge.worked / gauge.heard, 3) if gauge.heard else 0.0
        lag = round(max(0.0, self._feed.received - gauge.heard), 2)
        return {"text": "", "status": "alive", "lag": lag, "rtf": rtf}

    async def _send(self, values: Mapping[str, Any]) -> None:
        """Send a message. Raises TimeoutError if the client does not read, WebSocketDisconnect if it has gone."""
        async with asyncio.timeout(SEND_S):
            try:
                await self._socket.send_text(json.dumps(values, ensure_ascii=False))
            except (Disconnected, RuntimeError):
                raise WebSocketDisconnect from None


def _object(text: bytes | str) -> dict[str, Any]:
    try:
        values = parse_json(text.encode() if isinstance(text, str) else text)
    except (SttError, UnicodeEncodeError):
        values = None
    if not isinstance(values, dict):
        raise BadInput('This message is not a JSON object. Send one such as {"action": "stop"}.')
    return values


def _list(names: tuple[str, ...]) -> str:
    return " or ".join(json.dumps({"action": name}) for name in names)
