"""Stored strings that want to become programs, wherever the page shows them, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from lab_toys import made_run, said
from needs import needs
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav

from stt_lab.lab.scoring import scores

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=window.ran=1>"
PLANT = (
    f"{IMAGE} \"'><script>window.ran=2</script><svg onload=window.ran=3> [one](javascript:window.ran=4) "
    '<a href="javascript:window.ran=5">two</a> <iframe srcdoc="<script>parent.ran=6</script>"></iframe> ${ran=7}'
)
FOUND = """() => [...document.querySelectorAll('[onerror], [onload], iframe[srcdoc], a[href^="javascript:" i]')]
    .filter(node => !node.closest('head')).map(node => node.outerHTML.slice(0, 200))"""
SLOW_MS = 60_000
MINE = {"Authorization": f"Bearer {KEY}"}
TEMPLATE = """
description = '''{plant}'''
[[blocks]]
kind = "title"
[[blocks]]
kind = "points"
heading = '''{plant}'''
label = '''{plant}'''
[[blocks]]
kind = "quotes"
"""


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    expect.set_options(timeout=SLOW_MS)
    yield
    expect.set_options(timeout=5_000)  # playwright's own


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "ours.toml").write_text(TEMPLATE.format(plant=PLANT.replace("\n", " ")), "utf-8")
    with serve(settings_for(tmp_path, templates_dir=templates, speech_dir=tmp_path / "none")) as running:
        Toy.lines = (f"{PLANT}.", f"Ada says {PLANT}. Who pays? Ada must pay by Friday.")
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The administrator's page; afterwards nothing ran, and nothing that could is in the page."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.set_default_timeout(SLOW_MS)
    page.goto(served.access.sign_in_address(served.url))
    page.wait_for_selector("#stt-go")
    yield page
    harmless(page)
    page.context.close()
    assert dialogs == []


def harmless(page: Page) -> None:
    page.wait_for_timeout(300)  # for an image that fails
    assert page.evaluate("window.ran") is None
    assert page.evaluate(FOUND) == []


def transcribed(page: Page, served: Served, folder: Path) -> None:
    recording = wav(folder / f"{IMAGE}.wav", 3)
    page.set_input_files("#stt-file input[type=file]", str(recording))
    expect(page.locator("#stt-file")).to_contain_text("onerror")
    until(lambda: served.uploads, 30)
    page.wait_for_timeout(1000)
    page.click("#stt-go")
    expect(page.locator(".stt-segment").first).to_be_visible()


def test_a_transcript_and_its_file_name(page: Page, served: Served, tmp_path: Path) -> None:
    transcribed(page, served, tmp_path)
    expect(page.locator(".stt-segment p").first).to_contain_text("<script>window.ran=2</script>")
    page.locator(".stt-time").first.click()


def test_a_title_speakers_and_everything_made_of_the_text(page: Page, served: Served, tmp_path: Path) -> None:
    transcribed(page, served, tmp_path)
    with httpx.Client(base_url=served.url, headers=MINE) as client:
        id = client.get("/api/v1/transcripts/").json()["results"][0]["id"]
        change = {"title": PLANT[:250], "speakers": {"Speaker 1": PLANT[:100]}}
        assert client.patch(f"/api/v1/transcripts/{id}/", json=change).status_code == 200, change
    page.get_by_role("tab", name="Text").click()
    expect(page.locator(".stt-source h3")).to_contain_text("onerror")
    page.fill("#text-query input, #text-query textarea", "onerror")
    page.keyboard.press("Enter")
    for task in ("summary", "analysis", "document", "translation", "ask", "redaction"):
        _choose(page, task)
        if task == "ask":
            page.fill("#text-question input, #text-question textarea", PLANT)
        if task == "document":
            page.locator("#text-of-document input").first.click()
            page.get_by_role("option", name="Ours").click()
        before = page.locator("#text-made").inner_html()
        page.wait_for_timeout(500)  # Gradio's client loses an event that begins just after another ended
        page.locator(f"#text-go-{task}").click()
        page.wait_for_function("before => document.querySelector('#text-made').innerHTML !== before", arg=before)
        harmless(page)


def _choose(page: Page, task: str) -> None:
    page.locator(f"#text-task input[value={task}]").focus()
    page.keyboard.press("Space")


def test_an_account_that_is_called_so(browser: Browser, served: Served) -> None:
    account = served.accounts.create(f"Ada {IMAGE}")
    _, key = served.accounts.create_key(account.id, "a", ["speech", "library"])
    page = browser.new_page()
    page.goto(f"{served.url}/sign-in")
    page.fill("#key", key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".stt-badge")).to_contain_text("onerror")
    harmless(page)
    page.close()


def test_a_run_of_the_laboratory(page: Page, served: Served, tmp_path: Path) -> None:
    needs("pandas")
    lab = served.app.state.installation.lab
    rows = [{"id": "one", "text": PLANT, "source": PLANT, "language": "en"}, {"id": "two", "text": "a b"}]
    predictions = [said(PLANT[:60], "one", f"x {PLANT}"), said(PLANT[:60], "two", None, error=PLANT)]
    run = made_run(lab.folder, rows, predictions)  # lab.folder / "runs" / "toy"
    scores.score(run)
    page.get_by_role("tab", name="Lab", exact=True).click()
    expect(page.locator("#lab-result")).to_contain_text("onerror")
    harmless(page)
    page.get_by_role("tab", name="Leaderboard").click()
    expect(page.locator("#lab-board")).to_contain_text("onerror")
