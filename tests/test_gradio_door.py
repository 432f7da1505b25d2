"""Gradio's door: what it keeps of strangers, how much they may upload, where files lie, and how it refuses."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import files
from gradio_client import Client, handle_file
from toy_server import (
    API,
    MINE,
    Served,
    Toy,
    button,
    file_data,
    handler,
    join,
    serve,
    settings_for,
    transcribed,
    until,
    upload,
    wav,
)

from stt_lab.caller import ADMINISTRATOR
from stt_lab.door import shared_files
from stt_lab.door.client_slots import PAGES
from stt_lab.store.models import now
from stt_lab.ui.gradio_private import tracked_uploads

PLANTED = "vermilion otter"
SENTENCE = f"the {PLANTED} hums at noon every day"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("door"))) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_left(served: Served) -> Iterator[None]:
    yield
    assert_swept(served)


def guard(served: Served) -> Any:
    return served.app.router.routes[-1].app  # type: ignore[attr-defined]


def gradio(served: Served) -> Any:
    """The application inside the guard and what keeps its pages."""
    return guard(served).app.app


# What is kept of callers


def calls(client: httpx.Client, count: int, text: str) -> None:
    """Calls without a session, some with a large body, whose answers are never fetched."""
    for number in range(count):
        name, values = ("languages", {}) if number % 2 else ("analyze", {"text": text, "type": "topics"})
        assert client.post(f"{API}/call/v2/{name}", json=values).status_code == 200


def test_calls_leave_nothing(served: Served, client: httpx.Client) -> None:
    app, mail = gradio(served), guard(served).mail
    text = "a word of a visitor " * 5000
    tracemalloc.start()
    try:
        calls(client, 30, text)  # what is loaded at a first call is no leak
        until(lambda: not mail.events, 20)
        before = traced()
        calls(client, 200, text)
        until(lambda: not mail.events, 20)
        assert len(app.state_holder.session_data) == 0
        mail.sweep()
        assert len(mail.kept) <= 200
        mail.sweep(time.monotonic() + 61)
        assert mail.kept == set()
        assert len(app.iterators) == 0
        until(lambda: traced() - before < 1_000_000, 20)  # one kept text in a call would be ten times as much
    finally:
        tracemalloc.stop()


def traced() -> int:
    """Bytes of Python objects that are alive and were made since the trace began."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_messages_stay_while_they_are_read_and_a_minute_longer(served: Served, client: httpx.Client) -> None:
    mail = guard(served).mail
    assert "process_completed" in join(client, handler(client, "languages"), [], "a-session")
    with client.stream("GET", f"{API}/queue/data", params={"session_hash": "a-session"}) as again:
        assert again.status_code == 200  # a page may come late, when its messages have come by an earlier stream
        mail.sweep(time.monotonic() + 1000)
        assert "a-session" in mail.kept
    event = client.post(f"{API}/call/languages", json={"data": []}).json()["event_id"]
    assert "event: complete" in client.get(f"{API}/call/languages/{event}").text
    until(lambda: not mail.readers, 20)
    mail.sweep()
    mail.sweep(time.monotonic() + 61)
    assert "a-session" not in mail.kept
    assert client.get(f"{API}/call/languages/{event}").status_code == 404


def test_uploads_leave_no_names(served: Served, client: httpx.Client) -> None:
    blocks = gradio(served).get_blocks()
    for number in range(250):
        client.post(f"{API}/upload?upload_id=u{number}", files={"files": ("a.wav", b"x")})
    assert blocks.upload_file_set == set()
    assert sum(map(len, blocks.temp_file_sets)) == 0
    assert tracked_uploads() <= 200
    assert_swept(served)


def assert_swept(served: Served) -> None:
    """After UNUSED_S no file is left, and nothing is counted."""
    runtime = served.app.state.installation.runtime
    before, shared_files.UNUSED_S = shared_files.UNUSED_S, -1.0
    try:
        runtime.shared_files.sweep()
    finally:
        shared_files.UNUSED_S = before
    assert served.uploads == []
    until(lambda: runtime.uploads.held == 0)  # the last request may still be ending


# Uploads


@contextmanager
def heartbeat(served: Served, session: str) -> Iterator[None]:
    """An open page."""
    with (
        httpx.Client(base_url=served.url, timeout=30) as page,
        page.stream("GET", f"{API}/heartbeat/{session}") as stream,
    ):
        lines = stream.iter_lines()  # which closes the stream when it is forgotten
        next(lines)
        yield


def test_an_address_has_a_limited_number_of_open_pages(served: Served, client: httpx.Client) -> None:
    """Gradio looks at each 20 times a second: 1,100 of them made /health late."""
    address = "127.0.0.1", int(served.url.rpartition(":")[2])
    with ExitStack() as pages:
        for number in range(PAGES.per_client):
            page = pages.enter_context(socket.create_connection(address, 10, ("127.0.0.7", 0)))
            page.sendall(f"GET {API}/heartbeat/page{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b" 200 OK" in page.recv(64)
        late = pages.enter_context(socket.create_connection(address, 10, ("127.0.0.7", 0)))
        late.sendall(f"GET {API}/heartbeat/late HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = late.recv(4096).lower()
        assert b" 429 " in answer
        assert b"retry-after:" in answer
        with heartbeat(served, "other"):  # of another address
            assert client.get("/health").status_code == 200


def test_an_unused_upload_goes_and_that_of_an_open_page_stays(
    served: Served, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = served.app.state.installation.runtime.shared_files
    mine, other = upload(client, b"mine"), upload(client, b"of nobody")
    files.sweep()
    assert len(served.uploads) == 2
    with heartbeat(served, "page"):
        assert '"success":true' in join(client, handler(client, "arrived"), [file_data(mine)], "page")
        monkeypatch.setattr(shared_files, "UNUSED_S", -1.0)
        files.sweep()
        assert [path.read_bytes() for path in served.uploads] == [b"mine"]
        assert client.get(f"{API}/file={mine}").content == b"mine"
        assert client.get(f"{API}/file={other}").status_code == 404
    until(lambda: served.uploads == [], 20)  # with the page


def test_an_upload_that_no_page_holds_goes(
    served: Served, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = upload(client, b"mine")
    join(client, handler(client, "arrived"), [file_data(mine)], "no-page")
    monkeypatch.setattr(shared_files, "UNUSED_S", -1.0)
    served.app.state.installation.runtime.shared_files.sweep()
    assert served.uploads == []


def test_a_caller_has_twice_its_largest_file(served: Served, client: httpx.Client, tmp_path: Path) -> None:
    most = b"x" * (19 * 1024 * 1024 // 10)  # of 2 MB
    for _ in range(2):
        upload(client, most)
    refused = client.post(f"{API}/upload", files={"files": ("a.wav", most)})
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "4 MB" in refused.json()["error"]
    assert int(refused.headers["retry-after"]) > 0
    with wav(tmp_path / "a.wav", 10).open("rb") as file:
        other_door = client.post("/v1/transcribe", files={"file": file})
    assert other_door.status_code == 429
    assert client.post(f"{API}/upload", files={"files": ("a.wav", most)}, headers=MINE).status_code == 200
    assert_swept(served)
    upload(client, most)
    assert_swept(served)


@pytest.mark.parametrize(
    ("limit", "said"),
    [({"disk_reserve_gb": 1e9}, "disk is nearly full"), ({"max_uploads_gb": 1e-6}, "as many uploads as it may")],
)
def test_a_full_server_takes_no_uploads_and_does_all_else(tmp_path: Path, limit: dict[str, float], said: str) -> None:
    with (
        serve(settings_for(tmp_path, **limit)) as served,
        httpx.Client(base_url=served.url, timeout=30) as client,
        wav(tmp_path / "a.wav").open("rb") as file,
    ):
        content = file.read()
        for answer in (
            client.post(f"{API}/upload", files={"files": ("a.wav", content)}),
            client.post("/v1/transcribe", files={"file": ("a.wav", content)}),
            client.post("/v1/audio/transcriptions", files={"file": ("a.wav", content)}, data={"model": "whisper-1"}),
        ):
            assert answer.status_code == 503
            assert said in answer.text
            assert int(answer.headers["retry-after"]) > 0
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 200
        assert "process_completed" in join(client, handler(client, "languages"), [])
        assert served.uploads == []
        assert list((served.settings.data_dir / "uploads").iterdir()) == []


def test_a_field_of_a_form_has_a_limit(client: httpx.Client) -> None:
    answer = client.post(f"{API}/upload?upload_id=a", files={"files": (None, b"x" * 100_000)})
    assert (answer.status_code, set(answer.json())) == (400, {"error", "code"})


def test_a_download_is_a_link_and_no_copy(served: Served, tmp_path: Path) -> None:
    client = Client(served.url, verbose=False, headers=MINE)
    sound = handle_file(str(wav(tmp_path / "a.wav")))
    made = client.predict(file=sound, model="base", api_name="/transcribe")
    kept = served.app.state.installation.runtime.library.audio(1, made["id"])
    for _ in range(3):
        path = client.predict(made["id"], api_name="/transcript_audio")
        assert Path(path).read_bytes() == kept.read_bytes()
    links = [path for path in served.uploads if path.suffix == ".wav"]
    assert len(links) == 3
    assert {path.stat().st_ino for path in links} == {kept.stat().st_ino}
    client.close()
    assert_swept(served)


# Where files lie


def test_no_answer_names_a_path_of_the_server(served: Served, tmp_path: Path) -> None:
    here = [str(served.settings.data_dir), "site-packages", os.path.expanduser("~")]
    with httpx.Client(base_url=served.url, timeout=30) as client:
        answers = [client.get(path).text for path in ("/", "/config", f"{API}/info", f"{API}/info?all_endpoints=true")]
        path = upload(client, wav(tmp_path / "a.wav").read_bytes())
        heard = transcribed(client, path, **MINE)
        (address,) = set(re.findall(r"gradio_api/file=([0-9a-f]{64}/a\.wav)", heard))
        assert client.get(f"{API}/file={address}").status_code == 200
        id = client.get("/api/v1/transcripts/", headers=MINE).json()["results"][0]["id"]
        exported = join(client, handler(client, "export_transcript"), [id, "pdf", False, False], **MINE)
        assert '"url":"http' in exported
        answers += [path, heard, exported, join(client, handler(client, "arrived"), [file_data("/etc/passwd")])]
        answers += [client.get(f"{API}/file={here[0]}/admin.key").text]
    assert not [(one, answer[:200]) for answer in answers for one in here if one in answer]
    assert_swept(served)


def test_a_part_of_a_file_can_be_fetched(client: httpx.Client) -> None:
    path = upload(client, b"0123456789")
    part = client.get(f"{API}/file={path}", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert client.head(f"{API}/file={path}").headers["content-length"] == "10"
    outside = client.get(f"{API}/file={path}", headers={"range": "bytes=20-30"})
    assert (outside.status_code, set(outside.json())) == (416, {"error", "code"})
    assert outside.headers["content-range"] == "bytes */10"


# Errors


def deep(depth: int) -> bytes:
    return b'{"data":' + b"[" * depth + b"]" * depth + b',"fn_index":0,"session_hash":"x"}'


REFUSED: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", f"{API}/queue/data?session_hash=nothing", {}, 404),
    ("GET", f"{API}/queue/data", {}, 404),
    ("GET", f"{API}/call/languages/nothing", {}, 404),
    ("GET", f"{API}/call/v2/languages/nothing", {}, 404),
    ("GET", f"{API}/file=nothing", {}, 404),
    ("GET", f"{API}/file={'0' * 64}/a.wav", {}, 404),
    ("GET", f"{API}/upload_progress", {}, 400),
    ("POST", f"{API}/queue/join", {"content": b"{"}, 400),
    ("POST", f"{API}/queue/join", {"json": []}, 400),
    ("POST", f"{API}/queue/join", {"json": {"data": 1}}, 400),
    ("POST", f"{API}/queue/join", {"json": {"data": [], "fn_index": 99999, "session_hash": "x"}}, 404),
    ("POST", f"{API}/queue/join", {"json": {"data": [], "session_hash": "x"}}, 400),
    ("POST", f"{API}/queue/join", {"json": {"data": [], "fn_index": 0}}, 400),
    ("POST", f"{API}/queue/join", {"content": deep(100_000), "headers": {"content-type": "application/json"}}, 400),
    ("POST", f"{API}/queue/join", {"content": b"x" * 2_000_000}, 413),
    ("POST", f"{API}/call/nothing", {"json": {"data": []}}, 404),
    ("POST", f"{API}/call/v2/nothing", {"json": {}}, 400),
    ("POST", f"{API}/call/v2/transcribe", {"json": {"nothing": 1}}, 400),
    ("POST", f"{API}/call/v2/transcribe", {"json": []}, 400),
    ("POST", f"{API}/cancel", {"json": {}}, 400),
    ("POST", f"{API}/upload", {"content": b"x"}, 400),
    ("POST", f"{API}/upload", {"files": [("files", ("a.wav", b"x")), ("files", ("b.wav", b"x"))]}, 400),
    ("POST", f"{API}/upload?upload_id=x", {"files": {"other": (None, "x")}}, 200),
    ("OPTIONS", f"{API}/queue/join", {"headers": {"origin": "https://evil.example"}}, 404),
    ("PUT", "/config", {}, 404),
]


@pytest.mark.parametrize(("method", "path", "more", "status"), REFUSED)
def test_a_refusal_has_the_one_shape_and_one_line(
    served: Served,
    client: httpx.Client,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    method: str,
    path: str,
    more: dict[str, Any],
    status: int,
) -> None:
    caplog.set_level(logging.INFO)
    before = served.uploads
    answer = client.request(method, path, **more)
    assert answer.status_code == status, answer.text
    assert served.uploads == before
    if status == 200:
        return
    assert set(answer.json()) == {"error", "code"}
    assert len(answer.json()["error"].split()) > 3
    assert answer.headers["content-type"] == "application/json"
    lines = [record for record in caplog.records if record.name.startswith(("stt_lab", "uvicorn"))]
    assert len(lines) == 1
    assert len(lines[0].getMessage()) < 300
    assert not lines[0].exc_info
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err + caplog.text


def test_a_call_that_does_not_fit_is_one_line(
    client: httpx.Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = join(client, button(client, "Transcribe"), [1])
    assert '"success":false' in heard
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err + caplog.text
    assert len(caplog.records) == 1


def test_private_answers_are_not_stored(client: httpx.Client) -> None:
    path = upload(client, b"mine")
    for address in (f"{API}/info", f"{API}/file={path}", f"{API}/call/languages/x", f"{API}/app_id"):
        assert "no-store" in client.get(address).headers["cache-control"], address
    assert "no-store" not in client.get("/theme.css").headers.get("cache-control", "")


# Other origins

ORIGINS = ["https://evil.example", "http://localhost:9999", "http://127.0.0.1:1", "null"]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("host", ["", "stt.example", "localhost:7860"])
def test_gradio_invites_no_other_origin(served: Served, client: httpx.Client, origin: str, host: str) -> None:
    headers = {"origin": origin} | ({"host": host} if host else {})
    session = {"cookie": f"stt_lab_session={served.access.begin_session(ADMINISTRATOR)}"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    body = {"data": [], "session_hash": "x", "fn_index": handler(client, "languages")}
    for path in ("/", "/config", f"{API}/info", f"{API}/queue/join", f"{API}/upload", f"{API}/call/languages"):
        reads = path in ("/", "/config", f"{API}/info")
        send: Callable[..., httpx.Response] = client.get if reads else client.post
        more: dict[str, Any] = {} if reads else {"json": body}
        answers = [client.options(path, headers=headers | asked), send(path, headers=headers, **more)]
        mine = send(path, headers=headers | session, **more)
        assert mine.status_code == 403 or (host and mine.status_code == 400), path
        for answer in (*answers, mine):
            assert not [name for name in answer.headers if name.startswith("access-control")], path


# What is deleted


def holding(folder: Path, *wanted: bytes) -> list[Path]:
    """The files in a folder with one of these strings, but for the database, whose pages are emptied later."""
    kept = [path for path in files(folder) if not path.name.startswith("stt_lab.db")]
    return [path for path in kept if any(one in path.read_bytes() for one in wanted)]


def shown(client: httpx.Client, sound: bytes) -> tuple[int, set[str]]:
    """Transcribe on the page, then export and listen by Gradio's API; the transcript, and the addresses of files."""
    path = upload(client, sound)
    heard = transcribed(client, path, "deleting", **MINE)
    assert PLANTED.split()[1] in heard
    id = int(client.get("/api/v1/transcripts/", headers=MINE).json()["results"][0]["id"])
    heard += join(client, handler(client, "export_transcript"), [id, "txt", False, False], **MINE)
    heard += join(client, handler(client, "transcript_audio"), [id], **MINE)
    redact = ["library", str(id), "", "auto", "docx", "mark", "silence", []]
    heard += join(client, button(client, "Redact"), redact, "deleting", **MINE)
    return id, set(re.findall(r"[0-9a-f]{64}/[\w.-]+", heard))


@pytest.mark.parametrize("way", ["http", "gradio", "another process", "retention"])
def test_after_a_deletion_no_copy_of_gradio_is_left(
    served: Served, client: httpx.Client, tmp_path: Path, way: str
) -> None:
    Toy.lines = (SENTENCE,)
    sound = wav(tmp_path / "a.wav", 3).read_bytes()
    library = served.app.state.installation.runtime.library
    library.expire(now())  # recordings of other tests are the same
    with heartbeat(served, "deleting"):
        id, addresses = shown(client, sound)
        assert len(addresses) == 4
        assert all(client.get(f"{API}/file={one}").status_code == 200 for one in addresses)
        assert len(holding(served.settings.data_dir / "gradio", sound[1000:3000], PLANTED.encode())) == 3
        if way == "http":
            assert client.delete(f"/api/v1/transcripts/{id}/", headers=MINE).status_code == 200
        elif way == "gradio":
            join(client, handler(client, "delete_transcript"), [id], **MINE)
        elif way == "retention":
            library.expire(now())
        else:
            library.delete(1, id)  # as the command line does, unseen by this server's page
        assert {client.get(f"{API}/file={one}").status_code for one in addresses} == {404}
        until(lambda: served.uploads == [], 12)
    assert holding(served.settings.data_dir, sound[1000:3000], PLANTED.encode()) == []
    assert holding(Path(served.settings.data_dir), json.dumps(PLANTED).encode()) == []
    Toy.lines = ("Good morning.", "Hello there, friend.")


def test_a_transcript_of_nobody_keeps_its_player(served: Served, client: httpx.Client, tmp_path: Path) -> None:
    """What is not stored can be played as long as the page is open, and the next recording takes its place."""
    sound = wav(tmp_path / "a.wav").read_bytes()
    with heartbeat(served, "listening"):
        for _ in range(3):
            path = upload(client, sound)
            join(client, handler(client, "arrived"), [file_data(path)], "listening")
            assert "Good" in transcribed(client, path, "listening")
            assert len(served.uploads) == 1
            assert client.get(f"{API}/file={path}").content == sound
    until(lambda: served.uploads == [], 20)


def test_threads_share_the_limits() -> None:
    """Bytes are counted once, however many uploads arrive at once."""
    from stt_lab.caller import ANONYMOUS
    from stt_lab.door.uploads import UploadRoom
    from stt_lab.errors import RateLimited
    from stt_lab.settings import Settings

    room = UploadRoom(Path("/tmp"), Settings(disk_reserve_gb=0))
    refused: list[Exception] = []

    def send() -> None:
        for _ in range(100):
            try:
                room.enter(ANONYMOUS, 1000, 30).end()
                room.enter(ANONYMOUS, 1000, 1)
            except RateLimited as problem:
                refused.append(problem)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert room.held == 800
    assert refused == []
