"""Limit what is in progress at once, by client and in all, so that slow clients cannot use up the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stt_lab.errors import Busy, RateLimited, SttError

RETRY_S = 5  # Retry-After of a request that found no place


@dataclass(frozen=True)
class SlotLimits:
    """How many of a kind are in progress at once, and how long a further one waits for its turn."""

    kind: str  # for people, in the plural
    per_client: int
    total: int
    wait_s: float = 0.0


UPLOADS = SlotLimits("uploads", 8, 64, wait_s=3.0)  # while their bytes arrive
PAGES = SlotLimits("open pages", 64, 256)  # Gradio looks at each 20 times a second


class ClientSlots:
    """Places for requests of one kind. Belongs to one event loop."""

    def __init__(self, limits: SlotLimits) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._freed = asyncio.Event()

    async def take(self, client: str) -> None:
        """Take a place, and wait for one if need be. Raises RateLimited or Busy."""
        deadline = asyncio.get_running_loop().time() + self._limits.wait_s
        while problem := self._full(client):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._freed.wait()
            except TimeoutError:
                raise problem from None
            await asyncio.sleep(0)  # those who wait go one after the other
        self._taken[client] += 1

    def free(self, client: str) -> None:
        self._taken[client] -= 1
        self._taken += Counter()  # forgets clients without any
        self._freed.set()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def held(self, client: str) -> AsyncIterator[None]:
        """Hold a place within the block. Raises RateLimited or Busy."""
        await self.take(client)
        try:
            yield
        finally:
            self.free(client)

    def _full(self, client: str) -> SttError | None:
        kind = self._limits.kind
        if self._taken[client] >= self._limits.per_client:
            return RateLimited(
                f"This address has {self._limits.per_client} {kind}, and may have no more. Retry when one has ended.",
                retry_after=RETRY_S,
            )
        if self._taken.total() >= self._limits.total:
            return Busy(f"The server has as many {kind} as it can serve. Retry in a few seconds.", retry_after=RETRY_S)
        return None
