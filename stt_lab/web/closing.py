"""Close WebSockets: say what is wrong in a message, then close with the code for it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from stt_lab.errors import (
    BadInput,
    Busy,
    Forbidden,
    NoCredits,
    RateLimited,
    SttError,
    TooLarge,
    Unauthorized,
    Unavailable,
)

SEND_S = 20.0  # until a client has read a message
FULL_S = 30  # Retry-After where an error has none
IDLE, LONGEST = 4000, 4001  # close codes of ours
CODES: tuple[tuple[type[SttError], int], ...] = (
    (TooLarge, 1009),
    (Busy, 1013),
    (Unauthorized, 1008),
    (Forbidden, 1008),
    (NoCredits, 1008),
    (RateLimited, 1008),
    (BadInput, 1008),
)


class Closing(Exception):
    """The stream ends: its client gets the reason, then the close code."""

    def __init__(self, problem: SttError, code: int | None = None) -> None:
        super().__init__(str(problem))
        self.problem, self.code = problem, code or close_code(problem)


def close_code(problem: SttError) -> int:
    if type(problem) is Unavailable:  # the server or its database; engines that fail have classes of their own
        return 1012
    return next((code for kind, code in CODES if isinstance(problem, kind)), 1011)


async def refuse(socket: WebSocket, problem: SttError, code: int) -> None:
    """Say what is wrong, and close."""
    said = problem.as_dict() | {"text": ""}
    if code == 1013 or problem.retry_after is not None:
        said["retry_after"] = problem.retry_after or FULL_S
    with suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
        async with asyncio.timeout(SEND_S):
            await socket.send_text(json.dumps(said))
    await close(socket, code)


async def close(socket: WebSocket, code: int) -> None:
    if socket.application_state is WebSocketState.CONNECTED and socket.client_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            async with asyncio.timeout(SEND_S):
                await socket.close(code)
