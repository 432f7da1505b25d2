"""stt_lab.accounts.access: keys, sessions, origins and addresses; stt_lab.settings: what is kept secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fakes import KEY, fakes_fixture  # noqa: F401
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from stt_lab.accounts.access import Access
from stt_lab.accounts.accounts import Account, Key
from stt_lab.caller import ADMINISTRATOR, ANONYMOUS, Caller
from stt_lab.errors import BadInput, Forbidden, NotFound, Unauthorized
from stt_lab.runtime import Runtime
from stt_lab.server import OPTIONS
from stt_lab.settings import MB, Settings, get_settings, refuse_unknown

Make = Callable[..., Settings]


def made(settings: Settings) -> Access:
    return Access(settings, Runtime(settings).accounts)


def connection(kind: str = "http", query: str = "", peer: str = "", **headers: str | None) -> HTTPConnection:
    """A request or a WebSocket; `sec_fetch_site="none"` is the header Sec-Fetch-Site. One that is None is not sent."""
    lines = [(name.replace("_", "-").encode(), line.encode()) for name, line in headers.items() if line is not None]
    scope: dict[str, Any] = {"type": kind, "path": "/", "query_string": query.encode(), "headers": lines}
    scope |= {"client": (peer, 1)} if peer else {}
    return HTTPConnection(scope)


def bearer(key: str) -> HTTPConnection:
    return connection(authorization=f"Bearer {key}")


def cookie(session: str) -> str:
    return f"stt_lab_session={session}"


def signed_in(session: str, kind: str = "http", query: str = "", **headers: str | None) -> HTTPConnection:
    """A request of a browser that has this session."""
    return connection(kind, query, cookie=cookie(session), host="stt.example.org", **headers)


def key_of(access: Access, *scopes: str, name: str = "Ada") -> tuple[Account, Key, str]:
    """An account of that name, and a key of it."""
    store = access.accounts
    try:
        owner = store.find(name)
    except NotFound:
        owner = store.create(name)
    return owner, *store.create_key(owner.id, "a key", scopes or ("speech", "library"))


def test_no_header_is_anonymous(fakes: Make) -> None:
    access = made(fakes())
    for header in (None, ""):
        assert replace(access.identify(connection(authorization=header)), client="") == ANONYMOUS


def test_a_key_is_its_accounts(fakes: Make) -> None:
    access = made(fakes())
    owner, key, raw = key_of(access, "speech", "admin")
    caller = access.identify(bearer(raw))
    assert caller == Caller("Ada", frozenset({"speech"}), False, owner.id, key.id)  # no scope makes an administrator
    access.accounts.update(owner.id, admin=True)
    assert access.identify(bearer(raw)).admin
    assert not access.identify(bearer(key_of(access, "speech")[2])).admin  # of an administrator, for less
    access.accounts.revoke_key(owner.id, key.id)
    with pytest.raises(Unauthorized):
        access.identify(bearer(raw))


# Sessions


def test_a_session_is_its_keys_account(fakes: Make) -> None:
    access = made(fakes())
    _, _, raw = key_of(access)
    caller = access.identify(bearer(raw))
    session = access.begin_session(caller)
    assert raw not in session
    assert len(session) >= 43  # 256 bits in base64
    assert access.begin_session(caller) != session
    for kind in ("http", "websocket"):
        assert access.identify(signed_in(session, kind)) == caller


@pytest.mark.parametrize("how", ["revoked", "disabled", "signed out", "ended", "all ended"])
def test_a_session_ends(how: str, fakes: Make) -> None:
    access = made(fakes())
    owner, key, raw = key_of(access)
    session = access.begin_session(access.identify(bearer(raw)))
    others = access.begin_session(access.identify(bearer(key_of(access, name="Bob")[2])))
    ends: dict[str, Callable[[], object]] = {
        "revoked": lambda: access.accounts.revoke_key(owner.id, key.id),
        "disabled": lambda: access.accounts.update(owner.id, disabled=True),
        "signed out": lambda: access.end_session(signed_in(session)),
        "ended": lambda: access.accounts.end_sessions(owner.id),
        "all ended": access.accounts.end_sessions,
    }
    ends[how]()
    assert access.identify(signed_in(session)).anonymous
    assert access.identify(signed_in(others)).anonymous == (how == "all ended")
    if how == "disabled":
        access.accounts.update(owner.id, disabled=False)
        assert access.identify(signed_in(session)).anonymous  # it has ended for good


def test_a_session_that_nobody_began_is_anonymous(fakes: Make) -> None:
    access = made(fakes())
    session = access.begin_session(ADMINISTRATOR)
    for unknown in ("forged", session[:-1], f"{session}x", "1", "é", access.tokens.make(), KEY):
        assert access.identify(signed_in(unknown)) == access.identify(connection()), unknown
    assert access.identify(signed_in(session)) is ADMINISTRATOR


def test_the_store_has_no_session_id(fakes: Make) -> None:
    settings = fakes()
    access = made(settings)
    session = access.begin_session(ADMINISTRATOR)
    files = [path.read_bytes() for path in settings.data_dir.glob("stt_lab.db*")]
    assert files
    assert not any(session.encode() in content for content in files)


def test_a_session_outlives_a_restart(fakes: Make) -> None:
    session = made(fakes()).begin_session(ADMINISTRATOR)
    assert made(fakes()).identify(signed_in(session)) is ADMINISTRATOR
    assert made(fakes(admin_key="another-key-of-the-administrator")).identify(signed_in(session)).anonymous


def test_a_header_wins_over_a_session(fakes: Make) -> None:
    access = made(fakes())
    session = access.begin_session(ADMINISTRATOR)
    _, _, raw = key_of(access)
    for kind in ("http", "websocket"):
        assert access.identify(signed_in(session, kind, authorization=f"Bearer {raw}")).name == "Ada"
    with pytest.raises(Unauthorized):  # a session does not make up for a wrong key
        access.identify(signed_in(session, authorization="Bearer wrong"))


def test_a_token_counts_for_a_websocket_only(fakes: Make, caplog: pytest.LogCaptureFixture) -> None:
    access = made(fakes())
    _, _, raw = key_of(access)
    session = access.begin_session(ADMINISTRATOR)
    with caplog.at_level(logging.DEBUG):
        assert access.identify(connection("websocket", f"model=base&token={raw}")).name == "Ada"
        assert access.identify(signed_in(session, "websocket", f"token={raw}")).name == "Ada"
        assert access.identify(connection("websocket", f"token={raw}", authorization=f"Bearer {KEY}")).admin
        assert access.identify(connection("websocket", "token=")).anonymous
        assert access.identify(connection("http", f"token={raw}")).anonymous
        assert access.identify(signed_in(session, "http", f"token={raw}")) is ADMINISTRATOR
        with pytest.raises(Unauthorized) as caught:
            access.identify(connection("websocket", "token=wrong-one"))
    assert "wrong-one" not in str(caught.value)
    assert raw not in caplog.text


def test_a_websocket_object_is_a_connection(fakes: Make) -> None:
    async def unused(*messages: Any) -> Any:
        raise AssertionError

    scope = connection("websocket", f"token={KEY}").scope
    assert made(fakes()).identify(WebSocket(scope, unused, unused)) is ADMINISTRATOR


def test_the_server_logs_no_address_of_a_websocket() -> None:
    """uvicorn writes it with its query, where a token stands, at the level of information."""
    uvicorn.Config("unused:app", **OPTIONS)
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
    assert OPTIONS["access_log"] is False


# Origins


OWN: list[dict[str, str]] = [
    {},  # no browser, or an old one that opens an address
    {"origin": "http://stt.example.org"},
    {"origin": "https://stt.example.org"},  # a proxy that was not named may encrypt
    {"origin": "http://STT.example.org:80"},
    {"sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "same-origin", "origin": "https://name.outside"},  # a proxy writes another host
    {"sec_fetch_site": "none"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},  # a link
]
FOREIGN: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "https://stt.example.org.evil.example"},
    {"origin": "https://evil.example/stt.example.org"},
    {"origin": "https://stt.example.org@evil.example"},
    {"origin": "http://stt.example.org:8888"},  # cookies do not know ports
    {"origin": "http://sub.stt.example.org"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://"},
    {"origin": "http://["},
    {"origin": "http://stt.example.org:port"},
    {"origin": "ftp://stt.example.org"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site", "origin": "http://stt.example.org"},
    {"sec_fetch_site": "none", "origin": "https://evil.example"},
    {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "audio"},
]


@pytest.mark.parametrize("headers", OWN)
def test_the_page_itself_may_use_its_session(headers: dict[str, str], fakes: Make) -> None:
    access = made(fakes())
    assert access.identify(signed_in(access.begin_session(ADMINISTRATOR), **headers)) is ADMINISTRATOR


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_may_not_use_a_session(headers: dict[str, str], kind: str, fakes: Make) -> None:
    access = made(fakes())
    for session in (access.begin_session(ADMINISTRATOR), "unknown"):
        with pytest.raises(Forbidden, match="another site"):
            access.identify(signed_in(session, kind, **headers))
        assert access.identify(signed_in(session, kind, authorization=f"Bearer {KEY}", **headers)) is ADMINISTRATOR
    assert access.identify(connection(kind, host="stt.example.org", **headers)).anonymous  # without a session
    if kind == "websocket":
        assert access.identify(signed_in("unknown", kind, f"token={KEY}", **headers)) is ADMINISTRATOR


def test_a_form_of_another_site_is_foreign_where_a_link_is_not(fakes: Make) -> None:
    access = made(fakes())
    link = signed_in("x", sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document")
    assert not access.is_foreign(link)
    link.scope["method"] = "POST"
    assert access.is_foreign(link)


@pytest.mark.parametrize(
    ("peer", "headers", "foreign"),
    [
        ("10.0.0.1", {"x_forwarded_host": "outside.example"}, False),
        ("10.0.0.1", {"x_forwarded_host": "outside.example:443, inside"}, False),
        ("10.0.0.1", {"x_forwarded_host": "outside.example", "x_forwarded_proto": "https"}, False),
        ("10.0.0.1", {"x_forwarded_host": "other.example"}, True),
        ("203.0.113.5", {"x_forwarded_host": "outside.example"}, True),  # nobody's proxy
        ("203.0.113.5", {"host": "outside.example"}, False),
    ],
)
def test_origins_behind_a_proxy(peer: str, headers: dict[str, str], foreign: bool, fakes: Make) -> None:
    access = made(fakes(trusted_proxies=PROXIES))
    sent = {"host": "inside:7860", "origin": "https://outside.example"} | headers
    assert access.is_foreign(connection(peer=peer, **sent)) is foreign


def test_a_page_without_encryption_is_foreign_to_one_with(fakes: Make) -> None:
    access = made(fakes(trusted_proxies=PROXIES))
    plain = {"host": "stt.example.org", "origin": "http://stt.example.org", "x_forwarded_proto": "https"}
    assert access.is_foreign(connection(peer="10.0.0.1", **plain))
    assert not access.is_foreign(connection(peer="203.0.113.5", **plain))  # nobody's proxy: its header is a claim


# Addresses


def request(peer: str, *forwarded: str) -> HTTPConnection:
    made = connection(peer=peer)
    made.scope["headers"] = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return made


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
    assert made(fakes()).address(connection()) == ""


def test_addresses_are_told_apart_and_not_kept(fakes: Make, tmp_path: Path) -> None:
    access = made(fakes())

    def client(address: str) -> str:
        return access.identify(connection(peer=address)).client

    assert client("203.0.113.5") == client("::ffff:203.0.113.5") != client("203.0.113.6")
    assert client("2001:db8:1:2::3") == client("2001:db8:1:2:ffff::4") != client("2001:db8:1:3::3")
    assert "203" not in client("203.0.113.5")
    other = made(fakes(data_dir=tmp_path / "other"))  # with the same key
    assert client("203.0.113.5") != other.identify(connection(peer="203.0.113.5")).client


def test_the_tier_says_how_large_an_upload_may_be(fakes: Make) -> None:
    access = made(fakes(max_upload_mb=700))
    owner, _, raw = key_of(access)
    callers = (connection(), bearer(raw), bearer(KEY))
    sizes = [access.upload_limit(access.identify(caller)) // MB for caller in callers]
    assert sizes == [100, 500, 700]
    access.accounts.update(owner.id, tier="paid")
    assert access.upload_limit(access.identify(bearer(raw))) == 700 * MB


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer   {KEY} "])
def test_the_key_is_the_administrators(header: str, fakes: Make) -> None:
    assert made(fakes()).identify(connection(authorization=header)) is ADMINISTRATOR


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer é"],
)
def test_a_wrong_key_is_refused_and_not_repeated(header: str, fakes: Make) -> None:
    with pytest.raises(Unauthorized) as caught:
        made(fakes()).identify(connection(authorization=header))
    assert "Bearer KEY" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_the_first_start_makes_a_key_and_keeps_it(fakes: Make) -> None:
    settings = fakes(admin_key=None)
    first, second = made(settings), made(settings)
    path = settings.data_dir / "admin.key"
    key = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(key) >= 32
    assert first.made_key
    assert second.identify(bearer(key)) is ADMINISTRATOR


def test_a_given_key_is_not_written(fakes: Make) -> None:
    settings = fakes()
    assert not made(settings).made_key
    assert not (settings.data_dir / "admin.key").exists()


def test_a_start_that_was_cut_off_is_mended(fakes: Make) -> None:
    settings = fakes(admin_key=None)
    settings.data_dir.mkdir(exist_ok=True)
    (settings.data_dir / "admin.key").touch(0o644)
    with pytest.raises(Unauthorized):  # an empty file is not an empty key
        made(settings).identify(bearer(""))
    assert (settings.data_dir / "admin.key").stat().st_mode & 0o777 == 0o600


def test_the_key_is_never_shown(fakes: Make, caplog: pytest.LogCaptureFixture) -> None:
    settings = fakes(database_url="postgresql://user:hidden@host/db")
    with caplog.at_level(logging.DEBUG):
        access = Access(settings, made(fakes()).accounts)  # of another store: that host is none
        access.identify(bearer(KEY))
    shown = f"{settings!r} {settings} {access!r} {settings.model_dump()} {settings.model_dump_json()} {caplog.text}"
    assert KEY not in shown
    assert "hidden" not in shown


def test_proxies_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_LAB_TRUSTED_PROXIES", "10.0.0.1, my-proxy")
    get_settings.cache_clear()
    with pytest.raises(BadInput, match="STT_LAB_TRUSTED_PROXIES is invalid"):
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
