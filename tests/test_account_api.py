"""The account API over a real port: account, keys, usage, transcripts, jobs, their events, limits and headers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_engines import Endless, Gated
from fakes import KEY, Service, fakes_fixture, served, started, tone, until  # noqa: F401

from stt_lab.accounts.accounts import Tier
from stt_lab.settings import Settings
from stt_lab.types import File
from stt_lab.web.downloads import download

Make = Callable[..., Settings]
ADMIN = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone(tmp_path_factory.mktemp("talk") / "talk.wav")


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    with served(fakes(max_upload_mb=300)) as running:
        yield running


class Ada(httpx.Client):
    """An account with its key, and a client for it."""

    def __init__(
        self, service: Service, tier: str = "free", scopes: tuple[str, ...] = ("speech", "library", "account")
    ):
        self.account = service.accounts.create(f"Ada {len(service.accounts.list())}", "ada@example.org", tier)
        self.key, raw = service.accounts.create_key(self.account.id, "a key", scopes)
        headers = {"Authorization": f"Bearer {raw}"}
        super().__init__(base_url=f"http://127.0.0.1:{service.port}", headers=headers, timeout=20)

    def transcribe(self, path: Path, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.post("/v1/transcribe", files={"file": file}, data=fields, headers=headers)


@pytest.fixture
def ada(service: Service) -> Iterator[Ada]:
    with Ada(service) as made:
        yield made


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert all(word in answer.json()["error"] for word in words), answer.text


# Account and keys


def test_the_account(ada: Ada, service: Service) -> None:
    shown = ok(ada.get("/api/v1/account/"))
    assert (shown["id"], shown["name"], shown["email"]) == (ada.account.id, ada.account.name, "ada@example.org")
    assert (shown["plan"], shown["credits"], shown["admin"]) == ("free", 0, False)
    assert shown["quota"] | {"reset": 0} == {"unit": "minutes", "limit": 600, "remaining": 600, "reset": 0}
    assert len(shown["webhook_secret"]) > 32
    changes = {"email": "", "preferences": {"weekly": False}, "name": "Countess"}
    changed = ok(ada.patch("/api/v1/account", json=changes))
    assert (changed["name"], changed["email"], changed["preferences"]) == ("Countess", None, {"weekly": False})
    assert ok(ada.get("/api/v1/account/")) | {"quota": 0} == changed | {"quota": 0}  # its reset counts seconds
    refused(ada.patch("/api/v1/account/", json={}), 400, "name, email, preferences")
    refused(ada.patch("/api/v1/account/", json={"tier": "unlimited"}), 400, "'tier'")
    refused(ada.patch("/api/v1/account/", json={"email": "nonsense"}), 400, "e-mail")


def test_keys_from_making_to_revoking(ada: Ada, service: Service) -> None:
    made = ok(ada.post("/api/v1/keys/", json={"name": "of the lab"}))
    assert set(made) == {"id", "name", "prefix", "scopes", "created", "last_used", "key"}
    assert set(made["scopes"]) == {"speech", "library", "account"}  # the caller's
    assert made["key"].startswith(made["prefix"])
    mine = {"Authorization": f"Bearer {made['key']}"}
    listed = ok(ada.get("/api/v1/keys", headers=mine))
    assert listed["count"] == 2
    assert made["key"] not in json.dumps(listed)
    assert ok(ada.delete(f"/api/v1/keys/{made['id']}")) == {"id": made["id"], "status": "revoked"}
    refused(ada.get("/api/v1/keys/", headers=mine), 401)
    refused(ada.delete(f"/api/v1/keys/{made['id']}/"), 404, "Key")
    refused(ada.delete("/api/v1/keys/first/"), 400, "'id'")


def test_a_key_makes_no_key_that_may_more(service: Service) -> None:
    with Ada(service, scopes=("account",)) as ada:
        refused(ada.post("/api/v1/keys/", json={"name": "x", "scopes": ["account", "library"]}), 403, "'library'")
        refused(ada.post("/api/v1/keys/", json={"name": "x", "scopes": ["admin"]}), 403, "'admin'")
        refused(ada.post("/api/v1/keys/", json={"name": "x", "scopes": ["magic"]}), 400, "'magic'", "speech")
        assert ok(ada.post("/api/v1/keys/", json={"name": "x"}))["scopes"] == ["account"]


def test_administrators_make_accounts_and_keys(service: Service) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=ADMIN) as admin:
        made = ok(admin.post("/api/v1/accounts/", json={"name": "Grace", "tier": "paid"}))
        path = f"/api/v1/accounts/{made['id']}"
        assert ok(admin.post(f"{path}/credits/", json={"credits": 7, "note": "a gift"})) == {
            "id": made["id"],
            "credits": 7,
        }
        key = ok(admin.post(f"{path}/keys/", json={"name": "first"}))
        assert set(key["scopes"]) == {"speech", "text", "library", "account"}
        refused(admin.post(f"{path}/keys/", json={"name": "first", "scopes": ["admin"]}), 403, "admin")
        mine = {"Authorization": f"Bearer {key['key']}"}
        assert ok(admin.get("/api/v1/account/", headers=mine))["credits"] == 7
        assert ok(admin.patch(f"{path}/", json={"disabled": True}))["disabled"] is True
        refused(admin.get("/api/v1/account/", headers=mine), 401, "disabled")
        assert [one["name"] for one in ok(admin.get("/api/v1/accounts/"))["results"]][:2] == [
            "administrator",
            "anonymous",
        ]
        refused(admin.patch("/api/v1/accounts/1/", json={"disabled": True}), 400, "cannot be changed")
        refused(admin.patch("/api/v1/accounts/99/", json={"tier": "paid"}), 404)
        refused(admin.post(f"{path}/credits/", json={"credits": 1, "id": 1}), 400, "'id'", "address")
        assert ok(admin.get("/api/v1/cloud/"))["results"][0]["device"] == "cpu"
        assert ok(admin.get("/api/v1/cloud/", headers={"Authorization": "Bearer " + KEY}))["count"] == 1


def test_the_cloud_is_the_administrators(ada: Ada) -> None:
    assert ok(ada.get("/api/v1/cloud/")) == {"count": 0, "results": []}


# Transcripts


def test_a_transcript_from_the_recording_to_its_end(ada: Ada, talk: Path) -> None:
    answer = ok(ada.transcribe(talk))
    page = ok(ada.get("/api/v1/transcripts/?limit=5&status=done"))
    assert (page["count"], page["results"][0]["id"], page["results"][0]["title"]) == (1, answer["id"], "talk.wav")
    whole = ok(ada.get(f"/api/v1/transcripts/{page['results'][0]['slug']}"))
    for name in ("id", "text", "language", "duration", "segments", "speakers"):
        assert whole[name] == answer[name], name
    names = {"speakers": {"Speaker 1": "Ada", "Speaker 2": "Bob"}, "title": "../A: talk?"}
    renamed = ok(ada.patch(f"/api/v1/transcripts/{answer['id']}/", json=names))
    assert (renamed["speakers"], renamed["title"]) == (["Ada", "Bob"], "../A: talk?")
    found = ok(ada.get("/api/v1/search/", params={"query": "bob word"}))
    assert (found["count"], found["results"][0]["id"]) == (1, answer["id"])
    assert ok(ada.get("/api/v1/search/", params={"query": "talk"}))["count"] == 1
    assert ok(ada.delete(f"/api/v1/transcripts/{answer['id']}/")) == {"id": answer["id"], "status": "deleted"}
    refused(ada.get(f"/api/v1/transcripts/{answer['id']}/"), 404, "transcript was not found")
    assert ok(ada.get("/api/v1/transcripts/")) == {"count": 0, "results": []}


@pytest.mark.parametrize(
    "wanted", ["limit=0", "limit=101", "offset=-1", "status=lost", "language=xx", "date_from=soon", "x=1"]
)
def test_bad_windows_and_filters(wanted: str, ada: Ada) -> None:
    refused(ada.get(f"/api/v1/transcripts/?{wanted}"), 400, wanted.partition("=")[0])


def test_changes_that_change_nothing_or_nobody(ada: Ada, talk: Path) -> None:
    path = f"/api/v1/transcripts/{ok(ada.transcribe(talk))['id']}/"
    refused(ada.patch(path, json={}), 400, "'speakers'", "'title'")
    refused(ada.patch(path, json={"speakers": {"Nobody": "Eve"}}), 400, "Nobody", "Speaker 1")
    refused(ada.patch(path, json={"title": ""}), 400, "'title'")
    refused(ada.patch(path, json={"id": "1", "title": "x"}), 400, "'id'")


EXPORTS = {
    "txt": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "json": "application/json",
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
}


def test_exports(ada: Ada, talk: Path) -> None:
    number = ok(ada.transcribe(talk))["id"]
    ok(ada.patch(f"/api/v1/transcripts/{number}/", json={"title": 'Ünser "talk" / 1.mp3\n'}))
    for form, kind in EXPORTS.items():
        answer = ada.get(f"/api/v1/transcripts/{number}/export/{form}/")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert "charset=utf-8" in answer.headers["content-type"] or form in ("json", "docx", "pdf")
        plain = f'attachment; filename="_nser _talk_ _ 1.{form}"'
        assert answer.headers["content-disposition"].startswith(plain + "; filename*=UTF-8''%C3%9Cnser")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert len(answer.content) > 10
    refused(ada.get(f"/api/v1/transcripts/{number}/export/exe/"), 400, "'format'", "pdf")
    refused(ada.get("/api/v1/transcripts/99/export/pdf/"), 404)


def test_a_recording_comes_whole_and_in_parts(ada: Ada, service: Service, talk: Path) -> None:
    number, sound = ok(ada.transcribe(talk))["id"], talk.read_bytes()
    address = f"/api/v1/transcripts/{number}/audio/"
    answer = ada.get(address)
    assert (answer.status_code, answer.content) == (200, sound)
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith('attachment; filename="talk.wav"')
    assert "sandbox" in answer.headers["content-security-policy"]
    for wanted, first, last in (("bytes=100-199", 100, 199), ("bytes=-7", len(sound) - 7, len(sound) - 1)):
        part = ada.get(address, headers={"Range": wanted})
        assert (part.status_code, part.content) == (206, sound[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(sound)}"
    beyond = ada.get(address, headers={"Range": f"bytes={len(sound)}-"})
    refused(beyond, 416, "Request bytes that it has")
    assert beyond.headers["content-range"] == f"bytes */{len(sound)}"
    refused(ada.get(address, headers={"Range": "bytes=wide-open"}), 400, "Range")
    with Ada(service) as other:
        refused(other.get(address, headers={"Range": "bytes=0-1"}), 404)


def test_a_recording_that_is_not_kept(ada: Ada, service: Service, talk: Path) -> None:
    number = ok(ada.transcribe(talk))["id"]
    service.library.audio(ada.account.id, number).unlink()
    refused(ada.get(f"/api/v1/transcripts/{number}/audio/"), 404, "not kept")


def test_what_a_file_lacks_is_told() -> None:
    answer = download(File("a.pdf", "application/pdf", iter([b"%PDF"]), ("No font\r\nhas ཀ: install one.",)))
    assert answer.headers["x-stt-warning"] == "No font has ?: install one."
    assert "x-stt-warning" not in download(File("a.pdf", "application/pdf", iter([b"%PDF"]))).headers


def test_store_false_keeps_nothing(ada: Ada, talk: Path) -> None:
    assert "id" not in ok(ada.transcribe(talk, store="false"))
    assert ok(ada.get("/api/v1/transcripts/"))["count"] == 0
    assert ok(ada.get("/api/v1/usage/"))["minutes"] == 1


# Jobs


def test_a_job_in_the_background(ada: Ada, talk: Path) -> None:
    answer = ada.transcribe(talk, **{"async": "true", "store": "false", "response_format": "srt"})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["status"], job["url"]) == ("queued", f"/v1/jobs/{job['id']}")
    until(lambda: ok(ada.get(job["url"]))["status"] == "done")
    assert ada.get(f"{job['url']}/result").text.startswith("1\n00:00:00,000")
    assert ok(ada.delete(job["url"]))["status"] == "done"  # it has ended
    refused(ada.get("/v1/jobs/job_0"), 404, "not found")


def test_bad_input_is_refused_before_there_is_a_job(ada: Ada, talk: Path) -> None:
    refused(ada.transcribe(talk, background="true", model="gigantic"), 400, "gigantic")
    refused(ada.transcribe(talk, background="true", webhook_url="http://127.0.0.1/"), 400, "webhook_url")
    assert ok(ada.get("/api/v1/transcripts/"))["count"] == 0


def test_events_tell_how_a_job_goes_and_cancel_ends_it(ada: Ada, talk: Path) -> None:
    job = ok(ada.transcribe(talk, background="true", model="endless"))
    assert Endless.began.wait(10)
    told: list[dict[str, Any]] = []
    with ada.stream("GET", f"{job['url']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        for line in events.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                if len(told) == 1:
                    ok(ada.delete(job["url"]))
    assert told[0]["status"] == "running"
    assert told[-1]["status"] == "cancelled"
    assert ok(ada.get("/api/v1/usage/"))["minutes"] == 0
    refused(ada.get(f"{job['url']}/events?since=1"), 400, "query string")


def test_events_end_with_the_key(service: Service, ada: Ada, talk: Path) -> None:
    job = ok(ada.transcribe(talk, background="true", model="gated"))
    assert Gated.began.acquire(timeout=10)
    with ada.stream("GET", f"{job['url']}/events") as events:
        lines = events.iter_lines()
        assert next(lines) == "event: running"
        service.accounts.revoke_key(ada.account.id, ada.key.id)
        assert "event: error" in list(lines)
    Gated.gate.set()


def test_a_client_with_a_key_may_leave(ada: Ada, talk: Path) -> None:
    with pytest.raises(httpx.ReadTimeout), talk.open("rb") as file:
        ada.post(
            "/v1/transcribe", files={"file": file}, data={"model": "gated"}, timeout=1, headers={"Idempotency-Key": "k"}
        )
    Gated.gate.set()
    until(lambda: ok(ada.get("/api/v1/transcripts/?status=done"))["count"] == 1)
    again = ok(ada.transcribe(talk, {"Idempotency-Key": "k"}, model="gated"))
    assert again["id"] == ok(ada.get("/api/v1/transcripts/"))["results"][0]["id"]
    refused(ada.transcribe(talk, {"Idempotency-Key": "k"}, model="echo"), 422, "Idempotency-Key")
    assert ok(ada.get("/api/v1/usage/"))["jobs"] == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x7fb"])
def test_bad_idempotency_keys(key: str, ada: Ada, talk: Path) -> None:
    refused(ada.transcribe(talk, {"Idempotency-Key": key}), 400, "Idempotency-Key")


# Limits


def limits(answer: httpx.Response) -> tuple[int | None, ...]:
    names = ("limit", "remaining", "reset")
    return tuple(int(value) if (value := answer.headers.get(f"x-ratelimit-{name}")) else None for name in names)


def test_the_headers_say_what_the_limiter_says(service: Service, ada: Ada, talk: Path) -> None:
    for left in (599, 598):
        answer = ada.transcribe(talk)
        limit, remaining, reset = limits(answer)
        told = service.accounts.limits(ada.account.id)
        assert told is not None
        assert (limit, remaining) == (told.limit, told.remaining) == (600, left)
        assert reset is not None
        assert abs(reset - told.reset) <= 2
    assert ok(ada.get("/api/v1/account/"))["quota"]["remaining"] == 598
    used = ok(ada.get("/api/v1/usage/"))
    assert (len(used["days"]), used["minutes"], used["jobs"]) == (30, 2, 2)
    assert used["days"][-1]["operations"] == [{"operation": "transcribe", "minutes": 2, "credits": 0, "jobs": 2}]
    assert limits(ada.get("/v1/models")) == (None,) * 3


def test_anonymous_callers_have_three_a_day(service: Service, talk: Path) -> None:
    with Ada(service) as nobody:
        del nobody.headers["Authorization"]
        assert [limits(nobody.transcribe(talk))[:2] for _ in range(3)] == [(3, 2), (3, 1), (3, 0)]
        answer = nobody.transcribe(talk)
        refused(answer, 429, "3 transcriptions")
        assert limits(answer)[:2] == (3, 0)
        assert 0 < int(answer.headers["retry-after"]) <= 86_400
        refused(nobody.transcribe(talk, background="true"), 429)


def test_proxies_are_no_way_around_the_quota(service: Service, talk: Path) -> None:
    with Ada(service) as nobody:
        del nobody.headers["Authorization"]
        statuses = [nobody.transcribe(talk, {"X-Forwarded-For": f"198.51.100.{i}"}).status_code for i in range(4)]
        assert statuses == [200, 200, 200, 429]


def test_a_proxy_that_is_known_tells_clients_apart(fakes: Make, talk: Path) -> None:
    with served(fakes(trusted_proxies="127.0.0.1")) as service, Ada(service) as nobody:
        del nobody.headers["Authorization"]
        statuses = [nobody.transcribe(talk, {"X-Forwarded-For": f"198.51.100.{i}"}).status_code for i in range(4)]
        assert statuses == [200] * 4


def test_paid_accounts_pay(service: Service, talk: Path) -> None:
    with Ada(service, "paid") as ada:
        answer = ada.transcribe(talk)
        refused(answer, 402, "credits")
        service.accounts.grant(ada.account.id, 1)
        assert limits(ada.transcribe(talk)) == (None, 0, 0)
        refused(ada.transcribe(talk), 402)
        assert service.accounts.balance(ada.account.id) == 0


def test_jobs_at_once(service: Service, ada: Ada, talk: Path) -> None:
    jobs = [ok(ada.transcribe(talk, background="true", model="gated"))["url"] for _ in range(2)]
    answer = ada.transcribe(talk)
    refused(answer, 429, "2 jobs")
    assert int(answer.headers["retry-after"]) > 0
    Gated.gate.set()
    until(lambda: all(ok(ada.get(job))["status"] == "done" for job in jobs))


def test_the_tier_limits_the_upload(service: Service, ada: Ada, talk: Path, tmp_path: Path) -> None:
    service.accounts.set_tier(Tier(name="free", max_upload_mb=1))
    big = tmp_path / "big.wav"
    big.write_bytes(bytes(2 * 1024 * 1024))
    refused(ada.transcribe(big), 413, "1 MB")
    refused(ada.post("/v1/audio/transcriptions", files={"file": big.read_bytes()}), 413, "1 MB")
    assert ok(ada.transcribe(talk))["id"]
    assert service.leftovers() == []


def test_no_key_reaches_a_log_line(service: Service, ada: Ada, talk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        made = ok(ada.post("/api/v1/keys/", json={"name": "x"}))
        ok(ada.get("/api/v1/account/", headers={"Authorization": f"Bearer {made['key']}"}))
        refused(ada.get("/api/v1/account/", headers={"Authorization": f"Bearer {made['key'][:-1]}"}), 401)
    assert made["key"][:-1] not in caplog.text
    assert KEY not in caplog.text
