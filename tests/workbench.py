"""For tests of the Library tab: an account with its client, and its page at a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from browsing import Browser, Page, expect
from toy_server import Served, Toy, serve, settings_for, wav

FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
PLANT = "<img src=x onerror=window.ran=1> ${window.ran=2} {{window.ran}} \u202e\u2066evil"
PLANTED = "document.querySelector('.stt-workbench').shadowRoot.querySelectorAll('[onerror], iframe, script').length"
OFTEN_MS, SLOW_MS = 5_000, 60_000  # playwright's own, and for a page on a busy machine
CODE = "import(document.querySelector('script[src*=\"page/\"]').src.replace('main.js', 'segments.js'))"
LINES = (
    "Good morning, everybody.",
    "The budjet is open today.",
    "We meet again at noon.",
    "Who pays for it?",
    "Nobody knows that yet.",
    "Let us ask the bored.",
)


class Holder:
    """Who has a key of a server, with a client."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def stored(self, id: int) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/api/v1/transcripts/{id}/").json()
        return found

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/api/v1/transcripts/").json()["results"]
        return found


def holder_of(url: str, admin_key: str, name: str) -> Holder:
    """A new account without limits, with a key, made as an administrator makes them."""
    headers = {"Authorization": f"Bearer {admin_key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as admin:
        account = admin.post("/api/v1/accounts/", json={"name": name, "tier": "unlimited"}).json()
        made = admin.post(f"/api/v1/accounts/{account['id']}/keys/", json={"name": "tests"}).json()
    return Holder(url, made["key"])


class Account(Holder):
    """An account of a server in this process."""

    def __init__(self, served: Served) -> None:
        account = served.accounts.create(f"Ada {uuid4()}")
        self.id = account.id
        self.served = served
        super().__init__(served.url, served.accounts.create_key(account.id, "a", ["speech", "library"])[1])

    def transcribe(self, path: Path, *lines: str, **fields: str) -> int:
        """Store a transcript with these lines; return its number."""
        before, Toy.lines = Toy.lines, lines or Toy.lines
        try:
            with path.open("rb") as file:
                made = self.client.post("/v1/transcribe", files={"file": file}, data={"model": "base"} | fields)
        finally:
            Toy.lines = before
        return int(made.json()["id"])


@pytest.fixture(scope="module", name="served")
def served_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("served"))) as running:
        yield running


@pytest.fixture(name="account")
def account_fixture(served: Served) -> Iterator[Account]:
    account = Account(served)
    yield account
    account.client.close()


@pytest.fixture(name="id")
def id_fixture(account: Account, tmp_path: Path) -> int:
    return account.transcribe(wav(tmp_path / "meeting.wav", 12), *LINES)


def sign_in(page: Page, url: str, key: str) -> None:
    page.goto(f"{url}/sign-in")
    page.fill("#key", key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("#stt-go")


@contextmanager
def patient(page: Page) -> Iterator[None]:
    """A page on a busy machine has more time than usual."""
    page.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    try:
        yield
    finally:
        expect.set_options(timeout=OFTEN_MS)


@contextmanager
def visit(browser: Browser, account: Account, place: str, width: int = 1280) -> Iterator[Page]:
    """The page of an account at a place; afterwards no error was logged, and nothing planted has run."""
    context = browser.new_context(viewport={"width": width, "height": 850})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(f"{said.text} {said.location}") if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(f"{error} {error.stack}"))
    with patient(page):
        sign_in(page, account.url, account.key)
        page.goto(f"{account.url}/#{place}")
        yield page
    assert page.evaluate("window.ran") is None
    context.close()
    elsewhere = ("/assets/", "/api/v1/", "/v1/transcribe")  # Gradio's own, when its page is left; what a test lets fail
    assert [one for one in problems if not any(path in one for path in elsewhere)] == []


def texts(account: Holder, id: int) -> list[str]:
    return [segment["text"] for segment in account.stored(id)["segments"]]


def turn(page: Page, number: int) -> Any:
    return page.locator(f".turn[aria-posinset='{number + 1}']")


def begin(page: Page, number: int, word: int = 0) -> None:
    turn(page, number).locator(".word").nth(word).dblclick()
    expect(turn(page, number).locator(".text")).to_be_focused()


def saved(page: Page) -> None:
    expect(page.locator(".saved")).to_have_text("Saved")


def menu(page: Page, number: int, entry: str) -> None:
    turn(page, number).hover()
    turn(page, number).get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name=entry, exact=True).click()
