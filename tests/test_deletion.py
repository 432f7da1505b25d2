"""After `delete_transcript` nothing of a transcript is left: no row, file or answer has a word or a sample of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from databases import database_fixture, database_url_fixture  # noqa: F401
from fakes import files
from recall_toys import OWNER, ToyPool, library_fixture, pool_fixture, store_fixture, work_off  # noqa: F401
from sqlalchemy import text
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav

from stt_lab.library import Library
from stt_lab.store.database import Database

WORD = "zanzibarquixotic"  # in no other file
LINES = (f"The {WORD} swims in the sea.", f"Does the {WORD} pay? It does not.", "A fox jumps over lazy dogs.")
WHO = {"Authorization": f"Bearer {KEY}"}


class Receiver(BaseHTTPRequestHandler):
    """Keeps the bodies of webhooks."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.bodies = []
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(settings_for(tmp_path, webhook_allow_private=True)) as running:
        Toy.lines = LINES
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers=WHO, timeout=60) as made:
        yield made


def holding(folder: Path, wanted: bytes) -> list[str]:
    """The files that have some bytes anywhere."""
    return [str(path) for path in files(folder) if wanted in path.read_bytes().lower()]


def rows_with(database: Database, wanted: str) -> list[str]:
    """The tables of which a row has a text anywhere."""
    with database.read() as session:
        sqlite = database.dialect == "sqlite"
        names = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = names if sqlite else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = list(session.scalars(text(names)))
        return [
            name for name in tables if wanted in repr(session.execute(text(f'SELECT * FROM "{name}"')).all()).lower()
        ]


def derive(client: httpx.Client, number: int) -> list[Callable[[], httpx.Response]]:
    """Everything that can be made of a transcript, under Idempotency-Keys; requests that repeat it."""
    path = f"/api/v1/transcripts/{number}"
    bodies: dict[str, dict[str, Any]] = {
        "summarize": {"style": "detailed"},
        "analyze": {"type": "topics"},
        "generate": {"type": "key_quotes"},
        "chat": {"question": f"Does the {WORD} swim?"},
        "translate": {"target": "pt"},
        "redact": {},
    }

    def asked(name: str) -> Callable[[], httpx.Response]:
        headers = {"Idempotency-Key": name}
        return lambda: client.post(f"{path}/{name}/", json=bodies[name], headers=headers)

    def got(rest: str) -> Callable[[], httpx.Response]:
        return lambda: client.get(path + rest)

    exports = [got(f"/export/{kind}/") for kind in ("txt", "srt", "json", "docx", "pdf")]
    return [*map(asked, bodies), got("/"), got("/audio/"), *exports]


def test_nothing_is_left_of_a_deleted_transcript(client: httpx.Client, served: Served, receiver: str) -> None:
    folder, database = served.settings.data_dir, served.app.state.installation.runtime.database
    sound = wav(folder.parent / "talk.wav", 3.0).read_bytes()
    fields = {"model": "base", "diarize": "false", "webhook_url": receiver}
    sent: dict[str, Any] = {
        "files": {"file": (f"{WORD}.wav", sound)}, "data": fields, "headers": {"Idempotency-Key": "first"},
    }  # fmt: skip
    made = client.post("/v1/transcribe", **sent).json()
    job = client.post("/v1/transcribe", **sent | {"headers": {"Idempotency-Key": "first"}}).json()
    assert job == made  # a replay
    number = made["id"]
    requests = derive(client, number)
    for request in requests:
        assert request().status_code == 200
    until(lambda: Receiver.bodies, 10)
    until(lambda: served.app.state.installation.runtime.library.passages.get(number) is not None, 10)
    assert rows_with(database, WORD)
    assert holding(folder, WORD.encode())

    assert client.delete(f"/api/v1/transcripts/{number}/").status_code == 200
    for request in requests:
        answer = request()
        assert answer.status_code == 404, (answer.request.url, answer.text)
        assert WORD not in answer.text.lower().replace("%", "")
    again = client.post("/v1/transcribe", **sent)
    assert again.status_code == 404
    for path in ("/api/v1/transcripts/", f"/api/v1/search/?query={WORD}", f"/api/v1/search/?query={WORD}&mode=meaning"):
        assert client.get(path).json()["count"] == 0
    assert rows_with(database, WORD) == []
    until(lambda: not holding(folder, WORD.encode()), 20)
    assert not holding(folder, sound[44:4044])
    assert WORD.encode() not in b"".join(Receiver.bodies)


def test_an_answer_that_is_made_during_the_deletion_is_not_stored(client: httpx.Client, served: Served) -> None:
    sound = wav(served.settings.data_dir.parent / "talk.wav").read_bytes()
    sent = {"files": {"file": ("talk.wav", sound)}, "data": {"model": "base", "diarize": "false"}}
    number = client.post("/v1/transcribe", **sent).json()["id"]
    path, answers = f"/api/v1/transcripts/{number}", list[httpx.Response]()
    Toy.seconds = 1.0
    headers = {"Idempotency-Key": "slow"}

    def summarize() -> None:
        answers.append(client.post(f"{path}/summarize/", json={}, headers=headers))

    thread = threading.Thread(target=summarize)
    thread.start()
    until(lambda: rows_with(served.app.state.installation.runtime.database, "call_"), 5)
    assert client.delete(f"{path}/").status_code == 200
    thread.join()
    Toy.seconds = 0.0
    assert client.post(f"{path}/summarize/", json={}, headers=headers).status_code == 404
    assert rows_with(served.app.state.installation.runtime.database, WORD) == []


def test_the_databases_forget(library: Library, store: Callable[..., int], pool: ToyPool, database: Database) -> None:
    """Many transcripts, of which one goes: its words are in no row, and the others are still found."""
    ids = [store((f"number{i} speaks of bread and {WORD if i == 7 else 'money'}.",)) for i in range(20)]
    work_off(library, pool)
    assert rows_with(database, WORD)
    library.delete(OWNER, ids[7])
    assert library.scrub()
    assert rows_with(database, WORD) == []
    assert library.search(OWNER, WORD).count == 0
    assert library.search(OWNER, "bread").count == 19
    assert library.search(OWNER, "number8").count == 1


def test_sqlite_overwrites_what_is_deleted(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'stt_lab.db'}")
    database.migrate()
    library = Library(database, tmp_path)
    from recall_toys import spoken

    for number in range(30):
        with database.write() as session:
            made = library.open(session, OWNER, f"{WORD} {number}")
            library.complete(session, made, spoken(LINES * 50))
    assert holding(tmp_path, WORD.encode())
    for page in library.list(OWNER, limit=100).results:
        library.delete(OWNER, page.id)
    assert library.scrub()
    assert holding(tmp_path, WORD.encode()) == []
    database.close()
    with sqlite3.connect(tmp_path / "stt_lab.db") as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
