"""From the sign-in page to a corrected transcript that is still there after a reload: twelve steps of a person.

A real server with real weights and headless Chromium, at the width of a desk and of a phone. Each step leaves a
screenshot in .artifacts/twelve-steps of this checkout, to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docx
import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from conftest import ROOT, Choose
from fakes import KEY
from serving import Server, serving
from workbench import FITS, Holder, begin, holder_of, patient, saved, texts, turn

pytestmark = [pytest.mark.browser, pytest.mark.truth]

SHOTS = ROOT / ".artifacts" / "twelve-steps"
WORKED_MS = 240_000  # a minute of speech on a busy machine
NOW = "document.querySelector('.stt-workbench').shadowRoot.querySelector('video').currentTime"
WORDS = re.compile(r"[a-z]+ [a-z]+ [a-z]+")
TYPED, NAME = "Nebuchadnezzar's", "Grace Hopper"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Server]:
    places = {"STT_LAB_MODELS_DIR": str(models_dir), "STT_LAB_ADMIN_KEY": KEY}
    with serving(tmp_path_factory.mktemp("steps"), fakes=False, **places) as running:
        yield running


@dataclass
class Steps:
    """Counts steps, and keeps a picture of each."""

    page: Page
    folder: Path
    count: int = 0

    def done(self, name: str) -> None:
        self.count += 1
        self.page.screenshot(path=self.folder / f"{self.count:02}-{name}.png")
        assert self.page.evaluate(FITS), f"after step {self.count} the page is wider than the window"


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["1440", "390"])
def steps(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Steps]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    folder = SHOTS / str(width)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(f"{said.text} {said.location}") if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(f"{error} {error.stack}"))
    with patient(page):
        yield Steps(page, folder)
    context.close()
    assert [one for one in problems if "/assets/" not in one] == []  # Gradio's own, when its page is left


@pytest.mark.timeout(600)
def test_twelve_steps(steps: Steps, server: Server, recordings: Choose) -> None:
    (recording,) = recordings(id="assembled__conv_dev_3spk")
    holder = holder_of(server.url, KEY, f"Steps {steps.folder.name}")
    enter(steps, holder)
    id = transcribe(steps, recording.path)
    correct(steps, holder, id)
    keep(steps, holder, id)
    assert steps.count == 12
    holder.client.close()


def enter(steps: Steps, holder: Holder) -> None:
    page = steps.page
    page.goto(holder.url)
    expect(page.locator("#stt-go")).to_be_visible()
    steps.done("open")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Your key").fill(holder.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".stt-badge")).to_contain_text("Signed in as Steps")
    steps.done("sign-in")
    page.get_by_role("tab", name="Library", exact=True).click()
    expect(page.get_by_text("No transcripts yet.")).to_be_visible()
    steps.done("library")


def transcribe(steps: Steps, path: Path) -> int:
    """Add the recording and read along; return the number of its transcript."""
    page = steps.page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add recordings").click()
    chooser.value.set_files(path)
    expect(page.locator(".job")).to_contain_text(path.name)
    steps.done("add")
    expect(page.locator(".job .so-far")).to_contain_text(WORDS, timeout=WORKED_MS)
    steps.done("text-so-far")
    expect(page.locator("tr.row.done")).to_have_count(1, timeout=WORKED_MS)
    expect(page.locator(".job")).to_contain_text("Done")
    page.locator("a.title").click()
    expect(turn(page, 0).locator(".text")).to_contain_text(WORDS)
    expect(page.locator(".player.drawn")).to_be_visible()
    steps.done("transcript")
    return int(page.url.rpartition("/")[2])


def correct(steps: Steps, holder: Holder, id: int) -> None:
    page, before = steps.page, holder.stored(id)
    word = before["segments"][1]["words"][2]
    turn(page, 1).locator(".word").nth(2).click()
    page.wait_for_function(f"{NOW} > {word['start']} && {NOW} < {word['start'] + 5}")
    expect(page.locator(".word.said")).to_have_count(1)
    steps.done("hear")
    begin(page, 0, 1)
    page.keyboard.type(TYPED)
    page.keyboard.press("Escape")
    saved(page)
    assert texts(holder, id)[0].split()[1] == TYPED
    steps.done("correct")
    was = before["segments"][0]["speaker"]
    turn(page, 0).locator(".who").click()
    page.get_by_role("menuitem", name="Rename …").click()
    page.get_by_role("dialog").get_by_role("textbox", name="Name").fill(NAME)
    page.get_by_role("button", name="Save").click()
    saved(page)
    wanted = [NAME if one["speaker"] == was else one["speaker"] for one in before["segments"]]
    assert speakers(holder, id) == wanted
    expect(turn(page, 0).locator(".who")).to_have_text(NAME)
    steps.done("rename")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    saved(page)
    assert texts(holder, id) == [one["text"] for one in before["segments"]]
    assert speakers(holder, id) == [one["speaker"] for one in before["segments"]]
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Redo").click()
    saved(page)
    assert texts(holder, id)[0].split()[1] == TYPED
    assert speakers(holder, id) == wanted
    steps.done("undo-and-redo")


def speakers(holder: Holder, id: int) -> list[str]:
    return [one["speaker"] for one in holder.stored(id)["segments"]]


def keep(steps: Steps, holder: Holder, id: int) -> None:
    page = steps.page
    made = {}
    for form in ("Word", "Subtitles, SRT"):
        page.get_by_role("button", name="Download").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=form, exact=True).click()
        made[form] = Path(download.value.path())
    page.get_by_role("button", name="Download").click()
    steps.done("download")
    page.keyboard.press("Escape")
    word = "\n".join(part.text for part in docx.Document(str(made["Word"])).paragraphs)
    subtitles = made["Subtitles, SRT"].read_text("utf-8")
    for text in (word, subtitles):
        assert TYPED in text
        assert NAME in text
    address = page.url
    page.reload()
    expect(turn(page, 0).locator(".text")).to_contain_text(TYPED)
    expect(turn(page, 0).locator(".who")).to_have_text(NAME)
    assert page.url == address
    assert page.url.endswith(f"#transcript/{id}")
    assert texts(holder, id)[0].split()[1] == TYPED
    steps.done("reload")
