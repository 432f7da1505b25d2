"""Operations on jobs: work in the background, and work whose client has disconnected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from stt_lab.operations.speech import TEXTS
from stt_lab.registry import Presentation, current, operation, present
from stt_lab.types import JobInfo, Transcript

if TYPE_CHECKING:
    from stt_lab.jobs import JobQueue
    from stt_lab.jobs.queue import FinishedJob


@dataclass(frozen=True)
class WebhookDelivery:
    """The call of a job's webhook, with its attempts."""

    id: str  # value of the header X-STT-Delivery
    attempts: int
    status: int | None  # HTTP status of the last attempt
    error: str  # of the last attempt; "" if it succeeded
    created: datetime
    delivered: datetime | None
    next_attempt: datetime | None  # time of the next attempt; None if delivered or given up


@dataclass(frozen=True)
class DeliveryList:
    count: int
    results: tuple[WebhookDelivery, ...]


Id = Annotated[str, Field(description="Id of the job, from the answer to its request")]


@operation("GET", "/v1/jobs/{id}", scope="speech", anonymous=True)
def job(id: Id) -> JobInfo:
    """Show the progress of a job: status, stage, percent and estimated remaining seconds."""
    return jobs().get(current().caller, id)


@dataclass(frozen=True)
class JobList:
    """The caller's newest jobs, newest first."""

    count: int
    results: tuple[JobInfo, ...]


@operation("GET", "/v1/jobs", scope="speech")
def list_jobs(limit: Annotated[int, Field(ge=1, le=100, description="Most jobs in the answer")] = 20) -> JobList:
    """List the account's newest jobs, waiting, running and ended, newest first. They are kept for 30 days.

    Without a key there is no list, because several people may share an address: keep the ids of your jobs.
    """
    found = jobs().newest(current().caller, limit)
    return JobList(len(found), found)


def _as_asked(finished: FinishedJob, parameters: Mapping[str, Any]) -> Any:
    """Present the result of a job in the format of its own request."""
    return present(finished.operation, finished.value, finished.parameters)


@operation(
    "GET",
    "/v1/jobs/{id}/result",
    scope="speech",
    anonymous=True,
    presentation=Presentation(_as_asked, TEXTS, Transcript),
)
def job_result(id: Id) -> Any:
    """Get the result of a finished job, in the format of its request. The server keeps it for a day."""
    return jobs().result(current().caller, id)


@operation("DELETE", "/v1/jobs/{id}", scope="speech", anonymous=True)
def cancel_job(id: Id) -> JobInfo:
    """Cancel a job without charge. A job that has ended stays unchanged."""
    return jobs().cancel(current().caller, id)


@operation("GET", "/v1/jobs/{id}/deliveries", scope="speech")
def job_deliveries(id: Id) -> DeliveryList:
    """List the attempts to call a job's webhook, and the receiver's answers."""
    found = jobs().deliveries(current().caller, id)
    names = [field.name for field in fields(WebhookDelivery)]
    made = tuple(WebhookDelivery(**{name: getattr(one, name) for name in names}) for one in found)
    return DeliveryList(len(made), made)


def jobs() -> JobQueue:
    """Return the jobs of this server; in Python and on the command line, those in the store."""
    from stt_lab.jobs import JobQueue  # slow to import

    context = current()
    if isinstance(context.gate, JobQueue):
        return context.gate
    runtime = context.runtime
    return JobQueue(runtime, runtime.database, runtime.accounts, runtime.library, runtime.settings)
