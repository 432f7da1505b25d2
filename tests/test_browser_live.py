"""The Live tab and the example page in a real browser, with a microphone that plays a recording, and a real model."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from browsing import FLAGS, Browser, Page, expect, sync_playwright
from conftest import ROOT, Choose
from needs import needs
from toy_server import Served, serve, until

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.settings import Settings, get_settings
from stt_lab.types import SAMPLE_RATE

pytestmark = [pytest.mark.browser, pytest.mark.truth]

OFTEN_MS = 5_000  # playwright's own
SLOW_MS = 120_000  # for what a model does on a busy machine
PAUSE_S = 1.5
SPOKEN = ("readings__sense_and_sensibility_01_austen_64kb-0870", "prompts__en_agent-alreadyon")
SAID = "dashwood had then leisure to consider how much there might please enter your agent number followed by pound key"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
COLOUR = "node => getComputedStyle(node).color"
EXAMPLE = ROOT / "examples" / "browser-stream.html"


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    expect.set_options(timeout=SLOW_MS)
    yield
    expect.set_options(timeout=OFTEN_MS)


@pytest.fixture(scope="module")
def spoken(made_data: Choose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears: two recordings, each followed by silence."""
    folder = tmp_path_factory.mktemp("spoken")
    decoder = Decoder(folder / "work", DecodeLimits(SAMPLE_RATE * 3600, 60))
    sound = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    for id in SPOKEN:
        (clip,) = (one for one in made_data(language="en") if one.id == id)
        with decoder.decode(clip.path) as audio:
            sound += [audio.read(0, audio.samples), np.zeros(int(PAUSE_S * SAMPLE_RATE), np.float32)]
    decoder.close()
    with wave.open(str(folder / "spoken.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.concatenate(sound) * 32767).astype("<i2").tobytes())
    return folder / "spoken.wav"


@pytest.fixture(scope="module")
def browser(spoken: Path) -> Iterator[Browser]:
    """A browser whose microphone plays the recording once, and then is silent."""
    needs("chromium")
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={spoken}%noloop"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield made
        made.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "models").mkdir()
    (folder / "models" / "tiny.en").symlink_to(get_settings().models_dir / "tiny.en")
    settings = Settings(
        data_dir=folder / "data", models_dir=folder / "models", admin_key="k" * 20, device="cpu", threads=1,
    )  # type: ignore[arg-type]  # fmt: skip
    with serve(settings, real=True) as running:
        yield running


def new_key(served: Served) -> str:
    return served.accounts.create_key(served.accounts.create("Ada").id, "a", ["speech", "text", "library"])[1]


@contextmanager
def live(browser: Browser, served: Served, key: str = "", width: int = 1280) -> Iterator[Page]:
    """The Live tab; afterwards no error was logged."""
    context = browser.new_context(viewport={"width": width, "height": 850})
    context.grant_permissions(["microphone", "clipboard-read", "clipboard-write"])
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_default_timeout(SLOW_MS)
    if key:
        page.goto(f"{served.url}/sign-in")
        page.fill("#key", key)
        page.get_by_role("button", name="Sign in").click()
    else:
        page.goto(served.url)
    page.get_by_role("tab", name="Live", exact=True).click()
    yield page
    context.close()
    assert problems == []


def share(text: str) -> float:
    """How many of the words that were said are in a text."""
    words = {word.strip(".,?!").lower() for word in text.split()}
    said = set(SAID.split())
    return len(said & words) / len(said)


def test_speech_becomes_text_that_is_kept(browser: Browser, served: Served, tmp_path: Path) -> None:
    key = new_key(served)
    with live(browser, served, key) as page:
        page.get_by_label("Keep it in the library").check()
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.locator("#live-unstable, #live-stable").filter(has_text="leisure")).to_be_visible()
        grey = page.locator("#live-unstable").evaluate(COLOUR), page.locator("#live-stable").evaluate(COLOUR)
        page.screenshot(path=tmp_path / "listening.png")
        said = page.locator(".live-said")
        expect(said.first).to_be_visible()
        page.wait_for_timeout(1000)
        assert said.first.evaluate(COLOUR) == "rgb(0, 0, 0)"
        assert len({*grey, "rgb(0, 0, 0)"}) == 3
        expect(page.locator("#live-finals")).to_contain_text("pound key")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#live-state")).to_have_text("Done.")
        text = "\n".join(said.all_text_contents())
        assert share(text) > 0.8, text
        times = page.locator("#live-finals time").all_text_contents()
        assert times == sorted(times)
        expect(page.locator("#live-kept")).to_contain_text("Kept in the library as transcript")
        page.get_by_role("button", name="Copy", exact=True).click()
        assert page.evaluate("navigator.clipboard.readText()") == text
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as TXT").click()
        assert Path(download.value.path()).read_text("utf-8") == f"{text}\n"
        with page.expect_download() as download:
            page.get_by_role("link", name="SRT").click()
        assert Path(download.value.path()).read_text("utf-8").startswith("1\n00:00:0")
        page.screenshot(path=tmp_path / "done.png")
        page.get_by_role("button", name="Open the Text tab").click()
        expect(page.locator("#text-panel")).to_contain_text("pound key")
    _kept(served, key, text)


def _kept(served: Served, key: str, text: str) -> None:
    """The library has what the page showed, with its sound."""
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"}) as client:
        (one,) = client.get("/api/v1/transcripts/").json()["results"]
        stored = client.get(f"/api/v1/transcripts/{one['id']}/").json()
        assert stored["text"].split() == text.split()
        assert client.get(f"/api/v1/transcripts/{one['id']}/audio/").content[:4] == b"RIFF"
