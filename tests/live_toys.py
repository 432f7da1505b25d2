"""For tests of live streams: sound whose words are known, a voice that is heard by its level, and clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from stt_lab.engines.activity import BLOCK
from stt_lab.streaming import live
from stt_lab.types import SAMPLE_RATE

LOUD = 0.1  # level from which sound is a voice


class LevelActivity:
    """Hears a voice where sound is loud."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: Any) -> list[float]:
        sound = np.concatenate([self._rest, samples])
        blocks = len(sound) // BLOCK
        self._rest = sound[blocks * BLOCK :]
        return [float(np.abs(sound[at * BLOCK : (at + 1) * BLOCK]).max() > LOUD) for at in range(blocks)]

    def push_silence(self, samples: int) -> list[float]:
        return self.push(np.zeros(samples, np.float32))


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Voices are heard by their level."""
    monkeypatch.setattr(live, "VoiceActivity", LevelActivity)


def voice(seconds: float) -> bytes:
    return _pcm(0.5 * np.sin(np.arange(int(seconds * SAMPLE_RATE)) / 6))


def silence(seconds: float) -> bytes:
    return _pcm(np.zeros(int(seconds * SAMPLE_RATE)))


def _pcm(sound: Any) -> bytes:
    made: bytes = (sound * 32767).astype("<i2").tobytes()
    return made


class Client:
    """A client that notes every message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[dict[str, Any]] = []

    def next(self, seconds: float = 20) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.connection.recv(seconds))
        assert "text" in made, made  # clients index it
        self.messages.append(made)
        return made

    def until(self, name: str, value: Any = None) -> dict[str, Any]:
        """Return the first message that has this member, with this value if one is given."""
        while True:
            made = self.next()
            if name in made and (value is None or made[name] == value):
                return made

    def tell(self, **values: Any) -> None:
        self.connection.send(json.dumps(values))

    def say(self, sound: bytes, piece: int = 3200) -> None:
        for at in range(0, len(sound), piece):
            self.connection.send(sound[at : at + piece])

    def code(self) -> int:
        """Read to the end; return the close code."""
        try:
            while True:
                self.next()
        except ConnectionClosed:
            return self.connection.close_code or 0

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [one for one in self.messages if one.get("words")]


@contextmanager
def talking(port: int, query: str = "", key: str | None = None, **options: Any) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"ws://127.0.0.1:{port}/v1/stream{query}"
    with connect(address, additional_headers=headers | options.pop("headers", {}), **options) as connection:
        yield Client(connection)
