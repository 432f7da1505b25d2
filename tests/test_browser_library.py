"""The Library tab in a real browser: find, filter, rename, tag, delete with undo, and addresses of places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Browser, browser_fixture, expect  # noqa: F401
from toy_server import Served, Toy, serve, settings_for, until, wav
from workbench import FITS, PLANT, PLANTED, SLOW_MS, Account, visit

pytestmark = pytest.mark.browser

ROWS = "tr.row"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(settings_for(tmp_path)) as running:
        yield running


@pytest.fixture
def account(served: Served, tmp_path: Path) -> Iterator[Account]:
    account = Account(served)
    for number, name in enumerate(("alpha", "beta", "gamma")):
        account.transcribe(
            wav(tmp_path / f"{name}.wav", 2 + number), f"Good morning from {name}.", "The budget is open."
        )
    yield account
    account.client.close()


def test_each_place_has_an_address(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        expect(page.locator(ROWS)).to_have_count(3)
        for name in ("Live", "Text", "Voice", "Lab", "Transcribe"):
            page.get_by_role("tab", name=name, exact=True).click()
            page.wait_for_function(f"location.hash === '#{name.lower()}'")
        page.go_back()
        expect(page.get_by_role("tab", name="Lab", exact=True)).to_have_attribute("aria-selected", "true")
        page.reload()
        expect(page.get_by_role("tab", name="Lab", exact=True)).to_have_attribute("aria-selected", "true")
        page.goto(f"{account.served.url}/#library?query=gamma")
        expect(page.locator(".found li")).to_have_count(1)
        page.reload()
        expect(page.locator(".found li")).to_have_count(1)


def test_search_shows_the_passage(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library", 390) as page:
        expect(page.locator(ROWS)).to_have_count(3)
        page.get_by_role("searchbox").fill("budget")
        expect(page.locator(".found mark")).to_have_text(["budget"] * 3)
        assert page.evaluate(FITS)
        page.get_by_label("How to search").select_option("meaning")
        expect(page.locator(".found li").first).to_contain_text("budget")
        assert page.evaluate("location.hash").endswith("mode=meaning")
        page.get_by_role("searchbox").fill("zzz")
        page.get_by_label("How to search").select_option("words")
        expect(page.locator(".empty")).to_contain_text("Nothing matches.")
        page.get_by_role("button", name="Show all transcripts").click()
        expect(page.locator(ROWS)).to_have_count(3)
        assert page.evaluate(FITS)


def test_a_new_name(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        for key, kept in (("Escape", "gamma.wav"), ("Enter", PLANT)):
            page.locator(ROWS).first.get_by_role("button", name="Actions for").click()
            page.get_by_role("menuitem", name="Rename").click()
            page.get_by_label("Title", exact=True).fill(PLANT)
            page.keyboard.press(key)
            expect(page.locator("a.title").first).to_have_text(kept)
        until(lambda: account.listed()[0]["title"].startswith("<img"))
        page.reload()
        expect(page.locator("a.title").first).to_contain_text("{{window.ran}}")
        page.wait_for_timeout(300)
        assert page.evaluate(PLANTED) == 0


def test_tags_and_order(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library", 390) as page:
        for number, tags in ((0, "board, Ünïcode"), (2, f"board, {PLANT[:40]}")):
            page.locator(ROWS).nth(number).get_by_role("button", name="Actions for").click()
            page.get_by_role("menuitem", name="Edit tags").click()
            page.get_by_label("Tags, separated by commas").fill(tags)
            page.keyboard.press("Enter")
            expect(page.locator(ROWS).nth(number).locator(".chip")).to_have_count(2)
        until(lambda: sum("board" in one["tags"] for one in account.listed()) == 2)
        page.locator(".chip", has_text="board").first.click()
        expect(page.locator("a.title")).to_have_text(["gamma.wav", "alpha.wav"])
        page.get_by_role("button", name="Title").click()
        expect(page.locator("a.title")).to_have_text(["alpha.wav", "gamma.wav"])
        page.get_by_role("button", name="Length").click()
        expect(page.locator("a.title")).to_have_text(["gamma.wav", "alpha.wav"])
        expect(page.get_by_role("columnheader", name="Length")).to_have_attribute("aria-sort", "descending")
        page.reload()
        expect(page.locator("a.title")).to_have_text(["gamma.wav", "alpha.wav"])
        page.get_by_label("Status").select_option("Failed")
        expect(page.locator(".empty")).to_contain_text("Nothing matches.")
        assert page.evaluate(PLANTED) == 0
        assert page.evaluate(FITS)


def test_delete_several_and_undo(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        for number in (0, 1):
            page.locator(ROWS).nth(number).get_by_role("checkbox").check()
        expect(page.locator(".selection")).to_contain_text("2 selected")
        page.locator(".selection").get_by_role("button", name="Delete").click()
        expect(page.locator(ROWS)).to_have_count(1)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(ROWS)).to_have_count(3)
        assert len(account.listed()) == 3
        page.get_by_label("Select all on this page").check()
        page.locator(".selection").get_by_role("button", name="Delete").click()
        expect(page.locator(".empty")).to_contain_text("No transcripts yet")
        until(lambda: not account.listed(), 60)


def test_leaving_the_page_deletes_too(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        page.locator(ROWS).first.get_by_role("checkbox").check()
        page.locator(".selection").get_by_role("button", name="Delete").click()
        expect(page.locator(ROWS)).to_have_count(2)
        page.goto("about:blank")
        until(lambda: len(account.listed()) == 2, 30)


def test_several_are_downloaded(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        got: list[str] = []
        page.on("download", lambda download: got.append(download.suggested_filename))
        page.get_by_label("Select all on this page").check()
        page.locator(".selection").get_by_role("button", name="Download").click()
        page.get_by_role("menuitem", name="Subtitles, SRT").click()
        page.wait_for_timeout(2500)
        assert sorted(got) == ["alpha.srt", "beta.srt", "gamma.srt"]


def test_work_in_progress_becomes_done(browser: Browser, account: Account, tmp_path: Path) -> None:
    Toy.seconds = 3.0
    try:
        with wav(tmp_path / "delta.wav").open("rb") as file:
            account.client.post("/v1/transcribe", files={"file": file}, data={"model": "base", "background": "true"})
        with visit(browser, account, "library") as page:
            expect(page.locator(ROWS)).to_have_count(4)
            expect(page.locator(".state").first).to_have_text("Done")
    finally:
        Toy.seconds = 0.0


def test_anonymous_visitors_are_asked_to_sign_in(browser: Browser, served: Served) -> None:
    page = browser.new_page()
    page.goto(f"{served.url}/#library")
    expect(page.locator(".notice")).to_contain_text("Please sign in with your key", timeout=SLOW_MS)
    expect(page.get_by_role("searchbox")).to_have_count(0)
    page.locator(".notice a").click()
    expect(page.get_by_label("Your key")).to_be_visible()
    page.close()
