"""Operations on jobs: long work that was sent into the background, or whose client has gone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stt_lab.registry import current, operation
from stt_lab.types import JobInfo, Rendering, Transcript

if TYPE_CHECKING:
    from stt_lab.jobs import Jobs


@dataclass(frozen=True)
class WebhookDelivery:
    """How far a receiver has been told how a job ended."""

    id: str  # as its header X-STT-Delivery says
    attempts: int
    status: int | None  # of HTTP, which the last attempt got
    error: str  # why the last attempt failed; "" when it did not
    created: datetime
    delivered: datetime | None
    next_attempt: datetime | None  # None: delivered, or given up


@dataclass(frozen=True)
class DeliveryList:
    count: int
    results: tuple[WebhookDelivery, ...]


Id = Annotated[str, Field(description="of the job, as the answer to its request said it")]


@operation("GET", "/v1/jobs/{id}", scope="speech")
def job(id: Id) -> JobInfo:
    """Say how far a job is: its status, stage, percent, and the seconds that the rest will take."""
    return jobs().get(current().caller, id)


@operation("GET", "/v1/jobs/{id}/result", scope="speech")
def job_result(id: Id) -> Transcript | Rendering:
    """Give the answer of a job that is done, as its request would have had it; kept for a day."""
    made: Transcript | Rendering = jobs().result(current().caller, id)
    return made


@operation("DELETE", "/v1/jobs/{id}", scope="speech")
def cancel_job(id: Id) -> JobInfo:
    """Cancel a job. Nothing is charged for it; one that has ended stays as it is."""
    return jobs().cancel(current().caller, id)


@operation("GET", "/v1/jobs/{id}/deliveries", scope="speech")
def job_deliveries(id: Id) -> DeliveryList:
    """Say how often a job's webhook was tried, and how the receiver answered."""
    found = jobs().deliveries(current().caller, id)
    names = [field.name for field in fields(WebhookDelivery)]
    made = tuple(WebhookDelivery(**{name: getattr(one, name) for name in names}) for one in found)
    return DeliveryList(len(made), made)


def jobs() -> Jobs:
    """The jobs of this server; on the command line and in Python those of the store, which a server works on."""
    from stt_lab.jobs import Jobs  # slow to import

    context = current()
    if isinstance(context.gate, Jobs):
        return context.gate
    runtime = context.runtime
    return Jobs(runtime, runtime.database, runtime.accounts, runtime.library, runtime.settings)
