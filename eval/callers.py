"""Clients of a server that may die at any time: what they ask, what they are told, and whether that still holds."""

from __future__ import annotations

import io
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from invariants import Clip

KINDS = ("waits", "unstored", "async", "cancelled", "plain", "stranger")  # the last two have no Idempotency-Key
FIELDS = {"unstored": {"store": "false"}, "async": {"async": "true"}, "cancelled": {"async": "true"}}


@dataclass
class Request:
    """A recording that a client sends, and what it was told."""

    name: str  # of the file
    kind: str
    clip: Clip
    pause: float = 0.0  # seconds before each chunk
    wait: float = 0.0  # seconds before it is cancelled
    answer: dict[str, Any] | None = None  # the transcript
    job: str | None = None  # which was accepted
    cancelled: bool = False  # as the server confirmed

    @property
    def key(self) -> str | None:
        return None if self.kind in ("plain", "stranger") else f"key of {self.name}"


class Slow(io.FileIO):
    """A file that takes its time."""

    pause = 0.0

    def read(self, size: int | None = -1) -> bytes:
        time.sleep(self.pause)
        return super().read(-1 if size is None else size)


@dataclass(frozen=True)
class Client:
    """Asks one life of the server."""

    url: str
    raw_key: str
    model: str

    def call(self, method: str, path: str, request: Request, **more: Any) -> httpx.Response:
        headers = {} if request.kind == "stranger" else {"Authorization": f"Bearer {self.raw_key}"}
        if request.key and method == "POST":
            headers["Idempotency-Key"] = request.key
        return httpx.request(method, self.url + path, headers=headers, timeout=300, **more)

    def post(self, request: Request, pause: float = 0.0) -> httpx.Response:
        fields = {"model": self.model, "diarize": "false", "language": "en"} | FIELDS.get(request.kind, {})
        with Slow(request.clip.path) as file:
            file.pause = pause
            return self.call("POST", "/v1/transcribe", request, files={"file": (request.name, file)}, data=fields)

    def ask(self, request: Request, refused: Counter[str]) -> None:
        """Send a recording and wait for its text, as long as the server lives."""
        with suppress(httpx.TransportError):
            answer = self.post(request, request.pause)
            if answer.is_success:
                self._read(request, answer)
            else:
                refused[f"{answer.status_code} {answer.json()['code']}"] += 1

    def _read(self, request: Request, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            request.answer = answer.json()
            return
        request.job = answer.json()["id"]
        path = f"/v1/jobs/{request.job}"
        if request.kind == "cancelled":
            time.sleep(request.wait)
            request.cancelled = self._status("DELETE", path, request) == "cancelled"
        while (status := self._status("GET", path, request)) in ("queued", "running"):
            time.sleep(0.2)
        request.cancelled = status == "cancelled"
        if status == "done":
            request.answer = self.call("GET", f"{path}/result", request).raise_for_status().json()

    def _status(self, method: str, path: str, request: Request) -> str:
        status: str = self.call(method, path, request).raise_for_status().json()["status"]
        return status

    # -- after a kill, when all work has ended

    def denied(self, request: Request) -> str | None:
        """What the client was told and is no longer so. What it was not told it asks again, under its key."""
        told, job = request.answer, request.job
        if job and not (found := self.call("GET", f"/v1/jobs/{job}", request)).is_success:
            return f"{job} of {request.name} was accepted, and now {found.text}"
        if request.cancelled:
            status = self._status("GET", f"/v1/jobs/{job}", request)
            return None if status == "cancelled" else f"{job} was cancelled and is {status}"
        if request.key and request.kind != "cancelled":
            request.answer = None
            self._insist(request)
            if request.answer is None or (told and told != request.answer):
                return f"{request.name} ({request.kind}) was answered {told} and then {request.answer}"
        return self._unshelved(request) if request.answer and "id" in request.answer else None

    def _insist(self, request: Request) -> None:
        """The same request until it is answered."""
        while not (answer := self.post(request)).is_success:
            if answer.status_code not in (409, 429, 503):
                raise RuntimeError(f"{request.name} was refused: {answer.text}")
            time.sleep(1)
        self._read(request, answer)

    def _unshelved(self, request: Request) -> str | None:
        assert request.answer
        found = self.call("GET", f"/api/v1/transcripts/{request.answer['id']}/", request)
        same = found.is_success and found.json()["text"] == request.answer["text"]
        return None if same else f"{request.name} is not in the library: {found.text[:200]}"
