"""The database, SQLite or PostgreSQL: connections, transactions and migrations."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from stt_lab import extras
from stt_lab.errors import BadInput, Unavailable
from stt_lab.settings import Settings
from stt_lab.store.notes import Notes, Write

log = logging.getLogger(__name__)

__all__ = ["Database", "Session", "exists", "named_database", "open_database", "sqlite_file"]

MIGRATIONS = Path(__file__).parent / "migrations"
FILE = "stt_lab.db"  # in the data directory
BUSY_S = 15  # seconds that a writer waits for its predecessor
CHECK_S = 0.5  # the same for a check of the database
POSTGRESQL = "postgresql+psycopg"
DRIVERS = {"sqlite": "sqlite", "postgres": POSTGRESQL, "postgresql": POSTGRESQL, POSTGRESQL: POSTGRESQL}
POOL = {"pool_size": 8, "max_overflow": 16, "pool_timeout": BUSY_S}
MIGRATION_LOCK = 0x5774_1AB  # any number that no other program uses on this database
_migrating = Lock()  # Alembic's context is global to the process


class Database:
    """Sessions on a database. The first session connects."""

    def __init__(self, url: str | URL) -> None:
        self._url = _checked(url)
        self._engine, self._write_engine = _engine(self._url), _engine(self._url)  # readers never wait for connections
        self.dialect = self._engine.dialect.name  # "sqlite" or "postgresql"
        self._readers = sessionmaker(self._engine, expire_on_commit=False)
        self._writers = sessionmaker(self._write_engine.execution_options(write=True), expire_on_commit=False)
        self._check_engine: Engine | None = None
        self._notes = Notes(self.write)
        self.closing: list[Callable[[], None]] = []  # called before the connections close

    def migrate(self) -> None:
        """Upgrade the tables to this version. Several servers may start at once: one upgrades, the others wait."""
        engine = _engine(self._url, foreign_keys=False)  # rebuilding a table must not delete its child rows
        try:
            with _migrating, _clear_errors(), engine.execution_options(write=True).begin() as connection:
                if self.dialect == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATION_LOCK})
                upgrade(connection)
        finally:
            engine.dispose()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that may change rows: committed at the end, rolled back by an exception.

        SQLite takes its single write lock here, so what is read inside cannot change meanwhile. PostgreSQL locks rows
        that are read with `with_for_update`.
        """
        with _clear_errors(), self._writers.begin() as session:
            session.connection()  # begins now, not with the first statement
            yield session

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Session]:
        """Open a read-only transaction, which blocks nobody. With `snapshot` all its statements see one state, as they
        always do on SQLite."""
        with _clear_errors(), self._readers() as session:
            if snapshot and self.dialect == "postgresql":
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    def note(self, key: object, write: Write) -> None:
        """Write something that nobody waits for, such as a time of last use: soon, or not at all.

        A later note with an equal key replaces an earlier one.
        """
        self._notes.add(key, write)

    def flush(self) -> None:
        """Write all notes now. Raises Unavailable."""
        self._notes.flush()

    def check(self) -> None:
        """Raise Unavailable if nothing can be written now: after CHECK_S where the database is locked, and later where
        it does not answer at all."""
        if self._check_engine is None:
            self._check_engine = _engine(self._url, busy_s=CHECK_S)
        with _clear_errors(), self._check_engine.execution_options(write=True).begin() as connection:
            connection.execute(text("SELECT 1"))

    def scrub(self) -> bool:
        """Remove the traces of deleted rows from SQLite's journal. Return False if a reader prevents it now."""
        if self.dialect != "sqlite":
            return True
        with _clear_errors(), self._write_engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            connection.rollback()  # outside of a transaction
            busy: int = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return busy == 0

    def close(self) -> None:
        """Close all connections. Harmless when repeated."""
        self._notes.close()
        while self.closing:
            self.closing.pop()()
        for engine in (self._engine, self._write_engine, self._check_engine):
            if engine is not None:
                engine.dispose()


def open_database(settings: Settings) -> Database:
    """Open the database of these settings, with the tables of this version."""
    database = named_database(settings)
    database.migrate()
    return database


def named_database(settings: Settings) -> Database:
    """Open the database of these settings without migrations."""
    url = settings.database_url
    here = URL.create("sqlite", database=str(settings.data_dir / FILE))
    return Database(url.get_secret_value() if url else here)


def exists(settings: Settings) -> bool:
    """Return whether the SQLite file of these settings exists; True for PostgreSQL, which is not asked."""
    if settings.database_url is None:
        return (settings.data_dir / FILE).exists()
    file = sqlite_file(settings)
    return file is None or file.exists()


def sqlite_file(settings: Settings) -> Path | None:
    """Return the file that STT_LAB_DATABASE_URL names; None for PostgreSQL, and for the default in the data
    directory."""
    if settings.database_url is None:
        return None
    url = _checked(settings.database_url.get_secret_value())
    return None if url.drivername == POSTGRESQL else Path(str(url.database)).absolute()


def _checked(given: str | URL) -> URL:
    """Return the URL with its driver. Errors never show it, because it may contain a password."""
    try:
        url = make_url(given)
        driver = DRIVERS[url.drivername]
    except (ArgumentError, ValueError, KeyError):
        raise BadInput(
            "The setting STT_LAB_DATABASE_URL is not a database URL. Write postgresql://user:password@host:5432/name "
            "or sqlite:////folder/stt_lab.db; percent-encode special characters of the password."
        ) from None
    if driver == "sqlite" and url.database in (None, "", ":memory:"):
        raise BadInput("The setting STT_LAB_DATABASE_URL names no file. Write sqlite:////folder/stt_lab.db.")
    return url.set(drivername=driver)


def _engine(url: URL, foreign_keys: bool = True, busy_s: float | None = None) -> Engine:
    if url.drivername == POSTGRESQL:
        try:
            return create_engine(
                url, pool_pre_ping=True, connect_args={"connect_timeout": 10}, json_deserializer=read_json, **POOL
            )
        except ModuleNotFoundError:
            raise BadInput(
                "STT_LAB_DATABASE_URL names PostgreSQL, but its driver is not installed. "
                f"Run {extras.command('postgres')}."
            ) from None
    engine = create_engine(url, connect_args={"timeout": busy_s or BUSY_S}, json_deserializer=read_json, **POOL)
    _prepare_sqlite(engine, foreign_keys)
    return engine


def read_json(value: str) -> Any:
    """Decode a column; None for one that is damaged, so that it does not hide other rows."""
    try:
        return json.loads(value)
    except ValueError:
        log.error("a value in the database is not JSON; it counts as missing")
        return None


def _prepare_sqlite(engine: Engine, foreign_keys: bool) -> None:
    """Make the file durable and private to its owner; transactions begin where SQLAlchemy says so, writers with the
    lock."""

    @event.listens_for(engine, "do_connect")
    def make_file(dialect: Any, record: Any, args: Any, parameters: Any) -> None:
        path = Path(engine.url.database or "")
        with suppress(OSError):  # the file exists, or SQLite reports why it cannot open it
            path.parent.mkdir(parents=True, exist_ok=True)
            # exclusive: closing a file that is in use here would release this process's SQLite locks on it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions itself
        connection.text_factory = _text
        connection.execute("PRAGMA secure_delete = ON")  # deleted rows are overwritten, not only unlinked
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _text(raw: bytes) -> str:
    """Decode a text; what is not UTF-8 in it is replaced, so that it does not hide other rows."""
    return raw.decode("utf-8", "replace")


def upgrade(connection: Connection) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except CommandError as problem:
        raise Unavailable(
            "The database was written by a newer version of stt_lab. "
            "Install that version, or restore a backup from before the upgrade."
        ) from problem


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Raise Unavailable if the database is unreachable, busy or full; other errors pass."""
    try:
        yield
    except PoolTimeout as problem:
        raise Unavailable("The database is overloaded. Retry in a few seconds.", retry_after=5) from problem
    except DBAPIError as problem:
        if not (problem.connection_invalidated or (isinstance(problem, OperationalError) and not _is_mistake(problem))):
            raise
        raise Unavailable(
            "The database is not available (unreachable, busy, or its disk is full). Retry later.", retry_after=10
        ) from problem


def _is_mistake(problem: OperationalError) -> bool:
    """Return whether a statement is wrong: SQLite reports unknown tables and bad syntax as operational errors."""
    return getattr(problem.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
