"""Pass sound from an event loop to the thread that works on it, with a bound for what waits."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stt_lab.errors import Disconnected
from stt_lab.streaming.stream import Control
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.types import Samples

HELD_S = 5.0  # seconds of sound that may wait; a client that is faster is slowed down
WAKE_S = 0.5  # without sound, so that a stream notices that its server stops


class Feed:
    """The sound of one stream, in order. `put` belongs to the event loop, iteration to one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._space = loop, asyncio.Event()
        self._change = threading.Condition()
        self._waiting: deque[bytes | Control] = deque()
        self._held = 0  # bytes that wait
        self._ended = self._aborted = False
        self.received = 0.0  # seconds

    async def put(self, item: bytes | Control) -> None:
        """Append whole samples or a command; wait while too much waits before it."""
        while self._held > HELD_S * SAMPLE_RATE * SAMPLE_BYTES and not self._ended:
            self._space.clear()
            await self._space.wait()
        with self._change:
            self._waiting.append(item)
            if isinstance(item, bytes):
                self._held += len(item)
                self.received += len(item) / SAMPLE_BYTES / SAMPLE_RATE
            self._change.notify()

    def end(self) -> None:
        """Say that no more comes."""
        with self._change:
            self._ended = True
            self._change.notify()
        self._loop.call_soon_threadsafe(self._space.set)

    def abort(self) -> None:
        """Drop what waits: the client has gone. Iteration raises Disconnected."""
        self._aborted = True
        self.end()

    def __iter__(self) -> Iterator[Samples | Control]:
        while True:
            item = self._take()
            if item is None:
                return
            yield item

    def _take(self) -> Samples | Control | None:
        """Return all sound that waits before the next command, or that command; None at the end."""
        with self._change:
            if not self._waiting and not self._ended:
                self._change.wait(WAKE_S)
            if self._aborted:
                raise Disconnected("The client disconnected.")
            if not self._waiting:
                return None if self._ended else Control.NOTHING
            parts: list[bytes] = []
            while self._waiting:
                first = self._waiting[0]
                if isinstance(first, Control) and parts:
                    break
                self._waiting.popleft()
                if isinstance(first, Control):
                    return first
                parts.append(first)
            self._held = 0
        self._loop.call_soon_threadsafe(self._space.set)
        return _samples(b"".join(parts))


def _samples(pcm: bytes) -> Samples:
    import numpy as np

    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
