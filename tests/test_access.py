"""stt_lab.access: the key, the sign-in address and the cookie; stt_lab.settings: what is kept secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import KEY, fakes_fixture  # noqa: F401

from stt_lab.access import Access
from stt_lab.errors import BadInput, Unauthorized
from stt_lab.registry import ADMINISTRATOR, ANONYMOUS
from stt_lab.settings import Settings, get_settings, refuse_unknown

Make = Callable[..., Settings]


def test_no_header_is_anonymous(fakes: Make) -> None:
    access = Access(fakes())
    assert access.identify(None) is ANONYMOUS
    assert access.identify("") is ANONYMOUS


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer   {KEY} "])
def test_the_key_is_the_administrators(header: str, fakes: Make) -> None:
    assert Access(fakes()).identify(header) is ADMINISTRATOR


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer é"],
)
def test_a_wrong_key_is_refused_and_not_repeated(header: str, fakes: Make) -> None:
    with pytest.raises(Unauthorized) as caught:
        Access(fakes()).identify(header)
    assert "Bearer KEY" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_the_cookie_signs_the_page_in(fakes: Make) -> None:
    access = Access(fakes())
    assert access.identify_browser(None, access.session) is ADMINISTRATOR
    assert access.identify_browser(None, "forged") is ANONYMOUS
    assert access.identify_browser(None, None) is ANONYMOUS
    assert access.identify_browser(f"Bearer {KEY}", None) is ADMINISTRATOR
    with pytest.raises(Unauthorized):  # a wrong key is not healed by a cookie
        access.identify_browser("Bearer wrong", access.session)


def test_the_sign_in_address_holds_no_key(fakes: Make) -> None:
    access = Access(fakes())
    address = access.sign_in_address("http://host:7860/")
    assert address == f"http://host:7860/sign-in?token={access.sign_in_token}"
    assert access.signs_in(access.sign_in_token)
    assert not access.signs_in("")
    assert not access.signs_in(access.session)
    assert len({KEY, access.session, access.sign_in_token}) == 3
    assert KEY not in address + access.session


def test_another_key_makes_other_tokens(fakes: Make) -> None:
    one, two = Access(fakes()), Access(fakes(admin_key="another"))
    assert one.session != two.session
    assert not two.signs_in(one.sign_in_token)


def test_the_first_start_makes_a_key_and_keeps_it(fakes: Make) -> None:
    settings = fakes(admin_key=None)
    first, second = Access(settings), Access(settings)
    path = settings.data_dir / "admin.key"
    key = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(key) >= 32
    assert first.made_key
    assert second.identify(f"Bearer {key}") is ADMINISTRATOR
    assert first.session == second.session


def test_a_given_key_is_not_written(fakes: Make) -> None:
    settings = fakes()
    assert not Access(settings).made_key
    assert not (settings.data_dir / "admin.key").exists()


def test_a_start_that_was_cut_off_is_mended(fakes: Make) -> None:
    settings = fakes(admin_key=None)
    settings.data_dir.mkdir()
    (settings.data_dir / "admin.key").touch(0o644)
    with pytest.raises(Unauthorized):  # an empty file is not an empty key
        Access(settings).identify("Bearer ")
    assert (settings.data_dir / "admin.key").stat().st_mode & 0o777 == 0o600


def test_the_key_is_never_shown(fakes: Make, caplog: pytest.LogCaptureFixture) -> None:
    settings = fakes(database_url="postgresql://user:hidden@host/db")
    with caplog.at_level(logging.DEBUG):
        access = Access(settings)
        access.identify(f"Bearer {KEY}")
    shown = f"{settings!r} {settings} {access!r} {settings.model_dump()} {settings.model_dump_json()} {caplog.text}"
    assert KEY not in shown
    assert "hidden" not in shown


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
