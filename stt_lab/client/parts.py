"""What a client has beside `transcribe`: its jobs, its library and its keys."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from stt_lab.client.reading import transcript_of, value_of
from stt_lab.client.remote import FileSource, Remote
from stt_lab.client.transport import error
from stt_lab.errors import Cancelled, Unavailable
from stt_lab.types import JobInfo, Transcript

if TYPE_CHECKING:
    from stt_lab.operations.account import KeyInfo, NewKey
    from stt_lab.operations.library import Found, TranscriptDetail, TranscriptInfo
    from stt_lab.recall.values import ChatAnswer
    from stt_lab.writing.values import Analysis, Generated, Summary

PAGE = 100  # results that are asked for at once
REOPEN_S = 1.0  # before a stream of events that broke is opened again
ProgressCallback = Callable[[JobInfo], object]


class TranscribeOptions(TypedDict, total=False):
    """Parameters of the operation `transcribe`; the server has the defaults."""

    model: str
    language: str
    diarize: bool
    speakers: int
    task: Literal["transcribe", "translate"]
    store: bool
    webhook_url: str


class JobsResource:
    """Transcriptions in the background."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def submit(
        self, file: FileSource, *, idempotency_key: str | None = None, **options: Unpack[TranscribeOptions]
    ) -> JobInfo:
        """Send a recording; the job, as soon as the server has it."""
        wanted: dict[str, Any] = {**options, "background": True, "response_format": "verbose_json"}
        key = idempotency_key or str(uuid.uuid4())
        job: JobInfo = self._remote.upload("transcribe", file, key, JobInfo, **wanted)
        return job

    def get(self, id: str) -> JobInfo:
        """How far a job is."""
        job: JobInfo = self._remote.call("job", id=id)
        return job

    def cancel(self, id: str) -> JobInfo:
        """Stop a job; nothing is charged for it."""
        job: JobInfo = self._remote.call("cancel_job", id=id)
        return job

    def result(self, id: str) -> Transcript:
        """What a job made. Raises its error when it failed."""
        transcript: Transcript = self._remote.call("job_result", id=id)
        return transcript

    def wait(self, id: str, progress: ProgressCallback | None = None) -> JobInfo:
        """Wait until a job is done; `progress` is called each time that it changed. Raises its error when it failed."""
        for job in self.follow(id):
            if progress is not None:
                progress(job)
        if job.error is not None:
            raise error(job.error, int(job.error.get("status", 500)))
        if job.status == "cancelled":
            raise Cancelled(f"The job {id} was cancelled.")
        return job

    def follow(self, id: str) -> Iterator[JobInfo]:
        """A job each time that it changed, until it has ended; over as many connections as that takes."""
        while True:
            heard = False
            try:
                for job in self._events(id):
                    heard = True
                    yield job
                    if job.finished is not None:
                        return
            except Unavailable:
                if not heard:  # attempts enough were made to open it
                    raise
            time.sleep(REOPEN_S)

    def _events(self, id: str) -> Iterator[JobInfo]:
        with self._remote.lines("job", "/events", id=id) as lines:
            event = ""
            for line in lines:
                name, _, value = line.partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data" and event == "error":
                    raise error(json.loads(value), 500)
                elif name == "data":
                    yield value_of(JobInfo, json.loads(value))


class TranscriptsResource:
    """The library of the key's account."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def __iter__(self) -> Iterator[TranscriptInfo]:
        return self.list()

    def list(
        self, *, status: str = "", language: str = "", date_from: str = "", date_to: str = ""
    ) -> Iterator[TranscriptInfo]:
        """All transcripts that match, newest first; they may be deleted meanwhile."""
        filters = {"status": status, "language": language, "date_from": date_from, "date_to": date_to}
        return self._all("transcripts", **{name: value for name, value in filters.items() if value})

    def search(self, query: str, *, mode: Literal["words", "meaning"] = "words") -> Iterator[Found]:
        """All transcripts in which the words of a query occur, the latest first; by meaning the 200 best."""
        return self._all("search_transcripts", query=query, mode=mode)

    def get(self, id: int | str) -> TranscriptDetail:
        """A transcript by its number or slug, as the library has it."""
        detail: TranscriptDetail = self._remote.call("transcript", id=id)
        return detail

    def read(self, id: int | str) -> Transcript:
        """A transcript by its number or slug, as `transcribe` returned it."""
        return transcript_of(vars(self.get(id)))

    def summarize(self, id: int | str, style: str = "brief", *, model: str = "auto", force: bool = False) -> Summary:
        """Say in short what a transcript says, in a style of the operation; made once, and again with `force`."""
        summary: Summary = self._remote.call("summarize_transcript", id=id, style=style, model=model, force=force)
        return summary

    def analyze(
        self, id: int | str, type: str, *, mode: str = "mark", model: str = "auto", force: bool = False
    ) -> Analysis:
        """Find out what is in a transcript, of a type of the operation; made once, and again with `force`."""
        asked: dict[str, Any] = {"type": type, "mode": mode, "model": model, "force": force}
        analysis: Analysis = self._remote.call("analyze_transcript", id=id, **asked)
        return analysis

    def generate(
        self, id: int | str, type: str, prompt: str = "", *, model: str = "auto", force: bool = False
    ) -> Generated:
        """Write a document about a transcript, of a type of the operation; made once, and again with `force`."""
        asked: dict[str, Any] = {"type": type, "prompt": prompt, "model": model, "force": force}
        document: Generated = self._remote.call("generate_transcript", id=id, **asked)
        return document

    def chat(self, id: int | str, question: str, *, session_id: str = "", model: str = "auto") -> ChatAnswer:
        """Ask a transcript a question; with the `session_id` of an answer it may refer to the one before."""
        asked: dict[str, Any] = {"question": question, "session_id": session_id, "model": model}
        answer: ChatAnswer = self._remote.call("chat_transcript", id=id, **asked)
        return answer

    def rename_speakers(self, id: int | str, names: Mapping[str, str]) -> TranscriptDetail:
        """Give speakers names: {"Speaker 1": "Ada"}."""
        detail: TranscriptDetail = self._remote.call("rename_speakers", id=id, speakers=dict(names))
        return detail

    def retitle(self, id: int | str, title: str) -> TranscriptDetail:
        detail: TranscriptDetail = self._remote.call("rename_speakers", id=id, title=title)
        return detail

    def delete(self, id: int | str) -> None:
        """Delete a transcript, with its recording and all that was made from it."""
        self._remote.call("delete_transcript", id=id)

    def export(self, id: int | str, format: str, path: str | Path) -> Path:
        """Save a transcript as txt, srt, vtt, json, csv, docx or pdf. The file is there when it is whole."""
        return self._save("export_transcript", path, id=id, format=format)

    def audio(self, id: int | str, path: str | Path) -> Path:
        """Save the recording of a transcript, as it was sent. The file is there when it is whole."""
        return self._save("transcript_audio", path, id=id)

    def redact(
        self, id: int | str, path: str | Path, *, format: str = "txt", mode: str = "mark", sound: str = "silence"
    ) -> Path:
        """Save a transcript without personal data, as wav its recording. The file is there when it is whole."""
        return self._save("redact_transcript", path, id=id, format=format, mode=mode, sound=sound)

    def translate(self, id: int | str, target: str, path: str | Path, *, format: str = "txt") -> Path:
        """Save a transcript in another language, with its times. The file is there when it is whole."""
        return self._save("translate_transcript", path, id=id, target=target, format=format)

    def _save(self, operation: str, path: str | Path, **values: Any) -> Path:
        path = Path(path).expanduser()
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with self._remote.download(operation, **values) as chunks, part.open("xb") as file:
                file.writelines(chunks)
            return part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _all(self, operation: str, **filters: Any) -> Iterator[Any]:
        """The results of all pages, each once: what is deleted meanwhile moves the others up, what is new, down."""
        offset, count, seen = 0, 0, set[int]()
        while True:
            page = self._remote.call(operation, **filters, limit=PAGE, offset=offset)
            gone, count = max(0, count - page.count), page.count
            if gone and offset:
                offset = max(0, offset - gone)
                continue
            for result in page.results:
                if result.id not in seen:
                    seen.add(result.id)
                    yield result
            offset += len(page.results)
            if not page.results or offset >= count:
                return


class KeysResource:
    """The keys of the account."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def list(self) -> tuple[KeyInfo, ...]:
        keys: tuple[KeyInfo, ...] = self._remote.call("keys").results
        return keys

    def create(self, name: str, scopes: Sequence[str] | None = None) -> NewKey:
        """Make a key; `key` of the answer is the only place where it is shown, so the request is sent only once."""
        key: NewKey = self._remote.call("create_key", once=True, name=name, scopes=scopes and [*scopes])
        return key

    def revoke(self, id: int) -> None:
        """From now on the key is refused."""
        self._remote.call("revoke_key", id=id)
