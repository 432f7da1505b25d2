"""Signing in and out: addresses that work once, wrong keys that wait, sessions that end, secrets of no key."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fakes import KEY, Service, environ, fakes_fixture, program, served  # noqa: F401
from sqlalchemy import text
from starlette.requests import HTTPConnection

from stt_lab.accounts.access import Access
from stt_lab.accounts.accounts import ADMINISTRATOR_ID
from stt_lab.accounts.one_time_tokens import SIGN_IN_S, OneTimeTokens, sign_in_tokens
from stt_lab.accounts.wrong_keys import WrongKeys
from stt_lab.caller import ADMINISTRATOR
from stt_lab.errors import BadInput, RateLimited
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings

OWNER = {"Authorization": f"Bearer {KEY}"}
Make = Callable[..., Settings]


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    with served(fakes()) as running:
        yield running


@pytest.fixture
def browser(service: Service) -> Iterator[httpx.Client]:
    """A client that keeps cookies, as a browser does."""
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=20) as made:
        yield made


def enter(client: httpx.Client, key: str, **headers: str) -> httpx.Response:
    return client.post("/sign-in", data={"key": key}, headers=headers)


# Sessions


def test_sign_out_ends_the_session(browser: httpx.Client, service: Service) -> None:
    assert enter(browser, KEY).status_code == 303
    copy = dict(browser.cookies)
    assert browser.get("/api/v1/keys/").status_code == 200
    assert browser.post("/sign-out").status_code == 303
    with httpx.Client(base_url=browser.base_url, cookies=copy) as thief:
        assert thief.get("/api/v1/keys/").status_code == 401


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Referer": "http://evil.example/page"},  # a form of a browser that sends nothing else
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_sites_cannot_sign_in_or_out(headers: dict[str, str], browser: httpx.Client) -> None:
    refused = enter(browser, KEY, **headers)
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    assert enter(browser, KEY, Referer=f"{browser.base_url}/sign-in").status_code == 303
    assert browser.post("/sign-out", headers=headers).status_code == 403
    assert browser.get("/api/v1/keys/").status_code == 200


def test_an_administrator_ends_all_sessions(browser: httpx.Client) -> None:
    enter(browser, KEY)
    assert httpx.delete(f"{browser.base_url}/api/v1/sessions/", headers=OWNER).json() == {"ended": 1}
    assert browser.get("/api/v1/keys/").status_code == 401


# Addresses


def test_an_address_works_once(browser: httpx.Client, service: Service) -> None:
    address = service.access.sign_in_address(f"http://127.0.0.1:{service.port}")
    assert KEY not in address
    first = browser.get(address)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert browser.get("/api/v1/keys/").status_code == 200
    assert browser.get(address).status_code == 303  # the same browser is still signed in
    second = httpx.get(address)
    assert (second.status_code, "set-cookie" in second.headers) == (401, False)
    assert "`stt-lab sign-in`" in second.json()["error"]


def test_an_address_lives_for_15_minutes(tmp_path: Path) -> None:
    now = [1_000_000.0]
    tokens = OneTimeTokens(tmp_path, SIGN_IN_S, most=20, clock=lambda: now[0])
    for later, valid in ((SIGN_IN_S - 1, True), (SIGN_IN_S + 1, False), (86_400, False), (-86_400, False)):
        token = tokens.make()
        now[0] += later
        assert (tokens.take(token) is not None) is valid
        assert tokens.take(token) is None
    assert tokens.take("") is None
    assert tokens.take("../admin.key") is None


def test_addresses_are_few_and_not_readable_on_disk(tmp_path: Path) -> None:
    tokens, most = sign_in_tokens(tmp_path), 20
    made = [tokens.make() for _ in range(2 * most)]
    files = list((tmp_path / "sign-in").iterdir())
    assert len(files) == most
    assert (tmp_path / "sign-in").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert not any(token in path.name + path.read_text() for token in made for path in files)
    assert tokens.take(made[-1]) is not None
    assert sign_in_tokens(tmp_path).take(made[-2]) is not None  # another server on the data directory


def test_the_command_prints_an_address_of_the_running_server(fakes: Make, tmp_path: Path) -> None:
    env = environ(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = program(tmp_path, "sign-in", *arguments)
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)

    none = run()
    assert none.returncode == 1
    assert "stt-lab serve" in none.stderr
    with served(fakes()) as running:
        address = f"http://127.0.0.1:{running.port}"
        running.installation.scratch.announce(address)
        (printed,) = re.findall(r"http://\S+", run().stdout)
        assert printed.startswith(f"{address}/sign-in?token=")
        assert httpx.get(printed).status_code == 303
        assert httpx.get(printed).status_code == 401
        (printed,) = re.findall(r"https://\S+", run("--url", "https://stt.example.org/").stdout)
        assert printed.startswith("https://stt.example.org/sign-in?token=")
    assert run().returncode == 1


# Secrets


def test_no_secret_derives_from_the_key(fakes: Make, tmp_path: Path) -> None:
    """Two installations with one key: whoever knows it cannot compute what is derived in the other one."""
    digests, clients = set(), set()
    for name in ("one", "two"):
        settings = fakes(data_dir=tmp_path / name)
        runtime = Runtime(settings)
        access = Access(settings, runtime.accounts)
        session = access.begin_session(ADMINISTRATOR)
        with runtime.database.read() as opened:
            digests.add(opened.execute(text("SELECT digest FROM sessions")).scalars().one())
        clients.add(
            access.identify(HTTPConnection({"type": "http", "headers": [], "client": ("203.0.113.5", 1)})).client
        )
        assert (tmp_path / name / "access.key").stat().st_mode & 0o777 == 0o600
        keyed = hmac.new(KEY.encode(), f"stt_lab session {session}".encode(), hashlib.sha256).hexdigest()
        assert keyed not in digests
    assert len(digests) == len(clients) == 2


@pytest.mark.parametrize("key", ["", "short", "x" * 19])
def test_a_short_key_stops_the_start(key: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=tmp_path, admin_key=key or None)
    if not key:
        tmp_path.joinpath("admin.key").write_text("short")  # by hand
    with pytest.raises(BadInput, match="20 are needed") as caught:
        Access(settings, Runtime(settings).accounts)
    assert "xxx" not in str(caught.value)


def test_a_short_key_is_one_sentence_at_the_start(tmp_path: Path) -> None:
    command, env = program(tmp_path, "serve", "--port", "0"), environ(tmp_path, STT_LAB_ADMIN_KEY="hunter2")
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("stt-lab: The administrator's key (STT_LAB_ADMIN_KEY) has 7 characters")
    assert ended.stderr.count("\n") == 1
    assert "hunter2" not in ended.stderr


def test_another_key_of_the_administrator_ends_the_administrators_sessions(fakes: Make) -> None:
    first = fakes()
    access = Access(first, Runtime(first).accounts)
    session = access.begin_session(ADMINISTRATOR)
    ada = access.accounts.create("Ada")
    key, _ = access.accounts.create_key(ada.id, "a", ["speech"])
    access.accounts.begin_session("digest of Ada", ada.id, key.id)
    same = Access(first, access.accounts)
    assert same.accounts.end_sessions(ADMINISTRATOR_ID) == 1  # it was still there
    access.begin_session(ADMINISTRATOR)
    Access(fakes(admin_key="another-key-of-the-administrator"), access.accounts)
    assert access.accounts.end_sessions() == 1  # Ada's
    assert session


# Wrong keys


def test_wrong_keys_wait_longer_each_time() -> None:
    now = [0.0]
    wrong = WrongKeys(clock=lambda: now[0])

    def wait() -> int:
        with pytest.raises(RateLimited) as caught:
            wrong.check("a", "right")
        assert caught.value.retry_after
        return caught.value.retry_after

    waits = []
    for _ in range(8):
        for _ in range(10):
            wrong.check("a", "right")
            wrong.count_wrong("a")
        waits.append(wait())
        wrong.check("b", "right")  # others never wait
        now[0] += waits[-1] + 1
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    now[0] += 3601
    for _ in range(10):
        wrong.count_wrong("a")
    assert wait() == 60


def test_a_few_wrong_keys_do_not_wait() -> None:
    now = [0.0]
    wrong = WrongKeys(clock=lambda: now[0])
    for _ in range(100):
        now[0] += 7  # nine a minute
        wrong.count_wrong("a")
        wrong.check("a", "x")


def test_a_key_that_worked_before_still_does_where_others_try() -> None:
    wrong = WrongKeys()
    wrong.note_right("a", "mine")
    for _ in range(10):
        wrong.count_wrong("a")
    wrong.check("a", "mine")
    for address, key in (("a", "other"), ("a", "")):
        with pytest.raises(RateLimited):
            wrong.check(address, key)


def test_the_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.accounts.wrong_keys.MOST", 50)
    wrong = WrongKeys()
    for number in range(500):
        wrong.count_wrong(str(number))
        wrong.note_right(str(number), "key")
    assert wrong.remembered == (50, 50)


def test_every_door_counts_wrong_keys(browser: httpx.Client, service: Service) -> None:
    with httpx.Client(base_url=browser.base_url, headers=OWNER) as known:
        assert known.get("/v1/models").status_code == 200
        for _ in range(4):
            assert browser.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
        for _ in range(3):
            assert enter(browser, "wrong").status_code == 401
        for _ in range(3):
            assert browser.get("/sign-in?token=wrong").status_code == 401
        fresh = service.accounts.create_key(service.accounts.create("Ada").id, "a", ["speech"])[1]
        answers = [
            browser.get("/v1/models", headers={"Authorization": "Bearer wrong"}),
            browser.get("/v1/models", headers={"Authorization": f"Bearer {fresh}"}),
            enter(browser, fresh),
            browser.get(service.access.sign_in_address("")),
        ]
        for answer in answers:
            assert answer.status_code == 429
            assert 0 < int(answer.headers["retry-after"]) <= 60
            assert "`stt-lab keys create`" in answer.text
        assert known.get("/v1/models").status_code == 200  # it worked from here before
    assert browser.get("/v1/models").status_code == 200  # who sends no key does not wait


def test_names_of_the_installations_own_accounts(service: Service) -> None:
    names = [
        "Administrator",
        "ADMINISTRATOR",
        " administrator ",
        "Ａｄｍｉｎｉｓｔｒａｔｏｒ",
        "adminiſtrator",
        "Anonymous",
    ]
    ada = service.accounts.create("Ada")
    for name in [*names, "admin istrator", "ⓐdministrator"]:
        with pytest.raises(BadInput, match="reserved"):
            service.accounts.create(name)
        with pytest.raises(BadInput, match="reserved"):
            service.accounts.update(ada.id, name=name)
    assert service.accounts.create("Administrators of Kew").name == "Administrators of Kew"
    service.accounts.update(ADMINISTRATOR_ID, name="administrator")
