"""The Text tab in a real browser: from a recording to a citation that plays, and what stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from conftest import Choose
from toy_server import Served, Toy, serve, settings_for, wav

from stt_lab.settings import Settings, get_settings

pytestmark = pytest.mark.browser

SLOW_MS = 120_000  # for what a model or the importing of libraries does on a busy machine
MODELS = ("tiny.en", "all-MiniLM-L6-v2-int8", "all-MiniLM-L6-v2", "en_core_web_sm")
NOW = "document.querySelector('.stt-source audio').currentTime"
PLAYS = "!document.querySelector('.stt-source audio').paused"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
TEXT = "Ana will send the report 🙂 to the board by Friday. <b>Who</b> pays for the windows? Nobody knows that yet."


@contextmanager
def visit(browser: Browser, served: Served, key: str) -> Iterator[Page]:
    """The page of somebody who signs in with a key; afterwards no error was logged."""
    context = browser.new_context(viewport={"width": 1280, "height": 850})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_default_timeout(SLOW_MS)
    page.goto(f"{served.url}/sign-in")
    page.fill("#key", key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("#stt-go")
    yield page
    context.close()
    assert problems == []


def new_key(served: Served) -> str:
    return served.accounts.create_key(served.accounts.create("Ada").id, "a", ["speech", "text", "library"])[1]


def choose(page: Page, group: str, value: str) -> None:
    """With the keyboard."""
    page.locator(f"#{group} input[value={value}]").focus()
    page.keyboard.press("Space")


@pytest.fixture
def patient() -> Iterator[None]:
    expect.set_options(timeout=SLOW_MS)
    yield
    expect.set_options(timeout=5_000)  # playwright's own


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Served]:
    for model in MODELS:  # no other, so that the page chooses the quickest
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / model).symlink_to(get_settings().models_dir / model)
    settings = Settings(
        data_dir=tmp_path / "data", models_dir=tmp_path / "models", speech_dir=tmp_path / "none", admin_key="k" * 20,
        device="cpu", threads=1,
    )  # type: ignore[arg-type]  # fmt: skip
    with serve(settings, real=True) as running:
        yield running


@pytest.mark.truth
@pytest.mark.usefixtures("patient")
def test_from_a_recording_to_a_citation_that_plays(browser: Browser, real: Served, made_data: Choose) -> None:
    (talk,) = made_data(source="conversation")
    with visit(browser, real, new_key(real)) as page:
        page.set_input_files("#stt-file input[type=file]", str(talk.path))
        expect(page.locator("#stt-file")).to_contain_text(talk.path.stem)
        page.get_by_label("Label speakers").uncheck()
        page.click("#stt-go")
        expect(page.locator(".stt-segment").first).to_be_visible()

        page.get_by_role("tab", name="Text").click()
        expect(page.locator(".stt-source h3")).to_have_text(talk.path.name)
        page.click("#text-go-summary")
        cite = page.locator(".stt-made .stt-cite").last
        cite.click()
        wanted = float(cite.get_attribute("data-seek") or 0)
        assert wanted > 0
        page.wait_for_function(f"{NOW} > {wanted} && {NOW} < {wanted + 30}")
        expect(page.locator(".stt-source mark").first).to_be_in_viewport()
        said = " ".join(page.locator(".stt-source mark").all_inner_texts())
        assert (cite.get_attribute("title") or "").rstrip("…") in said

        choose(page, "text-where", "pasted")
        page.fill("#text-pasted textarea", TEXT)
        page.click("#text-go-summary")
        expect(page.locator(".stt-source h3")).to_have_text("Pasted text")
        page.locator(".stt-made .stt-cite", has_text="2").click()
        expect(page.locator(".stt-source mark")).to_have_text("<b>Who</b> pays for the windows?")
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate(FITS)


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Served]:
    with serve(settings_for(tmp_path)) as running:
        yield running


def transcribed(served: Served, key: str, path: Path) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with path.open("rb") as file:
        httpx.post(f"{served.url}/v1/transcribe", files={"file": file}, data={"model": "base"}, headers=headers)


def test_what_is_shown_stays_until_there_is_something_new(
    browser: Browser,
    toys: Served,
    tmp_path: Path,
) -> None:
    key = new_key(toys)
    for name in ("First talk.wav", "Second talk.wav"):
        transcribed(toys, key, wav(tmp_path / name, 60))
    with visit(browser, toys, key) as page:
        page.get_by_role("tab", name="Text").click()
        expect(page.locator(".stt-source h3")).to_have_text("Second talk.wav")
        page.click("#text-go-summary")
        page.locator(".stt-made .stt-cite").last.click()
        page.wait_for_function(f"{NOW} > 30")
        with page.expect_download() as download:
            page.click(".stt-made [data-save$='.md']")
        assert download.value.suggested_filename == "Second talk summary.md"
        page.click(".stt-made [data-copy]")
        assert page.evaluate("navigator.clipboard.readText()") == Path(download.value.path()).read_text("utf-8")

        choose(page, "text-task", "ask")
        page.fill("#text-question textarea", "Who is greeted?")
        page.keyboard.press("Enter")
        expect(page.locator(".stt-asked")).to_have_text("Who is greeted?")
        assert page.evaluate(f"{PLAYS} && {NOW} > 30"), "an answer lets the recording play"
        expect(page.locator(".stt-source mark")).to_have_count(1)
        page.get_by_role("tab", name="Transcribe").click()
        page.get_by_role("tab", name="Text").click()
        expect(page.locator(".stt-asked")).to_be_visible()

        choose(page, "text-where", "pasted")
        choose(page, "text-task", "summary")
        page.click("#text-go-summary")
        expect(page.locator("#text-status")).to_contain_text("contains no words")
        Toy.seconds = 30.0
        page.fill("#text-pasted textarea", "One sentence. " * 20)
        page.click("#text-go-summary")
        expect(page.locator("#text-status")).to_contain_text("Analysing the text")
        page.click("#text-cancel")
        expect(page.locator("#text-status")).to_have_text("Cancelled.")
        expect(page.locator(".stt-asked")).to_have_count(0)  # it went when another action was chosen

        choose(page, "text-where", "library")
        page.fill("#text-query input, #text-query textarea", "First")
        page.keyboard.press("Enter")
        expect(page.locator(".stt-source h3")).to_have_text("First talk.wav")
        page.locator(".stt-source .stt-time").last.click()
        expect(page.locator(".stt-source .stt-said")).to_have_text("Hello there, friend.")
