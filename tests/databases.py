"""Databases for tests: a copy of a migrated SQLite file, and a database of a throw-away PostgreSQL cluster.

A test that takes `database` (or `database_url`) runs once on each; PostgreSQL's half needs its binaries (`needs`).
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from needs import missing, needs

from stt_lab.store.database import Database

START_S = 30  # a cluster has this long to come up
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=200")
TEMPLATE = "migrated"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL that only listens in a folder that only its user and root can enter."""

    sockets: Path

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.sockets}"

    def run(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(host=str(self.sockets), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self, name: str, template: str = "template1") -> str:
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE {name} WITH (FORCE)")


@functools.cache
def cluster() -> Cluster:
    """The cluster of this test session, started by the first test that wants it."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="stt_lab-pg-", dir="/tmp"))  # a socket's path has at most 107 characters
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    as_user = _unprivileged(folder)
    data = folder / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd=folder)
    options = [f"-c{option}" for option in (*FAST, "listen_addresses=", f"unix_socket_directories={folder}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_user, binaries / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder
        )
    atexit.register(_stop, server)
    made = Cluster(folder)
    _wait(made, server)
    _migrate(made.create(TEMPLATE))
    return made


def _binaries() -> Path:
    """The newest server of Debian's packages, else the one on the path."""
    needs("psycopg")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = debian[-1] if debian else shutil.which("initdb")
    if not found:
        missing("PostgreSQL's binaries are not installed (Debian: postgresql)")
    return Path(found).parent


def _unprivileged(folder: Path) -> list[str | Path]:
    """How to start programs of the cluster: PostgreSQL refuses root. They end with the tests, however those end."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return [setpriv, "--pdeathsig", "INT"] if setpriv else []
    needs("setpriv")
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [
        setpriv,
        *("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", "--pdeathsig", "INT"),
    ]


def _wait(made: Cluster, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + START_S
    while True:
        try:
            return made.run("SELECT 1")
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((made.sockets / "log").read_text()) from None
            time.sleep(0.05)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
    server.wait(START_S)


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()


@functools.cache
def sqlite_template() -> Path:
    """A migrated file to copy."""
    folder = Path(tempfile.mkdtemp(prefix="stt_lab-sqlite-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _migrate(f"sqlite:///{folder / 'template.db'}")
    return folder / "template.db"


@pytest.fixture(name="database_url", params=["sqlite", "postgresql"])
def database_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a migrated database, of each kind."""
    if request.param == "sqlite":
        shutil.copy(sqlite_template(), tmp_path / "stt_lab.db")
        yield f"sqlite:///{tmp_path / 'stt_lab.db'}"
        return
    name = f"test_{next(_numbers)}"
    yield cluster().create(name, TEMPLATE)
    cluster().drop(name)


@pytest.fixture(name="database")
def database_fixture(database_url: str) -> Iterator[Database]:
    """A migrated database of each kind; a module that wants it imports both fixtures."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(name="empty_url", params=["sqlite", "postgresql"])
def empty_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a database of each kind that has no tables yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'stt_lab.db'}"
        return
    name = f"test_{next(_numbers)}"
    yield cluster().create(name)
    cluster().drop(name)
