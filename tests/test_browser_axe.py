"""axe-core on every place of the page: nothing that it calls serious or critical, in both themes and at two widths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from needs import needs
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav
from workbench import LINES, Account, begin, patient, sign_in, turn

needs("axe_playwright_python")

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
FOUND = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    const why = ({ any, all, none }) => [...any, ...all, ...none].map(({ message }) => message).join(" ");
    return violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).flatMap(({ id, nodes }) =>
        nodes.map((node) => [id, node.target.flat().join(" "), node.html, why(node)]));
}"""
STILL = "Promise.all(document.getAnimations().map(one => one.finished.catch(() => {})))"
DARK = """scheme => !document.querySelector('gradio-app')
    || document.body.classList.contains('dark') === (scheme === 'dark')"""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
looks = pytest.mark.parametrize("width", [1440, 390])
# What Gradio draws and this project cannot reach: rule, part of the element, and why.
GRADIOS: tuple[tuple[str, str, str], ...] = ()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("axe"))) as running:
        yield running


class Look:
    """A page at a width, and what axe has found there so far in both themes."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.found: list[str] = []

    def go(self, place: str, ready: str) -> None:
        self.page.evaluate("place => { location.hash = place; }", place)
        expect(self.page.locator(ready).first).to_be_visible()

    def check(self, name: str) -> None:
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_function(DARK, arg=scheme)
            self.page.evaluate(STILL)
            self.page.evaluate(AXE)
            for rule, target, html, why in self.page.evaluate(FOUND):
                if not any(rule == known and part in html for known, part, _ in GRADIOS):
                    self.found.append(f"{name}, {scheme}: {rule}: {target}\n    {html[:200]}\n    {why[:300]}")


@contextmanager
def look(browser: Browser, url: str, width: int, key: str = "") -> Iterator[Look]:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    with patient(page):
        if key:
            sign_in(page, url, key)
        else:
            page.goto(url)
            page.wait_for_selector("#stt-go")
        looked = Look(page, url)
        yield looked
    context.close()
    assert not looked.found, "\n".join(looked.found)


TABS = {
    "transcribe": "#stt-go",
    "live": "[id^=stt-tab-live] ",
    "text": "#text-actions",
    "voice": "#voice-main, .stt-notice",
    "lab": "#lab-main",
}


def tabs(at: Look) -> None:
    for name in TABS:
        at.go(name, f"#stt-tab-{name}[role=tabpanel], #stt-tab-{name}-button[aria-selected=true]")
        at.page.wait_for_timeout(500)  # Gradio draws what has been out of sight
        at.check(name)


@looks
def test_visitors(browser: Browser, served: Served, width: int) -> None:
    with look(browser, served.url, width) as at:
        tabs(at)
        for place in ("library", "account", "transcript/1"):
            at.go(place, ".notice")
            at.check(place)
        at.page.goto(f"{served.url}/sign-in")
        at.check("sign-in")
        at.page.fill("#key", "wrong")
        at.page.get_by_role("button", name="Sign in").click()
        expect(at.page.locator(".error")).to_be_visible()
        at.check("sign-in with a wrong key")


@looks
def test_an_account(browser: Browser, served: Served, tmp_path: Path, width: int) -> None:
    account = Account(served)
    account.key = served.accounts.create_key(account.id, "all", ["speech", "text", "library", "account"])[1]
    with look(browser, served.url, width, account.key) as at:
        tabs(at)
        at.go("library", ".empty")
        at.check("library, empty")
        at.go("account", ".account table")
        at.check("account")
        with items(account, tmp_path) as id:
            library(at)
            transcript(at, id)
    account.client.close()


@contextmanager
def items(account: Account, folder: Path) -> Iterator[int]:
    """A transcript with tags, a failed job, one that runs and one that waits; the number of the transcript."""
    sound = wav(folder / "meeting.wav", 12)
    id = account.transcribe(sound, *LINES, diarize="true")
    account.client.patch(f"/api/v1/transcripts/{id}/", json={"tags": ["board", "2026"]}).raise_for_status()
    later = {"background": "true", "model": "base"}

    def send(name: str) -> str:
        sent = account.client.post("/v1/transcribe", files={"file": (name, sound.read_bytes())}, data=later)
        return str(sent.raise_for_status().json()["id"])

    def status(job: str) -> str:
        return str(account.client.get(f"/v1/jobs/{job}").json()["status"])

    lines, Toy.lines = Toy.lines, ("broken",)
    try:
        failed = send("broken.wav")
        until(lambda: status(failed) == "failed")
    finally:
        Toy.lines = lines
    Toy.seconds, jobs = 600.0, []
    try:
        jobs += [send("long.wav"), send("next.wav")]
        until(lambda: status(jobs[0]) == "running")
        yield id
    finally:
        Toy.seconds = 0.0
        for job in jobs:
            account.client.delete(f"/v1/jobs/{job}")


def library(at: Look) -> None:
    page = at.page
    at.go("library", "tr.row.done")
    for state in ("running", "failed"):
        expect(page.locator(f".job.{state}").first).to_be_visible()
    at.check("library with jobs")
    page.locator("tr.row.done").get_by_role("checkbox").check()
    at.check("library with a selection")
    page.locator("tr.row.done").get_by_role("button", name="Actions for").click()
    at.check("library with a menu")
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("budjet")
    expect(page.locator(".found mark")).to_be_visible()
    at.check("library with a search")


def entry(page: Page, name: str) -> None:
    """The entry of the menu that the name of the first speaker opens; a phone shows other buttons only where one is."""
    turn(page, 0).locator(".who").click()
    page.get_by_role("menuitem", name=name, exact=True).click()


def transcript(at: Look, id: int) -> None:
    page = at.page
    at.go(f"transcript/{id}", ".turn")
    expect(page.locator(".player.drawn")).to_be_visible()
    at.check("transcript")
    begin(page, 1, 1)
    page.keyboard.type("budget")
    at.check("transcript, edited")
    page.keyboard.press("Escape")
    expect(page.locator(".saved")).to_have_text("Saved")
    menu_of = turn(page, 1)
    menu_of.get_by_role("button", name="More").click()
    at.check("transcript with a menu")
    page.keyboard.press("Escape")
    for name in ("Review", "Find"):
        page.get_by_role("button", name=name).first.click()
        at.check(f"transcript with {name}")
    dialogs: dict[str, Callable[[], Any]] = {
        "Versions": lambda: page.get_by_role("button", name="Versions").click(),
        "Help": lambda: page.get_by_role("button", name="Help").click(),
        "Times": lambda: entry(page, "Times …"),
        "Rename": lambda: entry(page, "Rename …"),
    }
    for name, act in dialogs.items():
        act()
        expect(page.get_by_role("dialog")).to_be_visible()
        if name == "Versions":
            page.get_by_role("button", name="Compare with now").last.click()
            expect(page.locator(".compared del")).to_be_visible()
        at.check(f"transcript with {name}")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


@looks
def test_the_administrator(browser: Browser, served: Served, width: int) -> None:
    other = Account(served)
    with look(browser, served.url, width, KEY) as at:
        page = at.page
        at.go("account", ".account table")
        expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
        expect(page.get_by_role("row", name=re.compile(r"^recordings \d+ MB"))).to_be_visible()
        expect(page.locator("tr", has_text="Ada").first).to_be_visible()
        at.check("account of the administrator")
        page.get_by_role("button", name="Create a key").click()
        at.check("a new key")
        page.get_by_label("Name").fill("laptop")
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.locator(".secret")).to_be_visible()
        at.check("a key that is shown once")
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Revoke laptop").first.click()
        at.check("a key that is revoked")
        page.get_by_role("button", name="Revoke", exact=True).click()
        expect(page.get_by_role("button", name="Revoke laptop")).to_have_count(0)
        page.get_by_role("button", name="Actions for Ada").first.click()
        at.check("the menu of an account")
        page.get_by_role("menuitem", name="Grant credits").click()
        at.check("credits")
        page.keyboard.press("Escape")
        tabs(at)
    other.client.close()
