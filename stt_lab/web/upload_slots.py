"""Limit the uploads that are received at once, by client and in all, so that slow ones cannot use up the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from stt_lab.errors import Busy, RateLimited, SttError

RETRY_S = 5  # Retry-After of an upload that found no place


@dataclass(frozen=True)
class SlotLimits:
    """How many uploads are received at once, and how long a further one waits for its turn."""

    per_client: int = 8
    total: int = 64
    wait_s: float = 3.0


class UploadSlots:
    """Places for uploads, for as long as their bytes arrive. Belongs to one event loop."""

    def __init__(self, limits: SlotLimits = SlotLimits()) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._freed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return self._taken.total()

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
        self._taken += Counter()  # forgets clients without uploads
        self._freed.set()
        self._freed = asyncio.Event()

    def _full(self, client: str) -> SttError | None:
        if self._taken[client] >= self._limits.per_client:
            return RateLimited(
                f"{self._limits.per_client} uploads of this address are in progress. Send the next one when one ended.",
                retry_after=RETRY_S,
            )
        if self._taken.total() >= self._limits.total:
            return Busy(
                "The server is receiving as many uploads as it can. Retry in a few seconds.", retry_after=RETRY_S
            )
        return None
