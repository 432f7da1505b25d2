"""Keep Gradio's page and configuration, which are the same for all callers and take 25 ms of the processor each."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/", "/config", "/config/")
DECIDING = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server", "accept-encoding")  # in the answer
MOST = 16  # answers; the one that was used longest ago goes first
LONGEST = 500  # characters of all deciding headers; longer ones are not kept

Key = tuple[str, ...]


class KeptPages:
    """ASGI middleware that answers with an earlier answer to the same request. Cookies and keys do not matter to it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: OrderedDict[Key, list[Message]] = OrderedDict()
        self._making = asyncio.Lock()  # pages are made one after the other, so that other requests get their turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if key is None:
            return await self.app(scope, receive, send)
        if key not in self._kept:
            async with self._making:
                if key not in self._kept:
                    await self._make(key, scope, receive)
        self._kept.move_to_end(key)
        messages = self._kept[key]
        if messages[0]["status"] != 200:
            del self._kept[key]
        for message in messages:
            await send(dict(message) | ({"headers": list(message["headers"])} if "headers" in message else {}))

    async def _make(self, key: Key, scope: Scope, receive: Receive) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        self._kept[key] = messages
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)


def _key(scope: Scope) -> Key | None:
    """Return what an answer depends on; None where it is not kept."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if scope["method"] != "GET" or path not in PATHS or scope.get("query_string"):
        return None
    headers = Headers(scope=scope)
    deciding = [value for name in DECIDING for value in (name, *headers.getlist(name))]
    if sum(map(len, deciding)) > LONGEST:
        return None
    return path, scope.get("root_path", ""), scope.get("scheme", ""), *map(str, scope.get("server") or ()), *deciding
