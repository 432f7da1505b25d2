"""A house of jobs: a database, the servers on it, and two operations whose work the test decides.

`python house.py DATABASE FOLDER` is one more server, in a process of its own.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import pytest
from databases import TEMPLATE, cluster, sqlite_template
from pydantic import Field
from sqlalchemy import select, update

from stt_lab.accounts.accounts import Accounts, Tier
from stt_lab.caller import ANONYMOUS, Caller
from stt_lab.errors import (
    BadInput,
    EngineCrashed,
)
from stt_lab.jobs import JobQueue
from stt_lab.library import Library
from stt_lab.operations.speech import TEXTS, formatted
from stt_lab.registry import OPERATIONS, Charge, Context, JobSpec, Media, Operation, Presentation, call, current
from stt_lab.settings import Settings
from stt_lab.store import queue
from stt_lab.store.database import Database
from stt_lab.store.models import Job, LedgerRow
from stt_lab.types import Event, File, Segment, Transcript

TESTS = Path(__file__).parent


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


both = pytest.mark.parametrize("house", ["sqlite", "postgresql"], indirect=True)  # others run on SQLite only


# -- an operation whose work the test decides


class Stage:
    """What `hum` does, and what it did."""

    began: ClassVar[list[str]] = []
    open: ClassVar[threading.Event] = threading.Event()

    @classmethod
    def reset(cls) -> None:
        cls.began, cls.open = [], threading.Event()


def hum(
    file: Media,
    act: str = "",
    response_format: Annotated[str, Field()] = "json",
) -> Transcript:
    """Say what is in the file."""
    context = current()
    text = file.read_text()
    Stage.began.append(text)
    context.report(Event("decoding", 1.0))
    context.meter(61.0)
    while act == "wait" and not Stage.open.is_set():
        context.report(Event("transcribing", 0.5))
        time.sleep(0.01)
    for stage in ("loading", "queued") if act == "idle" else ():
        context.report(Event(stage))
        time.sleep(0.3)
        context.report(Event("transcribing"))
    if act == "deaf":
        Stage.open.wait(20)
    if act == "bad":
        raise BadInput("This is no sound: send another file.")
    if act == "crash":
        raise EngineCrashed("The engine stopped.")
    if act == "broken":
        raise RuntimeError("a secret in /etc/passwd")
    return Transcript("en", 61.0, (Segment(0.0, 61.0, text),), model="hum")


def sing(file: Media, act: str = "") -> File:
    """Make a sound of what is in the file: two minutes, and three are expected."""
    text = file.read_text()
    Stage.began.append(f"{text} of {current().caller.name} for {','.join(sorted(current().caller.scopes))}")
    while act == "wait" and not Stage.open.is_set():
        current().report(Event("singing", 0.5))
        time.sleep(0.01)
    current().meter(120.0)

    def chunks() -> Iterator[bytes]:
        yield text.encode()
        if act == "broken":
            raise BadInput("No sound comes out of this.")
        yield b" sung"

    return File("song.wav", "audio/wav", chunks(), ("It is loud.",), headers={"X-Duration": "120.0"})


def note(name: str) -> dict[str, str]:
    """Make a note, which has a secret."""
    Stage.began.append(name)
    if name == "slow":
        Stage.open.wait(20)
    if name == "bad":
        raise BadInput("Not this name.")
    return {"name": name, "key": f"secret-{len(Stage.began)}"}


STAGES = {"decoding": 5.0, "transcribing": 60.0, "diarizing": 32.0, "joining": 3.0}


def declared() -> Iterator[Operation]:
    kinds: dict[Callable[..., Any], dict[str, Any]] = {
        hum: {
            "charge": Charge("input"),
            "job": JobSpec(lambda **values: STAGES, library=True),
            "presentation": Presentation(formatted, TEXTS),
            "anonymous": True,
        },
        sing: {
            "charge": Charge("output", estimate=lambda **values: 180.0),
            "job": JobSpec(lambda **values: {"singing": 1.0}),
        },
        note: {},
    }
    for fn, more in kinds.items():
        yield Operation(fn=fn, method="POST", path=f"/v1/{fn.__name__}", scope="speech", **more)


@pytest.fixture(autouse=True)
def operations(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage.reset()
    for op in declared():
        monkeypatch.setitem(OPERATIONS, op.name, op)


@dataclass
class House:
    """A database with an account that pays, and the servers on it."""

    database: Database
    folder: Path
    accounts: Accounts
    library: Library
    ada: Caller
    servers: list[JobQueue]
    name: str  # of the database
    pool: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(capacity=1, kept=0))

    def server(self, *, start: bool = True, **settings: Any) -> JobQueue:
        plain: dict[str, Any] = {"data_dir": self.folder / "data", "device": "cpu", "webhook_allow_private": True}
        runtime: Any = SimpleNamespace(pool=self.pool)
        jobs = JobQueue(runtime, self.database, self.accounts, self.library, Settings(**plain | settings))
        self.servers.append(jobs)
        if start:
            jobs.start()
        return jobs

    def file(self, text: str = "hello") -> Path:
        path = self.folder / f"upload-{text[:20]}"
        if not path.exists():  # jobs have links to it
            path.write_text(text)
        return path

    def ask(self, jobs: JobQueue, text: str = "hello", caller: Caller | None = None, **more: Any) -> Any:
        """What a surface does for a request."""
        context = {name: more.pop(name) for name in ("report", "idempotency_key") if name in more}
        who = Context(caller or self.ada, None, gate=jobs, filename="talk.wav", **context)  # type: ignore[arg-type]
        return call(OPERATIONS[more.pop("operation", "hum")], {"file": self.file(text), **more}, who)

    def note(self, jobs: JobQueue, name: str, key: str | None, caller: Caller | None = None) -> Any:
        context = Context(caller or self.ada, None, gate=jobs, idempotency_key=key)  # type: ignore[arg-type]
        return call(OPERATIONS["note"], {"name": name}, context)

    def rows(self) -> list[queue.JobRow]:
        with self.database.read() as session:
            return [
                queue.JobRow(**row._mapping) for row in session.execute(select(*queue.COLUMNS).order_by(Job.created))
            ]

    def entries(self, job_id: str) -> list[str]:
        with self.database.read() as session:
            return sorted(session.scalars(select(LedgerRow.kind).where(LedgerRow.job_id == job_id)))

    def spent(self) -> int:
        return 100 - self.accounts.balance(self.ada.account_id)

    def stray(self) -> list[Path]:
        """Return the folders of jobs, which are deleted shortly after a job has ended."""
        return list((self.folder / "data" / "jobs").iterdir())

    def change(self, job_id: str, **values: Any) -> None:
        with self.database.write() as session:
            session.execute(update(Job).where(Job.id == job_id).values(**values))


def _name(folder: Path) -> str:
    return f"jobs_{folder.name.lower()}"[:60]


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[Database]:
    """A migrated database."""
    name = _name(folder)
    if kind == "sqlite":
        shutil.copy(sqlite_template(), folder / "stt_lab.db")
    url = f"sqlite:///{folder / 'stt_lab.db'}" if kind == "sqlite" else cluster().create(name, TEMPLATE)
    database = Database(url)
    yield database
    database.close()
    if kind != "sqlite":
        cluster().drop(name)


@pytest.fixture(name="house")
def house_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with database_of(getattr(request, "param", "sqlite"), tmp_path) as database:
        yield from house_on(database, tmp_path)


def house_on(database: Database, tmp_path: Path) -> Iterator[House]:
    accounts = Accounts(database)
    accounts.set_tier(Tier(name="paid", concurrent_jobs=100, takes_credits=True))
    account = accounts.create("ada", tier="paid")
    accounts.grant(account.id, 100)
    ada = Caller("ada", frozenset({"speech"}), account_id=account.id)
    house = House(database, tmp_path, accounts, Library(database, tmp_path / "data"), ada, [], _name(tmp_path))
    yield house
    Stage.open.set()
    for jobs in house.servers:
        jobs.close()


def client(name: str) -> Caller:
    return replace(ANONYMOUS, client=name)


def serve(url: str, folder: str) -> None:
    """A server of the test above; prints what it worked on."""
    OPERATIONS.update((op.name, op) for op in declared())
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    database = Database(url)
    runtime: Any = SimpleNamespace(pool=SimpleNamespace(capacity=1, kept=0))
    jobs = JobQueue(
        runtime, database, Accounts(database), Library(database, Path(folder)), Settings(data_dir=Path(folder))
    )
    jobs.start()
    over.wait(60)
    jobs.close()
    print("\n".join(Stage.began), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
