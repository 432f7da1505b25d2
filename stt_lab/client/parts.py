"""Jobs, transcripts and keys of a client."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from stt_lab.client.reading import transcript_of, value_of
from stt_lab.client.remote import FileSource, Remote
from stt_lab.client.transport import error
from stt_lab.errors import Cancelled, Unavailable
from stt_lab.types import JobInfo, Transcript

if TYPE_CHECKING:
    from stt_lab.operations.account import KeyInfo, NewKey
    from stt_lab.operations.editing import Peaks, RevisionInfo
    from stt_lab.operations.jobs import JobList
    from stt_lab.operations.library import SearchResult, TranscriptDetail, TranscriptInfo
    from stt_lab.recall.values import ChatAnswer
    from stt_lab.writing.values import Analysis, Generated, Summary

PAGE = 100  # results per request
REOPEN_S = 1.0  # pause before a broken event stream is reopened
ProgressCallback = Callable[[JobInfo], object]


class TranscribeOptions(TypedDict, total=False):
    """Parameters of the operation `transcribe`; the server applies the defaults."""

    model: str
    language: str
    diarize: bool
    speakers: int
    task: Literal["transcribe", "translate"]
    track: int
    inaudible: bool
    store: bool
    webhook_url: str


class EnhanceOptions(TypedDict, total=False):
    """Parameters of the operation `enhance_audio`; the server applies the defaults."""

    loudness: float
    normalize: bool
    attenuation_limit_db: float


class SpeechOptions(TypedDict, total=False):
    """Parameters of the operation `tts`; the server applies the defaults."""

    language: str
    speed: float
    model: str
    consent: bool


class StockSpeechOptions(TypedDict, total=False):
    """Parameters of the operation `speak`; the server applies the defaults."""

    voice: str
    response_format: Literal["mp3", "wav", "opus", "flac"]
    speed: float
    model: str


def save(answer: AbstractContextManager[Iterator[bytes]], path: str | Path) -> Path:
    """Write the bytes of an answer to a path, atomically."""
    path = Path(path).expanduser()
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with answer as chunks, part.open("xb") as file:
            file.writelines(chunks)
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class JobsResource:
    """Transcriptions that run in the background."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def submit(
        self, file: FileSource, *, idempotency_key: str | None = None, **options: Unpack[TranscribeOptions]
    ) -> JobInfo:
        """Send a recording; return its job once the server has received it."""
        wanted: dict[str, Any] = {**options, "background": True, "response_format": "verbose_json"}
        key = idempotency_key or str(uuid.uuid4())
        job: JobInfo = self._remote.upload("transcribe", file, key, JobInfo, **wanted)
        return job

    def get(self, id: str) -> JobInfo:
        """Return the state of a job."""
        job: JobInfo = self._remote.call("job", id=id)
        return job

    def list(self, limit: int = 20) -> tuple[JobInfo, ...]:
        """Return the account's newest jobs, newest first."""
        found: JobList = self._remote.call("list_jobs", limit=limit)
        return found.results

    def cancel(self, id: str) -> JobInfo:
        """Cancel a job; it is not charged."""
        job: JobInfo = self._remote.call("cancel_job", id=id)
        return job

    def result(self, id: str) -> Transcript:
        """Return the result of a job. Raises the job's error if it failed."""
        transcript: Transcript = self._remote.call("job_result", id=id)
        return transcript

    def wait(self, id: str, progress: ProgressCallback | None = None) -> JobInfo:
        """Wait until a job ends; `progress` is called whenever it changes. Raises the job's error if it failed."""
        for job in self.follow(id):
            if progress is not None:
                progress(job)
        if job.error is not None:
            raise error(job.error, int(job.error.get("status", 500)))
        if job.status == "cancelled":
            raise Cancelled(f"The job {id} was cancelled.")
        return job

    def follow(self, id: str) -> Iterator[JobInfo]:
        """Yield a job whenever it changes, until it ends; reconnect as often as necessary."""
        while True:
            received = False
            try:
                for job in self._events(id):
                    received = True
                    yield job
                    if job.finished is not None:
                        return
            except Unavailable:
                if not received:  # opening was already retried
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
        self,
        *,
        status: str = "",
        language: str = "",
        date_from: str = "",
        date_to: str = "",
        tag: str = "",
        sort: str = "",
    ) -> Iterator[TranscriptInfo]:
        """Yield all matching transcripts, newest first unless `sort` is created, title or duration, with - in front or
        not; deletions meanwhile are handled."""
        days = {"date_from": date_from, "date_to": date_to}
        filters = {"status": status, "language": language, **days, "tag": tag, "sort": sort}
        return self._all("transcripts", **{name: value for name, value in filters.items() if value})

    def search(self, query: str, *, mode: Literal["words", "meaning"] = "words") -> Iterator[SearchResult]:
        """Yield transcripts that contain the words of a query, newest first; by meaning, the 200 best matches."""
        return self._all("search_transcripts", query=query, mode=mode)

    def get(self, id: int | str) -> TranscriptDetail:
        """Return a transcript with its details, by number or slug."""
        detail: TranscriptDetail = self._remote.call("transcript", id=id)
        return detail

    def read(self, id: int | str) -> Transcript:
        """Return a transcript as `transcribe` did, by number or slug."""
        return transcript_of(vars(self.get(id)))

    def summarize(self, id: int | str, style: str = "brief", *, model: str = "auto", force: bool = False) -> Summary:
        """Summarize a transcript. The result is stored; `force` makes it again."""
        summary: Summary = self._remote.call("summarize_transcript", id=id, style=style, model=model, force=force)
        return summary

    def analyze(
        self, id: int | str, type: str, *, mode: str = "mark", model: str = "auto", force: bool = False
    ) -> Analysis:
        """Analyze a transcript: sentiment, topics, entities and so on. The result is stored; `force` makes it again."""
        asked: dict[str, Any] = {"type": type, "mode": mode, "model": model, "force": force}
        analysis: Analysis = self._remote.call("analyze_transcript", id=id, **asked)
        return analysis

    def generate(
        self, id: int | str, type: str, prompt: str = "", *, model: str = "auto", force: bool = False
    ) -> Generated:
        """Generate a document from a transcript. The result is stored; `force` makes it again."""
        asked: dict[str, Any] = {"type": type, "prompt": prompt, "model": model, "force": force}
        document: Generated = self._remote.call("generate_transcript", id=id, **asked)
        return document

    def chat(self, id: int | str, question: str, *, session_id: str = "", model: str = "auto") -> ChatAnswer:
        """Ask a question about a transcript; pass the `session_id` of an answer to continue that conversation."""
        asked: dict[str, Any] = {"question": question, "session_id": session_id, "model": model}
        answer: ChatAnswer = self._remote.call("chat_transcript", id=id, **asked)
        return answer

    def update(
        self,
        id: int | str,
        *,
        speakers: Mapping[str, str] | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        edits: Sequence[Mapping[str, Any]] | None = None,
        revision: int | None = None,
    ) -> TranscriptDetail:
        """Rename the speakers of a transcript, such as {"Speaker 1": "Ada"}, change its title or its tags, or edit its
        text at a revision. Raises OldRevision if it has another one by now."""
        changes = {
            "speakers": None if speakers is None else dict(speakers),
            "title": title,
            "tags": None if tags is None else list(tags),
            "edits": None if edits is None else list(map(dict, edits)),
            "revision": revision,
        }
        sent: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        detail: TranscriptDetail = self._remote.call("update_transcript", id=id, **sent)
        return detail

    def revisions(self, id: int | str) -> tuple[RevisionInfo, ...]:
        """List the revisions of a transcript that are kept, newest first."""
        found: tuple[RevisionInfo, ...] = self._remote.call("transcript_revisions", id=id).results
        return found

    def revision(self, id: int | str, number: int) -> TranscriptDetail:
        """Return a transcript as it was at a revision."""
        detail: TranscriptDetail = self._remote.call("transcript_revision", id=id, number=number)
        return detail

    def restore(self, id: int | str, number: int, *, revision: int | None = None) -> TranscriptDetail:
        """Make an older revision the present one again. Raises OldRevision if the transcript has another `revision`."""
        detail: TranscriptDetail = self._remote.call("restore_revision", id=id, number=number, revision=revision)
        return detail

    def delete(self, id: int | str) -> None:
        """Delete a transcript with its recording and everything made from it."""
        self._remote.call("delete_transcript", id=id)

    def export(
        self, id: int | str, format: str, path: str | Path, *, inaudible: bool = False, times: bool = False
    ) -> Path:
        """Save a transcript as txt, md, srt, vtt, json, csv, tsv, docx or pdf. The file is written atomically."""
        return self._save("export_transcript", path, id=id, format=format, inaudible=inaudible, times=times)

    def audio(self, id: int | str, path: str | Path) -> Path:
        """Save the recording of a transcript as it was uploaded. The file is written atomically."""
        return self._save("transcript_audio", path, id=id)

    def diarize(self, id: int | str, *, speakers: int = 0, revision: int | None = None) -> JobInfo:
        """Find again who speaks in a transcript's recording; return the job, which makes a new revision."""
        asked: dict[str, Any] = {"speakers": speakers, "revision": revision}
        job: JobInfo = self._remote.call("diarize_transcript", kind=JobInfo, id=id, **asked)
        return job

    def transcribe(
        self, id: int | str, start: float, end: float, *, model: str | None = None, revision: int | None = None
    ) -> JobInfo:
        """Transcribe a part of a transcript's recording again; return the job, which makes a new revision."""
        asked: dict[str, Any] = {"start": start, "end": end, "model": model, "revision": revision}
        job: JobInfo = self._remote.call("transcribe_transcript", kind=JobInfo, id=id, **asked)
        return job

    def peaks(self, id: int | str, per_second: int = 20) -> Peaks:
        """Return the outline of a transcript's recording, to draw it."""
        peaks: Peaks = self._remote.call("transcript_peaks", id=id, per_second=per_second)
        return peaks

    def redact(
        self, id: int | str, path: str | Path, *, format: str = "txt", mode: str = "mark", sound: str = "silence"
    ) -> Path:
        """Save a transcript without personal data, or with format wav its recording. The file is written atomically."""
        return self._save("redact_transcript", path, id=id, format=format, mode=mode, sound=sound)

    def translate(self, id: int | str, target: str, path: str | Path, *, format: str = "txt") -> Path:
        """Save a translated transcript with its times. The file is written atomically."""
        return self._save("translate_transcript", path, id=id, target=target, format=format)

    def _save(self, operation: str, path: str | Path, **values: Any) -> Path:
        return save(self._remote.download(operation, **values), path)

    def _all(self, operation: str, **filters: Any) -> Iterator[Any]:
        """Yield the results of all pages, each once, although deletions and additions meanwhile shift them."""
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
    """API keys of the account."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def list(self) -> tuple[KeyInfo, ...]:
        """List the keys, without their secrets."""
        keys: tuple[KeyInfo, ...] = self._remote.call("keys").results
        return keys

    def create(self, name: str, scopes: Sequence[str] | None = None) -> NewKey:
        """Create a key. Its secret is only in `key` of this answer, so that the request is never repeated."""
        key: NewKey = self._remote.call("create_key", once=True, name=name, scopes=scopes and [*scopes])
        return key

    def revoke(self, id: int) -> None:
        """Revoke a key at once."""
        self._remote.call("revoke_key", id=id)
