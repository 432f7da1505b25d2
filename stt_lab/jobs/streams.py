"""Run live streams as jobs: at once, without a place in the queue, paid for minute by minute.

A stream keeps what is final in the folder of its job. So if its client or its server vanishes, the words that were sent
are stored, and what was heard is charged, once.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from stt_lab.caller import Caller
from stt_lab.errors import Cancelled, NotFound, SttError, Unavailable
from stt_lab.jobs.callers import to_row
from stt_lab.jobs.lifecycle import LostClaim
from stt_lab.jobs.stream_lifecycle import DELETED, LIVE, StreamLifecycle
from stt_lab.jobs.workers import ENDING, JobWorkers, RunningJob
from stt_lab.registry import Context, Request
from stt_lab.store.models import now
from stt_lab.store.queue import JobRow
from stt_lab.streaming.kept_streams import KeptStream
from stt_lab.streaming.updates import LastUpdate, Update
from stt_lab.types import Event

MINUTE_S = 60.0
ID_BYTES = 15  # ids have store.queries.PART characters

Work = Callable[[Context], Iterator[Update]]


class StreamJobs:
    """The streams of this server."""

    def __init__(self, lifecycle: StreamLifecycle, workers: JobWorkers) -> None:
        self._lifecycle, self._workers = lifecycle, workers

    def run(self, request: Request, context: Context, work: Work, title: str) -> Iterator[Update]:
        """Admit a stream, and yield its updates as `work` makes them. `title` is that of its transcript, if it is
        stored. Raises errors of quotas at once."""
        row = self._row(request, context.caller, title)
        stream = StreamJob(self._lifecycle, row, request.stored)
        return self._updates(stream, context, work)

    def _row(self, request: Request, caller: Caller, title: str) -> JobRow:
        row = JobRow(
            id=LIVE + secrets.token_hex(ID_BYTES),
            account_id=caller.account_id,
            client=caller.client if caller.anonymous else "",
            caller=to_row(caller),
            operation=request.op.name,
            parameters=request.parameters,
            filename=title[:255],
            created=now(),
        )
        return replace(self._lifecycle.claimed(row), started=row.created)

    def _updates(self, stream: StreamJob, context: Context, work: Work) -> Iterator[Update]:
        with self._workers.holding(stream.row) as job:
            try:
                inner = replace(
                    context,
                    report=lambda event: _report(job, context, event),
                    meter=stream.meter,
                    folder=stream.folder,
                    recording=stream.kept.sound if stream.stored else None,
                )
                for update in work(inner):
                    yield stream.passed(update)
            except BaseException as problem:
                stream.end(problem)
                raise
            stream.end()


class StreamJob:
    """One stream, from its admission to its end. Its job begins with the first sound; without any nothing is kept."""

    def __init__(self, lifecycle: StreamLifecycle, row: JobRow, stored: bool) -> None:
        self.row, self.stored = row, stored
        self._lifecycle = lifecycle
        self._minutes = 0  # that are reserved
        self._delivered = False  # whether something became final
        self._ended = False
        self.folder = lifecycle.begin_stream(row)
        self.kept = KeptStream(self.folder)

    def meter(self, seconds: float) -> None:
        """Reserve each minute as it begins. Raises NoCredits or RateLimited if there is none."""
        while self._minutes < math.ceil(seconds / MINUTE_S):
            part = self.row.id if not self._minutes else f"{self.row.id}.{self._minutes + 1}"
            self._lifecycle.reserve(replace(self.row, id=part), 1)
            if not self._minutes and self.stored:
                self.row = self._lifecycle.open_transcript(self.row)
            self._minutes += 1

    def passed(self, update: Update) -> Update:
        """Keep what is final in an update before it is sent; the last one gets the id of the transcript."""
        self._delivered = self._delivered or bool(update.words)
        if update.words and self.stored:
            self.kept.add(update)
        if not isinstance(update, LastUpdate) or update.transcript is None:
            return update
        whole = update.transcript
        if self.stored:  # with its words
            whole = replace(whole, segments=self.kept.transcript(self.row.parameters).segments)
        return replace(update, transcript=self._finish(whole))

    def end(self, problem: BaseException | None = None) -> None:
        """End the stream, if it has not ended yet: with what is final, or without a charge if nothing is and this
        server is at fault."""
        if self._ended:
            return
        stops = type(problem) is Unavailable  # the server, on purpose
        at_fault = isinstance(problem, SttError) and problem.status >= 500 and not stops
        if not self._minutes:
            self._ended = True
            self._lifecycle.forget_stream(self.row)
        elif at_fault and not self._delivered:
            self._ended = True
            assert isinstance(problem, SttError)
            with suppress(LostClaim):
                self._lifecycle.failed(self.row, problem)
            self._lifecycle.release_minutes(self.row, self._minutes)
        else:
            with suppress(SttError):
                self._finish(self.kept.transcript(self.row.parameters))

    def _finish(self, transcript: Any) -> Any:
        self._ended = True
        try:
            return self._lifecycle.finish_stream(self.row, transcript)
        except (NotFound, Cancelled):
            with suppress(LostClaim):
                self._lifecycle.failed(self.row, Cancelled(DELETED))
            return transcript
        except LostClaim:
            return transcript


def _report(job: RunningJob, context: Context, event: Event) -> None:
    if job.stop == "ending":
        raise Unavailable(ENDING)
    if job.stop:
        raise Cancelled("The stream was ended.")
    context.report(event)
