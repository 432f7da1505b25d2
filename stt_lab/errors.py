"""Every error that a user can meet. `str(error)` is one sentence that says what to do.

SttError                  500  internal
├── BadInput              400  bad_parameter
│   ├── MissingFile       400  missing_file
│   └── UnsupportedMedia  400  unsupported_media
├── Unauthorized          401  unauthorized
├── NoCredits             402  no_credits
├── Forbidden             403  forbidden
├── NotFound              404  not_found
├── Conflict              409  conflict              the first request with an Idempotency-Key is still worked on
├── TooLarge              413  too_large
├── IdempotencyMismatch   422  idempotency_mismatch  the Idempotency-Key came with another request before
├── RateLimited           429  rate_limited       with retry_after
├── Cancelled             499  cancelled
└── Unavailable           503  unavailable        with retry_after
    ├── ModelMissing      503  model_missing
    ├── Busy              503  busy
    ├── BadAnswer         503  bad_answer         a language model did not keep to what it was asked for
    └── EngineCrashed     503  engine_crashed
"""

from __future__ import annotations

from typing import ClassVar


class SttError(Exception):
    """Root of the tree: a status of HTTP, a stable code, and a sentence for people."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retry_after: int | None = None  # seconds, an integer as HTTP wants it

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.retry_after))  # crosses from worker processes

    def as_dict(self) -> dict[str, object]:
        """The one shape of an error on the wire."""
        return {"error": str(self), "code": self.code}


def _rebuild(kind: type[SttError], message: str, retry_after: int | None) -> SttError:
    return kind(message, retry_after=retry_after)


class BadInput(SttError):
    status, code = 400, "bad_parameter"


class MissingFile(BadInput):
    code = "missing_file"


class UnsupportedMedia(BadInput):
    code = "unsupported_media"


class Unauthorized(SttError):
    status, code = 401, "unauthorized"


class NoCredits(SttError):
    status, code = 402, "no_credits"


class Forbidden(SttError):
    status, code = 403, "forbidden"


class NotFound(SttError):
    status, code = 404, "not_found"


class Conflict(SttError):
    status, code = 409, "conflict"


class TooLarge(SttError):
    status, code = 413, "too_large"


class IdempotencyMismatch(SttError):
    status, code = 422, "idempotency_mismatch"


class RateLimited(SttError):
    status, code, retry_after = 429, "rate_limited", 60


class Cancelled(SttError):
    status, code = 499, "cancelled"


class Unavailable(SttError):
    status, code, retry_after = 503, "unavailable", 30


class ModelMissing(Unavailable):
    code, retry_after = "model_missing", 300


class Busy(Unavailable):
    code = "busy"


class BadAnswer(Unavailable):
    code = "bad_answer"


class EngineCrashed(Unavailable):
    code, retry_after = "engine_crashed", 5
