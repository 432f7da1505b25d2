"""Use a stt_lab server from Python: `stt_lab.transcribe` and the library, over HTTP.

    from stt_lab.client import Client

    with Client("http://127.0.0.1:7860", api_key="stt_...") as client:
        transcript = client.transcribe("meeting.mp3", language="en", progress=lambda job: print(job.percent))
        print(transcript.text)
        for one in client.transcripts:
            client.transcripts.export(one.id, "docx", f"{one.slug}.docx")

Methods return the same values as the operations in Python, and raise the classes of `stt_lab.errors`. If the server is
busy or the connection breaks, requests are repeated with the same Idempotency-Key, so that no work is done twice.

transport.py  retries, pauses, errors
remote.py     calls of operations by their declarations
reading.py    JSON to values
parts.py      jobs, transcripts, keys
live.py       streams of live speech
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from stt_lab.client.live import Source, StreamOptions, stream
from stt_lab.client.parts import (
    EnhanceOptions,
    JobsResource,
    KeysResource,
    ProgressCallback,
    SpeechOptions,
    StockSpeechOptions,
    TranscribeOptions,
    TranscriptsResource,
    save,
)
from stt_lab.client.remote import FileSource, Remote
from stt_lab.client.transport import Transport
from stt_lab.errors import SttError
from stt_lab.types import Transcript

if TYPE_CHECKING:
    import httpx

    from stt_lab.operations.account import OwnAccount, Usage
    from stt_lab.operations.info import Health, LanguageInfo, ModelInfo
    from stt_lab.streaming.updates import Update

__all__ = ["Client"]


class Client:
    """A connection to one server with one API key.

    `timeout`: seconds without data after which a connection counts as broken. `patience`: total seconds of pauses
    between attempts; if the server's Retry-After is longer, its error is raised at once.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:7860",
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(base_url, api_key, timeout, patience, transport)
        self._remote = Remote(self._transport)
        self.jobs = JobsResource(self._remote)
        self.transcripts = TranscriptsResource(self._remote)
        self.keys = KeysResource(self._remote)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def transcribe(
        self,
        file: FileSource,
        *,
        progress: ProgressCallback | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Transcript:
        """Transcribe a file and wait for the result; `file` is a path or an open binary file, streamed from its start.

        `progress` is called with the job whenever it changes. An interruption such as Ctrl-C cancels the job; to leave
        it running, use `jobs.submit`. A repeated `idempotency_key` returns the transcript of the earlier call.
        """
        job = self.jobs.submit(file, idempotency_key=idempotency_key, **options)
        try:
            ended = self.jobs.wait(job.id, progress)
        except SttError:
            raise
        except BaseException:
            with suppress(SttError):
                self.jobs.cancel(job.id)
            raise
        return replace(self.jobs.result(job.id), id=ended.transcript_id)

    def stream(self, source: Source, **options: Unpack[StreamOptions]) -> Iterator[Update]:
        """Yield text while speech comes. `source` is the path of a recording, or pieces of 16-bit PCM (16 kHz, mono).

        The last update has the `transcript`; with `store=True` it is in the library, and has its `id`.
        """
        return stream(self._transport.base_url, self._transport.key, source, options)

    def enhance_audio(self, file: FileSource, path: str | Path, **options: Unpack[EnhanceOptions]) -> Path:
        """Remove noise from a recording and set its loudness; save it as WAV to `path`, which is written atomically."""
        return save(self._remote.convert("enhance_audio", file, "file", **options), path)

    def tts(self, reference: FileSource, text: str, path: str | Path, **options: Unpack[SpeechOptions]) -> Path:
        """Speak a text in a voice like that of a recording; save it as WAV to `path`, which is written atomically."""
        return save(self._remote.convert("tts", reference, "reference", text=text, **options), path)

    def speak(self, text: str, path: str | Path, **options: Unpack[StockSpeechOptions]) -> Path:
        """Speak a text in a stock voice; save it to `path`, which is written atomically."""
        wanted: dict[str, Any] = {**options}
        return save(self._remote.download("speak", text=text, **wanted), path)

    def account(self) -> OwnAccount:
        """Return the account of the key: plan, credits and remaining quota."""
        account: OwnAccount = self.call("account")
        return account

    def update_account(self, **changes: Any) -> OwnAccount:
        """Change `name`, `email` or `preferences`; return the account."""
        account: OwnAccount = self.call("update_account", **changes)
        return account

    def usage(self) -> Usage:
        """Return the usage of the last 30 days."""
        usage: Usage = self.call("usage")
        return usage

    def models(self) -> tuple[ModelInfo, ...]:
        """List the models of the server."""
        models: tuple[ModelInfo, ...] = self.call("models").models
        return models

    def languages(self) -> tuple[LanguageInfo, ...]:
        """List the languages that the server can transcribe."""
        languages: tuple[LanguageInfo, ...] = self.call("languages").languages
        return languages

    def health(self) -> Health:
        """Return the state of the server."""
        health: Health = self.call("health")
        return health

    def call(self, operation: str, /, **parameters: Any) -> Any:
        """Call any operation without a file by its name in the reference, such as "create_account"."""
        return self._remote.call(operation, **parameters)
