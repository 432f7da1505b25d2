"""Errors that users see. `str(error)` says what is wrong, then what to do.

SttError                  500  internal
├── BadInput              400  bad_parameter
│   ├── MissingFile       400  missing_file
│   └── UnsupportedMedia  400  unsupported_media
├── Unauthorized          401  unauthorized
├── NoCredits             402  no_credits
├── Forbidden             403  forbidden
├── NotFound              404  not_found
├── Conflict              409  conflict
├── OldRevision           409  old_revision       with revision
├── TooLarge              413  too_large
├── IdempotencyMismatch   422  idempotency_mismatch
├── RateLimited           429  rate_limited       with retry_after
├── Cancelled             499  cancelled
│   └── Disconnected      499  cancelled
└── Unavailable           503  unavailable        with retry_after
    ├── ModelMissing      503  model_missing
    ├── ModelBroken       503  model_broken
    ├── Busy              503  busy
    ├── BadAnswer         503  bad_answer
    ├── EngineCrashed     503  engine_crashed
    └── EngineTimedOut    503  engine_timed_out
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class SttError(Exception):
    """Base class: an HTTP status, a stable code and a message for people."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retry_after: int | None = None  # seconds

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.retry_after))  # how to pickle the error in a worker process

    def as_dict(self) -> dict[str, object]:
        """Return the error as JSON on the wire: `error` and `code`."""
        return {"error": str(self), "code": self.code}


def _rebuild(kind: type[SttError], message: str, retry_after: int | None) -> SttError:
    return kind(message, retry_after=retry_after)


class BadInput(SttError):
    """A parameter or a setting has a value that cannot be used."""

    status, code = 400, "bad_parameter"


class MissingFile(BadInput):
    """The request contains no recording."""

    code = "missing_file"


class UnsupportedMedia(BadInput):
    """The file cannot be decoded, or has no audio."""

    code = "unsupported_media"


class Unauthorized(SttError):
    """A key or a session is needed."""

    status, code = 401, "unauthorized"


class NoCredits(SttError):
    """The account has too few credits or minutes left."""

    status, code = 402, "no_credits"


class Forbidden(SttError):
    """The caller lacks the scope, or may not do this."""

    status, code = 403, "forbidden"


class NotFound(SttError):
    """Nothing with this id belongs to the caller."""

    status, code = 404, "not_found"


class Conflict(SttError):
    """The first request with the same Idempotency-Key is still running, or something changed meanwhile."""

    status, code = 409, "conflict"


class OldRevision(SttError):
    """A change was made for a revision that is not the present one; `revision` is the present one."""

    status, code = 409, "old_revision"

    def __init__(self, message: str, *, retry_after: int | None = None, revision: int | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.revision = revision

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_old, (str(self), self.revision))

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | {"revision": self.revision}


def _rebuild_old(message: str, revision: int | None) -> OldRevision:
    return OldRevision(message, revision=revision)


class TooLarge(SttError):
    """The upload, the recording or the text exceeds a limit."""

    status, code = 413, "too_large"


class IdempotencyMismatch(SttError):
    """The Idempotency-Key was used for a different request before."""

    status, code = 422, "idempotency_mismatch"


class RateLimited(SttError):
    """The caller sent too many requests; retry after `retry_after` seconds."""

    status, code, retry_after = 429, "rate_limited", 60


class Cancelled(SttError):
    """The caller cancelled the work."""

    status, code = 499, "cancelled"


class Disconnected(Cancelled):
    """The caller closed the connection. A job that can be found again goes on."""


class Unavailable(SttError):
    """The server cannot do this now; retry after `retry_after` seconds."""

    status, code, retry_after = 503, "unavailable", 30


class ModelMissing(Unavailable):
    """The model is not installed."""

    code, retry_after = "model_missing", 300


class ModelBroken(Unavailable):
    """The files of the model cannot be loaded."""

    code, retry_after = "model_broken", 300


class Busy(Unavailable):
    """The queue is full, or the request waited too long."""

    code = "busy"


class BadAnswer(Unavailable):
    """A language model did not answer in the requested form."""

    code = "bad_answer"


class EngineCrashed(Unavailable):
    """A worker process or an engine failed."""

    code, retry_after = "engine_crashed", 5


class EngineTimedOut(Unavailable):
    """An engine worked longer than its input justifies."""

    code, retry_after = "engine_timed_out", 60


def of_body(body: Mapping[str, Any]) -> SttError:
    """Return the error that `as_dict` wrote; a plain one for an unknown code."""
    kinds = {kind.code: kind for kind in _kinds(SttError)}
    kind, message = kinds.get(body.get("code", ""), SttError), str(body.get("error", ""))
    return OldRevision(message, revision=body.get("revision")) if kind is OldRevision else kind(message)


def _kinds(root: type[SttError]) -> Iterator[type[SttError]]:
    yield root
    for child in root.__subclasses__():
        yield from _kinds(child)
