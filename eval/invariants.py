"""What must hold after a crash, read from the database and the disk and not from the server.

Every request of eval/kills.py sends its recording under a name of its own, which jobs and transcripts keep: so each is
compared with the recording that was sent.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from sqlalchemy import func, select

from stt_lab.jobs.files import JobFiles, digest
from stt_lab.library import Library
from stt_lab.store import queue
from stt_lab.store.database import Database, Session
from stt_lab.store.models import Job, LedgerRow, SegmentRow, TranscriptRow

SCRATCH = ("uploads", "work", "gradio")
FOLDERS = (*SCRATCH, "jobs", "audio", "artifacts", "servers", "sign-in")  # of the data directory; beside them
OWN = (
    *(f"stt_lab.db{end}" for end in ("", "-wal", "-shm")),
    "server.lock",
    ".stt_lab.db.lock",  # of a database that the settings name
    "webhooks.key",
    "access.key",
    "admin.digest",
    "address",
)


@dataclass(frozen=True)
class Clip:
    path: Path
    seconds: float
    sha256: str

    @property
    def minutes(self) -> int:
        """What it costs, in credits."""
        return math.ceil(self.seconds / 60)


@dataclass(frozen=True)
class House:
    """A data directory, its database, and the account that pays."""

    folder: Path
    url: str
    account_id: int
    granted: int  # credits

    @property
    def alone(self) -> bool:
        """Whether no other server can be on the data directory, so that nothing may be left for a while."""
        return self.url.startswith("sqlite")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Over a connection of its own, so that nothing of ours is open when a server is killed or starts."""
        database = Database(self.url)
        try:
            with database.read() as session:
                yield session
        finally:
            database.close()

    def files(self, *names: str) -> list[Path]:
        """What is in these folders, also in those of servers that share the directory."""
        places = [place for name in names for place in (self.folder / name, *self.folder.glob(f"servers/*/{name}"))]
        return [path for place in places if place.is_dir() for path in place.iterdir()]

    def unfinished(self) -> int:
        with self.session() as session:
            return len(queue.active(session))

    def sweep(self) -> None:
        """What servers that share a directory do with files that nobody has, when these are an hour old."""
        database = Database(self.url)
        files = JobFiles(self.folder)
        with database.read() as session:
            active, kept = queue.active(session), queue.with_result(session)
        files.sweep(files.older(0), active, active | kept)
        Library(database, self.folder).sweep(0)
        database.close()


def at_kill(house: House) -> Counter[str]:
    """How far the work was: from a copy of the files of SQLite, which stay as the dead server left them."""
    with tempfile.TemporaryDirectory() as copy:
        for path in house.folder.glob("stt_lab.db*"):
            shutil.copy(path, copy)
        url = f"sqlite:///{copy}/stt_lab.db" if house.alone else house.url
        with House(Path(copy), url, 0, 0).session() as session:
            states = dict(session.execute(select(Job.id, Job.state)).tuples().all())
            stored = set(session.scalars(select(TranscriptRow.audio).where(TranscriptRow.audio.is_not(None))))
    found = Counter(state for state in states.values() if state in queue.ACTIVE)
    found["uploaded"], found["decoded"] = len(house.files("uploads")), len(house.files("work"))
    found["not committed"] = sum(path.name not in stored for path in house.files("audio"))
    for folder in house.files("jobs"):
        state = states.get(folder.name)
        found["not accepted"] += state is None
        found["committed, not tidied"] += state not in (None, *queue.ACTIVE)
    return found


@dataclass(frozen=True)
class Look:
    """Everything that is kept, at one moment."""

    house: House
    clips: Mapping[str, Clip]  # by the name under which it was sent
    jobs: Sequence[Job]
    entries: Sequence[LedgerRow]  # oldest first
    transcripts: Mapping[int, TranscriptRow]
    segments: Mapping[int, int]  # how many a transcript has

    def broken(self) -> list[str]:
        """What does not hold, a sentence each."""
        return [*self._ends(), *self._charges(), *self._balance(), *self._library(), *self._files()]

    def _ends(self) -> Iterator[str]:
        """Each job has ended, and says why when it failed; no request was done twice."""
        for job in self.jobs:
            said = (job.error or {}).get("error", "")
            if job.state in queue.ACTIVE or job.finished is None:
                yield f"{job.id} is stuck in {job.state}"
            elif (job.state == "done") == bool(said) or (said and not said.endswith(".")):
                yield f"{job.id} is {job.state} and says {said!r}"
        for name, times in Counter(job.filename for job in self.jobs if job.state == "done").items():
            if times > 1:
                yield f"request {name} was done {times} times"

    def _charges(self) -> Iterator[str]:
        """A job that is done has paid for its minutes once; another one has paid nothing."""
        of_job = defaultdict(list)
        for entry in self.entries:
            if entry.kind != "grant":
                of_job[entry.job_id].append(entry)
        for job in self.jobs:
            own = of_job.pop(job.id, [])
            kinds, minutes = [entry.kind for entry in own], sum(entry.minutes for entry in own)
            right = [["reserve", "settle"]] if job.state == "done" else [[], ["reserve", "release"]]
            if kinds not in right or minutes != self._due(job):
                yield f"{job.id} is {job.state} with {kinds} and {minutes} minutes instead of {self._due(job)}"
        yield from (f"{job_id} has paid and is no job" for job_id in of_job)

    def _due(self, job: Job) -> int:
        return self.clips[job.filename].minutes if job.state == "done" else 0

    def _balance(self) -> Iterator[str]:
        """What was granted less what was done, and at no time less than nothing."""
        mine = self.house.account_id
        steps = list(accumulate(entry.credits for entry in self.entries if entry.account_id == mine))
        right = self.house.granted - sum(self._due(job) for job in self.jobs if job.account_id == mine)
        if min(steps) < 0 or steps[-1] != right:
            yield f"the balance is {steps[-1]} (once {min(steps)}) instead of {right}"

    def _library(self) -> Iterator[str]:
        """A transcript for each job that asked for one, in the same state; with text and recording when it is done."""
        owned = set()
        for job in self.jobs:
            if job.account_id != self.house.account_id or not job.parameters["store"]:
                continue
            row = self.transcripts.get(job.transcript_id or 0)
            if row is None or row.status != job.state:
                yield f"{job.id} is {job.state} and its transcript {row and row.status}"
                continue
            owned.add(row.id)
            if (job.state == "done") != bool(self.segments.get(row.id)):
                yield f"transcript {row.id} is {row.status} and has {self.segments.get(row.id, 0)} segments"
            if job.state == "done" and self._recording(row) != self.clips[job.filename].sha256:
                yield f"transcript {row.id} has no recording, or another's"
        yield from (f"transcript {number} is nobody's" for number in self.transcripts.keys() - owned)

    def _recording(self, row: TranscriptRow) -> str | None:
        path = self.house.folder / "audio" / (row.audio or "none")
        return digest(path) if path.is_file() else None

    def _files(self) -> Iterator[str]:
        """Nothing but the database and the library's recordings; servers that share a directory sweep it later."""
        left = [path for top in self.house.files(*SCRATCH) for path in (top, *top.rglob("*")) if path.is_file()]
        if self.house.alone:
            names = {row.audio for row in self.transcripts.values()}
            left += self.house.files("jobs")
            left += [path for path in self.house.files("audio") if path.name not in names]
        left += [path for path in self.house.folder.iterdir() if path.name not in (*FOLDERS, *OWN)]
        yield from (f"{path.relative_to(self.house.folder)} is left" for path in left)


def look(house: House, clips: Mapping[str, Clip]) -> Look:
    counted = select(SegmentRow.transcript_id, func.count()).group_by(SegmentRow.transcript_id)
    with house.session() as session:
        return Look(
            house,
            clips,
            session.scalars(select(Job)).all(),
            session.scalars(select(LedgerRow).order_by(LedgerRow.id)).all(),
            {row.id: row for row in session.scalars(select(TranscriptRow))},
            dict(session.execute(counted).tuples().all()),
        )
