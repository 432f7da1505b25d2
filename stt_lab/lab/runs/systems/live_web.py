"""Live services behind a URL: a WebSocket of the shape of STT.ai's API, which our server implements (docs/live.md)."""

from __future__ import annotations

import json
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from stt_lab.audio.wav import to_pcm
from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.protocol import SystemContext, SystemOutput, language_setting
from stt_lab.metrics import StreamLog, StreamUpdate
from stt_lab.streaming.stream import sound_of
from stt_lab.types import Audio, Event, Report, Segment, Word

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

OPEN_S = 20.0
READY_S = 5.0  # after which sound is sent although the service says nothing
POLL_S = 0.2
NORMAL = 1000  # close code
PIECE = 1600  # samples of a message: 0.1 s
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True)
class LiveService:
    """`engine = "stt-live"`: a WebSocket, such as ws://127.0.0.1:7860/v1/stream."""

    url: str
    model: str
    language: str = "auto"  # auto, known, or a code
    key_env: str = "STT_API_KEY"

    def make(self, context: SystemContext) -> LiveWebSystem:
        return LiveWebSystem(self, context)


class LiveWebSystem:
    remote = True
    capacity = 1

    def __init__(self, config: LiveService, context: SystemContext) -> None:
        if urlsplit(config.url).scheme not in SCHEMES:
            raise BadInput(
                f"The system {context.name!r} has an invalid url {config.url!r}. Use ws://, wss://, http:// or https://."
            )
        self.name = context.name
        self._config = config

    def start(self, report: Report) -> None:
        """Do nothing: the first recording shows whether the service answers."""

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput:
        from websockets.exceptions import InvalidHandshake, InvalidURI
        from websockets.sync.client import connect

        language = language_setting(self._config.language, item)
        key = os.environ.get(self._config.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with connect(
                address(self._config, language), additional_headers=headers, compression=None, open_timeout=OPEN_S
            ) as connection:
                return ServiceListener(connection, audio, report).output(language)
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as problem:
            raise Unavailable(
                f"The service did not answer ({type(problem).__name__}). Check that it is running."
            ) from None

    def processes(self) -> tuple[int, ...]:
        return ()

    def provenance(self) -> dict[str, Any]:
        kept = {name: value for name, value in asdict(self._config).items() if name not in ("url", "key_env")}
        return {"engine": "stt-live", "settings": kept}

    def close(self) -> None:
        """Do nothing: each recording has its own connection."""


def address(config: LiveService, language: str | None) -> str:
    """Return the address of a stream: model and language in its query, as the hosted API's SDK has them."""
    parts = urlsplit(config.url)
    query = dict(parse_qsl(parts.query)) | {"model": config.model} | ({"language": language} if language else {})
    return urlunsplit(parts._replace(scheme=SCHEMES[parts.scheme], query=urlencode(query)))


@dataclass
class StreamListener(ABC):
    """One stream: a thread sends sound at the speed of speech, this one reads."""

    stop: ClassVar[str | bytes]  # message that says that no more sound comes

    connection: ClientConnection
    audio: Audio
    report: Report
    updates: list[StreamUpdate] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    transcript: str | None = None
    rtf: float | None = None  # seconds of work for each second of sound, as the service says it
    began: float | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def output(self, language: str | None) -> SystemOutput:
        from websockets.exceptions import ConnectionClosed

        opened = time.monotonic()
        try:
            while not self.ended.is_set():
                self.report(Event("transcribing"))
                heard_nothing = self.began is None and time.monotonic() - opened > READY_S
                if heard_nothing:
                    self.begin()
                with suppress(TimeoutError):
                    self.take(json.loads(self.connection.recv(POLL_S)))
        except ConnectionClosed:
            if self.began is None or self.connection.close_code != NORMAL:
                raise Unavailable(
                    f"The service closed the stream too early (code {self.connection.close_code}). Check model and key."
                ) from None
        finally:
            self.ended.set()
        worked = None if self.rtf is None else self.rtf * self.audio.duration
        log = StreamLog(tuple(self.updates), "running", self.transcript, worked)
        text = log.text if self.transcript is None else self.transcript
        return SystemOutput(text, language, tuple(self.segments), stream=log)

    def begin(self) -> None:
        self.began = time.monotonic()
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):  # the reader says why
            for piece in sound_of(self.audio, True, PIECE):
                if self.ended.is_set():
                    return
                self.connection.send(to_pcm(piece))
            self.connection.send(self.stop)

    @abstractmethod
    def take(self, made: Mapping[str, Any]) -> None:
        """Take a message: call `begin` when the service is ready, `note` for text, and set `ended` at the last one."""

    def note(self, text: str, partial: str, words: tuple[Word, ...]) -> None:
        at = time.monotonic() - (self.began or 0.0)
        self.updates.append(StreamUpdate(at, min(at, self.audio.duration), text, partial, words))
        if text:
            start, end = (words[0].start, words[-1].end) if words else (0.0, 0.0)
            self.segments.append(Segment(start, max(start, end), text, words))


class ServiceListener(StreamListener):
    """A stream of a service of STT.ai's shape."""

    stop = json.dumps({"action": "stop"})

    def take(self, made: Mapping[str, Any]) -> None:
        if made.get("error"):
            error = made["error"]
            said = error.get("message", error) if isinstance(error, dict) else error
            raise SttError(f"The service answered: {str(said)[:300]}")
        if made.get("status") == "alive":
            self.rtf = made.get("rtf", self.rtf)
        if made.get("status") == "loading":
            return
        if self.began is None:
            self.begin()
        if made.get("final"):
            self._end(made)
        elif "status" not in made and (made.get("text") or "partial" in made):
            self.note(str(made.get("text") or "").strip(), str(made.get("partial") or "").strip(), _words(made))

    def _end(self, made: Mapping[str, Any]) -> None:
        """Take the last message. Its text is the rest, or the whole transcript again."""
        self.transcript = str(made.get("transcript") or made.get("text") or "")
        rest = str(made.get("text") or "").strip()
        if rest and (rest != self.transcript.strip() or not self.segments):
            self.note(rest, "", _words(made))
        self.ended.set()


def _words(made: Mapping[str, Any]) -> tuple[Word, ...]:
    rows = made.get("words") or ()
    return tuple(
        Word(
            start := max(0.0, float(row["start"])),
            max(start, float(row["end"])),
            str(row.get("word", row.get("text", ""))),
        )
        for row in rows
    )
