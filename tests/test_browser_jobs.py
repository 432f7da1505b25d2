"""Recordings that are added in the Library, and their jobs, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav
from workbench import FITS, Account, visit

pytestmark = pytest.mark.browser

JOB = ".job"
ROWS = "tr.row"
SOON_MS = 60_000  # on a busy machine


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(settings_for(tmp_path)) as running:
        yield running


@pytest.fixture
def account(served: Served) -> Iterator[Account]:
    account = Account(served)
    served.accounts.update(account.id, tier="unlimited")
    yield account
    account.client.close()


@pytest.fixture
def slow() -> Iterator[None]:
    Toy.seconds = 60.0
    yield
    Toy.seconds = 0.0


def add(page: Page, *paths: Path) -> None:
    page.set_input_files(".add-files", [str(path) for path in paths])


def test_several_files_become_transcripts(browser: Browser, account: Account, tmp_path: Path) -> None:
    (tmp_path / "words.mp3").write_bytes(b"these are words" * 50)
    paths = [wav(tmp_path / f"part {number}.wav", 2) for number in range(5)]
    with visit(browser, account, "library") as page:
        expect(page.get_by_text("No transcripts yet.")).to_be_visible()
        add(page, *paths, tmp_path / "words.mp3")
        expect(page.locator(f"{ROWS}.done")).to_have_count(5, timeout=SOON_MS)
        refused = page.locator(f".refused li, {JOB}.failed")
        expect(refused).to_contain_text("words.mp3", timeout=SOON_MS)
        expect(refused).to_contain_text("not readable audio or video")
        assert {one["title"] for one in account.listed() if one["status"] == "done"} == {path.name for path in paths}
        page.locator(JOB, has_text="part 3").get_by_role("link", name="Open").click()
        page.wait_for_function("location.hash.startsWith('#transcript/')")


def test_a_folder_is_sent_without_what_is_no_recording(browser: Browser, account: Account, tmp_path: Path) -> None:
    folder = tmp_path / "meeting"
    folder.mkdir()
    wav(folder / "talk.wav", 2)
    (folder / "notes.txt").write_text("notes")
    with visit(browser, account, "library") as page:
        page.set_input_files(".add-folder", str(folder))
        expect(page.locator(".add-said")).to_contain_text("1 file of the folder left out")
        expect(page.locator(f"{ROWS}.done")).to_have_count(1)


def test_more_files_than_the_account_may_send_at_once(
    browser: Browser, served: Served, account: Account, tmp_path: Path
) -> None:
    served.accounts.update(account.id, tier="free")  # two jobs at once
    Toy.seconds = 2.0
    try:
        with visit(browser, account, "library") as page:
            add(page, *(wav(tmp_path / f"part {number}.wav", 2) for number in range(4)))
            expect(page.locator(f"{ROWS}.done")).to_have_count(4, timeout=SOON_MS)
            expect(page.locator(".refused")).to_be_hidden()
    finally:
        Toy.seconds = 0.0


@pytest.mark.usefixtures("slow")
def test_a_job_outlives_its_page(browser: Browser, account: Account, tmp_path: Path) -> None:
    names = ("first", "second", "third")  # one works, one is decoded ahead, one waits
    with visit(browser, account, "library", 390) as page:
        add(page, *(wav(tmp_path / f"{name}.wav", 2) for name in names))
        expect(page.locator(JOB, has_text="third")).to_contain_text("Waiting, place 1 in the queue", timeout=SOON_MS)
        expect(page.locator(JOB, has_text="second")).to_contain_text("Waiting for the device")
        page.reload()
        expect(page.locator(JOB, has_text="third")).to_contain_text("Waiting, place 1")
        expect(page.locator(JOB, has_text="first")).to_contain_text("Transcribing")
        assert page.evaluate(FITS)
    with visit(browser, account, "library") as page:
        expect(page.locator(JOB)).to_have_count(3)
        for name in reversed(names):
            page.locator(JOB, has_text=name).get_by_role("button", name="Cancel").click()
            expect(page.locator(JOB, has_text=name)).to_have_count(0, timeout=SOON_MS)
        until(lambda: {one["status"] for one in account.listed()} == {"cancelled"})


def test_the_example(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        page.get_by_role("button", name="Try it with an example").click()
        expect(page.locator(f"{ROWS}.done")).to_have_count(1)
        assert account.listed()[0]["duration"] > 10


def test_keys_are_made_shown_once_and_revoked(browser: Browser, served: Served) -> None:
    account = Account(served)
    account.key = served.accounts.create_key(account.id, "all", ["speech", "library", "account"])[1]
    with visit(browser, account, "account") as page:
        expect(page.get_by_role("heading", name="Last 30 days")).to_be_visible()
        page.get_by_role("button", name="Create a key").click()
        page.get_by_label("Name").fill("<b>laptop</b>")
        page.get_by_role("button", name="Create", exact=True).click()
        secret = page.locator(".secret").input_value()
        assert secret.startswith("stt_")
        page.get_by_role("button", name="Close").click()
        expect(page.get_by_text("<b>laptop</b>")).to_be_visible()
        assert secret not in page.content()
        page.get_by_role("button", name="Revoke <b>laptop</b>").click()
        page.get_by_role("button", name="Revoke", exact=True).click()
        expect(page.get_by_text("<b>laptop</b>")).to_have_count(0)
        expect(page.get_by_role("heading", name="Accounts")).to_have_count(0)


def test_the_model_that_answers_is_named(browser: Browser, served: Served) -> None:
    account = Account(served)
    account.key = served.accounts.create_key(account.id, "all", ["speech", "library", "account"])[1]
    said = "Whisper Base answers here. Whisper Large V3 Turbo should make fewer errors (not measured here);"
    with visit(browser, account, "library") as page:
        expect(page.locator(".model-note")).to_contain_text(said)
        expect(page.get_by_label("Model", exact=True).locator("option").first).to_have_text("Default: Whisper Base")
        page.goto(f"{account.served.url}/#transcribe")
        expect(page.locator(".stt-model-note")).to_contain_text(said)
        expect(page.locator("#stt-model input")).to_have_value("Default: Whisper Base")
        page.locator(".stt-model-note").get_by_role("link", name="Account → Models").click()
        expect(page.locator("tr", has_text="base").first).to_contain_text("installed, default")


def test_the_administrator_has_models_data_and_accounts(browser: Browser, served: Served) -> None:
    account = Account(served)
    account.key = KEY
    with visit(browser, account, "account", 390) as page:
        base = page.locator("tr", has_text="base").first
        expect(base).to_contain_text("installed, default")
        expect(base).to_contain_text("12.4 % (10.3 to 15.0)")
        expect(page.locator("tr", has_text="large-v3-turbo")).to_contain_text("Not measured here")
        page.get_by_role("button", name="Use base as default").click()
        expect(base).to_contain_text("installed, default, chosen")
        page.get_by_role("button", name="Choose automatically").click()
        expect(page.get_by_role("button", name="Use base as default")).to_be_visible()
        expect(page.locator("tr", has_text="recordings").first).to_contain_text("MB")
        page.get_by_role("button", name="Create an account").click()
        page.get_by_label("Name").fill("Grace")
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.locator("tr", has_text="Grace")).to_contain_text("free")
        assert "Grace" in {one.name for one in served.accounts.list_all()[0]}
        page.get_by_role("button", name="Delete base").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.locator("tr", has_text="base").first).to_contain_text("not installed")
        assert page.evaluate(FITS)
