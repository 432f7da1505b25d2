"""Where the disk is full, the database is locked or a model is broken: /health names it, and reads go on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from fakes import KEY, Service, fakes_fixture, served, started, tone, until  # noqa: F401

from stt_lab.accounts.accounts import Accounts
from stt_lab.documents import Export
from stt_lab.errors import SttError, Unavailable
from stt_lab.library import Library
from stt_lab.settings import Settings
from stt_lab.store import probe
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID, now
from stt_lab.store.notes import Notes
from stt_lab.types import Segment, Transcript

OWNER = {"Authorization": f"Bearer {KEY}"}
Make = Callable[..., Settings]


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    with served(fakes(engine_host="process")) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=30) as made:
        yield made


def health(client: httpx.Client) -> dict[str, object]:
    """What /health says, which takes it less than a second."""
    began = time.monotonic()
    answer = client.get("/health")
    assert time.monotonic() - began < 1.0
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


@contextmanager
def locked(service: Service) -> Iterator[None]:
    """Another program holds SQLite's write lock."""
    raw = sqlite3.connect(service.settings.data_dir / "stt_lab.db", isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        raw.execute("ROLLBACK")
        raw.close()


def test_all_is_well(client: httpx.Client) -> None:
    assert health(client)["problems"] == []


def test_a_full_disk(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    told = health(client)
    assert told["status"] == "degraded"
    assert "free space" in str(told["problems"])


def test_a_locked_database(client: httpx.Client, service: Service) -> None:
    account = service.accounts.create("Ada")
    _, key = service.accounts.create_key(account.id, "test", ["library", "account"])
    ada = {"Authorization": f"Bearer {key}"}
    with ExitStack() as threads, locked(service):
        told = health(client)
        assert told["status"] == "degraded"
        assert "locked" in str(told["problems"])
        for number in range(20):  # short writes, which wait for the lock
            body = {"name": f"x{number}", "scopes": ["account"]}
            write = lambda body=body: client.post("/api/v1/keys/", json=body, headers=ada)  # noqa: E731
            threads.enter_context(started(write, 60))
        time.sleep(0.3)
        slowest = 0.0
        for path in ("/api/v1/transcripts/", "/api/v1/account/", "/api/v1/keys/"):  # whose key is used the first time
            began = time.monotonic()
            assert client.get(path, headers=ada).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1.0
        assert "locked" in str(health(client)["problems"])
    until(lambda: health(client)["problems"] == [], 10)


def test_a_database_that_hangs_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    go, checks = threading.Event(), list[int]()

    def hang() -> None:
        checks.append(1)
        assert go.wait(10)

    one = probe.Probe(hang)
    for _ in range(3):
        began = time.monotonic()
        assert one.problem() == probe.SILENT
        assert time.monotonic() - began < 1.0
    assert len(checks) == 1
    go.set()
    until(lambda: one.problem() == "")


def test_a_corrupt_model(client: httpx.Client, service: Service, tmp_path: Path) -> None:
    sound = tone(tmp_path / "a.wav").read_bytes()
    sent = {"files": {"file": ("a.wav", sound)}, "data": {"model": "corrupt", "diarize": "false"}, "headers": OWNER}
    answer = client.post("/v1/transcribe", **sent)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (503, "model_broken")
    assert answer.headers["retry-after"]
    assert "'corrupt'" in str(health(client)["problems"])
    (tmp_path / "models" / "corrupt" / "mended").touch()
    assert client.post("/v1/transcribe", **sent).status_code == 200  # type: ignore[arg-type]
    assert health(client)["problems"] == []


def test_a_worker_that_keeps_crashing(client: httpx.Client, tmp_path: Path) -> None:
    sound = tone(tmp_path / "a.wav").read_bytes()
    sent = {"files": {"file": ("a.wav", sound)}, "data": {"model": "crash", "diarize": "false"}, "headers": OWNER}
    for _ in range(3):
        assert client.post("/v1/transcribe", **sent).status_code == 503  # type: ignore[arg-type]
    assert "crashed" in str(health(client)["problems"])


# Documents


def test_two_documents_at_a_time(client: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty at once of one account: two are made, four wait, the others are told when to come again."""
    now_, most, go = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow(*arguments: object) -> Export:
        nonlocal now_, most
        with lock:
            now_, most = now_ + 1, max(most, now_ + 1)
        assert go.wait(10)
        with lock:
            now_ -= 1
        return Export("application/pdf", ".pdf", iter([b"pdf"]))

    monkeypatch.setattr("stt_lab.operations.library.export", slow)
    with service.runtime.database.write() as session:
        number = service.library.open(session, ADMINISTRATOR_ID, "Talk")
        made = Transcript("en", 1.0, (Segment(0.0, 1.0, "Hello."),), model="m")
        service.library.complete(session, number, made)
    statuses: list[tuple[int, str | None]] = []

    def export() -> None:
        answer = client.get(f"/api/v1/transcripts/{number}/export/pdf/", headers=OWNER)
        statuses.append((answer.status_code, answer.headers.get("retry-after")))

    with ExitStack() as threads:
        for _ in range(20):
            threads.enter_context(started(export))
        until(lambda: len(statuses) == 14, 10)
        assert health(client)["problems"] == []
        go.set()
    assert most == 2
    assert sorted(status for status, _ in statuses) == [200] * 6 + [429] * 14
    assert all(retry for status, retry in statuses if status == 429)


# What is written behind requests


def test_the_last_use_is_written_behind(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create("Ada")
    _, key = accounts.create_key(account.id, "test", ["speech"])
    accounts.identify(key)
    database.flush()
    (stored,) = accounts.keys(account.id)
    assert stored.last_used is not None
    assert now() - stored.last_used < timedelta(seconds=10)


def test_the_last_use_is_written_soon(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create("Ada")
    _, key = accounts.create_key(account.id, "test", ["speech"])
    accounts.identify(key)
    until(lambda: accounts.keys(account.id)[0].last_used is not None, 10)


def test_notes_are_bounded_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.store.notes.MOST", 3)
    done: list[int] = []

    @contextmanager
    def transaction() -> Iterator[None]:
        if not done:
            done.append(0)
            raise Unavailable("The database is locked.")
        yield

    notes = Notes(transaction)  # type: ignore[arg-type]
    for number in range(5):
        notes.add(number, lambda session, number=number: done.append(number))  # type: ignore[misc]
    with pytest.raises(SttError):
        notes.flush()
    notes.flush()
    assert done == [0]  # what could not be written is dropped
    for number in (1, 1, 2, 3, 4):
        notes.add(number, lambda session, number=number: done.append(number))  # type: ignore[misc]
    notes.flush()
    assert done == [0, 1, 2, 3]
    notes.close()
    notes.add(5, lambda session: done.append(5))
    notes.flush()
    assert done == [0, 1, 2, 3]


# Damaged rows


@pytest.mark.parametrize(
    ("column", "value"),
    [("speakers", "not JSON"), ("speakers", '["\\ud800"]'), ("speakers", "7"), ("title", b"\xff\xfe"), ("created", "x"),
     ("names", "{"), ("error", b"\xc3"), ("finished", "never")],
)  # fmt: skip
def test_a_damaged_row_hides_no_other(service: Service, client: httpx.Client, column: str, value: object) -> None:
    with service.runtime.database.write() as session:
        for title in ("One", "Two", "Three"):
            number = service.library.open(session, ADMINISTRATOR_ID, title)
            made = Transcript("en", 1.0, (Segment(0.0, 1.0, f"{title} bread.", speaker="A"),), ("A",), model="m")
            service.library.complete(session, number, made)
    raw = sqlite3.connect(service.settings.data_dir / "stt_lab.db")
    with raw:
        raw.execute(f"UPDATE transcripts SET {column} = CAST(? AS TEXT) WHERE id = 2", (value,))
    raw.close()
    for path in ("/api/v1/transcripts/", "/api/v1/search/?query=bread"):
        answer = client.get(path, headers=OWNER)
        assert answer.status_code == 200, answer.text
        assert {"One", "Three"} <= {one["title"] for one in answer.json()["results"]}


def test_a_damaged_job_stops_no_other(service: Service, client: httpx.Client, tmp_path: Path) -> None:
    raw = sqlite3.connect(service.settings.data_dir / "stt_lab.db")
    with raw:
        raw.execute(
            "INSERT INTO jobs (id, account_id, client, operation, parameters, filename, state, stage, percent,"
            " cancel_requested, attempts, created) VALUES ('job_0', 1, '', 'transcribe', '{', '', 'queued', 'queued',"
            " 0, 0, 0, '2020-01-01 00:00:00.000000')"
        )
    raw.close()
    sound = tone(tmp_path / "a.wav").read_bytes()
    sent = {"files": {"file": ("a.wav", sound)}, "data": {"model": "echo", "diarize": "false"}, "headers": OWNER}
    assert client.post("/v1/transcribe", **sent).status_code == 200  # type: ignore[arg-type]
    until(lambda: client.get("/v1/jobs/job_0", headers=OWNER).json()["status"] == "failed")


def test_the_library_of_python_reads_damaged_rows(database: Database, tmp_path: Path) -> None:
    library = Library(database, tmp_path)
    with database.write() as session:
        library.open(session, ADMINISTRATOR_ID, "One")
    assert library.list(ADMINISTRATOR_ID).count == 1
