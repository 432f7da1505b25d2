"""The laboratory in a real browser, with a real model: from an upload to the leaderboard."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from conftest import Choose
from toy_server import Served, serve, until

from stt_lab.settings import Settings, get_settings

pytestmark = [pytest.mark.browser, pytest.mark.truth]

OFTEN_MS = 5_000  # playwright's own
SLOW_MS = 120_000  # for what a model or the importing of libraries does on a busy machine
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    here = get_settings()
    settings = Settings(
        data_dir=tmp_path / "data", models_dir=here.models_dir, speech_dir=tmp_path / "none", admin_key="k" * 20,
        device="cpu", threads=1,
    )  # type: ignore[arg-type]  # fmt: skip
    with serve(settings, real=True) as running:
        yield running


@pytest.fixture
def page(served: Served, browser: Browser) -> Iterator[Page]:
    """The page, of the administrator; afterwards no error was logged and no file that was lent is left."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)
    page.goto(served.access.sign_in_address(served.url))
    page.wait_for_selector("#stt-go")
    yield page
    expect.set_options(timeout=OFTEN_MS)
    page.context.close()
    assert problems == []
    until(lambda: served.uploads == [], 10)


def recordings(choose: Choose, folder: Path) -> list[Path]:
    """Three short English ones, each with a .txt beside it."""
    clips = sorted((one for one in choose(language="en") if one.text), key=lambda one: one.duration)[:3]
    paths = []
    for one in clips:
        sound = folder / one.path.name
        shutil.copy(one.path, sound)
        sound.with_suffix(".txt").write_text(one.text or "", "utf-8")
        paths += [sound, sound.with_suffix(".txt")]
    return paths


def test_from_an_upload_to_the_leaderboard(page: Page, served: Served, made_data: Choose, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Lab", exact=True).click()
    expect(page.locator("#lab-facts")).to_contain_text("There are no datasets")
    _upload(page, recordings(made_data, tmp_path))
    _run(page)
    _look(page)
    page.screenshot(path=tmp_path / "desktop.png", full_page=True)
    _download(page)
    page.set_viewport_size({"width": 390, "height": 850})
    assert page.evaluate(FITS)
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    page.get_by_role("tab", name="Leaderboard").click()
    expect(page.locator("#lab-board tbody tr")).to_have_count(1)
    expect(page.locator("#lab-board")).to_contain_text("My talks (3 recordings")
    assert page.evaluate(FITS)


def _upload(page: Page, paths: list[Path]) -> None:
    page.get_by_role("button", name="Upload a dataset").click()
    page.set_input_files("#lab-files input[type=file]", paths)
    expect(page.locator("#lab-files")).to_contain_text(paths[-1].stem)
    page.get_by_label("Dataset name").fill("My talks")
    page.click("#lab-add")
    expect(page.locator("#lab-added")).to_contain_text("Added My talks with 3 recordings")
    expect(page.locator("#lab-facts")).to_contain_text("3 with text")


def _run(page: Page) -> None:
    page.locator("#lab-models").get_by_label("Tiny").check()
    page.get_by_role("button", name="Normaliser and run name").click()
    page.get_by_label("Run name").fill("First")
    page.click("#lab-go")
    expect(page.locator("#lab-status")).to_contain_text("of 3")
    expect(page.locator("#lab-cancel")).to_be_enabled()
    expect(page.locator("#lab-status .stt-notice")).to_have_text("First is done.")


def _look(page: Page) -> None:
    """The table, a picture that is one, and words with their sound."""
    expect(page.locator("#lab-result .lab-table tbody th")).to_have_text("tiny.en, known")
    expect(page.locator("#lab-result .lab-table")).to_contain_text("WER (%)")
    picture = page.locator("#lab-result img").first
    assert picture.evaluate("image => image.naturalWidth") > 600
    assert re.match(r"WER \(%\) by system\. tiny\.en, known: \d+\.\d", picture.get_attribute("alt") or "")
    expect(page.locator(".lab-mistake")).to_have_count(3)
    sound = page.locator(".lab-mistake audio").first
    sound.evaluate("sound => sound.play()")
    page.wait_for_function("document.querySelector('.lab-mistake audio').currentTime > 0.2")
    sound.evaluate("sound => sound.pause()")


def _download(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("link", name="Scores (JSON)").click()
    assert download.value.suggested_filename == "First.json"
    scores = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert scores["systems"]["tiny.en, known"]["recordings"] == 3
    assert 0 <= scores["systems"]["tiny.en, known"]["quality"]["all"]["wer"]["wer"]["value"] < 0.5
