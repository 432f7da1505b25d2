"""The progress of long work, and the state of its job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

TEXT = 1000  # characters of a recording that its progress shows


@dataclass(frozen=True)
class Event:
    """Progress of long work: the stage, its completed fraction, and what was recognized so far."""

    STAGES: ClassVar[tuple[str, ...]] = (
        *("queued", "decoding", "loading", "transcribing", "diarizing", "checking", "joining"),
        *("reading", "writing", "translating", "enhancing", "speaking", "downloading"),
    )

    stage: str
    fraction: float = 0.0  # completed part of the stage, 0 to 1
    text: str = ""  # the last TEXT characters that were recognized; checks may still change them


Report = Callable[[Event], None]  # receives progress; raises Cancelled if the work is no longer needed


def silent(event: Event) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class JobInfo:
    """The state of a job."""

    id: str
    status: str  # queued, running, done, failed or cancelled
    stage: str
    percent: float  # of the whole job, 0 to 100
    eta_s: float | None  # estimated remaining seconds
    created: datetime
    started: datetime | None
    finished: datetime | None
    transcript_id: int | None  # id of its transcript in the library
    error: dict[str, Any] | None  # {"error", "code", "status"} if it failed or was cancelled
    url: str  # address of the job
    operation: str = ""
    filename: str = ""  # of the recording, as the client named it; in answers to its owner only
    about: str = ""  # id of what the job works on, such as a model or a transcript; "" for a recording
    place: int | None = None  # in the queue, from 1, by time of arrival; accounts take turns
    text: str = ""  # the end of what was recognized so far, while this server transcribes
    waited_s: float = 0.0  # seconds in the queue, and for a turn on the device
    loading_s: float = 0.0  # seconds in which models were loaded
