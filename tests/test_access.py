"""stt_lab.accounts.access: the key, the sign-in address and the cookie; stt_lab.settings: what is kept secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import KEY, fakes_fixture  # noqa: F401
from starlette.requests import Request

from stt_lab.accounts.access import Access
from stt_lab.accounts.accounts import Account, Key
from stt_lab.caller import ADMINISTRATOR, ANONYMOUS, Caller
from stt_lab.errors import BadInput, NotFound, Unauthorized
from stt_lab.runtime import Runtime
from stt_lab.settings import MB, Settings, get_settings, refuse_unknown

Make = Callable[..., Settings]


def made(settings: Settings) -> Access:
    return Access(settings, Runtime(settings).accounts)


def key_of(access: Access, *scopes: str, name: str = "Ada") -> tuple[Account, Key, str]:
    """An account of that name, and a key of it."""
    store = access._accounts
    try:
        owner = store.find(name)
    except NotFound:
        owner = store.create(name)
    return owner, *store.create_key(owner.id, "a key", scopes or ("speech", "library"))


def test_no_header_is_anonymous(fakes: Make) -> None:
    access = made(fakes())
    for header in (None, ""):
        assert replace(access.identify(header), client="") == ANONYMOUS


def test_a_key_is_its_accounts(fakes: Make) -> None:
    access = made(fakes())
    owner, key, raw = key_of(access, "speech", "admin")
    caller = access.identify(f"Bearer {raw}")
    assert caller == Caller("Ada", frozenset({"speech"}), False, owner.id, key.id)  # no scope makes an administrator
    access._accounts.update(owner.id, admin=True)
    assert access.identify(f"Bearer {raw}").admin
    assert not access.identify(f"Bearer {key_of(access, 'speech')[2]}").admin  # of an administrator, for less
    access._accounts.revoke_key(owner.id, key.id)
    with pytest.raises(Unauthorized):
        access.identify(f"Bearer {raw}")


def test_a_cookie_ends_with_its_key(fakes: Make) -> None:
    access = made(fakes())
    owner, key, raw = key_of(access)
    cookie = access.session_of(raw)
    assert raw not in cookie
    assert access.identify_browser(None, cookie) == access.identify(f"Bearer {raw}")
    access._accounts.update(owner.id, disabled=True)
    assert access.identify_browser(None, cookie).anonymous
    access._accounts.update(owner.id, disabled=False)
    assert not access.identify_browser(None, cookie).anonymous
    access._accounts.revoke_key(owner.id, key.id)
    assert access.identify_browser(None, cookie).anonymous


def test_a_cookie_cannot_be_made_up(fakes: Make) -> None:
    access = made(fakes())
    owner, key, raw = key_of(access)
    stranger, other, _ = key_of(access, name="Bob")
    signature = access.session_of(raw).rpartition(".")[2]
    for named in (f"{stranger.id}.{other.id}", f"{owner.id}.{other.id}", f"1.{key.id}", "a.b", "", "1"):
        assert access.identify_browser(None, f"{named}.{signature}").anonymous
    assert access.identify_browser(None, f"{owner.id}.{key.id}.é").anonymous
    with pytest.raises(Unauthorized):
        access.session_of("stt_" + "x" * 43)
    assert access.session_of(KEY) == access.session


def request(peer: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return Request({"type": "http", "client": (peer, 1), "headers": headers})


PROXIES = "10.0.0.0/8, 2001:db8::1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),  # nobody's proxy: its header is a claim
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what a client writes itself comes first
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8::1", ["2001:db8:1::7"], "2001:db8:1::7"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], "nonsense"),
    ],
)
def test_the_clients_address_behind_proxies(peer: str, forwarded: list[str], address: str, fakes: Make) -> None:
    assert made(fakes(trusted_proxies=PROXIES)).address(request(peer, *forwarded)) == address


def test_without_a_proxy_no_header_counts(fakes: Make) -> None:
    assert made(fakes()).address(request("127.0.0.1", "198.51.100.1")) == "127.0.0.1"
    assert made(fakes()).address(Request({"type": "http", "client": None, "headers": []})) == ""


def test_addresses_are_told_apart_and_not_kept(fakes: Make) -> None:
    access = made(fakes())

    def client(address: str) -> str:
        return access.identify(None, address).client

    assert client("203.0.113.5") == client("::ffff:203.0.113.5") != client("203.0.113.6")
    assert client("2001:db8:1:2::3") == client("2001:db8:1:2:ffff::4") != client("2001:db8:1:3::3")
    assert "203" not in client("203.0.113.5")
    assert client("203.0.113.5") != made(fakes(admin_key="another")).identify(None, "203.0.113.5").client


def test_the_tier_says_how_large_an_upload_may_be(fakes: Make) -> None:
    access = made(fakes(max_upload_mb=700))
    owner, _, raw = key_of(access)
    sizes = [access.upload_limit(access.identify(header)) // MB for header in (None, f"Bearer {raw}", f"Bearer {KEY}")]
    assert sizes == [100, 500, 700]
    access._accounts.update(owner.id, tier="paid")
    assert access.upload_limit(access.identify(f"Bearer {raw}")) == 700 * MB


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer   {KEY} "])
def test_the_key_is_the_administrators(header: str, fakes: Make) -> None:
    assert made(fakes()).identify(header) is ADMINISTRATOR


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer é"],
)
def test_a_wrong_key_is_refused_and_not_repeated(header: str, fakes: Make) -> None:
    with pytest.raises(Unauthorized) as caught:
        made(fakes()).identify(header)
    assert "Bearer KEY" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_the_cookie_signs_the_page_in(fakes: Make) -> None:
    access = made(fakes())
    assert access.identify_browser(None, access.session) is ADMINISTRATOR
    assert access.identify_browser(None, "forged") == replace(ANONYMOUS, client=access.identify(None).client)
    assert access.identify_browser(None, None) == replace(ANONYMOUS, client=access.identify(None).client)
    assert access.identify_browser(f"Bearer {KEY}", None) is ADMINISTRATOR
    with pytest.raises(Unauthorized):  # a wrong key is not healed by a cookie
        access.identify_browser("Bearer wrong", access.session)


def test_the_sign_in_address_holds_no_key(fakes: Make) -> None:
    access = made(fakes())
    address = access.sign_in_address("http://host:7860/")
    assert address == f"http://host:7860/sign-in?token={access.sign_in_token}"
    assert access.signs_in(access.sign_in_token)
    assert not access.signs_in("")
    assert not access.signs_in(access.session)
    assert len({KEY, access.session, access.sign_in_token}) == 3
    assert KEY not in address + access.session


def test_another_key_makes_other_tokens(fakes: Make) -> None:
    one, two = made(fakes()), made(fakes(admin_key="another"))
    assert one.session != two.session
    assert not two.signs_in(one.sign_in_token)


def test_the_first_start_makes_a_key_and_keeps_it(fakes: Make) -> None:
    settings = fakes(admin_key=None)
    first, second = made(settings), made(settings)
    path = settings.data_dir / "admin.key"
    key = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(key) >= 32
    assert first.made_key
    assert second.identify(f"Bearer {key}") is ADMINISTRATOR
    assert first.session == second.session


def test_a_given_key_is_not_written(fakes: Make) -> None:
    settings = fakes()
    assert not made(settings).made_key
    assert not (settings.data_dir / "admin.key").exists()


def test_a_start_that_was_cut_off_is_mended(fakes: Make) -> None:
    settings = fakes(admin_key=None)
    settings.data_dir.mkdir(exist_ok=True)
    (settings.data_dir / "admin.key").touch(0o644)
    with pytest.raises(Unauthorized):  # an empty file is not an empty key
        made(settings).identify("Bearer ")
    assert (settings.data_dir / "admin.key").stat().st_mode & 0o777 == 0o600


def test_the_key_is_never_shown(fakes: Make, caplog: pytest.LogCaptureFixture) -> None:
    settings = fakes(database_url="postgresql://user:hidden@host/db")
    with caplog.at_level(logging.DEBUG):
        access = Access(settings, made(fakes())._accounts)  # of another store: that host is none
        access.identify(f"Bearer {KEY}")
    shown = f"{settings!r} {settings} {access!r} {settings.model_dump()} {settings.model_dump_json()} {caplog.text}"
    assert KEY not in shown
    assert "hidden" not in shown


def test_proxies_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_LAB_TRUSTED_PROXIES", "10.0.0.1, my-proxy")
    get_settings.cache_clear()
    with pytest.raises(BadInput, match="STT_LAB_TRUSTED_PROXIES cannot be used"):
        get_settings()
    get_settings.cache_clear()


def test_unknown_settings_are_refused_with_a_hint() -> None:
    with pytest.raises(BadInput, match=r"STT_LAB_OFLINE.*Did you mean STT_LAB_OFFLINE\?"):
        refuse_unknown({"STT_LAB_OFLINE": "1", "PATH": "/bin"})
    with pytest.raises(BadInput, match="STT_LAB_ZZZZ"):
        refuse_unknown({"STT_LAB_ZZZZ": "1"})
    refuse_unknown({"STT_LAB_OFFLINE": "1", "stt_lab_data_dir": "x", "OTHER": "1"})


def test_a_setting_that_cannot_be_used_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STT_LAB_QUEUE_SIZE", "s3cret")
    get_settings.cache_clear()
    with pytest.raises(BadInput, match="STT_LAB_QUEUE_SIZE") as caught:
        get_settings()
    assert "s3cret" not in str(caught.value)
    get_settings.cache_clear()
