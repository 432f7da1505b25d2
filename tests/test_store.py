"""The store: migrations, transactions, and what happens when a database is away. On SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from databases import cluster, database_fixture, database_url_fixture, empty_url_fixture  # noqa: F401
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from stt_lab.errors import BadInput, Unavailable
from stt_lab.settings import Settings
from stt_lab.store import database as module
from stt_lab.store.database import Database, open_database
from stt_lab.store.models import (
    ADMINISTRATOR_ID,
    ANONYMOUS_ID,
    AccountRow,
    Base,
    Job,
    SegmentRow,
    TierRow,
    TranscriptRow,
)
from stt_lab.store.search import INDEXES, TABLE


def transcript(slug: str) -> TranscriptRow:
    return TranscriptRow(account_id=ADMINISTRATOR_ID, slug=slug, title=slug)


# -- migrations


def test_the_migrations_make_the_tables_of_the_models(database: Database) -> None:
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        found = [one for one in compare_metadata(context, Base.metadata) if "search_index" not in str(one)]
    assert found == []


def test_a_new_database_has_the_tiers_and_two_accounts(database: Database) -> None:
    with database.read() as session:
        tiers = {
            tier.name: (
                tier.per_day,
                tier.minutes_per_month,
                tier.max_upload_mb,
                tier.concurrent_jobs,
                tier.takes_credits,
            )
            for tier in session.scalars(select(TierRow))
        }
        accounts = {
            account.id: (account.name, account.tier, account.admin) for account in session.scalars(select(AccountRow))
        }
    assert tiers == {
        "anonymous": (3, None, 100, 1, False),
        "free": (None, 600, 500, 2, False),
        "paid": (None, None, 2048, 5, True),
        "unlimited": (None, None, None, None, False),
    }
    assert accounts == {
        ADMINISTRATOR_ID: ("administrator", "unlimited", True),
        ANONYMOUS_ID: ("anonymous", "anonymous", False),
    }


def test_servers_that_start_at_once_migrate_once(empty_url: str) -> None:
    program = (
        f"from stt_lab.store.database import Database; print(flush=True); input(); Database({empty_url!r}).migrate()"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    servers = [subprocess.Popen([sys.executable, "-c", program], text=True, **pipes) for _ in range(2)]
    for server in servers:
        assert server.stdout
        server.stdout.readline()  # all are ready
    for server in servers:
        assert server.stdin
        server.stdin.write("\n")
        server.stdin.flush()
    said = [server.communicate(timeout=120)[1] for server in servers]
    assert [server.returncode for server in servers] == [0, 0], said
    database = Database(empty_url)
    database.migrate()  # nothing to do
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(AccountRow)) == 2
    database.close()


def test_tables_with_transcripts_get_revisions(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's table is rebuilt: rows, what refers to them, the trigger and the numbers given so far stay."""
    upgrade = module.command.upgrade
    monkeypatch.setattr(module.command, "upgrade", lambda config, target: upgrade(config, "0005"))
    database = Database(empty_url)
    database.migrate()
    columns = "account_id, slug, title, status, duration, model, words, speakers, names, created, details"
    row = f"INSERT INTO transcripts ({columns})"
    with database.write() as session:
        for slug in ("first", "second"):
            values = "VALUES (1, :slug, 'A talk', 'done', 1.5, 'base', 1, '[]', '{}', :now, :details)"
            session.execute(
                text(f"{row} {values}"), {"slug": slug, "now": "2026-03-01 12:00:00", "details": '{"a": 1}'}
            )
        session.execute(
            text(
                'INSERT INTO segments (transcript_id, position, start, "end", text, words) '
                "VALUES (1, 0, 0.5, 1, 'Hello.', '[]')"
            )
        )
        INDEXES[database.dialect].put(session, 1, "hello")
        session.execute(text("DELETE FROM transcripts WHERE slug = 'second'"))
    monkeypatch.undo()
    database.migrate()
    with database.write() as session:
        found = session.scalars(select(TranscriptRow)).one()
        assert (found.id, found.title, found.revision, found.tags, found.details) == (1, "A talk", 1, None, {"a": 1})
        assert session.scalar(select(SegmentRow.text)) == "Hello."
        session.add(third := transcript("third"))
        session.flush()
        assert third.id == 3  # the number of the deleted one is not given again
        session.delete(found)
    with database.read() as session:
        assert [session.scalar(text(f"SELECT count(*) FROM {name}")) for name in ("segments", TABLE)] == [0, 0]
        if database.dialect == "sqlite":
            order = [column[1] for column in session.execute(text("PRAGMA table_info(transcripts)"))]
            assert order[-3:] == ["revision", "tags", "details"]  # the long one is the last
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []
    database.close()


def test_a_migration_that_fails_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(connection: object) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    upgrade = module.upgrade
    monkeypatch.setattr(module, "upgrade", cut_off)
    database = Database(empty_url)
    with pytest.raises(KeyboardInterrupt):
        database.migrate()
    monkeypatch.undo()
    database.migrate()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(TierRow)) == 4
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="newer version"):
        database.migrate()


# -- addresses


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_postgresql_is_understood(scheme: str) -> None:
    assert Database(f"{scheme}://ada:secret@db.example/stt").dialect == "postgresql"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@db.example:port/stt",
        "mysql://ada:secret@db.example/stt",
        "ada:secret@db.example",
        "postgresql+psycopg2://ada:secret@db.example/stt",
        "secret",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_bad_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadInput, match="STT_LAB_DATABASE_URL") as caught:
        Database(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_the_settings_name_the_database(tmp_path: Path, database_url: str) -> None:
    here = open_database(Settings(data_dir=tmp_path / "a ? b % c#"))
    assert (tmp_path / "a ? b % c#" / "stt_lab.db").exists()
    there = open_database(Settings(data_dir=tmp_path / "unused", database_url=database_url))
    assert not (tmp_path / "unused").exists()
    here.close()
    there.close()


# -- transactions


def test_a_transaction_commits_or_leaves_nothing(database: Database) -> None:
    with database.write() as session:
        session.add(transcript("kept"))
    with pytest.raises(ZeroDivisionError), database.write() as session:  # noqa: PT012
        session.add(transcript("lost"))
        session.flush()
        raise ZeroDivisionError
    with database.read() as session:
        assert session.scalars(select(TranscriptRow.slug)).all() == ["kept"]


def test_writers_that_read_first_lose_no_update(database: Database) -> None:
    def count() -> None:
        for _ in range(5):
            with database.write() as session:
                tier = session.get_one(TierRow, "free", with_for_update=True)
                tier.minutes_per_month = (tier.minutes_per_month or 0) + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.get_one(TierRow, "free").minutes_per_month == 600 + 20


def test_what_belongs_to_a_row_goes_with_it(database: Database) -> None:
    with database.write() as session:
        session.add(first := transcript("first"))
        session.flush()
        session.add(SegmentRow(transcript_id=first.id, position=0, start=0, end=1, text="Hello."))
        session.add(
            Job(id="job_1", account_id=ADMINISTRATOR_ID, operation="transcribe", parameters={}, transcript_id=first.id)
        )
    with database.write() as session:
        session.delete(session.get_one(TranscriptRow, first.id))
    with database.write() as session:
        assert session.scalar(select(func.count()).select_from(SegmentRow)) == 0
        assert session.get_one(Job, "job_1").transcript_id is None
        session.add(second := transcript("second"))
    assert second.id > first.id  # a deleted number is not given again


def test_times_come_back_in_utc(database: Database) -> None:
    given = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    with database.write() as session:
        if database.dialect == "postgresql":
            session.execute(text("SET TIME ZONE 'Asia/Thimphu'"))
        session.add(AccountRow(name="ada", tier="free", preferences={}, created=given))
        session.flush()
        session.expire_all()
        created = session.scalars(select(AccountRow.created).where(AccountRow.name == "ada")).one()
    assert created == given
    assert created.tzinfo is UTC


def test_sqlite_is_durable_and_its_owners(tmp_path: Path) -> None:
    database = open_database(Settings(data_dir=tmp_path))
    with database.write() as session:
        values = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        modes = {stat.S_IMODE(os.stat(path).st_mode) for path in tmp_path.glob("stt_lab.db*")}
    database.close()
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}
    assert modes == {0o600}


def test_another_program_that_looks_in_takes_nothing_away(tmp_path: Path) -> None:
    """SQLite's locks are POSIX's: a process loses those on a file when it closes any descriptor of that file."""
    path = tmp_path / "stt_lab.db"
    database = open_database(Settings(data_dir=tmp_path))
    with database.read() as one, database.read() as two:
        for session in (one, two):  # the second connection opens the file that the first has locked
            session.execute(text("SELECT 1"))
    looks = f"import sqlite3; sqlite3.connect({str(path)!r}).execute('SELECT count(*) FROM accounts').fetchall()"
    subprocess.run([sys.executable, "-c", looks], check=True)
    with database.write() as session:
        session.add(transcript("kept"))
    crashed = tmp_path / "crashed"  # what a server leaves that is killed now
    crashed.mkdir()
    for file in tmp_path.glob("stt_lab.db*"):
        shutil.copy(file, crashed)
    database.close()
    found = Database(f"sqlite:///{crashed / 'stt_lab.db'}")
    with found.read() as session:
        assert session.scalars(select(TranscriptRow.slug)).all() == ["kept"]
    found.close()


# -- databases that are away


def test_an_unreachable_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for url in (f"sqlite:///{tmp_path / 'file' / 'stt_lab.db'}", f"postgresql://ada:secret@/stt?host={tmp_path}"):
        with pytest.raises(Unavailable) as caught:
            Database(url).migrate()
        assert caught.value.retry_after
        assert not {"secret", str(tmp_path)} & set(str(caught.value).split())


def test_a_connection_that_breaks_is_unavailable_and_the_next_one_works() -> None:
    url = cluster().create("breaks")
    database = Database(url)
    with pytest.raises(Unavailable), database.read() as session:  # noqa: PT012
        number = session.scalar(text("SELECT pg_backend_pid()"))
        cluster().run(f"SELECT pg_terminate_backend({number}, 5000)")
        session.execute(text("SELECT 1"))
    with database.read() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.close()
    cluster().drop("breaks")


def test_a_locked_sqlite_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.1)
    database = open_database(Settings(data_dir=tmp_path))
    with database.write(), database.read() as session:
        assert session.scalar(select(func.count()).select_from(TierRow)) == 4  # readers do not wait
        with pytest.raises(Unavailable), database.write():
            pass
    database.close()


def test_too_many_sessions_at_once_are_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05})
    database = open_database(Settings(data_dir=tmp_path))
    with database.read() as session:
        session.get(TierRow, "free")
        with pytest.raises(Unavailable, match="overloaded"), database.read() as other:
            other.get(TierRow, "free")
    database.close()


def test_a_mistake_in_a_statement_is_no_outage(database: Database) -> None:
    for statement in ("SELECT 1 FROM nothing", "SELEC"):
        with pytest.raises((OperationalError, ProgrammingError)), database.read() as session:
            session.execute(text(statement))


def test_the_package_alone_loads_no_database() -> None:
    program = "import sys, stt_lab; print(sorted({'sqlalchemy', 'alembic', 'psycopg'} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
