"""The jobs of one caller, as they see them."""

from __future__ import annotations

from dataclasses import replace

from stt_lab.errors import NotFound
from stt_lab.jobs.lifecycle import JOB, JobLifecycle
from stt_lab.jobs.workers import JobWorkers
from stt_lab.store import queue
from stt_lab.store.queue import JobRow
from stt_lab.types import JobInfo

ID = 40  # longest id


class OwnJobs:
    """Reads jobs of an owner: an account, and the hashed address of an anonymous caller."""

    def __init__(self, lifecycle: JobLifecycle, workers: JobWorkers) -> None:
        self._lifecycle, self._workers = lifecycle, workers

    def find(self, owner: tuple[int, str], job_id: str) -> JobRow:
        """Return a job. Raises NotFound, also for a job of another owner."""
        row = self._lifecycle.find(job_id) if job_id.startswith(JOB) and len(job_id) <= ID else None
        if row is None or (row.account_id, row.client) != owner:
            raise NotFound(f"Job '{job_id[:60]}' was not found.")
        return row

    def newest(self, owner: tuple[int, str], limit: int) -> tuple[JobInfo, ...]:
        """Return the newest jobs, newest first."""
        with self._lifecycle.database.read() as session:
            rows = queue.of_owner(session, *owner, JOB, limit)
            places = queue.places(session)
        return tuple(self._shown(row, places.get(row.id)) for row in rows)

    def info(self, row: JobRow) -> JobInfo:
        """Return a job with its place in the queue, its newest progress and the text so far."""
        place = None
        if row.state == "queued":
            with self._lifecycle.database.read() as session:
                place = queue.places(session).get(row.id)
        return self._shown(row, place)

    def _shown(self, row: JobRow, place: int | None) -> JobInfo:
        info = replace(row.info, filename=row.filename, place=place)
        if row.state != "running" or (seen := self._workers.progress(row.id)) is None:
            return info
        return replace(info, stage=seen.stage, percent=round(seen.percent, 1), eta_s=seen.eta_s, text=seen.text)
