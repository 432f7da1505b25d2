"""Stream sound to a server, and read what it says."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.audio.wav import to_pcm
from stt_lab.client.transport import error
from stt_lab.errors import Unauthorized, Unavailable
from stt_lab.streaming.updates import LastUpdate, Update, from_message
from stt_lab.types import SAMPLE_RATE, Audio, silent

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

Source = str | Path | Iterable[bytes]
ANSWER_S = 30.0  # a server says something every 5 s
PIECE = SAMPLE_RATE // 2  # samples of a message
LONGEST = 24 * 3600 * SAMPLE_RATE  # samples of a file
DECODE_S = 600.0
SILENT = ("alive", "loading")  # states that are no updates


class StreamOptions(TypedDict, total=False):
    """Configuration of a stream."""

    model: str
    language: str
    store: bool
    silence_ms: int


def stream(base_url: str, key: str | None, source: Source, options: StreamOptions) -> Iterator[Update]:
    """Yield the updates of a stream. `source` is a recording, or pieces of 16-bit PCM (16 kHz, mono) as they come."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
    from websockets.sync.client import connect

    parts = urlsplit(base_url)
    address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path.rstrip('/')}/v1/stream"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with ExitStack() as stack:
        pieces = stack.enter_context(_pieces(source))
        try:
            connection = stack.enter_context(connect(address, additional_headers=headers, compression=None))
            with suppress(ConnectionClosed):  # refused already; the answer says why
                connection.send(json.dumps(dict(options)))
            sender = _Sender(connection, pieces)
            sender.start()
            yield from _updates(connection)
            if sender.problem:
                raise sender.problem
        except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake) as problem:
            why = type(problem).__name__
            raise Unavailable(f"The stream to {base_url} broke off ({why}). Begin a new one.") from problem


class _Sender(threading.Thread):
    """Sends the sound, and stops the stream at its end or where the caller's source fails."""

    def __init__(self, connection: ClientConnection, pieces: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self.problem: BaseException | None = None
        self._connection, self._pieces = connection, pieces

    def run(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):  # the reader says why
            try:
                for piece in self._pieces:
                    self._connection.send(piece)
            except ConnectionClosed:
                raise
            except BaseException as problem:  # of the caller's source
                self.problem = problem
            self._connection.send(json.dumps({"action": "stop"}))


def _updates(connection: ClientConnection) -> Iterator[Update]:
    while True:
        made: dict[str, Any] = json.loads(connection.recv(ANSWER_S))
        if "error" in made:
            raise error(made, Unauthorized.status, made.get("retry_after"))
        if made.get("status") in SILENT:
            continue
        update = from_message(made)
        yield update
        if isinstance(update, LastUpdate):
            return


@contextmanager
def _pieces(source: Source) -> Iterator[Iterable[bytes]]:
    if not isinstance(source, str | Path):
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        decoder = Decoder(Path(folder), DecodeLimits(LONGEST, DECODE_S))
        with decoder.decode(Path(source).expanduser(), silent) as audio:
            yield _sound(audio)


def _sound(audio: Audio) -> Iterator[bytes]:
    for at in range(0, audio.samples, PIECE):
        yield to_pcm(audio.read(at, at + PIECE))
