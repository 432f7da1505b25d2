"""A client of a stt_lab server, in Python: what `stt_lab.transcribe` does here, done there.

    from stt_lab.client import Client

    with Client("http://127.0.0.1:7860", api_key="stt_...") as client:
        transcript = client.transcribe("meeting.mp3", language="en", progress=lambda job: print(job.percent))
        print(transcript.text)
        for one in client.transcripts:
            client.transcripts.export(one.id, "docx", f"{one.slug}.docx")

Answers are the values that the same operations return in Python, errors the classes of `stt_lab.errors`. A server that
is busy and a connection that breaks cost time, not work: requests are repeated under one Idempotency-Key.

transport.py  attempts, pauses, errors
remote.py     operations by their declarations
reading.py    JSON to values
parts.py      jobs, transcripts, keys
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from stt_lab.client.parts import JobsResource, KeysResource, ProgressCallback, TranscribeOptions, TranscriptsResource
from stt_lab.client.remote import FileSource, Remote
from stt_lab.client.transport import Transport
from stt_lab.errors import SttError
from stt_lab.types import Transcript

if TYPE_CHECKING:
    import httpx

    from stt_lab.operations.account import OwnAccount, Usage
    from stt_lab.operations.info import Health, LanguageInfo, ModelInfo

__all__ = ["Client"]


class Client:
    """A server and a key for it.

    `timeout`: seconds without a byte after which a connection counts as broken. `patience`: seconds that pauses between
    attempts may take; where the server asks for more with Retry-After, its error is raised at once.
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
        """The transcript of a path or of an open binary file, which is sent from its beginning as it is read.

        `progress` is called with the job each time that it changed. Giving up, as with Ctrl-C, cancels the job; to
        leave it to itself, use `jobs.submit`. With the `idempotency_key` of an earlier call the same recording is not
        transcribed again: its transcript is returned.
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

    def account(self) -> OwnAccount:
        """The account of the key: plan, credits, what is left of its quota."""
        account: OwnAccount = self.call("account")
        return account

    def update_account(self, **changes: Any) -> OwnAccount:
        """Change `name`, `email` or `preferences`."""
        account: OwnAccount = self.call("update_account", **changes)
        return account

    def usage(self) -> Usage:
        """The last 30 days."""
        usage: Usage = self.call("usage")
        return usage

    def models(self) -> tuple[ModelInfo, ...]:
        models: tuple[ModelInfo, ...] = self.call("models").models
        return models

    def languages(self) -> tuple[LanguageInfo, ...]:
        languages: tuple[LanguageInfo, ...] = self.call("languages").languages
        return languages

    def health(self) -> Health:
        health: Health = self.call("health")
        return health

    def call(self, operation: str, /, **parameters: Any) -> Any:
        """Any operation without a file by its name in the reference, such as "create_account"."""
        return self._remote.call(operation, **parameters)
