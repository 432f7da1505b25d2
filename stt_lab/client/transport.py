"""Send requests, retry when the server is busy or the connection breaks, and raise errors of `stt_lab.errors`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stt_lab.errors import BadInput, Conflict, OldRevision, RateLimited, SttError, Unavailable

if TYPE_CHECKING:
    import httpx

CONNECT_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0  # between attempts, without a Retry-After of the server
KEY = "Idempotency-Key"

Request = Callable[[], dict[str, Any]]  # makes the arguments of a request for each attempt, so that files start again


class Transport:
    """HTTP connections to one server."""

    def __init__(
        self, base_url: str, api_key: str | None, timeout: float, patience: float, layer: httpx.BaseTransport | None
    ) -> None:
        import httpx

        from stt_lab import __version__

        self.base_url, self.key = base_url, api_key
        if not base_url.startswith(("http://", "https://")):
            raise BadInput(f"{base_url!r} is not the address of a server. Use one such as http://127.0.0.1:7860.")
        headers = {"User-Agent": f"stt_lab/{__version__}", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_S))
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=limits, transport=layer)
        self._patience = patience
        self._broken = httpx.TransportError

    def close(self) -> None:
        self._http.close()

    def json(self, method: str, path: str, request: Request = dict, key: str | None = None) -> Any:
        with self.open(method, path, request, key) as answer:
            answer.read()
            return answer.json()

    @contextmanager
    def open(self, method: str, path: str, request: Request = dict, key: str | None = None) -> Iterator[httpx.Response]:
        """Stream the answer. Transient errors are retried; a POST only with a key, which identifies the request."""
        answer = self._insist(method, path, request, key)
        try:
            yield answer
        except self._broken as problem:
            raise self._lost(problem) from problem
        finally:
            answer.close()

    def _insist(self, method: str, path: str, request: Request, key: str | None) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        repeatable = method != "POST" or key is not None
        attempt = 0
        while True:
            try:
                return self._ask(method, path, request, key)
            except SttError as problem:
                pause = _pause(problem, attempt)
                if pause is None or not repeatable or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            attempt += 1

    def _ask(self, method: str, path: str, request: Request, key: str | None) -> httpx.Response:
        """Make one attempt. Raises the server's error, or Unavailable."""
        headers = {KEY: key} if key else {}
        try:
            made = self._http.build_request(method, path, headers=headers, **request())
            answer = self._http.send(made, stream=True)
            if answer.is_error:
                answer.read()
                raise refusal(answer)
        except self._broken as problem:
            raise self._lost(problem) from problem
        return answer

    def _lost(self, problem: Exception) -> Unavailable:
        why = str(problem) or type(problem).__name__
        return Unavailable(f"The server at {self._http.base_url} did not answer ({why}). Check that it is running.")


def _pause(problem: SttError, attempt: int) -> float | None:
    """Return the pause before the next attempt in seconds; None if a retry is useless."""
    if not isinstance(problem, Conflict | RateLimited | Unavailable):
        return None
    if "retry_after" in vars(problem):  # set by the server; the class has only a default
        return max(FIRST_PAUSE_S, problem.retry_after or 0)
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
    return random.uniform(longest / 2, longest)  # random, so that many clients do not retry at once


def refusal(answer: httpx.Response) -> SttError:
    """Return the error of an answer, which may also come from a proxy."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        message = (
            f"{answer.url} answered {answer.status_code} {answer.reason_phrase}. Check that it is a stt_lab server."
        )
        body = {"error": message}
    said = answer.headers.get("retry-after", "")
    return error(body, answer.status_code, int(said) if said.isdecimal() else None)


def error(body: Mapping[str, Any], status: int, retry_after: int | None = None) -> SttError:
    """Return our error class for an error body, by its code or else its status."""
    known = [*_kinds(SttError)]
    named = [kind for kind in known if kind.code == body.get("code")]
    similar = [kind for kind in known if kind.status == (503 if status in (502, 504) else status)]
    kind: type[SttError] = next(iter([*named, *similar, SttError]))
    if kind is OldRevision:
        return OldRevision(str(body.get("error", "")), revision=body.get("revision"))
    return kind(str(body.get("error", "")), retry_after=retry_after)


def _kinds(root: type[SttError]) -> Iterator[type[SttError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)
